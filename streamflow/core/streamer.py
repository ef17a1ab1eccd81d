"""Streamer: the description of a stream, a leaf function and its arguments.

What every description can do stands in `description.py`, what a plain Streamer may be in `parts.py`.  A subclass (the
muxes, background streamers, streams over sources) calls `_describe` first where it has no source, fills in
hooks and leaves the public methods alone:

* `_node(key, shards)` opens the live node;
* `fingerprint()` says what makes two trees the same for a state;
* `children()` names the Streamers right below;
* `_label()` names it in errors;
* `_length(shards)` says how many items it gives, if that is known (`lengths.py`);
* `_draws_itself` and `_divided_draw` say where it draws random numbers (`walk.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import CodeType, FunctionType, GeneratorType, MappingProxyType
from typing import Any, Self

from ..seeding import Key
from .binding import Overrides
from .call import PLAIN, OneShot, Shards, Undecorated, check_arguments, checked_source, is_plain, iterated
from .description import Description
from .fingerprint import Fingerprint, described, joined
from .hooks import Hooks
from .label import call_label, short
from .leaf import Leaf
from .map import declared_map
from .node import Node
from .parts import CallPart, MapPart, Part, StreamPart
from .validate import require

__all__ = ["Streamer"]

_NO_KWARGS: Mapping[str, Any] = MappingProxyType({})
#: The last call of a plain function that was found to be fine: its code, the number of its arguments, its keywords.
_fine: tuple[CodeType | None, int, list[str]] = (None, 0, [])


class Streamer(Description):
    """Describe a stream: a leaf function and its arguments.

    Nothing is copied and nothing is opened until the first item is asked for.  Each iteration is a separate pass.

    Parameters
    ----------
    source : callable, iterable, Streamer or iterator
        A generator function, any callable that returns an iterator, any iterable, another Streamer, or an iterator,
        which can be iterated only once.  A function with a parameter ``rng``, ``shard`` or ``start`` that no argument
        fills receives a `numpy.random.Generator` of its own, the part (index, count) that it has to yield, or the
        number of items already delivered.
    *args, **kwargs
        Handed to the function by reference.  Streamers among them belong to the activation: iterating one opens it
        under a seed of this activation, and it is closed with it.

    Raises
    ------
    ParameterError
        If the source is neither callable nor iterable, is an async function or looks like a path, or if a plain
        function cannot take the arguments.

    Notes
    -----
    Sharding: part k of n yields items k, k + n, ... (and computes the others too), unless the function has a parameter
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

    __slots__ = ("_kwargs", "args", "source")
    source: Any
    args: tuple[Any, ...]
    _kwargs: dict[str, Any] | None
    #: pescador's name of `source`.
    streamer: Any

    def __init__(self, source: Any, /, *args: Any, **kwargs: Any) -> None:
        if source.__class__ is FunctionType:
            code, count, keywords = _fine
            # A call like the last one is fine too: pools are made of one function.
            if source.__code__ is not code or len(args) != count or ((kwargs or keywords) and [*kwargs] != keywords):
                args, kwargs = _described(source, args, kwargs)
        else:
            source = checked_source(source)
            if args or kwargs:
                called = callable(source) and not isinstance(source, Streamer)
                advice = "`pipe` applies a function to a stream"
                require(called, "source", "a function if arguments are given", source, advice)
        self.source = source
        self.args = args
        self._kwargs = kwargs or None
        self._overrides = None
        self._active = 0

    def _describe(self, random_state: Any = None) -> None:
        """In a constructor: begin a subclass that has no source, such as a mux.

        >>> class Squares(Streamer):
        ...     def __init__(self, random_state=None):
        ...         self._describe(random_state)
        >>> Squares(random_state=0).source is None
        True
        """
        self.source, self.args, self._kwargs, self._overrides, self._active = None, (), None, None, 0
        self._set_seed(random_state)

    # ------------------------------------------------------------------ what it is
    @property
    def kwargs(self) -> Mapping[str, Any]:
        """The keyword arguments, read-only."""
        return _NO_KWARGS if self._kwargs is None else MappingProxyType(self._kwargs)

    def children(self) -> Iterable[tuple[Any, Streamer]]:
        """The Streamers right below this one, each with its name: what a walk over a tree follows.

        Members of a mux go by their key or index, Streamers among arguments by position or keyword, and the one below a
        map or a background streamer is ``"stream"``.

        Yields
        ------
        name : str, int or a key of the members
        child : Streamer

        Examples
        --------
        >>> from streamflow import ShuffledMux, tuples
        >>> tree = ShuffledMux({"dog": ["woof"], "cat": ["miaow"]}).pipe(tuples, "x")
        >>> for name, child in tree.children():
        ...     print(name, child, [name for name, _ in child.children()])
        stream ShuffledMux(2 streamers) ['dog', 'cat']
        """
        children: Any = self._part().children()
        yield from children

    def __repr__(self) -> str:
        inside = [short(self.source), *map(short, self.args), *(f"{k}={short(v)}" for k, v in self.kwargs.items())]
        return f"{type(self).__name__}({', '.join(inside)})"

    def pipe(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Streamer:
        """A Streamer of `fn` over this one: ``fn(stream, *args, **kwargs)``.

        Parameters
        ----------
        fn : map, function over a stream, or subclass of Streamer
            The parameters of a map are checked here.  A subclass of Streamer is made with this one as first argument.
        *args, **kwargs
            Its further arguments.

        Examples
        --------
        >>> from streamflow import buffer_stream
        >>> batches = Streamer([{"x": i} for i in range(4)]).pipe(buffer_stream, 2)
        >>> [batch["x"].tolist() for batch in batches]
        [[0, 1], [2, 3]]
        """
        if isinstance(fn, type) and issubclass(fn, Streamer) and fn is not Streamer:
            return fn(self, *args, **kwargs)
        return Streamer(fn, self, *args, **kwargs)

    def _adopt(self, streamer: Any) -> Streamer:
        """In a constructor: the stream to run inside this one.  If that is bound, this one is bound in its place."""
        if not isinstance(streamer, Streamer):
            return Streamer(streamer)
        inner = streamer._overrides
        if inner is not None and inner.binding is not None:
            self._overrides = (self._overrides or Overrides()).but(binding=inner.binding)
        return streamer._unbound()

    def _part(self) -> Part:
        """What it is, unless a subclass fills in the hooks itself."""
        source = self.source
        if source.__class__ is FunctionType:
            declared = declared_map(source)
            return CallPart(self) if declared is None else MapPart(declared, self.args, self.kwargs)
        return StreamPart(source) if isinstance(source, Streamer) else CallPart(self)

    def _node(self, key: Key, shards: Shards) -> Node:
        return self._part().node(key, shards)

    def fingerprint(self) -> Fingerprint:
        """What makes two trees the same tree for a state.

        A state is refused by a stream with another fingerprint.  That of a subclass which does not say otherwise is
        its name and its public attributes, by value, and those of its children.
        """
        if type(self) is Streamer:
            return self._marked(self._part().fingerprint())
        if self.source is not None:
            inner = self._part().fingerprint()
        else:
            inner = joined(child.fingerprint() for _, child in self.children())
        return self._marked(inner.then(f"{described(self)}{inner.text and f' of {inner.text}'}", random=True))

    def _identity(self) -> str:
        if type(self) is not Streamer:
            return super()._identity()
        return self._marked(Fingerprint(self._part().identity())).text

    def _length(self, shards: Shards) -> int | None:
        return self._part().length(shards)

    def _draws_itself(self, seeded: bool) -> bool:
        return self._part().draws_itself(seeded)

    def _divided_draw(self, shards: Shards) -> str | None:
        return self._part().divided_draw(shards)

    def _label(self) -> str:
        return call_label(self.source, self.args, self.kwargs.items())

    def _held(self) -> Iterable[Any]:
        return (self.source, *self.args, *self.kwargs.values())

    def _inside(self) -> Any:
        return self._part().inside()

    def _maps(self) -> int:
        return self._part().maps()

    def _refuse_shards(self, shards: Shards) -> None:
        if isinstance(self.source, OneShot):
            raise self.source.no_shards()

    def _activate(self, key: Key, index: int, number: int, budget: int | None, shards: Shards) -> Node:
        """Open it as member `index` of the mux at `key`, for activation `number` and at most `budget` items.

        The first lines are a shortcut for what most members of large pools are: a plain function that wants nothing
        injected and gets no Streamer.  They give what `_open` would give, in a third of its time.
        """
        node: Node | None = None
        source = self.source
        if (
            self.__class__ is Streamer
            and self._overrides is None
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
                    node = Leaf(self, key, shards, made)  # a plain function never looks at its key
                elif not isinstance(made, Streamer):
                    node = Leaf(self, key, shards, iterated(source, made))
        if node is None:
            node = self._open(key.below(number, index), shards)
        node.index, node.number, node.budget = index, number, budget
        return node

    # ------------------------------------------------------------------ pickling
    def __getstate__(self) -> tuple[dict[str, Any], dict[str, Any]]:
        slots = {name: getattr(self, name) for name in _SLOTS}
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
        for part in (getattr(self, "__dict__", {}), {name: getattr(self, name) for name in _SLOTS}):
            for name, value in part.items():
                setattr(twin, name, value)
        twin._active = 0
        return twin


# pescador's name of `source`; of a background streamer, the stream that it runs.
Streamer.streamer = vars(Streamer)["source"]
_SLOTS = (*Hooks.__slots__, *Streamer.__slots__)


def _described(
    function: FunctionType, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The checked arguments of a function; those of a map begin with the Streamer below it."""
    global _fine  # noqa: PLW0603
    declared = declared_map(function)
    if declared is None:
        if check_arguments(function, args, kwargs):
            _fine = function.__code__, len(args), [*kwargs]
        return args, kwargs
    call = declared.bound(args, kwargs)
    below, *settings = call.args
    return (below if isinstance(below, Streamer) else Streamer(below), *settings), call.kwargs
