"""The form of samples and batches: a dict of values, a tuple of values, or one value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ...core.label import short
from ...core.validate import require
from ...exceptions import DataError, ParameterError

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


def each(change: Callable[[Any, str], Any], data: Any, name: str = "") -> Any:
    """Apply `change` to every value of `data` and to the name that errors use for it.

    >>> each(lambda value, name: f"{name} is {value}", {"x": 1, "y": (2, 3)})
    {'x': "'x' is 1", 'y': ("'y'[0] is 2", "'y'[1] is 3")}
    """
    if isinstance(data, Mapping):
        return {key: each(change, value, f"{name}[{key!r}]" if name else repr(key)) for key, value in data.items()}
    if isinstance(data, tuple):
        return as_tuple(data, [each(change, value, f"{name}[{place}]") for place, value in enumerate(data)])
    return change(data, name or "the samples")


def as_tuple(like: Any, values: list[Any]) -> Any:
    """A tuple of these values, of the type of `like` if that is a named tuple."""
    return type(like)._make(values) if hasattr(like, "_make") else tuple(values)


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


def transposed(samples: list[Any]) -> Any:
    """Turn a list of samples into one sample of lists.

    >>> transposed([{"x": 1, "y": (2, 3)}, {"x": 4, "y": (5, 6)}])
    {'x': [1, 4], 'y': ([2, 5], [3, 6])}
    """
    if not samples:
        return samples
    first = samples[0]
    if isinstance(first, Mapping):
        for sample in samples:
            if not isinstance(sample, Mapping) or sample.keys() != first.keys():
                raise forms_differ(first, sample)
        return {key: transposed([sample[key] for sample in samples]) for key in first}
    if isinstance(first, tuple):
        for sample in samples:
            if not isinstance(sample, tuple) or len(sample) != len(first):
                raise forms_differ(first, sample)
        return as_tuple(first, [transposed(list(values)) for values in zip(*samples, strict=True)])
    return samples


def forms_differ(first: Any, other: Any) -> DataError:
    """The error for samples of different forms."""
    return DataError(f"the samples of a batch must have the same form, got {described(first)} and {described(other)}")


def described(sample: Any) -> str:
    """The form of a sample or result for errors: the keys of a dict; anything else as `short` describes it.

    >>> described({"x": 1, "y": 2}), described((1, 2))
    ("keys 'x', 'y'", 'tuple of 2')
    """
    return f"keys {', '.join(sorted(map(repr, sample)))}" if isinstance(sample, Mapping) else short(sample)
