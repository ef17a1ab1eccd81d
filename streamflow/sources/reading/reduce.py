"""`map_concat` and `map_mean`: a function's results for all batches of a source, concatenated or averaged."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from ...core.label import short
from ...core.validate import require
from ...exceptions import DataError
from .form import described

__all__ = ["check", "map_concat", "map_mean"]

_READING = ("keys", "with_indices", "ragged", "fill", "crop")  #: parameters of `batches` that do not change the order


def check(fn: Any, progress: Any, reading: dict[str, Any]) -> None:
    """Check the parameters of `Source.map_concat` and `Source.map_mean`."""
    require(callable(fn), "fn", "a function of a batch", fn)
    require(progress is None or callable(progress), "progress", "None or a function such as tqdm", progress)
    for name, value in reading.items():
        require(name in _READING, name, f"left out (allowed are {', '.join(_READING)})", value)


def map_concat(fn: Callable[[Any], Any], batches: Iterable[Any]) -> Any:
    """The results for all batches, concatenated; see `Source.map_concat`."""
    # copies, because `fn` may reuse the memory of its results
    results = [_per_value(_copied, [fn(batch)]) for batch in batches]
    return _per_value(_concatenated, results) if results else None


def map_mean(fn: Callable[[Any], Any], batches: Iterable[Any], n_samples: int) -> Any:
    """The sum of the results for all batches over the number of samples; see `Source.map_mean`."""
    sums: Any = None
    for batch in batches:
        numbers = _per_value(_number, [fn(batch)])
        sums = numbers if sums is None else _per_value(_added, [sums, numbers])
    return None if sums is None else _per_value(lambda values, name: values[0] / n_samples, [sums])


def _per_value(change: Callable[[list[Any], str], Any], results: list[Any], name: str = "the results") -> Any:
    """Apply `change` to the values in each place of results of one form (nested dicts, tuples and lists)."""
    first = results[0]
    for result in results:
        if _form(result) != _form(first):
            raise DataError(
                f"{name} of all batches must have the same form, got {described(first)} and {described(result)}"
            )
    if isinstance(first, dict):
        return {key: _per_value(change, [result[key] for result in results], f"{name}[{key!r}]") for key in first}
    if isinstance(first, (tuple, list)):
        columns = enumerate(zip(*results, strict=True))
        made = [_per_value(change, list(values), f"{name}[{place}]") for place, values in columns]
        if isinstance(first, list):
            return made
        return type(first)(*made) if hasattr(first, "_fields") else tuple(made)
    return change(results, name)


def _form(result: Any) -> Any:
    if isinstance(result, dict):
        return result.keys()
    return (type(result), len(result)) if isinstance(result, (tuple, list)) else None


def _copied(values: list[Any], name: str) -> Any:
    (value,) = values
    return np.array(value, subok=isinstance(value, np.ma.MaskedArray))


def _concatenated(values: list[Any], name: str) -> Any:
    masked = any(isinstance(value, np.ma.MaskedArray) for value in values)
    join: Any = np.ma.concatenate if masked else np.concatenate
    try:
        return join([value if value.ndim else value[np.newaxis] for value in values])
    except (ValueError, TypeError) as error:
        raise DataError(f"{name} of the batches cannot be concatenated: {error}") from error


def _number(values: list[Any], name: str) -> Any:
    array = _copied(values, name)
    if array.dtype.kind not in "biufc":
        raise DataError(f"{name} must be numbers to be averaged, got {short(values[0])}")
    return array.astype(np.promote_types(array.dtype, np.float64))


def _added(values: list[Any], name: str) -> Any:
    one, other = values
    if one.shape != other.shape:
        raise DataError(
            f"{name} must have the same shape for all batches, got {one.shape} and {other.shape}; "
            "sum over the samples of a batch"
        )
    return one + other
