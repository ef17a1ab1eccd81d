"""Maps: functions from a stream to a stream.

A map is a generator function whose first parameter is an iterator of items, declared with `stream_map`.  Called
directly it gives a generator.  Inside `Streamer.pipe` or ``Streamer(map, stream, ...)`` it becomes a node that keeps
the state of the stream below it (see `derived`); its kind says at which outputs it holds nothing back.
"""

from __future__ import annotations

import functools
import inspect
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from itertools import count
from typing import Any, Concatenate, Literal, NamedTuple, ParamSpec, TypeAlias, cast

import numpy as np

from ..exceptions import ParameterError
from ..seeding import MAP, Generators, Key, Root
from .derived import DerivedNode, ReplayedNode, StatelessNode, WindowedNode, emptied
from .label import name_of, short
from .node import Node, Ticks
from .validate import choice

__all__ = ["Address", "Run", "StreamMap", "declare", "declared_map", "stream_map", "trusted_map"]

P = ParamSpec("P")
_Map: TypeAlias = Callable[Concatenate[Any, P], Generator[Any, None, None]]
Kind: TypeAlias = Literal["stateless", "windowed", "replayed"]
KINDS = ("stateless", "windowed", "replayed")
_SEEDED = ("rng", "random_state")


class Address(NamedTuple):
    """Where a map stands: what its random numbers are keyed by."""

    key: Key
    level: int  #: how many maps there are below it, down to the next mux or leaf
    part: tuple[int, int]  #: (index, count)

    def generators(self, root: Root | None) -> Generators:
        """A generator for each window or item; `root` is the map's own, if it has one."""
        key = self.key if root is None else self.key.of_root(root)
        index, parts = self.part
        return Generators(key, MAP, self.level, parts, index)


class StreamMap:
    """The declaration of a map."""

    def __init__(
        self,
        fn: Callable[..., Any],
        check: Callable[..., Any] | None,
        kind: Kind,
        length: Callable[..., int | None] | None = None,
        checked: bool = True,
    ) -> None:
        self.fn, self.check, self.kind, self.length = fn, check, kind, length
        self.checked = checked  # whether nodes see to it that it holds nothing back
        self.signature, self.seeded = _signature(fn)
        if self.seeded and kind == "stateless":
            raise ParameterError(
                f"`kind` must be 'windowed' or 'replayed' for a map with a parameter {self.seeded}, got 'stateless'; "
                "map_items gives each item an `rng`"
            )
        self.public: Any = None  #: the function that users hold

    def bound(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> inspect.BoundArguments:
        """The checked arguments of a call, the stream first; a seed becomes a root of randomness."""
        try:
            call = self.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{name_of(self.fn)}: {error}") from None
        call.apply_defaults()
        stream = call.args[0]
        if not isinstance(stream, Iterable) and not hasattr(type(stream), "__getitem__"):
            raise ParameterError(f"`stream` must be a stream or another iterable, got {short(stream)}")
        if self.check is not None:
            checked = _without_rng(call)
            self.check(*checked.args[1:], **checked.kwargs)
        if self.seeded:
            seed = call.arguments[self.seeded]
            call.arguments[self.seeded] = seed if seed is None or isinstance(seed, Root) else Root(seed)
        return call

    def length_of(self, n: int, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> int | None:
        """How many outputs n items make, if that is known; `args` are those after the stream."""
        if self.length is None:
            return None
        call = _without_rng(self.signature.bind(None, *args, **kwargs))
        return self.length(n, *call.args[1:], **call.kwargs)

    def has_seed(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
        """Whether a seed was given to it, instead of the tree's."""
        return bool(self.seeded) and self.signature.bind(None, *args, **kwargs).arguments[self.seeded] is not None

    def is_random(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
        """Whether it draws random numbers."""
        return bool(self.seeded)

    def label(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
        """Its name in errors."""
        return name_of(self.public)

    def start(
        self, items: Iterator[Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], address: Address, number: int
    ) -> Iterator[Any]:
        """Run it; `args` are those after the stream, `number` is that of the first window or item."""
        call = self.signature.bind(items, *args, **kwargs)
        if not self.seeded:
            return cast("Iterator[Any]", self.fn(*call.args, **call.kwargs))
        generators = address.generators(call.arguments[self.seeded])
        rng = call.arguments[self.seeded] = generators.at(number)
        outputs = self.fn(*call.args, **call.kwargs)
        return _keyed(outputs, rng, generators, number) if self.kind == "windowed" else cast("Iterator[Any]", outputs)

    def note_on(self, error: Exception, args: tuple[Any, ...], kwargs: Mapping[str, Any], drawn: int) -> None:
        """Add to an error in a direct call, after `drawn` items have been drawn."""

    def node(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], below: Node, address: Address) -> DerivedNode:
        """The live node over the node below."""
        run, label, clock = Run(self, args, kwargs, address), self.label(args, kwargs), address.key.clock
        if self.kind == "replayed":
            return ReplayedNode(label, below, run, clock)
        return (StatelessNode if self.kind == "stateless" else WindowedNode)(label, below, run, clock, self.checked)


class Run(NamedTuple):
    """A map with its settings (the arguments after the stream) at its place in a tree: what a node runs."""

    map: StreamMap
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    address: Address

    def start(self, items: Iterator[Any], number: int) -> Iterator[Any]:
        """Make outputs, or lists of them if the map is windowed."""
        return self.map.start(items, self.args, self.kwargs, self.address, number)

    def at_epoch(self, epoch: int) -> Run:
        """The same in another epoch."""
        return self._replace(address=self.address._replace(key=self.address.key.at_epoch(epoch)))


def _signature(fn: Callable[..., Any]) -> tuple[inspect.Signature, str]:
    """The signature of a map, and which parameter wants random numbers, if one does; None is the default of that."""
    signature = inspect.signature(fn)
    seeded = next((name for name in _SEEDED if name in signature.parameters), "")
    parameters = [
        each.replace(default=None) if each.name == seeded and each.default is each.empty else each
        for each in signature.parameters.values()
    ]
    try:
        return signature.replace(parameters=parameters), seeded
    except ValueError:
        raise ParameterError(f"`{seeded}` must be the last parameter of a map, or have a default") from None


def _without_rng(call: inspect.BoundArguments) -> inspect.BoundArguments:
    """The arguments that a user knows of."""
    kept = [each for each in call.signature.parameters.values() if each.name != "rng"]
    values = {name: value for name, value in call.arguments.items() if name != "rng"}
    return inspect.BoundArguments(call.signature.replace(parameters=kept), OrderedDict(values))


def _keyed(
    windows: Generator[Any, None, None], rng: np.random.Generator, generators: Generators, number: int
) -> Generator[Any, None, None]:
    """Windows each of which finds the one generator that the function holds in the state of the window's own."""
    try:
        for window in count(number):
            rng.bit_generator.state = generators.at(window).bit_generator.state
            for outputs in windows:
                yield outputs
                break
            else:
                return
    finally:
        windows.close()


def declared_map(source: Any) -> StreamMap | None:
    """The declaration of a map, which its function carries; None for any other function."""
    declared: StreamMap | None = getattr(source, "_stream_map", None)
    # A function wrapped round a map by `functools.wraps` has its attributes, and is not that map.
    return declared if declared is not None and declared.public is source else None


def stream_map(
    check: Callable[..., Any] | None = None,
    *,
    kind: Kind = "stateless",
    length: Callable[..., int | None] | None = None,
) -> Callable[[Callable[Concatenate[Iterator[Any], P], Any]], _Map[P]]:
    """Declare a generator function over an iterator as a map.

    Parameters
    ----------
    check : function
        Called with the arguments after the first, without `rng`, as soon as they are given; raises if one is wrong.
    kind : {'stateless', 'windowed', 'replayed'}
        What the map holds between two outputs, which says how it is resumed.

        ``stateless``: nothing, neither items nor numbers, and it gives at most one output for each item that it draws.

        ``windowed``: it yields *lists* of outputs, which are given one by one, and holds nothing between two lists.
        The lists are emptied.  A state between two outputs of a list is that of an earlier list, and the outputs since
        are made again.

        ``replayed``: anything.  It is run again from the start of its activation.
    length : function
        Called with the number of items of the stream and the arguments after the first; returns how many outputs they
        make, None if that is not known.  Without it nobody knows.

    Returns
    -------
    function
        A decorator.

    Raises
    ------
    ParameterError
        If `kind` is none of these, or 'stateless' for a map that draws random numbers.
    StateError
        While iterating, if a stateless map in a tree gives an output for which it drew no item, or a windowed one a
        list.
    DataError
        While iterating, if a windowed map yields something else than a list.

    Notes
    -----
    A map with a parameter named ``rng`` or ``random_state`` is random: it receives a `numpy.random.Generator` that
    belongs to its place in the tree.  That of a windowed map begins anew with each list, depending on the number of the
    list alone.  A seed that is given as the argument takes the place of the tree's.

    Examples
    --------
    >>> from streamflow import Streamer
    >>> @stream_map()
    ... def doubled(items):
    ...     for item in items:
    ...         yield 2 * item
    >>> list(doubled([1, 2])), list(Streamer([1, 2]).pipe(doubled))
    ([2, 4], [2, 4])
    >>> @stream_map(kind="windowed")
    ... def twice(items):
    ...     for item in items:
    ...         yield [item, item]
    >>> list(twice([1, 2])), list(Streamer([1, 2]).pipe(twice))
    ([1, 1, 2, 2], [1, 1, 2, 2])
    """
    choice("kind", kind, KINDS)
    return lambda fn: declare(StreamMap(fn, check, kind, length))


def trusted_map(
    check: Callable[..., Any], kind: Kind, length: Callable[..., int | None]
) -> Callable[[Callable[Concatenate[Iterator[Any], P], Any]], _Map[P]]:
    """Declare a map of ours, which surely holds nothing back; it may return any iterator."""
    return lambda fn: declare(StreamMap(fn, check, kind, length, checked=False))


def declare(declared: StreamMap) -> Any:
    """The public function of a map: called directly, it gives a generator over any iterable."""

    @functools.wraps(declared.fn)
    def call(*args: Any, **kwargs: Any) -> Generator[Any, None, None]:
        bound = declared.bound(args, kwargs)
        stream, *settings = bound.args
        return _over(declared, stream, tuple(settings), bound.kwargs)

    declared.public = call
    call._stream_map = declared  # type: ignore[attr-defined]  # it goes along where `call` is pickled by value
    return call


def _over(
    declared: StreamMap, stream: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Generator[Any, None, None]:
    """A map called directly; it closes what it has opened itself."""
    items = iter(stream)
    drawn = Ticks(items)
    try:
        outputs = declared.start(drawn.items, args, kwargs, Address(Key(Root(), (0,)), 0, (0, 1)), 0)
        if declared.kind == "windowed":
            for window in outputs:
                yield from emptied(window, declared.label(args, kwargs))
        else:
            yield from outputs
    except Exception as error:
        declared.note_on(error, args, kwargs, drawn.given())
        raise
    finally:
        if items is not stream and hasattr(items, "close"):
            items.close()
