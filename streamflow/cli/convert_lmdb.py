"""A folder of files becomes an LMDB store, which is gone on with wherever it was stopped.

What has been converted is noted in the store's metadata, and each transaction holds samples and the note that counts
them.  So to stop by Ctrl-C, by an error or by ``kill -9`` is the same: what was not written yet is converted again.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

from ..core.validate import missing
from ..exceptions import DataError
from ..sources import LMDBWriter
from .inputs import Inputs, reason, sample

try:
    import fcntl
except ImportError:  # not on this system
    fcntl = None  # type: ignore[assignment]

__all__ = ["to_lmdb"]

NOTE, SKIPPED = "conversion", "skipped "  #: keys of the store's metadata
_DATA, _LOCK = "data.mdb", "lock.mdb"
#: Below the folder of a store that is to be replaced, the one that replaces it, until it is whole.
_NEXT = ".converting"
#: How much is converted before it is written.
_MOST_BYTES, _MOST_SECONDS = 16 << 20, 1.0


@dataclass
class Note:
    """How far a conversion has come.

    Attributes
    ----------
    kind : str
    files : int
        That it is done with, the skipped ones too.
    digest : str
        Of their names, sizes and times.
    finished : bool
    """

    kind: str
    files: int = 0
    digest: str = ""
    finished: bool = False


class Marks:
    """The digest of files, one after another."""

    def __init__(self, inputs: Inputs) -> None:
        self._inputs, self._hashed = inputs, hashlib.blake2b(digest_size=16)

    def add(self, path: Path, stamp: list[int]) -> str:
        """The digest of the files so far and this one."""
        self._hashed.update(json.dumps([self._inputs.name(path), *stamp]).encode())
        return self._hashed.hexdigest()


def _stamp(path: Path) -> list[int]:
    """What tells a file from what it was before: its size and time."""
    try:
        known = path.stat()
    except OSError:  # a link to nothing: to read it will tell
        return []
    return [known.st_size, known.st_mtime_ns]


def to_lmdb(
    inputs: Inputs, target: Path, workers: int, skip: bool, overwrite: bool, progress: Callable[..., Iterable[Any]]
) -> tuple[int, dict[str, str]]:
    """Convert what has not been converted yet.

    Parameters
    ----------
    inputs : Inputs
    target : Path
        The folder of the store.
    workers : int
        Threads that decode.
    skip : bool
        Whether files that cannot be read are left out.
    overwrite : bool
        Whether another store that is there is replaced, once the new one is whole.
    progress : function
        Called as ``progress(sizes, total=number)``, wraps the bytes of each file that is done, None of one skipped.
        Not called if there is nothing to do.

    Returns
    -------
    int, dict
        How many samples there are, and why files were skipped.

    Raises
    ------
    DataError
        If a file cannot be read, or the store is another.
    OSError
        If the store cannot be written.
    """
    if find_spec("lmdb") is None:
        raise missing("streamflow convert", "lmdb", "lmdb")
    _check_folder(target)
    target.mkdir(parents=True, exist_ok=True)
    with _alone(target):
        # It is not closed if anything goes wrong, for that would write a note ahead of its samples.
        folder, db, note, marks = _opened(inputs, target, skip, overwrite)
        if not note.finished:
            for _ in progress(_converted(db, note, marks, inputs, workers, skip), total=len(inputs.paths) - note.files):
                pass
            if not len(db):
                raise DataError(next(iter(_skipped(db).values())))
            note.finished = True
            _set(db, note)
        with _writing():
            db.close()
        if folder != target:
            _replace(target, folder)
        return len(db), _skipped(db)


def _check_folder(target: Path) -> None:
    """Raise unless it is an LMDB store or nothing."""
    if not target.exists():
        return
    if not target.is_dir():
        raise DataError(f"{str(target)!r} is a file, expected a folder for an LMDB store")
    others = sorted({path.name for path in target.iterdir() if not path.name.startswith(".")} - {_DATA, _LOCK})
    if others:
        raise DataError(f"{str(target)!r} holds {others[0]!r}, expected an LMDB store, an empty folder or none")


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    """A block in which no other conversion writes there; the system unlocks it however this process ends."""
    if fcntl is None:
        yield
        return
    descriptor = os.open(target, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise DataError(f"{str(target)!r} is being converted to by another process, expected to be alone") from None
    except OSError:  # a file system that cannot lock
        pass
    try:
        yield
    finally:
        os.close(descriptor)


def _opened(inputs: Inputs, target: Path, skip: bool, overwrite: bool) -> tuple[Path, LMDBWriter, Note, Marks]:
    """The folder that is converted into, the store in it, how far it has come, and the digest so far."""
    db = LMDBWriter(target)
    note, marks, wrong = _checked(db, inputs, skip)
    if not overwrite or not (wrong or note.finished):
        if wrong:
            raise DataError(f"{str(target)!r} {wrong}, expected the same command; --overwrite converts anew")
        return target, db, note, marks
    db.close()
    folder = target / _NEXT
    db = LMDBWriter(folder)
    note, marks, wrong = _checked(db, inputs, skip)
    if wrong:
        db.close()
        db, note, marks = LMDBWriter(folder, mode="w"), Note(inputs.kind), Marks(inputs)
    return folder, db, note, marks


def _replace(target: Path, folder: Path) -> None:
    """Put the store in a folder below into the place of the one that is there."""
    # A data file goes with its lock file; whoever has the old ones open keeps them.
    for name in (_LOCK, _DATA):
        (folder / name).replace(target / name)
    shutil.rmtree(folder)


def _checked(db: LMDBWriter, inputs: Inputs, skip: bool) -> tuple[Note, Marks, str]:
    """How far the conversion has come, the digest so far, and why it cannot be gone on with."""
    marks = Marks(inputs)
    if NOTE not in db.metadata:
        wrong = f"holds {len(db)} samples that were not converted from a folder" if len(db) else ""
        return Note(inputs.kind), marks, wrong
    wrong = ""
    try:
        note = Note(**json.loads(db.metadata[NOTE]))
        digest = ""
        for path in inputs.paths[: note.files]:
            digest = marks.add(path, _stamp(path))
    except (ValueError, TypeError):
        return Note(inputs.kind), marks, f"has damaged metadata ({NOTE!r})"
    there = len(inputs.paths)
    if note.kind != inputs.kind:
        wrong = f"was converted with --kind {note.kind}, now {inputs.kind}"
    elif there < note.files or (note.finished and there > note.files):
        wrong = f"was converted from other files ({note.files:,} of them, now there are {there:,})"
    elif digest != note.digest:
        wrong = f"was converted from other files (names, sizes or times of the {note.files:,} are not what they were)"
    elif not skip and _skipped(db):
        told = next(iter(_skipped(db).values()))
        wrong = f"was converted with files left out ({told})"
    return note, marks, wrong


def _skipped(db: LMDBWriter) -> dict[str, str]:
    return {key.removeprefix(SKIPPED): db.metadata[key] for key in db.metadata if key.startswith(SKIPPED)}


def _set(db: LMDBWriter, note: Note) -> None:
    db.metadata[NOTE] = json.dumps(vars(note))


def _converted(
    db: LMDBWriter, note: Note, marks: Marks, inputs: Inputs, workers: int, skip: bool
) -> Iterator[int | None]:
    """Decode and add the files that are left; the size of each."""
    waiting, written = 0, time.monotonic()
    with closing(_decoded(inputs, note.files, workers)) as results:
        for path, stamp, result in results:
            # The note is set first, so that it goes with the sample if `append` writes.
            note.files, note.digest = note.files + 1, marks.add(path, stamp)
            _set(db, note)
            failure = result if isinstance(result, str) else _refusal(db, path, result)
            if failure:
                yield None
                if not skip:
                    raise DataError(failure)
                db.metadata[SKIPPED + inputs.name(path)] = failure
                continue
            size = sum(getattr(value, "nbytes", 0) for value in result.values())
            waiting += size
            if waiting >= _MOST_BYTES or time.monotonic() > written + _MOST_SECONDS:
                with _writing():
                    db.flush()
                waiting, written = 0, time.monotonic()
            yield size


@contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except DataError as error:
        raise _unwritten(error) from error


def _unwritten(error: DataError) -> OSError:
    """An error of LMDB, which has its own words for a disk that is full, as one of the system."""
    return OSError(errno.EIO, str(error.__cause__ or error))


def _refusal(db: LMDBWriter, path: Path, values: dict[str, Any]) -> str:
    """Add a sample; why it does not fit to those before, if so."""
    before = len(db)
    try:
        db.append(values)
    except DataError as error:
        if len(db) > before:  # it was added, and could not be written
            raise _unwritten(error) from error
        told = str(error).rpartition(f", sample {before}: ")[2]
        return f"{str(path)!r} does not fit to the files before it: {told}"
    return ""


def _decoded(inputs: Inputs, first: int, workers: int) -> Generator[tuple[Path, list[int], Any], None, None]:
    """The files from `first` on, in order, each as it was before it was read, with its sample or why there is none."""

    def decode(path: Path) -> tuple[Path, list[int], Any]:
        stamp = _stamp(path)
        try:
            return path, stamp, sample(str(path), inputs.name(path), inputs.kind)
        except Exception as error:  # noqa: BLE001  (whatever a file makes its library raise)
            return path, stamp, reason(str(path), error)

    paths = iter(inputs.paths[first:])
    if workers == 1:
        yield from map(decode, paths)
        return
    pool = ThreadPoolExecutor(workers)
    try:
        waiting = deque(pool.submit(decode, path) for path in islice(paths, 2 * workers))
        while waiting:
            yield waiting.popleft().result()
            with suppress(StopIteration):
                waiting.append(pool.submit(decode, next(paths)))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
