"""The worker's end of a channel through shared memory.  Knows `segment`, `heap`, `wire` and `failure`.

The worker owns the memory: it says which blocks are whose.
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
from ..failure import packed
from ..heap import ALIGN, Heap
from ..records import HELLO, ITEM, LAYOUT, Record, Stopped
from ..wire import HEADER, MOST_APART, Forms, Layout, short_pickle
from .segment import (
    CODE,
    DATA,
    EVENT_RING,
    EVENTS,
    RECORD,
    RECORDS,
    RING,
    SHIFT,
    STOP,
    TAKEN,
    Loan,
    loan_of,
    table_at,
    table_of,
)

__all__ = ["Sender"]

#: Events that may come for what has been written before the worker waits.
_ROOM = EVENTS - 2 * MOST_APART - 8
#: Seconds after which a worker that waits goes on waiting (signals, and the end of its consumer, reach it anyway).
_LONG = 1.0
#: Views that a sender remembers for one layout.
_VIEWS = 1024


class Sender:
    """The worker's end.

    Parameters
    ----------
    segment : mmap
    filled, back : semaphores
    limit : int
        Bytes that may be written and not yet taken before the worker waits.
    on_stop : function
        Called before `Stopped` is raised.
    """

    def __init__(self, segment: mmap.mmap, filled: Any, back: Any, limit: int, on_stop: Callable[[], None]) -> None:
        self._segment, self._limit, self._on_stop = segment, limit, on_stop
        self._filled, self._back = filled.release, back.acquire
        self._events = memoryview(segment)[EVENT_RING : EVENT_RING + 8 * EVENTS].cast("Q")
        self._heap = Heap(DATA, len(segment) & -ALIGN, DATA + 2 * limit)
        self._forms = Forms(lambda announced: self.put(LAYOUT, announced))
        self._slots = cycle(range(RING, EVENT_RING, RECORD.size))  # of the ring of records
        self._seen = 0
        self._ahead = 0  # bytes written and not taken
        self._pending = 0  # events that will come for what has been written
        # Of each record that has not been taken: bytes, its block, and the free blocks of that class.
        self._unread: deque[tuple[int, int, list[int]]] = deque()
        self._out: dict[int, list[int]] = {}  # buffers that the consumer has, and the free blocks of their class
        self._epoch: int | None = None  # that is wanted next
        self._lent: dict[int, Loan] = {}  # to the tree, by identity of the array
        self._dead: deque[Loan] = deque()
        set_allocator(self._lend)
        self.put(HELLO, None)

    # ------------------------------------------------------------------ records
    def item(self, record: Record) -> None:
        self._settle()
        layout, arrays, parts = self._forms.of(record[1])
        staged: _Staged = layout.staged
        if staged is None:
            staged = layout.staged = _Staged(layout, self._heap)
        if parts or layout.n_apart:
            held = [arrays]
            del arrays  # what nobody holds need not be copied
            self._put_apart(record, layout, held, parts)
        else:
            offset = staged.free.pop() if staged.free else self._heap.take(staged.size)
            views = staged.views.get(offset) or staged.over(self._segment, offset)
            for view, array in zip(views, arrays):  # noqa: B905  (of one length, by what a layout is)
                view[...] = array
            self._publish(ITEM + layout.number, offset, 0, 0, staged.size, staged.free)
            del record[1]
        while self._ahead >= self._limit or self._pending > _ROOM or len(self._unread) > RECORDS - 8:
            self._wait()

    def put(self, kind: int, value: Any) -> None:
        while len(self._unread) > RECORDS - 4:
            self._wait()
        inside, apart = short_pickle(packed(kind, value))
        table = [self._copied(part) for part in apart]
        self._publish_block(kind, self._block(HEADER, inside, table), HEADER, inside, table)

    def _put_apart(self, record: Record, layout: Layout, held: list[Any], parts: list[Any]) -> None:
        """Send an item that has more than a block of small arrays."""
        inside, apart = short_pickle(parts)
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
                offset = self._take(array.nbytes)
                np.ndarray(shape, dtype, self._segment, offset, None, order)[...] = array
                table.append((offset, array.nbytes))
        table += [self._copied(part) for part in apart]
        block = self._block(layout.size, inside, table)
        for array, shape, dtype, at, order in small:
            np.ndarray(shape, dtype, self._segment, block[0] + at, None, order)[...] = array
        array = None
        del small, record[1]
        for place, loan in lent:
            table[place] = self._handed_over(loan)
        self._publish_block(ITEM + layout.number, block, layout.size, inside, table)

    def _block(self, size: int, inside: bytes, table: list[Any]) -> tuple[int, int]:
        """A block for the small arrays, a short pickle and the table of the buffers apart: offset and size."""
        whole = table_at(size, len(inside)) + 16 * len(table)
        return self._take(whole), whole

    def _publish_block(
        self, kind: int, block: tuple[int, int], size: int, inside: bytes, table: list[tuple[int, int]]
    ) -> None:
        """Write what comes behind the small arrays of a block, and publish it."""
        offset, whole = block
        self._segment[offset + size : offset + size + len(inside)] = inside
        if table:
            words = [word for entry in table for word in entry]
            table_of(len(table)).pack_into(self._segment, offset + table_at(size, len(inside)), *words)
        ahead = whole
        for apart, length in table:
            self._out[apart] = self._heap.free(Heap.rounded(length))
            ahead += length
        self._publish(kind, offset, len(inside), len(table), ahead, self._heap.free(Heap.rounded(whole)))

    def _publish(self, kind: int, offset: int, inside: int, n_apart: int, size: int, free: list[int]) -> None:
        RECORD.pack_into(self._segment, next(self._slots), kind, offset, inside, n_apart)
        self._ahead += size
        self._pending += 1 + n_apart
        self._unread.append((size, offset, free))
        self._filled()

    # ------------------------------------------------------------------ memory
    def _take(self, size: int) -> int:
        try:
            return self._heap.take(Heap.rounded(size))
        except MemoryError as error:
            raise DataError(f"an item of {size >> 20} MiB cannot be sent through shared memory: {error}") from None

    def _copied(self, data: Any) -> tuple[int, int]:
        """A block with a copy of some bytes: offset and size."""
        size = len(data)
        offset = self._take(size)
        np.ndarray(size, np.uint8, self._segment, offset)[...] = np.frombuffer(data, np.uint8)
        return offset, size

    def _lend(self, size: int) -> NDArray[np.uint8] | None:
        """Memory for an array that the tree is about to make; the allocator."""
        self._settle()
        try:
            offset = self._heap.take(Heap.rounded(size))
        except MemoryError:
            return None
        base: NDArray[np.uint8] = np.ndarray(size, np.uint8, self._segment, offset)
        self._lent[id(base)] = loan_of(base, self._dead, offset)
        return base

    def _loan_of(self, array: NDArray[Any]) -> Loan | None:
        """The loan that an array is, all of it and as it lies in memory."""
        base = array.base
        loan = self._lent.get(id(base))
        if loan is None or loan() is not base or array.nbytes != loan.size or not array.flags.forc:
            return None
        return loan

    def _handed_over(self, loan: Loan) -> tuple[int, int]:
        """Offset and size of a lent block that the consumer may have; of a copy, if somebody here still holds it."""
        base = loan()
        if loan.sent:  # an item may hold one array twice, and has two at the other end
            base = np.ndarray(loan.size, np.uint8, self._segment, loan.offset)
        if base is not None:
            return self._copied(base)
        loan.sent = True
        return loan.offset, loan.size

    def _died(self, loan: Loan) -> None:
        if self._lent.get(loan.name) is loan:  # another array may have got its identity by now
            del self._lent[loan.name]
        if not loan.sent:
            self._heap.free(Heap.rounded(loan.size)).append(loan.offset)

    # ------------------------------------------------------------------ events
    def _settle(self) -> None:
        """Take back what is free by now."""
        while self._back(False):
            self._event()
        while self._dead:
            self._died(self._dead.popleft())

    def _event(self) -> None:
        event = self._events[self._seen % EVENTS]
        self._seen += 1
        code = event & CODE
        if code == TAKEN:
            for _ in range(event >> SHIFT):
                size, offset, free = self._unread.popleft()
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
        if self._back(True, _LONG):
            self._event()

    def wait(self) -> int:
        while self._epoch is None:
            self._wait()
        epoch, self._epoch = self._epoch, None
        return epoch

    def close(self) -> None:
        set_allocator(None)


class _Staged:
    """What a sender keeps for a layout: the size class of its block, and views of the arrays in earlier blocks."""

    __slots__ = ("_layout", "free", "size", "views")

    def __init__(self, layout: Layout, heap: Heap) -> None:
        self._layout, self.size = layout, Heap.rounded(layout.size)
        self.free = heap.free(self.size)
        self.views: dict[int, list[NDArray[Any]]] = {}

    def over(self, segment: mmap.mmap, offset: int) -> list[NDArray[Any]]:
        """Views of the arrays of a block."""
        if len(self.views) >= _VIEWS:
            self.views.clear()
        views = self.views[offset] = self._layout.views(segment, offset)
        return views
