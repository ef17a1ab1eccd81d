"""Shared memory: views that keep their memory, consumers that hold many items, bounds, and rings."""

import collections
import gc
import itertools
import mmap
import multiprocessing as mp
import os
import random
import threading
import time
from queue import SimpleQueue

import numpy as np
import pytest

import streamflow as sf
from streamflow.background.records import HELLO, ITEM
from streamflow.background.shm import sender as shm_sender
from streamflow.background.shm.channel import ShmChannel
from streamflow.background.shm.segment import DATA, EVENTS, RECORDS
from streamflow.background.shm.sender import ShmSender

from ..processes import settled
from .views import MIB, address, filled, full, is_lent

pytestmark = pytest.mark.parametrize("channel", ["shm"], indirect=True)


@pytest.fixture(autouse=True, name="only_here")
def only_here_fixture(channel):
    """All tests here are about one channel."""


class Ends:
    """Both ends of a channel in one thread."""

    def __init__(self, limit, copy=False):
        channel = ShmChannel(mp.get_context("fork"), copy)
        segment, semaphores = channel.worker_end.segment, channel.worker_end.semaphores
        self.sender = ShmSender(segment, *semaphores, limit, lambda: None)
        self.receiver = channel.open(limit, lambda: True, 10.0)
        assert self.receiver.receive() == [HELLO, None]
        assert self.receiver.connected

    def send(self, item):
        self.sender.send_item([ITEM, item])

    def take(self):
        kind, item = self.receiver.receive()
        assert kind == ITEM
        return item

    def through(self, item):
        self.send(item)
        return self.take()


@pytest.fixture(name="ends")
def ends_fixture():
    opened = []

    def make(limit=MIB, **settings):
        opened.append(Ends(limit, **settings))
        return opened[-1]

    yield make
    while opened:  # the list lives longer than its fixture
        opened[-1].sender.close()
        opened.pop().receiver.close()


# ---- views


class Tensor:
    """An array-like of another library."""

    def __init__(self, x):
        self.x, self.__array_interface__ = x, x.__array_interface__


KEEPERS = {
    "itself": lambda x: x,
    "a slice": lambda x: x[500:600],
    "one element": lambda x: x[-1:],
    "a view of a view": lambda x: x[8:].reshape(2, -1)[1].view(np.uint32)[::2].T,
    "reshaped": lambda x: x.reshape(100, 1000)[:, ::7],
    "a memoryview": memoryview,
    "asarray of a memoryview": lambda x: np.asarray(memoryview(x)[100:200]),
    "frombuffer": lambda x: np.frombuffer(x, np.float32),
    "dlpack": np.from_dlpack,
    "ctypes": np.ctypeslib.as_ctypes,
    "flat": lambda x: x.flat,
    "broadcast": lambda x: np.broadcast_to(x, (3, x.size)),
    "a subclass": np.ma.masked_array,
    "real": lambda x: x.view(np.complex64).imag,
    "a pickle buffer": lambda x: __import__("pickle").PickleBuffer(x),
    "the interface": lambda x: np.asarray(Tensor(x)),
}


@pytest.mark.parametrize("keeper", KEEPERS)
def test_memory_is_kept_while_anything_shows_it(ends, keeper):
    both = ends()
    item = both.through(full(7))
    assert is_lent(item)
    assert item.flags.writeable
    place = address(item)
    kept = KEEPERS[keeper](item)
    before = bytes(np.asarray(kept).tobytes())
    assert before
    del item
    for i in range(5):
        other = both.through(full(100 + i))
        assert address(other) != place
        del other
    assert np.asarray(kept).tobytes() == before
    del kept
    places = []
    for i in range(4):
        other = both.through(full(i))
        places.append(address(other))
        assert (other == i).all()
        del other
    assert place in places


def test_arrays_of_one_item_are_kept_one_by_one(ends):
    both = ends()
    item = both.through({"x": full(1), "y": full(2), "z": np.ma.masked_array(full(3))})
    x, y, z = places = [address(np.asarray(array)) for array in item.values()]
    assert len(set(places)) == 3
    kept = item["y"]
    del item
    seen = set()
    for i in range(8):
        item = both.through({"x": full(i), "y": full(i), "z": np.ma.masked_array(full(i))})
        seen |= {address(np.asarray(array)) for array in item.values()}
        del item
    assert {x, z} <= seen
    assert y not in seen
    assert (kept == 2).all()


def test_small_arrays_are_the_consumers_own(ends):
    both = ends()
    items = [both.through({"x": np.full(30_000, i, np.uint8), "y": i}) for i in range(100)]
    assert not any(is_lent(item["x"]) for item in items)
    for i, item in enumerate(items):
        assert item["x"].flags.writeable
        assert (item["x"] == i).all()


def test_views_may_die_in_any_thread():
    """They die while others are received; what each thread holds stays intact until then."""
    queue, wrong = SimpleQueue(), []

    def reader():
        kept = collections.deque(maxlen=3)
        while (entry := queue.get()) is not None:
            kept.append(entry)
            wrong.extend(i for i, x in kept if not (x == i % 251).all())
            del entry

    threads = [threading.Thread(target=reader) for _ in range(3)]
    for thread in threads:
        thread.start()
    with sf.ZMQStreamer(sf.Streamer(filled, 50_000, 2000), buffer_bytes=MIB).open() as stream:
        for i in range(2000):
            queue.put((i, next(stream)))
    for _ in threads:
        queue.put(None)
    for thread in threads:
        thread.join()
    assert wrong == []


# ---- consumers that keep everything


@pytest.mark.parametrize("n_arrays", [1, 3])
def test_a_hoard_never_blocks_and_stays_right(touched, n_arrays):
    """300 MiB with a buffer of 1 MiB: four items are lent, whatever their size; the others are copies."""

    def items():
        for i in range(300 // n_arrays):
            yield {name: full(i + ord(name), MIB) for name in "abc"[:n_arrays]}

    def right(item, i):
        return all((x == (i + ord(name)) % 251).all() for name, x in item.items())

    held, most = [], 0
    stream = sf.ZMQStreamer(items, buffer_bytes=MIB).open()
    for item in stream:
        most = max(most, touched())
        assert all(x.flags.writeable for x in item.values())
        held.append(item)
    assert len(held) == 300 // n_arrays
    assert [all(map(is_lent, item.values())) for item in held[:4]] == [True] * 4
    assert not any(is_lent(x) for item in held[4:] for x in item.values())
    assert 4 * n_arrays * MIB < most <= DATA + (4 * n_arrays + 1 + n_arrays + 1) * MIB
    assert all(right(item, i) for i, item in enumerate(held))
    stream.close()
    del stream
    gc.collect()
    assert all(right(item, i) for i, item in enumerate(held))
    for item in held:
        for name in item:
            item[name][...] += ord(name)
    assert all(
        (x == ((i + ord(name)) % 251 + ord(name)) % 256).all()
        for i, item in enumerate(held)
        for name, x in item.items()
    )


def test_who_lets_go_again_is_lent_again(ends):
    both = ends(limit=MIB)
    held = [both.through(full(i, 300_000)) for i in range(8)]
    assert [is_lent(x) for x in held] == [True] * 4 + [False] * 4
    del held[:2]
    assert is_lent(both.through(full(1, 300_000)))
    assert all((x == i).all() for i, x in enumerate(held, 2))


def test_many_small_loans_are_bounded(ends):
    """A view costs more than its bytes, and each needs a place in the ring of events."""
    both = ends(limit=1 << 30)
    held = [both.through(full(i, 33_000)) for i in range(1500)]
    assert 1000 <= sum(map(is_lent, held)) <= 1100
    assert all((x == i % 251).all() for i, x in enumerate(held))


def test_copies_are_private(segments):
    def items():
        for i in range(20):
            yield {"x": full(i, MIB), "m": np.ma.masked_array(full(i)), "o": [full(i)], "t": "x" * 100_000, "s": i}

    with sf.ZMQStreamer(items, copy=True).open() as stream:
        held = list(stream)
    assert segments() == []
    for i, item in enumerate(held):
        for x in (item["x"], item["m"].data, item["o"][0]):
            assert not is_lent(x)
            assert x.flags.writeable
            assert (x == i).all()
    assert not any(np.shares_memory(a["x"], b["x"]) for a, b in itertools.pairwise(held))


# ---- how much


@pytest.mark.parametrize("size", [100, 20_000, 40_000, 300_000, 5 * MIB])
@pytest.mark.parametrize("limit", [1, 2 * MIB])
def test_a_sleeping_consumer_bounds_the_segment(touched, limit, size):
    made = mp.Value("l", 0, lock=False)

    def items():
        for i in range(1 << 30):
            made.value = i
            yield full(i, size)

    with sf.ZMQStreamer(items, buffer_bytes=limit).open() as stream:
        kept = next(stream)
        settled(lambda: made.value)
        # What is lent, what is sent ahead, one more item, and partial pages.
        assert touched() <= DATA + limit + 2 * size + size // 8 + (64 << 10)
        assert (kept == 0).all()
        assert (next(stream) == 1).all()


def test_the_segment_is_bounded_for_any_sizes(touched):
    """Free memory is merged before the heap grows."""
    limit, most = 4 * MIB, MIB

    def items(rng):
        for _ in range(3000):
            yield np.zeros(int(2 ** rng.uniform(8, 20)), np.uint8)

    with sf.ZMQStreamer(sf.Streamer(items).with_seed(1), buffer_bytes=limit).open() as stream:
        held, seen = collections.deque(maxlen=6), 0
        for item in stream:
            held.append(item)
            seen = max(seen, touched())
        assert limit < seen <= DATA + 2 * limit + 7 * most


def test_pickles_give_their_memory_back(touched):
    def items():
        for i in range(200):
            yield {"text": str(i % 10) * MIB, "mask": np.ma.masked_array(full(i, MIB))}

    with sf.ZMQStreamer(items, buffer_bytes=4 * MIB).open() as stream:
        most = 0
        for i, item in enumerate(stream):
            assert item["text"] == str(i % 10) * MIB
            assert (item["mask"] == i).all()
            most = max(most, touched())
        assert 4 * MIB < most <= DATA + 12 * MIB


def test_an_item_that_does_not_fit_raises(monkeypatch):
    """A segment is as large as the machine's memory; here that is patched to 16 MiB."""
    monkeypatch.setattr(os, "sysconf", lambda name: 16 * MIB // mmap.PAGESIZE)

    def items():
        yield full(1, 4 * MIB)
        yield full(2, 32 * MIB)

    with sf.ZMQStreamer(items).open() as stream:
        assert (next(stream) == 1).all()
        with pytest.raises(sf.DataError, match="32 MiB cannot be sent"):
            next(stream)


# ---- the rings


def test_rings_go_round(ends):
    """More records and events than the rings have places, in bursts, with some views held for long."""
    both = ends(limit=64 * MIB)
    rng = random.Random(0)
    kept, waiting = {}, collections.deque()
    for i in range(3 * EVENTS):
        item = full(i, 33_000) if i % 5 == 0 else np.uint16([i, 7])
        both.send(item)
        waiting.append(i)
        while waiting and (len(waiting) > 50 or rng.random() < 0.3):
            j = waiting.popleft()
            got = both.take()
            assert got[0] == (j % 251 if j % 5 == 0 else j)
            if j % 100 == 0:
                kept[j] = got
            del got
    assert len(kept) > EVENTS // 50
    assert all((x == j % 251).all() for j, x in kept.items())


def test_buffers_are_counted_beside_bytes(monkeypatch):
    """Each needs a place in the ring of events when it is freed; here there are few places."""
    monkeypatch.setattr(shm_sender, "_MAX_PENDING", 40)
    made = mp.Value("l", 0, lock=False)

    def items():
        for i in range(60):
            made.value = i
            yield [full(i + j, 33_000) for j in range(10)]

    with sf.ZMQStreamer(items).open() as stream:
        first = next(stream)
        time.sleep(0.5)
        assert made.value <= 6
        assert [item[3][0] for item in stream] == [(i + 3) % 251 for i in range(1, 60)]
        assert (first[9] == 9).all()


@pytest.mark.parametrize(("item", "n"), [(1, RECORDS - 100), ("x" * 30_000, 120), (np.zeros(30_000, np.uint8), 120)])
def test_the_worker_hears_of_what_is_taken_long_before_all_is(ends, item, n):
    """Otherwise worker and consumer would wait for each other in turn."""
    both = ends(limit=4 * MIB)
    for _ in range(n):
        both.send(item)
    full_to = both.sender._ahead
    for _ in range(n * 3 // 4):
        both.take()
    both.send(item)
    assert len(both.sender._unreceived) < n // 2
    assert both.sender._ahead < full_to // 2


def test_a_death_that_is_noticed_late_costs_no_block(ends):
    """A lent array dies while another is made, which gets the same `id`."""
    both = ends()
    lend, take = both.sender._lend, both.sender._heap.allocate
    first = [lend(50_000)]

    def meanwhile(size):
        first.clear()
        return take(size)

    both.sender._heap.allocate = meanwhile
    second = lend(50_000)
    del both.sender._heap.allocate
    place = address(second)
    del second
    assert place in [address(lend(50_000)) for _ in range(3)]
