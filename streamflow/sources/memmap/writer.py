"""`MemmapWriter`: arrays with metadata, written one by one to a memmap store."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Iterable, Mapping, MutableMapping
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
from numpy.lib.format import descr_to_dtype, dtype_to_descr
from numpy.typing import NDArray

from ...core.label import short
from ...core.validate import is_integer, require
from ...exceptions import DataError, ParameterError, StreamflowError
from ..metadata import Metadata
from .format import Entry, checked_path, naming, npy_header, sync
from .journal import Session

__all__ = ["MemmapWriter", "Pack", "checked_array", "checked_metadata", "checked_shard_bytes"]


class MemmapWriter:
    """Writes a memmap store, array by array.

    Parameters
    ----------
    path : path
        The folder of the store; made if need be.
    mode : {'a', 'w'}
        Whether the arrays join those of a store that is there, or take its place.
    shard_bytes : int, optional
        Arrays are packed into shards of about this size.  None: each becomes a ``.npy`` file.

    Attributes
    ----------
    metadata : mapping of str
        The store's; text by text.

    Raises
    ------
    DataError
        If another writer is at work there, or if the folder holds something that is no memmap store.

    Notes
    -----
    Readers see what was written once it is closed, all of it at once; until then they see the store that was there
    before, or none.  If it is not closed, because of an error or because the process was killed, what had been added is
    kept, and another writer with ``mode="a"`` goes on from there; ``len`` says how far it had come.  So are the
    `metadata`: all after an error, and if the process was killed those that were set before the last entry or `flush`.
    What was to take the place of a finished store is not gone on with: ``mode="a"`` raises, ``mode="w"`` begins anew.

    Examples
    --------
    >>> import tempfile
    >>> from streamflow.sources import MemmapStore
    >>> path = tempfile.mkdtemp()
    >>> with MemmapWriter(path) as out:
    ...     out.add(np.zeros((2, 3)), {"speaker": 3}, name="a")
    ...     out.extend([np.ones(4), np.ones(5)])
    ...     out.metadata["made"] = "2026"
    >>> store = MemmapStore(path)
    >>> store.names, store.metadata["made"], store[2].shape
    (('a', '00000001', '00000002'), '2026', (5,))
    """

    def __init__(self, path: Any, mode: str = "a", shard_bytes: int | None = None) -> None:
        self._path, self._process = checked_path(path, "path"), os.getpid()
        require(isinstance(mode, str) and mode in {"a", "w"}, "mode", "'a' or 'w'", mode)
        checked_shard_bytes(shard_bytes)
        session = Session(self._path, None, mode == "w", "always" if mode == "w" else "never")
        self._session: Session | None = session
        before = session.index
        self._before = {entry.name: entry for entry in before.entries} if before is not None else {}
        self._entries = session.entries
        known = session.metadata if session.metadata is not None else {} if before is None else before.metadata
        self._metadata = Metadata(known)
        self._noted = dict(self._metadata)
        self._pack = Pack(Path(self._path), session.folder, "", shard_bytes)
        self._lock = threading.RLock()  # who was interrupted anywhere can end it all the same

    @property
    def metadata(self) -> MutableMapping[str, str]:
        """The store's metadata."""
        return self._metadata

    def __len__(self) -> int:
        return len(self._before) + len(self._entries)

    def _check_process(self) -> None:
        """Raise in a forked process; before the lock, which a thread of the parent may have held."""
        if os.getpid() != self._process:
            raise StreamflowError(f"the writer of {self._path!r} belongs to another process; make one in this process")

    def _open_session(self) -> Session:
        """The session, for who has the lock."""
        if self._session is None or self._session.has_ended:
            raise DataError(f"the writer of {self._path!r} is closed, expected one that is open")
        return self._session

    def _note_metadata(self, session: Session) -> None:
        """The store's metadata are kept with what has been added."""
        known = dict(self._metadata)
        if known != self._noted:
            session.note_metadata(known)
            self._noted = known

    def add(self, array: Any, metadata: Mapping[str, Any] | None = None, name: str | None = None) -> None:
        """Add an entry.

        Parameters
        ----------
        array : array-like
            Of any shape and dtype but objects.
        metadata : mapping, optional
            Of text to text, numbers, lists and mappings, as JSON has them; NumPy's are made so.
        name : str, optional
            If it is not given: its number, or the next that no entry has as its name.

        Raises
        ------
        DataError
            If the array cannot be stored, or if there is an entry of this name.
        """
        require(name is None or isinstance(name, str), "name", "text", name)
        known = checked_metadata(metadata)
        self._check_process()
        with self._lock:
            session = self._open_session()
            name = self._free_name() if name is None else name
            values = checked_array(array, f"entry {name!r} of {self._path!r}")
            if self._has(name):
                raise DataError(f"{self._path!r} has an entry {name!r} already, expected names that differ")
            entry = self._pack.write(values, name, known)
            self._note_metadata(session)
            session.note_entry(entry)

    def _has(self, name: str) -> bool:
        return name in self._before or name in self._entries

    def _free_name(self) -> str:
        """The number of the next entry, or the first free one after it."""
        return next(name for number in count(len(self)) if not self._has(name := f"{number:08d}"))

    def append(self, sample: Any) -> None:
        """Add an entry without metadata, named by its number.

        Parameters
        ----------
        sample : array-like
        """
        self.add(sample)

    def extend(self, arrays: Iterable[Any]) -> None:
        """Add each of some arrays, or each row of one.

        Parameters
        ----------
        arrays : iterable of array-likes
        """
        refused = isinstance(arrays, (Mapping, str, bytes)) or not hasattr(type(arrays), "__iter__")
        refused = refused or getattr(arrays, "ndim", 1) == 0  # an array with no rows
        require(not refused, "arrays", "a collection of arrays", arrays)
        for array in arrays:
            self.add(array)

    def flush(self) -> None:
        """Wait until all that was added is on the disk; readers see it once the writer is closed."""
        self._check_process()
        with self._lock:
            self._flush(self._open_session())

    def _flush(self, session: Session) -> None:
        self._pack.sync()
        self._note_metadata(session)
        session.flush()

    def close(self) -> None:
        """Let readers see all that was added; may be called again."""
        if self._session is None:
            return
        self._check_process()
        with self._lock:
            session = self._session
            if session is None:  # another thread has closed it
                return
            if session.has_ended:  # this was interrupted at its end
                session.close()
            else:
                self._publish(session)
            self._session = None
            self._metadata.end()

    def _publish(self, session: Session) -> None:
        self._flush(session)
        self._pack.close()
        before = session.index
        if before is not None and not session.entries and session.metadata is None:
            session.drop()
        else:
            build = before.build if before is not None and not session.entries else None
            session.publish([*self._before.values(), *session.entries.values()], dict(self._metadata), build)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.close()
        finally:
            self._leave()

    def _leave(self) -> None:
        """End, if that has not been done: unfinished, another writer may go on."""
        if os.getpid() != self._process:
            return
        with self._lock:
            session, self._session = self._session, None
            if session is None:
                return
            self._metadata.end()
            try:
                self._pack.close()
                self._note_metadata(session)
            finally:
                session.close()


class Pack:
    """Files of arrays, written one after another.

    Parameters
    ----------
    store : Path
    folder : str
        Below the store, where to write.
    prefix : str
        What the names of the files begin with.
    shard_bytes : int or None
        As of `MemmapWriter`.
    """

    def __init__(self, store: Path, folder: str, prefix: str, shard_bytes: int | None) -> None:
        self._store, self._prefix, self._shard_bytes = store, f"{folder}/{prefix}", shard_bytes
        self._written = 0  #: files so far
        self._unsynced: set[Path] = set()
        self._shard: BinaryIO | None = None
        self._file = ""

    def write(
        self, array: NDArray[Any], name: str, metadata: dict[str, Any], stamp: tuple[int, ...] | None = None
    ) -> Entry:
        """Write an array that `checked_array` gave; it is whole when this returns."""
        shard = self._shard or self._next()
        offset = shard.tell()
        fortran = array.flags.f_contiguous and not array.flags.c_contiguous
        header = npy_header(array.dtype, array.shape, fortran, offset)
        path = self._store / self._file
        try:
            self._unsynced.add(path)
            with naming(path):
                _write(shard, memoryview(header))
                if array.nbytes:
                    flat = np.ascontiguousarray(array.T if fortran else array).reshape(-1)
                    _write(shard, memoryview(flat.view(np.uint8).data))
            if self._shard_bytes is None or shard.tell() >= self._shard_bytes:
                self._end()
        except BaseException:
            with contextlib.suppress(OSError):  # the part of an array is nobody's, and there may be no room
                os.truncate(path, offset)
            self._end()
            raise
        return Entry(name, self._file, offset, len(header), array.dtype, array.shape, fortran, metadata, stamp)

    def _next(self) -> BinaryIO:
        """Begin a file."""
        extension = "npy" if self._shard_bytes is None else "shard"
        self._file = f"{self._prefix}{self._written:06d}.{extension}"
        self._written += 1  # first: whatever comes of it, the next has another name
        self._shard = (self._store / self._file).open("xb", buffering=0)
        return self._shard

    def _end(self) -> None:
        """No more goes into this file."""
        shard, self._shard = self._shard, None
        if shard is not None:
            shard.close()

    def sync(self) -> None:
        """Wait until all that was written is on the disk."""
        sync(self._unsynced)
        self._unsynced.clear()

    def close(self) -> None:
        """Wait until all is on the disk, and end."""
        self._end()
        self.sync()


def _write(file: BinaryIO, data: memoryview) -> None:
    while data:
        data = data[file.write(data) :]


def checked_shard_bytes(shard_bytes: Any) -> None:
    """Raise unless it is a size of shards."""
    ok = shard_bytes is None or (is_integer(shard_bytes) and shard_bytes >= 1)
    require(ok, "shard_bytes", "None or an integer from 1 on", shard_bytes)


def checked_array(array: Any, told: str) -> NDArray[Any]:
    """What is given as an array that can be stored; `told` is what errors call it."""
    if isinstance(array, (Mapping, np.ma.MaskedArray)):
        raise DataError(f"{told} is {short(array)}, expected one array without a mask")
    try:
        values = np.asarray(array)
    except (ValueError, TypeError) as error:
        raise DataError(f"{told} is {short(array)}, expected an array: {error}") from None
    if values.dtype.hasobject:
        raise DataError(f"{told} is {short(array)}, which holds Python objects; expected numbers, text or dates")
    if descr_to_dtype(dtype_to_descr(values.dtype)) != values.dtype:
        raise DataError(f"{told} has dtype {values.dtype}, expected one that a .npy file can hold")
    return values


def checked_metadata(metadata: Any) -> dict[str, Any]:
    """The metadata of an entry as JSON has them, copied."""
    if metadata is None:
        return {}
    require(isinstance(metadata, Mapping), "metadata", "a mapping", metadata)
    try:
        plain: dict[str, Any] = _plain(metadata, "metadata")
        json.dumps(plain)
    except ParameterError:
        raise
    except (RecursionError, ValueError) as error:  # it is too deep, or a number has too many digits
        raise ParameterError(f"`metadata` must be what JSON can hold, got {short(metadata)}: {error}") from None
    return plain


def _plain(value: Any, name: str) -> Any:
    if isinstance(value, (np.generic, np.ndarray)):
        value = value.tolist()
    if isinstance(value, Mapping):
        for key in value:
            require(isinstance(key, str), name, "a mapping of text", key)
        return {str(key): _plain(item, f"{name}[{key!r}]") for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, f"{name}[{place}]") for place, item in enumerate(value)]
    known = value is None or isinstance(value, (str, bool, int, float))
    require(known, name, "text, a number, None, or lists and mappings of those", value)
    return value
