"""`LMDBWriter`: samples into an LMDB data base, so that it can be read at any moment."""

from __future__ import annotations

import json
import os
import random
import secrets
import tempfile
import threading
from collections.abc import Iterable, MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import numpy as np

from ...core.label import short
from ...core.validate import require
from ...exceptions import DataError, ParameterError, StreamflowError
from ..arrays import ArraySource
from ..base import Source
from ..metadata import Metadata
from .codec import Layout
from .environment import ABOUT, DATA, SAMPLES, Lease, library
from .pyxis import DATA_BASE, META_BASE
from .store import FORMAT, GENERATIONS, METADATA, STORE, about, layout_of, numbered, strings

__all__ = ["LMDBWriter"]

_MODES = ("a", "w")
#: Bytes that are kept before they are written, and that `extend` takes at once.
_KEPT, _BLOCK = 64 << 20, 8 << 20
_MOST = 4096  #: samples that `extend` takes at once
#: Writers of which a store knows how much of theirs it has, the latest ones.
_KNOWN_WRITERS = 64


class Waiting:
    """Records that are still to be written.

    Parameters
    ----------
    first : int
        How many the writer has had before them.
    there : int
        How many samples of all writers are in front of them, as far as is known.
    """

    __slots__ = ("first", "records", "size", "there")

    def __init__(self, first: int, there: int) -> None:
        self.first, self.there = first, there
        self.records: list[Any] = []
        self.size = 0


class LMDBWriter:
    """Writes samples into a store, behind those that are there.

    Parameters
    ----------
    path : path
        The folder of the store; made if it is not there.
    mode : {'a', 'w'}
        ``'a'`` appends; ``'w'`` replaces what the store holds, at once (its file does not shrink).

    Raises
    ------
    DataError
        If the folder holds another data base, or cannot be written to; if samples do not fit together.

    Notes
    -----
    Samples are written by `flush`, by `close`, and whenever 64 MiB are waiting: each time all of them together with
    their number, in one transaction.  So the store can be read at any moment, also when the writer is killed; samples
    that were waiting are then lost.  A block that ends with an error keeps what was added and set before the error.
    The map of LMDB grows by itself.

    All samples have one form: the same keys (or number of values) and dtypes; shapes may differ.  A value is a number,
    text, bytes, or an array of numbers, text, bytes or structures (or lists that make one); nothing is pickled.
    Numbers of Python and lists of them take the dtype that is there, and are refused where it would round whole ones.

    Several writers may append to one store, from several processes too.  A writer belongs to the process that made it.

    Examples
    --------
    >>> folder = tempfile.mkdtemp()
    >>> with LMDBWriter(folder) as db:
    ...     db.append({"x": np.zeros(3), "y": 1})
    ...     db.append({"x": np.zeros(5), "y": 2})
    >>> with LMDBWriter(folder) as db:
    ...     db.extend({"x": np.ones((4, 3)), "y": np.arange(4)})
    ...     len(db)
    6
    """

    def __init__(self, path: Any, mode: str = "a") -> None:
        if not isinstance(path, (str, os.PathLike)):
            raise ParameterError(f"`path` must be the path of a folder, got {short(path)}")
        require(mode in _MODES, "mode", "'a' or 'w'", mode)
        self._path, self._process = str(Path(os.fsdecode(path)).absolute()), os.getpid()
        self._name, self._lock = secrets.token_hex(6), threading.RLock()
        _make(self._path)
        self._lease = Lease(self._path)
        self._closed = False
        try:
            environment = self._lease.environment
            known = environment.write(lambda transaction, bases: _begin(transaction, bases, self._path, mode), 1 << 16)
            self._waiting = Waiting(0, known["count"])
            self._layout = layout_of(known, self._path)
            self._metadata = Metadata(known["metadata"], log=True)
        except BaseException:
            self._lease.close()
            raise

    def __len__(self) -> int:
        """How many samples the store had when it was last written to, and wait to be written."""
        waiting = self._waiting
        return waiting.there + len(waiting.records)

    @property
    def metadata(self) -> MutableMapping[str, str]:
        """Strings about the whole store; written with the samples, and kept or lost with them."""
        return self._metadata

    def append(self, sample: Any) -> None:
        """Add a sample: a dict of values, a tuple of values, or one value."""
        self._check()
        with self._lock:
            self._check()
            try:
                layout = self._layout or Layout.of(sample)
                self._add(layout, [layout.record(sample)])
            except DataError as error:
                raise self._wrong(error) from None
            self._flush_much()

    def extend(self, arrays: Any) -> None:
        """Add many samples.

        Parameters
        ----------
        arrays : dict, tuple or list of array-likes, array-like, or Source
            As `ArraySource` takes them: sample i is row i of each.  They are read in blocks, so they may be larger
            than memory; if a sample is wrong, those before it are added.
        """
        self._check()
        source = arrays if isinstance(arrays, Source) else ArraySource(arrays)
        first, length = 0, 1
        while first < len(source):
            length = min(length, len(source) - first)
            block = source.fetch(np.arange(first, first + length))
            with self._lock:
                self._check()
                try:
                    layout = self._layout or Layout.of_block(block)
                    size = self._add(layout, layout.records(block, length))
                except DataError as error:
                    raise self._wrong(error) from None
                self._flush_much()
            first += length
            length = min(_MOST, max(1, _BLOCK * length // size))

    def _add(self, layout: Layout, records: Iterable[Any]) -> int:
        """Let records wait; gives their size."""
        waiting = self._waiting
        before = waiting.size
        for record in records:
            self._layout = layout
            waiting.records.append(record)
            waiting.size += len(record)
        return waiting.size - before

    def _wrong(self, error: DataError) -> DataError:
        return DataError(f"{self._path!r}, sample {len(self)}: {error}")

    def _check(self) -> None:
        if self._closed:
            raise StreamflowError(f"the writer of {self._path!r} is closed; make another")
        if os.getpid() != self._process:
            raise StreamflowError(f"the writer of {self._path!r} belongs to another process; make one in this process")

    def _flush_much(self) -> None:
        if self._waiting.size >= _KEPT:
            self.flush()

    def flush(self) -> None:
        """Write what waits, so that it can be read and outlives this process.

        If it is interrupted, what waits is written by the next one; what the file has already is not written again.
        """
        self._check()
        with self._lock:
            self._check()
            waiting, changes = self._waiting, list(self._metadata.changes)
            if not waiting.records and not changes:
                return
            size = waiting.size + 64 * len(waiting.records)
            known = self._lease.environment.write(
                lambda transaction, bases: self._put(transaction, bases, waiting, changes), size
            )
            # At once, so that an interruption comes before or after.  Records that still wait are of the layout.
            self._waiting = Waiting(waiting.first + len(waiting.records), known["count"])
            if known["layout"] is not None and (self._layout is None or known["layout"] != self._layout.describe()):
                self._layout = layout_of(known, self._path)
            del self._metadata.changes[: len(changes)]

    def _put(
        self, transaction: Any, bases: dict[bytes, Any], waiting: Waiting, changes: list[tuple[str, str | None]]
    ) -> dict[str, Any]:
        """What waits and is not there yet, in a transaction; gives what the store then says of itself.

        With the samples the store notes how many of this writer's it has: an error may come after the commit.
        """
        known = about(transaction, bases, self._path)
        writers = known.get("writers", {})
        records = waiting.records[max(0, writers.pop(self._name, 0) - waiting.first) :]
        if records:
            known["layout"], records = self._fitting(known["layout"], records)
            numbers = known["count"] + np.arange(len(records))
            pairs = zip(numbered(known["generation"], numbers), records, strict=True)
            transaction.cursor(bases[SAMPLES]).putmulti(pairs, append=True)
            writers[self._name] = waiting.first + len(waiting.records)
            known |= {
                "count": known["count"] + len(records),
                "writers": dict(list(writers.items())[-_KNOWN_WRITERS:]),
            }
            transaction.put(STORE, json.dumps(known).encode(), db=bases[ABOUT])
        if changes:
            texts = {**strings(transaction, bases, self._path), **dict(changes)}
            texts = {key: text for key, text in texts.items() if text is not None}
            transaction.put(METADATA, json.dumps(texts).encode(), db=bases[ABOUT])
        return known

    def _fitting(self, described: Any, records: list[Any]) -> tuple[Any, list[Any]]:
        """The layout of the store, and records that are in it; another writer may have begun it meanwhile."""
        own = self._layout
        assert own is not None
        if described in (None, own.describe()):
            return own.describe(), records
        layout = layout_of({"layout": described}, self._path)
        assert layout is not None
        try:
            return described, [layout.record(own.one(memoryview(record), None)) for record in records]
        except DataError as error:
            told = f"another writer has begun it with samples of another form: {error}"
            raise DataError(f"{self._path!r}: {told}") from None

    def close(self) -> None:
        """Write what waits, and let go of the store; may be called again.

        If what waits cannot be written it raises, and the writer stays open: nothing is lost before it is dropped.
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


def _new() -> bytes:
    """The entry of a store without samples."""
    generation = random.SystemRandom().randrange(GENERATIONS)
    return json.dumps({"format": FORMAT, "generation": generation, "count": 0, "layout": None}).encode()


def _begin(transaction: Any, bases: dict[bytes, Any], path: str, mode: str) -> dict[str, Any]:
    """What is known about the store that is written to, emptied if need be."""
    if DATA_BASE in bases and META_BASE in bases:
        raise DataError(f"{path!r} was written by ml-pyxis, and can only be read; expected a store of LMDBWriter")
    known = about(transaction, bases, path)
    if mode == "w":
        transaction.drop(bases[SAMPLES], delete=False)
        transaction.delete(METADATA, db=bases[ABOUT])
        transaction.put(STORE, _new(), db=bases[ABOUT])
        known = about(transaction, bases, path)
    return {**known, "metadata": strings(transaction, bases, path)}


def _make(path: str) -> None:
    """Make an empty store unless there is one.

    It appears as a whole: it is made apart and linked into its place, where another may have come first.
    """
    lmdb, folder = library(), Path(path)
    if (folder / DATA).exists():
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".new-", dir=folder) as apart:
            with (
                lmdb.open(apart, map_size=1 << 20, max_dbs=2) as environment,
                environment.begin(write=True) as transaction,
            ):
                environment.open_db(SAMPLES, txn=transaction)
                transaction.put(STORE, _new(), db=environment.open_db(ABOUT, txn=transaction))
            made = Path(apart, DATA)
            try:
                with suppress(FileExistsError):
                    os.link(made, folder / DATA)
            except OSError:  # a file system without links
                made.replace(folder / DATA)
    except (OSError, lmdb.Error) as error:
        raise DataError(f"{path!r} cannot be written to ({error}), expected a folder for a store") from None
