"""`MemmapStore`: n-d arrays of any shapes with metadata, mapped from the disk."""

from __future__ import annotations

import mmap
import os
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...exceptions import DataError
from ..handle import Handle
from ..mmap.kept import CAN_ADVISE, Ahead, Stretch, keep
from ..mmap.npy_files import array_at, damaged, map_file
from ..stores import checked_path
from .format import INDEX, Entry, Index, npy_header, read_index
from .index import Entries

__all__ = ["MemmapStore"]


class MemmapStore(Entries):
    """Arrays of any shapes and dtypes with metadata, memory-mapped from a folder that `MemmapWriter` has written.

    Sample i is entry i, a read-only view of its file: only the parts that are used are read.  Further indices apply to
    the entry as in NumPy; `random_crop` may be one of them.

    Parameters
    ----------
    path : path
        The folder.

    Attributes
    ----------
    metadata : mapping of str
        Strings about the whole store, by name.
    names : tuple of str
        The names of the entries.
    skipped : mapping of str
        The files that were left out when the store was built, and why.

    Raises
    ------
    DataError
        If there is no finished store, or if its index is damaged or of a newer version.  A file that is missing,
        truncated or not what the index says raises when it is first read.

    Notes
    -----
    Opening reads the index, which runs no code; files are mapped when they are first needed.  A process keeps at most a
    quarter as many maps as it may have open files, of all stores and sources together.  A pickled store is its path:
    where it is opened again, the entries must still be the same; those that were added meanwhile are not seen.

    Examples
    --------
    >>> import tempfile
    >>> from streamflow.sources import MemmapWriter, random_crop
    >>> path = tempfile.mkdtemp()
    >>> with MemmapWriter(path) as out:
    ...     out.add(np.arange(12).reshape(3, 4), {"speaker": 3}, name="a")
    ...     out.add(np.arange(10).reshape(5, 2), {"speaker": 4}, name="b")
    >>> store = MemmapStore(path)
    >>> store[0, 1:, ..., ::-2].tolist(), store[1, random_crop(2), 0].shape, store.entry_metadata(-1)
    ([[7, 5], [11, 9]], (2,), {'speaker': 4})
    >>> store[:, -1].read([0, 1], ragged="pad", fill=-1).tolist()
    [[8, 9, 10, 11], [8, 9, -1, -1]]
    >>> len(store.scatter(0)), store.scatter(0)[3].tolist()
    (8, [0, 1])
    """

    def __init__(self, path: Any) -> None:
        self._path, self._given = checked_path(path, "path"), os.fsdecode(path)
        self._known: Index | None = read_index(self._path)
        self._same: tuple[int, str, str] | None = None
        self._files = Handle(OpenFiles, self._path)

    @property
    def _index(self) -> Index:
        index = self._known
        if index is None:
            index = read_index(self._path)
            index = replace(index, entries=index.entries[: self._identity[0]])  # without those that were added since
            if (len(index.entries), index.digest, index.places) != self._identity:
                raise _replaced(self._path)
            self._known = index
        return index

    @property
    def _identity(self) -> tuple[int, str, str]:
        """How many entries there are, and digests of their names and forms and of where they lie."""
        if self._same is None:
            self._same = len(self._index.entries), self._index.digest, self._index.places
        return self._same

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_known": None, "_same": self._identity}

    @property
    def path(self) -> str:
        """The folder."""
        return self._path

    @property
    def metadata(self) -> Mapping[str, str]:
        """The store's metadata."""
        return MappingProxyType(self._index.metadata)

    @property
    def skipped(self) -> Mapping[str, str]:
        """Why files were left out when the store was built, by name."""
        left_out = (self._index.build or {}).get("skipped", {})
        return MappingProxyType({name: skipped["error"] for name, skipped in left_out.items()})

    def __len__(self) -> int:
        return len(self._index.entries)

    def sample(self, index: int) -> Any:
        return self._files.get().array(self._index.entries[index])

    def prefetch(self, indices: NDArray[np.intp]) -> None:
        if CAN_ADVISE:
            files = self._files.get()
            files.ahead.ask(lambda: self._stretches(indices))

    def _stretches(self, indices: NDArray[np.intp]) -> Iterator[Stretch]:
        files, entries = self._files.get(), self._index.entries
        for index in indices.tolist():
            entry = entries[index]
            memory = files.memory(entry)
            if entry.begin < entry.end <= len(memory):
                yield memory, entry.begin, entry.end

    def close(self) -> None:
        self._files.close()

    def _about(self, index: int) -> Entry:
        return self._index.entries[index]

    def _shape(self, index: int) -> tuple[int, ...]:
        return self._index.entries[index].shape

    def _label(self) -> str:
        return f"MemmapStore({self._given!r} {self._identity[1][:8]})"  # states go along when the folder is moved

    def fingerprint(self) -> str:
        return self._label()


def _replaced(store: str) -> DataError:
    return DataError(f"{store!r} has been replaced since it was opened; open it again")


class OpenFiles:
    """The mapped files of a store.

    Parameters
    ----------
    store : str
    """

    def __init__(self, store: str) -> None:
        self.ahead = Ahead()
        self._store = store
        self._maps: dict[str, tuple[mmap.mmap, set[int]]] = {}
        self._lock = threading.Lock()

    def array(self, entry: Entry) -> NDArray[Any]:
        """The array of an entry."""
        memory, checked = self._mapped(entry.file)
        if entry.offset not in checked:
            self._check(entry, memory)
            checked.add(entry.offset)
        try:
            return _array(entry, memory)
        except (ValueError, OverflowError) as error:  # an array of no elements with an impossible shape
            raise damaged(self._entry_label(entry), error) from None

    def memory(self, entry: Entry) -> mmap.mmap:
        """The map of the file that an entry is in."""
        return self._mapped(entry.file)[0]

    def _mapped(self, file: str) -> tuple[mmap.mmap, set[int]]:
        """A map of a file, and the offsets of the entries that have been checked since it was mapped."""
        found = self._maps.get(file)
        if found is None:
            with self._lock:
                found = self._maps.get(file)
                if found is None:
                    found = self._maps[file] = self._map(file), set()
                    keep(found[0], self, file)
        return found

    def _map(self, file: str) -> mmap.mmap:
        try:
            return map_file(self._path(file))
        except DataError:
            if file not in {entry.file for entry in read_index(self._store).entries}:
                raise _replaced(self._store) from None
            raise

    def _let_go(self, file: str) -> None:
        self._maps.pop(file, None)

    def _check(self, entry: Entry, memory: mmap.mmap) -> None:
        """Raise unless the file holds what the index says."""
        header = npy_header(entry.dtype, entry.shape, entry.fortran, entry.offset)
        if entry.end <= len(memory) and memory[entry.offset : entry.begin] == header:
            return  # as it was written: making a header is several times as fast as parsing one
        label = self._entry_label(entry)
        found = array_at(memory, entry.offset, len(memory), label, None)
        same = (found.dtype, found.shape) == (entry.dtype, entry.shape)
        if not same or found.__array_interface__ != _array(entry, memory).__array_interface__:
            raise DataError(
                f"{label} is {found.dtype} of shape {found.shape}, expected {entry.dtype} of shape {entry.shape} as "
                f"{INDEX!r} says"
            )

    def _entry_label(self, entry: Entry) -> str:
        return f"entry {entry.name!r} in {self._path(entry.file)!r}"

    def _path(self, file: str) -> str:
        return os.path.join(self._store, file)  # noqa: PTH118  (a tenth of what a Path costs)

    def close(self) -> None:
        """Forget the maps; each is closed when no array refers to it any more."""
        self._maps.clear()


def _array(entry: Entry, memory: mmap.mmap) -> NDArray[Any]:
    return np.ndarray(entry.shape, entry.dtype, memory, entry.begin, order="F" if entry.fortran else "C")
