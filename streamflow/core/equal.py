"""Whether two items are equal, and where they differ."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

__all__ = ["difference", "same"]


def same(a: Any, b: Any) -> bool:
    """Whether two items are equal; NaN equals NaN, and objects that do not define `==` are equal if of one type."""
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


def difference(items: list[Any], others: list[Any], ignore: Collection[Any] = ()) -> str | None:
    """Where two lists of items differ: None if nowhere, the keys of their dicts if that is all, else ''.

    Keys of dicts that are to be ignored may differ, or be in one of them alone.

    >>> difference([{"x": 1, "time": 2}], [{"x": 1, "time": 3}]), difference([1], [2]), difference([1], [1])
    ("'time'", '', None)
    """
    if ignore:
        items, others = _without(items, ignore), _without(others, ignore)
    if same(items, others):
        return None
    pairs = [(a, b) for a, b in zip(items, others, strict=False) if not same(a, b)]
    if len(items) != len(others) or not all(isinstance(a, dict) and isinstance(b, dict) for a, b in pairs):
        return ""
    keys = {key: None for a, b in pairs for key in {**a, **b} if not (key in a and key in b and same(a[key], b[key]))}
    return ", ".join(map(repr, keys))


def _without(items: list[Any], keys: Collection[Any]) -> list[Any]:
    return [
        {key: value for key, value in item.items() if key not in keys} if isinstance(item, dict) else item
        for item in items
    ]
