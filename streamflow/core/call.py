"""From a description to a live iterator: how a source is called, and what is put into its call.

A source function may ask for three things by the name of a parameter that nobody has filled:

* ``rng``: a `numpy.random.Generator` that belongs to this activation alone;
* ``shard``: (index, count); the function divides its items itself;
* ``start``: how many items of this activation have been delivered before; the function goes on from there.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import weakref
from collections.abc import Callable, Iterable, Iterator
from types import FunctionType
from typing import Any

from ..exceptions import ParameterError, StateError, StreamflowError
from ..seeding import LEAF, Key, generator
from .label import name_of, short

__all__ = [
    "ASYNC",
    "PLAIN",
    "OneShot",
    "Shards",
    "Undecorated",
    "checked_source",
    "is_plain",
    "iterated",
    "merged",
    "refuse_async",
    "resumes",
    "start",
    "unfilled",
    "wanted",
]

#: Parts of parts, outermost first: (index, count) each.
Shards = tuple[tuple[int, int], ...]

_INJECTED = ("rng", "shard", "start")
#: The flags of a code object of an async function.
ASYNC = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
#: What each function wants, by identity; an entry goes when its function goes.
_known: dict[int, tuple[Any, dict[str, int | None]]] = {}
#: The identities of those that want nothing.
PLAIN: set[int] = set()


class OneShot:
    """An iterator that can be passed over once; what stands in for it says so when it is asked for more."""

    __slots__ = ("_iterator", "name")
    ADVICE = "give Streamer a function that makes the iterator, or a collection"

    def __init__(self, iterator: Iterator[Any]) -> None:
        self._iterator: Iterator[Any] | None = iterator
        self.name = name_of(iterator)

    def __iter__(self) -> Iterator[Any]:
        if self._iterator is None:
            raise StreamflowError(f"the {self.name} is a one-shot iterator and has been passed over; {self.ADVICE}")
        iterator, self._iterator = self._iterator, None
        return iterator

    def no_shards(self) -> ParameterError:
        """The error for an attempt to shard it."""
        return ParameterError(f"the {self.name} is a one-shot iterator and cannot be sharded; {self.ADVICE}")

    def no_state(self) -> StateError:
        """The error for an attempt to save its state."""
        return StateError(f"the {self.name} is a one-shot iterator and cannot be resumed; {self.ADVICE}")

    def __reduce__(self) -> Any:
        raise StreamflowError(f"the {self.name} is a one-shot iterator and cannot be sent or copied; {self.ADVICE}")


def checked_source(source: Any) -> Any:
    """A source of any kind but a plain function, as a description keeps it."""
    if inspect.iscoroutinefunction(source) or inspect.isasyncgenfunction(source):
        refuse_async(source)
    if not callable(source) and not isinstance(source, Iterable) and not hasattr(type(source), "__getitem__"):
        raise ParameterError(
            f"`source` must be a function that returns an iterator, or an iterable, got {short(source)}"
        )
    return OneShot(source) if isinstance(source, Iterator) else source


def refuse_async(source: Any) -> None:
    """Raise the error for an async function."""
    raise ParameterError(f"`source` must be a plain function, got the async function {name_of(source)}")


def wanted(source: Callable[..., Any]) -> dict[str, int | None]:
    """The injected parameters that a callable has, each with its position (None: by keyword only)."""
    known = _known.get(id(source))
    if known is not None:
        return known[1]
    found = _read(source)
    name = id(source)
    try:
        alive = weakref.ref(source, lambda _: _forget(name))
    except TypeError:  # not every callable can be watched; such a one is read again each time
        return found
    _known[name] = (alive, found)
    return found


def _forget(name: int) -> None:
    _known.pop(name, None)
    PLAIN.discard(name)


def _read(source: Callable[..., Any]) -> dict[str, int | None]:
    if type(source) is FunctionType and not hasattr(source, "__wrapped__"):
        code = source.__code__
        names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        if not any(name in names for name in _INJECTED):
            return {}
    try:
        parameters = inspect.signature(source).parameters
    except (TypeError, ValueError):  # a builtin that tells nothing of itself
        return {}
    return {
        name: place if parameter.kind is not parameter.KEYWORD_ONLY else None
        for place, (name, parameter) in enumerate(parameters.items())
        if name in _INJECTED
        and parameter.kind not in (parameter.POSITIONAL_ONLY, parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        and parameter.default in (parameter.empty, None)
    }


def unfilled(source: Callable[..., Any], args: tuple[Any, ...], kwargs: Any) -> set[str]:
    """The injected parameters that this call leaves open."""
    return {
        name
        for name, place in wanted(source).items()
        if not (place is not None and place < len(args)) and not (kwargs and name in kwargs)
    }


def is_plain(source: Any) -> bool:
    """Whether a source is a function that wants nothing injected; if so it is in `PLAIN` from now on."""
    if wanted(source) or id(source) not in _known:
        return False
    PLAIN.add(id(source))
    return True


def merged(shards: Shards) -> tuple[int, int]:
    """A stride of a stride as one: every `count`-th item from number `index` on.

    >>> merged(((1, 2), (2, 3)))
    (5, 6)
    """
    index, count = 0, 1
    for part, parts in shards:
        index, count = index + count * part, count * parts
    return index, count


def resumes(source: Any, args: tuple[Any, ...], kwargs: Any) -> bool:
    """Whether this call can go on in the middle by itself (by ``start``)."""
    return callable(source) and "start" in unfilled(source, args, kwargs)


def start(
    source: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    key: Key,
    shards: Shards,
    done: int,
    bind: Callable[[Any], Any],
) -> tuple[Iterator[Any], tuple[int, int]]:
    """Call a source, or go round an iterable.

    Parameters
    ----------
    source, args, kwargs
        Of the description; Streamers among the arguments are bound already.
    key : Key
        Of this activation.
    shards : Shards
        Which part is wanted.
    done : int
        How many items of this part have been delivered before (for a source that `resumes`).
    bind : function
        Applied to what a function returns (a Streamer is to belong to this activation).

    Returns
    -------
    iterator
        What the source gave.
    stride : (index, count)
        Which of its items make the part.
    """
    if callable(source):
        open_ones = unfilled(source, args, kwargs)
        if "shard" in open_ones:
            kwargs = {**kwargs, "shard": shards[0] if shards else (0, 1)}
            shards = shards[1:]
        elif source is iter and len(args) > 1:
            shards = ()  # endless calls of a function: each part makes its own
        if "rng" in open_ones:
            kwargs = {**kwargs, "rng": generator(key, LEAF)}
        if "start" in open_ones:
            kwargs = {**kwargs, "start": done * merged(shards)[1]}
        made = bind(source(*args, **kwargs))
    else:
        if isinstance(source, OneShot) and shards:
            raise source.no_shards()
        made = source
    return iterated(source, made), merged(shards)


def iterated(source: Any, made: Any) -> Iterator[Any]:
    """An iterator over what a source gave."""
    try:
        return iter(made)
    except TypeError:
        raise ParameterError(
            "`source` must be a function that returns an iterator, or an iterable; "
            f"{name_of(source)} gave {short(made)}"
        ) from None


class Undecorated:
    """Stands in a pickle for a function whose module holds it decorated (by `streamable`, say)."""

    def __init__(self, public: Any) -> None:
        self.public = public

    def function(self) -> Any:
        return self.public.__wrapped__

    @classmethod
    def of(cls, function: Any) -> Any:
        try:
            public = functools.reduce(
                getattr, function.__qualname__.split("."), importlib.import_module(function.__module__)
            )
        except (AttributeError, ImportError, TypeError, ValueError):
            return function
        return cls(public) if getattr(public, "__wrapped__", None) is function else function
