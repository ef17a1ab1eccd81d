"""What arrives is what the tree gives: values of every kind, with their types, and writeable arrays."""

import collections
import datetime as dt
import decimal
from typing import NamedTuple

import numpy as np
import pytest

import streamflow as sf

pytestmark = pytest.mark.usefixtures("channel")


class Point:
    """A user's class, with an array inside."""

    def __init__(self, x):
        self.x = x

    def __eq__(self, other):
        return type(other) is Point and np.array_equal(self.x, other.x)

    __hash__ = None


class Kilo(float):
    pass


class Pair(NamedTuple):
    a: object
    b: object


def array(*shape, dtype=np.float32):
    return np.arange(int(np.prod(shape))).reshape(shape).astype(dtype)


def masked():
    return np.ma.array(array(5), mask=[0, 1, 0, 1, 0], fill_value=7)


def structured():
    out = np.zeros(4, [("a", "<i4"), ("b", ">f8", (2,)), ("c", "U3")])
    out["a"], out["c"] = range(4), "xyz"
    return out


ITEMS = {
    "flat": {"x": array(3, 4), "y": np.asarray(3)},
    "large": {"x": array(300, 400), "y": np.asarray(3)},
    "two large": {"x": array(300, 400), "y": array(99), "z": array(200, 100, dtype=np.int8), "w": array(70_000)},
    "many small": {f"k{i}": array(7000) for i in range(40)},
    "empty dict": {},
    "nested": {"a": {"b": [array(2), (array(3), {"c": None})], "d": {}}, "e": (), "f": []},
    "tuple": (array(2), 1, "a"),
    "list": [1, [2, [array(2)]]],
    "namedtuple": Pair(array(2), {"x": array(3)}),
    "ordered": collections.OrderedDict(b=array(1), a=2),
    "array": array(2, 3),
    "0-d": np.asarray(2.5),
    "empty": {"x": array(0), "y": array(0, 3), "z": array(3, 0, 2)},
    "None": None,
    "int": 1 << 100,
    "bool": True,
    "float": float("inf"),
    "complex": 1j,
    "text": "ä\n",
    "bytes": b"\0x",
    "long text": "x" * 100_000,
    "long bytearray": bytearray(b"x" * 100_000),
    "numpy scalars": {"a": np.float32(1.5), "b": np.int8(3), "c": np.bool_(True), "d": np.datetime64("2020-01-01")},
    "sets": {1, 2, frozenset({3})},
    "date": dt.datetime(2020, 1, 1, tzinfo=dt.UTC),
    "decimal": decimal.Decimal("1.10"),
    "subclass": Kilo(3),
    "user's": Point(array(3)),
    "user's, large": {"p": Point(array(100_000))},
    "masked": {"x": masked(), "y": np.ma.masked},
    "structured": {"x": structured()},
    "record": structured().view(np.recarray),
    "object": {"x": np.array([1, "a", None, array(2)], dtype=object)},
    "dates": {
        "x": np.array(["2020-01-01", "NaT"], "M8[D]"),
        "y": np.array([1, 2], "m8[ns]"),
        "z": np.zeros(9999, "M8[s]"),
    },
    "big-endian": {"x": array(3, dtype=">f8"), "y": array(99_999, dtype=">i2")},
    "text arrays": {"x": np.array(["a", "bcd"]), "y": np.array([b"a", b"bcd"]), "z": np.array(["", ""])},
    "void": np.zeros(3, "V5"),
    "long double": {
        "x": array(5, dtype=np.longdouble),
        "y": array(9999, dtype=np.longdouble),
        "z": array(3, dtype="G"),
    },
    "half, bool, complex": {"x": array(3, dtype="f2"), "y": array(3) > 1, "z": array(3, dtype="c8")},
    "fortran": {"x": np.asfortranarray(array(3, 4)), "y": np.asfortranarray(array(300, 400))},
    "sliced": {"x": array(10)[::3], "y": array(400, 400)[::2, ::-3], "z": array(3, 4, 5).transpose(1, 2, 0)},
    "broadcast": {"x": np.broadcast_to(np.float32(3), (4, 5)), "y": np.broadcast_to(array(400), (400, 400))},
    "read-only": {"x": np.frombuffer(b"abcdefgh", np.int16)},
    "keys": {1: array(1), "1": array(2), (1, "a"): array(3), None: 4, b"x": 5},
    "key True": {True: array(1)},
    "key 1": {1: array(1)},
    "key 1.0": {1.0: array(1)},
    "key of numpy": {np.int64(1): array(1)},
    "exception": {"e": KeyError("x")},
    "function": {"f": len, "t": np.float32},
}


def as_sent(a, b):
    """Whether two items are equal in type and value, down to memory order and the order of keys."""
    assert type(a) is type(b)
    if isinstance(a, dict):
        assert list(a) == list(b)
        assert list(map(type, a)) == list(map(type, b))
        for key in a:
            as_sent(a[key], b[key])
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            as_sent(x, y)
    elif isinstance(a, np.ma.MaskedArray):
        assert a is np.ma.masked or (np.array_equal(a.mask, b.mask) and a.fill_value == b.fill_value)
        assert np.array_equal(a.compressed(), b.compressed())
    elif isinstance(a, np.ndarray):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        assert a.dtype.byteorder == b.dtype.byteorder
        assert (a.flags.fnc, b.flags.aligned, b.flags.writeable) == (b.flags.fnc, True, True)
        if a.dtype.kind == "O":
            as_sent(a.tolist(), b.tolist())
        else:
            assert a.tobytes() == b.tobytes()
    elif isinstance(a, BaseException):
        assert a.args == b.args
    else:
        assert a == b


@pytest.mark.parametrize("name", ITEMS)
def test_an_item_arrives_as_it_left(name):
    sent = ITEMS[name]
    got = list(sf.ZMQStreamer([sent, sent, {"x": array(3)}, sent]))
    assert len(got) == 4
    for item in (got[0], got[1], got[3]):
        as_sent(sent, item)


@pytest.mark.parametrize("channel", ["shm", "ipc", "tcp"], indirect=True)
def test_all_in_one_stream():
    got = list(sf.ZMQStreamer(list(ITEMS.values()) * 2))
    assert len(got) == 2 * len(ITEMS)
    for sent, item in zip([*ITEMS.values()] * 2, got, strict=True):
        as_sent(sent, item)


def test_arrays_are_each_others_business():
    """Writing to one array changes no other, of the same item or another."""
    sent = {"a": array(5), "b": array(5), "c": array(90_000), "d": array(90_000)}
    items = list(sf.ZMQStreamer([sent] * 3))
    for item in items:
        for name in item:
            item[name] += 1
    for item in items:
        for name in item:
            assert np.array_equal(item[name], sent[name] + 1)


def test_rows_of_a_memory_map_stay_that_type(tmp_path):
    np.save(tmp_path / "x.npy", array(4, 50_000))

    def rows():
        yield from ({"x": row, "y": row[:3]} for row in np.load(tmp_path / "x.npy", mmap_mode="r"))

    for i, item in enumerate(sf.ZMQStreamer(rows)):
        assert type(item["x"]) is np.memmap
        assert item["x"].flags.writeable
        assert np.array_equal(item["x"], array(4, 50_000)[i])
        assert np.array_equal(item["y"], array(4, 50_000)[i, :3])


def test_a_generator_may_use_its_arrays_again():
    def again():
        small, large, other = np.zeros(4), np.zeros(100_000), np.zeros(100_000)
        for i in range(50):
            small[:], large[:], other[:] = i, i, i
            yield {"small": small, "large": large, "other": other}

    for i, item in enumerate(sf.ZMQStreamer(again)):
        assert (item["small"] == i).all()
        assert (item["large"] == i).all()
        assert (item["other"] == i).all()


def test_more_layouts_than_are_remembered():
    def ragged():
        for i in range(300):
            yield {"x": np.full(i, i), "y": [np.full(i % 3, i)], "z": i}
            yield {
                "x": np.full(max(0, i - 20), i),
                "y": [np.full((i - 20) % 3, i)],
                "z": i,
            }  # a recent layout

    with sf.ZMQStreamer(ragged).open() as stream:
        for a in sf.Streamer(ragged):
            as_sent(a, next(stream))
        [slot] = stream._passes.node._slots
        assert 64 <= len(slot.worker._receiver._layouts) <= 65


def test_items_whose_layout_is_not_announced_arrive_like_others():
    """More layouts than are remembered, each for the first time and for the second."""

    def items():
        for i in range(64):
            yield np.zeros(i, "M8[ms]")
        for _ in range(3):
            yield from ITEMS.values()

    for a, b in zip(sf.Streamer(items), sf.ZMQStreamer(items), strict=True):
        as_sent(a, b)


def test_keys_that_are_equal_and_not_the_same():
    pairs = [
        ((1, "a"), (True, "a")),
        (0.0, -0.0),
        (decimal.Decimal("1.0"), decimal.Decimal("1.00")),
        (1, True),
        ("1", 1),
    ]
    sent = [{key: array(3)} for pair in pairs for key in pair] * 2
    got = list(sf.ZMQStreamer(sent))
    assert [repr(list(item)) for item in got] == [repr(list(item)) for item in sent]


def test_layouts_that_hardly_differ():
    def alike():
        for _ in range(3):
            yield {"x": array(2, 2)}
            yield {"x": np.asfortranarray(array(2, 2))}
            yield {"x": array(2, 2, dtype=">f4")}
            yield {"x": array(4)}
            yield {"x": array(2, 2), "y": array(1)}
            yield {"y": array(1), "x": array(2, 2)}
            yield {1: array(1)}
            yield {True: array(1)}
            yield {"x": 3}
            yield {"x": [3]}

    for a, b in zip(sf.Streamer(alike), sf.ZMQStreamer(alike), strict=True):
        as_sent(a, b)


def test_deep_and_cyclic_items():
    deep = []
    for _ in range(100):
        deep = [deep]

    def items():
        yield deep
        ring = [1]
        ring.append(ring)
        yield ring

    first, second = sf.ZMQStreamer(items)
    assert first == deep
    assert second[1] is second


def test_objects_that_only_cloudpickle_can_send():
    def local():
        class Local:
            def __init__(self, k):
                self.k = k

        for k in range(3):
            yield {"f": lambda x, k=k: x + k, "c": Local(k)}

    items = list(sf.ZMQStreamer(local))
    assert [item["f"](1) for item in items] == [1, 2, 3]
    assert [item["c"].k for item in items] == [0, 1, 2]


def test_an_item_is_not_held_by_the_stream():
    import weakref

    stream = sf.ZMQStreamer([array(10), array(100_000), array(10)]).open()
    for _ in range(2):
        item = next(stream)
        watch = weakref.ref(item)
        del item
        assert watch() is None
    stream.close()


def test_what_cannot_be_sent_raises():
    import threading

    def lock():
        yield {"x": 1}
        yield {"x": threading.Lock()}

    stream = sf.ZMQStreamer(lock).open()
    assert next(stream) == {"x": 1}
    with pytest.raises(sf.DataError, match="dict of 1 with keys 'x'.*lock"):
        next(stream)
    assert stream.position == 1
