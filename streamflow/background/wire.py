"""How items become bytes and bytes become items: layouts, arrays and pickles.  `records` and the channels use it.

An item is split into three parts:

* its *layout*: containers, keys, and the dtype, shape and order of each plain array.  It is hashable, and sent once;
* its plain arrays, of which only the bytes are sent.  So a dict of plain arrays is never pickled;
* the rest (numbers, text, None, objects, masked and object arrays, ...), in one pickle of protocol 5 with its large
  buffers out of band.

The *block* of an item holds a header, its small arrays one after another, and the pickle if it is short.  Everything
large (an array, a buffer of the pickle) is a separate *buffer*.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..core.allocator import LARGE  # an array or a pickle of at least this many bytes is a separate buffer
from ..core.label import short
from ..exceptions import DataError

__all__ = [
    "HEADER",
    "LARGE",
    "MAX_BUFFERS",
    "ItemLayout",
    "LayoutTable",
    "pickled",
    "raw_bytes",
    "short_pickle",
    "split",
    "unpickled",
]

#: Bytes of a block before its first array: room for the channel's own header.
HEADER = 16
#: Most buffers of an item; one with more than half as many large arrays is pickled as a whole.
MAX_BUFFERS = 256
_ALIGN = 16
#: Kinds of dtypes whose arrays are nothing but bytes: not O, and not T (StringDType holds pointers).
_KINDS = frozenset("biufcmMSUV")
#: Types of keys of which two are alike if they and their types are equal (not so float: 0.0 == -0.0).
_KEYS = frozenset((str, int, bool, bytes, type(None)))
#: A container with more values is pickled.
_MAX_CONTAINER = 256
#: An item nested deeper (or one that holds itself) is pickled.
_MAX_DEPTH = 16
_NO_REST: list[Any] = []
#: The layout key of anything that is pickled.
_REST = ("r",)

ndarray, memmap = np.ndarray, np.memmap
Order = Literal["C", "F"]


def _is_plain(array: NDArray[Any]) -> bool:
    dtype = array.dtype
    return dtype.kind in _KINDS and not dtype.hasobject and dtype.itemsize > 0 and dtype.metadata is None


class _TooDeepError(Exception):
    pass


def split(item: Any) -> tuple[tuple[Any, ...], list[NDArray[Any]], list[Any]]:
    """Split an item into the key of its layout, its plain arrays, and the rest.

    An item that holds itself, or very many large arrays, is all rest.

    >>> key, arrays, rest = split({"x": np.zeros(2), "y": (1, "a")})
    >>> arrays, rest
    ([array([0., 0.])], [(1, 'a')])
    """
    arrays: list[NDArray[Any]] = []
    rest: list[Any] = []
    try:
        key = _flatten(item, arrays, rest, _MAX_DEPTH)
    except _TooDeepError:
        return _REST, [], [item]
    if len(arrays) > MAX_BUFFERS // 2 and sum(array.nbytes >= LARGE for array in arrays) > MAX_BUFFERS // 2:
        return _REST, [], [item]
    return key, arrays, rest


def _flatten(x: Any, arrays: list[NDArray[Any]], rest: list[Any], depth: int) -> tuple[Any, ...]:
    kind = type(x)
    if (kind is ndarray or kind is memmap) and _is_plain(x):
        arrays.append(x)
        return ("a", x.dtype, x.shape, bool(x.flags.fnc), kind)
    if (kind is not dict or not _KEYS.issuperset(map(type, x))) and kind is not list and kind is not tuple:
        rest.append(x)
        return _REST
    if len(x) > _MAX_CONTAINER:
        rest.append(x)
        return _REST
    if not depth:
        raise _TooDeepError
    values = x.values() if kind is dict else x
    before = len(rest)
    inside = tuple([_flatten(value, arrays, rest, depth - 1) for value in values])
    if inside and inside.count(_REST) == len(inside):  # no array inside: pickle it as a whole
        rest[before:] = [x]
        return _REST
    if kind is dict:  # 1, True and 1.0 are the same key to a dict, so their types count too
        return ("d", tuple(x), tuple(map(type, x)), inside)
    return (kind, inside)


class ItemLayout:
    """Where the arrays of an item lie, and how to put the item together from them.

    Parameters
    ----------
    key : tuple
        From `split`.
    number : int
        By which both ends of a channel refer to the layout.
    """

    __slots__ = ("arrays", "has_rest", "is_flat", "key", "keys", "n_buffers", "number", "simple", "size", "staging")

    def __init__(self, key: tuple[Any, ...], number: int) -> None:
        self.key, self.number = key, number
        self.has_rest = False  #: whether part of the item is pickled
        self.size = HEADER  #: bytes of the block, with its header
        #: (shape, dtype, offset in the block or None, order, type) of each array
        self.arrays: list[tuple[tuple[int, ...], np.dtype[Any], int | None, Order, Any]] = []
        self._scan(key)
        self.n_buffers = sum(array[2] is None for array in self.arrays)  #: how many arrays are buffers
        self.staging: Any = None  #: for the channel's own use
        #: Whether the item is a dict of plain arrays with str keys.
        self.is_flat = (
            key[0] == "d"
            and not self.has_rest
            and all(kind[0] == "a" for kind in key[3])
            and all(kind is str for kind in key[2])
        )
        self.keys: tuple[str, ...] = key[1] if self.is_flat else ()
        #: Name, shape, dtype, offset and order of each array, if that describes the whole item.
        self.simple: tuple[tuple[str, tuple[int, ...], np.dtype[Any], int | None, Order], ...] = ()
        if self.is_flat and all(array[4] is ndarray for array in self.arrays):
            self.simple = tuple((name, *array[:4]) for name, array in zip(self.keys, self.arrays, strict=True))

    def _scan(self, key: tuple[Any, ...]) -> None:
        if key[0] == "a":
            _, dtype, shape, fortran, kind = key
            size = dtype.itemsize * int(np.prod(shape, dtype=np.int64))
            offset = self.size if size < LARGE else None
            if offset is not None:
                self.size += (size + _ALIGN - 1) & -_ALIGN
            self.arrays.append((shape, dtype, offset, "F" if fortran else "C", kind))
        elif key[0] == "r":
            self.has_rest = True
        else:
            for inside in key[-1]:
                self._scan(inside)

    def matches(self, item: Any) -> bool:
        """Whether `item` is a dict of plain arrays of exactly this layout.  Quick; may be False where it is."""
        if type(item) is not dict or not self.is_flat or tuple(item) != self.keys:
            return False
        # The keys are equal, so there are as many values as arrays: zip need not check it.
        for value, (shape, dtype, _, order, kind) in zip(item.values(), self.arrays):  # noqa: B905
            if value.__class__ is not kind or value.dtype is not dtype or value.shape != shape:
                return False
            if len(shape) > 1 and value.flags.fnc is not (order == "F"):
                return False
        return True

    def views(self, buffer: Any, start: int = 0) -> list[NDArray[Any]]:
        """The small arrays, as views of the block that begins at `start` in `buffer`."""
        return [ndarray(s, d, buffer, start + at, None, o) for s, d, at, o, _ in self.arrays if at is not None]

    def item(self, block: Any, n_pickled: int, buffers: list[Any]) -> Any:
        """The item, as views of its buffers and of a block in which `n_pickled` bytes of pickle follow the arrays."""
        large = iter(buffers)
        if self.simple:
            return {
                name: ndarray(s, d, block, at, None, o) if at is not None else _over(next(large), s, d, o)
                for name, s, d, at, o in self.simple
            }
        arrays = [
            ndarray(s, d, block, at, None, o) if at is not None else _over(next(large), s, d, o)
            for s, d, at, o, _ in self.arrays
        ]
        rest: Sequence[Any] = ()
        if self.has_rest:
            parts = buffers[self.n_buffers :]
            if n_pickled:
                parts.insert(0, memoryview(block)[self.size : self.size + n_pickled])
            rest = unpickled(parts)
        return _built(self.key, iter(arrays), iter(rest))


class LayoutTable:
    """The layouts that a sender has announced to its receiver.

    Announcing a layout takes longer than pickling an item.  So once there are many (arrays of many lengths, say), a new
    layout is announced only when it recurs soon; until then its items are pickled.

    Parameters
    ----------
    announce : function
        Called with (number, key) of each new layout.
    """

    _SIZE = 64

    def __init__(self, announce: Callable[[tuple[int, Any]], None]) -> None:
        self._announce = announce
        self._known: dict[Any, ItemLayout] = {}
        self._seen_once: dict[Any, None] = {}  # keys, the oldest first
        self._last: ItemLayout | None = None
        self._pickled: ItemLayout | None = None  # of items that are pickled as a whole

    def of(self, item: Any) -> tuple[ItemLayout, Any, list[Any]]:
        """The layout of an item, its plain arrays, and the rest as `pickled` gives it (empty if there is none)."""
        last = self._last
        if last is not None and last.matches(item):
            return last, item.values(), _NO_REST
        key, arrays, rest = split(item)
        layout = self._known.get(key) or self._new(key)
        if layout is None:
            whole = _built(key, map(_plainer, arrays), iter(rest))
            return self._pickled_whole(), [], _pickled_rest([whole], item)
        self._last = layout
        return layout, arrays, _pickled_rest(rest, item) if rest else _NO_REST

    def _new(self, key: Any) -> ItemLayout | None:
        """Announce a layout, in place of the oldest if there are many; return None if that is not worth it yet."""
        number = len(self._known)
        if number == self._SIZE:
            if key not in self._seen_once:
                self._seen_once[key] = None
                if len(self._seen_once) > self._SIZE:
                    del self._seen_once[next(iter(self._seen_once))]
                return None
            del self._seen_once[key]
            number = self._known.pop(next(iter(self._known))).number
        self._announce((number, key))
        layout = self._known[key] = ItemLayout(key, number)
        return layout

    def _pickled_whole(self) -> ItemLayout:
        if self._pickled is None:
            self._announce((self._SIZE, _REST))
            self._pickled = ItemLayout(_REST, self._SIZE)
        return self._pickled


def _plainer(array: NDArray[Any]) -> NDArray[Any]:
    """The array if pickle keeps it as it is (writeable, and with its byte order), else a copy that it keeps."""
    return array if array.flags.writeable and array.flags.forc else array.copy("A")


def _pickled_rest(rest: list[Any], item: Any) -> list[Any]:
    try:
        return pickled(rest)
    except Exception as error:
        keys = f" with keys {', '.join(map(repr, item))[:200]}" if isinstance(item, dict) else ""
        raise DataError(f"an item ({short(item)}{keys}) cannot be sent from the worker: {error}") from error


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


def raw_bytes(array: NDArray[Any], order: Order) -> NDArray[np.uint8]:
    """The bytes of an array in C or Fortran order; a view if they lie in that order already.

    (Bytes instead of the array, because arrays of dates have no buffer interface.)
    """
    if order == "F":
        array = array.T
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).view(ndarray)


def pickled(x: Any) -> list[Any]:
    """[pickle, buffer, buffer, ...] of anything; by cloudpickle where pickle fails (closures, notebook functions)."""
    large: list[Any] = []

    def keep(buffer: pickle.PickleBuffer) -> bool:
        view = buffer.raw()
        if view.nbytes < LARGE or len(large) == MAX_BUFFERS // 2 - 1:
            return True
        large.append(view)
        return False

    try:
        return [pickle.dumps(x, 5, buffer_callback=keep), *large]
    except Exception:  # noqa: BLE001  (what is raised differs from library to library)
        import cloudpickle

        large.clear()
        return [cloudpickle.dumps(x, 5, buffer_callback=keep), *large]


def short_pickle(parts: list[Any]) -> tuple[bytes, list[Any]]:
    """What `pickled` returned, divided into a pickle short enough for the block (or nothing) and buffers."""
    return (parts[0], parts[1:]) if parts and len(parts[0]) < LARGE else (b"", parts)


def unpickled(parts: Sequence[Any]) -> Any:
    """What `pickled` was given; a buffer is copied only if it is not aligned."""
    return pickle.loads(parts[0], buffers=map(_aligned, parts[1:]))


def _aligned(buffer: Any) -> Any:
    array = np.frombuffer(buffer, np.uint8)
    return buffer if array.ctypes.data % _ALIGN == 0 else array.copy()
