"""A stream of lanes depends on the tree, its seed and the number of lanes, not on the workers that run them."""

import random
import warnings
from collections import Counter
from itertools import islice

import numpy as np
import pytest

import streamflow as sf

from .leaves import (
    ENDLESS,
    FINITE,
    batch_tree,
    digest,
    drawing_tree,
    drawn,
    expected_items,
    finite_tree,
    merged,
    plain,
    pool,
    starting_tree,
    taken,
)

COUNTS = (1, 2, 3, 5)
TRANSPORTS = pytest.mark.parametrize("transport", ["shm", "ipc"])


def quietly(tree, **settings):
    """A ZMQStreamer that may have more workers than lanes."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*not started")
        return sf.ZMQStreamer(tree, **settings)


# --- any number of workers --------------------------------------------------------------------------------------------


@TRANSPORTS
@pytest.mark.parametrize("n_lanes", COUNTS)
@pytest.mark.parametrize("n_workers", COUNTS)
def test_the_stream_does_not_depend_on_the_workers(n_lanes, n_workers, transport):
    z = quietly(drawing_tree(), n_workers=n_workers, n_lanes=n_lanes, transport=transport)
    assert taken(z, 200) == expected_items(drawing_tree, n_lanes, 200)


@pytest.mark.parametrize("n_lanes", [2, 3])
@pytest.mark.parametrize("tree", [*ENDLESS, *FINITE])
def test_every_tree_is_the_merge_of_its_parts(tree, n_lanes):
    make = {**ENDLESS, **FINITE}[tree]
    count = 60 if tree in ENDLESS else None
    for n_workers in {1, n_lanes}:
        assert taken(sf.ZMQStreamer(make(), n_workers=n_workers, n_lanes=n_lanes), count) == expected_items(
            make, n_lanes, count
        )


@TRANSPORTS
@pytest.mark.parametrize("tree", [*ENDLESS, *FINITE])
def test_one_lane_is_the_serial_tree(tree, transport):
    make = {**ENDLESS, **FINITE}[tree]
    count = 60 if tree in ENDLESS else None
    serial = [digest(item) for item in islice(make(), count)]
    assert taken(sf.ZMQStreamer(make(), n_lanes=1, transport=transport), count) == serial
    assert taken(sf.ZMQStreamer(make(), transport=transport), count) == serial


def test_the_number_of_lanes_does_matter():
    """Otherwise the tests above would prove nothing."""
    assert len({tuple(expected_items(drawing_tree, n_lanes, 50)) for n_lanes in COUNTS}) == len(COUNTS)


@pytest.mark.parametrize("epoch", [0, 2])
def test_epochs_by_number(epoch):
    z = sf.ZMQStreamer(finite_tree(), n_workers=2, n_lanes=3)
    assert taken(z(epoch=epoch)) == [digest(item) for item in merged(finite_tree(), 3, epoch)]


def test_seeds():
    def tree():
        return sf.ShuffledMux(pool(drawn, 3, sizes=(16,)))

    z = sf.ZMQStreamer(tree(), n_workers=2, n_lanes=3)
    for seed in (8, 9):
        assert taken(z.with_seed(seed), 60) == [digest(item) for item in islice(merged(tree().with_seed(seed), 3), 60)]
    assert taken(z.with_seed(8), 60) != taken(z.with_seed(9), 60)


def test_without_a_seed_it_follows_numpy_whatever_the_workers():
    found = []
    for n_workers in (1, 2, 3):
        np.random.seed(5)
        found.append(taken(sf.ZMQStreamer(sf.ShuffledMux(pool(drawn, 3)), n_workers=n_workers, n_lanes=3), 40))
    assert found[0] == found[1] == found[2]
    assert taken(sf.ZMQStreamer(sf.ShuffledMux(pool(drawn, 3)), n_workers=2, n_lanes=3), 40) != found[0]


def test_slow_lanes_do_not_change_the_order():
    """Each lane has its turn, however long it takes."""

    def uneven(k, shard):
        import time

        index, count = shard
        for i in range(index, 40, count):
            time.sleep(0.004 * (index == 1))
            yield k, i

    for n_workers in (1, 2, 4):
        z = sf.ZMQStreamer(sf.Streamer(uneven, 0), n_workers=n_workers, n_lanes=4)
        assert list(z) == [(0, i) for i in range(40)]


# --- each sample once -------------------------------------------------------------------------------------------------


LENGTHS = [3, 0, 7, 1, 12, 5, 2]
WHOLE = {
    "leaf": lambda: sf.Streamer(plain, "a", 23),
    "list": lambda: sf.Streamer([("a", i) for i in range(11)]),
    "shorter than the lanes": lambda: sf.Streamer(plain, "a", 2),
    "empty": lambda: sf.Streamer(plain, "a", 0),
    "chain": lambda: sf.ChainMux([sf.Streamer(plain, k, n) for k, n in enumerate(LENGTHS)]),
    "round robin": lambda: sf.RoundRobinMux([sf.Streamer(plain, k, n) for k, n in enumerate(LENGTHS)], random_state=0),
    "more members than lanes": lambda: sf.StochasticMux(
        [sf.Streamer(plain, k, n) for k, n in enumerate(LENGTHS)], 3, None, mode="exhaustive", random_state=0
    ),
    "fewer members than lanes": lambda: sf.StochasticMux(
        [sf.Streamer(plain, k, n) for k, n in enumerate([5, 8])], 2, None, mode="exhaustive", random_state=0
    ),
    "one member": lambda: sf.StochasticMux([sf.Streamer(plain, 0, 13)], 1, None, mode="exhaustive", random_state=0),
    "zip": lambda: sf.ZipMux([sf.Streamer(plain, k, n) for k, n in enumerate([9, 11])], flatten=False),
}


@pytest.mark.parametrize("n_workers", COUNTS)
@pytest.mark.parametrize("tree", WHOLE)
def test_each_sample_comes_once(tree, n_workers):
    tree = WHOLE[tree]()
    serial = Counter(map(digest, tree))
    assert Counter(taken(sf.ZMQStreamer(tree, n_workers=n_workers))) == serial
    assert Counter(taken(quietly(tree, n_workers=n_workers, n_lanes=3))) == serial


@pytest.mark.parametrize("n_workers", COUNTS)
def test_samples_of_batches_come_once(n_workers):
    """Each lane may end with a short batch."""
    samples = sf.StochasticMux([sf.Streamer(drawn, k, n=n) for k, n in enumerate(LENGTHS)], 3, None, mode="exhaustive")
    tree = samples.with_seed(0).pipe(_small).pipe(sf.buffer_stream, 4, partial=True)
    batches = list(sf.ZMQStreamer(tree, n_workers=n_workers))
    got = Counter((int(k), int(i)) for batch in batches for k, i in zip(batch["k"], batch["i"], strict=True))
    assert got == Counter((k, i) for k, n in enumerate(LENGTHS) for i in range(n))
    assert sum(len(batch["k"]) < 4 for batch in batches) <= n_workers


def _small(stream):
    for item in stream:
        yield {"k": item["k"], "i": item["i"]}


# --- ranks ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_lanes", [1, 2, 3])
@pytest.mark.parametrize("ranks", [2, 3])
def test_a_rank_has_its_part_divided_into_lanes(ranks, n_lanes):
    together = Counter()
    for rank in range(ranks):
        z = sf.ZMQStreamer(finite_tree(), n_lanes=n_lanes, n_workers=min(2, n_lanes)).shard(rank, ranks)
        got = taken(z)
        assert got == [digest(item) for item in merged(finite_tree().shard(rank, ranks), n_lanes)]
        together.update(got)
    assert together == Counter(map(digest, finite_tree()))


def test_the_state_of_a_rank_is_for_that_rank():
    z = sf.ZMQStreamer(starting_tree(), n_workers=1, n_lanes=2)
    with z.shard(1, 2).open() as stream:
        got = taken(stream, 9)
        state = stream.state_dict()
    with sf.ZMQStreamer(starting_tree(), n_workers=2, n_lanes=2).shard(1, 2).open() as stream:
        stream.load_state_dict(state)
        got += taken(stream, 9)
    assert got == [digest(item) for item in islice(merged(starting_tree().shard(1, 2), 2), 18)]
    with z.shard(0, 2).open() as stream, pytest.raises(sf.StateError, match="part"):
        stream.load_state_dict(state)


# --- cycle ------------------------------------------------------------------------------------------------------------


@TRANSPORTS
@pytest.mark.parametrize(("n_workers", "n_lanes"), [(1, 2), (2, 3), (3, 3)])
def test_cycle_gives_whole_epochs_each_in_its_own_order(n_workers, n_lanes, transport):
    epochs = [[digest(item) for item in merged(finite_tree(), n_lanes, epoch)] for epoch in range(3)]
    size = len(epochs[0])
    got = taken(
        sf.ZMQStreamer(finite_tree(), n_workers=n_workers, n_lanes=n_lanes, transport=transport).cycle(3 * size)
    )
    assert got == [item for epoch in epochs for item in epoch]
    assert Counter(item[:2] for item in epochs[0]) == Counter(item[:2] for item in epochs[1])
    assert epochs[0] != epochs[1]


def test_cycle_keeps_its_workers():
    def who():
        import os

        for i in range(6):
            yield i, os.getpid()

    got = list(sf.ZMQStreamer(who, n_workers=2, n_lanes=3).cycle(24))
    assert [i for i, _ in got] == [*range(6)] * 4
    assert len({pid for _, pid in got}) == 2


# --- random states of processes ---------------------------------------------------------------------------------------


def numbers(n=4):
    for _ in range(n):
        yield random.random(), float(np.random.random())


def test_workers_draw_numbers_of_their_own_that_repeat_under_a_seed():
    def once(seed):
        np.random.seed(seed)
        return list(sf.ZMQStreamer(sf.RoundRobinMux(pool(_numbers_of, 4)), n_workers=4))

    first = once(0)
    assert once(0) == first != once(1)
    for column in zip(*first, strict=True):
        assert len(set(column)) == len(first) == 16


def _numbers_of(k):
    yield from numbers()


def test_more_workers_than_lanes_warn():
    with pytest.warns(UserWarning, match="5 workers for 2 lanes: 3 of them are not started"):
        z = sf.ZMQStreamer(batch_tree(), n_workers=5, n_lanes=2)
    assert taken(z, 10) == expected_items(batch_tree, 2, 10)
