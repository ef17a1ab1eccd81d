"""What an index selects: one sample, or many by a slice, an array of integers or a mask."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.label import short

__all__ = ["position", "positions", "selects_many"]

_RULE = "an index must be an integer, a slice, an array of integers or a mask"


def selects_many(index: Any) -> bool:
    """Whether an index selects any number of samples, instead of one."""
    return isinstance(index, (slice, list, range)) or getattr(index, "ndim", 0) > 0


def position(index: Any, n: int) -> int:
    """The position, from 0 to n - 1, of one sample."""
    if isinstance(index, (bool, np.bool_)):
        raise IndexError(f"{_RULE}, got {index!r}")
    try:
        at = operator.index(index)
    except TypeError:
        raise IndexError(f"{_RULE}, got {short(index)}") from None
    if not -n <= at < n:
        raise IndexError(f"index {at} is out of range for {n} samples")
    return at + n if at < 0 else at


def positions(index: Any, n: int) -> range | NDArray[np.intp]:
    """The positions, each from 0 to n - 1, that a slice, an array of integers or a mask selects.

    >>> positions(slice(None, None, -2), 5), positions([-1, 0], 5), positions(np.array([True, False, True]), 3)
    (range(4, -1, -2), array([4, 0]), array([0, 2]))
    """
    if isinstance(index, slice):
        return range(n)[index]
    if isinstance(index, range) and (not index or (min(index[0], index[-1]) >= 0 and max(index[0], index[-1]) < n)):
        return index
    array = np.asarray(index)
    if array.ndim != 1:
        raise IndexError(f"an array of indices must have one axis, got {array.ndim}")
    if array.dtype.kind == "b":
        if len(array) != n:
            raise IndexError(f"a mask must have one value per sample ({n}), got {len(array)}")
        return np.flatnonzero(array)
    if array.size and array.dtype.kind not in "iu":
        raise IndexError(f"an array of indices must hold integers or be a mask, got {array.dtype}")
    if array.size and (array.min() < -n or array.max() >= n):
        raise IndexError(f"index {array[(array < -n) | (array >= n)][0]} is out of range for {n} samples")
    array = array.astype(np.intp)  # only now: large unsigned numbers would become negative
    return np.where(array < 0, array + n, array)
