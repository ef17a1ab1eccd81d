"""How a sample lies in an LMDB store: no pickle, and each value can be read without the others.

A store has one `Layout`: the form of its samples and, of each value, whether it is text, bytes or an array of a dtype.
A record is a byte (0: all arrays have the shapes of the layout; 1: their shapes follow), numbers of 8 bytes each
(little-endian; of text and bytes the length, of an array the number of axes, the shape and the number of bytes, if its
shape is not that of the layout), and the bytes of the values.
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
from .column import ARRAY, TEXT, Column, column_of, described, parsed, to_text

__all__ = ["Layout", "stacked_bytes"]

_SAME, _OWN = b"\0", b"\1"
#: Where a value lies in its record, and what it is.
Span = tuple[int, int, np.dtype[Any], tuple[int, ...]]


class Layout:
    """The form of the samples of a store.

    Parameters
    ----------
    template : dict, tuple or Column, nested
        The form of a sample, with a Column in each place, numbered in order.

    Examples
    --------
    >>> layout = Layout.of({"X": np.zeros(2, np.uint8), "name": "a"})
    >>> record = layout.record({"X": np.array([5, 6], np.uint8), "name": "bcd"})
    >>> layout.one(record, None), layout.one(record, "name")
    ({'X': array([5, 6], dtype=uint8), 'name': 'bcd'}, 'bcd')
    """

    def __init__(self, template: Any) -> None:
        self.template = template
        self._description = described(template)
        self.columns: list[Column] = []
        each(lambda column, name: self.columns.append(column), template)
        self._texts = [column.place for column in self.columns if column.kind != ARRAY]
        sizes = [column.size for column in self.columns]
        self._ends = list(accumulate(sizes, initial=1))
        #: of each column, in records without numbers
        self._spans: list[Span] = [
            (first, end, column.dtype, column.shape)
            for column, (first, end) in zip(self.columns, pairwise(self._ends), strict=True)
        ]
        self._numbers = struct.Struct(f"<{len(self._texts)}Q")
        self._own_size = self._ends[-1]  #: of a record without numbers

    # ------------------------------------------------------------------ of samples, and of what is written of them
    @classmethod
    def of(cls, sample: Any) -> Layout:
        """The layout that a first sample makes."""
        places = count()
        return cls(each(lambda value, name: column_of(next(places), value, name), sample))

    @classmethod
    def of_block(cls, block: Any) -> Layout:
        """The layout that many samples make, in each place an array or a list of values."""
        return cls.of(each(lambda values, name: values[0, ...] if isinstance(values, np.ndarray) else values[0], block))

    @classmethod
    def parse(cls, told: Any) -> Layout:
        """The layout that `describe` has described."""
        return cls(parsed(told, count()))

    def describe(self) -> Any:
        """It as what JSON can hold."""
        return self._description

    def keys(self) -> tuple[Any, ...] | None:
        """The keys of the dicts, or the places of the tuples, that samples are; None if each is one value."""
        return keys_of(self.template)

    # ------------------------------------------------------------------ writing
    def record(self, sample: Any) -> bytes:
        """A sample as a record.

        Raises
        ------
        DataError
            If it is of another form or holds what cannot be stored.
        """
        values = [column.stored(value, name) for column, value, name in _pairs(self.template, sample, "")]
        return self._joined(values)

    def records(self, block: Any, length: int) -> Iterator[Any]:
        """So many samples, in each place an array or a list of values, as records."""
        pairs = list(_pairs(self.template, block, ""))
        if not self._texts and all(
            isinstance(values, np.ndarray) and values.dtype == column.dtype and values.shape[1:] == column.shape
            for column, values, _ in pairs
        ):
            yield from self._rows(pairs, length)
            return
        for row in range(length):
            values_of_row = [
                column.stored(values[row, ...] if isinstance(values, np.ndarray) else values[row], name)
                for column, values, name in pairs
            ]
            yield self._joined(values_of_row)

    def _rows(self, pairs: list[tuple[Column, Any, str]], length: int) -> list[Any]:
        """Records without numbers, made all at once."""
        rows = np.zeros((length, self._own_size), np.uint8)
        for column, values, _ in pairs:
            if column.size:
                first, end, *_ = self._spans[column.place]
                rows[:, first:end] = np.ascontiguousarray(values).reshape(length, -1).view(np.uint8)
        whole = rows.reshape(-1).data
        return [whole[first : first + self._own_size] for first in range(0, rows.size, self._own_size)]

    def _joined(self, values: list[Any]) -> bytes:
        """The record of values, arrays and strings of bytes."""
        same = all(
            column.kind != ARRAY or (value.shape == column.shape and value.dtype == column.dtype)
            for column, value in zip(self.columns, values, strict=True)
        )
        numbers: list[int] = []
        for column, value in zip(self.columns, values, strict=True):
            if column.kind != ARRAY:
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
        template = self.template if keys is None else picked(self.template, keys)
        return _filled(template, record, self._spans_of(record))

    def many(self, records: list[Any], keys: Any) -> Any:
        """Many samples, in each place an array or a list of values, copied from their records."""
        template = self.template if keys is None else picked(self.template, keys)
        if not records:
            return each(lambda column, name: column.nothing(), template)
        if not self._texts and set(map(len, records)) == {self._own_size} and not any(record[0] for record in records):

            def column_of(column: Column, name: str) -> Any:
                first, end, dtype, shape = self._spans[column.place]
                return stacked_bytes([record[first:end] for record in records], dtype, shape)
        else:
            spans = [self._spans_of(record) for record in records]

            def column_of(column: Column, name: str) -> Any:
                places = [each_one[column.place] for each_one in spans]
                if column.kind == ARRAY and all(place[2:] == places[0][2:] for place in places):
                    parts = [record[place[0] : place[1]] for record, place in zip(records, places, strict=True)]
                    return stacked_bytes(parts, *places[0][2:])
                return [_read(column, record, place) for record, place in zip(records, places, strict=True)]

        return each(column_of, template)

    def _spans_of(self, record: Any) -> list[Span]:
        """Where the values lie in a record."""
        length = len(record)
        own = length > 0 and record[0] == 1
        if not own and not self._texts and length == self._own_size:
            return self._spans
        try:
            spans = _own_spans(self.columns, record) if own else self._spans_with_texts(record)
        except (struct.error, ValueError, ZeroDivisionError) as error:
            raise DataError(f"a sample is damaged: {error}") from None
        if (spans[-1][1] if spans else 1) != length:
            raise DataError(f"a sample is damaged: it has {length} bytes, expected {spans[-1][1] if spans else 1}")
        return spans

    def _spans_with_texts(self, record: Any) -> list[Span]:
        lengths = iter(self._numbers.unpack_from(record, 1))
        spans: list[Span] = []
        first = 1 + self._numbers.size
        for column in self.columns:
            end = first + (column.size if column.kind == ARRAY else next(lengths))
            spans.append((first, end, column.dtype, column.shape))
            first = end
        return spans


def _own_spans(columns: list[Column], record: Any) -> list[Span]:
    """Where the values lie in a record that tells the shapes of its arrays."""
    at = 1

    def numbers(count: int) -> tuple[int, ...]:
        nonlocal at
        values = struct.unpack_from(f"<{count}Q", record, at)
        at += 8 * count
        return values

    told: list[tuple[int, np.dtype[Any], tuple[int, ...]]] = []
    for column in columns:
        if column.kind != ARRAY:
            told.append((numbers(1)[0], column.dtype, ()))
            continue
        (ndim,) = numbers(1)
        if ndim > 64:
            raise ValueError(f"it has an array of {ndim} axes")
        shape, (size,) = numbers(ndim), numbers(1)
        dtype, elements = column.dtype, math.prod(shape)
        if column.flexible and elements:
            dtype = _of_size(dtype, size // elements)
        if elements * dtype.itemsize != size:
            raise ValueError(f"it has an array of {size} bytes, expected {elements} of {dtype}")
        told.append((size, dtype, shape))
    spans: list[Span] = []
    for size, dtype, shape in told:
        spans.append((at, at + size, dtype, shape))
        at += size
    return spans


def _of_size(dtype: np.dtype[Any], itemsize: int) -> np.dtype[Any]:
    """Text, bytes or raw memory of another width."""
    count, rest = divmod(itemsize, 4 if dtype.kind == "U" else 1)
    if rest:
        raise ValueError(f"it has text of {itemsize} bytes")
    return np.dtype(f"{dtype.str[:2]}{count}")


def _filled(template: Any, record: Any, spans: list[Span]) -> Any:
    """A sample, or a part of it; written out because a stream of samples runs it for each."""
    if type(template) is Column:
        return _read(template, record, spans[template.place])
    if type(template) is dict:
        return {key: _filled(inside, record, spans) for key, inside in template.items()}
    return tuple([_filled(inside, record, spans) for inside in template])


def _read(column: Column, record: Any, span: Span) -> Any:
    """A copy of a value."""
    first, end, dtype, shape = span
    if column.kind == ARRAY:
        value: NDArray[Any] = np.ndarray(shape, dtype, bytearray(record[first:end]))
        return value if shape else value[()]
    if column.kind == TEXT:
        return to_text(record[first:end])
    return bytes(record[first:end])


def stacked_bytes(parts: list[Any], dtype: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """Arrays of one dtype and shape, given as their bytes, as one fresh array."""
    out = empty((len(parts), *shape), dtype)
    if out is None:
        return np.ndarray((len(parts), *shape), dtype, bytearray().join(parts))
    whole, at = out.reshape(-1).view(np.uint8).data, 0
    for part in parts:
        whole[at : at + len(part)] = part
        at += len(part)
    return out


# ---------------------------------------------------------------------- values
def _pairs(template: Any, data: Any, name: str) -> Iterator[tuple[Column, Any, str]]:
    """The columns in order, each with its value and what errors call it."""
    if isinstance(template, dict):
        if not isinstance(data, dict) or data.keys() != template.keys():
            got = f"keys {', '.join(map(repr, data))}" if isinstance(data, dict) else short(data)
            raise DataError(f"expected keys {', '.join(map(repr, template))}, as in the samples before, got {got}")
        for key, inside in template.items():
            yield from _pairs(inside, data[key], f"{name}[{key!r}]" if name else repr(key))
    elif isinstance(template, tuple):
        if not isinstance(data, tuple) or len(data) != len(template):
            raise DataError(f"expected a tuple of {len(template)}, as in the samples before, got {short(data)}")
        for place, inside in enumerate(template):
            yield from _pairs(inside, data[place], f"{name}[{place}]")
    else:
        yield template, data, name or "the sample"
