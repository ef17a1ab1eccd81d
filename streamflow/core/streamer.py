"""Streamer: the description of a stream, a source and its arguments.

A Streamer is never changed by being iterated; all that changes lives in nodes (`node.py`) under a `Stream`
(`stream.py`).  Subclasses (the muxes, background streamers) fill four hooks and leave the public methods alone:

* `_node(key, shards)` opens the live node;
* `_shape()` says what makes two trees the same for a state;
* `_words()` names it in error notes;
* `__init__` passes no source on.
"""

from __future__ import annotations

import copy
import os
import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from itertools import islice
from types import FunctionType, GeneratorType, MappingProxyType
from typing import Any, Self, TypeVar
from weakref import WeakSet

from ..exceptions import is_whole, require
from ..seeding import Key, Root
from .binding import Binding, Own
from .describe import Shape, called, digest_of, joined, name_of, short, size_of
from .mapping import MapNode, map_of
from .node import Leaf, Node
from .source import (
    ASYNC,
    PLAIN,
    OneShot,
    Shards,
    Undecorated,
    checked_source,
    is_plain,
    iterated,
    refuse_async,
    start,
    unfilled,
)
from .stream import Stream, checked_epoch, checked_max_iter

__all__ = ["Streamer", "open_node"]

S = TypeVar("S", bound="Streamer")
_NO_KWARGS: Mapping[str, Any] = MappingProxyType({})
_counting = threading.RLock()  # a signal handler or a finaliser may open or close a Stream meanwhile


class Streamer:
    """Describe a stream: a source and its arguments.

    Nothing is copied and nothing is opened until the first item is asked for.  Each iteration is a pass of its own.

    Parameters
    ----------
    source : callable, iterable, Streamer or iterator
        A generator function, any callable that returns an iterator, any iterable, another Streamer, or an iterator
        that can be passed over once.  A function with a free parameter ``rng``, ``shard`` or ``start`` receives a
        `numpy.random.Generator` of its own, the part (index, count) that it shall yield, or the number of items
        already delivered.
    *args, **kwargs
        Handed to the source by reference.  Streamers among them belong to the activation: iterating one opens it
        under a seed of this activation, and it is closed with it.

    Raises
    ------
    ParameterError
        If the source is neither callable nor iterable, or is an async function.

    Notes
    -----
    Sharding: part k of n yields items k, k + n, ... (and computes the others too), unless the source has a parameter
    ``shard``.  ``Streamer(iter, function, sentinel)`` calls the function anew in each part.

    Examples
    --------
    >>> def count(start, stop):
    ...     yield from range(start, stop)
    >>> numbers = Streamer(count, 3, 6)
    >>> list(numbers), list(numbers)
    ([3, 4, 5], [3, 4, 5])
    >>> list(numbers.cycle(max_iter=7))
    [3, 4, 5, 3, 4, 5, 3]
    """

    __slots__ = ("_active", "_kwargs", "_own", "args", "source")
    source: Any
    args: tuple[Any, ...]
    _kwargs: dict[str, Any] | None
    _own: Own | None
    _active: int

    def __init__(self, source: Any, /, *args: Any, **kwargs: Any) -> None:
        if source.__class__ is not FunctionType:
            source = checked_source(source)
            if args or kwargs:
                called_one = callable(source) and not isinstance(source, Streamer)
                require(called_one, "source", "a function, where arguments are given", source, "is a `pipe` meant?")
        elif source.__code__.co_flags & ASYNC:
            refuse_async(source)
        elif hasattr(source, "_stream_map") and (declared := map_of(source)) is not None:
            (below, *settings), kwargs = declared.describe(args, kwargs)
            args = (below if isinstance(below, Streamer) else Streamer(below), *settings)
        self.source = source
        self.args = args
        self._kwargs = kwargs or None
        self._own = None
        self._active = 0

    # ------------------------------------------------------------------ what it is
    @property
    def kwargs(self) -> Mapping[str, Any]:
        """The keyword arguments, read-only."""
        return _NO_KWARGS if self._kwargs is None else MappingProxyType(self._kwargs)

    @property
    def active(self) -> int:
        """How many passes over this Streamer are open."""
        return self._active

    @property
    def is_activated_copy(self) -> bool:
        """False: a Streamer is a description; `open` and ``with`` give what is live."""
        return False

    def __repr__(self) -> str:
        inside = [short(self.source), *map(short, self.args), *(f"{k}={short(v)}" for k, v in self.kwargs.items())]
        return f"{type(self).__name__}({', '.join(inside)})"

    # ------------------------------------------------------------------ passes
    def open(self, epoch: int = 0, cycle: bool = False) -> Stream:
        """Open one live pass, whose state can be saved.

        Parameters
        ----------
        epoch : int
            Which pass over the data it is: shuffles and `rng` differ from epoch to epoch.
        cycle : bool
            Go on with the next epoch at the end of each, until one is empty.
        """
        stream = Stream(self, epoch, cycle)
        own = self._own
        if own is not None and own.binding is not None:
            own.binding.opened.add(stream)
        return stream

    def iterate(self, max_iter: int | None = None, *, epoch: int = 0) -> Generator[Any, None, None]:
        """A generator over one pass, or its first `max_iter` items; exactly that many are drawn."""
        return self._run(checked_max_iter(max_iter), False, checked_epoch(epoch))

    def cycle(self, max_iter: int | None = None) -> Generator[Any, None, None]:
        """A generator over pass after pass, epochs 0, 1, 2, ...; it ends after an epoch without items."""
        return self._run(checked_max_iter(max_iter), True, 0)

    def __call__(
        self, max_iter: int | None = None, cycle: bool = False, *, epoch: int = 0
    ) -> Generator[Any, None, None]:
        """`iterate`, or with ``cycle=True`` pass after pass from `epoch` on."""
        return self._run(checked_max_iter(max_iter), bool(cycle), checked_epoch(epoch))

    def __iter__(self) -> Generator[Any, None, None]:
        return self._run(None, False, 0)

    def _run(self, limit: int | None, cycle: bool, epoch: int) -> Generator[Any, None, None]:
        if limit == 0:
            return
        stream = self.open(epoch, cycle)
        try:
            yield from stream._begin() if limit is None else islice(stream._begin(), limit)
        except GeneratorExit:
            raise
        except BaseException as error:
            stream._fail(error)
            raise
        finally:
            stream.close()

    def __enter__(self) -> Stream:
        stream = self.open()
        with _counting:
            _entered.setdefault((id(self), threading.get_ident()), []).append(stream)
        return stream

    def __exit__(self, *error: object) -> None:
        with _counting:
            place = id(self), threading.get_ident()
            streams = _entered[place]
            stream = streams.pop()
            if not streams:
                del _entered[place]
        stream.close()

    def _count(self, change: int) -> None:
        with _counting:
            self._active += change

    # ------------------------------------------------------------------ derived descriptions
    def pipe(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Streamer:
        """A Streamer of `fn` over this one: ``fn(stream, *args, **kwargs)``.

        >>> from streamflow import buffer_stream
        >>> batches = Streamer([{"x": i} for i in range(4)]).pipe(buffer_stream, 2)
        >>> [batch["x"].tolist() for batch in batches]
        [[0, 1], [2, 3]]
        """
        if isinstance(fn, type) and issubclass(fn, Streamer) and fn is not Streamer:
            return fn(self, *args, **kwargs)
        return Streamer(fn, self, *args, **kwargs)

    def shard(self, index: int, count: int) -> Self:
        """One of `count` parts; together they are this stream, or for an endless one each alone has its weights.

        >>> letters = Streamer("abcdefg")
        >>> list(letters.shard(0, 3)), list(letters.shard(1, 3)), list(letters.shard(2, 3))
        (['a', 'd', 'g'], ['b', 'e'], ['c', 'f'])
        """
        for name, value in (("index", index), ("count", count)):
            whole = is_whole(value)
            require(whole, name, "an integer", value)
        require(count >= 1, "count", "at least 1", count)
        require(0 <= index < count, "index", f"from 0 to {count - 1}", index)
        own = self._own or Own()
        twin = self._twin(Own(own.root, (*own.shards, (int(index), int(count))), own.binding))
        twin._check_shards(twin._own.shards)  # type: ignore[union-attr]
        return twin

    def with_seed(self, random_state: Any) -> Self:
        """The same stream with a root of randomness of its own (None: the parent's again).

        >>> def dice(rng):
        ...     while True:
        ...         yield int(rng.integers(1, 7))
        >>> list(Streamer(dice).with_seed(7)(max_iter=5)) == list(Streamer(dice).with_seed(7)(max_iter=5))
        True
        """
        own = self._own or Own()
        return self._twin(Own(None if random_state is None else Root(random_state), own.shards, own.binding))

    def _twin(self, own: Own) -> Self:
        twin = copy.copy(self)
        twin._own, twin._active = own, 0
        return twin

    def _bind(self, key: Key, number: int, opened: WeakSet[Any]) -> Self:
        """This Streamer as an argument of an activation."""
        own = self._own or Own()
        return self._twin(Own(own.root, own.shards, Binding(key, number, opened)))

    def _check_shards(self, shards: Shards) -> None:
        """Refuse what cannot be sharded."""
        if isinstance(self.source, OneShot):
            raise self.source.no_shards()
        if isinstance(self.source, Streamer):
            self.source._check_shards(shards)
        elif self._is_map():
            self.args[0]._check_shards(shards)

    # ------------------------------------------------------------------ hooks
    def _node(self, key: Key, shards: Shards) -> Node:
        source = self.source
        if isinstance(source, Streamer):
            return open_node(source, key, shards)
        if (declared := map_of(source)) is not None:
            return MapNode(self, declared, open_node(self.args[0], key, shards), key)
        return Leaf(self, key, shards)

    def _shape(self) -> Shape:
        source = self.source
        if isinstance(source, Streamer):
            return self._marked(source._shape())
        if (declared := map_of(source)) is not None:
            below = self.args[0]._shape()
            settings = "".join(f", {short(arg)}" for arg in self.args[1:])
            return self._marked(below.then(f"{called(source)}({below.text}{settings})", random=declared.seeded))
        inner = joined(arg._shape() for arg in (*self.args, *self.kwargs.values()) if isinstance(arg, Streamer))
        size = "" if callable(source) else size_of(source)
        random = getattr(source, "gives_streamers", False) or (
            callable(source) and "rng" in unfilled(source, self.args, self._kwargs)
        )
        return self._marked(inner.then(f"{called(source)}{size}{inner.text and f'({inner.text})'}", random=random))

    def _marked(self, shape: Shape) -> Shape:
        """A shape with this Streamer's own part and seed."""
        own = self._own
        if own is None:
            return shape
        text = shape.text
        for index, count in own.shards:
            text = f"part {index} of {count} of {text}"
        if own.root is None:
            return Shape(text, shape.weights, shape.random)
        seed = digest_of([own.root.prefix, str(own.root.entropy)])
        return Shape(f"{text} seeded {seed[:8]}", shape.weights, False)

    def _words(self) -> str:
        return name_of(self.source, self.args, self.kwargs.items())

    # ------------------------------------------------------------------ how it is opened
    def _is_map(self) -> bool:
        return map_of(self.source) is not None

    def _root(self) -> Root:
        """The root of a pass of this Streamer by itself."""
        own = self._own
        return Root() if own is None or own.binding is None else own.binding.key.root

    def _open_pass(self, root: Root, epoch: int) -> Node:
        """The node of a pass of this Streamer by itself."""
        return open_node(self, Key(root, (epoch,)), ())

    def _activate(self, key: Key, number: int, index: int, shards: Shards) -> Node:
        """The node of an activation as a member of a mux.

        The first lines are a shortcut for what most members of large pools are: a plain function that wants nothing
        injected and gets no Streamer.  They give what the last line would give, at a third of its time.
        """
        source = self.source
        if (
            self.__class__ is Streamer
            and self._own is None
            and self._kwargs is None
            and not shards
            and source.__class__ is FunctionType
            and (id(source) in PLAIN or is_plain(source))
        ):
            for arg in self.args:
                if isinstance(arg, Streamer):
                    break
            else:
                made = source(*self.args)
                if made.__class__ is GeneratorType:
                    return Leaf(self, key, shards, made)  # a plain function never looks at its key
                if not isinstance(made, Streamer):
                    return Leaf(self, key, shards, iterated(source, made))
        return open_node(self, key.below(number, index), shards)

    def _start(
        self, key: Key, shards: Shards, done: int, opened: WeakSet[Any]
    ) -> tuple[Iterator[Any], tuple[int, int]]:
        """Call the source for an activation at `key`; passes over bound Streamers are noted in `opened`."""
        first = len(self.args)
        args = tuple([_bound(arg, key, place, opened) for place, arg in enumerate(self.args)])
        kwargs = {
            name: _bound(arg, key, place, opened)
            for place, (name, arg) in enumerate(sorted(self.kwargs.items()), first)
        }
        last = first + len(kwargs)
        return start(self.source, args, kwargs, key, shards, done, lambda made: _bound(made, key, last, opened))

    # ------------------------------------------------------------------ pickling
    def __getstate__(self) -> tuple[dict[str, Any], dict[str, Any]]:
        slots = {name: getattr(self, name) for name in Streamer.__slots__}
        slots["_active"] = 0
        if isinstance(self.source, FunctionType):
            slots["source"] = Undecorated.of(self.source)
        return getattr(self, "__dict__", {}), slots

    def __setstate__(self, state: tuple[dict[str, Any], dict[str, Any]]) -> None:
        for part in state:
            for name, value in part.items():
                setattr(self, name, value.function() if isinstance(value, Undecorated) else value)

    def __copy__(self) -> Self:
        twin = object.__new__(type(self))
        for part in (getattr(self, "__dict__", {}), {name: getattr(self, name) for name in Streamer.__slots__}):
            for name, value in part.items():
                setattr(twin, name, value)
        return twin


def _forked() -> None:
    """A lock that another thread held at a fork stays locked in the child: begin with a fresh one."""
    global _counting  # noqa: PLW0603
    _counting = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
#: Streams opened by ``with streamer``, innermost last, by the identity of the (living) Streamer and the thread.
_entered: dict[tuple[int, int], list[Stream]] = {}


def _bound(arg: Any, key: Key, number: int, opened: WeakSet[Any]) -> Any:
    return arg._bind(key, number, opened) if isinstance(arg, Streamer) else arg


def open_node(spec: Streamer, key: Key, shards: Shards) -> Node:
    """The live node of a Streamer at an address; what it is bound to, its own seed and its own part come first."""
    own = spec._own
    if own is not None:
        if own.binding is not None:
            key = own.binding.address(key)
        if own.root is not None:
            key = Key(own.root, key.path)
        shards = own.shards + shards
    return spec._node(key, shards)
