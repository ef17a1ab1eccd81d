"""Memory maps: how many a process keeps, how arrays in them are pickled, and how they are prefetched.

A map that is not in memory is read page by page, and each page fault waits for the disk; what is asked for in advance
is read in one go.
"""

from __future__ import annotations

import mmap
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from typing import Any, Protocol
from weakref import ref

import numpy as np
from numpy.typing import NDArray

from ...core.fork import at_fork
from ...exceptions import DataError

try:
    import resource
except ImportError:  # not available on this system
    resource = None  # type: ignore[assignment]

__all__ = ["CAN_ADVISE", "Ahead", "MappedArray", "Stretch", "keep", "memory_of", "most_of", "stretches_of"]

CAN_ADVISE = hasattr(mmap, "MADV_WILLNEED")
_CAN_COUNT = hasattr(resource, "RUSAGE_THREAD")
_never_twice = count()  #: where nothing can be counted, every call counts as one that read something


class Keeper(Protocol):
    """Something that keeps files mapped for its next read."""

    def _let_go(self, file: str) -> object:
        """Stop keeping this file."""


def most_of(descriptors: int) -> int:
    """How many objects with `descriptors` file descriptors each a process keeps open: a quarter of its limit."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0] if resource is not None else 1024
    return min(4096, limit // (4 * descriptors)) if limit >= 0 else 4096


_MOST = most_of(1)
#: The maps that are kept, oldest first, each with its keeper and the path of the file.
_kept: OrderedDict[ref[mmap.mmap], tuple[ref[Keeper], str]] = OrderedDict()
_lock = threading.Lock()


def keep(memory: mmap.mmap, keeper: Keeper, file: str) -> None:
    """Register that `keeper` keeps a file mapped for its next read.

    All sources and stores of a process together keep at most a quarter of its descriptor limit, and at most 4096 maps.
    Beyond that the oldest are dropped; a map that an array still uses is closed with the array.
    """
    surplus = []
    with _lock:
        _kept[ref(memory, _closed)] = ref(keeper), file
        while len(_kept) > _MOST:
            surplus.append(_kept.popitem(last=False)[1])
    for holder, path in surplus:  # without the lock, because `_let_go` may wait for another one
        known = holder()
        if known is not None:
            known._let_go(path)


def _closed(memory: ref[mmap.mmap]) -> None:
    _kept.pop(memory, None)


def _forked() -> None:
    """In a forked child: the lock may have been held, and the maps belong to the parent (`sources/handle`)."""
    global _kept, _lock
    _kept, _lock = OrderedDict(), threading.Lock()


at_fork(in_child=_forked)


def memory_of(array: Any) -> mmap.mmap | None:
    """The map that contains an array, or None."""
    while isinstance(array, np.ndarray):
        array = array.base
    return array if isinstance(array, mmap.mmap) else None


class MappedArray:
    """Describes an array in a mapped file by its position there.

    Parameters
    ----------
    path : str
    dtype : numpy.dtype
    shape, strides : tuple of int
    offset : int
        Of the first element, in bytes.
    """

    def __init__(
        self, path: str, dtype: np.dtype[Any], shape: tuple[int, ...], strides: tuple[int, ...], offset: int
    ) -> None:
        self.path, self.dtype, self.shape, self.strides, self.offset = path, dtype, shape, strides, offset

    @classmethod
    def of(cls, array: NDArray[Any]) -> MappedArray | None:
        """The description of an array; None if it is not in a mapped file or private to this process."""
        memory, root = memory_of(array), array
        while isinstance(root.base, np.ndarray):
            root = root.base
        if memory is None or not isinstance(root, np.memmap) or root.filename is None or root.mode == "c":
            return None
        # np.memmap maps from the start of a page
        skipped = root.offset - root.offset % mmap.ALLOCATIONGRANULARITY
        offset = skipped + _address(array) - _begin(memory)
        return cls(os.fspath(root.filename), array.dtype, array.shape, array.strides, offset)

    def open(self) -> NDArray[Any]:
        """Map it."""
        try:
            whole = np.memmap(self.path, np.uint8, "r")
            array: NDArray[Any] = np.ndarray(self.shape, self.dtype, whole, self.offset, self.strides)
        except (ValueError, TypeError):
            wanted = f"{self.dtype} of shape {self.shape} at byte {self.offset}"
            raise DataError(f"{self.path!r} is truncated: there is no {wanted}") from None
        return array


def _address(array: NDArray[Any]) -> int:
    return int(array.__array_interface__["data"][0])


def _begin(memory: mmap.mmap) -> int:
    return _address(np.frombuffer(memory, np.uint8))


#: A stretch of a map: its first byte, and the one after its last.
Stretch = tuple[mmap.mmap, int, int]


class Ahead:
    """Asks the operating system for parts of maps before they are read, as long as it reads the disk for that.

    For data that is in memory already, asking costs half as much as copying it.  So after a call that made the system
    read nothing the next call is skipped, then the next three, and so on up to 15, until a page fault waits for a disk.
    """

    def __init__(self) -> None:
        self._skipped = self._pause = 0
        self._waited = -1

    def ask(self, stretches: Callable[[], Iterable[Stretch]]) -> None:
        """Prefetch what `stretches` returns; it is called only if the system is asked."""
        waited, moved = _disk_work()
        if self._skipped < self._pause and waited == self._waited:
            self._skipped += 1
            return
        for memory, first, end in stretches():
            border = first - first % mmap.PAGESIZE
            memory.madvise(mmap.MADV_WILLNEED, border, end - border)
        self._waited, moved_now = _disk_work()
        in_memory = moved_now == moved and waited == self._waited
        self._skipped, self._pause = 0, min(2 * self._pause + 1, 15) if in_memory else 0


def stretches_of(array: NDArray[Any], indices: NDArray[np.intp]) -> Iterator[Stretch]:
    """The stretches of these rows in the map of an array, neighbours joined; none if rows are not contiguous there."""
    memory = memory_of(array) if CAN_ADVISE else None
    if memory is None or not indices.size or not array.size or not array[:1].flags.c_contiguous:
        return
    length = array.nbytes // len(array)
    firsts = _address(array) - _begin(memory) + np.sort(indices) * array.strides[0]
    ends = firsts + length
    apart = np.flatnonzero(firsts[1:] >= ends[:-1] + mmap.PAGESIZE) + 1
    for first, end in zip(firsts[[0, *apart]].tolist(), ends[[*(apart - 1), -1]].tolist(), strict=True):
        yield memory, first, end


def _disk_work() -> tuple[int, int]:
    """How often this thread has waited for a page, and how many blocks have been read for it."""
    if not _CAN_COUNT:
        return 0, -next(_never_twice)
    used = resource.getrusage(resource.RUSAGE_THREAD)
    return used.ru_majflt, used.ru_inblock
