"""Whether two items are equal."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["same"]


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
