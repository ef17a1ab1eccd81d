"""What memmap and LMDB stores share: rules for their folder, the lock of its one writer, and what `extend` takes."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from ..core.label import short
from ..core.validate import require
from ..exceptions import DataError, ParameterError

try:
    import fcntl
except ImportError:  # not on this system
    fcntl = None  # type: ignore[assignment]

__all__ = ["REBUILD", "check_elements", "check_folder", "check_place", "check_target", "checked_path", "lock", "unlock"]

#: What to do about a store that another call has built.
REBUILD = "pass overwrite=True to build it again"


def checked_path(path: Any, name: str) -> str:
    """The absolute path, which stays the same if the process changes its working directory."""
    ok = isinstance(path, (str, os.PathLike)) and "\0" not in os.fsdecode(path)
    require(ok, name, "a path", path)
    return str(Path(os.fsdecode(path)).absolute())


def check_folder(path: str, what: str) -> None:
    """Raise unless `path` is a folder, which is to be read as `what`.

    >>> check_folder("/nowhere/store", "a memmap store")
    Traceback (most recent call last):
    streamflow.exceptions.DataError: '/nowhere/store' does not exist, expected the folder of a memmap store
    """
    if not Path(path).is_dir():
        raise DataError(f"{path!r} {_found_at(Path(path))}, expected the folder of {what}")


def _found_at(path: Path) -> str:
    """What is there instead of a folder."""
    return "is a file" if path.exists() else "is a broken link" if path.is_symlink() else "does not exist"


def check_place(folder: Path, what: str) -> None:
    """Raise unless `folder` is a folder, or can be made one, for `what`."""
    if not folder.is_dir() and (folder.exists() or folder.is_symlink()):
        raise DataError(f"{str(folder)!r} {_found_at(folder)}, expected a folder for {what}")


def check_target(folder: Path, what: str, own: Collection[str]) -> None:
    """Raise unless `folder` is missing, or holds nothing but hidden files and those of `what`, which are `own`."""
    check_place(folder, what)
    if not folder.exists():
        return
    others = sorted({path.name for path in folder.iterdir() if not path.name.startswith(".")}.difference(own))
    if others:
        raise DataError(f"{str(folder)!r} holds {others[0]!r}, which is not part of {what}; choose an empty folder")


def lock(folder: Path) -> list[int]:
    """Lock a folder for one writer.

    Returns
    -------
    list of int
        For `unlock`: the descriptor that holds the lock, which the system releases however the process ends; none
        where the system or the file system has no locks.

    Raises
    ------
    DataError
        If another writer, in this process or another, holds the lock.
    """
    if fcntl is None:
        return []
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if isinstance(error, BlockingIOError):
            raise DataError(f"{str(folder)!r} is being written by another writer; wait until it has ended") from None
        return []
    return [descriptor]


def unlock(held: list[int], process: int) -> None:
    """Close descriptors, the first of which `lock` gave, and empty the list.

    In the process that locked, the lock is released explicitly: a process that was forked meanwhile would keep it.
    """
    if fcntl is not None and held and os.getpid() == process:
        with contextlib.suppress(OSError):
            fcntl.flock(held[0], fcntl.LOCK_UN)
    while held:
        os.close(held.pop())


def check_elements(name: str, values: Any, what: str, advice: str = "") -> None:
    """Raise unless `values` can be iterated over as `what`: no mapping, text or single number."""
    refused = isinstance(values, (Mapping, str, bytes)) or not hasattr(type(values), "__iter__")
    refused = refused or getattr(values, "ndim", 1) == 0
    if refused:
        got = short(values) + (f"; {advice}" if advice else "")
        raise ParameterError(f"`{name}` must be an iterable of {what}, got {got}")
