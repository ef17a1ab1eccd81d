"""`LMDBStore`: samples in an LMDB data base, read by any number of processes and threads."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from operator import index
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.label import short
from ...exceptions import DataError, ParameterError
from ..handle import Handle
from ..source import Source
from .codec import Layout
from .environment import ABOUT, EXPECTED, SAMPLES, Closed, Lease
from .pyxis import DATA_BASE, META_BASE, PyxisSamples

__all__ = ["FORMAT", "GENERATIONS", "METADATA", "STORE", "LMDBStore", "about", "layout_of", "numbered", "strings"]

#: The format that this version writes, and the latest that it reads.
FORMAT = 1
#: The entries about a store: what it holds, and the user's own strings.
STORE, METADATA = b"store", b"metadata"
REPLACED = "its samples are no longer those that were there, expected a store that is only appended to"
#: A key is 8 bytes, the most significant first: above these bits the generation, which tells the samples of a store
#: from those that they have replaced, and below it the number.
NUMBER_BITS = 40
GENERATIONS = 1 << 23
#: What is raised by taking apart what is damaged; not all, for the handler of a signal raises others.
_DAMAGED = (ValueError, TypeError, AttributeError, LookupError, ArithmeticError, SyntaxError, RecursionError)


class LMDBStore(Source):
    """The samples that `LMDBWriter` has written, or that ml-pyxis has.

    Parameters
    ----------
    path : path
        The folder of the store.

    Raises
    ------
    DataError
        If there is no store.  Nothing is created.

    Notes
    -----
    A store is as long as it was when this was made, here and in every process that it is sent to; to see samples that
    were added since, make another.  If the store has been replaced, reading raises a `DataError`.

    Of the keys that a stream does not read nothing is decoded.  A scalar is read as NumPy's scalar of its dtype, text
    as `str`.  What is read is a copy that may be changed.

    There may be any number of stores and writers in a process, of one path too; of many, those that were opened first
    are closed and open again by themselves.  None of LMDB crosses a fork.  A store in a folder that may not be written
    to is read without locks: nobody may write to it at that time.

    Examples
    --------
    >>> import tempfile
    >>> from streamflow.sources import LMDBWriter
    >>> folder = tempfile.mkdtemp()
    >>> with LMDBWriter(folder) as db:
    ...     db.extend({"X": np.arange(6).reshape(3, 2), "name": ["a", "b", "c"]})
    ...     db.metadata["made"] = "2026"
    >>> db = LMDBStore(folder)
    >>> db[-1], len(db), db.metadata["made"]
    ({'X': array([4, 5]), 'name': 'c'}, 3, '2026')
    >>> [batch.tolist() for batch in db.batches(2, keys="X")]
    [[[0, 1], [2, 3]], [[4, 5]]]
    """

    def __init__(self, path: Any) -> None:
        if not isinstance(path, (str, os.PathLike)):
            raise ParameterError(f"`path` must be the path of a folder, got {short(path)}")
        self._given, self._path = os.fsdecode(path), str(Path(os.fsdecode(path)).absolute())
        self._handle = Handle(Opened, self._path)
        opened = self._handle.get()
        self._length: int = opened.length
        self._generation: int = opened.generation
        self._keys: Any = None

    def __len__(self) -> int:
        return self._length

    def sample(self, index: int) -> Any:
        return self._read(Opened.one, index)

    def fetch(self, indices: NDArray[np.intp]) -> Any:
        return self._read(Opened.many, indices)

    def _read(self, how: Callable[..., Any], which: Any) -> Any:
        while True:
            opened = self._checked()
            try:
                return opened.environment.read(how, opened, which, self._keys)
            except Closed:  # by another thread
                continue
            except DataError as error:
                if str(error).startswith(repr(self._path)):
                    raise
                raise DataError(f"{self._path!r}: {error}") from None

    def _checked(self) -> Opened:
        """The store, open in this process, if it has the samples that it had."""
        opened = self._handle.get()
        if opened.generation != self._generation or opened.length < self._length:
            raise DataError(f"{self._path!r}: {REPLACED}")
        return opened

    def keys(self) -> tuple[Any, ...] | None:
        if self._keys is not None:
            return tuple(range(len(self._keys))) if isinstance(self._keys, tuple) else None
        if not self._length:
            return None
        known: tuple[Any, ...] | None = self._checked().decoder.keys()
        return super().keys() if known == () else known

    @property
    def metadata(self) -> Mapping[str, str]:
        """The strings that were written with the store, as they are now."""
        while True:
            try:
                opened = self._handle.get()
                return MappingProxyType(opened.environment.read(opened.metadata))
            except Closed:
                continue

    def _draws_random(self) -> bool:
        return False

    def close(self) -> None:
        self._handle.close()

    def _select(self, keys: Any) -> Source:
        if self._keys is not None:
            return super()._select(keys)
        chosen = copy.copy(self)
        chosen._keys = keys
        return chosen

    def _label(self) -> str:
        told = f"LMDBStore({self._given!r})"
        return told if self._keys is None else f"{told}.{self._keys!r}"


class Opened:
    """A store open in this process.

    Parameters
    ----------
    path : str
    """

    def __init__(self, path: str) -> None:
        self._path, self._lease = path, Lease(path)
        try:
            self.environment = self._lease.environment
            self.environment.read(self._look)
        except BaseException:
            self._lease.close()
            raise

    def _look(self, transaction: Any, bases: dict[bytes, Any]) -> None:
        self.decoder: Any = None
        if DATA_BASE in bases and META_BASE in bases:
            self.decoder = PyxisSamples(transaction, bases)
            self._base, self.length, self.generation = DATA_BASE, self.decoder.length, -1
            return
        known = about(transaction, bases, self._path)
        self._base, self.length, self.generation = SAMPLES, known["count"], known["generation"]
        self.decoder = layout_of(known, self._path)

    def one(self, index: int, keys: Any, transaction: Any, bases: dict[bytes, Any]) -> Any:
        """A sample, or what `keys` selects of it."""
        old = self.generation < 0
        key = b"%010d" % index if old else (self.generation << NUMBER_BITS | index).to_bytes(8, "big")
        record = transaction.get(key, None, bases[self._base])
        if record is None:
            raise DataError(REPLACED)
        return self.decoder.one(record, keys)

    def many(self, indices: NDArray[np.intp], keys: Any, transaction: Any, bases: dict[bytes, Any]) -> Any:
        """Many samples, in each place an array or a list of values."""
        if self.decoder is None:  # there are no samples
            return []
        old, get, base = self.generation < 0, transaction.get, bases[self._base]
        numbers = [b"%010d" % index for index in indices.tolist()] if old else numbered(self.generation, indices)
        records = [get(number, None, base) for number in numbers]
        if None in records:
            raise DataError(REPLACED)
        return self.decoder.many(records, keys)

    def metadata(self, transaction: Any, bases: dict[bytes, Any]) -> dict[str, str]:
        """The user's strings."""
        if self.generation < 0:
            return PyxisSamples(transaction, bases).metadata
        return strings(transaction, bases, self._path)

    def close(self) -> None:
        """Give back the environment."""
        self._lease.close()


def about(transaction: Any, bases: dict[bytes, Any], path: str) -> dict[str, Any]:
    """What a store says of itself: ``format``, ``generation``, ``count``, ``layout``."""
    entry = transaction.get(STORE, None, bases[ABOUT]) if ABOUT in bases and SAMPLES in bases else None
    if entry is None:
        raise DataError(f"{path!r} holds another LMDB data base, {EXPECTED}")
    with _whole(path):
        known: dict[str, Any] = json.loads(bytes(entry))
        written = index(known["format"])
    if written > FORMAT:
        raise DataError(
            f"{path!r} has format {written}, expected at most {FORMAT}: a newer version of streamflow wrote it"
        )
    with _whole(path):
        count, generation, writers = index(known["count"]), index(known["generation"]), known.get("writers", {})
        if count < 0 or not 0 <= generation < GENERATIONS or type(writers) is not dict or "layout" not in known:
            raise ValueError("it says of itself what cannot be")
    return known


def layout_of(known: dict[str, Any], path: str) -> Layout | None:
    """The layout of a store that says so much of itself; None if it has had no samples."""
    with _whole(path):
        return None if known["layout"] is None else Layout.parse(known["layout"])


def strings(transaction: Any, bases: dict[bytes, Any], path: str) -> dict[str, str]:
    """The user's strings."""
    entry = transaction.get(METADATA, None, bases[ABOUT])
    with _whole(path):
        found: dict[str, str] = {} if entry is None else json.loads(bytes(entry))
        if not all(type(text) is str for text in found.values()):
            raise ValueError("its metadata are not text by text")
    return found


@contextmanager
def _whole(path: str) -> Iterator[None]:
    """A block that takes apart what a store says of itself; if that cannot be done, it is damaged."""
    try:
        yield
    except _DAMAGED as error:
        told = " ".join(f"{type(error).__name__}: {error}".split())
        raise DataError(f"{path!r} is damaged ({told}), {EXPECTED}") from None


def numbered(generation: int, indices: NDArray[Any]) -> list[bytes]:
    """The keys of samples."""
    keys: list[bytes] = ((generation << NUMBER_BITS) + indices).astype(">u8").view("V8").tolist()
    return keys
