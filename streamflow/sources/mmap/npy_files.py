"""Memory-mapped ``.npy`` and ``.npz`` files: their arrays, without reading them."""

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

__all__ = ["NpyFile", "NpzFile", "array_at", "damaged", "map_file"]

_MAGIC = b"\x93NUMPY"
_LONGEST_HEADER = 1 << 20
#: The header of a member of an archive: signature, lengths of its name and of its extra field.
_LOCAL_HEADER = struct.Struct("<4s22xHH")


class NpyFile:
    """A ``.npy`` file, mapped."""

    def __init__(self, path: str, allow_pickle: bool) -> None:
        self.path, self._allow_pickle = path, allow_pickle
        self.memory = map_file(path)

    def array(self, name: str | None = None) -> NDArray[Any]:
        """The array."""
        load = partial(np.load, self.path, allow_pickle=True) if self._allow_pickle else None
        return array_at(self.memory, 0, len(self.memory), repr(self.path), load)


class NpzFile:
    """An archive of ``.npy`` files, stored without compression, mapped."""

    def __init__(self, path: str, allow_pickle: bool) -> None:
        self.path, self._allow_pickle = path, allow_pickle
        self.memory = map_file(path)
        try:
            with zipfile.ZipFile(path) as archive:
                self._members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
            raise DataError(f"{path!r} is not an archive of arrays or is damaged: {error}") from None

    def names(self) -> list[str]:
        """The names of its members."""
        return list(self._members)

    def array(self, name: str | None = None) -> NDArray[Any]:
        """The array of a member; None: of the only member."""
        if name is None and len(self._members) == 1:
            (name,) = self._members
        if name not in self._members:
            wanted = "one member" if name is None else f"a member {name!r}"
            raise DataError(f"{self.path!r} must have {wanted}, got {', '.join(map(repr, self._members)) or 'none'}")
        info, label = self._members[name], f"{name!r} of {self.path!r}"
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
            raise DataError(
                f"{label} is compressed, so it cannot be mapped; write it with numpy.savez instead of savez_compressed"
            )
        header = self.memory[info.header_offset : info.header_offset + _LOCAL_HEADER.size]
        if len(header) < _LOCAL_HEADER.size or not header.startswith(b"PK\3\4"):
            raise DataError(f"{label}: the archive is damaged, there is no member at byte {info.header_offset}")
        _, name_length, extra_length = _LOCAL_HEADER.unpack(header)
        begin = info.header_offset + _LOCAL_HEADER.size + name_length + extra_length
        load = partial(_member, self.path, name) if self._allow_pickle else None
        return array_at(self.memory, begin, begin + info.file_size, label, load)


def _member(path: str, name: str) -> NDArray[Any]:
    with np.load(path, allow_pickle=True) as archive:
        loaded: NDArray[Any] = archive[name]
    return loaded


def map_file(path: str) -> mmap.mmap:
    """Map a whole file."""
    try:
        with FileIO(path) as file:  # ten times faster than Path.open
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except ValueError:  # an empty file cannot be mapped
        raise DataError(f"{path!r} is empty, not a file written by NumPy") from None
    except OSError as error:
        raise DataError(f"{path!r} cannot be read: {(error.strerror or str(error)).lower()}") from None


def array_at(
    memory: mmap.mmap, begin: int, end: int, label: str, load: Callable[[], NDArray[Any]] | None
) -> NDArray[Any]:
    """The array of the ``.npy`` file from `begin` to `end`; `load` reads objects (None: they are refused)."""
    try:
        dtype, fortran_order, shape, length = _header(memory[begin : begin + 12], memory, begin)
    except Exception as error:  # noqa: BLE001  (a damaged header may raise anything)
        raise damaged(label, error) from None
    if dtype.hasobject:
        if load is None:
            raise DataError(
                f"{label} holds Python objects; NpySource with allow_pickle=True reads them, which can run code"
            )
        try:
            return load()
        except Exception as error:
            why = " ".join(f"{type(error).__name__}: {error}".split())
            raise DataError(f"{label} holds Python objects that cannot be unpickled here: {why}") from error
    expected = length + dtype.itemsize * math.prod(shape)
    if begin + expected > min(end, len(memory)):
        there = min(end, len(memory)) - begin
        raise DataError(f"{label} is truncated: {dtype} of shape {shape} takes {expected} bytes, got {there}")
    try:
        return np.ndarray(shape, dtype, memory, begin + length, order="F" if fortran_order else "C")
    except (ValueError, OverflowError) as error:  # no elements, but too many axes or too long ones
        raise damaged(label, error) from None


def damaged(label: str, error: Exception) -> DataError:
    """The error for a file with an invalid header."""
    why = " ".join(str(error).split()) or type(error).__name__
    return DataError(f"{label} is not a .npy file or is damaged: {why}")


def _header(start: bytes, memory: mmap.mmap, begin: int) -> tuple[np.dtype[Any], bool, tuple[int, ...], int]:
    """What the header of a ``.npy`` file says, and the offset of the data; see `numpy.lib.format`."""
    if not start.startswith(_MAGIC):
        raise ValueError("it has no .npy signature")
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
    except SyntaxError:  # Python 2 wrote long integers with an L
        described = ast.literal_eval(re.sub(r"(?<=\d)L(?=[,)])", "", text.strip()))
    if not isinstance(described, dict) or described.keys() != {"descr", "fortran_order", "shape"}:
        raise ValueError("its header has unexpected keys")
    shape, fortran_order = described["shape"], described["fortran_order"]
    if not isinstance(shape, tuple) or not all(type(size) is int and size >= 0 for size in shape):
        raise ValueError(f"its shape is {shape!r:.80}")
    if fortran_order not in (True, False):
        raise ValueError(f"its fortran_order is {fortran_order!r:.80}")
    return descr_to_dtype(described["descr"]), bool(fortran_order), shape, first + length
