"""`build_lmdb_store`: a folder of files becomes an LMDB store.

How far a build has come is noted in the store's metadata, and each transaction holds samples and the note that counts
them.  So it makes no difference whether a build is stopped by Ctrl-C, by an error or by ``kill -9``: what was not
written yet is converted again.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from ...exceptions import DataError
from ..lmdb.environment import DATA
from ..lmdb.writer import LMDBWriter
from ..stores import REBUILD, check_target, checked_path, lock, unlock
from .engine import Failure, InputFile, Results, build, find_files, load_file
from .workers import in_threads

__all__ = ["build_lmdb_store"]

_LOCK = "lock.mdb"
_NOTE, _SKIPPED = "conversion", "skipped "  #: keys of the store's metadata
#: The subfolder with the store that will replace the one that is there.
_NEXT = ".converting"
#: How much is converted before it is written.
_MOST_BYTES, _MOST_SECONDS = 16 << 20, 1.0


def build_lmdb_store(
    root: Any,
    target: Any,
    load: Callable[[InputFile], dict[str, Any]],
    kind: str,
    patterns: list[str],
    n_workers: int = 1,
    progress: Any = False,
    on_error: str = "raise",
    overwrite: bool = False,
) -> tuple[int, dict[str, str]]:
    """Build an LMDB store from the files in a folder, a sample for each, in the order of their paths.

    The parameters are those of `build_memmap_store`, apart from these.

    Parameters
    ----------
    load : function of an `InputFile`
        Returns a sample.
    kind : str
        What `load` reads, which is noted in the store: a build is resumed with the same only.
    patterns : list of str
        As `pattern` of `build_memmap_store`.
    n_workers : int
        The number of threads that load.

    Returns
    -------
    int, dict
        The number of samples, and by name why files were left out.

    Raises
    ------
    DataError
        If there are no files, one cannot be loaded, or the store that is there was built from other files or with
        other parameters.
    OSError
        If the store cannot be written.
    """
    store = Path(checked_path(target, "target"))
    files = find_files(Path(checked_path(root, "root")), patterns, store)
    check_target(store, "an LMDB store", {DATA, _LOCK})
    store.mkdir(parents=True, exist_ok=True)
    held, process = lock(store), os.getpid()
    try:
        building = _opened(store, files, load, kind, n_workers, on_error, overwrite)
        # If anything goes wrong the writer is not closed: that would write a note without its samples.
        if not building.note.finished:
            build(building, progress, on_error)
        with _os_errors():
            building.db.close()
        if building.folder != store:
            _replace(store, building.folder)
        return len(building.db), building.skipped()
    finally:
        unlock(held, process)


@dataclass
class _Note:
    """How far a build has come, as the store's metadata hold it.

    Attributes
    ----------
    kind : str
    files : int
        How many files are done, those that were left out included.
    digest : str
        Of their names, sizes and times.
    finished : bool
    """

    kind: str
    files: int = 0
    digest: str = ""
    finished: bool = False


class _Sample(NamedTuple):
    """A file that has become a sample."""

    name: str
    nbytes: int


class _Building:
    """An LMDB store that is being built, and the note of how far it has come.

    Attributes
    ----------
    folder : Path
    db : LMDBWriter
    note : _Note
    conflict : str
        Why the build cannot be resumed, if so.
    """

    def __init__(
        self, folder: Path, files: list[InputFile], load: Callable[[InputFile], Any], kind: str, n_workers: int
    ) -> None:
        self.folder, self.db = folder, LMDBWriter(folder)
        self._files, self._load, self._kind, self._n_workers = files, load, kind, n_workers
        self._hash = hashlib.blake2b(digest_size=16)
        self.note = _Note(kind)
        self.conflict = self._resume()
        self._unwritten, self._written_at = 0, time.monotonic()

    def _resume(self) -> str:
        """Read the note; gives why the build cannot be resumed, if so."""
        metadata = self.db.metadata
        if _NOTE not in metadata:
            return f"holds {len(self.db)} samples that were not built from a folder of files" if len(self.db) else ""
        try:
            note = _Note(**json.loads(metadata[_NOTE]))
            done = self._files[: note.files]
        except (ValueError, TypeError):
            return f"has damaged metadata ({_NOTE!r})"
        self.note, total = note, len(self._files)
        digest = ""
        for file in done:
            digest = self._digest_with(file)
        if note.kind != self._kind:
            return f"was built with kind={note.kind!r}, now {self._kind!r}"
        if total < note.files or (note.finished and total > note.files):
            return f"was built from other files ({note.files:,} files, now {total:,})"
        if digest != note.digest:
            return f"was built from other files (names, sizes or times of the first {note.files:,} have changed)"
        return ""

    def start_over(self) -> None:
        """Empty the store."""
        self.db.close()
        self.db, self.note = LMDBWriter(self.folder, mode="w"), _Note(self._kind)
        self._hash, self.conflict = hashlib.blake2b(digest_size=16), ""

    def _digest_with(self, file: InputFile) -> str:
        """The digest of the files so far and this one."""
        self._hash.update(json.dumps([file.name, *file.stamp]).encode())
        return self._hash.hexdigest()

    def skipped(self) -> dict[str, str]:
        """Why files were left out, by name."""
        metadata = self.db.metadata
        return {key.removeprefix(_SKIPPED): metadata[key] for key in metadata if key.startswith(_SKIPPED)}

    # ------------------------------------------------------------------ as a `Target`
    def remaining(self) -> list[InputFile]:
        return self._files[self.note.files :]

    def convert(self, files: list[InputFile]) -> Results:
        with closing(in_threads(partial(load_file, load=self._load), files, self._n_workers)) as loaded:
            for file, sample in loaded:
                # The note is set first, so that it goes with the sample if `append` writes.
                self.note.files, self.note.digest = self.note.files + 1, self._digest_with(file)
                self._set_note()
                yield sample if isinstance(sample, Failure) else self._added(file, sample)

    def _added(self, file: InputFile, sample: dict[str, Any]) -> _Sample | Failure:
        """Add a sample; a `Failure` if its form is not that of the samples before."""
        before = len(self.db)
        try:
            self.db.append(sample)
        except DataError as error:
            if len(self.db) > before:  # it was added, and could not be written
                raise _as_os_error(error) from error
            why = str(error).rpartition(f", sample {before}: ")[2]
            return Failure(file, f"{file.path!r} does not match the files before it: {why}")
        return _Sample(file.name, sum(getattr(value, "nbytes", 0) for value in sample.values()))

    def keep(self, result: _Sample) -> None:
        self._unwritten += result.nbytes
        if self._unwritten >= _MOST_BYTES or time.monotonic() > self._written_at + _MOST_SECONDS:
            with _os_errors():
                self.db.flush()
            self._unwritten, self._written_at = 0, time.monotonic()

    def leave_out(self, failure: Failure) -> None:
        self.db.metadata[_SKIPPED + failure.name] = str(failure.as_error())

    def finish(self) -> None:
        if not len(self.db):
            raise DataError(next(iter(self.skipped().values())))
        self.note.finished = True
        self._set_note()

    def _set_note(self) -> None:
        self.db.metadata[_NOTE] = json.dumps(vars(self.note))


def _opened(
    store: Path,
    files: list[InputFile],
    load: Callable[[InputFile], Any],
    kind: str,
    n_workers: int,
    on_error: str,
    overwrite: bool,
) -> _Building:
    """The build to begin or to resume: of the store itself, or of one in a subfolder that will replace it."""

    def opened(folder: Path) -> _Building:
        building = _Building(folder, files, load, kind, n_workers)
        if on_error == "raise" and not building.conflict and building.skipped():
            building.conflict = f"was built without some files ({next(iter(building.skipped().values()))})"
        return building

    building = opened(store)
    if not overwrite and building.conflict:
        raise DataError(f"{str(store)!r} {building.conflict}; {REBUILD}")
    if not overwrite or not (building.conflict or building.note.finished):
        return building
    building.db.close()
    building = opened(store / _NEXT)
    if building.conflict:
        building.start_over()
    return building


def _replace(store: Path, folder: Path) -> None:
    """Replace a store by the one in a subfolder."""
    # A data file goes with its lock file; readers that have the old ones open keep them.
    for name in (_LOCK, DATA):
        (folder / name).replace(store / name)
    shutil.rmtree(folder)


@contextmanager
def _os_errors() -> Iterator[None]:
    """Turn an error of writing into the `OSError` that a full disk raises elsewhere."""
    try:
        yield
    except DataError as error:
        raise _as_os_error(error) from error


def _as_os_error(error: DataError) -> OSError:
    return OSError(errno.EIO, str(error.__cause__ or error))
