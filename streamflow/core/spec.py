"""What a live pass and a live map need to know of a description; `Streamer` is the one that exists."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from ..seeding import Key, Root
from .call import Shards
from .checkpoint import Clock
from .fingerprint import Fingerprint
from .node import Node

__all__ = ["Spec"]


class Spec(Protocol):
    """A description of a stream, as seen from below."""

    def children(self) -> Iterable[tuple[Any, Spec]]:
        """The descriptions right below, each with its name."""

    def fingerprint(self) -> Fingerprint:
        """What makes two trees the same tree for a state."""

    def _identity(self) -> str:
        """What a member of a mux is known by."""

    def _label(self) -> str:
        """Its name in errors."""

    def _open(self, key: Key, shards: Shards) -> Node:
        """The live node at an address."""

    def _root(self) -> Root:
        """The root of randomness of a pass by itself."""

    def _open_pass(self, root: Root, epoch: int, clock: Clock) -> Node:
        """The live node of a pass by itself."""

    def _typical_children(self) -> Iterable[tuple[Any, Spec]]:
        """As `children`, but only the first of members that differ in their arguments alone."""

    def _held(self) -> Iterable[Any]:
        """What it holds by reference, other than its children."""

    def _own_shards(self) -> Shards:
        """The part that it is."""

    def _inside(self) -> Spec | None:
        """The description to which a part of this one hands its part down; None if this one divides itself."""

    def _maps(self) -> int:
        """How many maps follow each other from here down to the next mux or leaf."""

    def _refuse_shards(self, shards: Shards) -> None:
        """Raise if it cannot be sharded so, whatever is inside."""

    def _measured(self, shards: Shards) -> int | None:
        """How many items a part of it gives; None where that is not known."""

    def _seeded(self) -> bool:
        """Whether it has a seed of its own."""

    def _draws_itself(self, seeded: bool) -> bool:
        """Whether it draws random numbers itself, from a seed that it holds or (not `seeded`) from the tree's."""

    def _must_agree(self, shards: Shards) -> str | None:
        """The label of what parts of it divide and draw from a seed above it; None if there is none."""

    def _check_seed(self) -> None:
        """Raise if a pass by itself must not draw its own seed, because other parts have to draw alike."""

    def _ended(self) -> None:
        """A pass by itself that named no epoch has come to its end."""

    def _count(self, change: int) -> None:
        """So many more passes are open."""
