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

__all__ = [
    "Path",
    "check_resendable",
    "check_shards",
    "divides",
    "drawn_from_above",
    "large_arguments",
    "repeats_itself",
    "walk",
]


class Path:
    """The way from the root of a tree to a Streamer in it; written down by `str`, for a pool may have many."""

    __slots__ = ("name", "one", "parent")

    def __init__(self, one: Spec, name: Any = None, parent: Path | None = None) -> None:
        self.one, self.name, self.parent = one, name, parent

    def __str__(self) -> str:
        label = self.one._label()
        return label if self.parent is None else f"{self.parent} > {self.name}: {label}"


def walk(tree: Spec) -> Iterator[tuple[Path, Any]]:
    """Every Streamer of a tree once, parents first, each with its path.

    >>> from streamflow import RoundRobinMux, Streamer
    >>> tree = RoundRobinMux({"odd": [1, 3], "even": Streamer(range, 0, 4, 2)})
    >>> [str(path) for path, _ in walk(tree)]
    ['RoundRobinMux', 'RoundRobinMux > odd: list', 'RoundRobinMux > even: range(0, 4, 2)']
    """
    seen: dict[int, Spec] = {}  # with the Streamers themselves, so that their identities stay theirs
    waiting = [Path(tree)]
    while waiting:
        path = waiting.pop()
        one = path.one
        if id(one) in seen:
            continue
        seen[id(one)] = one
        yield path, one
        below = [Path(child, name, path) for name, child in one._typical_children()]
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
                raise ParameterError(held.refusal(f"cannot run in the background (at {path})"))


def large_arguments(tree: Spec, limit: int) -> Iterator[tuple[Path, Any, int]]:
    """What a tree holds that has more than `limit` bytes: path, value and size of each."""
    for path, one in walk(tree):
        for held in one._held():
            size = getattr(held, "nbytes", 0) or (len(held) if isinstance(held, (bytes, bytearray, str)) else 0)
            if size > limit:
                yield path, held, size


# ---------------------------------------------------------------------- where random numbers are drawn
def divides(shards: Shards) -> bool:
    """Whether a part is less than the whole."""
    return any(count > 1 for _, count in shards)


def _draws(tree: Spec) -> Iterator[tuple[Spec, bool]]:
    """What draws random numbers in a tree, and whether from a seed in the tree (else from what is above it)."""
    waiting, seen = [(tree, False)], {}
    while waiting:
        one, seeded = waiting.pop()
        seeded = seeded or one._seeded()
        if (id(one), seeded) in seen:
            continue
        seen[id(one), seeded] = one  # with the Streamer itself, so that its identity stays its own
        if one._draws_itself(seeded=True):
            yield one, True
        if one._draws_itself(seeded=False):
            yield one, seeded
        waiting.extend((child, seeded) for _, child in one._typical_children())


def drawn_from_above(tree: Spec) -> str | None:
    """The label of something in a tree that draws from the seed above it, None if nothing does."""
    return next((one._label() for one, seeded in _draws(tree) if not seeded), None)


def repeats_itself(tree: Spec) -> bool:
    """Whether a tree draws random numbers, and all of them from seeds in it: then each pass at an epoch is the same."""
    drawn = {seeded for _, seeded in _draws(tree)}
    return drawn == {True}
