"""Values in words, such that values that differ have other words: what fingerprints and states compare.

Simple values are written as they are, long text and small arrays with a digest, large things by type and shape alone.
A thing with a method `fingerprint` says itself what it is.  Two depths differ in what is made of other things:

* a *setting* (of a mux, a map, a source, a sampler; a mapped function) does not change while items flow, so it is
  written with its class and its public attributes, a function with its module, its defaults and the simple values in
  its closure;
* a leaf function, whose first items are compared when a state is loaded, goes by its name alone, and what is among its
  *arguments* may be anything, a handle or a counter, so it goes by its class.
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Iterable, Mapping
from datetime import date, time, timedelta
from enum import Enum
from types import BuiltinFunctionType, CodeType, EllipsisType, FunctionType, MethodType, ModuleType, NoneType
from typing import Any

import numpy as np

from ..seeding import Root
from .label import name_of

__all__ = ["argument", "bounded", "call_text", "digest", "function_text", "public_attributes", "setting"]

_MOST_VALUES = 64  #: in one text
_LONGEST = 400  #: characters of one text
_LONGEST_CALL = 160
_DIGESTED = 1 << 16  #: bytes of an array whose values count
_PLAIN = frozenset({str, bytes, int, float, complex, bool, NoneType, range, slice, EllipsisType})
_QUICK = frozenset({str, float, bool, NoneType})
_IN_CALLS = _QUICK | {int}
_NAMELESS = frozenset({"None", "builtins", "__main__", "__mp_main__", __name__.partition(".")[0]})
_DATED = (date, time, timedelta)
_COLLECTIONS = (list, tuple, set, frozenset, dict)


def digest(*parts: str | bytes) -> str:
    """A digest of texts or bytes, as 16 letters."""
    hashed = hashlib.blake2b(digest_size=8)
    for part in parts:
        data = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        hashed.update(len(data).to_bytes(8, "little") + data)
    return hashed.hexdigest()


def bounded(text: str, most: int) -> str:
    """A text of at most about `most` characters: of a longer one the beginning and a digest.

    >>> len(bounded("a" * 1000, 100)), bounded("abc", 100)
    (100, 'abc')
    """
    return text if len(text) <= most else f"{text[: most - 20]}... {digest(text)}"


def setting(value: Any) -> str:
    """A setting in words.

    >>> setting((0.25, "a", [1, 2])), setting({"b": 2, "a": 1})
    ("(0.25, 'a', [1, 2])", "{'a': 1, 'b': 2}")
    >>> setting(np.arange(3)) == setting(np.array([0, 1, 4]))
    False
    """
    return bounded(_Writer(True).write(value), _LONGEST)


def argument(value: Any) -> str:
    """An argument of a leaf function in words.

    >>> argument(["a", 1]), argument(object())
    ("['a', 1]", 'object')
    """
    if type(value) in _QUICK and (type(value) is not str or len(value) <= 60):
        return repr(value)
    return bounded(_Writer(False).write(value), _LONGEST)


def call_text(source: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
    """A leaf function with its arguments, or an iterable, in words.

    >>> call_text(range, (3, 4), {}), call_text([1, 2], (), {})
    ('range(3, 4)', '[1, 2]')
    """
    if not kwargs and _IN_CALLS.issuperset(map(type, args)) and callable(source):
        name = source.__name__ if source.__class__ is FunctionType else name_of(source)
        try:
            text = f"{name}({', '.join(map(repr, args))})"
        except ValueError:  # an integer of thousands of digits
            text = ""
        if text and len(text) <= 60:  # so each argument is as `argument` writes it
            return text
    if not callable(source):
        return bounded(argument(source), _LONGEST_CALL)
    inside = [*map(argument, args), *(f"{name}={argument(value)}" for name, value in sorted(kwargs.items()))]
    return bounded(f"{name_of(source)}({', '.join(inside)})", _LONGEST_CALL)


def function_text(function: Any, deep: bool = True, defaults: bool = True) -> str:
    """A callable as a setting, or (not `deep`) as a leaf function: of a lambda also its constants and names.

    Without its `defaults`, where all its parameters are written by themselves.

    >>> from bisect import bisect
    >>> function_text(functools.reduce), function_text(len), function_text(digest), function_text(bisect)
    ('_functools.reduce', 'len', 'digest', '_bisect.bisect_right')
    >>> function_text(lambda x: x + 1) == function_text(lambda x: x + 2)
    False
    """
    return bounded(_Writer(deep, defaults).callable(function), _LONGEST)


def public_attributes(value: Any) -> dict[str, Any]:
    """The attributes of an object that do not begin with an underscore, those in slots included."""
    slots = [name for kind in reversed(type(value).__mro__) for name in _slots(kind)]
    found = {name: getattr(value, name) for name in slots if hasattr(value, name)}
    return {name: one for name, one in (found | getattr(value, "__dict__", {})).items() if not name.startswith("_")}


def _slots(kind: type) -> Iterable[str]:
    slots = vars(kind).get("__slots__", ())
    return (slots,) if isinstance(slots, str) else slots


class _Writer:
    """Writes one value with all that is in it, up to a number of values."""

    def __init__(self, deep: bool, defaults: bool = True) -> None:
        self.deep, self.defaults, self.left = deep, defaults, _MOST_VALUES
        self.inside: set[int] = set()  # what is being written: it may hold itself

    def write(self, value: Any) -> str:
        self.left -= 1
        kind = type(value)
        if kind in _PLAIN:
            return _plain(value)
        if isinstance(value, np.ndarray):
            return _array(value)
        if id(value) in self.inside:
            return "..."
        self.inside.add(id(value))
        try:
            if isinstance(value, _COLLECTIONS):
                return self._collection(value)
            return self._other(value)
        finally:
            self.inside.discard(id(value))

    def _collection(self, value: Any) -> str:
        name, own = type(value).__name__, _base(value)
        size = own.__len__(value)
        if size > max(self.left, 0):
            return f"{name} of {size}"
        if own is dict:
            inside = ", ".join(sorted(f"{self.write(key)}: {self.write(one)}" for key, one in dict.items(value)))
            return f"{{{inside}}}" if name == "dict" else f"{name}({{{inside}}})"
        parts = [self.write(one) for one in own.__iter__(value)]
        if isinstance(value, (set, frozenset)):
            parts.sort()
        inside = ", ".join(parts)
        return f"[{inside}]" if name == "list" else f"({inside})" if name == "tuple" else f"{name}({inside})"

    def _other(self, value: Any) -> str:
        said = _said(value)
        if said is not None:
            return said
        if isinstance(value, Enum):
            return f"{type(value).__qualname__}.{value.name}"
        if isinstance(value, np.generic):
            return f"{value.dtype}({_plain(value.item())})"
        if isinstance(value, os.PathLike):
            return _plain(os.fspath(value))
        if isinstance(value, (str, bytes, int, float, complex)):
            return f"{type(value).__qualname__}({value!r:.60})" if self.deep else _plain(value)
        if isinstance(value, (np.dtype, *_DATED)):
            return repr(value)
        if isinstance(value, Root):
            return f"seed {digest(repr(value.prefix), repr(value.drawn))[:8]}"
        if isinstance(value, type):
            return self._named(value)
        if callable(value):
            return self.callable(value)
        return self._object(value)

    def _object(self, value: Any) -> str:
        name = type(value).__qualname__
        if not self.deep or isinstance(value, ModuleType):
            return name
        public = public_attributes(value)
        if len(public) > max(self.left, 0):
            return name
        inside = ", ".join(f"{attribute}={self.write(one)}" for attribute, one in public.items())
        return f"{name}({inside})" if inside else name

    def callable(self, value: Any) -> str:
        """A function, a method, a partial, or an object that can be called."""
        if isinstance(value, functools.partial):
            kwargs = sorted(value.keywords.items())
            inside = [self.callable(value.func), *map(self.write, value.args)]
            return f"partial({', '.join([*inside, *(f'{name}={self.write(one)}' for name, one in kwargs)])})"
        if isinstance(value, MethodType):
            return f"{self.write(value.__self__)}.{value.__func__.__name__}"
        if isinstance(value, FunctionType):
            return self._function(value)
        if isinstance(value, type):
            return self._named(value)
        if isinstance(value, BuiltinFunctionType):
            owner = value.__self__
            free = owner is None or isinstance(owner, ModuleType)
            return self._named(value) if free else f"{self.write(owner)}.{value.__name__}"
        said = _said(value)
        return self._object(value) if said is None else said

    def _named(self, thing: Any) -> str:
        """Module and name; only its name if it is ours (files move) or of a main script (it may be imported)."""
        module, name = getattr(thing, "__module__", None), getattr(thing, "__qualname__", None) or name_of(thing)
        if not self.deep or str(module).partition(".")[0] in _NAMELESS:
            return str(name)
        return f"{module}.{name}"

    def _function(self, function: FunctionType) -> str:
        text, code = self._named(function), function.__code__
        if function.__name__ == "<lambda>":
            text = f"{text} {digest(*_constants(code))[:8]}"
        if not self.deep:
            return text
        values: dict[str, Any] = {}
        if self.defaults:
            values = {f"{place}": one for place, one in enumerate(function.__defaults__ or ())}
            values |= function.__kwdefaults__ or {}
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            try:
                values[name] = cell.cell_contents
            except ValueError:  # it is not filled yet
                continue
        if not values:
            return text
        if len(values) > max(self.left, 0):
            return f"{text} with {len(values)} values"
        deep, self.deep = self.deep, False  # a closure may hold anything
        inside = ", ".join(f"{name}={self.write(one)}" for name, one in values.items())
        self.deep = deep
        return f"{text} with {inside}"


def _base(value: Any) -> Any:
    """The built-in collection that a value is: its methods read what is held, and run no code of a subclass."""
    return next(kind for kind in _COLLECTIONS if isinstance(value, kind))


def _said(value: Any) -> str | None:
    """What a Streamer, a source, a sampler or any other object says of itself; None if it says nothing."""
    method = getattr(type(value), "fingerprint", None)
    if not callable(method):
        return None
    try:
        found = method(value)
    except TypeError:  # it wants arguments, so it is something else
        return None
    if hasattr(found, "text") and hasattr(found, "weights"):  # a `Fingerprint`
        return f"{found.text} {found.weights}".strip()
    return found if isinstance(found, str) else None


def _constants(code: CodeType) -> list[str]:
    """The constants and names of a function and of those inside it."""
    writer = _Writer(False)
    found = [" ".join(code.co_names)]
    for one in code.co_consts:
        found += _constants(one) if isinstance(one, CodeType) else [] if one is None else [writer.write(one)]
    return found


def _plain(value: Any) -> str:
    if isinstance(value, (str, bytes)) and len(value) > 60:
        return f"{value[:28]!r}...{value[-28:]!r} {digest(value)}"
    if isinstance(value, int) and value.bit_length() > 200:
        return f"an integer of {value.bit_length()} bits {digest(hex(value))}"
    return repr(value)


def _array(value: Any) -> str:
    text = f"{type(value).__name__}({value.dtype}, {value.shape}"
    if value.dtype.hasobject or value.nbytes > _DIGESTED:
        return f"{text})"
    return f"{text}, {digest(np.ascontiguousarray(value).tobytes())})"
