"""Maps: functions from a stream to a stream, and how they keep the state of what is below them.

A map is a generator function whose first parameter is an iterator of items, declared with `stream_map`.  Called
directly it gives a generator.  Inside `Streamer.pipe` or ``Streamer(map, stream, ...)`` it becomes a `MapNode`, whose
state is that of the stream below it:

* between two outputs nothing is held back, so the state is that of the stream below, now;
* when an item fails to come, the stream below has moved on.  Therefore its state is noted now and then (after 20 ms,
  and so seldom that it costs at most a fiftieth of the time), and the outputs after the note are made again.

A map that holds items back for an unbounded time (``replayed=True``) is replayed from the start of its activation.
"""

from __future__ import annotations

import functools
import inspect
from abc import abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from itertools import islice
from time import perf_counter
from types import FunctionType
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeAlias, cast

from ..exceptions import ParameterError, StateError
from ..seeding import MAP, Key, Root, generator
from .describe import called, short
from .node import Node, Ticks, skip

if TYPE_CHECKING:
    from .streamer import Streamer

__all__ = ["DerivedNode", "MapNode", "StreamMap", "map_of", "stream_map"]

P = ParamSpec("P")
_Map: TypeAlias = Callable[Concatenate[Any, P], Generator[Any, None, None]]
_FIRST_NOTE = 0.02  #: seconds until the first note
_SHARE = 50  #: a note is taken when this many times its own cost has gone by


class StreamMap:
    """What is known of a declared map."""

    def __init__(self, fn: Callable[..., Any], check: Callable[..., Any] | None, replayed: bool) -> None:
        self.fn, self.check = fn, check
        self.signature = inspect.signature(fn)
        self.seeded = "random_state" in self.signature.parameters
        self.replayed = replayed or self.seeded  # its Generator starts anew
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


def map_of(source: Any) -> StreamMap | None:
    """The declaration of a map, which the function carries; None for any other function.

    One that is wrapped round a map by `functools.wraps` has the attribute too, and is none.
    """
    if source.__class__ is not FunctionType:
        return None
    declared: StreamMap | None = getattr(source, "_stream_map", None)
    return declared if declared is not None and declared.public is source else None


def stream_map(
    check: Callable[..., Any] | None = None, *, replayed: bool = False
) -> Callable[[Callable[Concatenate[Iterator[Any], P], Any]], _Map[P]]:
    """Declare a generator function over an iterator as a map.

    Parameters
    ----------
    check : function
        Called with the parameters after the first as soon as they are given; raises what is wrong.
    replayed : bool
        The map holds something between two outputs (items, a count), so it is resumed by running it again from the
        start of its activation.

    Notes
    -----
    A parameter named ``random_state`` makes the map a seeded one: inside a tree it receives a
    `numpy.random.Generator` that belongs to its place, and it is replayed too.

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

        declared = StreamMap(fn, check, replayed)
        declared.public = call
        call._stream_map = declared  # type: ignore[attr-defined]
        return cast("_Map[P]", call)

    return declare


def _over(fn: Callable[..., Any], stream: Any, args: Any, kwargs: Any) -> Generator[Any, None, None]:
    """A map called directly: what it opened itself it closes."""
    items = iter(stream)
    try:
        yield from fn(items, *args, **kwargs)
    finally:
        if items is not stream and hasattr(items, "close"):
            items.close()


class DerivedNode(Node):
    """A live node that makes its items from those of the node below it; see the top of this file."""

    __slots__ = ("_due", "_made", "_notes", "_ticks", "below", "items", "replayed", "spec", "stride")

    def __init__(self, spec: Streamer, below: Node, stride: tuple[int, int] = (0, 1), replayed: bool = False) -> None:
        self.spec, self.below, self.stride, self.replayed = spec, below, stride, replayed
        # (outputs given, items given below, state below); None for a stream below that is untouched
        self._notes: list[tuple[int, int, Any]] = [(0, 0, None)]
        self._begin(0)

    @abstractmethod
    def _run(self) -> Generator[Any, None, None]:
        """A fresh generator of outputs over the node below."""

    def _begin(self, given: int) -> None:
        self._made = self._run()
        outputs: Iterator[Any] = self._made
        index, count = self.stride
        if count > 1:
            outputs = islice(outputs, count - 1 if given else index, None, count)
        if not self.replayed:
            self._due = perf_counter() + _FIRST_NOTE
            outputs = map(self._passing, outputs)
        self._ticks = Ticks(outputs, given)
        self.items = self._ticks.items

    def _passing(self, output: Any) -> Any:
        if perf_counter() > self._due:
            self._note()
        return output

    def _note(self) -> None:
        began = perf_counter()
        try:
            note = (self.given() + 1, self.below.given(), self.below.state())
        except Exception:  # noqa: BLE001 - nobody has asked; who asks for a state will be told
            self._due = float("inf")
            return
        self._notes = [self._notes[-1], note]
        ended = perf_counter()
        self._due = ended + _SHARE * (ended - began)

    def given(self, failed: bool = False) -> int:
        return self._ticks.given()

    def state(self, failed: bool = False) -> Any:
        given = self.given()
        if self.replayed:
            return []
        if failed:
            self.below.state(failed)  # it tells what cannot be resumed
            # The last note may be of an output that was about to be delivered.
            return list(next(note for note in reversed(self._notes) if note[0] <= given))
        return [given, self.below.given(), self.below.state()]

    def restore(self, state: Any, given: int, verify: bool) -> None:
        after = 0
        if state:
            after, given_below, below = state
            if below is not None:
                self._made.close()
                self.below.restore(below, given_below, verify)
                self._begin(after)
            self._notes = [(after, given_below, below)]
        if skip(self.items, given - after) < given - after:
            raise StateError(f"{self.spec._words()} had given {given} items and has fewer now")

    def where(self) -> list[str]:
        return [called(self.spec.source), *self.below.where()]

    def close(self) -> None:
        try:
            self._made.close()
        finally:
            self.items = self._ticks.items = iter(())  # they know this node
            self.below.close()

    def next_epoch(self, epoch: int) -> bool:
        if not self.below.next_epoch(epoch):
            return False
        self._made.close()
        self._notes = [(0, 0, None)]
        self._begin(0)
        return True


class MapNode(DerivedNode):
    """A live map."""

    __slots__ = ("key", "map")

    def __init__(self, spec: Streamer, declared: StreamMap, below: Node, key: Key) -> None:
        self.map, self.key = declared, key
        super().__init__(spec, below, replayed=declared.replayed)

    def next_epoch(self, epoch: int) -> bool:
        self.key = self.key.at_epoch(epoch)
        return super().next_epoch(epoch)

    def _run(self) -> Generator[Any, None, None]:
        return self.map.start(self.below.items, self.spec.args[1:], self.spec.kwargs, self.key)
