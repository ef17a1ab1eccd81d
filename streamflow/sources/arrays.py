"""`ArraySource`: array-likes of equal length, read row by row."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.validate import require
from ..exceptions import ParameterError
from .columns import Column, SourceColumn, column, is_column
from .reading.form import each, keys_of, picked
from .reading.randomness import Draws, twin
from .source import Source

__all__ = ["ArraySource", "array_source"]


class ArraySource(Source):
    """Array-likes of equal length: sample i is row i of each.

    Parameters
    ----------
    data : array-like, or dict, list or tuple of array-likes
        NumPy arrays, memory maps, lists, HDF5 and zarr arrays, sources, anything with a length and ``[]``.  A dict
        gives samples that are dicts; a list or tuple of array-likes gives samples that are tuples.  A list or tuple
        without array-likes is itself the data (text counts as an array-like only beside others).

    Raises
    ------
    ParameterError
        If there are none, if something in `data` is not an array-like, or if lengths differ.

    Notes
    -----
    Nothing is copied.  A sample holds read-only views of NumPy arrays; a batch is fresh and writeable.  Elements of a
    sequence that are dicts or tuples keep their form, in batches too (a list becomes an array).  When pickled, an
    `np.memmap`, an HDF5 dataset, an `NpySource` or a store is sent by path; arrays read from these, and memory maps in
    a list, are sent with their data.  A list of arrays is a list of columns; arrays that are samples themselves belong
    in one column, ``{"x": [...]}``.

    Examples
    --------
    >>> source = ArraySource({"X": np.arange(10).reshape(5, 2), "y": list("abcde")})
    >>> source[1]
    {'X': array([2, 3]), 'y': 'b'}
    >>> for batch in source[1:].batches(3):
    ...     print(batch["X"].tolist(), batch["y"])
    [[2, 3], [4, 5], [6, 7]] ['b' 'c' 'd']
    [[8, 9]] ['e']
    """

    def __init__(self, data: Any) -> None:
        self._take(data, "data")

    def _take(self, data: Any, name: str) -> None:
        """Set the columns; errors call the data `name`."""
        if isinstance(data, Mapping):
            require(data, name, "at least one array", data)
            self._columns: Any = {key: column(value, f"{name}[{key!r}]") for key, value in data.items()}
        elif isinstance(data, (list, tuple)) and any(map(is_column, data)):
            self._columns = tuple([column(value, f"{name}[{place}]") for place, value in enumerate(data)])
        else:
            self._columns = column(data, name)
        for place, one in enumerate(self._named().values()):
            if isinstance(one, SourceColumn):
                one.place = place  # kept when keys are selected
        lengths = {key: len(one) for key, one in self._named().items()}
        first, self._length = next(iter(lengths.items()))
        for key, length in lengths.items():
            if length != self._length:
                got = f"{self._length} for {name}[{first!r}] and {length} for {name}[{key!r}]"
                advice = "" if isinstance(data, Mapping) else "; pass a list of samples as one column, {'x': [...]}"
                raise ParameterError(f"`{name}` must be arrays of equal length, got {got}{advice}")

    def _named(self) -> dict[Any, Column]:
        """The columns by key or position; a single one under the empty name."""
        columns = self._columns
        if isinstance(columns, dict):
            return columns
        return dict(enumerate(columns)) if isinstance(columns, tuple) else {"": columns}

    def __len__(self) -> int:
        return self._length

    def sample(self, index: int) -> Any:
        columns = self._columns
        if isinstance(columns, dict):
            return {key: one.row(index) for key, one in columns.items()}
        return tuple([one.row(index) for one in columns]) if isinstance(columns, tuple) else columns.row(index)

    def fetch(self, indices: NDArray[np.intp]) -> Any:
        return each(lambda one, name: one.rows(indices), self._columns)

    def prefetch(self, indices: NDArray[np.intp]) -> None:
        for one in self._named().values():
            one.prefetch(indices)

    def keys(self) -> tuple[Any, ...] | None:
        columns = self._columns
        return keys_of(columns) if isinstance(columns, (dict, tuple)) else columns.keys()

    def close(self) -> None:
        for one in self._named().values():
            one.close()

    def _sources(self) -> list[Source]:
        return [one.source for one in self._named().values() if isinstance(one, SourceColumn)]

    def _bound(self, indices: NDArray[np.intp], draws: Draws) -> Source:
        bound = twin(self)
        bound._columns = each(lambda one, name: one.bound(indices, draws), self._columns)
        return bound

    def _origin(self, index: Any) -> str:
        return ", ".join(filter(None, [source._origin(index) for source in self._sources()]))

    def _select(self, keys: Any) -> Source:
        if not isinstance(self._columns, (dict, tuple)):
            return super()._select(keys)
        chosen = copy.copy(self)
        chosen._columns = picked(self._columns, keys)
        return chosen

    def _label(self) -> str:
        return _listed(each(lambda one, name: one.label(), self._columns))

    def fingerprint(self) -> str:
        return _listed(each(lambda one, name: one.text(), self._columns))


def _listed(texts: Any) -> str:
    """The texts of the columns as those of an `ArraySource`."""
    if isinstance(texts, dict):
        texts = tuple(f"{key}: {text}" for key, text in texts.items())
    return f"ArraySource({', '.join(texts) if isinstance(texts, tuple) else texts})"


def array_source(data: Any, name: str) -> ArraySource:
    """An `ArraySource` of data that errors call `name`."""
    source = ArraySource.__new__(ArraySource)
    source._take(data, name)
    return source
