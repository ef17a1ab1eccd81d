"""`BackgroundStreamer` as third parties build on it, and the parameter `random_state` of ours."""

import json
import pickle
import queue
import threading

import numpy as np
import pytest

import streamflow as sf
from streamflow.background import BackgroundStreamer, InlineWorker, WorkerPool, draw_entropy
from streamflow.background.produce import produce
from streamflow.background.records import ITEM, Stopped


class InPlace(BackgroundStreamer):
    """Lanes that run in this thread."""

    def __init__(self, streamer, random_state=None, n_lanes=1):
        super().__init__(streamer, random_state)
        self.n_lanes = n_lanes

    def worker_pool(self):
        return WorkerPool(lambda job, n_workers: InlineWorker(job), n_lanes=self.n_lanes)


class OneByOne(BackgroundStreamer):
    """A thread that makes the next item when the last one has been taken."""

    def worker_pool(self):
        return WorkerPool(lambda job, n_workers: OneByOneWorker(job), n_lanes=1)


class OneByOneWorker:
    """Both the worker and its sender."""

    def __init__(self, job):
        draw_entropy(job)
        self.stopped = False
        self.records, self.wanted = queue.Queue(), queue.Queue()
        self.thread = threading.Thread(target=self._run, args=(job,))
        self.thread.start()
        self.receive = self.records.get

    def _run(self, job):
        try:
            produce(lambda: job, self)
        except Stopped:
            self.records.put(None)

    # what `produce` calls
    def send_item(self, record):
        self.records.put([ITEM, record.pop()])

    def send(self, kind, value):
        if self.stopped:
            raise Stopped
        self.records.put([kind, value])

    def wait_for_epoch(self):
        epoch = self.wanted.get()
        if self.stopped:
            raise Stopped
        return epoch

    # what the consumer calls
    def request_epoch(self, epoch):
        self.wanted.put(epoch)

    def stop(self):
        self.stopped = True
        self.wanted.put(0)

    def interrupt(self, timeout):
        pass

    def join(self, timeout):
        self.thread.join(timeout)

    def stack(self):
        return ""

    def death(self):
        return "it died"


def dice(n, rng):
    for i in range(n):
        yield {"i": i, "x": rng.random(3)}


def values(items):
    return [(item["i"], item["x"].tolist()) for item in items]


def tree():
    return sf.RoundRobinMux([sf.Streamer(dice, 7), sf.Streamer(dice, 4)])


@pytest.mark.parametrize("kind", [InPlace, OneByOne])
def test_a_subclass_gives_the_stream_itself_and_its_states(kind):
    serial = tree().with_seed(3)
    made = kind(serial)
    assert values(made) == values(made) == values(serial)
    assert values(made.cycle(30)) == values(serial.cycle(30))
    assert values(made.shard(1, 2)) == values(serial.shard(1, 2))
    for cut in (0, 1, 5, 11):
        with made.open() as stream:
            before = values(next(stream) for _ in range(cut))
            state = stream.state_dict()
        with made.open() as stream:
            stream.load_state_dict(state)
            assert before + values(stream) == values(serial)


def test_a_subclass_with_lanes_gives_what_worker_processes_give():
    serial = tree().with_seed(3)
    for n_lanes in (2, 3):
        assert values(InPlace(serial, n_lanes=n_lanes)) == values(sf.ZMQStreamer(serial, n_lanes=n_lanes))


@pytest.mark.parametrize("kind", [InPlace, OneByOne])
def test_errors_of_a_subclass_say_where_they_come_from(kind):
    def failing():
        yield 1
        raise KeyError("lost")

    stream = kind(sf.Streamer(failing)).open()
    assert next(stream) == 1
    with pytest.raises(KeyError, match="lost") as raised:
        next(stream)
    assert f"in {kind.__name__} > failing(), after 1 items" in raised.value.__notes__


def test_a_subclass_says_how_workers_are_started():
    class Unfinished(BackgroundStreamer):
        pass

    with pytest.raises(NotImplementedError, match=r"Unfinished must define worker_pool\(\)"):
        next(iter(Unfinished([1, 2])))


def test_it_describes_its_tree():
    inner = tree()
    assert InPlace(inner).streamer is inner
    assert repr(InPlace("abc").streamer) == "Streamer('abc')"
    assert repr(InPlace("abc")) == "InPlace(Streamer('abc'))"
    made = sf.ZMQStreamer(inner.with_seed(1), n_workers=2, random_state=0)
    assert values(pickle.loads(pickle.dumps(made))) == values(made)


# ---------------------------------------------------------------------- random_state
KINDS = [InPlace, sf.ThreadStreamer, sf.ZMQStreamer]


def seeded(random_state):
    return sf.RoundRobinMux([sf.Streamer(dice, 7), sf.Streamer(dice, 4)], random_state=random_state)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("make", [lambda: 5, lambda: np.random.SeedSequence(5), lambda: np.random.default_rng(5)])
def test_random_state_is_with_seed(kind, make):
    one, two = kind(tree(), random_state=make()), kind(tree()).with_seed(make())
    assert values(one) == values(one) == values(two) == values(seeded(make()))
    assert values(one) != values(kind(tree(), random_state=6))
    assert values(one(epoch=1)) == values(two(epoch=1)) != values(two)
    for a, b in ((one, two), (two, one)):
        with a.open() as stream:
            before = values(next(stream) for _ in range(4))
            state = stream.state_dict()
        with b.open() as stream:
            stream.load_state_dict(state)
            assert before + values(stream) == values(a)


@pytest.mark.parametrize("seed", [None, 3], ids=["unseeded", "seeded"])
@pytest.mark.parametrize("to", KINDS)
@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_reads_the_states_of_the_others(kind, to, seed):
    """Also where the tree needs no seed from above: threads draw none then, processes do, for `numpy.random`."""
    for n in (0, 4):
        with kind(seeded(seed)).open() as stream:
            for _ in range(n):
                next(stream)
            state = json.loads(json.dumps(stream.state_dict()))
            expected = values(stream)
        with to(seeded(seed)).open() as stream:
            stream.load_state_dict(state)
            assert values(stream) == expected
            assert len(expected) == 11 - n


@pytest.mark.parametrize("kind", KINDS)
def test_none_is_the_seed_of_what_is_around(kind):
    around = [sf.RoundRobinMux([kind(tree(), random_state=seed), [{"i": -1, "x": np.zeros(1)}]]) for seed in (None, 4)]
    none, four = ([values(mux.with_seed(seed)) for seed in (0, 1)] for mux in around)
    assert none[0] != none[1]
    with_items_of_the_tree = [[item for item in items if item[0] >= 0] for items in four]
    assert with_items_of_the_tree[0] == with_items_of_the_tree[1]
    np.random.seed(0)
    first = values(kind(tree(), random_state=None))
    np.random.seed(0)
    assert first == values(kind(tree()))


@pytest.mark.parametrize("kind", KINDS)
def test_inside_a_leaf_function(kind):
    """Over a bound Streamer: with a seed of its own it uses that, else that of the activation."""

    def inside(stream, random_state):
        yield from kind(stream, random_state=random_state)

    own, mine = ([values(sf.Streamer(inside, tree(), rs).with_seed(s)) for s in (0, 1)] for rs in (7, None))
    assert own[0] == own[1]
    assert mine[0] != mine[1]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("wrong", [True, "0", 1.5])
def test_random_state_is_checked_at_once(kind, wrong):
    with pytest.raises(sf.ParameterError, match="`random_state` must be None, an integer"):
        kind(tree(), random_state=wrong)
