"""Labels: what things are called in errors, in `repr` and in states.  Nothing here runs while items flow."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable
from typing import Any

import numpy as np

__all__ = ["call_label", "name_of", "short", "size_of"]


def name_of(source: Any) -> str:
    """The name of a callable, or the type of anything else.

    >>> name_of(name_of), name_of([1, 2]), name_of(functools.partial(name_of, 3))
    ('name_of', 'list', 'name_of')
    """
    while isinstance(source, functools.partial):
        source = source.func
    name = getattr(source, "__name__", None)
    return name if isinstance(name, str) else type(source).__name__


def short(value: Any) -> str:
    """A value in at most 60 characters; data by its type, dtype and shape, never printed."""
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
    label = getattr(type(value), "_label", None)  # of a Streamer, a source, a sampler
    if label is not None:
        return str(label(value))
    return name_of(value) if callable(value) else type(value).__name__


def size_of(source: Any) -> str:
    """The length of a collection, in brackets; nothing if it has none."""
    try:
        return f"[{len(source)}]"
    except TypeError:  # it has none
        return ""


def call_label(source: Any, args: Iterable[Any] = (), kwargs: Iterable[tuple[str, Any]] = ()) -> str:
    """A call as one would write it down, within about 100 characters."""
    if not callable(source):
        return name_of(source)
    inside = ", ".join([short(arg) for arg in args] + [f"{key}={short(value)}" for key, value in kwargs])
    return f"{name_of(source)}({inside if len(inside) <= 100 else inside[:97] + '...'})"
