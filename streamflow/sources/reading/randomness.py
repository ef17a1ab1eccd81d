"""Random numbers while a stream reads, for `random_crop`.

A stream over a source has a sequence of random numbers for each sample, which depends only on the seed, the epoch and
the position.  Whatever draws while a sample is read (a view, a member of a composite, a user's function) takes the next
number of that sample's sequence.  A context variable says which sample is being read, so nothing is passed down, and a
sample gets the same numbers in whichever batch or part it is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "ReadContext",
    "SampleNumbers",
    "any_random",
    "is_keyed",
    "next_number",
    "one_by_one",
    "per_sample",
    "probing",
    "subset",
]

T = TypeVar("T")
R = TypeVar("R")


class Numbers(Protocol):
    """Random numbers of draws, such as those of a `PassOrder`."""

    def numbers(self, k: int, first: int, end: int) -> NDArray[np.float64]:
        """Random number k of draws `first` to `end` - 1."""


class SampleNumbers:
    """A sequence of random numbers for each sample of a batch.

    Parameters
    ----------
    numbers : Numbers
    first, end : int
        The batch is read by draws `first` to `end` - 1.
    """

    __slots__ = ("_end", "_first", "_known", "_numbers", "_taken")

    def __init__(self, numbers: Numbers, first: int, end: int) -> None:
        self._numbers, self._first, self._end = numbers, first, end
        self._known: list[list[float]] | None = None  # the first numbers of all samples, their second numbers, ...

    def __len__(self) -> int:
        return self._end - self._first

    def next(self, row: int) -> float:
        """The next number, in [0, 1), of a sample."""
        if self._known is None:
            self._known, self._taken = [], [0] * len(self)
        k = self._taken[row]
        if k == len(self._known):
            self._known.append(self._numbers.numbers(k, self._first, self._end).tolist())
        self._taken[row] = k + 1
        return self._known[k][row]


class ReadContext:
    """A `with` block that reads samples with these random numbers.

    Parameters
    ----------
    numbers : SampleNumbers
    rows : range, _Subset or int, optional
        The samples of the batch that are read, in this order; an integer for a single one.  None: all.
    """

    __slots__ = ("_token", "numbers", "rows")

    def __init__(self, numbers: SampleNumbers, rows: Any = None) -> None:
        self.numbers, self.rows = numbers, range(len(numbers)) if rows is None else rows

    def has_each(self, n: int) -> bool:
        """Whether n indices belong to n samples; while a single sample is read, all indices belong to that one."""
        return not isinstance(self.rows, int) and len(self.rows) == n

    def __enter__(self) -> Self:
        self._token = _now.set(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _now.reset(self._token)


_now: ContextVar[ReadContext | None] = ContextVar("reading", default=None)


class _Zeros:
    """Numbers for a read whose result is discarded."""

    def numbers(self, k: int, first: int, end: int) -> NDArray[np.float64]:
        return np.zeros(end - first)


def probing() -> ReadContext:
    """A block in which a sample is read only for its keys, dtypes and shapes: no random number is used up."""
    return ReadContext(SampleNumbers(_Zeros(), 0, 1), 0)


def subset(places: NDArray[np.intp], n: int) -> AbstractContextManager[Any]:
    """A block in which only some of the n samples of the current read are read."""
    now = _now.get()
    return ReadContext(now.numbers, _Subset(now.rows, places)) if now is not None and now.has_each(n) else _UNCHANGED


_UNCHANGED = nullcontext()


class _Subset:
    """Some of the rows that are being read; looked up only when a number is drawn."""

    __slots__ = ("_places", "_rows")

    def __init__(self, rows: Any, places: NDArray[np.intp]) -> None:
        self._rows, self._places = rows, places

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, place: int) -> int:
        row: int = self._rows[self._places[place]]
        return row


def one_by_one(read: Callable[[T], R], numbers: SampleNumbers) -> Callable[[int, T], R]:
    """The function of (row, index) that reads one sample with its own random numbers."""
    reading = ReadContext(numbers)

    def one(row: int, index: T) -> R:
        reading.rows = row
        token = _now.set(reading)
        try:
            return read(index)
        finally:
            _now.reset(token)

    return one


def per_sample(read: Callable[[T], R], indices: list[T]) -> list[R]:
    """Call `read` for each index, each time with the random numbers of that sample."""
    now = _now.get()
    if now is None or not now.has_each(len(indices)):
        return [read(index) for index in indices]
    found = []
    with ReadContext(now.numbers) as reading:
        for row, index in zip(now.rows, indices, strict=True):
            reading.rows = row
            found.append(read(index))
    return found


def any_random(parts: Iterable[bool | None]) -> bool | None:
    """Whether any of several parts draws random numbers; None if that is unknown.

    >>> any_random([False, None]), any_random([None, True]), any_random([])
    (None, True, False)
    """
    known = set(parts)
    return True if True in known else None if None in known else False


def is_keyed() -> bool:
    """Whether a stream is reading, so that random numbers come from its seed."""
    return _now.get() is not None


def next_number() -> float | None:
    """The next random number of the sample that is being read; None outside of streams.

    A function that draws once for a whole batch takes it from the first sample.
    """
    now = _now.get()
    if now is None:
        return None
    return now.numbers.next(now.rows if isinstance(now.rows, int) else now.rows[0])
