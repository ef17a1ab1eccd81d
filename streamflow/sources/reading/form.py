"""The form of samples and batches: a dict of values, a tuple of values, or one value.

How forms are walked is in `maps/collate.py`, for maps collate samples as well; files of sources take it from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...core.validate import require
from ...exceptions import ParameterError
from ...maps.collate import as_tuple, described, each, forms_differ, transposed

__all__ = [
    "Places",
    "as_tuple",
    "check_keys",
    "described",
    "each",
    "forms_differ",
    "keys_of",
    "picked",
    "transposed",
    "with_index",
]


def keys_of(data: Any) -> tuple[Any, ...] | None:
    """The keys of a dict, the positions of a tuple, None for a single value.

    >>> keys_of({"x": 1, "y": 2}), keys_of((1, 2)), keys_of([1, 2])
    (('x', 'y'), (0, 1), None)
    """
    if isinstance(data, Mapping):
        return tuple(data)
    return Places(range(len(data))) if isinstance(data, tuple) else None


class Places(tuple[int, ...]):
    """The positions of a tuple; the type distinguishes them from the keys 0, 1, ... of a dict."""

    __slots__ = ()


def check_keys(keys: Any, known: tuple[Any, ...] | None, whose: str) -> None:
    """Raise unless `keys`, one key or a tuple of keys, are among the `known` ones."""
    require(known is not None, "keys", f"None, because the samples of {whose} have no keys", keys)
    assert known is not None
    require(keys != (), "keys", "a key or a tuple of at least one key", keys)
    for key in keys if isinstance(keys, tuple) else (keys,):
        require(key in known, "keys", f"one of {', '.join(map(repr, known))}", key)


def picked(data: Any, keys: Any) -> Any:
    """The value of one key, or a tuple of the values of a tuple of keys.

    >>> picked({"x": 1, "y": 2}, "y"), picked((1, 2), (1, 0))
    (2, (2, 1))
    """
    return tuple([data[key] for key in keys]) if isinstance(keys, tuple) else data[keys]


def with_index(data: Any, index: Any) -> Any:
    """Add indices to a sample or batch: under ``"index"`` in a dict, else in front.

    >>> with_index({"x": 1}, 5), with_index((1, 2), 5), with_index("a", 5)
    ({'index': 5, 'x': 1}, (5, 1, 2), (5, 'a'))
    """
    if isinstance(data, Mapping):
        if "index" in data:
            raise ParameterError("`with_indices` must be False for samples that have a key 'index', got True")
        return {"index": index, **data}
    return (index, *data) if isinstance(data, tuple) else (index, data)
