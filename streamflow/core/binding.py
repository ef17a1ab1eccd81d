"""The seldom parts of a Streamer: its own seed, the part that it is, and where it belongs."""

from __future__ import annotations

from typing import Any
from weakref import WeakSet

from ..seeding import Key, Root
from .call import Shards

__all__ = ["Binding", "Overrides"]


class Binding:
    """Where a Streamer that was handed to a function belongs: below the function's activation."""

    __slots__ = ("key", "number", "opened")

    def __init__(self, key: Key, number: int, opened: WeakSet[Any]) -> None:
        self.key, self.number, self.opened = key, number, opened

    def address(self, key: Key) -> Key:
        """What an address in a tree of the function's own means."""
        epoch, *path = key.path
        return Key(self.key.root, (*self.key.path, epoch, self.number, *path))

    def __reduce__(self) -> Any:
        return Binding, (self.key, self.number, WeakSet())  # what is open stays here


class Overrides:
    """The seldom parts of a Streamer: its own root, the part that it is, what it is bound to."""

    __slots__ = ("binding", "root", "shards")

    def __init__(self, root: Root | None = None, shards: Shards = (), binding: Binding | None = None) -> None:
        self.root, self.shards, self.binding = root, shards, binding
