"""The form of samples, and how many of them become one batch of the same form.

A form is a dict of forms, a tuple (or named tuple) of forms, or a single value.  Everything else is a value: arrays,
numbers, text, lists, objects.  `transposed` walks many samples side by side, `each` one of them; sources read and stack
by the same two.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import repeat
from operator import getitem
from typing import Any

import numpy as np

from ..core.label import short
from ..exceptions import DataError
from .stacking import BufferPool, stacked

__all__ = ["as_tuple", "collated", "described", "each", "forms_differ", "transposed"]

_FORMS = (dict, tuple, Mapping)
#: Types that are values for certain: to ask whether something is a Mapping takes longer than to look its type up.
_VALUES = {np.ndarray, np.float32, np.float64, np.int64, bool, int, float, str, bytes}


def collated(samples: list[Any], axis: int | None, ragged: str, pool: BufferPool) -> Any:
    """One batch of at least one sample, in their form; the parameters are those of `stacked`.

    Raises
    ------
    DataError
        If the samples have different forms or are None, or if the values cannot be stacked.

    >>> collated([(1, {"y": 2}), (3, {"y": 4})], None, "error", BufferPool())
    (array([1, 3]), {'y': array([2, 4])})
    """
    if type(None) in set(map(type, samples)) and not isinstance(samples[0], _FORMS):
        raise DataError("samples must be arrays, numbers, text, or dicts or tuples of these, got None")
    return transposed(samples, lambda values, name: stacked(values, name, axis, ragged, 0, pool))


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


def _as_it_is(values: list[Any], name: str) -> list[Any]:
    return values


def transposed(samples: list[Any], change: Callable[[list[Any], str], Any] = _as_it_is, name: str = "") -> Any:
    """Turn a list of samples into one sample of lists, or of what `change` makes of each list and its name.

    >>> transposed([{"x": 1, "y": (2, 3)}, {"x": 4, "y": (5, 6)}])
    {'x': [1, 4], 'y': ([2, 5], [3, 6])}
    >>> transposed([{"x": 1}, {"x": 2}], lambda values, name: f"{name} is {values}")
    {'x': "'x' is [1, 2]"}
    """
    first = samples[0] if samples else None
    if type(first) in _VALUES or not isinstance(first, _FORMS):
        return change(samples, name or "the samples")
    if isinstance(first, tuple):
        columns = enumerate(_values_at(samples, first, name))
        return as_tuple(first, [transposed(values, change, f"{name}[{place}]") for place, values in columns])
    return {
        key: transposed(values, change, f"{name}[{key!r}]" if name else repr(key))
        for key, values in _values_of(samples, first, name).items()
    }


def _values_of(samples: list[Any], first: Mapping[Any, Any], name: str) -> dict[Any, list[Any]]:
    """For each key the values of all samples."""
    plain = set(map(type, samples)) == {dict}  # others may answer for a key that they do not have
    try:
        if plain and sum(map(len, samples)) == len(samples) * len(first):  # if none lacks a key, all have the same
            return {key: list(map(getitem, samples, repeat(key))) for key in first}
    except KeyError:  # some lack one
        pass
    for sample in samples:
        if not isinstance(sample, Mapping) or sample.keys() != first.keys():
            raise forms_differ(first, sample, name)
    return {key: [sample[key] for sample in samples] for key in first}


def _values_at(samples: list[Any], first: tuple[Any, ...], name: str) -> list[list[Any]]:
    """For each place the values of all samples."""
    for sample in samples:
        if not isinstance(sample, tuple) or len(sample) != len(first):
            raise forms_differ(first, sample, name)
    return list(map(list, zip(*samples, strict=True)))


def as_tuple(like: Any, values: list[Any]) -> Any:
    """A tuple of these values, of the type of `like` if that is a named tuple."""
    return type(like)._make(values) if hasattr(like, "_make") else tuple(values)


def forms_differ(first: Any, other: Any, name: str = "") -> DataError:
    """The error for samples of different forms; `name` is what is in their place, if they are values of samples."""
    of_what = f"the values of {name}" if name else "the samples of a batch"
    only = ""
    if isinstance(first, Mapping) and isinstance(other, Mapping):
        odd = sorted(map(repr, first.keys() ^ other.keys()))
        only = f"; only some have {', '.join(odd[:20])}"
    return DataError(f"{of_what} must have the same form, got {described(first)} and {described(other)}{only}")


def described(sample: Any) -> str:
    """The form of a sample or result for errors: the keys of a dict; anything else as `short` describes it.

    >>> described({"x": 1, "y": 2}), described((1, 2))
    ("keys 'x', 'y'", 'tuple of 2')
    """
    return f"keys {', '.join(sorted(map(repr, sample)))}" if isinstance(sample, Mapping) else short(sample)
