"""`stacked`: makes one array of a batch from the values of its samples.

Stacking copies each row once, and these copies take nearly all of its time.  Above 32 MiB, fresh pages would add half
of that again, because the C library returns blocks of this size to the system when they are freed.  So the memory of a
large batch is reused once nothing refers to the batch or a view of it (`BufferPool`).
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

__all__ = ["RAGGED", "BufferPool", "stacked"]

RAGGED = ("error", "pad", "crop", "list")
_LARGE = 16 << 20  #: from this number of bytes, memory is reused
_MIXED = "text is mixed with other values"
_MIXED_FORMS = "dicts or tuples are mixed with other values"
_KEPT = 2  #: how many blocks of memory a pool keeps
_SCALARS = {bool, int, float, complex, str, bytes}
_shape, _dtype = attrgetter("shape"), attrgetter("dtype")


def stacked(
    values: list[Any],
    name: str,
    axis: int | None = None,
    ragged: str = "error",
    fill: Any = 0,
    pool: BufferPool | None = None,
) -> Any:
    """Stack or concatenate values into one array.

    Parameters
    ----------
    values : list of arrays, numbers, text or lists of these
        At least one.
    name : str
        The name of the values in errors.
    axis : int or None
        None stacks along a new first axis; otherwise values are concatenated along this axis.
    ragged : {'error', 'pad', 'crop', 'list'}
        What to do with values of different shapes: raise, pad each axis at the end with `fill` to the longest, crop
        each axis to the shortest, or return the list of values.
    fill : number
        What 'pad' pads with; it must fit the dtype.
    pool : BufferPool, optional
        Where memory for large arrays may come from.

    Returns
    -------
    array, or list
        If any text or bytes value ends in NUL, the array has dtype object, because NumPy strips trailing NULs.

    Raises
    ------
    DataError
        If they cannot be stacked.

    >>> stacked([np.array([1]), np.array([2, 3])], "x", ragged="pad", fill=9).tolist()
    [[1, 9], [2, 3]]
    """
    if ragged == "list":
        return values
    try:
        if axis is None:
            return _stacked(values, ragged, fill, pool or BufferPool())
        return _concatenated(values, axis, ragged, fill)
    except (ValueError, TypeError, OverflowError) as error:
        shapes = sorted({np.shape(value) for value in values if isinstance(value, np.ndarray)})
        several = f" (shapes {', '.join(map(str, shapes[:5]))})" if len(shapes) > 1 else ""
        hint = "; ragged='pad', 'crop' or 'list' allows different shapes" if several and ragged == "error" else ""
        raise DataError(f"the values of {name} cannot be stacked: {error}{several}{hint}") from error


def _stacked(values: list[Any], ragged: str, fill: Any, pool: BufferPool) -> Any:
    first = values[0]
    if list(map(type, values)).count(np.ndarray) == len(values):
        if first.nbytes * len(values) < _LARGE and not is_offered(first.nbytes * len(values)):
            with contextlib.suppress(ValueError):  # of different shapes
                made = np.array(values)
                if made.dtype.kind in "SU":
                    _check_kinds(values)
                return made
        elif first.ndim and len(set(map(_shape, values))) == 1:
            return _placed(values, pool)
    if _are_scalars(values):
        return _as_array(values)
    if any(isinstance(value, (dict, tuple)) for value in values):
        raise TypeError(_MIXED_FORMS)
    if not isinstance(first, np.ndarray) or not first.ndim:
        if any(value is np.ma.masked for value in values) and not any(map(np.ndim, values)):
            seen = [value for value in values if value is not np.ma.masked]  # `masked` itself always has dtype float
            return np.ma.stack(values).astype(np.result_type(*seen) if seen else float)
        if any(getattr(value, "ndim", 0) or isinstance(value, (np.ndarray, list, tuple)) for value in values):
            values = list(map(_as_array, values))
            if values[0].ndim:
                return _stacked(values, ragged, fill, pool)
        return _as_array(values)
    values = _fitted(values, None, ragged, fill)
    if any(isinstance(value, np.ma.MaskedArray) for value in values):
        return np.ma.stack(values)
    return _placed(values, pool)


def _are_scalars(values: list[Any]) -> bool:
    """Whether all values are plain scalars; looks at each type once, because labels come by the batch."""
    return all(kind in _SCALARS or issubclass(kind, np.generic) for kind in set(map(type, values)))


def _as_array(value: Any) -> NDArray[Any]:
    """A value as an array; lists are copied, and text becomes an array of objects if any of it ends in NUL."""
    array = np.asarray(value)
    if array.dtype.kind in "SU" and not isinstance(value, np.ndarray):
        objects = np.array(value, object)
        if not all(isinstance(text, (str, bytes)) for text in objects.flat):
            raise TypeError(_MIXED)
        if any(text[-1:] in ("\0", b"\0") for text in objects.flat):
            return objects
    return array


def _placed(values: list[Any], pool: BufferPool) -> NDArray[Any]:
    """Arrays of one shape, stacked into memory that the background offers or that is reused."""
    _check_kinds(values)
    shape = (len(values), *values[0].shape)
    dtypes = set(map(_dtype, values))
    out = pool.take(shape, dtypes.pop() if len(dtypes) == 1 else np.result_type(*values))
    # concatenate is faster than stack, and the rows are contiguous
    rows = None if out is None else out.reshape(-1, *shape[2:])
    joined = np.concatenate(values, out=rows)
    return joined.reshape(shape) if out is None else out


def _check_kinds(values: list[Any]) -> None:
    """Refuse text among numbers: NumPy would turn the numbers into text."""
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
    """The values padded or cropped to one shape; along `axis` each keeps its own length."""
    values = [value if isinstance(value, np.ndarray) else _as_array(value) for value in values]
    ndims = {value.ndim for value in values}
    if ragged == "error" or len(ndims) > 1:
        if len({value.shape for value in values}) == 1:
            return values
        raise ValueError("they have different shapes" if len(ndims) == 1 else "they have different numbers of axes")
    longest = max if ragged == "pad" else min
    shape = [longest(lengths) for lengths in zip(*(value.shape for value in values), strict=True)]
    _check_kinds(values)
    # an empty value, such as an empty list, says nothing about the dtype
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
    """Whether a dtype can hold a number: exactly if it is an integer, else to the precision of the dtype."""
    if dtype.kind in "SUV" or not np.can_cast(np.min_scalar_type(fill), dtype, "same_kind"):
        return False
    with np.errstate(all="ignore"):
        held = np.asarray(fill).astype(dtype)
    if dtype.kind in "iu":
        return bool(held == fill)
    return dtype.kind not in "fc" or bool(np.isfinite(held) == np.isfinite(fill))


class BufferPool:
    """Memory for large arrays, reused once nothing refers to it.

    The array that is handed out is the base of all its views, so it lives as long as any of them; a weak reference to
    it shows when its memory is free again.
    """

    def __init__(self) -> None:
        self._blocks: list[tuple[weakref.ref[NDArray[Any]], _Block]] = []

    def take(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any] | None:
        """An uninitialized array; None if the array is small, so that ordinary memory will do."""
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
    """Memory allocated by NumPy (which requests huge pages), but not an array: the base of views is made over it."""

    def __init__(self, size: int) -> None:
        self.size, self._memory = size, np.empty(size, np.uint8)

    @property
    def __array_interface__(self) -> dict[str, Any]:
        described: dict[str, Any] = self._memory.__array_interface__
        return described
