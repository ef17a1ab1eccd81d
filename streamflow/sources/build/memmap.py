"""`build_memmap_store`: a folder of files becomes a memmap store, in parallel; what is interrupted is gone on with."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...core.label import name_of
from ...core.signals import ignored
from ...core.validate import flag, is_integer, require
from ...exceptions import DataError, WorkerDied
from ..memmap.format import INDEX, Entry, checked_path, read_index
from ..memmap.journal import Session, tidy
from ..memmap.store import MemmapStore
from ..memmap.writer import Pack, checked_array, checked_metadata, checked_shard_bytes
from ..mmap.npy_files import NpyFile

__all__ = ["build_memmap_store", "matching"]

_MOST = 32  #: files that a worker converts before it reports


def build_memmap_store(
    root: Any,
    target: Any,
    load: Callable[[str], Any] | None = None,
    pattern: str | Sequence[str] = "*.npy",
    n_workers: int = 1,
    progress: Any = False,
    on_error: str = "raise",
    overwrite: bool = False,
    shard_bytes: int | None = None,
) -> MemmapStore:
    """Build a memmap store from the files in a folder, an entry for each, and open it.

    Entries are in the order of the paths, and each is named by its path below `root`.

    Parameters
    ----------
    root : path
        The folder; folders in it are searched too, links to folders are not followed.
    target : path
        The folder of the store.
    load : function of a path, optional
        Gives an array, or an array and a mapping of metadata; None reads ``.npy`` files.
    pattern : str or sequence of str
        What the names of the files match.  Files and folders whose names begin with a dot are left out, unless it
        begins with one.
    n_workers : int
        Processes that load and write (joblib); 1: this one.
    progress : bool or callable
        A line on the standard error that is kept up to date; or what wraps the files that are done, called as
        ``progress(files, total=number)``, for instance tqdm.
    on_error : {'raise', 'skip'}
        What a file does that `load` raises for, or gives no array for: end the building, which goes on with the next
        call; or be left out, which a warning sums up and `MemmapStore.skipped` lists.
    overwrite : bool
        Whether a store that is there is replaced, once the new one is finished.
    shard_bytes : int, optional
        Arrays are packed into shards of about this size.  None: each becomes a ``.npy`` file.

    Returns
    -------
    MemmapStore
        Opened only, if it is finished and neither the files (by name, size and time) nor `pattern` nor the name of
        `load` has changed since.

    Raises
    ------
    DataError
        If there are no files, one cannot be loaded, or the store that is there was built from others.
    WorkerDied
        If a worker was killed.

    Notes
    -----
    The store appears whole or not at all.  A target that is not finished cannot be opened; the same call goes on with
    it and loads only what is missing.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> import numpy as np
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> for name in "ba":
    ...     np.save(folder / f"{name}.npy", np.full((2, ord(name) - 95), 7))
    >>> def load(path):
    ...     return np.load(path), {"bytes": pathlib.Path(path).stat().st_size}
    >>> store = build_memmap_store(folder, folder / "store", load=load)
    >>> store.names, store[1].shape, store.entry_metadata(0)
    (('a.npy', 'b.npy'), (2, 3), {'bytes': 160})
    """
    folder, store = Path(checked_path(root, "root")), checked_path(target, "target")
    require(load is None or callable(load), "load", "None or a function of a path", load)
    patterns = [pattern] if isinstance(pattern, str) else list(pattern) if isinstance(pattern, (list, tuple)) else []
    ok = patterns and all(isinstance(item, str) and item for item in patterns)
    require(ok, "pattern", "text, or a list of text", pattern)
    require(is_integer(n_workers) and n_workers >= 1, "n_workers", "an integer from 1 on", n_workers)
    is_flag = isinstance(progress, (bool, np.bool_))
    require(is_flag or callable(progress), "progress", "True, False or callable", progress)
    require(isinstance(on_error, str) and on_error in {"raise", "skip"}, "on_error", "'raise' or 'skip'", on_error)
    flag("overwrite", overwrite)
    checked_shard_bytes(shard_bytes)
    files = _found(folder, patterns, Path(store))
    settings = {"load": None if load is None else name_of(load), "pattern": patterns}
    if not overwrite and Path(store, INDEX).exists():
        _check_unchanged(store, files, settings, on_error)
        tidy(store)
        return MemmapStore(store)
    session = Session(store, settings, anew=True, forget="others" if overwrite else "never")
    try:
        skipped = _build(
            session,
            files,
            _Work(load, int(n_workers), bool(progress) if is_flag else progress, on_error, shard_bytes),
            settings,
        )
    finally:
        session.close()
    if skipped:
        _sum_up(store, skipped, len(files))
    return MemmapStore(store)


@dataclass(frozen=True)
class _Work:
    """How the files are converted; see `build_memmap_store`."""

    load: Callable[[str], Any] | None
    n_workers: int
    progress: Any
    on_error: str
    shard_bytes: int | None


@dataclass(frozen=True)
class _File:
    """A file that is to be an entry."""

    name: str
    path: str
    stamp: tuple[int, ...]  #: its size and time


@dataclass(frozen=True)
class _Failure:
    """A file that gave no entry."""

    file: _File
    error: str
    traceback: str

    def raised(self) -> DataError:
        """It as an error."""
        told = (
            self.error if repr(self.file.path) in self.error else f"{self.file.path!r} cannot be loaded: {self.error}"
        )
        error = DataError(told)
        error.add_note(self.traceback)
        return error


#: What becomes of files.
Results = Generator[Entry | _Failure, None, None]


def _found(root: Path, patterns: list[str], target: Path) -> list[_File]:
    """The files, in the order of their paths."""
    if not root.is_dir():
        what = "is a file" if root.exists() else "does not exist"
        raise DataError(f"{str(root)!r} {what}, expected a folder of files to build a store from")
    try:
        paths = matching(root, patterns)
    except (ValueError, NotImplementedError) as error:
        require(False, "pattern", f"what names of files can match ({error})", patterns)
    inside = target.resolve().relative_to(root.resolve()) if target.resolve().is_relative_to(root.resolve()) else None
    if inside is not None:
        paths = [path for path in paths if not path.is_relative_to(root / inside)]
    if not paths:
        raise DataError(f"{str(root)!r} has no file that matches {' or '.join(map(repr, patterns))}, expected some")
    return [_File(path.relative_to(root).as_posix(), str(path), _stamp(path)) for path in paths]


def matching(root: Path, patterns: list[str]) -> list[Path]:
    """The files below a folder that match, in order, without those that are hidden."""
    return sorted({path for pattern in patterns for path in root.rglob(pattern) if _is_wanted(path, root, pattern)})


def _is_wanted(path: Path, root: Path, pattern: str) -> bool:
    """Whether it is a file, or a link to nothing, and not hidden."""
    hidden = any(part.startswith(".") for part in path.relative_to(root).parts) and not pattern.startswith(".")
    return not hidden and (path.is_file() or not path.exists())


def _stamp(path: Path) -> tuple[int, ...]:
    try:
        known = path.stat()
    except OSError:  # a link to nothing: to load it will tell
        return ()
    return known.st_size, known.st_mtime_ns


def _check_unchanged(store: str, files: list[_File], settings: dict[str, Any], on_error: str) -> None:
    """Raise unless the finished store is what the same call would build."""
    index = read_index(store)
    advice = "expected the same call; overwrite=True builds it anew"
    if index.build is None:
        raise DataError(f"{store!r} has entries that were not built from a folder, {advice}")
    for key, value in settings.items():
        if index.build[key] != value:
            raise DataError(f"{store!r} was built with {key}={index.build[key]!r}, now {value!r}, {advice}")
    skipped = index.build["skipped"]
    before = {entry.name: entry.stamp for entry in index.entries}
    before.update({name: tuple(told["stamp"]) for name, told in skipped.items()})
    now = {file.name: file.stamp for file in files}
    changes = [
        ("is gone", before.keys() - now.keys()),
        ("is new", now.keys() - before.keys()),
        ("has changed", {name for name in now.keys() & before.keys() if now[name] != before[name]}),
    ]
    for what, names in changes:
        if names:
            told = f"{min(names)!r} {what}" + (f", and {len(names) - 1} others" if len(names) > 1 else "")
            raise DataError(f"{store!r} was built from other files ({told}), {advice}")
    if skipped and on_error == "raise":
        name, told = next(iter(skipped.items()))
        raise DataError(f"{store!r} was built without {name!r} ({told['error']}), {advice}")


def _build(session: Session, files: list[_File], work: _Work, settings: dict[str, Any]) -> list[_Failure]:
    """Convert what an interrupted call has not, and publish it; the files that were left out."""
    wanted = {file.name: file.stamp for file in files}
    places = {name: place for place, name in enumerate(wanted)}
    done = {name: entry for name, entry in session.entries.items() if wanted.get(name) == entry.stamp}
    failures = []
    missing = [file for file in files if file.name not in done]
    with closing(_converted(missing, work, session)) as results:
        for result in _shown(work.progress, results, len(missing)):
            if isinstance(result, Entry):
                session.note_entry(result)
                done[result.name] = result
            elif work.on_error == "raise":
                raise result.raised()
            else:
                failures.append(result)
    lost = wanted.keys() - done.keys() - {failure.file.name for failure in failures}
    if lost:
        raise DataError(
            f"`progress` has given back {len(missing) - len(lost)} of {len(missing)} results, expected all; the same "
            "call goes on"
        )
    if not done:
        raise failures[0].raised()
    failures.sort(key=lambda failure: places[failure.file.name])
    skipped = {failure.file.name: {"error": failure.error, "stamp": failure.file.stamp} for failure in failures}
    entries = [done[file.name] for file in files if file.name in done]
    session.flush()
    session.publish(entries, {}, {**settings, "skipped": skipped})
    return failures


def _converted(files: list[_File], work: _Work, session: Session) -> Results:
    """Load and write the files; entries come as soon as they are whole, in any order."""
    chunks = list(_chunks(files, work))
    tasks = [
        (chunk, work.load, Pack(Path(session.path), session.folder, f"{place:06d}-", work.shard_bytes))
        for place, chunk in enumerate(chunks)
    ]
    if work.n_workers == 1 or len(chunks) < 2:
        return _in_place(tasks)
    return _in_workers(tasks, work.n_workers, session.path)


def _chunks(files: list[_File], work: _Work) -> Iterator[list[_File]]:
    """The files in groups for which a worker reports once: a shard, or a small part of what each worker does."""
    most = max(1, min(_MOST, len(files) // (8 * work.n_workers)))
    chunk: list[_File] = []
    size = 0
    for file in files:
        chunk.append(file)
        size += sum(file.stamp[:1])
        if len(chunk) >= most if work.shard_bytes is None else size >= work.shard_bytes:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _in_place(tasks: list[Any]) -> Results:
    """The results of the tasks, from this process."""
    for task in tasks:
        yield from _convert(*task)


def _in_workers(tasks: list[Any], n_workers: int, store: str) -> Results:
    """The results of the tasks, from other processes."""
    import joblib
    from joblib.externals.loky.process_executor import BrokenProcessPool

    parallel = joblib.Parallel(
        n_workers, return_as="generator_unordered", batch_size=1, initializer=_end_with, initargs=(os.getpid(),)
    )
    with ignored(signal.SIGINT):  # Ctrl-C is for this process, which ends the others
        results = parallel(joblib.delayed(_convert_all)(*task) for task in tasks)
    try:
        for some in results:
            yield from some
    except BrokenProcessPool as error:
        told = " ".join(str(error).split())
        raise WorkerDied(f"a worker that built {store!r} died; the same call goes on with it: {told}") from error
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # what was not asked for any more is done at the next call
            results.close()


def _end_with(parent: int) -> None:
    """End this worker soon after its parent, however that ends."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    if os.name == "posix":
        threading.Thread(target=watch, daemon=True).start()


def _convert_all(*task: Any) -> list[Entry | _Failure]:
    return list(_convert(*task))


def _convert(files: list[_File], load: Callable[[str], Any] | None, pack: Pack) -> Results:
    """Load and write some files; all is on the disk when it ends."""
    try:
        for file in files:
            try:
                array, metadata = _loaded(file.path, load)
            except Exception as error:  # noqa: BLE001  (the user's function may raise anything)
                told = error if isinstance(error, DataError) else f"{type(error).__name__}: {error}"
                yield _Failure(file, " ".join(str(told).split()), traceback.format_exc())
            else:
                yield pack.write(array, file.name, metadata, file.stamp)
    finally:
        pack.close()


def _loaded(path: str, load: Callable[[str], Any] | None) -> tuple[Any, dict[str, Any]]:
    """The array of a file and its metadata."""
    array = NpyFile(path, allow_pickle=False).array() if load is None else load(path)
    metadata = None
    if isinstance(array, tuple):
        if len(array) != 2 or not (array[1] is None or hasattr(array[1], "keys")):
            raise DataError(f"{path!r}: `load` gave a tuple of {len(array)}, expected an array and a mapping")
        array, metadata = array
    return checked_array(array, f"what `load` gave for {path!r}"), checked_metadata(metadata)


def _sum_up(store: str, skipped: list[_Failure], total: int) -> None:
    """Warn of the files that were left out."""
    told = "; ".join(f"{failure.file.name!r}: {failure.error}" for failure in skipped[:3])
    more = f"; and {len(skipped) - 3} more" if len(skipped) > 3 else ""
    warnings.warn(
        f"{len(skipped)} of {total} files were left out of {store!r} (`skipped` lists them): {told}{more}", stacklevel=3
    )


def _shown(progress: Any, results: Iterable[Any], total: int) -> Iterable[Any]:
    """The results, with what shows how far they are."""
    if progress is True:
        return _counted(results, total)
    shown: Iterable[Any] = progress(results, total=total) if progress else results
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
