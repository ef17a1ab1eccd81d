"""A second pass over a seeded tree that names no epoch gives the same random numbers: a warning says so, once."""

import copy
import pickle
import warnings

import cloudpickle
import numpy as np
import pytest

import streamflow as sf
from streamflow import samplers, sources
from streamflow.core import iterated
from streamflow.testing import check_streamer


@pytest.fixture(autouse=True)
def _not_warned_yet(_repeats_on_purpose, monkeypatch):
    monkeypatch.setattr(iterated, "_warned", False)


def drawing(n, rng):
    yield from rng.random(n).tolist()


def seeded():
    return sf.Streamer(drawing, 3).with_seed(0)


def over(stream):
    yield from stream


def all_of_open(tree):
    return list(tree.open())


def all_of_block(tree):
    with tree as live:
        return list(live)


PLAIN = {
    "a loop": list,
    "iterate": lambda tree: list(tree.iterate()),
    "a call": lambda tree: list(tree()),
    "a limit that is not reached": lambda tree: list(tree(max_iter=99)),
    "open": all_of_open,
    "with": all_of_block,
}
WARNING = pytest.warns(UserWarning, match=r"the same random numbers.*tree\(epoch=epoch\)")


@pytest.mark.parametrize("second", PLAIN)
@pytest.mark.parametrize("first", PLAIN)
def test_it_warns(first, second):
    tree = seeded()
    items = PLAIN[first](tree)
    with pytest.warns(UserWarning, match=r"the same random numbers.*tree\(epoch=epoch\)") as caught:
        assert PLAIN[second](tree) == items
    assert caught[0].filename == __file__


def test_it_warns_once_per_process():
    for _ in range(2):
        tree = seeded()
        list(tree)
        if not iterated._warned:
            with pytest.warns(UserWarning, match="drawing"):
                list(tree)
        list(tree)


REPEATING = {
    "a mux": lambda: sf.ChainMux([sf.Streamer(drawing, 3)], random_state=0),
    "a seed inside": lambda: seeded().pipe(over),
    "a seed of a member": lambda: sf.ChainMux([seeded(), "ab"]),
    "a shuffled source": lambda: sources.ArraySource(np.arange(5)).batches(2, shuffle=True, random_state=0),
    "a sampler's seed": lambda: sources.ArraySource(np.arange(5)).samples(sampler=samplers.ShuffledSampler(0)),
    "a map's seed": lambda: sf.Streamer(list(range(5))).pipe(sf.cache, 2, random_state=0),
    "a thread": lambda: sf.ThreadStreamer(seeded()),
    "a part": lambda: seeded().shard(0, 2),
}


@pytest.mark.parametrize("name", REPEATING)
def test_wherever_the_seed_is(name):
    tree = REPEATING[name]()
    items = repr(list(tree))
    with pytest.warns(UserWarning, match="the same random numbers"):
        assert repr(list(tree)) == items


def endless(rng):
    while True:
        yield rng.random()


def test_a_loop_that_counts_its_steps_may_not_see_the_end():
    tree = sources.ArraySource(np.arange(5)).batches(2, shuffle=True, random_state=0)
    for steps in (2, 3):
        items = iter(tree)
        for _ in range(steps):
            next(items)
        items.close()
    with pytest.warns(UserWarning, match="the same random numbers"):
        list(tree)


SILENT = {
    "no seed": lambda: [list(one) for one in [sf.Streamer(drawing, 3)] for _ in range(2)],
    "nothing draws": lambda: [list(one) for one in [sf.ChainMux(["ab"], random_state=0)] for _ in range(2)],
    "a part without a seed": lambda: [
        list(one) for one in [sf.ChainMux([seeded(), sf.Streamer(drawing, 2)])] for _ in range(2)
    ],
    "epochs": lambda: [list(one(epoch=epoch)) for one in [seeded()] for epoch in (0, 1)],
    "the same epoch on purpose": lambda: [list(one(epoch=0)) for one in [seeded()] for _ in range(2)],
    "the first on purpose": lambda: [f(one) for one in [seeded()] for f in (lambda t: list(t(epoch=0)), list)],
    "the second on purpose": lambda: [f(one) for one in [seeded()] for f in (list, lambda t: list(t(epoch=0)))],
    "cycles": lambda: [list(one.cycle(max_iter=9)) for one in [seeded()] for _ in range(2)],
    "a cycled Stream": lambda: [next(one.open(cycle=True)) for one in [seeded()] for _ in range(2)],
    "one that was cut": lambda: [list(one(max_iter=2)) for one in [seeded()] for _ in range(2)],
    "one that was cut at its end": lambda: [list(one(max_iter=3)) for one in [seeded()] for _ in range(2)],
    "one that was left": lambda: [next(iter(one)) for one in [sf.Streamer(endless).with_seed(0)] for _ in range(2)],
    "other descriptions": lambda: [list(seeded()) for _ in range(2)],
    "inside a tree": lambda: list(sf.Streamer(lambda stream: [*stream, *stream], seeded())(epoch=0)),
    "members that start again": lambda: list(sf.ShuffledMux([seeded()], random_state=0)(max_iter=9)),
    "in the background": lambda: list(sf.ThreadStreamer(seeded()).cycle(max_iter=9)),
}


@pytest.mark.parametrize("name", SILENT)
def test_it_does_not_warn(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        SILENT[name]()


def test_the_description_is_unchanged():
    tree, other = seeded(), seeded()
    list(tree)
    assert tree.active == 0
    with tree.open(0):
        assert tree.active == 1
    assert pickle.dumps(tree) == pickle.dumps(other)
    assert cloudpickle.loads(cloudpickle.dumps(tree)).active == 0
    assert tree.fingerprint() == other.fingerprint()
    for twin in (tree.with_seed(0), cloudpickle.loads(cloudpickle.dumps(tree))):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            list(twin)  # its first pass
    assert copy.copy(tree).active == 0


def test_many_threads_count_right():
    import threading

    tree = seeded()
    threads = [threading.Thread(target=lambda: [list(tree(epoch=k)) for k in range(200)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    list(tree)
    for thread in threads:
        thread.join()
    assert tree.active == 0


def test_the_checks_of_streamers_repeat_on_purpose():
    one, other = (sf.StochasticMux(["abcd", "efgh"], n, None, mode="exhaustive") for n in (1, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_streamer(one, 20, other=other, fresh_process=False)
