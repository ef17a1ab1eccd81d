"""Optional overrides of a Streamer: its own seed, the part that it is, and where it is bound."""

from __future__ import annotations

from typing import Any
from weakref import WeakSet

from ..seeding import Key, Root
from .call import Shards

__all__ = ["Bindable", "Binding", "Overrides", "bound"]


class Binding:
    """Where a Streamer that was handed to a leaf function belongs: below that function's activation."""

    __slots__ = ("key", "number", "opened")

    def __init__(self, key: Key, number: int, opened: WeakSet[Any]) -> None:
        self.key, self.number, self.opened = key, number, opened

    def address(self, key: Key) -> Key:
        """Where an address in the Streamer's own tree lies."""
        epoch, *path = key.path
        return Key(self.key.root, (*self.key.path, epoch, self.number, *path), self.key.clock)

    def __reduce__(self) -> Any:
        return Binding, (self.key, self.number, WeakSet())  # what is open stays here


class Bindable:
    """An argument that belongs to the activation that it is handed to: a Streamer."""

    __slots__ = ()

    def _bind(self, key: Key, number: int, opened: WeakSet[Any]) -> Any:
        """Itself, as argument `number` of the activation at `key`; what it opens is noted in `opened`."""
        raise NotImplementedError


def bound(arg: Any, key: Key, number: int, opened: WeakSet[Any]) -> Any:
    """An argument of a leaf function, or what it returned: bound if it is `Bindable`, else as it is."""
    return arg._bind(key, number, opened) if isinstance(arg, Bindable) else arg


class Overrides:
    """What few Streamers have: a root of their own, a part that they are, something that they are bound to."""

    __slots__ = ("binding", "root", "shards")

    def __init__(self, root: Root | None = None, shards: Shards = (), binding: Binding | None = None) -> None:
        self.root, self.shards, self.binding = root, shards, binding
