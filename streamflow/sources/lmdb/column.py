"""`Column`: what the samples of an LMDB store have in one place, and which values may stand there."""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from operator import index
from typing import Any

import numpy as np
from numpy.lib.format import descr_to_dtype, dtype_to_descr
from numpy.typing import NDArray

from ...core.label import short
from ...exceptions import DataError

__all__ = ["ARRAY", "TEXT", "Column", "column_of", "described", "parsed", "to_text"]

ARRAY, TEXT, BYTES = "array", "text", "bytes"
#: Of these the number of characters is part of the shape.
_FLEXIBLE = "USV"
_TEXT_AS = ("utf-8", "surrogatepass")
_NARROW = {np.float16, np.float32, np.complex64}
_AS_IT_IS: AbstractContextManager[None] = nullcontext()


@dataclass(frozen=True, slots=True)
class Column:
    """One value of each sample."""

    place: int
    kind: str
    dtype: np.dtype[Any]  #: of arrays
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """The bytes of an array of this shape."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def flexible(self) -> bool:
        """Whether values may be wider."""
        return self.dtype.kind in _FLEXIBLE and self.dtype.names is None and self.dtype.subdtype is None

    def nothing(self) -> Any:
        """The values of no samples."""
        return np.empty((0, *self.shape), self.dtype) if self.kind == ARRAY else []

    def stored(self, value: Any, name: str) -> Any:
        """A value as it goes into a record: an array, or a string of bytes.

        Raises
        ------
        DataError
            If it is of another kind or dtype, or would not come back as it is.
        """
        if isinstance(value, np.ndarray) and not value.ndim and (self.kind != ARRAY or value.dtype.hasobject):
            value = value[()]
        if self.kind == TEXT and isinstance(value, str):
            return str(value).encode(*_TEXT_AS)
        if self.kind == BYTES and isinstance(value, (bytes, bytearray)):
            return bytes(value)
        if self.kind != ARRAY or isinstance(value, tuple):
            expected = "one value" if self.kind == ARRAY else self.kind
            raise DataError(f"{name} must be {expected}, as in the samples before, got {short(value)}")
        try:
            array = self._array(value, name)
        except (OverflowError, TypeError) as error:
            raise DataError(f"{name} must be of {self.dtype}, as in the samples before: {error}") from None
        if array.dtype != self.dtype and not (self.flexible and array.dtype.str[:2] == self.dtype.str[:2]):
            raise DataError(f"{name} must be of {self.dtype}, as in the samples before, got {array.dtype}")
        return array

    def _array(self, value: Any, name: str) -> NDArray[Any]:
        """A value as an array; numbers of Python and lists of them in the dtype of the column, if it can hold them."""
        dtype = self.dtype
        if isinstance(value, (bool, int, float, complex)) and not isinstance(value, np.generic):
            # only these overflow, and `errstate` takes as long as all the rest
            with np.errstate(over="ignore") if dtype.type in _NARROW else _AS_IT_IS:
                array = np.asarray(value, dtype if np.result_type(dtype, value) == dtype else None)
            kept = _kept(array.item(), value)
        else:
            array, kept = _array(value, name), True
            if isinstance(value, list):
                # a list of nothing has no dtype of its own
                if not array.size or (np.result_type(array.dtype, dtype) == dtype and not self.flexible):
                    array = array.astype(dtype)
                kept = array.dtype.kind not in "fc" or _all_kept(array, value)
        if not kept:
            raise DataError(f"{name} cannot be stored: {array.dtype} cannot hold all of {short(value)} as it is")
        return array


def _kept(found: Any, number: Any) -> bool:
    """Whether a number is what it was: fractions are rounded as anywhere, whole and finite ones stay what they are."""
    return found == number or not (isinstance(number, int) or np.isinf(found))


def _all_kept(array: NDArray[Any], value: Any) -> bool:
    """Whether the floats that lists of numbers have become are what they were."""
    if not (np.abs(array) >= 2.0 ** (np.finfo(array.dtype).nmant + 1)).any():
        return True  # all whole numbers below are floats
    numbers = [one.item() if isinstance(one, np.generic) else one for one in np.array(value, object).ravel()]
    return all(map(_kept, array.ravel().tolist(), numbers))


def column_of(place: int, value: Any, name: str) -> Column:
    """The column that a first value makes."""
    if isinstance(value, np.ndarray) and not value.ndim and value.dtype.hasobject:
        value = value[()]
    if isinstance(value, str):
        return Column(place, TEXT, np.dtype("V0"), ())
    if isinstance(value, (bytes, bytearray)):
        return Column(place, BYTES, np.dtype("V0"), ())
    array = _array(value, name)
    if not array.size and isinstance(value, list):
        raise DataError(f"{name} cannot be stored: a list of nothing has no dtype, expected an array as the first")
    if descr_to_dtype(dtype_to_descr(array.dtype)) != array.dtype:
        raise DataError(f"{name} cannot be stored: NumPy's files have no word for {array.dtype}")
    return Column(place, ARRAY, array.dtype, array.shape)


def _array(value: Any, name: str) -> NDArray[Any]:
    """A value as an array that can be stored."""
    try:
        array = np.asarray(value)
    except (ValueError, TypeError, OverflowError) as error:
        raise DataError(f"{name} cannot be stored: {' '.join(str(error).split())}") from None
    if array.dtype.kind == "T":
        value = array.astype(object).tolist()
        array = array.astype(object).astype(np.str_)
    if isinstance(value, np.ma.MaskedArray) or array.dtype.hasobject:
        raise DataError(f"{name} cannot be stored: expected numbers, text, bytes or arrays of them, got {short(value)}")
    if array.dtype.kind in "US" and isinstance(value, list) and (array.astype(object) != np.array(value, object)).any():
        raise DataError(
            f"{name} cannot be stored: expected text that does not end in NUL, and nothing else, in a list of text"
        )
    return array


def to_text(data: Any) -> str:
    """Text from the bytes that it is stored as."""
    try:
        return str(data, *_TEXT_AS)
    except UnicodeDecodeError as error:
        raise DataError(f"a sample is damaged: {error}") from None


# ---------------------------------------------------------------------- as JSON
def described(template: Any) -> Any:
    """A form with a Column in each place as what JSON can hold."""
    if isinstance(template, dict):
        for key in template:
            if not isinstance(key, str):
                raise DataError(f"the keys of samples must be text, got {short(key)}")
        return {"dict": [[key, described(inside)] for key, inside in template.items()]}
    if isinstance(template, tuple):
        return {"tuple": [described(inside) for inside in template]}
    told = {"kind": template.kind}
    if template.kind == ARRAY:
        # what .npy files say of a dtype, and how they say it
        told |= {"dtype": repr(dtype_to_descr(template.dtype)), "shape": list(template.shape)}
    return told


def parsed(told: Any, places: Iterator[int]) -> Any:
    """The form that `described` has described."""
    if "dict" in told:
        return {key: parsed(inside, places) for key, inside in told["dict"]}
    if "tuple" in told:
        return tuple([parsed(inside, places) for inside in told["tuple"]])
    if told["kind"] in {TEXT, BYTES}:
        return Column(next(places), told["kind"], np.dtype("V0"), ())
    dtype, shape = descr_to_dtype(ast.literal_eval(told["dtype"])), tuple(map(index, told["shape"]))
    if dtype.hasobject or told["kind"] != ARRAY or min(shape, default=0) < 0:
        raise ValueError(f"{told!r} is no array")
    return Column(next(places), ARRAY, dtype, shape)
