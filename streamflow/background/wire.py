"""Items <-> layouts, arrays and pickles.  Imports nothing of streamflow but `records`; `channel` uses it.

An item is taken apart into three things:

* its *layout*: containers, keys, and dtype, shape and order of each plain array.  It is hashable and travels once;
* its plain arrays, whose bytes are all that travels of them.  A dict of plain arrays is never pickled;
* the rest (numbers, text, None, objects, masked and object arrays, ...), in one pickle of protocol 5 whose large
  buffers stay out of it.

Small arrays of an item lie one behind the other in its `block`, behind a header; a large one is a buffer of its own.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["HEADER", "LARGE", "Layout", "pickled", "raw", "taken_apart", "unpickled"]

#: Bytes before the first array of a block (so much belongs to the channel).
HEADER = 16
#: Bytes from which on a buffer travels by itself.
LARGE = 32 << 10
#: What a block holds at most, apart from one small array.
_BLOCK = 128 << 10
_ALIGN = 16
#: Kinds of dtypes that are nothing but bytes: not O, and not T (StringDType holds pointers).
_KINDS = frozenset("biufcmMSUV")
#: An item that goes deeper (or holds itself) is left to pickle.
_MAX_DEPTH = 16

ndarray, memmap = np.ndarray, np.memmap
Order = Literal["C", "F"]


def _is_plain(array: NDArray[Any]) -> bool:
    dtype = array.dtype
    return dtype.kind in _KINDS and not dtype.hasobject and dtype.itemsize > 0 and dtype.metadata is None


class _TooDeepError(Exception):
    pass


def taken_apart(item: Any) -> tuple[tuple[Any, ...], list[NDArray[Any]], list[Any]]:
    """The key of an item's layout, its plain arrays, and everything else; an item in a circle is its own rest.

    >>> key, arrays, rest = taken_apart({"x": np.zeros(2), "y": (1, "a")})
    >>> arrays, rest
    ([array([0., 0.])], [1, 'a'])
    """
    arrays: list[NDArray[Any]] = []
    rest: list[Any] = []
    try:
        return _flatten(item, arrays, rest, _MAX_DEPTH), arrays, rest
    except _TooDeepError:
        return ("r",), [], [item]


def _flatten(x: Any, arrays: list[NDArray[Any]], rest: list[Any], depth: int) -> tuple[Any, ...]:
    kind = type(x)
    if (kind is ndarray or kind is memmap) and _is_plain(x):
        arrays.append(x)
        return ("a", x.dtype, x.shape, bool(x.flags.fnc), kind)
    if kind is not dict and kind is not list and kind is not tuple:
        rest.append(x)
        return ("r",)
    if not depth:
        raise _TooDeepError
    values = x.values() if kind is dict else x
    inside = tuple([_flatten(value, arrays, rest, depth - 1) for value in values])
    if kind is dict:  # 1, True and 1.0 are one key to a dict: their types tell them apart
        return ("d", tuple(x), tuple(map(type, x)), inside)
    return (kind, inside)


class Layout:
    """Where the arrays of an item are, and how the item is put together from them.

    Parameters
    ----------
    key : tuple
        From `taken_apart`.
    number : int
        Under which both sides know it.
    """

    __slots__ = ("arrays", "is_flat", "key", "keys", "number", "rested", "size", "whole")

    def __init__(self, key: tuple[Any, ...], number: int) -> None:
        self.key, self.number = key, number
        self.rested = False  #: whether there is a rest
        self.size = HEADER  #: bytes of the block, header included
        #: (shape, dtype, offset in the block or None, order, type) of each array
        self.arrays: list[tuple[tuple[int, ...], np.dtype[Any], int | None, Order, Any]] = []
        self._scan(key)
        self.whole = all(array[2] is not None for array in self.arrays)  #: whether the block is all there is
        self.is_flat = key[0] == "d" and not self.rested and all(kind[0] == "a" for kind in key[3])
        self.keys: tuple[Any, ...] = key[1] if self.is_flat else ()
        self.is_flat = self.is_flat and all(kind is str for kind in key[2])

    def _scan(self, key: tuple[Any, ...]) -> None:
        if key[0] == "a":
            _, dtype, shape, fortran, kind = key
            size = dtype.itemsize * int(np.prod(shape, dtype=np.int64))
            offset = self.size if size < LARGE and self.size < _BLOCK else None
            if offset is not None:
                self.size += (size + _ALIGN - 1) & -_ALIGN
            self.arrays.append((shape, dtype, offset, "F" if fortran else "C", kind))
        elif key[0] == "r":
            self.rested = True
        else:
            for inside in key[-1]:
                self._scan(inside)

    def matches(self, item: Any) -> bool:
        """Whether `item` is a dict of plain arrays of just this layout: quick, and sometimes wrongly False."""
        if type(item) is not dict or not self.is_flat or tuple(item) != self.keys:
            return False
        value: Any
        for value, (shape, dtype, _, order, kind) in zip(item.values(), self.arrays, strict=True):
            if type(value) is not kind or value.dtype is not dtype or value.shape != shape:
                return False
            if len(shape) > 1 and value.flags.fnc is not (order == "F"):
                return False
        return True

    def views(self, block: Any) -> list[NDArray[Any]]:
        """The small arrays, as views on a block."""
        return [ndarray(s, d, block, at, None, o) for s, d, at, o, _ in self.arrays if at is not None]

    def built(self, block: Any, large: Iterator[Any], rest: Sequence[Any]) -> Any:
        """The item, over a block, the buffers of its large arrays and its rest."""
        arrays = [
            ndarray(s, d, block, at, None, o) if at is not None else _over(next(large), s, d, o)
            for s, d, at, o, _ in self.arrays
        ]
        if self.is_flat and all(kind is ndarray for *_, kind in self.arrays):
            return dict(zip(self.keys, arrays, strict=True))
        return _built(self.key, iter(arrays), iter(rest))


def _over(buffer: Any, shape: tuple[int, ...], dtype: np.dtype[Any], order: Order) -> NDArray[Any]:
    array: NDArray[Any] = ndarray(shape, dtype, buffer, 0, None, order)
    return array if array.flags.aligned else array.copy(order)


def _built(key: tuple[Any, ...], arrays: Iterator[NDArray[Any]], rest: Iterator[Any]) -> Any:
    kind = key[0]
    if kind == "a":
        array = next(arrays)
        return array if key[-1] is ndarray else array.view(key[-1])
    if kind == "r":
        return next(rest)
    parts = [_built(inside, arrays, rest) for inside in key[-1]]
    return dict(zip(key[1], parts, strict=True)) if kind == "d" else kind(parts)


def raw(array: NDArray[Any], order: Order) -> NDArray[np.uint8]:
    """The bytes of an array in an order; a view where they lie that way already.

    (A view of bytes and not the array itself, because dates have no buffer interface.)
    """
    if order == "F":
        array = array.T
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).view(ndarray)


def pickled(x: Any) -> list[Any]:
    """[pickle, buffer, buffer, ...] of anything; cloudpickle does what pickle cannot (closures, notebooks)."""
    large: list[Any] = []

    def keep(buffer: pickle.PickleBuffer) -> bool:
        view = buffer.raw()
        if view.nbytes < LARGE:
            return True
        large.append(view)
        return False

    try:
        return [pickle.dumps(x, 5, buffer_callback=keep), *large]
    except Exception:  # noqa: BLE001  (each library has errors of its own for this)
        import cloudpickle

        large.clear()
        return [cloudpickle.dumps(x, 5, buffer_callback=keep), *large]


def unpickled(parts: Sequence[Any]) -> Any:
    """What `pickled` was given; the buffers are not copied."""
    return pickle.loads(parts[0], buffers=parts[1:])
