"""`Environment`: an LMDB database as all users of it in a process share it.

LMDB allows one environment per database and process, none across a fork, and no transaction while the map is resized.
So each reader and writer of a store holds a `Lease` of its environment.  Transactions share a gate; opening, resizing
and forking hold it alone.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from ...core.validate import missing
from ...exceptions import DataError
from ..mmap.kept import most_of
from .gate import Gate
from .pages import has_all_pages

__all__ = ["ABOUT", "DATA", "EXPECTED", "SAMPLES", "Closed", "Environment", "file_key", "library"]

T = TypeVar("T")
#: The file of a database in its folder.
DATA = "data.mdb"
#: The databases in a store: the samples, and the entries about all of them.
SAMPLES, ABOUT = b"samples", b"about"
#: Those in a store that ml-pyxis wrote.
_PYXIS = (b"data_db", b"meta_db")
EXPECTED = "expected a store that LMDBWriter or ml-pyxis has written"
#: `max_readers` bounds the transactions at one time over all processes; the first process to open decides it.
_SETTINGS = {"max_dbs": 8, "max_readers": 1024, "max_spare_txns": 1, "create": False, "map_size": 0}
_STEP = 1 << 20


def library() -> Any:
    """The module `lmdb`."""
    try:
        import lmdb
    except ImportError:
        raise missing("LMDBStore", "lmdb", "lmdb") from None
    return lmdb


def file_key(path: str) -> tuple[int, int] | None:
    """Identifies the file of the database in a folder; None if there is none."""
    try:
        found = Path(path, DATA).stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


class Closed(Exception):
    """The environment was closed because its leases were given back."""


#: The open environments, in the order in which they were opened.  Changed without a lock: a finalizer of a lease may
#: run at any moment.
_open: dict[Environment, None] = {}
#: How many are kept open: each holds two descriptors.
_MOST = most_of(2)


class Environment:
    """A database, opened when it is first needed."""

    def __init__(self, path: str, key: Any) -> None:
        self.path, self.key = path, key
        self.leases: list[weakref.ref[Any]] = []  #: of `Lease`
        self._lmdb = library()
        self._gate, self._writing = Gate(), threading.Lock()
        self._env: Any = None
        self._bases: dict[bytes, Any] = {}
        self._writeable = self.is_shut = False

    def read(self, work: Callable[..., T], *args: Any) -> T:
        """Return ``work(*args, transaction, databases)``, which must copy all that it takes from the map."""
        cleaned, who = False, object()
        while True:
            try:
                self._gate.enter(who)
                if self._env is not None:
                    with self._env.begin(buffers=True) as transaction:
                        return work(*args, transaction, self._bases)
            except self._lmdb.MapResizedError:
                pass  # another process has enlarged the map
            except self._lmdb.ReadersFullError as error:
                if cleaned:
                    raise self._failed(error) from error
                cleaned = True
                self._env.reader_check()  # frees the slots of processes that were killed
            except self._lmdb.Error as error:
                raise self._failed(error) from error
            finally:
                self._gate.inside.discard(who)
                if self._gate.alone is not None:
                    self._gate.wake()
            self._open_alone()

    def write(self, work: Callable[[Any, dict[bytes, Any]], T], size: int) -> T:
        """Return ``work(transaction, databases)`` once all it wrote, about `size` bytes, is in the file.

        If the map is full, it is enlarged and `work` is called again.
        """
        with self._writing:
            who = object()
            while True:
                lacking = None
                try:
                    self._gate.enter(who)
                    if self._env is not None and self._writeable:
                        self._check_place()
                        with self._env.begin(write=True) as transaction:
                            result = work(transaction, self._bases)
                        self._check_place()
                        # The samples are in the file; if its length cannot be completed now, the next writer does it.
                        with suppress(self._lmdb.Error, OSError):
                            self._complete()
                        return result
                except self._lmdb.MapFullError:
                    lacking = size
                except self._lmdb.MapResizedError:
                    pass
                except self._lmdb.Error as error:
                    raise DataError(f"{self.path!r} cannot be written ({error}); is the disk full?") from error
                finally:
                    self._gate.inside.discard(who)
                    if self._gate.alone is not None:
                        self._gate.wake()
                self._open_alone(True, lacking)

    def _open_alone(self, *args: Any) -> None:
        """Call `_follow` while no transaction runs; then close other environments if too many are open."""
        self._alone(self._follow, *args)
        for other in list(_open)[: max(0, len(_open) - _MOST)]:  # the oldest
            if other is not self:
                other._alone(other.pause)

    def _alone(self, work: Callable[..., None], *args: Any) -> None:
        """Call a function while no transaction runs."""
        who = object()
        try:
            self._gate.close(who)
            work(*args)
        finally:
            if self._gate.alone is who:
                self._gate.alone = None
            self._gate.wake()

    def _complete(self) -> None:
        """Make the file as long as its number of pages says, so that it is recognized as complete when it is opened.

        LMDB does not write pages at the end that nothing refers to.
        """
        if self._lacks():
            # the transaction keeps other writers out
            with self._env.begin(write=True), Path(self.path, DATA).open("r+b") as file:
                lacking = self._lacks()
                found = os.fstat(file.fileno())
                if lacking and (found.st_dev, found.st_ino) == self.key:
                    file.truncate(found.st_size + lacking)

    def _check_place(self) -> None:
        """Raise if the file was removed or replaced: what is written to it would be lost."""
        if not self._is_there():
            raise DataError(f"{self.path!r} was removed or replaced while it was being written")

    def _open_base(self, name: bytes) -> None:
        """Open a database if it exists."""
        while name not in self._bases:
            try:
                self._bases[name] = self._env.open_db(name, create=False)
            except self._lmdb.NotFoundError:
                return
            except self._lmdb.MapResizedError:  # it has been enlarged since it was opened
                self._env.set_mapsize(0)

    def _check_length(self) -> None:
        """Raise if the file is truncated."""
        lacking = self._lacks()
        while lacking:
            try:
                with self._env.begin() as transaction:
                    number = transaction.id()
                    if has_all_pages(Path(self.path, DATA), self._env.stat()["psize"], number):
                        return
                if self._env.info()["last_txnid"] == number:  # no writer came between
                    raise DataError(f"{self.path!r} is truncated: {DATA} lacks {lacking} bytes")
            except self._lmdb.MapResizedError:
                self._env.set_mapsize(0)

    def _lacks(self) -> int:
        """By how many bytes the file is too short."""
        needed = (self._env.info()["last_pgno"] + 1) * self._env.stat()["psize"]
        return max(0, int(needed) - Path(self.path, DATA).stat().st_size)

    def _follow(self, writeable: bool = False, lacking: int | None = None) -> None:
        """Open the environment, or adopt the size that another process gave the map, and enlarge it if need be."""
        if self.is_shut:
            raise Closed
        if self._env is not None and (self._writeable or not writeable):
            try:
                self._env.set_mapsize(0)
                if lacking is not None:
                    now = self._env.info()["map_size"]
                    self._env.set_mapsize(-(-(2 * now + 2 * lacking) // _STEP) * _STEP)
            except self._lmdb.Error as error:
                self.pause()  # it has no map now
                raise DataError(f"{self.path!r} cannot be mapped ({error}); is there enough address space?") from error
            return
        self.pause()
        if not self._is_there():
            raise DataError(f"{self.path!r} was removed or replaced since it was opened, {EXPECTED}")
        try:
            self._env = self._open(writeable or self._writeable)
            _open[self] = None
            self._check_length()
            for name in (SAMPLES, ABOUT, *_PYXIS):
                self._open_base(name)
            self._writeable = self._writeable or writeable
        except (self._lmdb.Error, OSError) as error:
            self.pause()
            raise self._failed(error) from error
        except BaseException:
            self.pause()
            raise

    def _is_there(self) -> bool:
        """Whether the file is at the path of a lease; it may have been moved, or be known by several paths."""
        for path in [self.path, *(lease.path for known in self.leases if (lease := known()) is not None)]:
            if file_key(path) == self.key:
                self.path = path
                return True
        return False

    def _open(self, writeable: bool) -> Any:
        try:
            env = self._lmdb.open(self.path, readonly=not writeable, **_SETTINGS)
        except self._lmdb.ReadonlyError:
            if writeable:
                raise
            # Without permission to write there can be no lock in the folder; safe as long as nobody writes.
            return self._lmdb.open(self.path, readonly=True, lock=False, **_SETTINGS)
        env.reader_check()
        return env

    def _failed(self, error: Exception) -> DataError:
        return DataError(f"{self.path!r} cannot be used ({str(error).removeprefix(self.path + ': ')}), {EXPECTED}")

    def pause(self) -> None:
        """Close it until it is needed again; no transaction may run."""
        env, self._env, self._bases = self._env, None, {}
        _open.pop(self, None)
        if env is not None:
            env.close()

    def shut(self) -> None:
        """Close it for good."""
        self._alone(self._end)

    def _end(self) -> None:
        self.pause()  # first: if this is interrupted, the environment stays known until the next sweep
        self.is_shut = True

    def before_fork(self) -> None:
        """Close it, so that the child inherits nothing of it, and keep all transactions out."""
        self._gate.close(self)
        self.pause()

    def after_fork(self) -> None:
        """Allow transactions again."""
        if self._gate.alone is self:
            self._gate.alone = None
        self._gate.wake()

    def after_fork_in_child(self) -> None:
        """Make it unusable; new locks, because threads that do not exist in the child may hold the old ones."""
        self._gate, self._writing, self.is_shut = Gate(), threading.Lock(), True
