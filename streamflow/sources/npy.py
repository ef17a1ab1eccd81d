"""`NpySource`: arrays in ``.npy`` files and in uncompressed ``.npz`` archives, mapped in place.

A member of an archive that is stored without compression is a ``.npy`` file inside the archive, so it is mapped at its
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
from .base import Source
from .handle import Handle
from .mmap.kept import keep
from .mmap.npy_files import NpyFile, NpzFile
from .reading.form import each, keys_of, picked
from .stores import checked_path

__all__ = ["NpySource"]


class NpySource(Source):
    """Arrays in files that NumPy has written, mapped in place: sample i is row i of each.

    Parameters
    ----------
    files : path, or dict, list or tuple of paths
        A ``.npy`` file, or a ``.npz`` archive that `numpy.savez` has written.  Standing by itself an archive makes
        samples that are dicts of all its members.  In a dict, a path of an archive means the member of that key; in a
        list or tuple, its only member; a pair (path, name) means the member of that name.
    allow_pickle : bool
        Whether arrays of objects are read, which runs code that is in the file.  They are read as a whole.

    Raises
    ------
    DataError
        When it is first read: if a file is missing, is damaged or of another kind, holds objects or is compressed, or
        if the arrays are of different lengths.

    Notes
    -----
    The files are mapped when they are first needed, in each process that reads.  A stream over one such source, or
    over a view of it, maps them for itself, and lets go of them when it is closed.  What is read by hand, or as
    part of another source (`concatenate`, `collate`, `CompositeSource`), stays mapped until the source is closed or
    gone; a process keeps a quarter as many files mapped as it may have open, of all sources and memmap stores
    together.  The checksums of an archive are not checked: a bit that has flipped in a mapped array goes unseen.

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
            places: Any = {key: _place(file, key) for key, file in files.items()}
        elif isinstance(files, (list, tuple)):
            places = tuple([_place(file, None) for file in files])
        else:
            places = _place(files, None)
        flag("allow_pickle", allow_pickle)
        self._set(places, bool(allow_pickle))

    def _set(self, places: Any, allow_pickle: bool) -> None:
        self._places, self._allow_pickle = places, allow_pickle
        self._handle = Handle(open_arrays, places, allow_pickle)

    def _arrays(self) -> Opened:
        """The arrays, mapped now if they are not."""
        arrays = self._handle.thing
        if arrays is None:
            arrays = self._handle.get()
            for file in arrays.files:
                keep(file.memory, self, file.path)
        return arrays

    def _let_go(self, file: str) -> None:
        self._handle.close()

    def _glimpsed(self) -> Opened:
        """The arrays, for a question after which they need not stay mapped."""
        arrays = self._handle.thing
        return open_arrays(self._places, self._allow_pickle) if arrays is None else arrays

    def __len__(self) -> int:
        return len(self._glimpsed())

    def sample(self, index: int) -> Any:
        return self._arrays().sample(index)

    def fetch(self, indices: NDArray[np.intp]) -> Any:
        return self._arrays().fetch(indices)

    def will_need(self, indices: NDArray[np.intp]) -> None:
        self._arrays().will_need(indices)

    def keys(self) -> tuple[Any, ...] | None:
        return self._glimpsed().keys() if self._is_archive() else keys_of(self._places)

    def _is_archive(self) -> bool:
        """Whether it is all members of one archive, whose names are only known once it is open."""
        return isinstance(self._places, Place) and self._places.name is None and self._places.in_archive

    def _draws_random(self) -> bool:
        return False

    def close(self) -> None:
        self._handle.close()

    def _opened(self) -> Source:
        # of a mux over many files only those are to be mapped that are active
        return open_arrays(self._places, self._allow_pickle)

    def _select(self, keys: Any) -> Source:
        places = self._places
        if self._is_archive():
            places = {key: replace(places, name=key) for key in (keys if isinstance(keys, tuple) else (keys,))}
        chosen = copy.copy(self)
        chosen._set(picked(places, keys), self._allow_pickle)
        return chosen

    def _label(self) -> str:
        told = each(lambda place, name: place.told(), self._places)
        if isinstance(told, str):
            return f"NpySource({told})"
        inside = told if isinstance(told, tuple) else [f"{key}: {text}" for key, text in told.items()]
        return f"NpySource({', '.join(inside)})"


@dataclass(frozen=True)
class Place:
    """Where an array is: a file, and in an archive the member.

    Its words have the path as it was given, so that states go along when a folder is moved.
    """

    given: str
    path: str  #: from anywhere: the process may go to another folder, and others begin there
    name: str | None = None

    @property
    def in_archive(self) -> bool:
        """Whether the file is an archive."""
        return self.path.endswith(".npz")

    def told(self) -> str:
        """It for messages."""
        return f"{self.given!r}" if self.name is None else f"{self.name!r} of {self.given!r}"


def _place(file: Any, key: Any) -> Place:
    given, named = file, isinstance(file, tuple) and len(file) == 2
    if named:
        file, key = given
        require(isinstance(key, str), "files", "pairs of a path and a name", given)
    if not isinstance(file, (str, os.PathLike)):
        raise ParameterError(f"`files` must be a path, or a dict, list or tuple of paths, got {short(file)}")
    place = Place(os.fsdecode(file), checked_path(file, "files"))
    require(place.in_archive or not named, "files", "pairs of an archive (.npz) and a name", (place.given, key))
    return replace(place, name=key) if place.in_archive else place


class Opened(ArraySource):
    """Arrays, and the files that they lie in."""

    def __init__(self, data: Any, files: list[NpyFile | NpzFile]) -> None:
        super().__init__(data)
        self.files = files


def open_arrays(places: Any, allow_pickle: bool) -> Opened:
    """Map the arrays at these places."""
    files: dict[str, NpyFile | NpzFile] = {}

    def array(place: Place, name: str = "") -> Any:
        if place.path not in files:
            files[place.path] = (NpzFile if place.in_archive else NpyFile)(place.path, allow_pickle)
        file = files[place.path]
        if isinstance(file, NpzFile) and place is places and place.name is None:
            return {name: file.array(name) for name in file.names()}
        return file.array(place.name)

    data = each(array, places)
    try:
        return Opened(data, list(files.values()))
    except ParameterError as error:
        told = each(lambda place, name: place.told(), places)
        raise DataError(f"the files {told} do not fit together: {error}") from None
