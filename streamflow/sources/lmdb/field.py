"""`Field`: one value of the samples of an LMDB store, and which values it takes."""

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

__all__ = ["ARRAY", "TEXT", "Field", "decoded_text", "field_of", "form_from_json", "form_to_json"]

ARRAY, TEXT, BYTES = "array", "text", "bytes"
#: Kinds of dtypes of which each array may have its own width.
_FLEXIBLE = "USV"
_ENCODING = ("utf-8", "surrogatepass")
_NARROW = {np.float16, np.float32, np.complex64}
_NO_CONTEXT: AbstractContextManager[None] = nullcontext()


@dataclass(frozen=True, slots=True)
class Field:
    """One value of each sample.

    Attributes
    ----------
    place : int
        Its number in the record.
    kind : {'array', 'text', 'bytes'}
    dtype : numpy.dtype
        Of arrays.
    shape : tuple of int
        Of the arrays of the first sample; others may have other shapes.
    """

    place: int
    kind: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """The number of bytes of an array of this shape."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def flexible(self) -> bool:
        """Whether each array may have its own width, as text has."""
        return self.dtype.kind in _FLEXIBLE and self.dtype.names is None and self.dtype.subdtype is None

    def no_values(self) -> Any:
        """The values of no samples."""
        return np.empty((0, *self.shape), self.dtype) if self.kind == ARRAY else []

    def stored(self, value: Any, name: str) -> Any:
        """The value to write: an array, or bytes.

        Raises
        ------
        DataError
            If it is of another kind or dtype, or could not be read as it is.
        """
        if isinstance(value, np.ndarray) and not value.ndim and (self.kind != ARRAY or value.dtype.hasobject):
            value = value[()]
        if self.kind == TEXT and isinstance(value, str):
            return str(value).encode(*_ENCODING)
        if self.kind == BYTES and isinstance(value, (bytes, bytearray)):
            return bytes(value)
        if self.kind != ARRAY or isinstance(value, tuple):
            expected = "one value" if self.kind == ARRAY else self.kind
            raise DataError(f"{name} must be {expected}, as in earlier samples, got {short(value)}")
        try:
            array = self._array(value, name)
        except (OverflowError, TypeError) as error:
            raise DataError(f"{name} must have dtype {self.dtype}, as in earlier samples: {error}") from None
        if array.dtype != self.dtype and not (self.flexible and array.dtype.str[:2] == self.dtype.str[:2]):
            raise DataError(f"{name} must have dtype {self.dtype}, as in earlier samples, got {array.dtype}")
        return array

    def _array(self, value: Any, name: str) -> NDArray[Any]:
        """A value as an array; Python's numbers, and lists of them, in the field's dtype if it can hold them."""
        dtype = self.dtype
        if isinstance(value, (bool, int, float, complex)) and not isinstance(value, np.generic):
            # only these overflow, and `errstate` takes as long as all the rest together
            with np.errstate(over="ignore") if dtype.type in _NARROW else _NO_CONTEXT:
                array = np.asarray(value, dtype if np.result_type(dtype, value) == dtype else None)
            kept = _kept(array.item(), value)
        else:
            array, kept = _array(value, name), True
            if isinstance(value, list):
                # an empty list has no dtype of its own
                if not array.size or (np.result_type(array.dtype, dtype) == dtype and not self.flexible):
                    array = array.astype(dtype)
                kept = array.dtype.kind not in "fc" or _all_kept(array, value)
        if not kept:
            raise DataError(f"{name} cannot be stored: {array.dtype} cannot hold all of {short(value)} exactly")
        return array


def _kept(found: Any, number: Any) -> bool:
    """Whether a number is kept: fractions may be rounded as usual; integers and finite numbers must stay so."""
    return found == number or not (isinstance(number, int) or np.isinf(found))


def _all_kept(array: NDArray[Any], value: Any) -> bool:
    """Whether lists of numbers are kept by an array of floats."""
    if not (np.abs(array) >= 2.0 ** (np.finfo(array.dtype).nmant + 1)).any():
        return True  # all smaller integers are floats
    numbers = [one.item() if isinstance(one, np.generic) else one for one in np.array(value, object).ravel()]
    return all(map(_kept, array.ravel().tolist(), numbers))


def field_of(place: int, value: Any, name: str) -> Field:
    """The field for which this is the first value."""
    if isinstance(value, np.ndarray) and not value.ndim and value.dtype.hasobject:
        value = value[()]
    if isinstance(value, str):
        return Field(place, TEXT, np.dtype("V0"), ())
    if isinstance(value, (bytes, bytearray)):
        return Field(place, BYTES, np.dtype("V0"), ())
    array = _array(value, name)
    if not array.size and isinstance(value, list):
        raise DataError(f"{name} cannot be stored: an empty list has no dtype; give an array in the first sample")
    if descr_to_dtype(dtype_to_descr(array.dtype)) != array.dtype:
        raise DataError(f"{name} cannot be stored: the dtype {array.dtype} is not representable in .npy headers")
    return Field(place, ARRAY, array.dtype, array.shape)


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
        raise DataError(f"{name} cannot be stored: a list of text must hold only text, none of which ends in NUL")
    return array


def decoded_text(data: Any) -> str:
    """Text from its bytes in a record."""
    try:
        return str(data, *_ENCODING)
    except UnicodeDecodeError as error:
        raise DataError(f"a sample is damaged: {error}") from None


# ---------------------------------------------------------------------- as JSON
def form_to_json(form: Any) -> Any:
    """A form with a Field in each place, for the header of a store."""
    if isinstance(form, dict):
        for key in form:
            if not isinstance(key, str):
                raise DataError(f"the keys of samples must be str, got {short(key)}")
        return {"dict": [[key, form_to_json(inside)] for key, inside in form.items()]}
    if isinstance(form, tuple):
        return {"tuple": [form_to_json(inside) for inside in form]}
    document = {"kind": form.kind}
    if form.kind == ARRAY:
        # the dtype as the header of a .npy file describes it
        document |= {"dtype": repr(dtype_to_descr(form.dtype)), "shape": list(form.shape)}
    return document


def form_from_json(document: Any, places: Iterator[int]) -> Any:
    """The form that `form_to_json` gave, with fields numbered by `places`."""
    if "dict" in document:
        return {key: form_from_json(inside, places) for key, inside in document["dict"]}
    if "tuple" in document:
        return tuple([form_from_json(inside, places) for inside in document["tuple"]])
    if document["kind"] in {TEXT, BYTES}:
        return Field(next(places), document["kind"], np.dtype("V0"), ())
    dtype, shape = _dtype_from_json(document["dtype"]), tuple(map(index, document["shape"]))
    if dtype.hasobject or document["kind"] != ARRAY or min(shape, default=0) < 0:
        raise ValueError(f"{document!r} does not describe an array")
    return Field(next(places), ARRAY, dtype, shape)


def _dtype_from_json(text: str) -> np.dtype[Any]:
    """The dtype of ``repr(dtype_to_descr(dtype))``."""
    descr: Any = text[1:-1]
    if text != repr(descr):  # the dtype of a structure, which is a list
        descr = ast.literal_eval(text)
    dtype: np.dtype[Any] = descr_to_dtype(descr)
    return dtype
