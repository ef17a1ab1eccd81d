"""Words about descriptions: short names for error notes, the shape of a tree, digests of arguments, equality of items.

Everything here is asked for seldom (an error, a state, a repr); nothing runs while items flow.
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Iterable
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np

__all__ = ["Shape", "called", "digest_of", "joined", "name_of", "same", "short", "size_of"]


class Shape(NamedTuple):
    """What makes two trees the same tree for a state."""

    text: str  #: types, sizes and names
    weights: str  #: the weights, as a digest
    random: bool  #: whether anything in it may draw random numbers

    def then(self, text: str, weights: str = "", random: bool = False) -> Shape:
        """This shape under another text, with something added."""
        return Shape(text, _digest(self.weights, weights) if weights else self.weights, self.random or random)


def joined(shapes: Iterable[Shape]) -> Shape:
    """Many shapes as one; equal neighbours are told once with their number."""
    texts: list[str] = []
    weights: set[str] = set()
    random = False
    for shape, run in groupby(shapes):
        count = sum(1 for _ in run)
        texts.append(shape.text if count == 1 else f"{count} x {shape.text}")
        weights.add(shape.weights)
        random = random or shape.random
    return Shape(", ".join(texts), _digest(*sorted(weights)) if weights != {""} else "", random)


def _digest(*parts: str | bytes) -> str:
    hashed = hashlib.blake2b(digest_size=8)
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        hashed.update(len(data).to_bytes(8, "little") + data)
    return hashed.hexdigest()


def called(source: Any) -> str:
    """The name of a callable, or the type of anything else.

    >>> called(called), called([1, 2]), called(functools.partial(called, 3))
    ('called', 'list', 'called')
    """
    while isinstance(source, functools.partial):
        source = source.func
    name = getattr(source, "__name__", None)
    return name if isinstance(name, str) else type(source).__name__


def short(value: Any) -> str:
    """A value in at most 60 characters; data is told by type, dtype and shape, never printed."""
    if isinstance(value, (str, bytes, int, float, complex, bool, type(None), os.PathLike)):
        value = os.fspath(value) if isinstance(value, os.PathLike) else value
        if isinstance(value, (str, bytes)) and len(value) > 60:
            return f"{value[:28]!r}...{value[-28:]!r}"
        text = repr(value)
        return text if len(text) <= 60 else f"{text[:28]}...{text[-28:]}"
    if isinstance(value, np.ndarray):
        return f"{type(value).__name__}({value.dtype}, {value.shape})"
    if isinstance(value, (list, tuple, dict, set, frozenset)):
        return f"{type(value).__name__} of {len(value)}"
    words = getattr(type(value), "_words", None)  # a Streamer's name for itself
    if words is not None:
        return str(words(value))
    return called(value) if callable(value) else type(value).__name__


def size_of(source: Any) -> str:
    """The length of a collection, in brackets, if it tells one."""
    try:
        return f"[{len(source)}]"
    except TypeError:  # it has none, or does not want to say
        return ""


def name_of(source: Any, args: Iterable[Any] = (), kwargs: Iterable[tuple[str, Any]] = ()) -> str:
    """A source with its arguments, as it might be written down, within about 100 characters."""
    if not callable(source):
        return called(source)
    inside = ", ".join([short(arg) for arg in args] + [f"{key}={short(value)}" for key, value in kwargs])
    return f"{called(source)}({inside if len(inside) <= 100 else inside[:97] + '...'})"


def digest_of(args: Iterable[Any]) -> str:
    """A digest of simple arguments; of any other only its type (of an array also dtype and shape) counts."""
    return _digest(*(_simple(arg) for arg in args))


def _simple(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return f"{type(value).__name__}({','.join(map(_simple, value))})" if len(value) <= 64 else short(value)
    if isinstance(value, (str, bytes)) and len(value) > 60:
        return f"{type(value).__name__} {_digest(value)}"
    if isinstance(value, (str, bytes, int, float, complex, bool, type(None))):
        return repr(value)
    return repr(os.fspath(value)) if isinstance(value, os.PathLike) else short(value)


def same(a: Any, b: Any) -> bool:
    """Whether two items are equal; NaN equals NaN, and objects without an equality of their own equal by type."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and _same_arrays(a, b)
    own_equality: Any = type(a).__eq__
    if own_equality is object.__eq__:
        return True
    try:
        return bool(a == b) or bool(a != a and b != b)
    except (TypeError, ValueError):  # an array of another library, which compares element by element
        return _same_arrays(np.asarray(a), np.asarray(b))


def _same_arrays(a: Any, b: Any) -> bool:
    if a.dtype.names is not None:
        return all(_same_arrays(a[name], b[name]) for name in a.dtype.names)
    if a.dtype.kind == "O":
        return all(map(same, a.ravel().tolist(), b.ravel().tolist()))
    return bool(np.array_equal(a, b, equal_nan=a.dtype.kind in "fcmM"))
