"""`LMDBStore`: samples in an LMDB database, read by any number of processes and threads."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...exceptions import DataError
from ..handle import Handle
from ..reading.form import keys_of
from ..source import Source
from ..stores import checked_path
from .environment import SAMPLES, Closed
from .format import layout_in, read_header, read_metadata, sample_key, sample_keys
from .lease import Lease
from .pyxis import DATA_BASE, META_BASE, PyxisSamples

__all__ = ["LMDBStore"]

_REPLACED = "its samples have been replaced since it was opened; open it again"


class LMDBStore(Source):
    """The samples that `LMDBWriter`, or ml-pyxis, has written.

    Parameters
    ----------
    path : path
        The folder of the store.

    Raises
    ------
    DataError
        If there is no store.

    Notes
    -----
    The length is that at the time of opening, here and in every process that the store is sent to; to see samples that
    were added since, open it again.  If the samples have been replaced, reading raises a `DataError`.

    Only the keys that a stream reads are decoded.  A scalar is read as NumPy's scalar of its dtype, text as `str`.
    What is read is a copy that may be changed.

    A process may have any number of stores and writers, also of one path; if there are many, those that were opened
    first are closed, and opened again when they are used.  Nothing of LMDB crosses a fork.  A store in a folder without
    permission to write is read without locks, so nobody may write to it at that time.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from streamflow.sources import LMDBWriter
    >>> folder = tempfile.mkdtemp()
    >>> with LMDBWriter(folder) as db:
    ...     db.extend_columns({"X": np.arange(6).reshape(3, 2), "name": ["a", "b", "c"]})
    ...     db.metadata["made"] = "2026"
    >>> db = LMDBStore(folder)
    >>> db[-1], len(db), db.metadata["made"]
    ({'X': array([4, 5]), 'name': 'c'}, 3, '2026')
    >>> [batch.tolist() for batch in db.batches(2, keys="X")]
    [[[0, 1], [2, 3]], [[4, 5]]]
    """

    def __init__(self, path: Any) -> None:
        self._path, self._given = checked_path(path, "path"), os.fsdecode(path)
        self._handle = Handle(OpenStore, self._path)
        opened = self._handle.get()
        self._length: int = opened.length
        self._generation: int = opened.generation
        self._keys: Any = None

    def __len__(self) -> int:
        return self._length

    def sample(self, index: int) -> Any:
        return self._read(OpenStore.one, index)

    def fetch(self, indices: NDArray[np.intp]) -> Any:
        return self._read(OpenStore.many, indices)

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

    def _checked(self) -> OpenStore:
        """The store as it is open in this process; raises if its samples have been replaced."""
        opened = self._handle.get()
        if opened.generation != self._generation or opened.length < self._length:
            raise DataError(f"{self._path!r}: {_REPLACED}")
        return opened

    def keys(self) -> tuple[Any, ...] | None:
        if self._keys is not None:
            return keys_of(self._keys)
        if not self._length:
            return None
        known: tuple[Any, ...] | None = self._checked().decoder.keys()
        return super().keys() if known == () else known

    @property
    def metadata(self) -> Mapping[str, str]:
        """Strings about the whole store, by name, as they are now."""
        while True:
            try:
                opened = self._handle.get()
                return MappingProxyType(opened.environment.read(opened.metadata))
            except Closed:
                continue

    def close(self) -> None:
        self._handle.close()

    def _select(self, keys: Any) -> Source:
        if self._keys is not None:
            return super()._select(keys)
        chosen = copy.copy(self)
        chosen._keys = keys
        return chosen

    def _label(self) -> str:
        label = f"LMDBStore({self._given!r})"
        return label if self._keys is None else f"{label}.{self._keys!r}"

    def fingerprint(self) -> str:
        return self._label()


class OpenStore:
    """A store that is open in this process.

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
        self._is_pyxis = DATA_BASE in bases and META_BASE in bases
        if self._is_pyxis:
            self.decoder = PyxisSamples(transaction, bases)
            self._base, self.length, self.generation = DATA_BASE, self.decoder.length, -1
            return
        header = read_header(transaction, bases, self._path)
        self._base, self.length, self.generation = SAMPLES, header["count"], header["generation"]
        self.decoder = layout_in(header, self._path)

    def one(self, index: int, keys: Any, transaction: Any, bases: dict[bytes, Any]) -> Any:
        """A sample, or what `keys` selects of it."""
        key = b"%010d" % index if self._is_pyxis else sample_key(self.generation, index)
        record = transaction.get(key, None, bases[self._base])
        if record is None:
            raise DataError(_REPLACED)
        return self.decoder.one(record, keys)

    def many(self, indices: NDArray[np.intp], keys: Any, transaction: Any, bases: dict[bytes, Any]) -> Any:
        """Many samples, with an array or a list of values in each place."""
        if self.decoder is None:  # there are no samples
            return []
        get, base = transaction.get, bases[self._base]
        if self._is_pyxis:
            keys_of_records = [b"%010d" % index for index in indices.tolist()]
        else:
            keys_of_records = sample_keys(self.generation, indices)
        records = [get(key, None, base) for key in keys_of_records]
        if None in records:
            raise DataError(_REPLACED)
        return self.decoder.many(records, keys)

    def metadata(self, transaction: Any, bases: dict[bytes, Any]) -> dict[str, str]:
        """The user's metadata."""
        if self._is_pyxis:
            return PyxisSamples(transaction, bases).metadata
        return read_metadata(transaction, bases, self._path)

    def close(self) -> None:
        """Give back the environment."""
        self._lease.close()
