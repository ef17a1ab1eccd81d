"""Columns: array-likes of any kind, read one row or many rows at a time.

A column holds one value of each sample of a source of arrays.  `column` finds the right class: for a NumPy array or
memory map, a source, an HDF5 or zarr array, anything else with a shape and a dtype, or any other sequence.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.allocator import empty
from ..core.exact import setting
from ..core.label import short
from ..core.validate import missing, require
from ..exceptions import DataError
from .handle import Handle
from .mmap.kept import Ahead, MappedArray, memory_of, stretches_of
from .reading.form import each, keys_of, transposed
from .reading.randomness import Draws
from .source import Source

__all__ = ["Column", "SourceColumn", "column", "is_column"]


class Column(ABC):
    """One column of a source of arrays."""

    @abstractmethod
    def __len__(self) -> int:
        """The number of rows."""

    @abstractmethod
    def row(self, index: int) -> Any:
        """One row; for a NumPy array a read-only view."""

    @abstractmethod
    def rows(self, indices: NDArray[np.intp]) -> Any:
        """Many rows: a fresh array, or a list of values that are still to be stacked."""

    def prefetch(self, indices: NDArray[np.intp]) -> None:  # noqa: B027  (a no-op unless overridden)
        """Ask the operating system for rows that will be read soon."""

    def close(self) -> None:  # noqa: B027  (a no-op unless overridden)
        """Close what this process holds open."""

    def keys(self) -> tuple[Any, ...] | None:
        """The keys of rows that are dicts, the positions of rows that are tuples, None for others."""
        return None

    def bound(self, indices: NDArray[np.intp], draws: Draws) -> Column:
        """The column from which a stream reads these rows, each once and in this order, by these draws."""
        return self

    @abstractmethod
    def label(self) -> str:
        """Its type, dtype and shape, for messages."""

    def text(self) -> str:
        """What it is, for states: small data by value."""
        return self.label()


def is_column(data: Any) -> bool:
    """Whether something has a length and can be indexed, and is not text."""
    shape = getattr(data, "shape", None)
    sized = len(shape) > 0 if isinstance(shape, tuple) else hasattr(type(data), "__len__")
    return sized and hasattr(type(data), "__getitem__") and not isinstance(data, (str, bytes, Mapping))


def column(data: Any, name: str) -> Column:
    """An array-like as a column; errors call it `name`."""
    if isinstance(data, Column):
        return data
    if isinstance(data, Source):
        return SourceColumn(data)
    if isinstance(data, np.ndarray):
        require(data.ndim, name, "an array with at least one axis", data)
        if data.dtype == object and data.ndim == 1 and data.size and all(isinstance(one, np.ndarray) for one in data):
            return SequenceColumn(data.tolist())  # arrays of different shapes
        return ArrayColumn(data)
    library = type(data).__module__.partition(".")[0]
    if library == "pandas":
        return ArrayColumn(data.to_numpy())  # its own [] looks up labels
    if library in {"h5py", "zarr"}:  # a group has no shape
        require(getattr(data, "shape", ()), name, "an array with at least one axis", data)
    if library == "h5py":
        return H5Column(data)
    if library == "zarr":
        return ZarrColumn(data)
    require(is_column(data) or isinstance(data, (str, bytes)), name, "an array or anything with a length and []", data)
    return ArrayLikeColumn(data) if hasattr(data, "shape") and hasattr(data, "dtype") else SequenceColumn(data)


class ArrayColumn(Column):
    """A NumPy array, in memory or mapped from a file; a mapped array is pickled by its path."""

    def __init__(self, array: NDArray[Any]) -> None:
        plain = type(array) in {np.ndarray, np.memmap}  # subclasses may have masks and the like
        self._array = array.view(np.ndarray if plain else type(array))
        self._array.flags.writeable = False
        self._ahead = None if memory_of(self._array) is None else Ahead()
        self._bytes: NDArray[Any] | None = None
        size = array.nbytes // len(array) if len(array) else 0
        if plain and 0 < size < 1 << 31 and not array.dtype.hasobject and array.flags.c_contiguous:
            # Rows as opaque bytes, which `take` copies whole even if the array is not aligned.
            self._bytes = np.ndarray((len(array),), f"V{size}", self._array)

    def __len__(self) -> int:
        return len(self._array)

    def row(self, index: int) -> Any:
        return self._array[index]

    def rows(self, indices: NDArray[np.intp]) -> Any:
        array, rows = self._array, self._bytes
        if rows is None:
            return array[indices]
        shape = (len(indices), *array.shape[1:])
        out = empty(shape, array.dtype)
        if out is None:
            out = np.empty(shape, array.dtype)
        # All indices are in range; "clip" avoids a temporary copy of `out`.
        rows.take(indices, 0, np.ndarray(indices.shape, rows.dtype, out), "clip")
        return out

    def prefetch(self, indices: NDArray[np.intp]) -> None:
        if self._ahead is not None:
            self._ahead.ask(lambda: stretches_of(self._array, indices))

    def label(self) -> str:
        return f"{type(self._array).__name__}({self._array.dtype}, {self._array.shape})"

    def text(self) -> str:
        return setting(self._array)

    def __reduce__(self) -> Any:
        return _array_column, (MappedArray.of(self._array) or self._array,)


def _array_column(array: Any) -> ArrayColumn:
    return ArrayColumn(array.open() if isinstance(array, MappedArray) else array)


class SequenceColumn(Column):
    """Anything with a length and ``[int]``."""

    def __init__(self, data: Any) -> None:
        self._data = data

    def __len__(self) -> int:
        return len(self._data)

    def row(self, index: int) -> Any:
        value = self._data[index]
        return each(_read_only, value) if isinstance(self._data, (list, tuple)) else value

    def rows(self, indices: NDArray[np.intp]) -> Any:
        return transposed([self._data[index] for index in indices.tolist()])

    def keys(self) -> tuple[Any, ...] | None:
        return keys_of(self._data[0]) if len(self) else None

    def label(self) -> str:
        return short(self._data)

    def text(self) -> str:
        return setting(self._data)


def _read_only(value: Any, name: str) -> Any:
    """A read-only view of an array that the caller shares with others."""
    if isinstance(value, np.ndarray):
        value = value.view()
        value.flags.writeable = False
    return value


class ArrayLikeColumn(SequenceColumn):
    """An array of another library that can be indexed by an array of integers."""

    def keys(self) -> None:
        return None

    def rows(self, indices: NDArray[np.intp]) -> Any:
        return np.array(self._data[indices])

    def label(self) -> str:
        return f"{type(self._data).__name__}({self._data.dtype}, {tuple(self._data.shape)})"

    def text(self) -> str:
        return self.label()


class ZarrColumn(ArrayLikeColumn):
    """A zarr array, read so that each chunk is decoded once."""

    def __len__(self) -> int:
        return int(self._data.shape[0])  # a zarr array has no len()

    def row(self, index: int) -> Any:
        return self._data[index]

    def rows(self, indices: NDArray[np.intp]) -> Any:
        return np.asarray(self._data.oindex[indices])


class H5Column(Column):
    """An HDF5 dataset, pickled by its path and opened again in each process."""

    def __init__(self, dataset: Any) -> None:
        self._place = (str(Path(dataset.file.filename).resolve()), dataset.name)
        self._shape, self._dtype = dataset.shape, dataset.dtype
        self._handle = Handle(open_dataset, *self._place, opened=dataset)

    def __len__(self) -> int:
        return int(self._shape[0])

    def _dataset(self) -> Any:
        dataset = self._handle.get()
        if not dataset:  # the user has closed the file
            self._handle = Handle(open_dataset, *self._place)
            dataset = self._handle.get()
        return dataset

    def row(self, index: int) -> Any:
        return self._dataset()[index]

    def rows(self, indices: NDArray[np.intp]) -> Any:
        # h5py takes ascending indices without repeats
        places, back = np.unique(indices, return_inverse=True)
        dataset = self._dataset()
        if places.size and places[-1] - places[0] + 1 == places.size:
            read = dataset[places[0] : places[-1] + 1]
        else:
            read = dataset[places]
        return read[back]

    def close(self) -> None:
        self._handle.close()

    def label(self) -> str:
        return f"Dataset({self._dtype}, {self._shape})"


def open_dataset(path: str, name: str) -> Any:
    """Open a dataset of an HDF5 file."""
    try:
        import h5py
    except ImportError:
        raise missing("ArraySource over an HDF5 dataset", "h5py", "hdf5") from None
    try:
        return h5py.File(path, "r")[name]
    except (OSError, KeyError) as error:
        why = " ".join(str(error).split())
        raise DataError(f"the HDF5 dataset {name!r} of {path!r} cannot be read: {why}") from None


class SourceColumn(Column):
    """A source as a column.

    Parameters
    ----------
    source : Source
    place : int
        Its place among the columns, which its random numbers depend on.
    """

    def __init__(self, source: Source, place: int = 0) -> None:
        self.source, self.place = source, place

    def __len__(self) -> int:
        return len(self.source)

    def row(self, index: int) -> Any:
        return self.source.sample(index)

    def rows(self, indices: NDArray[np.intp]) -> Any:
        return self.source.fetch(indices)

    def prefetch(self, indices: NDArray[np.intp]) -> None:
        self.source.prefetch(indices)

    def close(self) -> None:
        self.source.close()

    def label(self) -> str:
        return self.source._label()

    def text(self) -> str:
        return self.source.fingerprint()

    def keys(self) -> tuple[Any, ...] | None:
        return self.source.keys()

    def bound(self, indices: NDArray[np.intp], draws: Draws) -> Column:
        return SourceColumn(self.source._bound(indices, draws.below(self.place)))
