"""`Session`: one writer's work on a memmap store, which can be interrupted at any moment and resumed.

Whatever is written goes to a folder of its own and is noted in a journal once it is complete; nothing that a finished
store refers to is touched.  In the end a new index replaces the old one, the one moment at which readers see another
store; then the journal and the files that nothing refers to are removed.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import weakref
from pathlib import Path
from typing import Any

from ...core.fork import at_fork
from ...exceptions import DataError
from ..metadata import checked_strings
from ..stores import REBUILD, check_target, lock, unlock
from .format import ARRAYS, DAMAGED, INDEX, JOURNAL, NEW_INDEX, Entry, Index, naming, read_index, sync, write_index

__all__ = ["Session", "tidy"]


class Session:
    """The one writer of a store.

    Parameters
    ----------
    path : str
        The folder of the store; made if need be.
    settings : dict or None
        The settings of a build, None for a `MemmapWriter`; an interrupted session is resumed with the same only.
    replace : bool
        Replace the store that is there; else add to it.
    forget : {'never', 'others', 'always'}
        Whether to drop what an interrupted session has left; 'others': if its settings differ from these.

    Attributes
    ----------
    index : Index or None
        Of the finished store that is added to.
    entries : dict of Entry
        What has been written and not published yet, by name.
    metadata : dict of str, or None
        The store's metadata, if they have been changed since it was published.
    folder : str
        Where to write, below the store.

    Raises
    ------
    DataError
        If another writer is open on the store, if the folder holds anything else, or if an interrupted session
        cannot be resumed with these parameters.
    """

    def __init__(self, path: str, settings: dict[str, Any] | None, replace: bool, forget: str) -> None:
        self.path = path
        self.entries: dict[str, Entry] = {}
        self.metadata: dict[str, str] | None = None
        self.folder = f"{ARRAYS}/{secrets.token_hex(4)}"
        self._store = Path(path)
        check_target(self._store, "a memmap store", {ARRAYS, INDEX, JOURNAL, NEW_INDEX})
        self._store.mkdir(parents=True, exist_ok=True)
        self._held: list[int] = []  # descriptors of the lock and the journal
        self._process = os.getpid()
        weakref.finalize(self, unlock, self._held, self._process)
        self._journal: int | None = None
        _sessions.add(self)
        try:
            self._held += lock(self._store)
            self._begin(settings, replace, forget)
        except BaseException:
            self.close()
            raise

    def _begin(self, settings: dict[str, Any] | None, replace: bool, forget: str) -> None:
        exists = (self._store / INDEX).exists()
        written = read_index(self.path).written if exists and not replace else _token_of(self._store)
        try:
            head, end = self._read_journal() if forget != "always" else (None, 0)
        except DataError:
            if forget == "never":
                raise
            head = None
        if head is not None and (head["token"] == written or (not self.entries and self.metadata is None)):
            head = None  # what it notes is in the index already, or it notes nothing
        if head is not None and head["settings"] != settings:
            if forget != "others":
                raise DataError(
                    f"{self.path!r} was left unfinished by another call ({_described(head['settings'])}, now "
                    f"{_described(settings)}); make that call again to resume it, or {REBUILD}"
                )
            head = None
        if head is not None and exists and head["anew"] and not replace:
            raise DataError(
                f"{self.path!r} holds an unfinished replacement of the finished store; reopen with mode='w' to start "
                f"over, or remove {JOURNAL!r} to add to the finished store"
            )
        if head is None:
            self.entries, self.metadata, end = {}, None, 0
            head = {"token": secrets.token_hex(8), "anew": replace, "settings": settings}
        self._resumed = list(self.entries.values())  # of an interrupted session, perhaps not on the disk yet
        self.token: str = head["token"]
        self.index = read_index(self.path) if exists and not head["anew"] else None
        (self._store / self.folder).mkdir(parents=True)
        self._journal = os.open(self._store / JOURNAL, os.O_RDWR | os.O_CREAT, 0o666)
        self._held.append(self._journal)
        os.truncate(self._journal, end)
        os.lseek(self._journal, 0, os.SEEK_END)
        if not end:
            self.note(head)

    def _read_journal(self) -> tuple[dict[str, Any] | None, int]:
        """The first line of the journal, and where its last complete line ends; takes over entries and metadata."""
        path = self._store / JOURNAL
        try:
            text = path.read_bytes()
        except FileNotFoundError:
            return None, 0
        lines = text[: text.rfind(b"\n") + 1].splitlines()
        try:
            head, *notes = [json.loads(line) for line in lines] or [None]
            for note in notes:
                if "entry" in note:
                    entry = Entry.from_json(note["entry"])
                    self.entries[entry.name] = entry
                else:
                    self.metadata = checked_strings(note["metadata"])
            if head is not None and not {"token", "anew", "settings"} <= head.keys():
                raise ValueError("its first line lacks a key")
        except DAMAGED:
            raise DataError(f"{str(path)!r} is damaged, expected the journal of a memmap store") from None
        self.entries = {name: entry for name, entry in self.entries.items() if self._is_complete(entry)}
        return head, text.rfind(b"\n") + 1

    def _is_complete(self, entry: Entry) -> bool:
        try:
            return (self._store / entry.file).stat().st_size >= entry.end
        except OSError:
            return False

    def note(self, note: dict[str, Any]) -> None:
        """Append a line to the journal."""
        assert self._journal is not None
        line = json.dumps(note).encode() + b"\n"
        begin = os.lseek(self._journal, 0, os.SEEK_CUR)
        try:
            with naming(self._store / JOURNAL):
                while line:
                    line = line[os.write(self._journal, line) :]
        except BaseException:  # a full disk, or Ctrl-C: leave no incomplete line
            os.truncate(self._journal, begin)
            os.lseek(self._journal, begin, os.SEEK_SET)
            raise

    def note_entry(self, entry: Entry) -> None:
        """Note that all of an entry has been written."""
        self.note({"entry": entry.to_json()})
        self.entries[entry.name] = entry

    def note_metadata(self, metadata: dict[str, str]) -> None:
        """Note what the store's metadata have been set to."""
        self.note({"metadata": metadata})
        self.metadata = metadata

    @property
    def has_ended(self) -> bool:
        """Whether nothing more can be written."""
        return self._journal is None

    def flush(self) -> None:
        """Wait until the journal is on the disk."""
        assert self._journal is not None
        with naming(self._store / JOURNAL):
            os.fsync(self._journal)

    def publish(self, entries: list[Entry], metadata: dict[str, str], build: dict[str, Any] | None) -> None:
        """Replace the store that readers see, and end the session; what has been written must be on the disk."""
        sync({self._store / entry.file for entry in self._resumed})
        sync({(self._store / entry.file).parent for entry in entries} | {self._store / ARRAYS})
        write_index(self._store, Index(entries, metadata, build, self.token))
        self._finish(entries)

    def drop(self) -> None:
        """End the session and leave the finished store as it is."""
        assert self.index is not None
        self._finish(self.index.entries)

    def _finish(self, entries: list[Entry]) -> None:
        """End the session, and remove all that a store with these entries does not need."""
        try:
            self._tidy(entries)
        finally:
            self.close()

    def _tidy(self, entries: list[Entry]) -> None:
        """Remove all but the index and the files of these entries; what cannot be removed is left to the next one."""
        used = {entry.file for entry in entries}
        for folder, _, names in os.walk(self._store / ARRAYS, topdown=False):
            below = Path(folder).relative_to(self._store).as_posix()
            for name in names:
                if f"{below}/{name}" not in used:
                    with contextlib.suppress(OSError):
                        Path(folder, name).unlink()
            with contextlib.suppress(OSError):  # it is not empty
                Path(folder).rmdir()
        for name in (NEW_INDEX, JOURNAL):  # the journal last: its presence says that there is something to remove
            with contextlib.suppress(OSError):
                (self._store / name).unlink()

    def close(self) -> None:
        """End the session; what it has not published can be resumed by the next."""
        if not self.has_ended:
            with contextlib.suppress(OSError):  # it is not empty
                (self._store / self.folder).rmdir()
        self.release()

    def release(self) -> None:
        """Release the lock and close the journal; in a forked process, so that the lock does not outlive the parent."""
        self._journal = None
        unlock(self._held, self._process)


_sessions: weakref.WeakSet[Session] = weakref.WeakSet()  #: of this process


def _release_all() -> None:
    for session in list(_sessions):
        session.release()


at_fork(in_child=_release_all)


def tidy(path: str) -> None:
    """Remove what is left of a session that was killed after publishing, but nothing that can be resumed."""
    if not Path(path, JOURNAL).exists():
        return
    with contextlib.suppress(DataError, OSError):  # it is being written, or another call may resume it
        session = Session(path, None, replace=False, forget="never")
        if session.index is None or session.entries or session.metadata is not None:
            session.close()
        else:
            session.drop()


def _token_of(store: Path) -> str | None:
    """The token of the session that wrote the store that is to be replaced, None if that is not known."""
    try:
        return read_index(str(store)).written
    except DataError:
        return None


def _described(settings: dict[str, Any] | None) -> str:
    return "a MemmapWriter" if settings is None else ", ".join(f"{key}={value!r}" for key, value in settings.items())
