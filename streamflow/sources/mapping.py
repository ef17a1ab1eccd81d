"""Memory maps: how they are described, and how the system is asked to read them early.

A cold map is read page by page, each fault waiting for the disk; one that is asked for beforehand is read at once.
"""

from __future__ import annotations

import mmap
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["MappedArray", "advise", "memory_of"]

_CAN_ADVISE = hasattr(mmap, "MADV_WILLNEED")


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
        whole = np.memmap(self.path, np.uint8, "r")
        array: NDArray[Any] = np.ndarray(self.shape, self.dtype, whole, self.offset, self.strides)
        return array


def _address(array: NDArray[Any]) -> int:
    return int(array.__array_interface__["data"][0])


def _begin(memory: mmap.mmap) -> int:
    return _address(np.frombuffer(memory, np.uint8))


def advise(array: NDArray[Any], memory: mmap.mmap | None, indices: NDArray[np.intp]) -> None:
    """Ask the system to read these rows of a mapped array.

    Parameters
    ----------
    array : (n, ...) array
        Rows that are not contiguous are left alone.
    memory : mmap
        The map that it lies in.
    indices : array of int
    """
    if memory is None or not _CAN_ADVISE or not array.size or not indices.size:
        return
    length = array.itemsize * int(np.prod(array.shape[1:]))
    if not array[:1].flags.c_contiguous:
        return
    ends = _address(array) - _begin(memory) + np.sort(indices) * array.strides[0] + length
    firsts = (ends - length) // mmap.PAGESIZE * mmap.PAGESIZE
    apart = np.flatnonzero(firsts[1:] > ends[:-1]) + 1
    for first, end in zip(firsts[[0, *apart]].tolist(), ends[[*(apart - 1), -1]].tolist(), strict=True):
        memory.madvise(mmap.MADV_WILLNEED, first, end - first)
