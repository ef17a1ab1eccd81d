"""Maps: functions from a stream to a stream.

A map is a generator function whose first parameter is an iterator of items, declared with `stream_map`.  Called
directly it gives a generator.  Inside `Streamer.pipe` or ``Streamer(map, stream, ...)`` it becomes a `MapNode`, whose
state is that of the stream below it (see `derived`).
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from typing import Any, Concatenate, ParamSpec, TypeAlias, cast

from ..exceptions import ParameterError
from ..seeding import MAP, Key, Root, generator
from .derived import DerivedNode
from .label import name_of, short
from .node import Node

__all__ = ["MapNode", "StreamMap", "declared_map", "stream_map"]

P = ParamSpec("P")
_Map: TypeAlias = Callable[Concatenate[Any, P], Generator[Any, None, None]]


class StreamMap:
    """The declaration of a map."""

    def __init__(
        self,
        fn: Callable[..., Any],
        check: Callable[..., Any] | None,
        replayed: bool,
        length: Callable[..., int | None] | None = None,
    ) -> None:
        self.fn, self.check, self.length = fn, check, length
        self.signature = inspect.signature(fn)
        self.seeded = "random_state" in self.signature.parameters
        self.replayed = replayed or self.seeded  # its Generator starts again
        self.public: Any = None  #: the function that users hold

    def bound(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> inspect.BoundArguments:
        """The checked arguments of a call, the stream first."""
        call = self.signature.bind(*args, **kwargs)
        call.apply_defaults()
        stream, *settings = call.args
        if not isinstance(stream, Iterable) and not hasattr(type(stream), "__getitem__"):
            raise ParameterError(f"`stream` must be a stream or another iterable, got {short(stream)}")
        if self.check is not None:
            self.check(*settings, **call.kwargs)
        return call

    def describe(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments of a description."""
        call = self.bound(args, kwargs)
        if self.seeded:
            seed = call.arguments["random_state"]
            call.arguments["random_state"] = None if seed is None else Root(seed)
        return call.args, call.kwargs

    def start(
        self, items: Iterator[Any], settings: tuple[Any, ...], kwargs: Mapping[str, Any], key: Key
    ) -> Generator[Any, None, None]:
        """The running map; a seeded one gets the Generator of its address."""
        call = self.signature.bind(items, *settings, **kwargs)
        if self.seeded:
            own = call.arguments["random_state"]
            call.arguments["random_state"] = generator(key if own is None else Key(own, key.path), MAP)
        made: Generator[Any, None, None] = self.fn(*call.args, **call.kwargs)
        return made


def declared_map(source: Any) -> StreamMap | None:
    """The declaration of a map, which its function carries; None for any other function."""
    declared: StreamMap | None = getattr(source, "_stream_map", None)
    # A function wrapped round a map by `functools.wraps` has its attributes, and is not that map.
    return declared if declared is not None and declared.public is source else None


def stream_map(
    check: Callable[..., Any] | None = None,
    *,
    replayed: bool = False,
    length: Callable[..., int | None] | None = None,
) -> Callable[[Callable[Concatenate[Iterator[Any], P], Any]], _Map[P]]:
    """Declare a generator function over an iterator as a map.

    Parameters
    ----------
    check : function
        Called with the arguments after the first as soon as they are given; raises if one is wrong.
    replayed : bool
        The map keeps something from one output to the next (items, a count), so it is resumed by running it again from
        the start of its activation.
    length : function
        Called with the number of items of the stream and the arguments after the first; returns how many outputs they
        make, None if that is not known.  Without it nobody knows.

    Notes
    -----
    A map with a parameter named ``random_state`` is seeded: inside a tree it receives a `numpy.random.Generator` that
    belongs to its place in the tree, and it is replayed too.

    Examples
    --------
    >>> from streamflow import Streamer
    >>> @stream_map()
    ... def doubled(items):
    ...     for item in items:
    ...         yield 2 * item
    >>> list(doubled([1, 2])), list(Streamer([1, 2]).pipe(doubled))
    ([2, 4], [2, 4])
    """

    def declare(
        fn: Callable[Concatenate[Iterator[Any], P], Any],
    ) -> _Map[P]:
        @functools.wraps(fn)
        def call(stream: Any, *args: P.args, **kwargs: P.kwargs) -> Generator[Any, None, None]:
            declared.bound((stream, *args), kwargs)
            return _over(fn, stream, args, kwargs)

        declared = StreamMap(fn, check, replayed, length)
        declared.public = call
        call._stream_map = declared  # type: ignore[attr-defined]  # it goes along where `call` is pickled by value
        return cast("_Map[P]", call)

    return declare


def _over(fn: Callable[..., Any], stream: Any, args: Any, kwargs: Any) -> Generator[Any, None, None]:
    """A map called directly; it closes what it has opened itself."""
    items = iter(stream)
    try:
        yield from fn(items, *args, **kwargs)
    finally:
        if items is not stream and hasattr(items, "close"):
            items.close()


class MapNode(DerivedNode):
    """A live map over the node below it, with its settings (the arguments after the stream)."""

    __slots__ = ("key", "kwargs", "map", "settings")

    def __init__(
        self, declared: StreamMap, settings: tuple[Any, ...], kwargs: Mapping[str, Any], below: Node, key: Key
    ) -> None:
        self.map, self.settings, self.kwargs, self.key = declared, settings, kwargs, key
        super().__init__(name_of(declared.public), below, replayed=declared.replayed)

    def next_epoch(self, epoch: int) -> bool:
        self.key = self.key.at_epoch(epoch)
        return super().next_epoch(epoch)

    def _run(self) -> Generator[Any, None, None]:
        return self.map.start(self.below.items, self.settings, self.kwargs, self.key)
