"""`NpySource`: arrays in ``.npy`` files and uncompressed ``.npz`` archives, memory-mapped.

A member of an archive that is stored without compression is a ``.npy`` file inside the archive and is mapped at its
offset there; an archive is never read as a whole.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.label import short
from ..core.validate import flag, require
from ..exceptions import DataError, ParameterError
from .arrays import ArraySource
from .handle import Handle
from .mmap.kept import keep
from .mmap.npy_files import NpyFile, NpzFile
from .reading.form import each, keys_of, picked
from .source import Source
from .stores import checked_path

__all__ = ["NpySource"]


class NpySource(Source):
    """Arrays in files written by NumPy, memory-mapped: sample i is row i of each.

    Parameters
    ----------
    files : path, or dict, list or tuple of paths
        A ``.npy`` file, or a ``.npz`` archive written by `numpy.savez`.  A single archive gives samples that are dicts
        of all its members.  In a dict the path of an archive means its member of that key, in a list or tuple its only
        member; a pair (path, name) means the member of that name.
    allow_pickle : bool
        Whether to read arrays of Python objects, which runs code in the file.  Such arrays are read as a whole.

    Raises
    ------
    ParameterError
        If `files` is not a path or a non-empty collection of paths.
    DataError
        On first use, if a file is missing, damaged, compressed, of another kind or holds Python objects, or if the
        arrays have different lengths; later, if the length of a file has changed.

    Notes
    -----
    The files are mapped when they are first needed, in each process that reads.  A stream over this source, or over a
    view of it, maps them for itself until it is closed.  Otherwise (indexing, or as part of another source such as
    `concatenate`, `zip_sources` or `CompositeSource`) they stay mapped until the source is closed or collected.  All
    sources and memmap stores of a process together keep at most a quarter as many files mapped as the process may have
    open.  The length and the keys are remembered until `close`.  The checksums of archives are not verified, so
    corrupted data in a mapped array goes unnoticed.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> np.savez(folder / "a.npz", X=np.arange(6).reshape(3, 2), y=np.arange(3))
    >>> NpySource(folder / "a.npz")[1]
    {'X': array([2, 3]), 'y': np.int64(1)}
    >>> NpySource({"X": folder / "a.npz"}).read([0, 2])["X"].tolist()
    [[0, 1], [4, 5]]
    """

    def __init__(self, files: Any, allow_pickle: bool = False) -> None:
        if isinstance(files, (Mapping, list, tuple)):
            require(files, "files", "at least one path", files)
        if isinstance(files, Mapping):
            locations: Any = {key: _location(file, key) for key, file in files.items()}
        elif isinstance(files, (list, tuple)):
            locations = tuple([_location(file, None) for file in files])
        else:
            locations = _location(files, None)
        self._set(locations, flag("allow_pickle", allow_pickle))

    def _set(self, locations: Any, allow_pickle: bool) -> None:
        self._locations, self._allow_pickle = locations, allow_pickle
        self._handle = Handle(open_arrays, locations, allow_pickle)
        #: The length and the keys; once known, they are asked for without the files.
        self._known: tuple[int, tuple[Any, ...] | None] | None = None

    def _arrays(self) -> MappedArrays:
        """The arrays; maps the files if they are not mapped."""
        arrays = self._handle.thing
        if arrays is None:
            arrays = self._handle.get()
            length, _ = self._headers()
            if len(arrays) != length:
                self._handle.close()
                raise DataError(
                    f"{self._label()} had {length} samples, now has {len(arrays)}; call close() to read it again"
                )
            for file in arrays.files:
                keep(file.memory, self, file.path)
        return arrays

    def _headers(self) -> tuple[int, tuple[Any, ...] | None]:
        """The length and the keys; maps the files for a moment if these are not known."""
        if self._known is None:
            arrays = self._handle.thing
            if arrays is None:
                arrays = open_arrays(self._locations, self._allow_pickle)
            self._known = len(arrays), arrays.keys()
        return self._known

    def _let_go(self, file: str) -> None:
        self._handle.close()

    def __len__(self) -> int:
        return self._headers()[0]

    def sample(self, index: int) -> Any:
        return self._arrays().sample(index)

    def fetch(self, indices: NDArray[np.intp]) -> Any:
        return self._arrays().fetch(indices)

    def prefetch(self, indices: NDArray[np.intp]) -> None:
        self._arrays().prefetch(indices)

    def keys(self) -> tuple[Any, ...] | None:
        return self._headers()[1] if self._is_archive() else keys_of(self._locations)

    def _is_archive(self) -> bool:
        """Whether this is a whole archive, whose keys are unknown until it is opened."""
        locations = self._locations
        return isinstance(locations, Location) and locations.name is None and locations.in_archive

    def close(self) -> None:
        self._handle.close()
        self._known = None

    def _opened(self) -> Source:
        # mapped for this stream only, so that a mux over many files maps those of its open members
        return open_arrays(self._locations, self._allow_pickle)

    def _select(self, keys: Any) -> Source:
        locations = self._locations
        if self._is_archive():
            locations = {key: replace(locations, name=key) for key in (keys if isinstance(keys, tuple) else (keys,))}
        chosen = copy.copy(self)
        chosen._set(picked(locations, keys), self._allow_pickle)
        return chosen

    def _label(self) -> str:
        return f"NpySource({_labels(self._locations)})"

    def fingerprint(self) -> str:
        return self._label()  # the paths as given


@dataclass(frozen=True)
class Location:
    """Where an array is: a file, and the member if the file is an archive."""

    given: str  #: the path as given, which is in labels, so that states stay valid when a folder moves
    path: str  #: the absolute path: other processes may have another working directory
    name: str | None = None

    @property
    def in_archive(self) -> bool:
        """Whether the file is an archive."""
        return self.path.endswith(".npz")

    def label(self) -> str:
        """What messages and states call it."""
        return f"{self.given!r}" if self.name is None else f"{self.name!r} of {self.given!r}"


def _labels(locations: Any) -> str:
    """The label of one location, or those of several, with keys if they have any."""
    labels = each(lambda location, name: location.label(), locations)
    if isinstance(labels, str):
        return labels
    return ", ".join(labels if isinstance(labels, tuple) else [f"{key}: {label}" for key, label in labels.items()])


def _location(file: Any, key: Any) -> Location:
    given, named = file, isinstance(file, tuple) and len(file) == 2
    if named:
        file, key = given
        require(isinstance(key, str), "files", "pairs of a path and a name", given)
    if not isinstance(file, (str, os.PathLike)):
        raise ParameterError(f"`files` must be a path, or a dict, list or tuple of paths, got {short(file)}")
    location = Location(os.fsdecode(file), checked_path(file, "files"))
    require(location.in_archive or not named, "files", "pairs of an archive (.npz) and a name", (location.given, key))
    return replace(location, name=key) if location.in_archive else location


class MappedArrays(ArraySource):
    """Arrays, and the mapped files that contain them."""

    def __init__(self, data: Any, files: list[NpyFile | NpzFile]) -> None:
        self._take(data, "files")
        self.files = files


def open_arrays(locations: Any, allow_pickle: bool) -> MappedArrays:
    """Map the arrays at these locations."""
    files: dict[str, NpyFile | NpzFile] = {}

    def array(location: Location, name: str = "") -> Any:
        if location.path not in files:
            files[location.path] = (NpzFile if location.in_archive else NpyFile)(location.path, allow_pickle)
        file = files[location.path]
        if isinstance(file, NpzFile) and location is locations and location.name is None:
            return {name: file.array(name) for name in file.names()}
        return file.array(location.name)

    data = each(array, locations)
    try:
        return MappedArrays(data, list(files.values()))
    except ParameterError as error:
        raise DataError(f"the files {_labels(locations)} do not fit together: {error}") from None
