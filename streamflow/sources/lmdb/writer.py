"""`LMDBWriter`: samples written to an LMDB database that can be read at any moment."""

from __future__ import annotations

import json
import os
import secrets
import threading
from collections.abc import Iterable, MutableMapping
from typing import Any, Self

import numpy as np

from ...core.validate import choice
from ...exceptions import DataError, StreamflowError
from ..arrays import ArraySource
from ..metadata import Metadata
from ..source import Source
from ..stores import check_elements, checked_path
from .codec import RecordLayout
from .environment import ABOUT, SAMPLES
from .format import HEADER, METADATA, empty_store, layout_in, read_header, read_metadata, sample_keys, start_over
from .lease import Lease
from .pyxis import DATA_BASE, META_BASE

__all__ = ["LMDBWriter"]

#: Bytes that are kept before they are written, and that `extend_columns` reads at once.
_KEPT, _BLOCK = 64 << 20, 8 << 20
_MOST = 4096  #: samples that `extend_columns` reads at once
#: For how many writers, the latest ones, a store notes how many of their samples it has.
_KNOWN_WRITERS = 64


class _Pending:
    """Records that have not been written yet.

    Parameters
    ----------
    first : int
        How many records of this writer came before them.
    n_before : int
        How many samples of all writers are in front of them, as far as is known.
    """

    __slots__ = ("first", "n_before", "records", "size")

    def __init__(self, first: int, n_before: int) -> None:
        self.first, self.n_before = first, n_before
        self.records: list[Any] = []
        self.size = 0


class LMDBWriter:
    """Writes samples to an LMDB store.

    Parameters
    ----------
    path : path
        The folder of the store; made if need be.
    mode : {'a', 'w'}
        Append to the store that is there, or empty it first, at once (its file does not shrink).

    Attributes
    ----------
    metadata : mapping of str
        Strings about the whole store, by name.

    Raises
    ------
    DataError
        If the folder holds another database or cannot be written to, or if samples differ in form.

    Notes
    -----
    Samples are written by `flush`, by `close`, and whenever 64 MiB are pending: all of them and their number in one
    transaction.  So the store can be read at any moment, even after the writer was killed; then the pending samples are
    lost.  A ``with`` block that ends with an error keeps what was added and set before the error.  LMDB's map is
    enlarged automatically.

    All samples have one form: the same keys (or number of values) and dtypes; shapes may differ.  A value is a number,
    text, bytes, or an array of numbers, text, bytes or structures (or lists that make one); nothing is pickled.
    Python's numbers, and lists of them, take the dtype of the samples before; integers that it would round are refused.

    Several writers may append to one store at the same time, also from several processes.  A writer belongs to the
    process that opened it.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> with LMDBWriter(folder) as db:
    ...     db.append({"x": np.zeros(3), "y": 1})
    ...     db.extend([{"x": np.zeros(n), "y": n} for n in (5, 6)])
    >>> with LMDBWriter(folder) as db:
    ...     db.extend_columns({"x": np.ones((4, 3)), "y": np.arange(4)})
    ...     len(db)
    7
    """

    def __init__(self, path: Any, mode: str = "a") -> None:
        self._path, self._process = checked_path(path, "path"), os.getpid()
        mode = choice("mode", mode, ("a", "w"))
        self._name, self._lock = secrets.token_hex(6), threading.RLock()
        empty_store(self._path)
        self._lease = Lease(self._path)
        self._closed = False
        try:
            header, metadata = self._lease.environment.write(
                lambda transaction, bases: _begin(transaction, bases, self._path, mode), 1 << 16
            )
            self._pending = _Pending(0, header["count"])
            self._layout = layout_in(header, self._path)
            self._metadata = Metadata(metadata, log=True)
        except BaseException:
            self._lease.close()
            raise

    def __len__(self) -> int:
        """How many samples the store held when it was last written to, and are pending."""
        pending = self._pending
        return pending.n_before + len(pending.records)

    @property
    def metadata(self) -> MutableMapping[str, str]:
        """Strings about the whole store; changes are written, or lost, together with the samples."""
        return self._metadata

    def append(self, sample: Any) -> None:
        """Add a sample.

        Parameters
        ----------
        sample : dict or tuple of values, or value
        """
        self._check()
        with self._lock:
            self._check()
            try:
                layout = self._layout or RecordLayout.of(sample)
                self._add(layout, [layout.record(sample)])
            except DataError as error:
                raise self._named(error) from None
            self._flush_much()

    def extend(self, samples: Iterable[Any]) -> None:
        """Add a sample for each element, as `append` does.

        Parameters
        ----------
        samples : iterable
            The elements of an array are its rows.  If an element is wrong, those before it are added.
        """
        self._check()
        check_elements("samples", samples, "samples", "extend_columns takes columns")
        for sample in samples:
            self.append(sample)

    def extend_columns(self, columns: Any) -> None:
        """Add many samples that are given by columns, which is faster than one by one.

        Parameters
        ----------
        columns : dict, tuple or list of array-likes, array-like, or Source
            Sample i is row i of each, as in an `ArraySource`.  They are read in blocks, so they may be larger than
            memory.  If a row is wrong, those before it are added.
        """
        self._check()
        source = columns if isinstance(columns, Source) else ArraySource(columns)
        first, length = 0, 1
        while first < len(source):
            length = min(length, len(source) - first)
            block = source.fetch(np.arange(first, first + length))
            with self._lock:
                self._check()
                try:
                    layout = self._layout or RecordLayout.of_block(block)
                    size = self._add(layout, layout.records(block, length))
                except DataError as error:
                    raise self._named(error) from None
                self._flush_much()
            first += length
            length = min(_MOST, max(1, _BLOCK * length // size))

    def _add(self, layout: RecordLayout, records: Iterable[Any]) -> int:
        """Add to the pending records; gives the size of these."""
        pending = self._pending
        before = pending.size
        for record in records:
            self._layout = layout
            pending.records.append(record)
            pending.size += len(record)
        return pending.size - before

    def _named(self, error: DataError) -> DataError:
        return DataError(f"{self._path!r}, sample {len(self)}: {error}")

    def _check(self) -> None:
        if self._closed:
            raise StreamflowError(f"the writer of {self._path!r} is closed; open another")
        if os.getpid() != self._process:
            raise StreamflowError(f"the writer of {self._path!r} belongs to another process; make one in this process")

    def _flush_much(self) -> None:
        if self._pending.size >= _KEPT:
            self.flush()

    def flush(self) -> None:
        """Write what is pending, so that it can be read and survives this process.

        If it is interrupted, the next call writes what the file does not have yet.
        """
        self._check()
        with self._lock:
            self._check()
            pending, changes = self._pending, list(self._metadata.changes)
            if not pending.records and not changes:
                return
            size = pending.size + 64 * len(pending.records)
            header = self._lease.environment.write(
                lambda transaction, bases: self._put(transaction, bases, pending, changes), size
            )
            # In one assignment: an interruption comes before or after it.  Pending records are of the layout.
            self._pending = _Pending(pending.first + len(pending.records), header["count"])
            if header["layout"] is not None and (self._layout is None or header["layout"] != self._layout.to_json()):
                self._layout = layout_in(header, self._path)
            del self._metadata.changes[: len(changes)]

    def _put(
        self, transaction: Any, bases: dict[bytes, Any], pending: _Pending, changes: list[tuple[str, str | None]]
    ) -> dict[str, Any]:
        """Write what is pending and not in the file yet, in a transaction; gives the new header.

        The header notes how many samples of this writer the store has: an error may come after the commit.
        """
        header = read_header(transaction, bases, self._path)
        writers = header.get("writers", {})
        records = pending.records[max(0, writers.pop(self._name, 0) - pending.first) :]
        if records:
            header["layout"], records = self._fitted(header["layout"], records)
            numbers = header["count"] + np.arange(len(records))
            pairs = zip(sample_keys(header["generation"], numbers), records, strict=True)
            transaction.cursor(bases[SAMPLES]).putmulti(pairs, append=True)
            writers[self._name] = pending.first + len(pending.records)
            header |= {
                "count": header["count"] + len(records),
                "writers": dict(list(writers.items())[-_KNOWN_WRITERS:]),
            }
            transaction.put(HEADER, json.dumps(header).encode(), db=bases[ABOUT])
        if changes:
            texts = {**read_metadata(transaction, bases, self._path), **dict(changes)}
            texts = {key: text for key, text in texts.items() if text is not None}
            transaction.put(METADATA, json.dumps(texts).encode(), db=bases[ABOUT])
        return header

    def _fitted(self, document: Any, records: list[Any]) -> tuple[Any, list[Any]]:
        """The layout of the store, and the records in that layout: another writer may have written the first sample."""
        own = self._layout
        assert own is not None
        if document in (None, own.to_json()):
            return own.to_json(), records
        layout = layout_in({"layout": document}, self._path)
        assert layout is not None
        try:
            return document, [layout.record(own.one(memoryview(record), None)) for record in records]
        except DataError as error:
            raise DataError(f"{self._path!r}: another writer has added samples of another form: {error}") from None

    def close(self) -> None:
        """Write what is pending, and release the store; further calls do nothing.

        If it cannot be written this raises, and the writer stays open: close it again when there is space.
        """
        if os.getpid() != self._process:
            return
        with self._lock:
            if not self._closed:
                self.flush()
                self._closed = True
                self._metadata.close()
                self._lease.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __reduce__(self) -> Any:
        raise TypeError("an LMDBWriter cannot be sent to another process; make one there")

    def __repr__(self) -> str:
        return f"LMDBWriter({self._path!r})"


def _begin(transaction: Any, bases: dict[bytes, Any], path: str, mode: str) -> tuple[dict[str, Any], dict[str, str]]:
    """The header and the metadata of the store, which is emptied if the mode says so."""
    if DATA_BASE in bases and META_BASE in bases:
        raise DataError(f"{path!r} was written by ml-pyxis and can only be read; write to another folder")
    header = read_header(transaction, bases, path)
    if mode == "w":
        start_over(transaction, bases)
        header = read_header(transaction, bases, path)
    return header, read_metadata(transaction, bases, path)
