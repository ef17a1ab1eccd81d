"""Lengths: how many items a stream gives, where that is known without drawing them.

A description answers `_length(shards)` where its items can be counted beforehand: collections, streams over sources,
maps that say so, finite muxes over these.  None means that nobody knows, and a length that is given is right in every
epoch.  Parts of one length (`Description.shard` with `equal`) are computed here: every part computes the lengths of
all, so none has to ask another.
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, MappingView, Sequence
from collections.abc import Set as AbstractSet
from itertools import product

import numpy as np

from ..exceptions import ParameterError
from .call import Shards, merged

__all__ = ["MODES", "Counted", "answers", "part_length", "strided"]

MODES = ("drop", "repeat")


class Counted(ABC):
    """Iterables of which `len` is the number of items that an iteration gives.

    Not every iterable with a length is one: a table is as long as it has rows, and is iterated by columns.
    """

    @abstractmethod
    def __len__(self) -> int: ...


for _kind in (Sequence, AbstractSet, Mapping, MappingView, np.ndarray):
    Counted.register(_kind)


def strided(n: int, shards: Shards) -> int:
    """How many of n items a part has that takes every `count`-th.

    >>> strided(7, ((0, 3),)), strided(7, ((2, 3),)), strided(7, ())
    (3, 2, 7)
    """
    index, count = merged(shards)
    return len(range(index, n, count))


@functools.cache
def answers(kind: type) -> bool:
    """Whether a kind of description says how many items it gives, and not just a base whose items it replaces."""
    for one in kind.__mro__:
        if "_length" in vars(one):
            return True
        if "_node" in vars(one):
            return False
    return False


def part_length(
    whole: Callable[[Shards], int | None], own: Shards, equal: tuple[str | None, ...], below: Shards
) -> int | None:
    """How many items a part gives, where some levels of its parts are made equally long.

    Parameters
    ----------
    whole : function
        From a part to its own length, before anything is made equal; None where that is not known.
    own : Shards
        The part.
    equal : tuple
        For each level of `own`: 'drop', 'repeat' or None.
    below : Shards
        The part of that part.

    Raises
    ------
    ParameterError
        If a part without items is to repeat them.

    Examples
    --------
    >>> def seven(shards):
    ...     return strided(7, shards)
    >>> [part_length(seven, ((k, 3),), ("drop",), ()) for k in range(3)]
    [2, 2, 2]
    >>> [part_length(seven, ((2, 3),), ("repeat",), ((k, 2),)) for k in range(2)]
    [2, 1]
    """
    last = max((level for level, mode in enumerate(equal) if mode), default=None)
    if last is None:
        return whole(own + below)
    (index, count), lane = own[last], own[last + 1 :] + below
    lanes = _siblings(lane)

    def lengths_of(part: int) -> list[int | None]:
        return [part_length(whole, own[:last], equal[:last], ((part, count), *one)) for one in lanes]

    totals: list[int] = []
    ours: list[int] = []
    for part in range(count):
        lengths = lengths_of(part)
        if None in lengths:
            return None
        known = [length for length in lengths if length is not None]
        totals.append(sum(known))
        ours = known if part == index else ours
    wanted = min(totals) if equal[last] == "drop" else max(totals)
    if wanted and not min(totals):
        raise ParameterError(
            f"`count` must be at most the number of items for equal='repeat', got {count}: a part would have none to "
            "repeat; equal='drop' leaves all parts empty"
        )
    return _dealt(ours, wanted)[lanes.index(lane)]


def _siblings(shards: Shards) -> list[Shards]:
    """All parts of the same kind."""
    return list(product(*([(index, count) for index in range(count)] for _, count in shards)))


def _dealt(lengths: list[int], wanted: int) -> list[int]:
    """How many items each lane of a part gives, so that they are `wanted` together.

    They are the first that are merged (one of each lane in turn, as long as it has any), and then some once more.

    >>> _dealt([5, 1, 3], 6), _dealt([5, 0, 3], 11)
    ([3, 1, 2], [7, 0, 4])
    """
    given, left = [0] * len(lengths), wanted
    while left and (live := [lane for lane, length in enumerate(lengths) if given[lane] < length]):
        turns = max(1, min(left // len(live), *(lengths[lane] - given[lane] for lane in live)))
        for lane in live[:left]:
            given[lane] += turns
            left -= turns
    able = [lane for lane, length in enumerate(lengths) if length]
    for number, lane in enumerate(able):
        given[lane] += left // len(able) + (number < left % len(able))
    return given
