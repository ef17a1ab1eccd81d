"""Hooks: what a kind of description has to say, and what it may say."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..seeding import Key
from .binding import Bindable, Overrides
from .call import Shards
from .fingerprint import Fingerprint
from .node import Node

__all__ = ["Hooks"]


class Hooks(Bindable):
    """What a subclass of `Streamer` fills in, and the two things that change from one description to another."""

    __slots__ = ("_active", "_overrides")
    _overrides: Overrides | None
    _active: int

    def children(self) -> Iterable[tuple[Any, Any]]:
        """The descriptions right below this one, each with its name."""
        raise NotImplementedError

    def fingerprint(self) -> Fingerprint:
        """What makes two trees the same tree for a state; the arguments of leaves are compared where they are open."""
        raise NotImplementedError

    def _identity(self) -> str:
        """What a member of a mux is known by: with the arguments of its leaf, but not what a mux in it holds."""
        return self.fingerprint().text

    def _node(self, key: Key, shards: Shards) -> Node:
        """Open the live node."""
        raise NotImplementedError

    def _label(self) -> str:
        """Its name in errors and states."""
        raise NotImplementedError

    def _held(self) -> Iterable[Any]:
        """What it holds by reference, other than its children."""
        raise NotImplementedError

    def _inside(self) -> Any:
        """The description to which a part of this one hands its part down; None if this one divides itself."""
        raise NotImplementedError

    def _maps(self) -> int:
        """How many maps follow each other from here down to the next mux or leaf."""
        raise NotImplementedError

    def _refuse_shards(self, shards: Shards) -> None:
        """Raise if it cannot be sharded so, whatever is inside."""
        raise NotImplementedError

    def _typical_children(self) -> Iterable[tuple[Any, Any]]:
        """As `children`, but only the first of members that differ in their arguments alone."""
        return self.children()

    def _length(self, shards: Shards) -> int | None:
        """How many items a part of it gives, in every epoch; None where that is not known."""
        return None

    def _draws_itself(self, seeded: bool) -> bool:
        """Whether it draws random numbers itself: from a seed that it holds, or (not `seeded`) from the tree's."""
        return False

    def _divided_draw(self, shards: Shards) -> str | None:
        """The label of what parts of it divide and draw from a seed above it; None if there is none."""
        return None
