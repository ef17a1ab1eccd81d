"""Columns: array-likes of any kind, read by row or by many rows at once.

A column is what a source of arrays reads in one place of its form.  `column` finds the kind: a NumPy array or memory
map, a source, an HDF5 or zarr array, anything with the shape and dtype of an array, and else any sequence.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.describe import short
from ..core.memory import empty
from ..exceptions import require
from .base import Source
from .handle import Handle
from .mapping import MappedArray, advise

__all__ = ["Column", "column", "is_column"]


class Column(ABC):
    """One column of a source of arrays."""

    @abstractmethod
    def __len__(self) -> int:
        """How many rows there are."""

    @abstractmethod
    def row(self, index: int) -> Any:
        """One row; of a NumPy array a read-only view."""

    @abstractmethod
    def rows(self, indices: NDArray[np.intp]) -> Any:
        """Many rows: a fresh array, or a list of values that is still to be stacked."""

    def will_need(self, indices: NDArray[np.intp]) -> None:  # noqa: B027  (most have nothing to prepare)
        """These rows will be read soon."""

    def close(self) -> None:  # noqa: B027  (most hold nothing open)
        """Release what this process holds open."""

    @abstractmethod
    def told(self) -> str:
        """Its kind, dtype and shape."""


def is_column(data: Any) -> bool:
    """Whether something has a length and can be indexed, and is no text."""
    if isinstance(data, np.ndarray):
        return data.ndim > 0
    sized = hasattr(type(data), "__len__") and hasattr(type(data), "__getitem__")
    return sized and not isinstance(data, (str, bytes, Mapping))


def column(data: Any, name: str) -> Column:
    """The column of an array-like; `name` is what errors call it."""
    if isinstance(data, Column):
        return data
    if isinstance(data, Source):
        return SourceColumn(data)
    if isinstance(data, np.ndarray):
        require(data.ndim, name, "an array with at least one axis", data)
        return ArrayColumn(data)
    library = type(data).__module__.partition(".")[0]
    if library == "h5py":
        return H5Column(data)
    if library == "zarr":
        return ZarrColumn(data)
    require(
        is_column(data) or isinstance(data, (str, bytes)), name, "an array, or anything else with a length and []", data
    )
    return ArrayLikeColumn(data) if hasattr(data, "shape") and hasattr(data, "dtype") else SequenceColumn(data)


class ArrayColumn(Column):
    """A NumPy array, in memory or mapped from a file; the latter is pickled by its path."""

    def __init__(self, array: NDArray[Any]) -> None:
        self._mapped = MappedArray.of(array)
        self._array = array.view()
        self._array.flags.writeable = False
        # `take` knows nothing of masks and the like
        self._plain = type(array) in {np.ndarray, np.memmap}
        if self._plain:
            self._array = self._array.view(np.ndarray)

    def __len__(self) -> int:
        return len(self._array)

    def row(self, index: int) -> Any:
        return self._array[index]

    def rows(self, indices: NDArray[np.intp]) -> Any:
        array = self._array
        if not self._plain:
            return array[indices]
        out = empty((len(indices), *array.shape[1:]), array.dtype)
        # "clip" writes into `out` without a copy between; all indices are inside
        return array.take(indices, 0) if out is None else array.take(indices, 0, out, "clip")

    def will_need(self, indices: NDArray[np.intp]) -> None:
        if self._mapped is not None:
            advise(self._array, self._mapped.memory, indices)

    def told(self) -> str:
        return f"{type(self._array).__name__}({self._array.dtype}, {self._array.shape})"

    def __getstate__(self) -> Any:
        return self._mapped or self._array

    def __setstate__(self, state: Any) -> None:
        self.__init__(state.open() if isinstance(state, MappedArray) else state)  # type: ignore[misc]


class SequenceColumn(Column):
    """Anything with a length and [] for one integer."""

    def __init__(self, data: Any) -> None:
        self._data = data

    def __len__(self) -> int:
        return len(self._data)

    def row(self, index: int) -> Any:
        return self._data[index]

    def rows(self, indices: NDArray[np.intp]) -> Any:
        data = self._data
        return [data[index] for index in indices.tolist()]

    def told(self) -> str:
        return short(self._data)


class ArrayLikeColumn(SequenceColumn):
    """An array of another library, which takes arrays of indices."""

    def rows(self, indices: NDArray[np.intp]) -> Any:
        return np.array(self._data[indices])

    def told(self) -> str:
        return f"{type(self._data).__name__}({self._data.dtype}, {tuple(self._data.shape)})"


class ZarrColumn(ArrayLikeColumn):
    """A zarr array: it reads each chunk once."""

    def row(self, index: int) -> Any:
        return self._data[index]

    def rows(self, indices: NDArray[np.intp]) -> Any:
        return np.asarray(self._data.oindex[indices])


class H5Column(Column):
    """An HDF5 data set: pickled by its path, and opened again in each process."""

    def __init__(self, dataset: Any) -> None:
        self._place = (str(Path(dataset.file.filename).resolve()), dataset.name)
        self._shape, self._dtype = dataset.shape, dataset.dtype
        self._handle = Handle(open_dataset, *self._place, opened=dataset)

    def __len__(self) -> int:
        return int(self._shape[0])

    def row(self, index: int) -> Any:
        return self._handle.get()[index]

    def rows(self, indices: NDArray[np.intp]) -> Any:
        # it takes ascending indices without repeats
        places, back = np.unique(indices, return_inverse=True)
        dataset = self._handle.get()
        if places.size and places[-1] - places[0] + 1 == places.size:
            read = dataset[places[0] : places[-1] + 1]
        else:
            read = dataset[places]
        return read[back]

    def close(self) -> None:
        self._handle.close()

    def told(self) -> str:
        return f"Dataset({self._dtype}, {self._shape})"


def open_dataset(path: str, name: str) -> Any:
    """Open a data set of an HDF5 file."""
    import h5py

    return h5py.File(path, "r", locking=False)[name]


class SourceColumn(Column):
    """A source as a column."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def __len__(self) -> int:
        return len(self._source)

    def row(self, index: int) -> Any:
        return self._source.sample(index)

    def rows(self, indices: NDArray[np.intp]) -> Any:
        return self._source.fetch(indices)

    def will_need(self, indices: NDArray[np.intp]) -> None:
        self._source.will_need(indices)

    def close(self) -> None:
        self._source.close()

    def told(self) -> str:
        return self._source._words()
