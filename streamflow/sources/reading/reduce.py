"""What a function gives for the batches of a source, put together: joined, or as a mean."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.label import short
from ...core.validate import require
from ...exceptions import DataError

if TYPE_CHECKING:
    from ..base import Source

__all__ = ["map_concat", "map_mean"]

_READING = ("keys", "with_indices", "ragged", "fill", "crop")  #: what of `batches` does not touch the order


def map_concat(
    source: Source, fn: Callable[[Any], Any], batch_size: int, progress: Any, reading: dict[str, Any]
) -> Any:
    """What `Source.map_concat` does."""
    # copies: `fn` may use the memory of its results again
    parts = [_in_each(_copied, [result]) for result in _results(source, fn, batch_size, progress, reading)]
    return _in_each(_concatenated, parts) if parts else None


def map_mean(source: Source, fn: Callable[[Any], Any], batch_size: int, progress: Any, reading: dict[str, Any]) -> Any:
    """What `Source.map_mean` does."""
    sums: Any = None
    for result in _results(source, fn, batch_size, progress, reading):
        numbers = _in_each(_number, [result])
        sums = numbers if sums is None else _in_each(_added, [sums, numbers])
    return None if sums is None else _in_each(lambda values, name: values[0] / len(source), [sums])


def _results(
    source: Source, fn: Callable[[Any], Any], batch_size: int, progress: Any, reading: dict[str, Any]
) -> Iterator[Any]:
    """What `fn` gives, batch by batch."""
    require(callable(fn), "fn", "a function of a batch", fn)
    require(progress is None or callable(progress), "progress", "None or a function such as tqdm", progress)
    for name, value in reading.items():
        require(name in _READING, name, f"left out (these may be given: {', '.join(_READING)})", value)
    # a view, for what it is made of may have an order of its own
    batches: Any = source._view(range(len(source))).batches(batch_size, **reading)
    if progress is not None:
        batches = progress(batches, total=-(-len(source) // batch_size))
    return map(fn, batches)


def _in_each(change: Callable[[list[Any], str], Any], results: list[Any], name: str = "the results") -> Any:
    """What `change` makes of the values in each place of results of one form (dicts, tuples, lists, values)."""
    first = results[0]
    for result in results:
        if _form(result) != _form(first):
            raise DataError(f"{name} of all batches must have one form, got {_told(first)} and {_told(result)}")
    if isinstance(first, dict):
        return {key: _in_each(change, [result[key] for result in results], f"{name}[{key!r}]") for key in first}
    if isinstance(first, (tuple, list)):
        columns = enumerate(zip(*results, strict=True))
        made = [_in_each(change, list(values), f"{name}[{place}]") for place, values in columns]
        if isinstance(first, list):
            return made
        return type(first)(*made) if hasattr(first, "_fields") else tuple(made)
    return change(results, name)


def _form(result: Any) -> Any:
    if isinstance(result, dict):
        return result.keys()
    return (type(result), len(result)) if isinstance(result, (tuple, list)) else None


def _told(result: Any) -> str:
    return f"keys {sorted(map(repr, result))}" if isinstance(result, dict) else short(result)


def _copied(values: list[Any], name: str) -> Any:
    (value,) = values
    return np.array(value, subok=isinstance(value, np.ma.MaskedArray))


def _concatenated(values: list[Any], name: str) -> Any:
    masked = any(isinstance(value, np.ma.MaskedArray) for value in values)
    join: Any = np.ma.concatenate if masked else np.concatenate
    try:
        return join([value if value.ndim else value[np.newaxis] for value in values])
    except (ValueError, TypeError) as error:
        raise DataError(f"{name} of the batches cannot be joined: {error}") from error


def _number(values: list[Any], name: str) -> Any:
    array = _copied(values, name)
    if array.dtype.kind not in "biufc":
        raise DataError(f"{name} must be numbers for a mean, got {short(values[0])}")
    return array.astype(np.promote_types(array.dtype, np.float64))


def _added(values: list[Any], name: str) -> Any:
    one, other = values
    if one.shape != other.shape:
        told = f"got shapes {one.shape} and {other.shape}"
        raise DataError(f"{name} must have one shape for all batches, {told}; sum over the samples of a batch")
    return one + other
