"""What a plain Streamer may be: a call of a leaf function (or an iterable), a map over a stream, or another stream.

A subclass of Streamer, such as a mux, fills the same hooks itself.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, cast

from ..seeding import Key
from .binding import Bindable
from .call import Call, Shards, merged, resumes, unfilled
from .exact import call_text, function_text, setting
from .fingerprint import Fingerprint, joined
from .label import name_of, size_of
from .leaf import Leaf
from .lengths import Counted, strided
from .map import Address, StreamMap
from .node import Node
from .replayed import ReplayedLeaf
from .spec import Spec
from .walk import divides, drawn_from_above

__all__ = ["CallPart", "MapPart", "Part", "StreamPart"]


class Part(ABC):
    """One of the three."""

    __slots__ = ()

    @abstractmethod
    def children(self) -> Iterator[tuple[Any, Spec]]:
        """The descriptions right below, each with its name."""

    def inside(self) -> Spec | None:
        """The description to which a part of this one hands its part down; None if this one divides itself."""
        return None

    def maps(self) -> int:
        """How many maps follow each other from here down to the next mux or leaf."""
        return 0

    @abstractmethod
    def node(self, key: Key, shards: Shards) -> Node:
        """The live node."""

    @abstractmethod
    def fingerprint(self) -> Fingerprint:
        """Kinds, sizes, settings and names; the arguments of leaves are compared where those are open."""

    @abstractmethod
    def identity(self) -> str:
        """What a member of a mux is known by: with the arguments of its leaf, but not what a mux in it holds."""

    @abstractmethod
    def length(self, shards: Shards) -> int | None:
        """How many items a part of it gives; None where that is not known."""

    def draws_itself(self, seeded: bool) -> bool:
        """Whether it draws random numbers itself, from a seed that it holds or (not `seeded`) from the tree's."""
        return False

    @abstractmethod
    def divided_draw(self, shards: Shards) -> str | None:
        """The label of what parts of it divide and draw from a seed above it; None if there is none."""


class CallPart(Part):
    """A call of a leaf function, or an iterable; the Streamers below it are among the arguments."""

    __slots__ = ("call",)

    def __init__(self, call: Call) -> None:
        self.call = call

    def children(self) -> Iterator[tuple[Any, Spec]]:
        for name, arg in (*enumerate(self.call.args), *self.call.kwargs.items()):
            if isinstance(arg, Bindable):  # a Streamer
                yield name, cast("Spec", arg)

    def node(self, key: Key, shards: Shards) -> Node:
        return (ReplayedLeaf if self._is_replayed() else Leaf)(self.call, key, shards)

    def _is_replayed(self) -> bool:
        """Whether it is a function over a stream, which a resume runs again."""
        call = self.call
        for arg in (*call.args, *call.kwargs.values()):
            if isinstance(arg, Bindable):
                return callable(call.source) and not resumes(call.source, call.args, call.kwargs)
        return False

    def fingerprint(self) -> Fingerprint:
        source = self.call.source
        inner = joined(child.fingerprint() for _, child in self.children())
        size = "" if callable(source) else size_of(source)
        random = getattr(source, "gives_streamers", False) or self.draws_itself(False)
        name = function_text(source, deep=False) if callable(source) else name_of(source)
        text = f"{name}{size}{inner.text and f'({inner.text})'}"
        return inner.then(text, random=random, replayed=self._is_replayed())

    def identity(self) -> str:
        return call_text(self.call.source, self.call.args, self.call.kwargs)

    def length(self, shards: Shards) -> int | None:
        source = self.call.source
        return None if callable(source) or not isinstance(source, Counted) else strided(len(source), shards)

    def draws_itself(self, seeded: bool) -> bool:
        call = self.call
        return not seeded and callable(call.source) and "rng" in unfilled(call.source, call.args, call.kwargs)

    def divided_draw(self, shards: Shards) -> str | None:
        children = [child for _, child in self.children()]
        if divides(shards):  # each part makes the whole of it
            if self.draws_itself(False):
                return self.call._label()
            return next(filter(None, map(drawn_from_above, children)), None)
        return next(filter(None, (child._must_agree(()) for child in children)), None)


class MapPart(Part):
    """A map over a stream."""

    __slots__ = ("below", "declared", "kwargs", "settings")

    def __init__(self, declared: StreamMap, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        self.declared, self.settings, self.kwargs = declared, args[1:], kwargs
        self.below: Spec = args[0]

    def children(self) -> Iterator[tuple[Any, Spec]]:
        yield "stream", self.below

    def inside(self) -> Spec:
        return self.below

    def maps(self) -> int:
        return 1 + self.below._maps()

    def node(self, key: Key, shards: Shards) -> Node:
        address = Address(key, self.below._maps(), merged(shards))
        return self.declared.node(self.settings, self.kwargs, self.below._open(key, shards), address)

    def fingerprint(self) -> Fingerprint:
        below = self.below.fingerprint()
        text = self._over(below.text)
        return below.then(text, random=self.declared.is_random(self.settings, self.kwargs))

    def length(self, shards: Shards) -> int | None:
        n = None if self.declared.length is None else self.below._measured(shards)
        return None if n is None else self.declared.length_of(n, self.settings, self.kwargs)

    def draws_itself(self, seeded: bool) -> bool:
        if not self.declared.is_random(self.settings, self.kwargs):
            return False
        return self.declared.has_seed(self.settings, self.kwargs) is seeded

    def divided_draw(self, shards: Shards) -> str | None:
        return self.below._must_agree(shards)

    def identity(self) -> str:
        return self._over(self.below._identity())

    def _over(self, below: str) -> str:
        """The map and its settings over what is below."""
        kwargs = sorted(self.kwargs.items())
        settings = [*map(setting, self.settings), *(f"{name}={setting(value)}" for name, value in kwargs)]
        return f"{function_text(self.declared.fn, defaults=False)}({', '.join([below, *settings])})"


class StreamPart(Part):
    """Another stream, as it is."""

    __slots__ = ("stream",)

    def __init__(self, stream: Spec) -> None:
        self.stream = stream

    def children(self) -> Iterator[tuple[Any, Spec]]:
        yield "stream", self.stream

    def inside(self) -> Spec:
        return self.stream

    def maps(self) -> int:
        return self.stream._maps()

    def node(self, key: Key, shards: Shards) -> Node:
        return self.stream._open(key, shards)

    def fingerprint(self) -> Fingerprint:
        return self.stream.fingerprint()

    def length(self, shards: Shards) -> int | None:
        return self.stream._measured(shards)

    def divided_draw(self, shards: Shards) -> str | None:
        return self.stream._must_agree(shards)

    def identity(self) -> str:
        return self.stream._identity()
