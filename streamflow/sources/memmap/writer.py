"""`MemmapWriter`: arrays with metadata, written one by one to a memmap store."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping, MutableMapping
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ...core.validate import choice, optional_positive_integer, require
from ...exceptions import DataError, StreamflowError
from ..metadata import Metadata, entry_metadata
from ..stores import check_elements, checked_path
from .arrays import ArrayWriter, checked_array
from .journal import Session

__all__ = ["MemmapWriter"]


class MemmapWriter:
    """Writes a memmap store, array by array.

    Parameters
    ----------
    path : path
        The folder of the store; made if need be.
    mode : {'a', 'w'}
        Add to the store that is there, or replace it.
    shard_bytes : int, optional
        Arrays are packed into shards of about this size.  None: each becomes a ``.npy`` file.

    Attributes
    ----------
    metadata : mapping of str
        Strings about the whole store, by name.

    Raises
    ------
    DataError
        If another writer is open on the store, or if the folder holds anything but a memmap store.

    Notes
    -----
    Readers see nothing of what was written until the writer is closed, then all of it at once; until then they see the
    store that was there before, or none.  If the writer is not closed, because of an error or because the process was
    killed, what was added is kept, and another writer with ``mode="a"`` continues from there; its ``len`` says how many
    entries there are.  `metadata` are kept too: all of them after an error; after a kill, those that were set before
    the last entry or `flush`.  An unfinished replacement of a finished store cannot be continued: ``mode="a"`` raises,
    ``mode="w"`` starts over.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
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
        mode = choice("mode", mode, ("a", "w"))
        shard_bytes = optional_positive_integer("shard_bytes", shard_bytes)
        session = Session(self._path, None, mode == "w", "always" if mode == "w" else "never")
        self._session: Session | None = session
        before = session.index
        self._before = {entry.name: entry for entry in before.entries} if before is not None else {}
        self._entries = session.entries
        known = session.metadata if session.metadata is not None else {} if before is None else before.metadata
        self._metadata = Metadata(known)
        self._noted = dict(self._metadata)
        self._arrays = ArrayWriter(Path(self._path), session.folder, "", shard_bytes)
        self._lock = threading.RLock()  # reentrant: a writer that was interrupted while it held the lock can be closed

    @property
    def metadata(self) -> MutableMapping[str, str]:
        """The store's metadata."""
        return self._metadata

    def __len__(self) -> int:
        return len(self._before) + len(self._entries)

    def _check_process(self) -> None:
        """Raise in a forked process.  Called before taking the lock, which a thread of the parent may have held."""
        if os.getpid() != self._process:
            raise StreamflowError(f"the writer of {self._path!r} belongs to another process; make one in this process")

    def _open_session(self) -> Session:
        """The session; call it with the lock held."""
        if self._session is None or self._session.has_ended:
            raise DataError(f"the writer of {self._path!r} is closed; open another")
        return self._session

    def _note_metadata(self, session: Session) -> None:
        """Note the store's metadata in the journal if they have changed."""
        known = dict(self._metadata)
        if known != self._noted:
            session.note_metadata(known)
            self._noted = known

    def add(self, array: Any, metadata: Mapping[str, Any] | None = None, name: str | None = None) -> None:
        """Add an entry.

        Parameters
        ----------
        array : array-like
            Of any shape, and any dtype but objects.
        metadata : mapping, optional
            What JSON can hold: strings, numbers, lists and mappings by name; NumPy's types are converted.
        name : str, optional
            Default: the number of the entry, or the next number that is not a name yet.

        Raises
        ------
        DataError
            If the array cannot be stored, or if the name is taken.
        """
        require(name is None or isinstance(name, str), "name", "None or a str", name)
        known = entry_metadata(metadata)
        self._check_process()
        with self._lock:
            session = self._open_session()
            name = self._free_name() if name is None else name
            values = checked_array(array, f"entry {name!r} of {self._path!r}")
            if self._has(name):
                raise DataError(f"{self._path!r} has an entry {name!r} already; choose another name")
            entry = self._arrays.write(values, name, known)
            self._note_metadata(session)
            session.note_entry(entry)

    def _has(self, name: str) -> bool:
        return name in self._before or name in self._entries

    def _free_name(self) -> str:
        """The number of the next entry, or the first free one after it."""
        return next(name for number in count(len(self)) if not self._has(name := f"{number:08d}"))

    def append(self, array: Any) -> None:
        """Add an entry without metadata, named by its number.

        Parameters
        ----------
        array : array-like
        """
        self.add(array)

    def extend(self, arrays: Iterable[Any]) -> None:
        """Add an entry for each element, as `append` does.

        Parameters
        ----------
        arrays : iterable of array-likes
            The elements of an array are its rows.
        """
        check_elements("arrays", arrays, "arrays")
        for array in arrays:
            self.append(array)

    def flush(self) -> None:
        """Wait until all that was added is on the disk; readers see it when the writer is closed."""
        self._check_process()
        with self._lock:
            self._flush(self._open_session())

    def _flush(self, session: Session) -> None:
        self._arrays.sync()
        self._note_metadata(session)
        session.flush()

    def close(self) -> None:
        """Let readers see all that was added; further calls do nothing."""
        if self._session is None:
            return
        self._check_process()
        with self._lock:
            session = self._session
            if session is None:  # another thread has closed it
                return
            if session.has_ended:  # an earlier call was interrupted at its end
                session.close()
            else:
                self._publish(session)
            self._session = None
            self._metadata.close()

    def _publish(self, session: Session) -> None:
        self._flush(session)
        self._arrays.close()
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
        """End without publishing, unless that is done: another writer may continue."""
        if os.getpid() != self._process:
            return
        with self._lock:
            session, self._session = self._session, None
            if session is None:
                return
            self._metadata.close()
            try:
                self._arrays.close()
                self._note_metadata(session)
            finally:
                session.close()
