"""`woven`: what several sources have fetched, as one batch."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.allocator import empty
from ...exceptions import DataError
from ..reading.form import as_tuple, forms_differ

__all__ = ["form_of", "woven"]


def woven(parts: list[Any], places: list[Any], n: int) -> Any:
    """Put together what several sources have fetched for one batch.

    Parameters
    ----------
    parts : list
        Data of one form.
    places : list of (m,) arrays of int
        The places of each part in the batch.
    n : int
        Samples in the batch.

    >>> woven([np.array([1, 2]), np.array([0.5])], [np.array([2, 0]), np.array([1])], 3)
    array([2. , 0.5, 1. ])
    """
    first = parts[0]
    for part in parts:
        if form_of(part) != form_of(first):
            raise forms_differ(first, part)
    if isinstance(first, dict):
        return {key: woven([part[key] for part in parts], places, n) for key in first}
    if isinstance(first, tuple):
        return as_tuple(first, [woven(list(column), places, n) for column in zip(*parts, strict=True)])
    if all(isinstance(part, np.ndarray) for part in parts) and len({part.shape[1:] for part in parts}) == 1:
        try:
            dtype = np.result_type(*parts)
        except TypeError:
            dtype = None
        # NumPy would turn numbers into text
        if dtype is None or (dtype.kind in "SU" and any(part.dtype.kind not in "SU" for part in parts)):
            dtypes = ", ".join(sorted({str(part.dtype) for part in parts}))
            raise DataError(f"the samples of a batch must have dtypes with a common dtype, got {dtypes}")
        return _joined(parts, places, (n, *first.shape[1:]), dtype)
    values: list[Any] = [None] * n
    for part, at in zip(parts, places, strict=True):
        for place, value in zip(at.tolist(), part, strict=True):
            values[place] = value
    return values


def form_of(part: Any) -> Any:
    """What data must have in common to be put together: the keys of a dict, the length of a tuple."""
    if isinstance(part, dict):
        return part.keys()
    return len(part) if isinstance(part, tuple) else None


def _joined(parts: list[Any], places: list[Any], shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    masked = any(isinstance(part, np.ma.MaskedArray) for part in parts)
    out: Any = None if masked else empty(shape, dtype)
    if out is None:
        out = np.ma.empty(shape, dtype) if masked else np.empty(shape, dtype)
    for part, at in zip(parts, places, strict=True):
        out[at] = part
    made: NDArray[Any] = out
    return made
