"""Memory maps: how they are described, and how the system is asked to read them early.

A cold map is read page by page, each fault waiting for the disk; one that is asked for beforehand is read at once.
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

from ...exceptions import DataError

try:
    import resource
except ImportError:  # not on this system
    resource = None  # type: ignore[assignment]

__all__ = ["CAN_ADVISE", "Ahead", "MappedArray", "Stretch", "keep", "memory_of", "most_of", "stretches_of"]

CAN_ADVISE = hasattr(mmap, "MADV_WILLNEED")
_CAN_COUNT = hasattr(resource, "RUSAGE_THREAD")
_never_twice = count()  #: where nothing can be counted, each call seems to have moved something


class Keeper(Protocol):
    """What keeps maps for its next read."""

    def _let_go(self, file: str) -> object:
        """Keep this file no longer."""


def most_of(descriptors: int) -> int:
    """How many things a process keeps open that each hold so many descriptors, of which it may often have 1024."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0] if resource is not None else 1024
    return min(4096, limit // (4 * descriptors)) if limit >= 0 else 4096


_MOST = most_of(1)
#: What is kept, in the order in which it was mapped, and by whom.
_kept: OrderedDict[ref[mmap.mmap], tuple[ref[Keeper], str]] = OrderedDict()
_lock = threading.Lock()


def keep(memory: mmap.mmap, keeper: Keeper, file: str) -> None:
    """Note that a map is kept for the next read of a file.

    A process keeps a quarter as many as it may have descriptors, at most 4096, for all of its sources and stores
    together.  If there are more, those that were mapped first are let go of; one that an array still shows is closed
    with the array.
    """
    surplus = []
    with _lock:
        _kept[ref(memory, _closed)] = ref(keeper), file
        while len(_kept) > _MOST:
            surplus.append(_kept.popitem(last=False)[1])
    for who, its in surplus:  # not under the lock: it may wait for one of its own
        known = who()
        if known is not None:
            known._let_go(its)


def _closed(memory: ref[mmap.mmap]) -> None:
    _kept.pop(memory, None)


def _forked() -> None:
    """The lock may have been held at the fork; what the parent keeps is the parent's (`handle.py`)."""
    global _kept, _lock
    _kept, _lock = OrderedDict(), threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


def memory_of(array: Any) -> mmap.mmap | None:
    """The map that an array lies in, None if it lies in none."""
    while isinstance(array, np.ndarray):
        array = array.base
    return array if isinstance(array, mmap.mmap) else None


class MappedArray:
    """An array in a mapped file, by its place there.

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
        """The description of an array, None if it is not one in a mapped file that others see too."""
        memory, root = memory_of(array), array
        while isinstance(root.base, np.ndarray):
            root = root.base
        if memory is None or not isinstance(root, np.memmap) or root.filename is None or root.mode == "c":
            return None
        # np.memmap maps from a border of pages on
        skipped = root.offset - root.offset % mmap.ALLOCATIONGRANULARITY
        offset = skipped + _address(array) - _begin(memory)
        return cls(os.fspath(root.filename), array.dtype, array.shape, array.strides, offset)

    def open(self) -> NDArray[Any]:
        """Map it."""
        try:
            whole = np.memmap(self.path, np.uint8, "r")
            array: NDArray[Any] = np.ndarray(self.shape, self.dtype, whole, self.offset, self.strides)
        except (ValueError, TypeError):
            told = f"expected {self.dtype} of shape {self.shape} from byte {self.offset} on"
            raise DataError(f"{self.path!r} is truncated, {told}") from None
        return array


def _address(array: NDArray[Any]) -> int:
    return int(array.__array_interface__["data"][0])


def _begin(memory: mmap.mmap) -> int:
    return _address(np.frombuffer(memory, np.uint8))


#: A stretch of a map, from one byte to before another.
Stretch = tuple[mmap.mmap, int, int]


class Ahead:
    """Asks the system for parts of maps before they are read, as long as that makes it read the disk.

    Where they are in memory already, asking costs half as much as copying them.  So after a call that has moved nothing
    the next one is left out, then the next three, and so on up to 15; a page that had to be waited for ends that.
    """

    def __init__(self) -> None:
        self._left_out = self._pause = 0
        self._waited = -1

    def ask(self, stretches: Callable[[], Iterable[Stretch]]) -> None:
        """What `stretches` gives will be read soon; it is called only if the system is asked."""
        waited, moved = _disk_work()
        if self._left_out < self._pause and waited == self._waited:
            self._left_out += 1
            return
        for memory, first, end in stretches():
            border = first - first % mmap.PAGESIZE
            memory.madvise(mmap.MADV_WILLNEED, border, end - border)
        self._waited, moved_now = _disk_work()
        in_memory = moved_now == moved and waited == self._waited
        self._left_out, self._pause = 0, min(2 * self._pause + 1, 15) if in_memory else 0


def stretches_of(array: NDArray[Any], indices: NDArray[np.intp]) -> Iterator[Stretch]:
    """Where these rows of an array lie in its map, neighbours joined; nothing if it is not mapped row by row."""
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
    """How often this thread has waited for a page, and how much it has made the system read."""
    if not _CAN_COUNT:
        return 0, -next(_never_twice)
    used = resource.getrusage(resource.RUSAGE_THREAD)
    return used.ru_majflt, used.ru_inblock
