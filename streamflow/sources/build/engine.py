"""What every build of a store from a folder of files has in common.

A build lists the files (`find_files`), skips those that an earlier call has converted, and converts the rest; each
result passes the progress bar before it is kept.  A file that cannot be loaded is a `Failure`, which ends the build or
is left out.  Where the results go, and how the store notes what has been done so that the same call resumes, is up to a
`Target`.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np

from ...core.validate import require
from ...exceptions import DataError

__all__ = [
    "Converted",
    "Failure",
    "InputFile",
    "Results",
    "Target",
    "build",
    "checked_patterns",
    "find_files",
    "load_file",
    "matching",
]


@dataclass(frozen=True)
class InputFile:
    """A file that is to be converted.

    Attributes
    ----------
    name : str
        Its path below the folder, parts joined by ``/``.
    path : str
    stamp : tuple of int
        Its size in bytes and its modification time in ns, by which a change is noticed; empty for a broken link.
    """

    name: str
    path: str
    stamp: tuple[int, ...]


@dataclass(frozen=True)
class Failure:
    """A file that could not be converted, and why, in one line."""

    file: InputFile
    error: str
    traceback: str = ""

    @property
    def name(self) -> str:
        """The name of the file."""
        return self.file.name

    def as_error(self) -> DataError:
        """An error that names the file, with the traceback as a note."""
        known = repr(self.file.path) in self.error
        error = DataError(self.error if known else f"{self.file.path!r} cannot be loaded: {self.error}")
        if self.traceback:
            error.add_note(self.traceback)
        return error


class Converted(Protocol):
    """A file that has been converted."""

    @property
    def name(self) -> str:
        """The name of the file."""

    @property
    def nbytes(self) -> int:
        """The bytes of its arrays."""


Results: TypeAlias = Generator[Converted | Failure, None, None]


class Target(Protocol):
    """A store that is being built."""

    def remaining(self) -> list[InputFile]:
        """The files that are still to be converted."""

    def convert(self, files: list[InputFile]) -> Results:
        """Convert files, in any order."""

    def keep(self, result: Any) -> None:
        """Note that a file has been converted: the next call need not do so again."""

    def leave_out(self, failure: Failure) -> None:
        """Note that a file is left out, and why."""

    def finish(self) -> None:
        """Complete the store after the last file.  Raises if all files were left out."""


def build(target: Target, progress: Any, on_error: str) -> None:
    """Convert the files that a store lacks, and finish it.

    Parameters
    ----------
    target : Target
    progress : bool or callable
        True for a bar on stderr; or a function that wraps the results, called as ``progress(results, total=number)``.
    on_error : {'raise', 'skip'}
    """
    files = target.remaining()
    seen = set()
    with closing(target.convert(files)) as results:
        for result in _shown(progress, results, len(files)):
            seen.add(result.name)
            if not isinstance(result, Failure):
                target.keep(result)
            elif on_error == "raise":
                raise result.as_error()
            else:
                target.leave_out(result)
    if len(seen) < len(files):
        raise DataError(f"`progress` must pass on every result, got {len(seen)} of {len(files)}; the same call resumes")
    target.finish()


# ---------------------------------------------------------------------- the files
def checked_patterns(pattern: Any) -> list[str]:
    """The patterns of a parameter `pattern`: a str, or a list or tuple of them."""
    patterns = [pattern] if isinstance(pattern, str) else list(pattern) if isinstance(pattern, (list, tuple)) else []
    ok = patterns and all(isinstance(item, str) and item for item in patterns)
    require(ok, "pattern", "a str, or a list of str, that is not empty", pattern)
    return patterns


def find_files(root: Path, patterns: list[str], target: Path) -> list[InputFile]:
    """The files below a folder that match, in the order of their paths, without those of the store itself.

    Raises
    ------
    DataError
        If there are none.
    """
    if not root.is_dir():
        found = "is a file" if root.exists() else "does not exist"
        raise DataError(f"{str(root)!r} {found}, expected a folder of files to build a store from")
    try:
        paths = matching(root, patterns)
    except (ValueError, NotImplementedError, IndexError) as error:
        require(False, "pattern", f"a pattern for names of files ({error})", patterns)
    store, folder = target.resolve(), root.resolve()
    if store.is_relative_to(folder):
        paths = [path for path in paths if not path.is_relative_to(root / store.relative_to(folder))]
    if not paths:
        raise DataError(f"{str(root)!r} has no file that matches {' or '.join(map(repr, patterns))}")
    return [InputFile(path.relative_to(root).as_posix(), str(path), _stamp(path)) for path in paths]


def matching(root: Path, patterns: Sequence[str]) -> list[Path]:
    """The files below a folder that match one of the patterns, in the order of their paths, without hidden ones."""
    return sorted({path for pattern in patterns for path in root.rglob(pattern) if _is_wanted(path, root, pattern)})


def _is_wanted(path: Path, root: Path, pattern: str) -> bool:
    """Whether it is a file, or a broken link, and not hidden."""
    hidden = any(part.startswith(".") for part in path.relative_to(root).parts) and not pattern.startswith(".")
    return not hidden and (path.is_file() or not path.exists())


def _stamp(path: Path) -> tuple[int, ...]:
    try:
        found = path.stat()
    except OSError:  # a broken link: loading it fails
        return ()
    return found.st_size, found.st_mtime_ns


def load_file(file: InputFile, load: Callable[[InputFile], Any]) -> tuple[InputFile, Any]:
    """The file, stamped before it was loaded, and what `load` gave, or a `Failure`."""
    file = replace(file, stamp=_stamp(Path(file.path)))
    try:
        return file, load(file)
    except Exception as error:  # noqa: BLE001  (the user's function, or a library, may raise anything)
        why = error if isinstance(error, DataError) else f"{type(error).__name__}: {error}"
        return file, Failure(file, " ".join(str(why).split()), traceback.format_exc())


# ---------------------------------------------------------------------- progress
def _shown(progress: Any, results: Iterable[Any], total: int) -> Iterable[Any]:
    """The results, passed through what shows the progress."""
    if isinstance(progress, (bool, np.bool_)):
        return _counted(results, total) if progress else results
    shown: Iterable[Any] = progress(results, total=total)
    return shown


def _counted(results: Iterable[Any], total: int) -> Iterator[Any]:
    done = percent = 0
    try:
        for done, result in enumerate(results, 1):
            if 100 * done // total > percent:
                percent = 100 * done // total
                bar = "#" * (percent // 5)
                print(f"\r{bar:<20} {percent:3d}% {done} of {total} files", end="", file=sys.stderr, flush=True)  # noqa: T201
            yield result
    finally:
        if percent:
            print(file=sys.stderr)  # noqa: T201
