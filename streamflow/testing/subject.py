"""`Subject`: a streamer under check and the items that it should give; and how a broken promise is reported."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

import numpy as np

from ..core import Stream, Streamer
from ..core.equal import same
from ..core.label import short
from ..core.validate import is_number, require

__all__ = [
    "Subject",
    "describe",
    "expect",
    "expect_items",
    "expect_length",
    "expect_position",
    "first_difference",
    "promise",
    "rows",
    "seconds",
    "taken",
    "unequal_at",
]

#: A stream that gives more than this many times the items looked at counts as endless.
_LONG = 20


class Subject:
    """A streamer under check, seeded, with the items that it should give."""

    def __init__(self, streamer: Streamer, n_items: int, samples_of: Callable[[Any], Iterable[Any]] | None) -> None:
        own = streamer._overrides
        self.streamer, self.n_items, self.samples_of = streamer, n_items, samples_of
        #: Without a seed each pass may differ, so the tree is checked with one.
        self.seeded = streamer if own is not None and own.root is not None else streamer.with_seed(0)
        self.expected: list[Any] = []
        self.ended = False  # whether `expected` is the whole stream

    def take_expected(self) -> None:
        """Take the items that everything else is compared with."""
        self.expected = self.seeded_items(self.n_items + 1)
        self.ended = len(self.expected) <= self.n_items
        del self.expected[self.n_items :]

    def seeded_items(self, limit: int, epoch: int = 0) -> list[Any]:
        """The first items of a pass."""
        return taken(self.seeded(limit, epoch=epoch), limit)

    def long_limit(self) -> int:
        """The number of items from which on a stream counts as endless and is not compared as a whole."""
        return _LONG * self.n_items + 1


def seconds(name: str, value: Any) -> float:
    """A positive number of seconds."""
    require(is_number(value) and 0 < value < float("inf"), name, "a positive number of seconds", value)
    return float(value)


def taken(items: Iterator[Any], limit: int) -> list[Any]:
    """The first items of an iterator."""
    return list(islice(items, limit))


def rows(batch: Any) -> list[Any]:
    """The samples of a batch: sample i is row i of each of its arrays.

    Parameters
    ----------
    batch : dict, tuple or array
        As `buffer_stream` or `tuples` yield it, with the samples along the first axis; None in a tuple stays None.

    Returns
    -------
    list
        One sample per index of the first axis: a dict, a tuple or a row, as the batch is.

    Examples
    --------
    >>> rows({"x": [1, 2], "y": [3, 4]}), rows(([1, 2], [3, 4]))
    ([{'x': 1, 'y': 3}, {'x': 2, 'y': 4}], [(1, 3), (2, 4)])
    """
    if isinstance(batch, dict):
        columns = [rows(column) for column in batch.values()]
        return [dict(zip(batch, row, strict=True)) for row in zip(*columns, strict=True)]
    if isinstance(batch, tuple):
        given = [rows(column) for column in batch if column is not None]
        return [_with_none(batch, iter(row)) for row in zip(*given, strict=True)]
    return list(batch)


def _with_none(batch: tuple[Any, ...], row: Iterator[Any]) -> tuple[Any, ...]:
    return tuple(None if column is None else next(row) for column in batch)


def expect(ok: bool, message: str) -> None:
    """Raise an `AssertionError` unless `ok`; an ``assert`` would do nothing under ``python -O``."""
    if not ok:
        raise AssertionError(message)


@contextmanager
def promise(text: str) -> Iterator[None]:
    """Turn any error in this block into an `AssertionError` that begins with the text of the promise."""
    try:
        yield
    except AssertionError as error:
        if str(error).startswith(text):
            raise
        raise AssertionError(f"{text}: {error}") from error
    except Exception as error:
        raise AssertionError(f"{text}: it raised {type(error).__name__}: {error}") from error


def expect_items(got: list[Any], wanted: list[Any], whose: str) -> None:
    """Raise where two lists of items begin to differ."""
    for place, (one, other) in enumerate(zip(got, wanted, strict=False)):
        if not same(one, other):
            raise AssertionError(f"{whose} differs at item {place}{first_difference(one, other)}")
    expect(len(got) == len(wanted), f"{whose} has {len(got)} items instead of {len(wanted)}")


def expect_length(streamer: Streamer, items: list[Any], ended: bool) -> None:
    """Raise if `len` is known and not the number of items; `ended`: these are all of them."""
    try:
        length = len(streamer)
    except TypeError:
        return
    ok = length == len(items) if ended else length >= len(items)
    expect(ok, f"`len` is {length}, and it gave {len(items)} items{'' if ended else ' and more'}")


def expect_position(stream: Stream, place: int) -> None:
    """Raise unless `position` is the number of items so far (of this epoch, over a source)."""
    expect(stream.epoch > 0 or stream.position == place, f"`position` is {stream.position} instead of {place}")


def describe(item: Any) -> str:
    """An item as messages show it: arrays by dtype and shape, scalars of NumPy with their dtype, the rest shortened."""
    if isinstance(item, dict):
        return f"{{{', '.join(f'{key!r}: {short(value)}' for key, value in list(item.items())[:8])}}}"
    if isinstance(item, np.ndarray) and not item.ndim:
        item = item[()]
    return f"{item.dtype} {item}"[:80] if isinstance(item, np.generic) else short(item)


def first_difference(got: Any, wanted: Any) -> str:
    """Where two items that are not equal first differ, written as an index, and the values there.

    >>> first_difference({"x": np.array([1, 2]), "y": 3}, {"x": np.array([1, 4]), "y": 3})
    "['x'][1]: int64 2 instead of int64 4"
    """
    pairs: Any = ()
    if isinstance(got, dict) and isinstance(wanted, dict) and got.keys() == wanted.keys():
        pairs = [(key, got[key], wanted[key]) for key in got]
    elif isinstance(got, (list, tuple)) and type(got) is type(wanted) and len(got) == len(wanted):
        pairs = zip(range(len(got)), got, wanted, strict=True)
    for key, one, other in pairs:
        if not same(one, other):
            return f"[{key!r}]{first_difference(one, other)}"
    place = unequal_at(got, wanted)
    if place is not None:
        return f"{list(place)}{first_difference(got[place], wanted[place])}"
    return f": {describe(got)} instead of {describe(wanted)}"


def unequal_at(one: Any, other: Any) -> tuple[int, ...] | None:
    """The index of the first unequal element of two arrays; None if they are not arrays of one dtype and shape."""
    if not (type(one) is type(other) is np.ndarray and one.ndim and one.shape == other.shape):
        return None
    if one.dtype != other.dtype or one.dtype.kind in "OV":
        return None
    places = np.argwhere((one != other) & ~((one != one) & (other != other)))  # NaN equals NaN
    return tuple(places[0].tolist()) if len(places) else None
