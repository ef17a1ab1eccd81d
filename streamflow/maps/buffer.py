"""`buffer_stream`: samples to batches.

Collating is one copy of each row, and that copy is nearly all the time it takes.  A batch above 32 MiB costs half as
much again in fresh pages, because the C library gives memory of that size back to the system; so the memory of large
batches is used again, as soon as nobody holds the batch or any view of it (`_Recycled`).
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Generator, Iterator
from itertools import islice, repeat
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core import stream_map
from ..core.describe import short
from ..core.memory import empty, is_offered
from ..exceptions import DataError, is_whole, require

__all__ = ["buffer_stream"]

RAGGED = ("error", "pad", "crop", "list")
_LARGE = 16 << 20  #: bytes from which on memory is used again
_KEPT = 2  #: blocks of free memory that a stream keeps
_shape, _dtype = attrgetter("shape"), attrgetter("dtype")


def _check(buffer_size: Any, partial: Any = False, axis: Any = None, ragged: Any = "error") -> None:
    require(_whole(buffer_size) and buffer_size >= 1, "buffer_size", "an integer from 1 on", buffer_size)
    require(axis is None or _whole(axis), "axis", "None or an integer", axis)
    require(isinstance(ragged, str) and ragged in RAGGED, "ragged", f"one of {', '.join(map(repr, RAGGED))}", ragged)


def _whole(value: Any) -> bool:
    return is_whole(value)


@stream_map(_check)
def buffer_stream(
    stream: Iterator[Any], buffer_size: int, partial: bool = False, axis: int | None = None, ragged: str = "error"
) -> Generator[Any, None, None]:
    """Collate samples into batches.

    Parameters
    ----------
    stream : iterable of dicts of arrays
        The samples.  Values may be arrays, numbers, text or dicts of such; all samples of a batch have the same keys.
    buffer_size : int
        Number of samples in a batch, at least 1.
    partial : bool
        Whether a short last batch is given.
    axis : int or None
        None stacks along a new first axis; otherwise values are concatenated along this one.
    ragged : {'error', 'pad', 'crop', 'list'}
        What becomes of values of different shapes: an error, zeros at the end of each axis up to the longest, the heads
        as long as the shortest, or (for all values) plain lists.

    Yields
    ------
    dict of arrays
        Fresh ones, with dtypes as `numpy.stack` promotes them.

    Raises
    ------
    DataError
        If a sample is not a dict or has other keys than the first of its batch, or if values cannot be joined.

    Examples
    --------
    >>> samples = [{"x": [1, 2], "y": 0}, {"x": [3, 4], "y": 1}, {"x": [5, 6], "y": 2}]
    >>> for batch in buffer_stream(samples, 2, partial=True):
    ...     print(batch["x"].tolist(), batch["y"])
    [[1, 2], [3, 4]] [0 1]
    [[5, 6]] [2]
    """
    memory = _Recycled()

    def following() -> list[dict[Any, Any]]:
        """The next batch in a list, which is empty at the end."""
        samples = list(islice(stream, buffer_size))
        wanted = len(samples) == buffer_size or (partial and samples)
        return [_collated(samples, axis, ragged, memory)] if wanted else []

    while batch := following():
        yield batch.pop()  # a name would hold it while this waits


def _collated(samples: list[Any], axis: int | None, ragged: str, memory: _Recycled) -> dict[Any, Any]:
    first = samples[0]
    if not isinstance(first, dict):
        raise DataError(f"samples must be dicts of arrays, got {short(first)}")
    keys = first.keys()
    try:
        alike = sum(map(len, samples)) == len(samples) * len(first)  # with the next line: none has other keys
        columns = {key: list(map(dict.__getitem__, samples, repeat(key))) for key in keys}
    except (KeyError, TypeError):
        alike = False
    if not alike:
        _check_alike(samples)
    return {key: _joined(column, key, axis, ragged, memory) for key, column in columns.items()}


def _check_alike(samples: list[Any]) -> None:
    keys = samples[0].keys()
    for sample in samples:
        if not isinstance(sample, dict):
            raise DataError(f"samples must be dicts of arrays, got {short(sample)}")
        if sample.keys() != keys:
            odd = sorted(map(repr, keys ^ sample.keys()))
            raise DataError(f"the samples of a batch must have the same keys; only some have {', '.join(odd[:20])}")


def _joined(values: list[Any], key: Any, axis: int | None, ragged: str, memory: _Recycled) -> Any:
    """One column of a batch."""
    if isinstance(values[0], dict):
        return _collated(values, axis, ragged, memory)
    if ragged == "list":
        return values
    try:
        return _stacked(values, ragged, memory) if axis is None else _concatenated(values, axis, ragged)
    except (ValueError, TypeError) as error:
        shapes = sorted({np.shape(value) for value in values if isinstance(value, np.ndarray)})
        told = f" (shapes {', '.join(map(str, shapes[:5]))})" if len(shapes) > 1 else ""
        hint = "; ragged='pad', 'crop' or 'list' allows different shapes" if told and ragged == "error" else ""
        raise DataError(f"the values of {key!r} cannot be joined: {error}{told}{hint}") from error


def _stacked(values: list[Any], ragged: str, memory: _Recycled) -> Any:
    first = values[0]
    if list(map(type, values)).count(np.ndarray) == len(values):
        if first.nbytes * len(values) < _LARGE and not is_offered(first.nbytes * len(values)):
            with contextlib.suppress(ValueError):  # of different shapes
                return np.array(values)
        elif first.ndim and len(set(map(_shape, values))) == 1:
            return _placed(values, memory)
    if not isinstance(first, np.ndarray) or not first.ndim:
        if any(isinstance(value, (np.ndarray, list, tuple)) for value in values):
            values = [np.asarray(value) for value in values]
            if values[0].ndim:
                return _stacked(values, ragged, memory)
        return np.array(values)
    values = _fitted(values, None, ragged)
    if any(isinstance(value, np.ma.MaskedArray) for value in values):
        return np.ma.stack(values)
    return _placed(values, memory)


def _placed(values: list[Any], memory: _Recycled) -> NDArray[Any]:
    """Arrays of one shape, stacked into memory that is offered (where a worker sends it from) or used again."""
    shape = (len(values), *values[0].shape)
    dtypes = set(map(_dtype, values))
    out = memory.take(shape, dtypes.pop() if len(dtypes) == 1 else np.result_type(*values))
    # concatenate is quicker than stack, and the rows are contiguous
    rows = None if out is None else out.reshape(-1, *shape[2:])
    joined = np.concatenate(values, out=rows)
    return joined.reshape(shape) if out is None else out


def _concatenated(values: list[Any], axis: int, ragged: str) -> Any:
    values = [value if isinstance(value, np.ndarray) else np.asarray(value) for value in values]
    if ragged != "error":
        values = _fitted(values, axis, ragged)
    if any(isinstance(value, np.ma.MaskedArray) for value in values):
        return np.ma.concatenate(values, axis=axis)  # type: ignore[no-untyped-call]
    return np.concatenate(values, axis=axis)


def _fitted(values: list[Any], axis: int | None, ragged: str) -> list[Any]:
    """The values brought to one shape (along `axis` each keeps its own length)."""
    values = [value if isinstance(value, np.ndarray) else np.asarray(value) for value in values]
    ndims = {value.ndim for value in values}
    if ragged == "error" or len(ndims) > 1:
        if len({value.shape for value in values}) == 1:
            return values
        raise ValueError("they have different shapes" if len(ndims) == 1 else "they have different numbers of axes")
    longest = max if ragged == "pad" else min
    shape = [longest(lengths) for lengths in zip(*(value.shape for value in values), strict=True)]
    return [_resized(value, shape, axis) for value in values]


def _resized(value: Any, shape: list[int], axis: int | None) -> Any:
    wanted = list(shape)
    if axis is not None:
        wanted[axis] = value.shape[axis]
    head = value[tuple(slice(length) for length in wanted)]
    if head.shape == tuple(wanted):
        return head
    make = np.ma.zeros if isinstance(value, np.ma.MaskedArray) else np.zeros
    out = make(wanted, value.dtype)
    out[tuple(slice(length) for length in head.shape)] = head
    return out


class _Recycled:
    """Memory for large arrays, used again when nobody can see it any more.

    An array over memory that is no array's is the base of all its views, so as long as anything shows the memory, the
    array that was handed out is alive; a weak reference tells when it is not.
    """

    def __init__(self) -> None:
        self._blocks: list[tuple[weakref.ref[NDArray[Any]], _Block]] = []

    def take(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any] | None:
        """An array that nobody else sees, its content undefined; None where NumPy's own is as good."""
        offered = empty(shape, dtype)
        if offered is not None:
            return offered
        size = int(np.prod(shape)) * dtype.itemsize
        if size < _LARGE or dtype.hasobject:
            return None
        block = None
        for place, (held, free) in enumerate(self._blocks):
            if held() is None and free.size == size:
                block = free
                del self._blocks[place]
                break
        if block is None:
            self._blocks = self._blocks[-(_KEPT - 1) :]
            block = _Block(size)
        array: NDArray[Any] = np.asarray(block)
        self._blocks.append((weakref.ref(array), block))
        return array.view(dtype).reshape(shape)


class _Block:
    """Memory from NumPy (which asks for large pages) that is no array to those who look for the base of a view."""

    def __init__(self, size: int) -> None:
        self.size, self._memory = size, np.empty(size, np.uint8)

    @property
    def __array_interface__(self) -> dict[str, Any]:
        described: dict[str, Any] = self._memory.__array_interface__
        return described
