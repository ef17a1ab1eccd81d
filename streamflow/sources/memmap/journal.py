"""`Session`: one writing of a memmap store, which may be interrupted at any moment and gone on with.

Whatever is written goes to a folder of its own and is noted in a journal once it is whole; nothing that a finished
store refers to is touched.  In the end a new index replaces the old one, which is the one moment when readers see
another store; then the journal and the files that nothing refers to are removed.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import weakref
from pathlib import Path
from typing import Any

from ...exceptions import DataError
from .format import (
    ARRAYS,
    DAMAGED,
    INDEX,
    JOURNAL,
    NEW_INDEX,
    Entry,
    Index,
    checked_texts,
    naming,
    read_index,
    sync,
    write_index,
)

try:
    import fcntl
except ImportError:  # not on this system
    fcntl = None  # type: ignore[assignment]

__all__ = ["Session", "tidy"]

_OURS = {ARRAYS, INDEX, JOURNAL, NEW_INDEX}


class Session:
    """The one process that writes to a store.

    Parameters
    ----------
    path : str
        The folder of the store; made if need be.
    settings : dict or None
        Of the call; that of an interrupted one must be the same.
    anew : bool
        Whether the store that is there is to be replaced; else what is written joins it.
    forget : {'never', 'others', 'always'}
        Whether what an interrupted writing has left is dropped: 'others' is that with other settings.

    Attributes
    ----------
    index : Index or None
        The finished store that is there, unless it is to be replaced.
    entries : dict of Entry
        What has been written since, by name.
    metadata : dict of str, or None
        What the store's metadata have been set to since.
    folder : str
        Where to write to, below the store.

    Raises
    ------
    DataError
        If another process is writing to it, or if the folder holds something else.
    """

    def __init__(self, path: str, settings: dict[str, Any] | None, anew: bool, forget: str) -> None:
        self.path = path
        self.entries: dict[str, Entry] = {}
        self.metadata: dict[str, str] | None = None
        self.folder = f"{ARRAYS}/{secrets.token_hex(4)}"
        self._store = Path(path)
        _check_folder(self._store)
        self._store.mkdir(parents=True, exist_ok=True)
        self._held: list[int] = []  # descriptors: the lock, the journal
        self._process = os.getpid()
        weakref.finalize(self, _closed, self._held, self._process)
        self._journal: int | None = None
        _sessions.add(self)
        try:
            self._held += _locked(self._store)
            self._begin(settings, anew, forget)
        except BaseException:
            self.close()
            raise

    def _begin(self, settings: dict[str, Any] | None, anew: bool, forget: str) -> None:
        there = (self._store / INDEX).exists()
        written = read_index(self.path).written if there and not anew else _written(self._store)
        try:
            head, end = self._read_journal() if forget != "always" else (None, 0)
        except DataError:
            if forget == "never":
                raise
            head = None
        if head is not None and (head["token"] == written or (not self.entries and self.metadata is None)):
            head = None  # it is in the index already, or says nothing
        if head is not None and head["settings"] != settings:
            if forget != "others":
                raise DataError(
                    f"{self.path!r} is what another call has left unfinished ({_told(head['settings'])}, now "
                    f"{_told(settings)}), expected the same call; overwriting begins anew"
                )
            head = None
        if head is not None and there and head["anew"] and not anew:
            raise DataError(
                f"{self.path!r} is what mode='w' has left unfinished beside a finished store, expected mode='w', which "
                f"begins anew; without {JOURNAL!r} what is finished can be added to"
            )
        if head is None:
            self.entries, self.metadata, end = {}, None, 0
            head = {"token": secrets.token_hex(8), "anew": anew, "settings": settings}
        self._found = list(self.entries.values())  # of an interrupted writing, perhaps not on the disk yet
        self.token: str = head["token"]
        self.index = read_index(self.path) if there and not head["anew"] else None
        (self._store / self.folder).mkdir(parents=True)
        self._journal = os.open(self._store / JOURNAL, os.O_RDWR | os.O_CREAT, 0o666)
        self._held.append(self._journal)
        os.truncate(self._journal, end)
        os.lseek(self._journal, 0, os.SEEK_END)
        if not end:
            self.note(head)

    def _read_journal(self) -> tuple[dict[str, Any] | None, int]:
        """The first line of the journal, and where its last whole line ends; entries and metadata are taken over."""
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
                    entry = Entry.of(note["entry"])
                    self.entries[entry.name] = entry
                else:
                    self.metadata = checked_texts(note["metadata"])
            if head is not None and not {"token", "anew", "settings"} <= head.keys():
                raise ValueError("it begins otherwise")
        except DAMAGED:
            raise DataError(f"{str(path)!r} is damaged, expected the journal of a memmap store") from None
        self.entries = {name: entry for name, entry in self.entries.items() if self._is_whole(entry)}
        return head, text.rfind(b"\n") + 1

    def _is_whole(self, entry: Entry) -> bool:
        try:
            return (self._store / entry.file).stat().st_size >= entry.end
        except OSError:
            return False

    def note(self, note: dict[str, Any]) -> None:
        """Write a line into the journal."""
        assert self._journal is not None
        line = json.dumps(note).encode() + b"\n"
        begin = os.lseek(self._journal, 0, os.SEEK_CUR)
        try:
            with naming(self._store / JOURNAL):
                while line:
                    line = line[os.write(self._journal, line) :]
        except BaseException:  # a full disk, or Ctrl-C: no half line stays
            os.truncate(self._journal, begin)
            os.lseek(self._journal, begin, os.SEEK_SET)
            raise

    def note_entry(self, entry: Entry) -> None:
        """An entry is whole."""
        self.note({"entry": entry.told()})
        self.entries[entry.name] = entry

    def note_metadata(self, metadata: dict[str, str]) -> None:
        """The store's metadata have been set to these."""
        self.note({"metadata": metadata})
        self.metadata = metadata

    @property
    def has_ended(self) -> bool:
        return self._journal is None

    def flush(self) -> None:
        """Wait until the journal is on the disk."""
        assert self._journal is not None
        with naming(self._store / JOURNAL):
            os.fsync(self._journal)

    def publish(self, entries: list[Entry], metadata: dict[str, str], build: dict[str, Any] | None) -> None:
        """Make this the store that readers see, and end the session; what has been written must be on the disk."""
        sync({self._store / entry.file for entry in self._found})
        sync({(self._store / entry.file).parent for entry in entries} | {self._store / ARRAYS})
        write_index(self._store, Index(entries, metadata, build, self.token))
        self._finish(entries)

    def drop(self) -> None:
        """End the session, leaving the store that is there as it is."""
        assert self.index is not None
        self._finish(self.index.entries)

    def _finish(self, entries: list[Entry]) -> None:
        """End the session, and remove what a store with these entries does not need."""
        try:
            self._tidy(entries)
        finally:
            self.close()

    def _tidy(self, entries: list[Entry]) -> None:
        """Remove all but the index and what these entries refer to; what cannot be removed is left to the next."""
        used = {entry.file for entry in entries}
        for folder, _, names in os.walk(self._store / ARRAYS, topdown=False):
            below = Path(folder).relative_to(self._store).as_posix()
            for name in names:
                if f"{below}/{name}" not in used:
                    with contextlib.suppress(OSError):
                        Path(folder, name).unlink()
            with contextlib.suppress(OSError):  # it is not empty
                Path(folder).rmdir()
        for name in (NEW_INDEX, JOURNAL):  # the journal last: where it is, there is something to tidy
            with contextlib.suppress(OSError):
                (self._store / name).unlink()

    def close(self) -> None:
        """End the session; what it has not published stays for the next."""
        if not self.has_ended:
            with contextlib.suppress(OSError):  # it is not empty
                (self._store / self.folder).rmdir()
        self.forget()  # as often as it is interrupted

    def forget(self) -> None:
        """Let go of the store; a forked process would keep the lock of a parent that is killed."""
        self._journal = None
        _closed(self._held, self._process)


_sessions: weakref.WeakSet[Session] = weakref.WeakSet()  #: of this process


def _forget_all() -> None:
    for session in list(_sessions):
        session.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)


def tidy(path: str) -> None:
    """Remove what a writing that was killed after the index was replaced has left; not what can be gone on with."""
    if not Path(path, JOURNAL).exists():
        return
    with contextlib.suppress(DataError, OSError):  # it is being written, or another call may go on with it
        session = Session(path, None, anew=False, forget="never")
        if session.index is None or session.entries or session.metadata is not None:
            session.close()
        else:
            session.drop()


def _check_folder(store: Path) -> None:
    """Raise unless it is a store, finished or not, or nothing."""
    if not store.exists():
        if store.is_symlink():
            raise DataError(f"{str(store)!r} is a link to nothing, expected a folder for a memmap store")
        return
    if not store.is_dir():
        raise DataError(f"{str(store)!r} is a file, expected a folder for a memmap store")
    others = sorted({path.name for path in store.iterdir() if not path.name.startswith(".")} - _OURS)
    if others:
        raise DataError(f"{str(store)!r} holds {others[0]!r}, expected a memmap store, an empty folder or none")


def _closed(held: list[int], process: int) -> None:
    """Close descriptors, and unlock the first: a process that was forked meanwhile would keep the lock."""
    if fcntl is not None and held and os.getpid() == process:
        with contextlib.suppress(OSError):
            fcntl.flock(held[0], fcntl.LOCK_UN)
    while held:
        os.close(held.pop())


def _locked(store: Path) -> list[int]:
    """A descriptor that is locked as long as it is open, in this process or its killed self: the system unlocks it."""
    if fcntl is None:
        return []
    descriptor = os.open(store, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if isinstance(error, BlockingIOError):
            raise DataError(
                f"{str(store)!r} is being written by another writer, expected a store that nobody writes to"
            ) from None
        return []  # a file system that cannot lock
    return [descriptor]


def _written(store: Path) -> str | None:
    """Which writing has made the store that is to be replaced, None where that cannot be told."""
    try:
        return read_index(str(store)).written
    except DataError:
        return None


def _told(settings: dict[str, Any] | None) -> str:
    return "a MemmapWriter" if settings is None else ", ".join(f"{key}={value!r}" for key, value in settings.items())
