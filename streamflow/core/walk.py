"""Walks over a description: what can be said of a whole tree by looking at each Streamer in it.

A walk follows `Streamer.children`.  It opens nothing, and of a `StreamerList`, whose members differ in nothing but
their arguments, it builds the first only.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..exceptions import ParameterError
from .call import OneShot, Shards
from .spec import Spec

__all__ = ["check_resendable", "check_shards", "large_arguments", "walk"]


def walk(tree: Spec) -> Iterator[tuple[str, Any]]:
    """Every Streamer of a tree once, parents first, each with its path.

    >>> from streamflow import RoundRobinMux, Streamer
    >>> tree = RoundRobinMux({"odd": [1, 3], "even": Streamer(range, 0, 4, 2)})
    >>> [path for path, _ in walk(tree)]
    ['RoundRobinMux', 'RoundRobinMux > odd: list', 'RoundRobinMux > even: range(0, 4, 2)']
    """
    seen: dict[int, Spec] = {}  # with the Streamers themselves, so that their identities stay theirs
    waiting: list[tuple[str, Spec]] = [(tree._label(), tree)]
    while waiting:
        path, one = waiting.pop()
        if id(one) in seen:
            continue
        seen[id(one)] = one
        yield path, one
        below = [(f"{path} > {name}: {child._label()}", child) for name, child in one._typical_children()]
        waiting.extend(reversed(below))


def check_shards(tree: Spec, shards: Shards) -> None:
    """Raise if a tree cannot be sharded so; follows the way on which a part is handed down."""
    one: Spec | None = tree
    while one is not None:
        one._refuse_shards(shards)
        one = one._inside()
        if one is not None:
            shards = one._own_shards() + shards


def check_resendable(tree: Spec) -> None:
    """Refuse one-shot iterators: what a worker takes from its copy, the consumer's still has."""
    for path, one in walk(tree):
        for held in one._held():
            if isinstance(held, OneShot):
                what = f"the iterator {held.name!r} can be iterated only once and cannot run in the background"
                raise ParameterError(f"{what} (at {path}); {OneShot.ADVICE}")


def large_arguments(tree: Spec, limit: int) -> Iterator[tuple[str, Any, int]]:
    """What a tree holds that has more than `limit` bytes: path, value and size of each."""
    for path, one in walk(tree):
        for held in one._held():
            size = getattr(held, "nbytes", 0) or (len(held) if isinstance(held, (bytes, bytearray, str)) else 0)
            if size > limit:
                yield path, held, size
