"""`tuples` and `keras_tuples`: turn dicts into tuples of some of their values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ..core.label import short
from ..core.map import trusted_map
from ..core.validate import require
from ..exceptions import DataError, ParameterError

__all__ = ["keras_tuples", "tuples"]


def _column(item: Any, key: Any) -> Any:
    try:
        return item[key]
    except KeyError as error:
        error.add_note(f"an item has no key {key!r}; it has {list(item)[:20]}")
        raise
    except (TypeError, IndexError):
        raise DataError(f"items must be dicts, got {short(item)}") from None


def _check_hashable(name: str, keys: Iterable[Any]) -> None:
    for key in keys:
        try:
            hash(key)
        except TypeError:
            raise ParameterError(f"`{name}` must be hashable keys, got {short(key)}") from None


def _check_keys(*keys: Any) -> None:
    require(keys, "keys", "at least one key", keys)
    _check_hashable("keys", keys)


@trusted_map(_check_keys, "stateless")
def tuples(stream: Iterator[Any], *keys: Any) -> Iterator[tuple[Any, ...]]:
    """Turn dicts into tuples of some of their values.

    Parameters
    ----------
    stream : iterable of dicts
    *keys
        The keys of the values, in this order; at least one.

    Yields
    ------
    tuple
        The values themselves, not copies.

    Raises
    ------
    DataError
        If an item is not a dict.
    KeyError
        If an item lacks a key.

    Examples
    --------
    >>> list(tuples([{"x": 1, "y": 2, "z": 3}], "z", "x"))
    [(3, 1)]
    """

    def picked(item: Any) -> tuple[Any, ...]:
        return tuple([_column(item, key) for key in keys])

    return map(picked, stream)


def _check_sides(inputs: Any = None, outputs: Any = None) -> None:
    for name, side in (("inputs", inputs), ("outputs", outputs)):
        if not isinstance(side, str) and isinstance(side, Iterable):
            unordered = isinstance(side, (set, frozenset))
            require(not (unordered or isinstance(side, Iterator)), name, "a key or a list of keys", side)
            _check_hashable(name, side)
    given = not (_is_empty(inputs) and _is_empty(outputs))
    require(given, "inputs", "a key or a list of keys unless `outputs` is given", inputs)


def _is_empty(keys: Any) -> bool:
    return keys is None or (isinstance(keys, (str, list, tuple)) and not keys)


def _side(keys: Any) -> Callable[[Any], Any]:
    """The function that gives one side of a training pair: an array, a list of arrays, or None."""
    if _is_empty(keys):
        return lambda item: None
    if isinstance(keys, str) or not isinstance(keys, Iterable):
        return lambda item: _column(item, keys)
    names = list(keys)
    return lambda item: [_column(item, name) for name in names]


@trusted_map(_check_sides, "stateless")
def keras_tuples(stream: Iterator[Any], inputs: Any = None, outputs: Any = None) -> Iterator[Any]:
    """Turn dicts into the pairs (inputs, outputs) that Keras trains on.

    Parameters
    ----------
    stream : iterable of dicts
    inputs, outputs : str, sequence of str, or None
        A key gives its array, a sequence of keys a list of arrays in that order; None, or no keys, gives None.  At
        least one of the two must be given.

    Yields
    ------
    tuple
        The pair (inputs, outputs).

    Raises
    ------
    DataError
        If an item is not a dict.
    KeyError
        If an item lacks a key.

    Examples
    --------
    >>> next(keras_tuples([{"x": 1, "y": 2, "z": 3}], ["x", "z"], "y"))
    ([1, 3], 2)
    """
    left, right = _side(inputs), _side(outputs)

    def pair(item: Any) -> tuple[Any, Any]:
        return left(item), right(item)

    return map(pair, stream)
