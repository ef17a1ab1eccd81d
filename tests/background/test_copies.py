"""Memory that a worker offers (`core.allocator`): arrays made there are copied only if something still holds them."""

import gc
import itertools
import os
import threading
import weakref
from types import SimpleNamespace

import numpy as np
import pytest

import streamflow as sf
from streamflow.core import allocator

from .views import MIB, address, is_lent, place

pytestmark = pytest.mark.usefixtures("channel")
by_shm = pytest.mark.parametrize("channel", ["shm"], indirect=True)
SHAPE = (100, 250)  # 100 kB


def made(i, shape=SHAPE, dtype="<f4"):
    """An array in memory that is offered, if there is any; else an ordinary one."""
    array = allocator.empty(shape, np.dtype(dtype))
    if array is None:
        array = np.empty(shape, dtype)
    array[...] = np.arange(i, i + array.size).reshape(shape)
    return array


def is_right(array, i, shape=SHAPE):
    return np.array_equal(array, np.arange(i, i + np.prod(shape)).reshape(shape).astype(array.dtype))


def given_away(n):
    for i in range(n):
        yield {"x": made(i), "i": i}


def placed(make, n):
    """Items of `make(i)`, each with the place of its array x; nothing else refers to them."""
    for i in range(n):
        item = make(i)
        item["place"] = place(item["x"])
        box = [item]
        del item
        yield box.pop()


@by_shm
def test_what_is_given_away_is_not_copied():
    with sf.ZMQStreamer(sf.Streamer(placed, lambda i: {"x": made(i), "i": i}, 30)).open() as stream:
        for i, item in enumerate(stream):
            assert is_lent(item["x"])
            assert item["place"] == place(item["x"]) > 0
            assert is_right(item["x"], i)
            item["x"][...] = -1


@by_shm
def test_by_spawn():
    """The leaf function brings with it all that it needs."""

    def items():
        array = allocator.empty((100_000,), np.dtype("u1"))
        array[...] = 1
        watch = weakref.ref(array.base)
        box = [{"x": array}]
        del array
        yield box.pop()
        yield watch() is None

    with sf.ZMQStreamer(items, start_method="spawn").open() as stream:
        item = next(stream)
        assert is_lent(item["x"])
        assert (item["x"] == 1).all()
        assert next(stream)


@by_shm
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda a: a[:], lambda a: a),
        (lambda a: a.T, lambda a: a.T),
        (lambda a: a.reshape(-1), lambda a: a.reshape(-1)),
        (lambda a: a.view("<i4"), lambda a: a.view("<i4")),
        (lambda a: a.reshape(50, 2, 250).transpose(2, 1, 0), lambda a: a.reshape(50, 2, 250).transpose(2, 1, 0)),
        (lambda a: a[None], lambda a: a[None]),
    ],
    ids=["all of it", "transposed", "flat", "as integers", "transposed in three", "with an axis"],
)
def test_all_of_it_in_another_form_is_not_copied(change, expected):
    with sf.ZMQStreamer(sf.Streamer(placed, lambda i: {"x": change(made(i))}, 10)).open() as stream:
        for i, item in enumerate(stream):
            assert item["place"] == place(item["x"])
            wanted = expected(np.arange(i, i + 25_000).reshape(SHAPE).astype("<f4"))
            assert item["x"].flags.fnc == wanted.flags.fnc
            assert np.array_equal(item["x"], wanted)


PARTS = {
    "its beginning": lambda a: a[:90],
    "its end": lambda a: a[1:],
    "a little": lambda a: a[3:4, 7:9],
    "turned round": lambda a: a[::-1],
    "mirrored": lambda a: a[:, ::-1],
    "thinned": lambda a: a[::2, ::3],
    "one row many times": lambda a: np.broadcast_to(a[5], SHAPE),
    "transposed in part": lambda a: a[:90].T,
    "swapped bytes": lambda a: a.view(">f4"),
    "masked": np.ma.masked_array,
    "in an object": lambda a: SimpleNamespace(a=a),
    "in a list": lambda a: [a, [a]],
    "twice": lambda a: {"a": a, "b": a},
    "and transposed": lambda a: {"a": a, "b": a.T},
    "and a part of it": lambda a: {"a": a, "b": a[7:]},
    "and a small part of it": lambda a: {"a": a, "b": a[7, 3:4]},
    "and turned round": lambda a: (a, a[::-1]),
    "and masked": lambda a: {"a": a, "b": np.ma.masked_array(a)},
    "beside another": lambda a: {"a": a, "b": np.array(a)},
}


def arrays_of(item):
    if isinstance(item, dict):
        item = list(item.values())
    if isinstance(item, (list, tuple)):
        return [array for one in item for array in arrays_of(one)]
    return [getattr(item, "a", item)]


@pytest.mark.parametrize("kept", [False, True], ids=["", "kept"])
@pytest.mark.parametrize("part", PARTS)
def test_any_part_of_it_arrives_and_belongs_to_the_consumer(part, kept):
    """Many times, so that memory is reused; arrays of one item share none."""

    def items():
        last = []
        for i in range(12):
            box = [made(i)]
            if kept:
                last[:] = box
            box[0] = PARTS[part](box[0])
            yield box.pop()
            if kept:
                last[0][...] = -5

    held = []
    for i, item in enumerate(sf.ZMQStreamer(items, buffer_bytes=MIB)):
        wanted = arrays_of(PARTS[part](np.arange(i, i + 25_000).reshape(SHAPE).astype("<f4")))
        wanted = [np.array(array) for array in wanted]
        got = arrays_of(item)
        assert [np.array_equal(a, b, equal_nan=True) for a, b in zip(got, wanted, strict=True)] == [True] * len(wanted)
        shared = [np.shares_memory(a, b) for a, b in itertools.combinations(got, 2)]
        assert not any(shared)
        for number, (array, value) in enumerate(zip(got, wanted, strict=True)):
            array[...] = value[...] = 1000 * i + number
        held.append((got, wanted))
    for got, wanted in held:
        assert all(np.array_equal(a, b) for a, b in zip(got, wanted, strict=True))


def test_what_a_generator_keeps_and_changes_is_copied():
    def items():
        batch = made(0)
        for i in range(40):
            batch[...] = i
            yield {"x": batch, "n": i}
            assert (batch == i).all()  # whatever the consumer has written
            batch[...] = -1

    held = []
    for i, item in enumerate(sf.ZMQStreamer(items, buffer_bytes=300_000)):
        assert (item["x"] == i).all()
        item["x"] += 1000
        held.append(item)
    assert all((item["x"] == i + 1000).all() for i, item in enumerate(held))


def test_what_is_given_again_is_a_copy_each_time():
    """A cache gives an item again; the last time nothing else refers to it."""

    def items():
        kept = [made(100 * k) for k in range(3)]
        for i in range(30):
            yield {"k": i % 3, "x": kept[i % 3]}
        while kept:
            yield {"k": len(kept) - 1, "x": kept.pop()}

    held = []
    for item in sf.ZMQStreamer(items, buffer_bytes=MIB):
        assert is_right(item["x"], 100 * item["k"])
        item["x"][...] = len(held)
        held.append(item)
    assert len(held) == 33
    assert all((item["x"] == n).all() for n, item in enumerate(held))


def test_a_cache_in_the_tree():
    stream = sf.Streamer(given_away, 200)
    tree = stream.pipe(sf.cache, 4, prob=0.5, random_state=1)
    got = []
    with sf.ZMQStreamer(tree).open() as stream:
        for item in itertools.islice(stream, 120):
            assert is_right(item["x"], item["i"])
            item["x"][...] = -3
            got.append(item["i"])
    assert got == [item["i"] for item in tree(max_iter=120)]
    assert len(set(got)) < len(got)


@by_shm
def test_one_of_two_is_kept():
    def items():
        for i in range(20):
            kept = made(i)
            yield {"x": kept, "y": made(i + 1), "at": (place(kept), i)}
            kept[...] = 7

    for item in sf.ZMQStreamer(items):
        where, i = item["at"]
        assert where != place(item["x"])
        assert is_right(item["x"], i)
        assert is_right(item["y"], i + 1)


def test_a_ring_holds_it_until_it_is_collected():
    def items():
        gc.disable()
        for i in range(50):
            item = {"x": made(i), "ring": []}
            item["ring"].append(item["ring"])
            circle = [item["x"]]
            circle.append(circle)
            del circle
            box = [item]
            del item
            yield box.pop()
            if i % 7 == 0:
                gc.collect()

    for i, item in enumerate(sf.ZMQStreamer(items, buffer_bytes=MIB)):
        assert is_right(item["x"], i)
        item["x"][...] = 0


def test_batches_of_a_map():
    samples = [{"x": np.full((40, 50), i, "f4"), "y": i} for i in range(64)]
    tree = sf.Streamer(samples).pipe(sf.buffer_stream, 16)
    serial = list(tree)
    held = list(sf.ZMQStreamer(tree.pipe(lambda batches: (batch for batch in batches))))
    assert len(held) == 4
    for a, b in zip(serial, held, strict=True):
        assert np.array_equal(a["x"], b["x"])
        assert np.array_equal(a["y"], b["y"])


# ---- the memory


@by_shm
def test_what_is_made_and_not_given_is_used_again(touched):
    def items():
        for i in range(300):
            spare = [made(i, (MIB,), "u1") for _ in range(3)]
            yield {"x": made(i, (MIB,), "u1"), "spare": len(spare)}
            del spare

    most = 0
    for item in sf.ZMQStreamer(items, buffer_bytes=4 * MIB):
        assert item["spare"] == 3
        most = max(most, touched())  # before the end: then it is given back
    # The buffer, the three and the one being made, one held; and blocks are cut anew above twice the buffer.
    assert 4 * MIB < most <= 16 * MIB


@by_shm
def test_what_the_consumer_holds_is_not_used_again():
    held = []
    with sf.ZMQStreamer(sf.Streamer(given_away, 300), buffer_bytes=MIB).open() as stream:
        for i, item in enumerate(stream):
            if i % 60 == 0:
                held.append((i, item["x"]))
        assert [is_lent(array) for _, array in held] == [True] * 5
        assert len({address(array) for _, array in held}) == 5
    assert all(is_right(array, i) for i, array in held)


@by_shm
def test_who_gets_it_and_wants_copies():
    held = list(sf.ZMQStreamer(sf.Streamer(given_away, 40), copy=True, buffer_bytes=MIB))
    assert not any(is_lent(item["x"]) for item in held)
    assert all(is_right(item["x"], i) for i, item in enumerate(held))


def test_where_it_is_offered(channel):
    """Only in the thread of a worker that runs the tree, over shared memory, from a size up, for plain dtypes."""

    def offers():
        found = {}

        def ask(name, shape, dtype="u1"):
            found[name] = allocator.empty(shape, np.dtype(dtype)) is not None

        ask("large", (allocator.LARGE,))
        ask("small", (allocator.LARGE - 1,))
        ask("none", (0, 1 << 40))
        ask("objects", (100_000,), "O")
        ask("a field of objects", (100_000,), [("x", "O")])
        ask("dates", (10_000,), "M8[s]")
        ask("more than there is", (1 << 62,))
        thread = threading.Thread(target=ask, args=("another thread", (100_000,)))
        thread.start()
        thread.join()
        ours, theirs = os.pipe()
        child = os.fork()
        if not child:
            ask("a child", (100_000,))
            os.write(theirs, str(int(found["a child"])).encode())
            os._exit(0)
        found["a child"] = os.read(ours, 1) == b"1"
        os.waitpid(child, 0)
        yield found

    [found] = sf.ZMQStreamer(offers)
    assert {name for name, offered in found.items() if offered} == ({"large", "dates"} if channel == "shm" else set())
    assert allocator.empty((100_000,), np.dtype("u1")) is None
    assert not allocator.is_offered(100_000)


@by_shm
def test_closing_in_the_middle_of_it(tmp_path):
    """Arrays that the tree holds when it is closed are intact and writeable until then."""

    def items():
        kept = [made(k) for k in range(5)]
        try:
            while True:
                yield {"x": kept[0]}
        finally:
            kept[3][...] = 9
            last = made(4)
            (tmp_path / "note").write_text(str(is_right(kept[4], 4) and (kept[3] == 9).all() and is_right(last, 4)))

    with sf.ZMQStreamer(items).open() as stream:
        item = next(stream)
    assert (tmp_path / "note").read_text() == "True"
    assert is_right(item["x"], 0)
