"""`Reading`: the samples that a source should give, and comparisons with those that it gives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.equal import same
from ..sources import Source
from ..sources.reading.form import keys_of
from .subject import describe, expect, unequal_at

__all__ = ["Reading", "agrees", "leaves"]


class Reading:
    """A source under check, and the data that it should have."""

    def __init__(self, source: Source, data: Any, n_samples: int) -> None:
        self.source, self._data = source, data
        self.random = np.random.default_rng(0)
        n, known = len(source), None if data is None else _length(data)
        expect(known in {None, n}, f"it has {n} instead of {known}")
        expect(n > 0, "it has none, so there is nothing to check")
        #: The samples that are compared.
        self.positions: NDArray[np.intp] = np.arange(n)
        if n > n_samples:
            inner = self.random.choice(np.arange(1, n - 1), max(0, n_samples - 2), replace=False)
            self.positions = np.sort(np.append(inner, [0, n - 1][:n_samples])).astype(np.intp)
        self._seen: dict[int, Any] = {}
        #: Arguments of `read`: values of different shapes are read as lists.
        self.how: dict[str, Any] = {}
        shapes = {tuple(map(np.shape, leaves(self.wanted(index)))) for index in self.positions.tolist()}
        if len(shapes) > 1:
            self.how = {"ragged": "list"}

    def wanted(self, index: int) -> Any:
        """The sample that should be at an index; without data, the one that the source gave first."""
        if self._data is not None:
            return _row(self._data, index)
        if index not in self._seen:
            self._seen[index] = _copied(self.source.sample(index))
        return self._seen[index]

    def expect(self, index: int, sample: Any, how: str = "") -> None:
        """Raise unless this is the sample at an index."""
        agrees(sample, self.wanted(index), f"sample {index}{f' {how}' if how else ''}")

    def expect_batch(self, indices: Any, batch: Any) -> None:
        """Raise unless a batch consists of the samples at these indices."""
        if not len(indices):
            expect(all(not len(leaf) for leaf in leaves(batch)), f"a batch of no samples is {describe(batch)}")
            return
        for place, index in enumerate(np.asarray(indices).tolist()):
            self.expect(index, self.row_of(batch, place, len(indices)))

    def row_of(self, batch: Any, place: int, n: int) -> Any:
        """One sample of a batch of n."""
        return _row_like(batch, self.wanted(0), place, n)

    def check(self, source: Source, random: np.random.Generator | None = None) -> None:
        """Raise unless a source gives the right samples, some one by one and all of them in a batch."""
        random = random or self.random
        order = random.permutation(self.positions)
        for index in order[:10].tolist():
            self.expect(index, source[index])
        self.expect_batch(order, source.read(order, **self.how))

    def some(self, n: int) -> list[int]:
        """A few of the positions below n."""
        return np.unique(self.random.integers(n, size=4)).tolist() if n else []

    def slices(self, n: int) -> Iterator[Any]:
        """Slices, short enough to be read even if the source is large."""
        limit = len(self.positions)
        for begin, end, step in (
            (None, limit, None),
            (-limit, None, 2),
            (limit, None, -1),
            (-1, None, -max(1, n // 9)),
        ):
            yield slice(begin, end, step)
        yield slice(0, 0)

    def index_arrays(self, n: int) -> Iterator[Any]:
        """Arrays of indices in any order, with repeats and negative ones; a list; a mask."""
        for _ in range(3):
            yield self.random.choice(self.positions, len(self.positions)) - n * self.random.integers(2)
        yield self.positions[:2].tolist()
        mask = np.zeros(n, bool)
        mask[self.positions[::2]] = True
        yield mask


def agrees(got: Any, wanted: Any, name: str) -> None:
    """Raise unless two samples are equal in form, dtypes, shapes and values."""
    if isinstance(wanted, (Mapping, tuple)):
        known, keys = keys_of(got) or (), keys_of(wanted) or ()
        if isinstance(got, Mapping) != isinstance(wanted, Mapping) or set(known) != set(keys):
            raise AssertionError(f"{name} is {describe(got)} instead of {describe(wanted)}")
        for key in keys_of(wanted) or ():
            agrees(got[key], wanted[key], f"{name} at {key!r}")
        return
    one, other = np.asarray(got), np.asarray(wanted)
    if one.dtype.kind in "OV" or other.dtype.kind in "OV":
        equal = same(got, wanted) or (one.dtype == other.dtype and same(one, other))
    else:
        # text is one type whatever its width, and a Python number has no dtype
        exact = hasattr(got, "dtype") and hasattr(wanted, "dtype") and one.dtype.kind not in "US"
        equal = (one.dtype == other.dtype if exact else one.dtype.kind == other.dtype.kind) and one.shape == other.shape
        equal = equal and bool(np.array_equal(one, other, equal_nan=one.dtype.kind in "fcmM"))
    if not equal:
        raise AssertionError(_difference(name, got, wanted))


def _difference(name: str, got: Any, wanted: Any) -> str:
    one, other = np.asarray(got), np.asarray(wanted)
    place = unequal_at(one, other)
    if place is not None:
        return f"{name} differs at {list(place)}: {describe(one[place])} instead of {describe(other[place])}"
    return f"{name} is {describe(got)} instead of {describe(wanted)}"


def leaves(data: Any) -> list[Any]:
    """All values of a sample or batch, nested ones included."""
    if isinstance(data, dict):
        return [leaf for value in data.values() for leaf in leaves(value)]
    if isinstance(data, tuple):
        return [leaf for value in data for leaf in leaves(value)]
    return [data]


def _length(data: Any) -> int:
    if isinstance(data, dict):
        return _length(next(iter(data.values())))
    return _length(data[0]) if isinstance(data, tuple) else len(data)


def _row(data: Any, index: int) -> Any:
    if isinstance(data, dict):
        return {key: _row(value, index) for key, value in data.items()}
    return tuple([_row(value, index) for value in data]) if isinstance(data, tuple) else data[index]


def _row_like(batch: Any, form: Any, place: int, n: int) -> Any:
    """One row of a batch whose samples are like `form`."""
    if isinstance(form, dict):
        expect(isinstance(batch, dict) and batch.keys() == form.keys(), f"a batch is {describe(batch)}")
        return {key: _row_like(batch[key], form[key], place, n) for key in form}
    if isinstance(form, tuple):
        expect(isinstance(batch, tuple) and len(batch) == len(form), f"a batch is {describe(batch)}")
        return tuple([_row_like(one, other, place, n) for one, other in zip(batch, form, strict=True)])
    if not hasattr(batch, "__len__") or len(batch) != n:
        raise AssertionError(f"a batch of {n} samples is {describe(batch)}")
    return batch[place]


def _copied(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _copied(value) for key, value in data.items()}
    if isinstance(data, tuple):
        return tuple([_copied(value) for value in data])
    return data.copy() if isinstance(data, np.ndarray) else data
