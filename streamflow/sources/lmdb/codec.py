"""Samples as the records of an LMDB store: nothing is pickled, and each value can be read without the others.

A store has one `RecordLayout`: the form of its samples and, for each value, whether it is text, bytes or an array of a
dtype.  A record begins with a byte: 0 if all arrays have the shapes of the layout, 1 if the shapes follow.  Then come
little-endian numbers of 8 bytes: for text and bytes the length; for an array, after a 1, the number of axes, the shape
and the number of bytes.  Then come the bytes of the values.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from itertools import accumulate, count, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.allocator import empty
from ...core.label import short
from ...exceptions import DataError
from ..reading.form import each, keys_of, picked
from .field import ARRAY, TEXT, Field, decoded_text, field_of, form_from_json, form_to_json

__all__ = ["RecordLayout"]

_SAME, _OWN = b"\0", b"\1"
#: Where a value begins and ends in its record, its dtype and its shape.
Span = tuple[int, int, np.dtype[Any], tuple[int, ...]]


class RecordLayout:
    """The form of the samples of a store, and how they are written to and read from records.

    Parameters
    ----------
    form : dict, tuple or Field, nested
        The form of a sample, with a `Field` in each place, numbered in order.

    Examples
    --------
    >>> layout = RecordLayout.of({"X": np.zeros(2, np.uint8), "name": "a"})
    >>> record = layout.record({"X": np.array([5, 6], np.uint8), "name": "bcd"})
    >>> layout.one(record, None), layout.one(record, "name")
    ({'X': array([5, 6], dtype=uint8), 'name': 'bcd'}, 'bcd')
    """

    def __init__(self, form: Any) -> None:
        self._form, self._json = form, form_to_json(form)
        self._fields: list[Field] = []
        each(lambda field, name: self._fields.append(field), form)
        n_texts = sum(field.kind != ARRAY for field in self._fields)
        ends = list(accumulate([field.size for field in self._fields], initial=1))
        #: of each field, in records without numbers
        self._spans: list[Span] = [
            (first, end, field.dtype, field.shape)
            for field, (first, end) in zip(self._fields, pairwise(ends), strict=True)
        ]
        self._lengths = struct.Struct(f"<{n_texts}Q")
        self._is_fixed = not n_texts  #: whether records need no numbers where all shapes are those of the layout
        self._fixed_size = ends[-1]  #: of such a record

    # ------------------------------------------------------------------ making one
    @classmethod
    def of(cls, sample: Any) -> RecordLayout:
        """The layout for which this is the first sample."""
        places = count()
        return cls(each(lambda value, name: field_of(next(places), value, name), sample))

    @classmethod
    def of_block(cls, block: Any) -> RecordLayout:
        """The layout for which these are the first samples, with an array or a list of values in each place."""
        return cls.of(each(lambda values, name: values[0, ...] if isinstance(values, np.ndarray) else values[0], block))

    @classmethod
    def from_json(cls, document: Any) -> RecordLayout:
        """The layout that `to_json` gave."""
        return cls(form_from_json(document, count()))

    def to_json(self) -> Any:
        """The layout as the header of a store holds it."""
        return self._json

    def keys(self) -> tuple[Any, ...] | None:
        """The keys of samples that are dicts, or the places of tuples; None if each sample is one value."""
        return keys_of(self._form)

    # ------------------------------------------------------------------ writing
    def record(self, sample: Any) -> bytes:
        """A sample as a record.

        Raises
        ------
        DataError
            If it has another form or holds a value that cannot be stored.
        """
        values = [field.stored(value, name) for field, value, name in _pairs(self._form, sample, "")]
        return self._joined(values)

    def records(self, block: Any, length: int) -> Iterator[Any]:
        """A number of samples, with an array or a list of values in each place, as records."""
        pairs = list(_pairs(self._form, block, ""))
        if self._is_fixed and all(
            isinstance(values, np.ndarray) and values.dtype == field.dtype and values.shape[1:] == field.shape
            for field, values, _ in pairs
        ):
            yield from self._rows(pairs, length)
            return
        for row in range(length):
            values_of_row = [
                field.stored(values[row, ...] if isinstance(values, np.ndarray) else values[row], name)
                for field, values, name in pairs
            ]
            yield self._joined(values_of_row)

    def _rows(self, pairs: list[tuple[Field, Any, str]], length: int) -> list[Any]:
        """Records without numbers, made all at once."""
        rows = np.zeros((length, self._fixed_size), np.uint8)
        for field, values, _ in pairs:
            if field.size:
                first, end, *_ = self._spans[field.place]
                rows[:, first:end] = np.ascontiguousarray(values).reshape(length, -1).view(np.uint8)
        whole = rows.reshape(-1).data
        return [whole[first : first + self._fixed_size] for first in range(0, rows.size, self._fixed_size)]

    def _joined(self, values: list[Any]) -> bytes:
        """The record of some values, which are arrays or bytes."""
        same = all(
            field.kind != ARRAY or (value.shape == field.shape and value.dtype == field.dtype)
            for field, value in zip(self._fields, values, strict=True)
        )
        numbers: list[int] = []
        for field, value in zip(self._fields, values, strict=True):
            if field.kind != ARRAY:
                numbers.append(len(value))
            elif not same:
                numbers += [value.ndim, *value.shape, value.nbytes]
        head = struct.pack(f"<{len(numbers)}Q", *numbers)
        return b"".join(
            [
                _SAME if same else _OWN,
                head,
                *(value.tobytes() if isinstance(value, np.ndarray) else value for value in values),
            ]
        )

    # ------------------------------------------------------------------ reading
    def one(self, record: Any, keys: Any) -> Any:
        """A sample, or what `keys` selects of it, copied from its record."""
        form = self._form if keys is None else picked(self._form, keys)
        return _filled(form, record, self._spans_of(record))

    def many(self, records: list[Any], keys: Any) -> Any:
        """Many samples, with an array or a list of values in each place, copied from their records."""
        form = self._form if keys is None else picked(self._form, keys)
        if not records:
            return each(lambda field, name: field.no_values(), form)
        if self._is_fixed and set(map(len, records)) == {self._fixed_size} and not any(record[0] for record in records):

            def values_of(field: Field, name: str) -> Any:
                first, end, dtype, shape = self._spans[field.place]
                return _stacked([record[first:end] for record in records], dtype, shape)
        else:
            spans = [self._spans_of(record) for record in records]

            def values_of(field: Field, name: str) -> Any:
                own = [of_record[field.place] for of_record in spans]
                if field.kind == ARRAY and all(span[2:] == own[0][2:] for span in own):
                    parts = [record[span[0] : span[1]] for record, span in zip(records, own, strict=True)]
                    return _stacked(parts, *own[0][2:])
                return [_read(field, record, span) for record, span in zip(records, own, strict=True)]

        return each(values_of, form)

    def _spans_of(self, record: Any) -> list[Span]:
        """Where the values lie in a record."""
        length = len(record)
        own = length > 0 and record[0] == 1
        if not own and self._is_fixed and length == self._fixed_size:
            return self._spans
        try:
            spans = _own_spans(self._fields, record) if own else self._spans_with_texts(record)
        except (struct.error, ValueError, ZeroDivisionError) as error:
            raise DataError(f"a sample is damaged: {error}") from None
        if (spans[-1][1] if spans else 1) != length:
            raise DataError(f"a sample is damaged: it has {length} bytes, expected {spans[-1][1] if spans else 1}")
        return spans

    def _spans_with_texts(self, record: Any) -> list[Span]:
        lengths = iter(self._lengths.unpack_from(record, 1))
        spans: list[Span] = []
        first = 1 + self._lengths.size
        for field in self._fields:
            end = first + (field.size if field.kind == ARRAY else next(lengths))
            spans.append((first, end, field.dtype, field.shape))
            first = end
        return spans


def _own_spans(fields: list[Field], record: Any) -> list[Span]:
    """Where the values lie in a record that holds the shapes of its arrays."""
    at = 1

    def numbers(count: int) -> tuple[int, ...]:
        nonlocal at
        values = struct.unpack_from(f"<{count}Q", record, at)
        at += 8 * count
        return values

    forms: list[tuple[int, np.dtype[Any], tuple[int, ...]]] = []
    for field in fields:
        if field.kind != ARRAY:
            forms.append((numbers(1)[0], field.dtype, ()))
            continue
        (ndim,) = numbers(1)
        if ndim > 64:
            raise ValueError(f"it has an array of {ndim} axes")
        shape, (size,) = numbers(ndim), numbers(1)
        dtype, elements = field.dtype, math.prod(shape)
        if field.flexible and elements:
            dtype = _of_size(dtype, size // elements)
        if elements * dtype.itemsize != size:
            raise ValueError(f"it has an array of {size} bytes, expected {elements} of {dtype}")
        forms.append((size, dtype, shape))
    spans: list[Span] = []
    for size, dtype, shape in forms:
        spans.append((at, at + size, dtype, shape))
        at += size
    return spans


def _of_size(dtype: np.dtype[Any], itemsize: int) -> np.dtype[Any]:
    """A dtype of text, bytes or raw memory with another width."""
    count, rest = divmod(itemsize, 4 if dtype.kind == "U" else 1)
    if rest:
        raise ValueError(f"it has text of {itemsize} bytes")
    return np.dtype(f"{dtype.str[:2]}{count}")


def _filled(form: Any, record: Any, spans: list[Span]) -> Any:
    """A sample, or a part of it; a separate walk, because a stream calls it for each sample."""
    if type(form) is Field:
        return _read(form, record, spans[form.place])
    if type(form) is dict:
        return {key: _filled(inside, record, spans) for key, inside in form.items()}
    return tuple([_filled(inside, record, spans) for inside in form])


def _read(field: Field, record: Any, span: Span) -> Any:
    """A copy of a value."""
    first, end, dtype, shape = span
    if field.kind == ARRAY:
        value: NDArray[Any] = np.ndarray(shape, dtype, bytearray(record[first:end]))
        return value if shape else value[()]
    if field.kind == TEXT:
        return decoded_text(record[first:end])
    return bytes(record[first:end])


def _stacked(parts: list[Any], dtype: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """Arrays of one dtype and shape, given as bytes, stacked in a new array."""
    out = empty((len(parts), *shape), dtype)
    if out is None:
        return np.ndarray((len(parts), *shape), dtype, bytearray().join(parts))
    whole, at = out.reshape(-1).view(np.uint8).data, 0
    for part in parts:
        whole[at : at + len(part)] = part
        at += len(part)
    return out


# ---------------------------------------------------------------------- values
def _pairs(form: Any, data: Any, name: str) -> Iterator[tuple[Field, Any, str]]:
    """The fields in order, each with its value and the name that errors call it."""
    if isinstance(form, dict):
        if not isinstance(data, dict) or data.keys() != form.keys():
            got = f"keys {', '.join(map(repr, data))}" if isinstance(data, dict) else short(data)
            raise DataError(f"expected keys {', '.join(map(repr, form))}, as in earlier samples, got {got}")
        for key, inside in form.items():
            yield from _pairs(inside, data[key], f"{name}[{key!r}]" if name else repr(key))
    elif isinstance(form, tuple):
        if not isinstance(data, tuple) or len(data) != len(form):
            raise DataError(f"expected a tuple of {len(form)}, as in earlier samples, got {short(data)}")
        for place, inside in enumerate(form):
            yield from _pairs(inside, data[place], f"{name}[{place}]")
    else:
        yield form, data, name or "the sample"
