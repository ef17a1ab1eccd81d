"""How values become one array of a batch.

Stacking is one copy of each row, and that copy is nearly all the time it takes.  A batch above 32 MiB costs half as
much again in fresh pages, because the C library gives memory of that size back to the system; so the memory of large
batches is used again, as soon as nobody holds the batch or any view of it (`Recycled`).
"""

from __future__ import annotations

import contextlib
import weakref
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.allocator import empty, is_offered
from ..exceptions import DataError

__all__ = ["RAGGED", "Recycled", "stacked"]

RAGGED = ("error", "pad", "crop", "list")
_LARGE = 16 << 20  #: bytes from which on memory is used again
_MIXED = "they are text and other values"
_KEPT = 2  #: blocks of free memory that a stream keeps
_shape, _dtype = attrgetter("shape"), attrgetter("dtype")


def stacked(
    values: list[Any],
    name: str,
    axis: int | None = None,
    ragged: str = "error",
    fill: Any = 0,
    memory: Recycled | None = None,
) -> Any:
    """Values as one array.

    Parameters
    ----------
    values : list of arrays, numbers, text or lists of such
        At least one.
    name : str
        What errors call them.
    axis : int or None
        None stacks along a new first axis; otherwise values are concatenated along this one.
    ragged : {'error', 'pad', 'crop', 'list'}
        What becomes of values of different shapes: an error, `fill` at the end of each axis up to the longest, the
        heads as long as the shortest, or the list of values as it is.
    fill : number
        It must fit the dtype of what it fills up.
    memory : Recycled, optional
        Where large arrays may come from.

    Returns
    -------
    array, or list
        Of text or bytes an array of objects if one ends in NUL, for arrays of text drop it.

    Raises
    ------
    DataError
        If they cannot be joined.

    >>> stacked([np.array([1]), np.array([2, 3])], "x", ragged="pad", fill=9).tolist()
    [[1, 9], [2, 3]]
    """
    if ragged == "list":
        return values
    try:
        if axis is None:
            return _stacked(values, ragged, fill, memory or Recycled())
        return _concatenated(values, axis, ragged, fill)
    except (ValueError, TypeError, OverflowError) as error:
        shapes = sorted({np.shape(value) for value in values if isinstance(value, np.ndarray)})
        told = f" (shapes {', '.join(map(str, shapes[:5]))})" if len(shapes) > 1 else ""
        hint = "; ragged='pad', 'crop' or 'list' allows different shapes" if told and ragged == "error" else ""
        raise DataError(f"the values of {name} cannot be joined: {error}{told}{hint}") from error


def _stacked(values: list[Any], ragged: str, fill: Any, memory: Recycled) -> Any:
    first = values[0]
    if list(map(type, values)).count(np.ndarray) == len(values):
        if first.nbytes * len(values) < _LARGE and not is_offered(first.nbytes * len(values)):
            with contextlib.suppress(ValueError):  # of different shapes
                made = np.array(values)
                if made.dtype.kind in "SU":
                    _check_kinds(values)
                return made
        elif first.ndim and len(set(map(_shape, values))) == 1:
            return _placed(values, memory)
    if not isinstance(first, np.ndarray) or not first.ndim:
        if any(value is np.ma.masked for value in values) and not any(map(np.ndim, values)):
            seen = [value for value in values if value is not np.ma.masked]  # what is masked is a float whatever it was
            return np.ma.stack(values).astype(np.result_type(*seen) if seen else float)
        if any(getattr(value, "ndim", 0) or isinstance(value, (np.ndarray, list, tuple)) for value in values):
            values = list(map(_as_array, values))
            if values[0].ndim:
                return _stacked(values, ragged, fill, memory)
        return _as_array(values)
    values = _fitted(values, None, ragged, fill)
    if any(isinstance(value, np.ma.MaskedArray) for value in values):
        return np.ma.stack(values)
    return _placed(values, memory)


def _as_array(value: Any) -> NDArray[Any]:
    """A value as an array; a list is copied, and one of text that ends in NUL becomes an array of objects."""
    array = np.asarray(value)
    if array.dtype.kind in "SU" and not isinstance(value, np.ndarray):
        objects = np.array(value, object)
        if not all(isinstance(text, (str, bytes)) for text in objects.flat):
            raise TypeError(_MIXED)
        if any(text[-1:] in ("\0", b"\0") for text in objects.flat):
            return objects
    return array


def _placed(values: list[Any], memory: Recycled) -> NDArray[Any]:
    """Arrays of one shape, stacked into memory that is offered (where a worker sends it from) or used again."""
    _check_kinds(values)
    shape = (len(values), *values[0].shape)
    dtypes = set(map(_dtype, values))
    out = memory.take(shape, dtypes.pop() if len(dtypes) == 1 else np.result_type(*values))
    # concatenate is quicker than stack, and the rows are contiguous
    rows = None if out is None else out.reshape(-1, *shape[2:])
    joined = np.concatenate(values, out=rows)
    return joined.reshape(shape) if out is None else out


def _check_kinds(values: list[Any]) -> None:
    """NumPy would make text of numbers."""
    kinds = {dtype.kind for dtype in set(map(_dtype, values))}
    if kinds & {"S", "U"} and not kinds <= {"S", "U", "O"}:
        raise TypeError(_MIXED)


def _concatenated(values: list[Any], axis: int, ragged: str, fill: Any) -> Any:
    values = [value if isinstance(value, np.ndarray) else _as_array(value) for value in values]
    _check_kinds(values)
    if ragged != "error":
        values = _fitted(values, axis, ragged, fill)
    if any(isinstance(value, np.ma.MaskedArray) for value in values):
        return np.ma.concatenate(values, axis=axis)  # type: ignore[no-untyped-call]
    return np.concatenate(values, axis=axis)


def _fitted(values: list[Any], axis: int | None, ragged: str, fill: Any) -> list[Any]:
    """The values brought to one shape (along `axis` each keeps its own length)."""
    values = [value if isinstance(value, np.ndarray) else _as_array(value) for value in values]
    ndims = {value.ndim for value in values}
    if ragged == "error" or len(ndims) > 1:
        if len({value.shape for value in values}) == 1:
            return values
        raise ValueError("they have different shapes" if len(ndims) == 1 else "they have different numbers of axes")
    longest = max if ragged == "pad" else min
    shape = [longest(lengths) for lengths in zip(*(value.shape for value in values), strict=True)]
    _check_kinds(values)
    # what is empty, such as a list, does not say of what it would be
    dtype = np.result_type(*({value.dtype for value in values if value.size} or {value.dtype for value in values}))
    return [_resized(value, shape, axis, fill, dtype) for value in values]


def _resized(value: Any, shape: list[int], axis: int | None, fill: Any, dtype: np.dtype[Any]) -> Any:
    wanted = list(shape)
    if axis is not None:
        wanted[axis] = value.shape[axis]
    head = value[tuple(slice(length) for length in wanted)]
    if head.shape == tuple(wanted):
        return head
    make = np.ma.zeros if isinstance(value, np.ma.MaskedArray) else np.zeros
    out = make(wanted, dtype)
    if fill:
        if not _fits(fill, out.dtype):
            raise ValueError(f"{out.dtype} cannot be padded with {fill!r}")
        out[...] = fill
    out[tuple(slice(length) for length in head.shape)] = head
    return out


def _fits(fill: Any, dtype: np.dtype[Any]) -> bool:
    """Whether an array can hold a number: integers exactly, others as near as their precision allows."""
    if dtype.kind in "SUV" or not np.can_cast(np.min_scalar_type(fill), dtype, "same_kind"):
        return False
    with np.errstate(all="ignore"):
        held = np.asarray(fill).astype(dtype)
    if dtype.kind in "iu":
        return bool(held == fill)
    return dtype.kind not in "fc" or bool(np.isfinite(held) == np.isfinite(fill))


class Recycled:
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
