"""The consumer's end of a channel through shared memory.  Knows `segment`, `wire` and `failure`."""

from __future__ import annotations

import mmap
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..failure import unpacked
from ..records import ITEM, LAYOUT, Quiet, Record
from ..wire import HEADER, Layout
from .segment import (
    DATA,
    EPOCH,
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

__all__ = ["Receiver"]

#: A consumer may hold so many items, whatever their size, before he gets copies ...
_LOANS = 4
#: ... and never more than so many buffers.
_MOST_LOANS = 1024
#: Bytes that may be taken before the worker is told.
_HUSH = 64 << 10
#: Seconds after which a consumer that waits looks whether its worker is alive.
_POLL = 0.05
_MADV_REMOVE = getattr(mmap, "MADV_REMOVE", 9)


class Receiver:
    """The consumer's end.

    Parameters
    ----------
    segment : mmap
    semaphores : list
        `filled` and `back`; emptied when the worker has spoken.
    limit : int
        Bytes that may be held before further items are copied.
    alive : function
        Whether the worker still runs.
    patience : float or None
        Seconds without a record after which `Quiet` is raised.
    copy : bool
        Whether all is copied.
    """

    def __init__(
        self,
        segment: mmap.mmap,
        semaphores: list[Any],
        limit: int,
        alive: Callable[[], bool],
        patience: float | None,
        copy: bool,
    ) -> None:
        self._limit, self._alive, self._patience, self._copy = limit, alive, patience, copy
        self._segment: mmap.mmap | None = segment
        # Those of workers that are not forked have names, which go when nobody holds the objects any more.
        self._semaphores = semaphores
        filled, back = semaphores
        self._filled, self._back = filled.acquire, back.release
        self._memory = memoryview(segment)
        self._events = self._memory[EVENT_RING : EVENT_RING + 8 * EVENTS].cast("Q")
        self._read = self._told = 0
        self._said = 0  # of the records read, how many the worker knows to be taken ...
        self._unsaid = 0  # ... and the bytes of those that it does not
        self._hush = min(limit >> 4, _HUSH)
        self._layouts: dict[int, Layout] = {}
        self._loans: dict[int, Loan] = {}  # by offset
        self._dead: deque[Loan] = deque()
        self._held = 0  # bytes in loans

    @property
    def connected(self) -> bool:
        return not self._semaphores

    def take(self) -> Record | None:
        while True:
            while self._dead:
                self._returned(self._dead.popleft())
            if not self._filled(False) and not self._wait():
                return None
            kind, offset, inside, n_apart = RECORD.unpack_from(self._memory, RING + self._read % RECORDS * 32)
            if kind >= ITEM:
                layout = self._layouts[kind - ITEM]
                apart = self._apart(offset + table_at(layout.size, inside), n_apart) if n_apart else []
                block = bytearray(self._memory[offset : offset + layout.size + inside])
                self._read += 1
                self._unsaid += layout.size + inside + RECORD.size
                if self._unsaid > self._hush or n_apart:
                    self._say()
                return [ITEM, layout.item(block, inside, apart)]
            value = self._value(kind, offset, inside, n_apart)
            if kind != LAYOUT:
                return [kind, value]
            number, key = value
            self._layouts[number] = Layout(key, number)

    def _value(self, kind: int, offset: int, inside: int, n_apart: int) -> Any:
        """The value of a record that is no item."""
        self._semaphores.clear()  # the worker has spoken, so it has opened them
        parts: list[Any] = self._apart(offset + table_at(HEADER, inside), n_apart)
        if inside:
            parts.insert(0, bytes(self._memory[offset + HEADER : offset + HEADER + inside]))
        self._read += 1
        self._say()
        return unpacked(kind, parts)

    def _say(self) -> None:
        """Say how many records have been taken: now and then, and before we wait."""
        self._tell((self._read - self._said) << SHIFT | TAKEN)
        self._said, self._unsaid = self._read, 0

    def _apart(self, table: int, count: int) -> list[NDArray[Any]]:
        """Buffers that lie apart: lent, or copied where the consumer holds much already."""
        words = table_of(count).unpack_from(self._memory, table)
        offsets, sizes = words[::2], words[1::2]
        n_loans, held = len(self._loans), self._held + sum(sizes)
        lends = not self._copy and (n_loans < _LOANS * count or (held <= self._limit and n_loans < _MOST_LOANS))
        found = []
        for offset, size in zip(offsets, sizes, strict=True):
            base: NDArray[Any] = np.ndarray(size, np.uint8, self._segment, offset)
            if lends:
                self._loans[offset] = loan_of(base, self._dead, offset)
                self._held += size
            else:
                base = base.copy()
                self._tell(offset)
            found.append(base)
        return found

    def _returned(self, loan: Loan) -> None:
        del self._loans[loan.offset]
        self._held -= loan.size
        self._tell(loan.offset)

    def _tell(self, event: int) -> None:
        self._events[self._told % EVENTS] = event
        self._told += 1
        self._back()

    def _wait(self) -> bool:
        """Wait for a record; False if the worker has died and there is none."""
        if self._said < self._read:
            self._say()
        until = None if self._patience is None else time.monotonic() + self._patience
        while not self._filled(True, _POLL):
            if not self._alive():
                return bool(self._filled(False))  # what it had published before it died counts
            while self._dead:
                self._returned(self._dead.popleft())
            if until is not None and time.monotonic() > until:
                raise Quiet
        return True

    def want(self, epoch: int) -> None:
        self._tell(epoch << SHIFT | EPOCH)

    def stop(self) -> None:
        self._tell(STOP)

    def close(self) -> None:
        segment, self._segment = self._segment, None
        if segment is None:
            return
        self._semaphores.clear()
        self._punch(segment)
        self._events.release()
        self._memory.release()

    def _punch(self, segment: mmap.mmap) -> None:
        """Give back the pages that nobody sees: a process forked meanwhile would keep them with its copy of the map."""
        while self._dead:
            del self._loans[self._dead.popleft().offset]
        begin = DATA
        held = sorted((loan.offset, loan.offset + loan.size) for loan in self._loans.values())
        for first, last in [*held, (len(segment), 0)]:
            start, end = -(-begin // mmap.PAGESIZE) * mmap.PAGESIZE, first // mmap.PAGESIZE * mmap.PAGESIZE
            if start < end:
                segment.madvise(_MADV_REMOVE, start, end - start)
            begin = last
