"""Files that NumPy has written, mapped: the arrays in them without reading them."""

from __future__ import annotations

import ast
import math
import mmap
import re
import struct
import zipfile
from collections.abc import Callable
from functools import partial
from io import FileIO
from typing import Any

import numpy as np
from numpy.lib.format import descr_to_dtype
from numpy.typing import NDArray

from ...exceptions import DataError

__all__ = ["NpyFile", "NpzFile", "array_at", "damaged", "mapped"]

_MAGIC = b"\x93NUMPY"
_LONGEST_HEADER = 1 << 20
#: Of a member of an archive: signature, lengths of its name and of its extra field.
_LOCAL_HEADER = struct.Struct("<4s22xHH")


class NpyFile:
    """A ``.npy`` file, mapped."""

    def __init__(self, path: str, allow_pickle: bool) -> None:
        self.path, self._allow_pickle = path, allow_pickle
        self.memory = mapped(path)

    def array(self, name: str | None = None) -> NDArray[Any]:
        """The array."""
        load = partial(np.load, self.path, allow_pickle=True) if self._allow_pickle else None
        return array_at(self.memory, 0, len(self.memory), repr(self.path), load)


class NpzFile:
    """An archive of ``.npy`` files, stored without compression, mapped."""

    def __init__(self, path: str, allow_pickle: bool) -> None:
        self.path, self._allow_pickle = path, allow_pickle
        self.memory = mapped(path)
        try:
            with zipfile.ZipFile(path) as archive:
                self._members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
            raise DataError(f"{path!r} is no archive of arrays or is damaged: {error}") from None

    def names(self) -> list[str]:
        """The names of its members."""
        return list(self._members)

    def array(self, name: str | None = None) -> NDArray[Any]:
        """The array of a member; None: of the only one."""
        if name is None and len(self._members) == 1:
            (name,) = self._members
        if name not in self._members:
            told = "one member" if name is None else f"a member {name!r}"
            raise DataError(f"{self.path!r} must have {told}, it has {', '.join(map(repr, self._members)) or 'none'}")
        info, told = self._members[name], f"{name!r} of {self.path!r}"
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
            raise DataError(
                f"{told} is compressed, expected an array stored as it is (numpy.savez, not savez_compressed)"
            )
        header = self.memory[info.header_offset : info.header_offset + _LOCAL_HEADER.size]
        if len(header) < _LOCAL_HEADER.size or not header.startswith(b"PK\3\4"):
            raise DataError(f"{told}: the archive is damaged, expected the member at byte {info.header_offset}")
        _, name_length, extra_length = _LOCAL_HEADER.unpack(header)
        begin = info.header_offset + _LOCAL_HEADER.size + name_length + extra_length
        load = partial(_member, self.path, name) if self._allow_pickle else None
        return array_at(self.memory, begin, begin + info.file_size, told, load)


def _member(path: str, name: str) -> NDArray[Any]:
    with np.load(path, allow_pickle=True) as archive:
        loaded: NDArray[Any] = archive[name]
    return loaded


def mapped(path: str) -> mmap.mmap:
    """The whole of a file."""
    try:
        with FileIO(path) as file:  # a tenth of what Path.open costs
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except ValueError:  # an empty file cannot be mapped
        raise DataError(f"{path!r} is empty, expected an array that NumPy has written") from None
    except OSError as error:
        told = (error.strerror or "").lower()
        raise DataError(f"{path!r} cannot be read ({told}), expected a file that NumPy has written") from None


def array_at(
    memory: mmap.mmap, begin: int, end: int, told: str, load: Callable[[], NDArray[Any]] | None
) -> NDArray[Any]:
    """The array whose ``.npy`` file lies from `begin` to `end`; `load` gives objects, None: they may not be read."""
    try:
        dtype, fortran_order, shape, length = _header(memory[begin : begin + 12], memory, begin)
    except Exception as error:  # noqa: BLE001  (there is nothing that odd text may not raise)
        raise damaged(told, error) from None
    if dtype.hasobject:
        if load is None:
            raise DataError(
                f"{told} holds Python objects, which only allow_pickle=True reads (it runs code in the file)"
            )
        try:
            return load()
        except Exception as error:
            why = " ".join(f"{type(error).__name__}: {error}".split())
            raise DataError(f"{told} cannot be unpickled ({why}), expected objects that are known here") from error
    expected = length + dtype.itemsize * math.prod(shape)
    if begin + expected > min(end, len(memory)):
        there = min(end, len(memory)) - begin
        raise DataError(f"{told} is truncated: expected {expected} bytes for {dtype} of shape {shape}, got {there}")
    try:
        return np.ndarray(shape, dtype, memory, begin + length, order="F" if fortran_order else "C")
    except (ValueError, OverflowError) as error:  # of no elements, but with more axes or longer ones than there can be
        raise damaged(told, error) from None


def damaged(told: str, error: Exception) -> DataError:
    """The error of a file that says what an array cannot be."""
    why = " ".join(str(error).split()) or type(error).__name__
    return DataError(f"{told} is no .npy file or is damaged ({why}), expected an array that NumPy has written")


def _header(start: bytes, memory: mmap.mmap, begin: int) -> tuple[np.dtype[Any], bool, tuple[int, ...], int]:
    """What the header of a ``.npy`` file says, and how many bytes come before the data; see `numpy.lib.format`."""
    if not start.startswith(_MAGIC):
        raise ValueError("it does not begin as one")
    major = start[6]
    if major not in {1, 2, 3}:
        raise ValueError(f"it has version {major}")
    first = 10 if major == 1 else 12
    (length,) = struct.unpack("<H" if major == 1 else "<I", start[8:first])
    if length > _LONGEST_HEADER:
        raise ValueError(f"its header is {length} bytes long")
    text = memory[begin + first : begin + first + length].decode("utf-8" if major == 3 else "latin1")
    try:
        described = ast.literal_eval(text.strip())
    except SyntaxError:  # Python 2 wrote long integers so
        described = ast.literal_eval(re.sub(r"(?<=\d)L(?=[,)])", "", text.strip()))
    if not isinstance(described, dict) or described.keys() != {"descr", "fortran_order", "shape"}:
        raise ValueError("its header has other keys")
    shape, fortran_order = described["shape"], described["fortran_order"]
    if not isinstance(shape, tuple) or not all(type(size) is int and size >= 0 for size in shape):
        raise ValueError(f"its shape is {shape!r:.80}")
    if fortran_order not in (True, False):
        raise ValueError(f"its fortran_order is {fortran_order!r:.80}")
    return descr_to_dtype(described["descr"]), bool(fortran_order), shape, first + length
