"""A shared memory segment as both ends know it.  Knows `heap`; `sender` and `receiver` use it.

It is a file without a name (a memfd), as large as the machine's memory but sparse: it has only the pages that have been
touched.  Both ends map it once, so that no view ever moves.  After an unused page it holds::

    records   a ring, worker to consumer: kind, offset of the block, bytes of pickle in it, number of buffers
    events    a ring, consumer to worker: records were received, a buffer is free again, stop, the next epoch
    data      blocks and buffers, allocated by the worker's `Heap`

A block holds the small arrays of an item, its pickle if it is short, and a table of its buffers (offset and size of
each).
"""

from __future__ import annotations

import functools
import mmap
import os
import struct
import sys
import weakref
from collections import deque
from typing import Any

from numpy.typing import NDArray

from ..heap import ALIGN

__all__ = [
    "CODE",
    "DATA",
    "EPOCH",
    "EVENTS",
    "EVENT_RING",
    "RECEIVED",
    "RECORD",
    "RECORDS",
    "RING",
    "SHIFT",
    "STOP",
    "Loan",
    "loan_of",
    "mapped",
    "table_at",
    "table_of",
]

#: A record: kind, offset of the block, bytes of pickle in it, number of buffers.
RECORD = struct.Struct("<4Q")
#: Places in the ring of records.
RECORDS = 4096
#: Places in the ring of events; an item causes one event for its record and one for each buffer.
EVENTS = 16384
RING = mmap.PAGESIZE
EVENT_RING = RING + RECORDS * RECORD.size
DATA = -(-(EVENT_RING + EVENTS * 8) // mmap.PAGESIZE) * mmap.PAGESIZE

#: Codes of events, in the low bits, which are 0 in an offset; an event of code 0 is the offset of a freed buffer.
#: RECEIVED and EPOCH carry a number in the bits above: how many records, which epoch.
RECEIVED, STOP, EPOCH = 1, 2, 3
CODE, SHIFT = ALIGN - 1, 6


def mapped(fd: int) -> mmap.mmap:
    """Map the segment of a descriptor."""
    if sys.version_info >= (3, 13):  # so that an array keeps no descriptor open
        return mmap.mmap(fd, os.fstat(fd).st_size, trackfd=False)
    return mmap.mmap(fd, os.fstat(fd).st_size)


@functools.cache
def table_of(count: int) -> struct.Struct:
    """The format of a table of `count` buffers."""
    return struct.Struct(f"<{2 * count}Q")


def table_at(size: int, n_pickled: int) -> int:
    """Where in a block the table of buffers begins, after `size` bytes of arrays and `n_pickled` of pickle."""
    return (size + n_pickled + 7) & -8


class Loan(weakref.ref[NDArray[Any]]):
    """Reports when nothing refers to the memory of a block any more.

    NumPy makes the first array over a block the base of all its views, so that array lives as long as any of them.
    """

    __slots__ = ("array_id", "offset", "sent", "size")
    array_id: int  #: the array's `id`
    offset: int
    size: int
    sent: bool  #: whether the block was handed to the consumer


def loan_of(base: NDArray[Any], dead: deque[Loan], offset: int) -> Loan:
    """The loan of the first array over a block; when that array dies, the loan is appended to `dead`."""
    # The callback is a C function: it may run in any thread, in the middle of anything.
    loan = Loan(base, dead.append)
    loan.array_id, loan.offset, loan.size, loan.sent = id(base), offset, base.nbytes, False
    return loan
