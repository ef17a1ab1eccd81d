"""`ArrayWriter`: the files in which the arrays of a memmap store lie."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib.format import descr_to_dtype, dtype_to_descr
from numpy.typing import NDArray

from ...core.label import short
from ...exceptions import DataError
from .format import Entry, naming, npy_header, sync

__all__ = ["ArrayWriter", "checked_array"]


class ArrayWriter:
    """Writes arrays one after another, a ``.npy`` file for each or many in a shard.

    Parameters
    ----------
    store : Path
    folder : str
        Where to write, below the store.
    prefix : str
        What the names of the files begin with.
    shard_bytes : int or None
        As for `MemmapWriter`.
    """

    def __init__(self, store: Path, folder: str, prefix: str, shard_bytes: int | None) -> None:
        self._store, self._prefix, self._shard_bytes = store, f"{folder}/{prefix}", shard_bytes
        self._n_files = 0
        self._unsynced: set[Path] = set()
        self._open: BinaryIO | None = None
        self._file = ""

    def write(
        self, array: NDArray[Any], name: str, metadata: dict[str, Any], stamp: tuple[int, ...] | None = None
    ) -> Entry:
        """Write an array that `checked_array` gave; all of it is in the file when this returns."""
        file = self._open or self._next()
        offset = file.tell()
        fortran = array.flags.f_contiguous and not array.flags.c_contiguous
        header = npy_header(array.dtype, array.shape, fortran, offset)
        path = self._store / self._file
        try:
            self._unsynced.add(path)
            with naming(path):
                _write(file, memoryview(header))
                if array.nbytes:
                    flat = np.ascontiguousarray(array.T if fortran else array).reshape(-1)
                    _write(file, memoryview(flat.view(np.uint8).data))
            if self._shard_bytes is None or file.tell() >= self._shard_bytes:
                self._end()
        except BaseException:
            with contextlib.suppress(OSError):  # drop the incomplete array: the disk may be full
                os.truncate(path, offset)
            self._end()
            raise
        return Entry(name, self._file, offset, len(header), array.dtype, array.shape, fortran, metadata, stamp)

    def _next(self) -> BinaryIO:
        """Begin a file."""
        extension = "npy" if self._shard_bytes is None else "shard"
        self._file = f"{self._prefix}{self._n_files:06d}.{extension}"
        self._n_files += 1  # before it is opened: if that fails, the next file has another name
        self._open = (self._store / self._file).open("xb", buffering=0)
        return self._open

    def _end(self) -> None:
        """Close the current file."""
        file, self._open = self._open, None
        if file is not None:
            file.close()

    def sync(self) -> None:
        """Wait until all that was written is on the disk."""
        sync(self._unsynced)
        self._unsynced.clear()

    def close(self) -> None:
        """Close the current file, and wait until all is on the disk."""
        self._end()
        self.sync()


def _write(file: BinaryIO, data: memoryview) -> None:
    while data:
        data = data[file.write(data) :]


def checked_array(array: Any, label: str) -> NDArray[Any]:
    """The array to store; `label` is what errors call it."""
    if isinstance(array, (Mapping, np.ma.MaskedArray)):
        raise DataError(f"{label} is {short(array)}, expected one array without a mask")
    try:
        values = np.asarray(array)
    except (ValueError, TypeError) as error:
        raise DataError(f"{label} is {short(array)}, expected an array: {error}") from None
    if values.dtype.hasobject:
        raise DataError(f"{label} is {short(array)}, which holds Python objects; expected numbers, text or dates")
    if descr_to_dtype(dtype_to_descr(values.dtype)) != values.dtype:
        raise DataError(f"{label} has dtype {values.dtype}, expected one that a .npy file can hold")
    return values
