"""`Lease`: the right to use the environment of a store, and the list of all environments of a process."""

from __future__ import annotations

import os
import sys
import threading
import weakref
from functools import partial
from pathlib import Path
from typing import Any

from ...core.fork import at_fork
from ...exceptions import DataError
from ..stores import check_folder
from .environment import DATA, EXPECTED, Environment, library

__all__ = ["Lease"]

#: LMDB's magic number, which the first page of a file has behind its header.
_MAGIC, _HEAD = (0xBEEFC0DE).to_bytes(4, sys.byteorder), 20


class Lease:
    """The right to use an environment; given back by `close`, or when the lease is garbage.

    Parameters
    ----------
    path : str
        The folder of the store.

    Raises
    ------
    DataError
        If there is no LMDB database.
    """

    def __init__(self, path: str) -> None:
        library()
        try:
            with Path(path, DATA).open("rb") as file:
                found, head = os.fstat(file.fileno()), file.read(_HEAD)
        except (FileNotFoundError, NotADirectoryError):
            check_folder(path, "an LMDB store")
            raise DataError(f"{path!r} holds no {DATA}, {EXPECTED}") from None
        except OSError as error:
            raise DataError(f"{path!r} cannot be read ({error.strerror}), {EXPECTED}") from error
        if not head:  # LMDB would make a new database of it
            raise DataError(f"{path!r} holds an empty {DATA}, {EXPECTED}")
        if _MAGIC not in head:  # LMDB would make a lock file beside it
            raise DataError(f"{path!r} holds a {DATA} that is not an LMDB file, {EXPECTED}")
        key = (found.st_dev, found.st_ino)
        with _registry.lock:
            environment = _registry.environments.get(key)
            if environment is None or environment.is_shut:
                environment = _registry.environments[key] = Environment(path, key)
            self.environment, self.path, self.is_closed = environment, path, False
            environment.path = path  # the file may have been moved since the environment was opened
            environment.leases.append(weakref.ref(self))
        self._finalizer = weakref.finalize(self, _sweep, _registry)
        self._finalizer.atexit = False
        _sweep(_registry)

    def close(self) -> None:
        """Give it back; the last one closes the environment."""
        self.is_closed = True
        self._finalizer.detach()
        _sweep(_registry)


class _Registry:
    """The environments of a process, and whether a lease was given back since the last sweep."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.environments: dict[Any, Environment] = {}
        self.changed = False


_registry = _Registry()


def _sweep(registry: _Registry) -> None:
    """Close the environments without a lease.

    A finalizer may run this at any moment, also while the lock is held: then the holder sweeps again.  If it is
    interrupted, the next sweep does the rest.
    """
    registry.changed = True
    # The loop takes the lock: after a plain call the handler of a signal could raise before `try`.
    for _ in iter(partial(registry.lock.acquire, False), False):
        try:
            registry.changed = False
            _shut_unused(registry)
        finally:
            registry.lock.release()
        if not registry.changed:
            return


def _shut_unused(registry: _Registry) -> None:
    """Close the environments without a lease; the caller holds the lock.

    This is a function because of its loops: in CPython 3.13.0 the handler of a signal that raises when a loop inside
    ``try`` jumps back leaves the block without running its ``finally``.
    """
    for environment in list(registry.environments.values()):
        environment.leases = [known for known in environment.leases if not getattr(known(), "is_closed", True)]
        if not environment.leases:
            environment.shut()
            del registry.environments[environment.key]


def _before_fork() -> None:
    _registry.lock.acquire()
    for environment in _registry.environments.values():
        environment.before_fork()


def _after_fork_in_parent() -> None:
    for environment in _registry.environments.values():
        environment.after_fork()
    _registry.lock.release()
    _sweep(_registry)


def _after_fork_in_child() -> None:
    global _registry  # noqa: PLW0603
    for environment in _registry.environments.values():
        environment.after_fork_in_child()
    _registry = _Registry()


at_fork(before=_before_fork, in_parent=_after_fork_in_parent, in_child=_after_fork_in_child)
