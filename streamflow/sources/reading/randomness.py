"""The random numbers of a read: where `random_crop` draws from while a stream reads.

A stream that reads samples has a sequence of random numbers for each of them, a function of the seed, the epoch and the
position alone.  Whatever draws while a sample is read (a view, a member of a composition, a user's function) takes the
next number of that sample's sequence.  So nothing has to be handed down, and it does not matter in which batch or part
a sample is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from .draws import Draws

__all__ = ["Chance", "Reading", "alone", "among", "any_draws", "each_alone", "for_its_form", "is_keyed", "number"]

T = TypeVar("T")
R = TypeVar("R")


class Chance:
    """A sequence of random numbers for each sample of a batch.

    Parameters
    ----------
    draws : Draws, or anything with its `numbers`
    first, end : int
        What is read: these draws, up to before `end`.
    """

    __slots__ = ("_draws", "_end", "_first", "_known", "_taken")

    def __init__(self, draws: Draws | _Zeros, first: int, end: int) -> None:
        self._draws, self._first, self._end = draws, first, end
        self._known: list[list[float]] | None = None  # first numbers of all samples, second numbers, ...

    def __len__(self) -> int:
        return self._end - self._first

    def number(self, row: int) -> float:
        """The next number, in [0, 1), of a sample's sequence."""
        if self._known is None:
            self._known, self._taken = [], [0] * len(self)
        k = self._taken[row]
        if k == len(self._known):
            self._known.append(self._draws.numbers(k, self._first, self._end).tolist())
        self._taken[row] = k + 1
        return self._known[k][row]


class Reading:
    """A `with` block in which samples are read with these numbers.

    Parameters
    ----------
    chance : Chance
    rows : range, _Some or int, optional
        Which samples of the batch are read, in this order; or the one sample that is.  None: all.
    """

    __slots__ = ("_token", "chance", "rows")

    def __init__(self, chance: Chance, rows: Any = None) -> None:
        self.chance, self.rows = chance, range(len(chance)) if rows is None else rows

    def has_each(self, n: int) -> bool:
        """Whether each of n indices is that of one of these; what is read for one sample belongs to that alone."""
        return not isinstance(self.rows, int) and len(self.rows) == n

    def __enter__(self) -> Self:
        self._token = _now.set(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _now.reset(self._token)


_now: ContextVar[Reading | None] = ContextVar("reading", default=None)


class _Zeros:
    """Numbers of which nothing is drawn."""

    def numbers(self, k: int, first: int, end: int) -> NDArray[np.float64]:
        return np.zeros(end - first)


def for_its_form() -> Reading:
    """A block in which a sample is read only for its keys, dtypes and shapes: nothing is drawn for it."""
    return Reading(Chance(_Zeros(), 0, 1), 0)


def among(places: NDArray[np.intp], n: int) -> AbstractContextManager[Any]:
    """A block in which only the samples at some places are read, of the n that are being read."""
    now = _now.get()
    return Reading(now.chance, _Some(now.rows, places)) if now is not None and now.has_each(n) else _AS_BEFORE


_AS_BEFORE = nullcontext()


class _Some:
    """Some of the samples that are read; looked up only where something is drawn."""

    __slots__ = ("_places", "_rows")

    def __init__(self, rows: Any, places: NDArray[np.intp]) -> None:
        self._rows, self._places = rows, places

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, place: int) -> int:
        row: int = self._rows[self._places[place]]
        return row


def alone(read: Callable[[T], R], chance: Chance) -> Callable[[int, T], R]:
    """The function of a sample's number and index that reads it with its numbers."""
    reading = Reading(chance)

    def one(row: int, index: T) -> R:
        reading.rows = row
        token = _now.set(reading)
        try:
            return read(index)
        finally:
            _now.reset(token)

    return one


def each_alone(read: Callable[[T], R], indices: list[T]) -> list[R]:
    """What `read` gives for each index, each with the numbers of its own sample."""
    now = _now.get()
    if now is None or not now.has_each(len(indices)):
        return [read(index) for index in indices]
    found = []
    with Reading(now.chance) as reading:
        for row, index in zip(now.rows, indices, strict=True):
            reading.rows = row
            found.append(read(index))
    return found


def any_draws(parts: Iterable[bool | None]) -> bool | None:
    """Whether any part of what is read draws random numbers; None if that is not known.

    >>> any_draws([False, None]), any_draws([None, True]), any_draws([])
    (None, True, False)
    """
    known = set(parts)
    return True if True in known else None if None in known else False


def is_keyed() -> bool:
    """Whether a stream reads."""
    return _now.get() is not None


def number() -> float | None:
    """The next random number of what is being read; None by hand.

    What draws once for a batch takes from its first sample.
    """
    now = _now.get()
    if now is None:
        return None
    return now.chance.number(now.rows if isinstance(now.rows, int) else now.rows[0])
