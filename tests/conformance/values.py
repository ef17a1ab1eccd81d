"""Items of every kind to send to a consumer, and how two items differ."""

from __future__ import annotations

import datetime as dt
import decimal
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

__all__ = ["VALUES", "differ", "every_value"]

_LARGE = 200_000  #: bytes; large enough to be sent apart from the rest


class Point:
    """A user's class."""

    def __init__(self, where: Any) -> None:
        self.where = where

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Point) and np.array_equal(self.where, other.where)

    __hash__ = None  # type: ignore[assignment]


class Pair(NamedTuple):
    """A named tuple."""

    left: Any
    right: Any


def _up(*shape: int, dtype: Any = np.float32) -> Any:
    return np.arange(int(np.prod(shape))).reshape(shape).astype(dtype)


def _structured() -> Any:
    made = np.zeros(5, [("a", "<i4"), ("b", ">f8", (2,)), ("c", "U3")])
    made["a"], made["b"], made["c"] = range(5), np.ones((5, 2)), "xyz"
    return made


#: How to make an item of each kind.
VALUES: dict[str, Callable[[], Any]] = {
    "a dict of arrays": lambda: {"x": _up(3, 4), "y": np.asarray(3), "z": _up(2, dtype=np.int8)},
    "a dict of large arrays": lambda: {"x": _up(_LARGE, dtype=np.uint8), "y": _up(_LARGE), "z": _up(3)},
    "a tuple": lambda: (_up(2), 1, "a"),
    "a named tuple": lambda: Pair(_up(2), None),
    "a list": lambda: [1, [2.5, [_up(2)]], []],
    "a nested dict": lambda: {"a": {"b": [_up(2), (_up(3), {"c": None})], "d": {}}, "e": ()},
    "an ordered dict": lambda: OrderedDict(b=_up(1), a=2),
    "a dict with keys of every kind": lambda: {1: _up(1), "1": _up(2), (1, "a"): 3, None: 4, b"x": 5},
    "an empty dict": dict,
    "an empty tuple": tuple,
    "None": lambda: None,
    "True": lambda: True,
    "an int": lambda: 1 << 100,
    "a float": lambda: 0.1,
    "NaN": lambda: float("nan"),
    "a complex": lambda: 1j,
    "a str": lambda: "\u00e4\n\0",
    "a long str": lambda: "x" * _LARGE,
    "bytes": lambda: b"\0x",
    "long bytes": lambda: b"x" * _LARGE,
    "a bytearray": lambda: bytearray(b"abc"),
    "a set": lambda: {1, 2, frozenset({3})},
    "a date": lambda: dt.datetime(2020, 1, 1, tzinfo=dt.UTC),
    "a decimal": lambda: decimal.Decimal("1.10"),
    "numpy scalars": lambda: {"a": np.float32(1.5), "b": np.int8(3), "c": np.bool_(True), "d": np.datetime64("2020")},
    "an array": lambda: _up(2, 3),
    "a 0-d array": lambda: np.asarray(2.5),
    "empty arrays": lambda: {"x": _up(0), "y": _up(0, 3), "z": _up(3, 0, 2)},
    "arrays in Fortran order": lambda: {"x": np.asfortranarray(_up(3, 4)), "y": np.asfortranarray(_up(300, 400))},
    "sliced arrays": lambda: {"x": _up(10)[::3], "y": _up(400, 400)[::2, ::-3], "z": _up(3, 4, 5).transpose(1, 2, 0)},
    "big-endian arrays": lambda: {"x": _up(3, dtype=">f8"), "y": _up(_LARGE, dtype=">i2")},
    "masked arrays": lambda: {
        "x": np.ma.MaskedArray(_up(5), mask=_up(5) % 2 > 0, fill_value=7),
        "y": np.ma.MaskedArray(_up(_LARGE), mask=_up(_LARGE) > 9),
    },
    "a structured array": lambda: {"x": _structured()},
    "an object array": lambda: {"x": np.array([1, "a", None, _up(2)], dtype=object)},
    "arrays of dates": lambda: {"x": np.array(["2020-01-01", "NaT"], "M8[D]"), "y": np.array([1, 2], "m8[ns]")},
    "arrays of text": lambda: {"x": np.array(["a", "bcd"]), "y": np.array([b"a", b"bcd"])},
    "bools, halves and complex numbers": lambda: {"x": _up(3) > 1, "y": _up(3, dtype="f2"), "z": _up(3, dtype="c8")},
    "an object of a user's class": lambda: Point(_up(3)),
    "a large object of a user's class": lambda: {"p": Point(_up(_LARGE))},
}


def every_value() -> Iterator[Any]:
    """Yield an item of each kind twice: the second has a layout that is known already."""
    for make in VALUES.values():
        yield make()
        yield make()


def differ(got: Any, sent: Any) -> str:
    """How two items differ in type or value, down to the order of keys and of bytes; empty where they do not."""
    if type(got) is not type(sent):
        return f"it is of type {type(got).__name__} instead of {type(sent).__name__}"
    if isinstance(sent, dict):
        keys = [(type(key), key) for key in got], [(type(key), key) for key in sent]
        if keys[0] != keys[1]:
            return f"its keys are {list(got)} instead of {list(sent)}"
        return next((f"[{key!r}]: {how}" for key in sent if (how := differ(got[key], sent[key]))), "")
    if isinstance(sent, (list, tuple)):
        if len(got) != len(sent):
            return f"its length is {len(got)} instead of {len(sent)}"
        return next((f"[{place}]: {how}" for place, one in enumerate(sent) if (how := differ(got[place], one))), "")
    if isinstance(sent, np.ndarray):
        return _arrays_differ(got, sent)
    equal = got == sent or (got != got and sent != sent)
    return "" if equal else f"it is {got!r:.80} instead of {sent!r:.80}"


def _arrays_differ(got: Any, sent: Any) -> str:
    if (got.dtype, got.dtype.byteorder, got.shape) != (sent.dtype, sent.dtype.byteorder, sent.shape):
        return f"it is an array of {got.dtype.str}{got.shape} instead of {sent.dtype.str}{sent.shape}"
    if isinstance(sent, np.ma.MaskedArray):
        if not np.array_equal(np.ma.getmaskarray(got), np.ma.getmaskarray(sent)):
            return "its mask differs"
        if got.fill_value != sent.fill_value:
            return f"its fill_value is {got.fill_value} instead of {sent.fill_value}"
        got, sent = got.filled(), sent.filled()
    if sent.dtype.hasobject:
        return differ(got.tolist(), sent.tolist())
    return "" if got.tobytes() == sent.tobytes() else "its numbers differ"
