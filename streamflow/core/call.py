"""Calls: a leaf function with its arguments (or an iterable), what it may be, and what is injected into it.

A leaf function may ask for three things by the name of a parameter that is not filled by an argument:

* ``rng``: a `numpy.random.Generator` that belongs to this activation alone;
* ``shard``: (index, count); the function divides its items itself;
* ``start``: how many items of this activation have been delivered before; the function continues from there.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import re
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import FunctionType
from typing import Any, Protocol

from ..exceptions import ParameterError, StateError, StreamflowError
from .label import name_of, short

__all__ = [
    "PLAIN",
    "Call",
    "OneShot",
    "Shards",
    "Undecorated",
    "asked",
    "check_arguments",
    "checked_source",
    "is_plain",
    "iterated",
    "merged",
    "resumes",
    "unfilled",
    "wanted",
]

#: Parts of parts, outermost first: (index, count) each.
Shards = tuple[tuple[int, int], ...]


class Call(Protocol):
    """A function with its arguments, or an iterable: what a leaf opens.  A plain `Streamer` is one."""

    source: Any
    args: tuple[Any, ...]

    @property
    def kwargs(self) -> Mapping[str, Any]:
        """The keyword arguments."""

    def _label(self) -> str:
        """Its name in errors."""


_INJECTED = ("rng", "shard", "start")
_ASYNC = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
#: What is injected into each function, by its identity; an entry goes when its function goes.
_known: dict[int, tuple[Any, dict[str, int | None]]] = {}
#: The identities of those into which nothing is injected.
PLAIN: set[int] = set()
#: Text that is meant to be a path: it has a separator, or ends in a suffix.
_PATH = re.compile(r"[/\\]|\w\.\w{1,8}$")


class OneShot:
    """An iterator as the source of a Streamer: it serves one pass; what needs more raises, and says what to do."""

    __slots__ = ("__name__", "_iterator")
    ADVICE = "give a function that makes the iterator, or a list"

    def __init__(self, iterator: Iterator[Any]) -> None:
        self._iterator: Iterator[Any] | None = iterator
        self.__name__ = name_of(iterator)

    def __iter__(self) -> Iterator[Any]:
        if self._iterator is None:
            raise StreamflowError(self.refusal("an earlier pass has used it"))
        iterator, self._iterator = self._iterator, None
        return iterator

    def refusal(self, why: str, advice: str = ADVICE) -> str:
        """The text of an error."""
        return f"the iterator {self.__name__!r} can be iterated only once and {why}; {advice}"

    def no_shards(self) -> ParameterError:
        """The error for an attempt to shard it."""
        return ParameterError(self.refusal("cannot be sharded"))

    def no_state(self) -> StateError:
        """The error for an attempt to save its state."""
        return StateError(self.refusal("cannot be resumed"))

    def __reduce__(self) -> Any:
        raise StreamflowError(self.refusal("cannot be sent or copied"))


def checked_source(source: Any) -> Any:
    """The source of a Streamer, checked, as the Streamer keeps it (a plain function needs no such check)."""
    if inspect.iscoroutinefunction(source) or inspect.isasyncgenfunction(source):
        raise _async(source)
    if isinstance(source, (str, bytes)):
        _refuse_paths(source)
    elif not callable(source) and not isinstance(source, Iterable) and not hasattr(type(source), "__getitem__"):
        raise ParameterError(
            f"`source` must be a function that returns an iterator, or an iterable, got {short(source)}"
        )
    return OneShot(source) if isinstance(source, Iterator) else source


def _async(source: Any) -> ParameterError:
    return ParameterError(f"`source` must be a plain function, got the async function {name_of(source)}")


def _refuse_paths(text: str | bytes) -> None:
    """Text is an iterable of its characters, but a path stands for its file."""
    if _PATH.search(text if isinstance(text, str) else text.decode("latin-1")):
        raise ParameterError(
            f"`source` must be a function or an iterable of items, got {short(text)}, which looks like a path; "
            "give a function that reads the file, Streamer(read, path) (or list(text) for its single characters)"
        )


def check_arguments(function: FunctionType, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    """Raise if a plain function cannot be called with these arguments and what is injected into the call.

    Returns
    -------
    bool
        Whether every call with as many arguments and the same keywords is fine too.
    """
    code = function.__code__
    if code.co_flags & _ASYNC:
        raise _async(function)
    if code.co_flags & (inspect.CO_VARARGS | inspect.CO_VARKEYWORDS) or hasattr(function, "__wrapped__"):
        return False  # what it takes shows only when it is called
    given, positional = len(args), code.co_argcount
    names = code.co_varnames[: positional + code.co_kwonlyargcount]
    with_default = positional - len(function.__defaults__ or ())
    filled = {*names[:given], *names[with_default:positional], *(function.__kwdefaults__ or ()), *kwargs, *_INJECTED}
    by_keyword = {*names[max(given, code.co_posonlyargcount) :]}
    if given <= positional and by_keyword.issuperset(kwargs) and filled.issuperset(names):
        return True
    taken = [name for name in names if name not in _INJECTED or name in kwargs]
    shown = ", ".join([*map(short, args), *(f"{name}={short(value)}" for name, value in kwargs.items())])
    raise ParameterError(f"`args` must be arguments of {name_of(function)}({', '.join(taken)}), got ({shown})")


def wanted(source: Callable[..., Any]) -> dict[str, int | None]:
    """The injected parameters of a callable, each with its position (None: keyword only)."""
    known = _known.get(id(source))
    if known is not None:
        return known[1]
    found = _read(source)
    try:
        alive = weakref.ref(source, functools.partial(_forget, id(source)))
    except TypeError:  # not every callable can be weakly referenced; one that cannot is read again each time
        return found
    _known[id(source)] = (alive, found)
    return found


def _forget(name: int, _: Any, known: dict[int, Any] = _known, plain: set[int] = PLAIN) -> None:
    """A function has gone (perhaps at the end of the interpreter, when this module has lost its names already)."""
    known.pop(name, None)
    plain.discard(name)


def asked(function: Callable[..., Any], names: tuple[str, ...], n_args: int) -> set[str]:
    """Which of these parameters a call with `n_args` arguments leaves open.

    >>> asked(lambda item, rng, index=7: item, ("rng", "index"), 1)
    {'rng'}
    """
    return {name for name, place in _read(function, names).items() if place is None or place >= n_args}


def _read(source: Callable[..., Any], wanted: tuple[str, ...] = _INJECTED) -> dict[str, int | None]:
    """Parameters of these names that may be filled in, each with its position (None: keyword only)."""
    if type(source) is FunctionType and not hasattr(source, "__wrapped__"):
        code = source.__code__
        names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        if not any(name in names for name in wanted):
            return {}
    try:
        parameters = inspect.signature(source).parameters
    except (TypeError, ValueError):  # a builtin without a signature
        return {}
    return {
        name: place if parameter.kind is not parameter.KEYWORD_ONLY else None
        for place, (name, parameter) in enumerate(parameters.items())
        if name in wanted
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
    """Whether nothing is injected into a function; if so it is in `PLAIN` from now on."""
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
    """Whether this call can start in the middle by itself (by ``start``)."""
    return callable(source) and "start" in unfilled(source, args, kwargs)


def iterated(source: Any, made: Any) -> Iterator[Any]:
    """An iterator over what a leaf function returned."""
    if isinstance(made, (str, bytes, Mapping)):
        what = "its keys" if isinstance(made, Mapping) else "its characters"
        raise ParameterError(
            f"`source` must be a function that returns an iterator of items, but {name_of(source)} returned "
            f"{short(made)}, whose items are {what}; yield the items instead of returning one"
        )
    try:
        return iter(made)
    except TypeError:
        raise ParameterError(
            f"`source` must be a function that returns an iterator, but {name_of(source)} returned {short(made)}; "
            "yield the items instead of returning one"
        ) from None


class Undecorated:
    """Stands in a pickle for a function that its module holds decorated (by `streamable`, say)."""

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
