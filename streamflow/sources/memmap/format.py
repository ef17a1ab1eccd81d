"""What a memmap store is on the disk: files of arrays, and an index that lists them.

::

    index.json          what the store holds; a store without it is not finished
    journal.jsonl       while it is written: what will be in the index (`memmap_session.py`)
    arrays/3f2a90c1/    what one writing has written: a real .npy file for each entry, or shards

A shard is .npy files one behind the other; the headers are filled up so that the data of each begins at a multiple of
64 bytes.  The index is JSON with a line for each entry.  It is replaced as a whole, so a store is always the old one
or the new one; reading it runs no code.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import json
import math
import os
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import descr_to_dtype, dtype_to_descr

from ...core.validate import is_integer, require
from ...exceptions import DataError

__all__ = [
    "ARRAYS",
    "DAMAGED",
    "INDEX",
    "JOURNAL",
    "NEW_INDEX",
    "Entry",
    "Index",
    "checked_path",
    "checked_texts",
    "naming",
    "npy_header",
    "read_index",
    "sync",
    "write_index",
]

INDEX, NEW_INDEX, JOURNAL, ARRAYS = "index.json", "index.json.new", "journal.jsonl", "arrays"
#: What comes of a document that is another than it should be.
DAMAGED = (ValueError, LookupError, TypeError, AttributeError, SyntaxError, RecursionError, MemoryError)
_FORMAT = "streamflow memmap store"
_VERSION = 1
_ALIGNMENT = 64


@dataclass(frozen=True, slots=True)
class Entry:
    """Where an array is, and what is known about it.

    Attributes
    ----------
    name : str
    file : str
        Below the store, parts joined by ``/``.
    offset, header : int
        Where its ``.npy`` file begins in the file, and how long the header of that is.
    dtype : numpy.dtype
    shape : tuple of int
    fortran : bool
        Whether the first index runs fastest.
    metadata : dict
        The user's.
    stamp : tuple of int, optional
        Size and time of the file that it was built from.
    """

    name: str
    file: str
    offset: int
    header: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    fortran: bool
    metadata: dict[str, Any]
    stamp: tuple[int, ...] | None = None

    @property
    def begin(self) -> int:
        """Where the data begin in the file."""
        return self.offset + self.header

    @property
    def end(self) -> int:
        """Where they end."""
        return self.begin + self.dtype.itemsize * math.prod(self.shape)

    def told(self) -> dict[str, Any]:
        """It for JSON."""
        told: dict[str, Any] = {"name": self.name, "file": self.file, "offset": self.offset, "header": self.header}
        told.update(dtype=_dtype_told(self.dtype), shape=list(self.shape))
        if self.fortran:
            told["fortran"] = True
        if self.metadata:
            told["metadata"] = self.metadata
        if self.stamp is not None:
            told["stamp"] = list(self.stamp)
        return told

    @classmethod
    def of(cls, told: dict[str, Any]) -> Entry:
        """The entry that `told` gave; one of `DAMAGED` if it is none."""
        name, file, shape = told["name"], told["file"], tuple(told["shape"])
        metadata, stamp = told.get("metadata", {}), told.get("stamp")
        if file[0] == "/" or ".." in file.split("/") or not isinstance(name, str) or not isinstance(metadata, dict):
            raise ValueError(f"the entry {name!r} is none")
        if not all(type(number) is int and number >= 0 for number in (told["offset"], told["header"], *shape)):
            raise ValueError(f"the entry {name!r} has numbers that are none")
        fortran = told.get("fortran", False) is True
        stamp = None if stamp is None else tuple(stamp)
        return cls(name, file, told["offset"], told["header"], _dtype(told["dtype"]), shape, fortran, metadata, stamp)


@dataclass(frozen=True)
class Index:
    """What a store holds.

    Attributes
    ----------
    entries : list of Entry
    metadata : dict of str
        The store's.
    build : dict, optional
        How it was built from a folder.
    written : str
        Which writing has made it.
    """

    entries: list[Entry]
    metadata: dict[str, str]
    build: dict[str, Any] | None
    written: str

    @cached_property
    def digest(self) -> str:
        """Of the names, dtypes and shapes."""
        return _hashed([entry.name, _dtype_told(entry.dtype), entry.shape] for entry in self.entries)

    @cached_property
    def places(self) -> str:
        """A digest of where the arrays are: each writing has a folder of its own, so it tells their data too."""
        return _hashed([entry.file, entry.offset] for entry in self.entries)


def _hashed(parts: Iterable[Any]) -> str:
    hashed = hashlib.blake2b(digest_size=8)
    for part in parts:
        hashed.update(json.dumps(part).encode())
    return hashed.hexdigest()


def _dtype_told(dtype: np.dtype[Any]) -> str:
    """A dtype as a .npy file tells it."""
    told = dtype_to_descr(dtype)
    return told if isinstance(told, str) else repr(told)


@cache
def _dtype(told: str) -> np.dtype[Any]:
    """The dtype that `_dtype_told` gave."""
    dtype: np.dtype[Any] = descr_to_dtype(ast.literal_eval(told) if told.startswith("[") else told)  # type: ignore[arg-type]
    if dtype.hasobject:
        raise ValueError("an entry holds Python objects")
    return dtype


def npy_header(dtype: np.dtype[Any], shape: tuple[int, ...], fortran: bool, offset: int = 0) -> bytes:
    """The header of a ``.npy`` file that begins at `offset`, filled up so that the data are aligned in the file.

    >>> len(npy_header(np.dtype("f4"), (2, 3), False)), 100 + len(npy_header(np.dtype("f4"), (2, 3), False, 100))
    (128, 192)
    """
    text = repr({"descr": dtype_to_descr(dtype), "fortran_order": fortran, "shape": shape})
    version, length, encoded = 1, "<H", text.encode("latin1", "replace")
    if not text.isascii() or len(text) > 0xFFFF - _ALIGNMENT:
        version, length, encoded = 3, "<I", text.encode()
    before = 8 + struct.calcsize(length) + len(encoded) + 1
    encoded += b" " * (-(offset + before) % _ALIGNMENT) + b"\n"
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack(length, len(encoded)) + encoded


def checked_path(path: Any, name: str) -> str:
    """A path as it is from anywhere: the process may go to another folder, and others begin there."""
    ok = isinstance(path, (str, os.PathLike)) and "\0" not in os.fsdecode(path)
    require(ok, name, "a path", path)
    return str(Path(os.fsdecode(path)).absolute())


def read_index(store: str) -> Index:
    """Read the index of a store; DataError where there is none."""
    path = Path(store, INDEX)
    try:
        return _index_of(json.loads(path.read_bytes()), path)
    except OSError as error:
        raise _no_store(store, error) from None
    except DAMAGED as error:
        told = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise DataError(f"{str(path)!r} is damaged ({told}), expected the index of a memmap store") from None


def _index_of(document: Any, path: Path) -> Index:
    """The index that a document is; one of `DAMAGED` if it is none."""
    if not isinstance(document, dict) or document.get("format") != _FORMAT:
        raise ValueError("it is another kind of file")
    version = document["version"]
    if is_integer(version) and version > _VERSION:
        raise DataError(
            f"{str(path)!r} has version {version}, expected at most {_VERSION}: a newer streamflow has written it"
        )
    entries, metadata, build = document["entries"], checked_texts(document["metadata"]), document["build"]
    if build is not None:
        checked_texts({name: told["error"] for name, told in build["skipped"].items()})
    return Index([Entry.of(told) for told in entries], metadata, build, document["written"])


def checked_texts(metadata: Any) -> dict[str, str]:
    """The metadata of a store; one of `DAMAGED` if they are not text by text."""
    if not all(isinstance(text, str) for item in metadata.items() for text in item):
        raise ValueError("its metadata are not text")
    texts: dict[str, str] = metadata
    return texts


def _no_store(store: str, error: OSError) -> DataError:
    """Why there is no index."""
    folder = Path(store)
    if not folder.exists():
        return DataError(f"{store!r} does not exist, expected the folder of a memmap store")
    if not folder.is_dir():
        return DataError(f"{store!r} is a file, expected the folder of a memmap store")
    if not isinstance(error, FileNotFoundError):
        told = (error.strerror or "").lower()
        return DataError(f"{str(folder / INDEX)!r} cannot be read ({told}), expected the index of a memmap store")
    if (folder / JOURNAL).exists():
        return DataError(
            f"{store!r} is not finished, expected {INDEX!r} in it: it is being written, or the writing was interrupted "
            "and goes on when the same call is made again"
        )
    return DataError(f"{store!r} holds no memmap store, expected {INDEX!r} in it")


def write_index(store: Path, index: Index) -> None:
    """Put an index in the place of the one that is there, whole or not at all."""
    head = {"format": _FORMAT, "version": _VERSION, "written": index.written}
    lines = [f" {json.dumps(key)}: {json.dumps(value)}," for key, value in head.items()]
    lines += [f' "metadata": {json.dumps(index.metadata)},', f' "build": {json.dumps(index.build)},', ' "entries": [']
    entries = ",\n".join([f"  {json.dumps(entry.told())}" for entry in index.entries])
    text = "\n".join(["{", *lines, entries, " ]", "}", ""])
    with naming(store / NEW_INDEX), (store / NEW_INDEX).open("w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    (store / NEW_INDEX).replace(store / INDEX)
    sync([store])


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Errors of the system say which file they are about."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


def sync(paths: Iterable[Path]) -> None:
    """Wait until these files and folders are on the disk."""
    for path in paths:
        if path.is_dir() and os.name == "nt":
            continue
        descriptor = os.open(path, os.O_RDONLY)
        try:
            with naming(path):
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
