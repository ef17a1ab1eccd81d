"""Items <-> layouts, arrays and pickles; channels use it.

An item is taken apart into three things:

* its *layout*: containers, keys, and dtype, shape and order of each plain array.  It is hashable and travels once;
* its plain arrays, whose bytes are all that travels of them.  A dict of plain arrays is never pickled;
* the rest (numbers, text, None, objects, masked and object arrays, ...), in one pickle of protocol 5 whose large
  buffers stay out of it.

Small arrays of an item lie one behind the other in its `block`, behind a header, and a short pickle of the rest behind
them; what is large (an array, a buffer of the pickle) is a buffer of its own, `apart` from the block.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..core.allocator import LARGE  # bytes from which on a buffer travels by itself
from ..core.label import short
from ..exceptions import DataError

__all__ = [
    "HEADER",
    "LARGE",
    "MOST_APART",
    "Forms",
    "Layout",
    "pickled",
    "raw",
    "short_pickle",
    "taken_apart",
    "unpickled",
]

#: Bytes before the first array of a block (so much belongs to the channel).
HEADER = 16
#: How many buffers of an item may be apart; an item with more is pickled.
MOST_APART = 256
_ALIGN = 16
#: Kinds of dtypes that are nothing but bytes: not O, and not T (StringDType holds pointers).
_KINDS = frozenset("biufcmMSUV")
#: Types of keys of which equal ones of one type cannot be told apart (0.0 and -0.0 can).
_KEYS = frozenset((str, int, bool, bytes, type(None)))
#: A container of more is left to pickle.
_MANY = 256
#: An item that goes deeper (or holds itself) is left to pickle.
_MAX_DEPTH = 16
_NO_REST: list[Any] = []
#: The key of what is pickled.
_REST = ("r",)

ndarray, memmap = np.ndarray, np.memmap
Order = Literal["C", "F"]


def _is_plain(array: NDArray[Any]) -> bool:
    dtype = array.dtype
    return dtype.kind in _KINDS and not dtype.hasobject and dtype.itemsize > 0 and dtype.metadata is None


class _TooDeepError(Exception):
    pass


def taken_apart(item: Any) -> tuple[tuple[Any, ...], list[NDArray[Any]], list[Any]]:
    """The key of an item's layout, its plain arrays, and everything else.

    An item that holds itself is its own rest, and so is one of very many large arrays.

    >>> key, arrays, rest = taken_apart({"x": np.zeros(2), "y": (1, "a")})
    >>> arrays, rest
    ([array([0., 0.])], [(1, 'a')])
    """
    arrays: list[NDArray[Any]] = []
    rest: list[Any] = []
    try:
        key = _flatten(item, arrays, rest, _MAX_DEPTH)
    except _TooDeepError:
        return _REST, [], [item]
    if len(arrays) > MOST_APART // 2 and sum(array.nbytes >= LARGE for array in arrays) > MOST_APART // 2:
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
    if len(x) > _MANY:
        rest.append(x)
        return _REST
    if not depth:
        raise _TooDeepError
    values = x.values() if kind is dict else x
    before = len(rest)
    inside = tuple([_flatten(value, arrays, rest, depth - 1) for value in values])
    if inside and inside.count(_REST) == len(inside):  # without an array: pickled as a whole
        rest[before:] = [x]
        return _REST
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

    __slots__ = ("arrays", "is_flat", "key", "keys", "n_apart", "number", "rested", "simple", "size", "staged")

    def __init__(self, key: tuple[Any, ...], number: int) -> None:
        self.key, self.number = key, number
        self.rested = False  #: whether there is a rest
        self.size = HEADER  #: bytes of the block, header included
        #: (shape, dtype, offset in the block or None, order, type) of each array
        self.arrays: list[tuple[tuple[int, ...], np.dtype[Any], int | None, Order, Any]] = []
        self._scan(key)
        self.n_apart = sum(array[2] is None for array in self.arrays)  #: how many arrays are not in the block
        self.staged: Any = None  #: for the channel
        #: Whether it is a dict of plain arrays with names.
        self.is_flat = (
            key[0] == "d"
            and not self.rested
            and all(kind[0] == "a" for kind in key[3])
            and all(kind is str for kind in key[2])
        )
        self.keys: tuple[str, ...] = key[1] if self.is_flat else ()
        #: Name, shape, dtype, offset and order of each array, where nothing else is to be known.
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
            self.rested = True
        else:
            for inside in key[-1]:
                self._scan(inside)

    def matches(self, item: Any) -> bool:
        """Whether `item` is a dict of plain arrays of just this layout: quick, and sometimes wrongly False."""
        if type(item) is not dict or not self.is_flat or tuple(item) != self.keys:
            return False
        # The same names, so as many values as arrays: zip need not check it.
        for value, (shape, dtype, _, order, kind) in zip(item.values(), self.arrays):  # noqa: B905
            if value.__class__ is not kind or value.dtype is not dtype or value.shape != shape:
                return False
            if len(shape) > 1 and value.flags.fnc is not (order == "F"):
                return False
        return True

    def views(self, buffer: Any, start: int = 0) -> list[NDArray[Any]]:
        """The small arrays, as views on a block that begins at `start` of a buffer."""
        return [ndarray(s, d, buffer, start + at, None, o) for s, d, at, o, _ in self.arrays if at is not None]

    def item(self, block: Any, inside: int, apart: list[Any]) -> Any:
        """The item, over a block with `inside` bytes of pickle behind the arrays, and buffers apart."""
        large = iter(apart)
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
        if self.rested:
            parts = apart[self.n_apart :]
            if inside:
                parts.insert(0, memoryview(block)[self.size : self.size + inside])
            rest = unpickled(parts)
        return _built(self.key, iter(arrays), iter(rest))


class Forms:
    """The layouts that a sender has announced.

    Announcing one takes longer than to pickle an item.  So when there are many (arrays of all lengths, say), a form
    gets a layout only if it comes again soon; items of other forms are pickled.

    Parameters
    ----------
    announce : function
        Called with (number, key) of each new layout.
    """

    _MOST = 64

    def __init__(self, announce: Callable[[tuple[int, Any]], None]) -> None:
        self._announce = announce
        self._known: dict[Any, Layout] = {}
        self._rare: dict[Any, None] = {}  # forms that came once, the oldest first
        self._last: Layout | None = None
        self._pickled: Layout | None = None  # of an item that is pickled as a whole

    def of(self, item: Any) -> tuple[Layout, Any, list[Any]]:
        """Layout, plain arrays, and the pickle of the rest with its large buffers (empty if there is no rest)."""
        last = self._last
        if last is not None and last.matches(item):
            return last, item.values(), _NO_REST
        key, arrays, rest = taken_apart(item)
        layout = self._known.get(key) or self._new(key)
        if layout is None:
            sent = _built(key, map(_plainer, arrays), iter(rest))
            return self._whole(), [], _sendable([sent], item)
        self._last = layout
        return layout, arrays, _sendable(rest, item) if rest else _NO_REST

    def _new(self, key: Any) -> Layout | None:
        """Announce a layout, in the place of the oldest if there are many; None if that is not worth it."""
        number = len(self._known)
        if number == self._MOST:
            if key not in self._rare:
                self._rare[key] = None
                if len(self._rare) > self._MOST:
                    del self._rare[next(iter(self._rare))]
                return None
            del self._rare[key]
            number = self._known.pop(next(iter(self._known))).number
        self._announce((number, key))
        layout = self._known[key] = Layout(key, number)
        return layout

    def _whole(self) -> Layout:
        if self._pickled is None:
            self._announce((self._MOST, _REST))
            self._pickled = Layout(_REST, self._MOST)
        return self._pickled


def _plainer(array: NDArray[Any]) -> NDArray[Any]:
    """An array that pickle brings over as it is: writeable, and in its byte order."""
    return array if array.flags.writeable and array.flags.forc else array.copy("A")


def _sendable(rest: list[Any], item: Any) -> list[Any]:
    try:
        return pickled(rest)
    except Exception as error:
        keys = f" with keys {', '.join(map(repr, item))[:200]}" if isinstance(item, dict) else ""
        raise DataError(f"an item ({short(item)}{keys}) cannot be sent to the consumer: {error}") from error


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
        if view.nbytes < LARGE or len(large) == MOST_APART // 2 - 1:
            return True
        large.append(view)
        return False

    try:
        return [pickle.dumps(x, 5, buffer_callback=keep), *large]
    except Exception:  # noqa: BLE001  (each library has errors of its own for this)
        import cloudpickle

        large.clear()
        return [cloudpickle.dumps(x, 5, buffer_callback=keep), *large]


def short_pickle(parts: list[Any]) -> tuple[bytes, list[Any]]:
    """What `pickled` gave, as the pickle if it is short enough to lie in the block, else nothing, and what is apart."""
    return (parts[0], parts[1:]) if parts and len(parts[0]) < LARGE else (b"", parts)


def unpickled(parts: Sequence[Any]) -> Any:
    """What `pickled` was given; buffers are copied only where they do not lie as arrays have to."""
    return pickle.loads(parts[0], buffers=map(_aligned, parts[1:]))


def _aligned(buffer: Any) -> Any:
    array = np.frombuffer(buffer, np.uint8)
    return buffer if array.ctypes.data % _ALIGN == 0 else array.copy()
