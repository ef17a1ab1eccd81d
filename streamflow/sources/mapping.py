"""Memory maps: how they are described, and how the system is asked to read them early.

A cold map is read page by page, each fault waiting for the disk; one that is asked for beforehand is read at once.
"""

from __future__ import annotations

import mmap
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["MappedArray", "advise"]

_CAN_ADVISE = hasattr(mmap, "MADV_WILLNEED")


class MappedArray:
    """An array in a mapped file, by its place there.

    Parameters
    ----------
    path : str
    dtype : numpy.dtype
    shape, strides : tuple of int
    offset : int
        Of the first element, in bytes.
    memory : mmap, optional
        The map that the array lies in, where it is open.
    """

    def __init__(
        self,
        path: str,
        dtype: np.dtype[Any],
        shape: tuple[int, ...],
        strides: tuple[int, ...],
        offset: int,
        memory: mmap.mmap | None = None,
    ) -> None:
        self.path, self.dtype, self.shape, self.strides, self.offset = path, dtype, shape, strides, offset
        self.memory = memory

    @classmethod
    def of(cls, array: NDArray[Any]) -> MappedArray | None:
        """The description of an array, None if it is not one in a mapped file that others see too."""
        root: Any = array
        while isinstance(root, np.ndarray):
            base, named = root.base, root
            if isinstance(base, mmap.mmap):
                break
            root = base
        else:
            return None
        filename = getattr(named, "filename", None)
        if filename is None or getattr(named, "mode", "c") == "c" or array.dtype.hasobject:
            return None
        begin = np.frombuffer(base, np.uint8).__array_interface__["data"][0]
        # np.memmap maps from a border of pages on
        skipped = named.offset - named.offset % mmap.ALLOCATIONGRANULARITY
        offset = skipped + array.__array_interface__["data"][0] - begin
        return cls(os.fspath(filename), array.dtype, array.shape, array.strides, offset, base)

    def open(self) -> NDArray[Any]:
        """Map it."""
        whole = np.memmap(self.path, np.uint8, "r")
        array: NDArray[Any] = np.ndarray(self.shape, self.dtype, whole, self.offset, self.strides)
        return array

    def __getstate__(self) -> Any:
        return self.path, self.dtype, self.shape, self.strides, self.offset

    def __setstate__(self, state: Any) -> None:
        self.__init__(*state)  # type: ignore[misc]


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
    begin = np.frombuffer(memory, np.uint8).__array_interface__["data"][0]
    ends = array.__array_interface__["data"][0] - begin + np.sort(indices) * array.strides[0] + length
    firsts = (ends - length) // mmap.PAGESIZE * mmap.PAGESIZE
    apart = np.flatnonzero(firsts[1:] > ends[:-1]) + 1
    for first, end in zip(firsts[[0, *apart]].tolist(), ends[[*(apart - 1), -1]].tolist(), strict=True):
        memory.madvise(mmap.MADV_WILLNEED, first, end - first)
