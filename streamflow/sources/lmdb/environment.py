"""`Environment`: an LMDB data base as all of a process share it.

LMDB allows one environment per data base and process, none across a fork, and no transaction while the map changes its
size.  So whoever reads or writes a store holds a `Lease` of its environment; transactions run in a gate, through which
opening, growing and forking go alone.
"""

from __future__ import annotations

import os
import sys
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from ...core.validate import missing
from ...exceptions import DataError
from ..mmap.kept import most_of
from .gate import Gate
from .pages import has_all_pages

__all__ = ["ABOUT", "DATA", "EXPECTED", "SAMPLES", "Closed", "Environment", "Lease", "library"]

T = TypeVar("T")
#: The file of a data base in its folder.
DATA = "data.mdb"
#: The data bases in a store: samples by number, and what is known about all of them.
SAMPLES, ABOUT = b"samples", b"about"
#: Those in a store that ml-pyxis wrote.
_OLD = (b"data_db", b"meta_db")
EXPECTED = "expected a store that LMDBWriter or ml-pyxis has written"
#: `max_readers` is the number of transactions at one time over all processes; the first to open says it.
_SETTINGS = {"max_dbs": 8, "max_readers": 1024, "max_spare_txns": 1, "create": False, "map_size": 0}
_STEP = 1 << 20
#: It stands behind the head of the first page.
_MAGIC, _HEAD = (0xBEEFC0DE).to_bytes(4, sys.byteorder), 20


def library() -> Any:
    """The module `lmdb`."""
    try:
        import lmdb
    except ImportError:
        raise missing("LMDBStore", "lmdb", "lmdb") from None
    return lmdb


def file_key(path: str) -> tuple[int, int] | None:
    """Which file the data base in a folder is; None if there is none."""
    try:
        found = Path(path, DATA).stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


class Closed(Exception):
    """A lease was given back meanwhile."""


#: The environments that are open, in the order in which they were opened.  It is changed without a lock: what forgets
#: a lease runs at any moment.
_open: dict[Environment, None] = {}
#: How many of them are kept open: each holds two descriptors.
_MOST = most_of(2)


class Environment:
    """A data base, opened when it is first needed."""

    def __init__(self, path: str, key: Any) -> None:
        self.path, self.key = path, key
        self.leases: list[weakref.ref[Lease]] = []
        self._lmdb = library()
        self._gate, self._writing = Gate(), threading.Lock()
        self._env: Any = None
        self._bases: dict[bytes, Any] = {}
        self._writeable = self.is_shut = False

    def read(self, work: Callable[..., T], *args: Any) -> T:
        """What `work(*args, transaction, data bases)` gives; it must copy all it takes from the map."""
        cleaned, who = False, object()
        while True:
            try:
                self._gate.enter(who)
                if self._env is not None:
                    with self._env.begin(buffers=True) as transaction:
                        return work(*args, transaction, self._bases)
            except self._lmdb.MapResizedError:
                pass  # another process has let it grow
            except self._lmdb.ReadersFullError as error:
                if cleaned:
                    raise self._failed(error) from error
                cleaned = True
                self._env.reader_check()  # the places of processes that were killed
            except self._lmdb.Error as error:
                raise self._failed(error) from error
            finally:
                self._gate.inside.discard(who)
                if self._gate.alone is not None:
                    self._gate.wake()
            self._open_alone()

    def write(self, work: Callable[[Any, dict[bytes, Any]], T], size: int) -> T:
        """What `work(transaction, data bases)` gives, once all it wrote, about `size` bytes, is in the file.

        Where the map is full it grows, and `work` is called again.
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
                        # It is in the file; if that is not completed now, the next writer will do it.
                        with suppress(self._lmdb.Error, OSError):
                            self._complete()
                        return result
                except self._lmdb.MapFullError:
                    lacking = size
                except self._lmdb.MapResizedError:
                    pass
                except self._lmdb.Error as error:
                    told = f"{self.path!r} cannot be written ({error}), expected a disk that works and has room"
                    raise DataError(told) from error
                finally:
                    self._gate.inside.discard(who)
                    if self._gate.alone is not None:
                        self._gate.wake()
                self._open_alone(True, lacking)

    def _open_alone(self, *args: Any) -> None:
        """What `_follow` does, while nobody is inside; others are closed if too many are open then."""
        self._alone(self._follow, *args)
        for other in list(_open)[: max(0, len(_open) - _MOST)]:  # those that were opened first
            if other is not self:
                other._alone(other.pause)

    def _alone(self, work: Callable[..., None], *args: Any) -> None:
        """Do something while nobody is inside."""
        who = object()
        try:
            self._gate.close(who)
            work(*args)
        finally:
            if self._gate.alone is who:
                self._gate.alone = None
            self._gate.wake()

    def _complete(self) -> None:
        """Make the file as long as its last page says, so that whoever opens it sees at once that it is whole.

        LMDB leaves out pages at the end that nothing refers to.
        """
        if self._lacks():
            # nobody else may write to the file now
            with self._env.begin(write=True), Path(self.path, DATA).open("r+b") as file:
                lacking = self._lacks()
                found = os.fstat(file.fileno())
                if lacking and (found.st_dev, found.st_ino) == self.key:
                    file.truncate(found.st_size + lacking)

    def _check_place(self) -> None:
        """Raise unless its file is still where it was; what is written to another would be lost."""
        if not self._is_there():
            told = f"{self.path!r} was removed or replaced while it was written to, expected it to stay"
            raise DataError(told)

    def _open_base(self, name: bytes) -> None:
        """Open a data base if it is there."""
        while name not in self._bases:
            try:
                self._bases[name] = self._env.open_db(name, create=False)
            except self._lmdb.NotFoundError:
                return
            except self._lmdb.MapResizedError:  # it has grown since it was opened
                self._env.set_mapsize(0)

    def _check_length(self) -> None:
        lacking = self._lacks()
        while lacking:
            try:
                with self._env.begin() as transaction:
                    number = transaction.id()
                    if has_all_pages(Path(self.path, DATA), self._env.stat()["psize"], number):
                        return
                if self._env.info()["last_txnid"] == number:  # nobody has written to it meanwhile
                    raise DataError(f"{self.path!r} is truncated: expected {lacking} bytes more in {DATA}")
            except self._lmdb.MapResizedError:
                self._env.set_mapsize(0)

    def _lacks(self) -> int:
        """How many bytes the file is too short."""
        needed = (self._env.info()["last_pgno"] + 1) * self._env.stat()["psize"]
        return max(0, int(needed) - Path(self.path, DATA).stat().st_size)

    def _follow(self, writeable: bool = False, lacking: int | None = None) -> None:
        """Open it, or take over the size that it has got elsewhere, and let it grow; nobody else is inside."""
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
                told = f"{self.path!r} cannot be mapped ({error}), expected more memory for its map"
                raise DataError(told) from error
            return
        self.pause()
        if not self._is_there():
            raise DataError(f"{self.path!r} was removed or replaced since it was opened, {EXPECTED}")
        try:
            self._env = self._open(writeable or self._writeable)
            _open[self] = None
            self._check_length()
            for name in (SAMPLES, ABOUT, *_OLD):
                self._open_base(name)
            self._writeable = self._writeable or writeable
        except (self._lmdb.Error, OSError) as error:
            self.pause()
            raise self._failed(error) from error
        except BaseException:
            self.pause()
            raise

    def _is_there(self) -> bool:
        """Whether its file is where a lease says; it may have been moved, or be known by several paths."""
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
            # Whoever may not write to the folder can hold no lock in it; that is safe as long as nobody writes.
            return self._lmdb.open(self.path, readonly=True, lock=False, **_SETTINGS)
        env.reader_check()
        return env

    def _failed(self, error: Exception) -> DataError:
        return DataError(f"{self.path!r} cannot be used ({str(error).removeprefix(self.path + ': ')}), {EXPECTED}")

    def pause(self) -> None:
        """Close it until it is needed again; nobody is inside."""
        env, self._env, self._bases = self._env, None, {}
        _open.pop(self, None)
        if env is not None:
            env.close()

    def shut(self) -> None:
        """Close it for good."""
        self._alone(self._end)

    def _end(self) -> None:
        self.is_shut = True
        self.pause()

    def before_fork(self) -> None:
        """Close it, so that no child has any of it, and let nobody in."""
        self._gate.close(self)
        self.pause()

    def after_fork(self) -> None:
        """Let others in again."""
        if self._gate.alone is self:
            self._gate.alone = None
        self._gate.wake()

    def after_fork_in_child(self) -> None:
        """Turn away those that still know it; the locks may be held by threads that are not in the child."""
        self._gate, self._writing, self.is_shut = Gate(), threading.Lock(), True


class Lease:
    """The right to use an environment; given back by `close`, or when it is forgotten.

    Parameters
    ----------
    path : str
        The folder of the store.

    Raises
    ------
    DataError
        If there is no data base.
    """

    def __init__(self, path: str) -> None:
        library()
        try:
            with Path(path, DATA).open("rb") as file:
                found, head = os.fstat(file.fileno()), file.read(_HEAD)
        except (FileNotFoundError, NotADirectoryError):
            raise DataError(f"{path!r} holds no {DATA}, {EXPECTED}") from None
        except OSError as error:
            raise DataError(f"{path!r} cannot be read ({error.strerror}), {EXPECTED}") from error
        if not head:  # LMDB would begin a new one in it
            raise DataError(f"{path!r} holds an empty {DATA}, {EXPECTED}")
        if _MAGIC not in head:  # and here make a file for its locks
            raise DataError(f"{path!r} holds a {DATA} that is not of LMDB, {EXPECTED}")
        key = (found.st_dev, found.st_ino)
        with _books.lock:
            environment = _books.environments.get(key)
            if environment is None or environment.is_shut:
                environment = _books.environments[key] = Environment(path, key)
            self.environment, self.path, self.is_closed = environment, path, False
            environment.path = path  # the file is there now, and may have been moved since it was opened
            environment.leases.append(weakref.ref(self))
        self._forgotten = weakref.finalize(self, _sweep, _books)
        self._forgotten.atexit = False
        _sweep(_books)

    def close(self) -> None:
        """Give it back; the last one closes the environment."""
        self.is_closed = True
        self._forgotten.detach()
        _sweep(_books)


class _Books:
    """The environments of a process, and whether a lease was given back since they were looked at."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.environments: dict[Any, Environment] = {}
        self.changed = False


_books = _Books()


def _sweep(books: _Books) -> None:
    """Close the environments that nobody has a lease of.

    It runs at any moment, also in the middle of what holds the lock: then the holder does it afterwards.  If it is
    interrupted, the next one does the rest.
    """
    books.changed = True
    # It is the loop that takes the lock: after a call the handler of a signal might raise before `try`.
    for _ in iter(partial(books.lock.acquire, False), False):
        try:
            books.changed = False
            for environment in list(books.environments.values()):
                environment.leases = [known for known in environment.leases if not getattr(known(), "is_closed", True)]
                if not environment.leases:
                    environment.shut()
                    del books.environments[environment.key]
        finally:
            books.lock.release()
        if not books.changed:
            return


def _before_fork() -> None:
    _books.lock.acquire()
    for environment in _books.environments.values():
        environment.before_fork()


def _after_fork_in_parent() -> None:
    for environment in _books.environments.values():
        environment.after_fork()
    _books.lock.release()
    _sweep(_books)


def _after_fork_in_child() -> None:
    global _books  # noqa: PLW0603
    for environment in _books.environments.values():
        environment.after_fork_in_child()
    _books = _Books()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
