"""The worker's end of a channel through shared memory.  Knows `segment`, `heap`, `records` and `wire`.

The worker owns the memory: it allocates all blocks and buffers; the consumer only reports which are free again.
"""

from __future__ import annotations

import mmap
from collections import deque
from collections.abc import Callable
from itertools import cycle
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.allocator import set_allocator
from ...exceptions import DataError
from ..heap import ALIGN, Heap
from ..records import HELLO, ITEM, LAYOUT, Record, Stopped, encoded
from ..wire import HEADER, MAX_BUFFERS, ItemLayout, LayoutTable, short_pickle
from .segment import (
    CODE,
    DATA,
    EVENT_RING,
    EVENTS,
    RECEIVED,
    RECORD,
    RECORDS,
    RING,
    SHIFT,
    STOP,
    Loan,
    loan_of,
    table_at,
    table_of,
)

__all__ = ["ShmSender"]

#: The worker waits when more events than this are still to come for what it has sent.
_MAX_PENDING = EVENTS - 2 * MAX_BUFFERS - 8
#: Seconds to wait for an event at a time (signals, and the end of the consumer, reach the worker anyway).
_LONG = 1.0
#: How many blocks of a layout a sender keeps views of.
_MAX_VIEWS = 1024


class ShmSender:
    """A `Sender` over a segment.

    Parameters
    ----------
    segment : mmap
    records, events : semaphores
    limit : int
        Bytes that may be sent and not yet received before the worker waits.
    on_stop : function
        Called before `Stopped` is raised.
    """

    def __init__(self, segment: mmap.mmap, records: Any, events: Any, limit: int, on_stop: Callable[[], None]) -> None:
        self._segment, self._limit, self._on_stop = segment, limit, on_stop
        self._release_record, self._acquire_event = records.release, events.acquire
        self._events = memoryview(segment)[EVENT_RING : EVENT_RING + 8 * EVENTS].cast("Q")
        self._heap = Heap(DATA, len(segment) & -ALIGN, DATA + 2 * limit)
        self._layouts = LayoutTable(lambda announced: self.send(LAYOUT, announced))
        self._ring = cycle(range(RING, EVENT_RING, RECORD.size))  # offsets of records
        self._n_events = 0
        self._ahead = 0  # bytes sent and not yet received
        self._pending = 0  # events still to come for what was sent
        # Of each record not yet received: bytes, its block, and the free blocks of that class.
        self._unreceived: deque[tuple[int, int, list[int]]] = deque()
        self._out: dict[int, list[int]] = {}  # buffers that the consumer has, and the free blocks of their class
        self._epoch: int | None = None  # the next one, once it has been requested
        self._lent: dict[int, Loan] = {}  # to the tree, by `id` of the array
        self._dead: deque[Loan] = deque()
        set_allocator(self._lend)
        self.send(HELLO, None)

    # ------------------------------------------------------------------ records
    def send_item(self, record: Record) -> None:
        self._settle()
        layout, arrays, parts = self._layouts.of(record[1])
        staging: _Staging = layout.staging
        if staging is None:
            staging = layout.staging = _Staging(layout, self._heap)
        if parts or layout.n_buffers:
            held = [arrays]
            del arrays  # an array to which nothing else refers need not be copied
            self._send_with_buffers(record, layout, held, parts)
        else:
            offset = staging.free.pop() if staging.free else self._heap.allocate(staging.size)
            views = staging.views.get(offset) or staging.over(self._segment, offset)
            for view, array in zip(views, arrays):  # noqa: B905  (of one length, by what a layout is)
                view[...] = array
            self._publish(ITEM + layout.number, offset, 0, 0, staging.size, staging.free)
            del record[1]
        while self._ahead >= self._limit or self._pending > _MAX_PENDING or len(self._unreceived) > RECORDS - 8:
            self._wait()

    def send(self, kind: int, value: Any) -> None:
        while len(self._unreceived) > RECORDS - 4:
            self._wait()
        short, large = short_pickle(encoded(kind, value))
        table = [self._copied(part) for part in large]
        self._publish_block(kind, self._block(HEADER, short, table), HEADER, short, table)

    def _send_with_buffers(self, record: Record, layout: ItemLayout, held: list[Any], parts: list[Any]) -> None:
        """Send an item that has more than a block of small arrays."""
        short, large = short_pickle(parts)
        table: list[tuple[int, int]] = []
        lent: list[tuple[int, Loan]] = []
        small = []
        for array, (shape, dtype, at, order, _) in zip(held.pop(), layout.arrays, strict=True):
            if at is not None:
                small.append((array, shape, dtype, at, order))
                continue
            loan = self._loan_of(array) if self._lent else None
            if loan is not None:
                lent.append((len(table), loan))
                table.append((loan.offset, loan.size))
            else:
                offset = self._allocate(array.nbytes)
                np.ndarray(shape, dtype, self._segment, offset, None, order)[...] = array
                table.append((offset, array.nbytes))
        table += [self._copied(part) for part in large]
        block = self._block(layout.size, short, table)
        for array, shape, dtype, at, order in small:
            np.ndarray(shape, dtype, self._segment, block[0] + at, None, order)[...] = array
        array = None
        del small, record[1]
        for index, loan in lent:
            table[index] = self._handed_over(loan)
        self._publish_block(ITEM + layout.number, block, layout.size, short, table)

    def _block(self, size: int, short: bytes, table: list[Any]) -> tuple[int, int]:
        """A block for small arrays, a short pickle and a table of buffers: offset and size."""
        whole = table_at(size, len(short)) + 16 * len(table)
        return self._allocate(whole), whole

    def _publish_block(
        self, kind: int, block: tuple[int, int], size: int, short: bytes, table: list[tuple[int, int]]
    ) -> None:
        """Write what follows the small arrays of a block, and publish it."""
        offset, whole = block
        self._segment[offset + size : offset + size + len(short)] = short
        if table:
            words = [word for entry in table for word in entry]
            table_of(len(table)).pack_into(self._segment, offset + table_at(size, len(short)), *words)
        ahead = whole
        for buffer, length in table:
            self._out[buffer] = self._heap.free_blocks(Heap.size_class(length))
            ahead += length
        self._publish(kind, offset, len(short), len(table), ahead, self._heap.free_blocks(Heap.size_class(whole)))

    def _publish(self, kind: int, offset: int, n_pickled: int, n_buffers: int, size: int, free: list[int]) -> None:
        RECORD.pack_into(self._segment, next(self._ring), kind, offset, n_pickled, n_buffers)
        self._ahead += size
        self._pending += 1 + n_buffers
        self._unreceived.append((size, offset, free))
        self._release_record()

    # ------------------------------------------------------------------ memory
    def _allocate(self, size: int) -> int:
        try:
            return self._heap.allocate(Heap.size_class(size))
        except MemoryError as error:
            raise DataError(f"an item of {size >> 20} MiB cannot be sent through shared memory: {error}") from None

    def _copied(self, data: Any) -> tuple[int, int]:
        """A buffer with a copy of some bytes: offset and size."""
        size = len(data)
        offset = self._allocate(size)
        np.ndarray(size, np.uint8, self._segment, offset)[...] = np.frombuffer(data, np.uint8)
        return offset, size

    def _lend(self, size: int) -> NDArray[np.uint8] | None:
        """Memory for an array that the tree is about to make; the allocator."""
        self._settle()
        try:
            offset = self._heap.allocate(Heap.size_class(size))
        except MemoryError:
            return None
        base: NDArray[np.uint8] = np.ndarray(size, np.uint8, self._segment, offset)
        self._lent[id(base)] = loan_of(base, self._dead, offset)
        return base

    def _loan_of(self, array: NDArray[Any]) -> Loan | None:
        """The loan of which an array shows all the memory, in order; None if there is none."""
        base = array.base
        loan = self._lent.get(id(base))
        if loan is None or loan() is not base or array.nbytes != loan.size or not array.flags.forc:
            return None
        return loan

    def _handed_over(self, loan: Loan) -> tuple[int, int]:
        """Offset and size of a lent block for the consumer, or of a copy if something here still refers to it."""
        base = loan()
        if loan.sent:  # an item may hold one array twice; the consumer gets two
            base = np.ndarray(loan.size, np.uint8, self._segment, loan.offset)
        if base is not None:
            return self._copied(base)
        loan.sent = True
        return loan.offset, loan.size

    def _end_loan(self, loan: Loan) -> None:
        if self._lent.get(loan.array_id) is loan:  # by now another array may have the same `id`
            del self._lent[loan.array_id]
        if not loan.sent:
            self._heap.free_blocks(Heap.size_class(loan.size)).append(loan.offset)

    # ------------------------------------------------------------------ events
    def _settle(self) -> None:
        """Handle the events that have come, and free what is free by now."""
        while self._acquire_event(False):
            self._handle_event()
        while self._dead:
            self._end_loan(self._dead.popleft())

    def _handle_event(self) -> None:
        event = self._events[self._n_events % EVENTS]
        self._n_events += 1
        code = event & CODE
        if code == RECEIVED:
            for _ in range(event >> SHIFT):
                size, offset, free = self._unreceived.popleft()
                free.append(offset)
                self._ahead -= size
                self._pending -= 1
        elif not code:
            self._out.pop(event).append(event)
            self._pending -= 1
        elif code == STOP:
            self._on_stop()
            raise Stopped
        else:
            self._epoch = event >> SHIFT

    def _wait(self) -> None:
        if self._acquire_event(True, _LONG):
            self._handle_event()

    def wait_for_epoch(self) -> int:
        while self._epoch is None:
            self._wait()
        epoch, self._epoch = self._epoch, None
        return epoch

    def close(self) -> None:
        set_allocator(None)


class _Staging:
    """What a sender keeps for a layout: the size class of its block, and views of the arrays in earlier blocks."""

    __slots__ = ("_layout", "free", "size", "views")

    def __init__(self, layout: ItemLayout, heap: Heap) -> None:
        self._layout, self.size = layout, Heap.size_class(layout.size)
        self.free = heap.free_blocks(self.size)
        self.views: dict[int, list[NDArray[Any]]] = {}

    def over(self, segment: mmap.mmap, offset: int) -> list[NDArray[Any]]:
        """Views of the arrays of a block."""
        if len(self.views) >= _MAX_VIEWS:
            self.views.clear()
        views = self.views[offset] = self._layout.views(segment, offset)
        return views
