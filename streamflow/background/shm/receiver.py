"""The consumer's end of a channel through shared memory.  Knows `segment`, `records` and `wire`."""

from __future__ import annotations

import mmap
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..records import ITEM, LAYOUT, ItemTimeout, Record, decoded
from ..wire import HEADER, ItemLayout
from .segment import (
    DATA,
    EPOCH,
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

__all__ = ["ShmReceiver"]

#: A consumer may hold this many items, whatever their size, before it gets copies ...
_MIN_LOANS = 4
#: ... and never more than this many buffers.
_MAX_LOANS = 1024
#: Most received bytes that are not yet reported to the worker.
_UNREPORTED = 64 << 10
#: Seconds between two checks that the worker is alive, while waiting.
_POLL = 0.05
_MADV_REMOVE = getattr(mmap, "MADV_REMOVE", 9)


class ShmReceiver:
    """A `Receiver` over a segment.

    Parameters
    ----------
    segment : mmap
    semaphores : list
        Of records and of events; emptied once the worker has sent something.
    limit : int
        Bytes that the consumer may hold before further items are copied.
    alive : function
        Returns whether the worker still runs.
    item_timeout : float or None
        Seconds without a record after which `ItemTimeout` is raised.
    copy : bool
        Whether large arrays are copied too.
    """

    def __init__(
        self,
        segment: mmap.mmap,
        semaphores: list[Any],
        limit: int,
        alive: Callable[[], bool],
        item_timeout: float | None,
        copy: bool,
    ) -> None:
        self._limit, self._alive, self._item_timeout, self._copy = limit, alive, item_timeout, copy
        self._segment: mmap.mmap | None = segment
        # For a worker that is not forked they have names, which exist as long as something refers to the objects.
        self._semaphores = semaphores
        records, events = semaphores
        self._acquire_record, self._release_event = records.acquire, events.release
        self._memory = memoryview(segment)
        self._events = self._memory[EVENT_RING : EVENT_RING + 8 * EVENTS].cast("Q")
        self._n_read = self._n_events = 0
        self._n_reported = 0  # how many of the records read have been reported to the worker ...
        self._unreported = 0  # ... and the bytes of the others
        self._report_above = min(limit >> 4, _UNREPORTED)
        self._layouts: dict[int, ItemLayout] = {}
        self._loans: dict[int, Loan] = {}  # by offset
        self._dead: deque[Loan] = deque()
        self._held = 0  # bytes in loans

    @property
    def connected(self) -> bool:
        return not self._semaphores

    def receive(self) -> Record | None:
        while True:
            while self._dead:
                self._return(self._dead.popleft())
            if not self._acquire_record(False) and not self._wait():
                return None
            kind, offset, n_pickled, n_buffers = RECORD.unpack_from(self._memory, RING + self._n_read % RECORDS * 32)
            if kind >= ITEM:
                layout = self._layouts[kind - ITEM]
                buffers = self._buffers(offset + table_at(layout.size, n_pickled), n_buffers) if n_buffers else []
                block = bytearray(self._memory[offset : offset + layout.size + n_pickled])
                self._n_read += 1
                self._unreported += layout.size + n_pickled + RECORD.size
                if self._unreported > self._report_above or n_buffers:
                    self._report()
                return [ITEM, layout.item(block, n_pickled, buffers)]
            value = self._value(kind, offset, n_pickled, n_buffers)
            if kind != LAYOUT:
                return [kind, value]
            number, key = value
            self._layouts[number] = ItemLayout(key, number)

    def _value(self, kind: int, offset: int, n_pickled: int, n_buffers: int) -> Any:
        """The value of a record that is not an item."""
        self._semaphores.clear()  # the worker has sent something, so it has opened them
        parts: list[Any] = self._buffers(offset + table_at(HEADER, n_pickled), n_buffers)
        if n_pickled:
            parts.insert(0, bytes(self._memory[offset + HEADER : offset + HEADER + n_pickled]))
        self._n_read += 1
        self._report()
        return decoded(kind, parts)

    def _report(self) -> None:
        """Report how many records have been received; called now and then, and before waiting."""
        self._post((self._n_read - self._n_reported) << SHIFT | RECEIVED)
        self._n_reported, self._unreported = self._n_read, 0

    def _buffers(self, table: int, count: int) -> list[NDArray[Any]]:
        """The buffers of an item: lent, or copied if the consumer already holds much."""
        words = table_of(count).unpack_from(self._memory, table)
        offsets, sizes = words[::2], words[1::2]
        n_loans, held = len(self._loans), self._held + sum(sizes)
        lends = not self._copy and (n_loans < _MIN_LOANS * count or (held <= self._limit and n_loans < _MAX_LOANS))
        found = []
        for offset, size in zip(offsets, sizes, strict=True):
            base: NDArray[Any] = np.ndarray(size, np.uint8, self._segment, offset)
            if lends:
                self._loans[offset] = loan_of(base, self._dead, offset)
                self._held += size
            else:
                base = base.copy()
                self._post(offset)
            found.append(base)
        return found

    def _return(self, loan: Loan) -> None:
        del self._loans[loan.offset]
        self._held -= loan.size
        self._post(loan.offset)

    def _post(self, event: int) -> None:
        self._events[self._n_events % EVENTS] = event
        self._n_events += 1
        self._release_event()

    def _wait(self) -> bool:
        """Wait for a record; False if the worker has died and there is none."""
        if self._n_reported < self._n_read:
            self._report()
        until = None if self._item_timeout is None else time.monotonic() + self._item_timeout
        while not self._acquire_record(True, _POLL):
            if not self._alive():
                return bool(self._acquire_record(False))  # records published before its death count
            while self._dead:
                self._return(self._dead.popleft())
            if until is not None and time.monotonic() > until:
                raise ItemTimeout
        return True

    def request_epoch(self, epoch: int) -> None:
        self._post(epoch << SHIFT | EPOCH)

    def request_stop(self) -> None:
        self._post(STOP)

    def close(self) -> None:
        segment, self._segment = self._segment, None
        if segment is None:
            return
        self._semaphores.clear()
        self._punch(segment)
        self._events.release()
        self._memory.release()

    def _punch(self, segment: mmap.mmap) -> None:
        """Free the pages that no view shows; a process forked meanwhile would keep them with its copy of the map."""
        while self._dead:
            del self._loans[self._dead.popleft().offset]
        begin = DATA
        held = sorted((loan.offset, loan.offset + loan.size) for loan in self._loans.values())
        for first, last in [*held, (len(segment), 0)]:
            start, end = -(-begin // mmap.PAGESIZE) * mmap.PAGESIZE, first // mmap.PAGESIZE * mmap.PAGESIZE
            if start < end:
                segment.madvise(_MADV_REMOVE, start, end - start)
            begin = last
