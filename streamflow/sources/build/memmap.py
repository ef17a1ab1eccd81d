"""`build_memmap_store`: a folder of files becomes a memmap store."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...core.label import name_of
from ...core.validate import choice, flag, optional_positive_integer, positive_integer, require
from ...exceptions import DataError
from ..memmap.arrays import ArrayWriter, checked_array
from ..memmap.format import INDEX, Entry, read_index
from ..memmap.journal import Session, tidy
from ..memmap.store import MemmapStore
from ..metadata import entry_metadata
from ..mmap.npy_files import NpyFile
from ..stores import REBUILD, checked_path
from .engine import Failure, InputFile, Results, build, checked_patterns, find_files, load_file
from .workers import in_processes

__all__ = ["build_memmap_store"]

#: Gives an array, or an array and metadata.
Load = Callable[[str], Any]
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

    The entries are in the order of the paths, and each is named by its path below `root`.  If the build is stopped, the
    same call resumes it and loads only what is missing.

    Parameters
    ----------
    root : path
        The folder; subfolders are searched too, but links to folders are not followed.
    target : path
        The folder of the store.
    load : function of a path, optional
        Returns an array, or a tuple of an array and a mapping of metadata; None reads ``.npy`` files.
    pattern : str, or list or tuple of str
        Takes the files whose names match (one of them).  Hidden files and folders, whose names begin with a dot, are
        left out unless the pattern begins with a dot.
    n_workers : int
        The number of processes that load and write (joblib); 1 uses this process.
    progress : bool or callable
        True shows a bar on stderr.  A callable, such as tqdm, wraps the results and is called as
        ``progress(results, total=number)``.
    on_error : {'raise', 'skip'}
        If `load` raises or does not return an array: end the build, or leave the file out.  Files that were left out
        are summed up in a warning and listed in `MemmapStore.skipped`.
    overwrite : bool
        Replace a store that is there, once the new one is finished.
    shard_bytes : int, optional
        Pack arrays into shards of about this many bytes.  None: each becomes a ``.npy`` file.

    Returns
    -------
    MemmapStore
        If it was finished before, and neither the files (by name, size and time) nor `pattern` nor the name of `load`
        have changed since, it is only opened.

    Raises
    ------
    DataError
        If there are no files, one cannot be loaded, or the store that is there was built from other files or with
        other parameters.
    WorkerDied
        If a worker was killed.

    Notes
    -----
    The store appears all at once: one that is not finished cannot be opened.

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
    patterns = checked_patterns(pattern)
    n_workers = positive_integer("n_workers", n_workers)
    is_flag = isinstance(progress, (bool, np.bool_))
    require(is_flag or callable(progress), "progress", "True, False or callable", progress)
    on_error = choice("on_error", on_error, ("raise", "skip"))
    overwrite = flag("overwrite", overwrite)
    shard_bytes = optional_positive_integer("shard_bytes", shard_bytes)
    files = find_files(folder, patterns, Path(store))
    settings = {"load": None if load is None else name_of(load), "pattern": patterns}
    if not overwrite and Path(store, INDEX).exists():
        _check_unchanged(store, files, settings, on_error)
        tidy(store)
        return MemmapStore(store)
    session = Session(store, settings, replace=True, forget="others" if overwrite else "never")
    try:
        building = _Building(session, files, settings, load, n_workers, shard_bytes)
        build(building, progress, on_error)
    finally:
        session.close()
    if building.failures:
        _warn(store, building.failures, len(files))
    return MemmapStore(store)


class _Building:
    """A memmap store that is being built; the journal of its session notes each entry."""

    def __init__(
        self,
        session: Session,
        files: list[InputFile],
        settings: dict[str, Any],
        load: Load | None,
        n_workers: int,
        shard_bytes: int | None,
    ) -> None:
        self._session, self._files, self._settings = session, files, settings
        self._load, self._n_workers, self._shard_bytes = load, n_workers, shard_bytes
        stamps = {file.name: file.stamp for file in files}
        self._done = {name: entry for name, entry in session.entries.items() if stamps.get(name) == entry.stamp}
        self.failures: list[Failure] = []

    def remaining(self) -> list[InputFile]:
        return [file for file in self._files if file.name not in self._done]

    def convert(self, files: list[InputFile]) -> Results:
        store, folder = self._session.path, self._session.folder
        tasks = [
            (chunk, self._load, ArrayWriter(Path(store), folder, f"{number:06d}-", self._shard_bytes))
            for number, chunk in enumerate(self._chunks(files))
        ]
        if self._n_workers == 1 or len(tasks) < 2:
            return _convert_here(tasks)
        died = f"a worker that built {store!r} died; the same call resumes"
        return in_processes(_convert_all, tasks, self._n_workers, died)

    def _chunks(self, files: list[InputFile]) -> Iterator[list[InputFile]]:
        """The files in groups, after each of which a worker reports: a shard, or a small part of a worker's share."""
        most = max(1, min(_MOST, len(files) // (8 * self._n_workers)))
        chunk: list[InputFile] = []
        size = 0
        for file in files:
            chunk.append(file)
            size += sum(file.stamp[:1])
            if len(chunk) >= most if self._shard_bytes is None else size >= self._shard_bytes:
                yield chunk
                chunk, size = [], 0
        if chunk:
            yield chunk

    def keep(self, result: Entry) -> None:
        self._session.note_entry(result)
        self._done[result.name] = result

    def leave_out(self, failure: Failure) -> None:
        self.failures.append(failure)

    def finish(self) -> None:
        if not self._done:
            raise self.failures[0].as_error()
        places = {file.name: place for place, file in enumerate(self._files)}
        self.failures.sort(key=lambda failure: places[failure.name])
        skipped = {failure.name: {"error": failure.error, "stamp": failure.file.stamp} for failure in self.failures}
        entries = [self._done[file.name] for file in self._files if file.name in self._done]
        self._session.flush()
        self._session.publish(entries, {}, {**self._settings, "skipped": skipped})


def _convert_here(tasks: list[Any]) -> Results:
    """The results of the tasks, from this process."""
    for task in tasks:
        yield from _convert(*task)


def _convert_all(*task: Any) -> list[Entry | Failure]:
    return list(_convert(*task))


def _convert(files: list[InputFile], load: Load | None, arrays: ArrayWriter) -> Generator[Entry | Failure, None, None]:
    """Load and write some files; all of them are on the disk when it ends."""
    try:
        for listed in files:
            file, loaded = load_file(listed, lambda file: _loaded(file.path, load))
            if isinstance(loaded, Failure):
                yield loaded
            else:
                array, metadata = loaded
                yield arrays.write(array, file.name, metadata, file.stamp)
    finally:
        arrays.close()


def _loaded(path: str, load: Load | None) -> tuple[Any, dict[str, Any]]:
    """The array of a file and its metadata."""
    array = NpyFile(path, allow_pickle=False).array() if load is None else load(path)
    metadata = None
    if isinstance(array, tuple):
        if len(array) != 2 or not (array[1] is None or hasattr(array[1], "keys")):
            raise DataError(f"{path!r}: `load` returned a tuple of {len(array)}, expected an array and a mapping")
        array, metadata = array
    return checked_array(array, f"what `load` returned for {path!r}"), entry_metadata(metadata)


def _check_unchanged(store: str, files: list[InputFile], settings: dict[str, Any], on_error: str) -> None:
    """Raise unless the finished store is what the same call would build."""
    index = read_index(store)
    if index.build is None:
        raise DataError(f"{store!r} holds entries that were not built from a folder of files; {REBUILD}")
    for key, value in settings.items():
        if index.build[key] != value:
            raise DataError(f"{store!r} was built with {key}={index.build[key]!r}, now {value!r}; {REBUILD}")
    skipped = index.build["skipped"]
    before = {entry.name: entry.stamp for entry in index.entries}
    before.update({name: tuple(about["stamp"]) for name, about in skipped.items()})
    now = {file.name: file.stamp for file in files}
    changes = [
        ("is gone", before.keys() - now.keys()),
        ("is new", now.keys() - before.keys()),
        ("has changed", {name for name in now.keys() & before.keys() if now[name] != before[name]}),
    ]
    for what, names in changes:
        if names:
            first = f"{min(names)!r} {what}" + (f", and {len(names) - 1} more" if len(names) > 1 else "")
            raise DataError(f"{store!r} was built from other files ({first}); {REBUILD}")
    if skipped and on_error == "raise":
        name, about = next(iter(skipped.items()))
        raise DataError(f"{store!r} was built without {name!r} ({about['error']}); {REBUILD}")


def _warn(store: str, skipped: list[Failure], total: int) -> None:
    """Sum up the files that were left out."""
    first = "; ".join(f"{failure.name!r}: {failure.error}" for failure in skipped[:3])
    more = f"; and {len(skipped) - 3} more" if len(skipped) > 3 else ""
    warnings.warn(
        f"{len(skipped)} of {total} files were left out of {store!r} (`skipped` lists them): {first}{more}",
        stacklevel=3,
    )
