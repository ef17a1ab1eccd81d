"""Indices with several axes: the first selects entries, the others apply to each entry as in NumPy.

Entries are arrays mapped from files, so an index inside one reads only what it selects.  Many entries with an index
inside are a lazy view, `Inside`; `Scattered` has a sample for each index of an axis.
"""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.fingerprint import digest_of
from ...core.label import short
from ...core.validate import integer, require
from ...exceptions import DataError
from ...samplers import Sampler
from ...seeding import Key
from ..mmap.kept import CAN_ADVISE, Ahead, Stretch, stretches_of
from ..reading.crop import RandomCrop
from ..reading.indexing import position, selects_many
from ..reading.order import PassOrder
from ..reading.randomness import Draws, twin
from ..source import Derived, Source, View
from .format import Entry

__all__ = ["Entries"]

#: The indices inside an entry, applied one after another.
Steps = tuple[tuple[Any, ...], ...]


class Entries(Source):
    """A source whose samples are arrays that are views of files, with names and metadata."""

    @abstractmethod
    def _about(self, index: int) -> Entry:
        """The entry that a sample is, or is a part of."""

    def _shape(self, index: int) -> tuple[int, ...]:
        """The shape of a sample."""
        return np.shape(self.sample(index))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the entries."""
        return tuple([self._about(index).name for index in range(len(self))])

    def entry_metadata(self, index: int) -> dict[str, Any]:
        """The metadata of an entry, a fresh dict.

        Parameters
        ----------
        index : int
        """
        return copy.deepcopy(self._about(position(index, len(self))).metadata)

    def keys(self) -> None:
        return None

    def scatter(self, axis: int) -> Source:
        """A view with a sample for each index of an axis of each entry, which loses that axis.

        Parameters
        ----------
        axis : int
            A negative one counts from the last.

        Raises
        ------
        DataError
            If an entry has no such axis.
        """
        return Scattered(self, integer("axis", axis))

    def _view(self, at: range | NDArray[np.intp]) -> Source:
        plain = View._view(self, at) if isinstance(self, View) else View(self, at)
        assert isinstance(plain, View)
        return EntriesView(plain._source, plain._at)

    def _inside(self, index: tuple[Any, ...]) -> Any:
        first, *rest = index or (...,)
        if first is Ellipsis:
            first, rest = slice(None), [..., *rest]
        if isinstance(first, RandomCrop):
            raise IndexError(f"the first index must select entries, got {first!r}, which crops an axis of each")
        first = list(first) if isinstance(first, tuple) else first  # inside an index a tuple is a list, as for NumPy
        if not rest:
            return self[first]
        many = self[first] if selects_many(first) else None
        if many is None:
            place = position(first, len(self))
            return _applied(self.sample(place), (tuple(rest),), self._about(place).name)
        steps: Steps = (tuple(map(_frozen, rest)),)
        if isinstance(many, Inside):
            return Inside(many._source, many._steps + steps)
        return Inside(many, steps)


class EntriesView(Entries, View):
    """Some of the entries."""

    def _about(self, index: int) -> Entry:
        return _entries(self._source)._about(int(self._at[index]))

    def _shape(self, index: int) -> tuple[int, ...]:
        return _entries(self._source)._shape(int(self._at[index]))


def _entries(source: Source) -> Entries:
    assert isinstance(source, Entries)
    return source


class Inside(Entries, Derived):
    """The parts of entries that indices select.

    A `random_crop` among the indices is drawn when an entry is read; entries themselves draw nothing.
    """

    def __init__(self, source: Source, steps: Steps) -> None:
        super().__init__(source)
        self._steps = steps
        self._ahead = Ahead()
        #: In a stream: the draws of the samples that are to be read, and the generators of those not yet read.
        self._draws: Draws | None = None
        self._rngs: Iterator[np.random.Generator] | None = None

    def _random_maps(self) -> int:
        return int(any(isinstance(item, RandomCrop) for step in self._steps for item in step))

    def _bound(self, indices: NDArray[np.intp], draws: Draws) -> Source:
        bound = twin(self)
        bound._draws, bound._rngs = draws, draws.generators(0)
        return bound

    def sample(self, index: int) -> Any:
        rng = None if self._rngs is None else next(self._rngs)
        return _applied(self._source.sample(index), self._steps, self._about(index).name, rng)

    def fetch(self, indices: NDArray[np.intp]) -> Any:
        return [self.sample(index) for index in indices.tolist()]

    def prefetch(self, indices: NDArray[np.intp]) -> None:
        if self._random_maps() and self._draws is None:
            return  # nobody knows where they will be cropped
        source = self if self._draws is None else self._bound(indices, self._draws)  # it uses its generators up
        if all(isinstance(item, _BASIC) for step in self._steps for item in step):
            _ask(self._ahead, source, indices)

    def _about(self, index: int) -> Entry:
        return _entries(self._source)._about(index)

    def _view(self, at: range | NDArray[np.intp]) -> Source:
        return Inside(self._source._view(at), self._steps)

    def _label(self) -> str:
        return f"{self._source._label()}{self._step_labels()}"

    def fingerprint(self) -> str:
        return f"{self._source.fingerprint()}{self._step_labels()}"

    def _step_labels(self) -> str:
        return "".join(f"[:, {', '.join(map(_item_label, step))}]" for step in self._steps)

    def __reduce__(self) -> Any:
        return Inside, (self._source, self._steps)


class Scattered(Entries, Derived):
    """A sample for each index of an axis of each entry."""

    def __init__(self, source: Entries, axis: int) -> None:
        super().__init__(source)
        lengths = []
        require(not source._random_maps(), "scatter", "called before random crops", source)
        for index in range(len(source)):
            shape = source._shape(index)
            if not -len(shape) <= axis < len(shape):
                name = source._about(index).name
                raise DataError(f"entry {name!r} has shape {shape}, expected an axis {axis} to scatter")
            lengths.append(shape[axis])
        self._axis, self._ahead = axis, Ahead()
        self._ends = np.cumsum(lengths, dtype=np.intp)

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def sample(self, index: int) -> Any:
        entry, place = self._place(index)
        array, axis = self._source.sample(entry), self._axis
        return array[(slice(None),) * (axis if axis >= 0 else array.ndim + axis) + (place,)]

    def _place(self, index: int) -> tuple[int, int]:
        """The number of a sample's entry, and its index in that entry."""
        entry = int(self._ends.searchsorted(index, "right"))
        return entry, index - (int(self._ends[entry - 1]) if entry else 0)

    def fetch(self, indices: NDArray[np.intp]) -> Any:
        return [self.sample(index) for index in indices.tolist()]

    def prefetch(self, indices: NDArray[np.intp]) -> None:
        _ask(self._ahead, self, indices)

    def _pass_order(
        self, sampler: Sampler, key: Key, epochs: int | None, part: tuple[int, int], batch_size: int | None
    ) -> PassOrder:
        # Its length is not that of `_source`.
        return Source._pass_order(self, sampler, key, epochs, part, batch_size)

    def _bound(self, indices: NDArray[np.intp], draws: Draws) -> Source:
        return self

    def _base_indices(self, indices: NDArray[np.intp]) -> NDArray[np.intp]:
        return indices

    def _about(self, index: int) -> Entry:
        return _entries(self._source)._about(self._place(index)[0])

    def _label(self) -> str:
        return f"{self._source._label()}.scatter({self._axis})"

    def fingerprint(self) -> str:
        return f"{self._source.fingerprint()}.scatter({self._axis})"

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_ahead": Ahead()}


#: Indices of these types give views; all others copy, and so read.
_BASIC = (int, np.integer, slice, type(...), type(None), RandomCrop)


def _frozen(item: Any) -> Any:
    """An element of an index, protected against changes; lists and tuples become arrays, as in NumPy."""
    if not isinstance(item, (list, tuple, np.ndarray)):
        return item
    array = np.array(item)
    if not isinstance(item, np.ndarray) and not array.size:
        array = array.astype(np.intp)
    array.flags.writeable = False
    return copy.copy(item) if array.dtype.kind == "U" else array


def _item_label(item: Any) -> str:
    """An element of an index for labels."""
    if isinstance(item, slice):
        text = ":".join("" if part is None else str(part) for part in (item.start, item.stop, item.step))
        return text if item.step is not None else text.removesuffix(":")
    if isinstance(item, np.ndarray):
        return f"{short(item)} {digest_of([item.tobytes()])[:8]}"
    return "..." if item is Ellipsis else repr(item)


def _applied(array: Any, steps: Steps, name: str, rng: np.random.Generator | None = None) -> Any:
    """The part of an entry that the steps select."""
    for step in steps:
        try:
            index = _without_crops(step, np.shape(array), rng)
            array = array[index[0] if len(index) == 1 and isinstance(index[0], (str, list)) else index]
        except (IndexError, DataError) as error:
            raise type(error)(f"entry {name!r} of shape {np.shape(array)}: {error}") from None
    return array


def _without_crops(step: tuple[Any, ...], shape: tuple[int, ...], rng: np.random.Generator | None) -> tuple[Any, ...]:
    """An index with each random crop replaced by a slice that is drawn now."""
    if RandomCrop not in map(type, step):
        return step
    step = tuple(map(_frozen, step))
    widths = [_width(item) for item in step]
    ellipsis = next((place for place, item in enumerate(step) if item is Ellipsis), len(step))
    found = []
    for place, item in enumerate(step):
        if isinstance(item, RandomCrop):
            axis = sum(widths[:place]) if place < ellipsis else len(shape) - sum(widths[place:])
            if not 0 <= axis < len(shape):
                raise IndexError(f"too many indices for an array with {len(shape)} axes")
            item = item.within(shape[axis], rng)
        found.append(item)
    return tuple(found)


def _width(item: Any) -> int:
    """How many axes an element of an index selects from."""
    if item is None or item is Ellipsis or isinstance(item, (bool, np.bool_)):
        return 0
    return item.ndim if isinstance(item, np.ndarray) and item.dtype.kind == "b" else 1


def _ask(ahead: Ahead, source: Source, indices: NDArray[Any]) -> None:
    """Ask the system to read samples ahead."""
    if CAN_ADVISE:
        ahead.ask(lambda: _stretches(source, indices))


def _stretches(source: Source, indices: NDArray[Any]) -> Iterator[Stretch]:
    """Where samples lie in their maps, if they are in few pieces."""
    for view in map(source.sample, indices.tolist()):
        if not isinstance(view, np.ndarray):
            continue
        if not view.ndim or view.flags.c_contiguous:
            view = view[np.newaxis]
        elif view.strides[0] < 0:
            view = view[::-1]
        yield from stretches_of(view, np.arange(len(view)))
