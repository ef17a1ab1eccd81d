"""A segment of shared memory, as both of its ends know it.  Knows `heap`; used by `shm_sender`, `shm_receiver`.

It is a file without a name (a memfd), of the size of the machine's memory and sparse: it has the pages that have been
touched.  Both sides map it once, so that no view ever moves.  It begins with two rings::

    records   worker -> consumer: kind, where the block is, bytes of pickle in it, number of buffers apart
    events    consumer -> worker: records have been taken, a buffer is free again, stop, the next epoch
    data      blocks, under the worker's `Heap`

A block holds the small arrays of an item, a short pickle, and a table of the buffers apart (offset and size of each).
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
    "RECORD",
    "RECORDS",
    "RING",
    "SHIFT",
    "STOP",
    "TAKEN",
    "Loan",
    "loan_of",
    "mapped",
    "table_at",
    "table_of",
]

#: Of a record: kind, offset of the block, bytes of the pickle in it, number of buffers apart.
RECORD = struct.Struct("<4Q")
#: How many records may be written and not taken.
RECORDS = 4096
#: How many events may be written and not read; a record stands for one, and each buffer apart for another.
EVENTS = 16384
RING = mmap.PAGESIZE
EVENT_RING = RING + RECORDS * RECORD.size
DATA = -(-(EVENT_RING + EVENTS * 8) // mmap.PAGESIZE) * mmap.PAGESIZE

#: Codes of events, in the bits below a block's offset; what has none is the offset of a buffer that is free.
#: TAKEN and EPOCH have a number above them: of records, of the epoch.
TAKEN, STOP, EPOCH = 1, 2, 3
CODE, SHIFT = ALIGN - 1, 6


def mapped(fd: int) -> mmap.mmap:
    """A segment by its descriptor."""
    if sys.version_info >= (3, 13):  # who holds an array holds no descriptor
        return mmap.mmap(fd, os.fstat(fd).st_size, trackfd=False)
    return mmap.mmap(fd, os.fstat(fd).st_size)


@functools.cache
def table_of(count: int) -> struct.Struct:
    """A table of so many buffers apart."""
    return struct.Struct(f"<{2 * count}Q")


def table_at(size: int, inside: int) -> int:
    """Where the table of the buffers apart begins in a block."""
    return (size + inside + 7) & -8


class Loan(weakref.ref[NDArray[Any]]):
    """Tells when nobody sees a block any more.

    NumPy makes the first array over a block the base of all views of it, so that array lives as long as anything shows
    the memory.
    """

    __slots__ = ("name", "offset", "sent", "size")
    name: int  #: identity of the array
    offset: int
    size: int
    sent: bool  #: whether the block is the consumer's now


def loan_of(base: NDArray[Any], dead: deque[Loan], offset: int) -> Loan:
    """Watch the first array over a block; when it dies, `dead` has the loan."""
    # The callback is a function of C: it may run in any thread, and in the middle of anything.
    loan = Loan(base, dead.append)
    loan.name, loan.offset, loan.size, loan.sent = id(base), offset, base.nbytes, False
    return loan
