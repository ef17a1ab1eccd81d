"""The files of a memmap store: files of arrays, and an index that lists them.

::

    index.json          what the store holds; a store without it is not finished
    journal.jsonl       while it is written: what will be in the index (see `journal`)
    arrays/3f2a90c1/    what one session has written: a .npy file for each entry, or shards

A shard is a sequence of .npy files in one file; the headers are padded so that the data of each begin at a multiple of
64 bytes.  The index is JSON with a line for each entry.  It is replaced as a whole, so readers see the old store or the
new one, never a mixture; reading it runs no code.
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

from ...core.validate import is_integer
from ...exceptions import DataError
from ..metadata import checked_strings
from ..stores import check_folder

__all__ = [
    "ARRAYS",
    "DAMAGED",
    "INDEX",
    "JOURNAL",
    "NEW_INDEX",
    "Entry",
    "Index",
    "naming",
    "npy_header",
    "read_index",
    "sync",
    "write_index",
]

INDEX, NEW_INDEX, JOURNAL, ARRAYS = "index.json", "index.json.new", "journal.jsonl", "arrays"
#: What reading a damaged document may raise.
DAMAGED = (ValueError, LookupError, TypeError, AttributeError, SyntaxError, RecursionError, MemoryError)
_FORMAT = "streamflow memmap store"
_VERSION = 1
_ALIGNMENT = 64


@dataclass(frozen=True, slots=True)
class Entry:
    """Where an array lies, and what is known about it.

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
        Whether the array is in Fortran order.
    metadata : dict
        As the user gave them.
    stamp : tuple of int, optional
        Size and modification time of the file that it was built from.
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
        """Where the data end in the file."""
        return self.begin + self.nbytes

    @property
    def nbytes(self) -> int:
        """How many bytes the data have."""
        return self.dtype.itemsize * math.prod(self.shape)

    def to_json(self) -> dict[str, Any]:
        """The entry as the index and the journal hold it."""
        document: dict[str, Any] = {"name": self.name, "file": self.file, "offset": self.offset, "header": self.header}
        document.update(dtype=_dtype_to_text(self.dtype), shape=list(self.shape))
        if self.fortran:
            document["fortran"] = True
        if self.metadata:
            document["metadata"] = self.metadata
        if self.stamp is not None:
            document["stamp"] = list(self.stamp)
        return document

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Entry:
        """The entry that `to_json` gave; raises one of `DAMAGED` for anything else."""
        name, file, shape = document["name"], document["file"], tuple(document["shape"])
        metadata, stamp = document.get("metadata", {}), document.get("stamp")
        if file[0] == "/" or ".." in file.split("/") or not isinstance(name, str) or not isinstance(metadata, dict):
            raise ValueError(f"entry {name!r} is malformed")
        offset, header = document["offset"], document["header"]
        if not all(type(number) is int and number >= 0 for number in (offset, header, *shape)):
            raise ValueError(f"entry {name!r} has an offset, header or shape that is negative or not an integer")
        fortran = document.get("fortran", False) is True
        stamp = None if stamp is None else tuple(stamp)
        return cls(name, file, offset, header, _dtype_from_text(document["dtype"]), shape, fortran, metadata, stamp)


@dataclass(frozen=True)
class Index:
    """What a store holds.

    Attributes
    ----------
    entries : list of Entry
    metadata : dict of str
        The store's.
    build : dict, optional
        How it was built from a folder of files.
    written : str
        The token of the session that wrote it.
    """

    entries: list[Entry]
    metadata: dict[str, str]
    build: dict[str, Any] | None
    written: str

    @cached_property
    def digest(self) -> str:
        """A digest of the names, dtypes and shapes."""
        return _hashed([entry.name, _dtype_to_text(entry.dtype), entry.shape] for entry in self.entries)

    @cached_property
    def places(self) -> str:
        """A digest of where the arrays lie: each session has its own folder, so this identifies their data too."""
        return _hashed([entry.file, entry.offset] for entry in self.entries)


def _hashed(parts: Iterable[Any]) -> str:
    hashed = hashlib.blake2b(digest_size=8)
    for part in parts:
        hashed.update(json.dumps(part).encode())
    return hashed.hexdigest()


def _dtype_to_text(dtype: np.dtype[Any]) -> str:
    """A dtype as the header of a .npy file describes it."""
    described = dtype_to_descr(dtype)
    return described if isinstance(described, str) else repr(described)


@cache
def _dtype_from_text(text: str) -> np.dtype[Any]:
    """The dtype that `_dtype_to_text` gave."""
    dtype: np.dtype[Any] = descr_to_dtype(ast.literal_eval(text) if text.startswith("[") else text)  # type: ignore[arg-type]
    if dtype.hasobject:
        raise ValueError("an entry holds Python objects")
    return dtype


def npy_header(dtype: np.dtype[Any], shape: tuple[int, ...], fortran: bool, offset: int = 0) -> bytes:
    """The header of a ``.npy`` file that begins at `offset`, padded so that the data are aligned in the file.

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


def read_index(store: str) -> Index:
    """Read the index of a store; DataError where there is none."""
    path = Path(store, INDEX)
    try:
        return _index_from_json(json.loads(path.read_bytes()), path)
    except OSError as error:
        raise _no_index(store, error) from None
    except DAMAGED as error:
        why = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise DataError(f"{str(path)!r} is damaged ({why}), expected the index of a memmap store") from None


def _index_from_json(document: Any, path: Path) -> Index:
    """The index in a document; raises one of `DAMAGED` where there is none."""
    if not isinstance(document, dict) or document.get("format") != _FORMAT:
        raise ValueError("it is another kind of file")
    version = document["version"]
    if is_integer(version) and version > _VERSION:
        raise DataError(
            f"{str(path)!r} has format {version}, written by a newer streamflow; this one reads up to {_VERSION}"
        )
    entries, metadata, build = document["entries"], checked_strings(document["metadata"]), document["build"]
    if build is not None:
        checked_strings({name: skipped["error"] for name, skipped in build["skipped"].items()})
    return Index([Entry.from_json(entry) for entry in entries], metadata, build, document["written"])


def _no_index(store: str, error: OSError) -> DataError:
    """The reason why there is no index to read."""
    try:
        check_folder(store, "a memmap store")
    except DataError as missing:
        return missing
    folder = Path(store)
    if not isinstance(error, FileNotFoundError):
        why = (error.strerror or "").lower()
        return DataError(f"{str(folder / INDEX)!r} cannot be read ({why}), expected the index of a memmap store")
    if (folder / JOURNAL).exists():
        return DataError(
            f"{store!r} is not finished: it is being written, or writing was interrupted; the same call resumes it"
        )
    return DataError(f"{store!r} holds no memmap store: it has no {INDEX!r}")


def write_index(store: Path, index: Index) -> None:
    """Replace the index of a store, all at once."""
    head = {"format": _FORMAT, "version": _VERSION, "written": index.written}
    lines = [f" {json.dumps(key)}: {json.dumps(value)}," for key, value in head.items()]
    lines += [f' "metadata": {json.dumps(index.metadata)},', f' "build": {json.dumps(index.build)},', ' "entries": [']
    entries = ",\n".join([f"  {json.dumps(entry.to_json())}" for entry in index.entries])
    text = "\n".join(["{", *lines, entries, " ]", "}", ""])
    with naming(store / NEW_INDEX), (store / NEW_INDEX).open("w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    (store / NEW_INDEX).replace(store / INDEX)
    sync([store])


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Add the name of the file to errors of the system that lack it."""
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
