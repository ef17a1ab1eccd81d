"""States from strangers: any value replaced by any other gives a StateError at loading, or a pass that runs."""

import copy
import itertools
import json
import logging
import random
import signal
import tracemalloc
from contextlib import contextmanager

import numpy as np
import pytest

import streamflow as sf
from streamflow import sources
from streamflow.background import BackgroundStreamer, InlineWorker, WorkerPool
from streamflow.core.node import MANY_AGAIN
from streamflow.mux import BaseMux
from streamflow.samplers import WeightedSampler

from ..amount import amount
from . import test_state as state_tests

N_CHANGES = amount(60, 10**6)  #: changes that are tried for each tree and cut
DEEP = json.loads("[" * 400 + "]" * 400)
VALUES = [
    None,
    True,
    False,
    -1,
    0,
    1,
    2,
    7,
    10**6,
    10**30,
    1.5,
    float("nan"),
    float("inf"),
    "",
    "x",
    [],
    {},
    [[]],
    DEEP,
]
VALUES += [[None] * 3, [0] * 1000, {"given": 1}, [{"slot": 0}], "a" * 10**4]


def rows(name, n=9, rng=None):
    for place in range(n):
        yield {"x": int(rng.integers(100)), "name": name, "place": place}


def counting(n, start):
    yield from ({"x": i} for i in range(start, n))


class Counter(state_tests.Counter):
    """One that judges the state that it is given."""

    def load_state_dict(self, state):
        if type(state["i"]) is not int or not 0 <= state["i"] <= self.n:
            raise ValueError(state["i"])
        super().load_state_dict(state)


class Turns(BaseMux):
    def choose(self, step, live, u):
        return live[step % len(live)]

    def ended(self, slot, given):
        return slot % 2 == 0


class InPlace(BackgroundStreamer):
    """Lanes that run here: as many as a state has, or two."""

    def worker_pool(self):
        return WorkerPool(start=lambda job, n_workers: InlineWorker(job), n_workers=2)


@sf.maps.stream_map(kind="windowed")
def twice(items):
    for item in items:
        yield [item, item]


def pool(n=4):
    return [sf.Streamer(rows, chr(97 + i), 3 * i) for i in range(n)]


def named(n=4):
    return {chr(97 + i): sf.Streamer(rows, chr(97 + i), 3 + i) for i in range(n)}


def lazily():
    return iter(pool())


def source():
    return sources.ArraySource({"x": np.arange(20)})


TREES = {
    "list": lambda: sf.Streamer([{"x": i} for i in range(20)]),
    "leaf": lambda: sf.Streamer(rows, "a", 20),
    "start": lambda: sf.Streamer(counting, 20),
    "own state": lambda: sf.Streamer(Counter, 20),
    "shuffled": lambda: sf.ShuffledMux(pool(), random_state=0),
    "weights": lambda: sf.ShuffledMux(named(), weights=dict(zip("abcd", [1, 2, 0, 4], strict=True))),
    "drawn": lambda: sf.StochasticMux(pool(6), 3, 4, random_state=0),
    "drawn by weight": lambda: sf.StochasticMux(
        named(6), 3, None, weights=dict(zip("abcdef", [0, *range(1, 6)], strict=True))
    ),
    "unpruned": lambda: sf.StochasticMux(pool(6), 3, 4, prune_empty_streams=False, random_state=0),
    "single": lambda: sf.StochasticMux(pool(6), 3, 4, weights=range(1, 7), mode="single_active", random_state=0),
    "repeated": lambda: sf.StochasticMux(pool(6), 3, 20, short="repeat", random_state=0),
    "exhaustive": lambda: sf.StochasticMux(pool(6), 2, 4, weights=range(6), mode="exhaustive", random_state=0),
    "all active": lambda: sf.StochasticMux(pool(), None, 4, random_state=0),
    "in turn": lambda: sf.RoundRobinMux(pool()),
    "permuted": lambda: sf.RoundRobinMux(pool(), mode="permuted_cycle", random_state=0),
    "chain": lambda: sf.ChainMux(pool()),
    "chain of a function": lambda: sf.ChainMux(lazily, mode="cycle"),
    "of one's own": lambda: Turns(pool(), random_state=0),
    "zip": lambda: sf.ZipMux([pool()[3], sf.Streamer(rows, "z", 4)], mode="cycle", flatten=False),
    "batches of a mux": lambda: sf.RoundRobinMux(pool()).pipe(sf.buffer_stream, 2),
    "windows": lambda: sf.RoundRobinMux(pool(), random_state=0).pipe(twice).pipe(sf.maps.map_items, dict),
    "cache": lambda: sf.Streamer(rows, "a", 20).pipe(sf.cache, 3),
    "nested": lambda: sf.ShuffledMux([sf.StochasticMux(named(), 2, 4), sf.ChainMux(pool())], random_state=0),
    "part": lambda: sf.StochasticMux(pool(6), 4, 4, random_state=0).shard(1, 2),
    "batches": lambda: source().batches(3, shuffle=True, epochs=2),
    "endless batches": lambda: source().batches(3, shuffle=True, epochs=None),
    "samples": lambda: source().samples(sampler=WeightedSampler(range(20))),
    "lanes": lambda: InPlace(sf.ShuffledMux(pool(), random_state=0)),
    "finite lanes": lambda: InPlace(sf.ChainMux(pool()), random_state=0),
}
CUTS = (0, 4, 11)


@contextmanager
def time_limit(seconds):
    def late(number, frame):
        raise AssertionError(f"it takes more than {seconds} seconds")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def places(value, path=()):
    """The path of every value in a state."""
    if path:
        yield path
    for key, one in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(one, (*path, key))


def at(state, path):
    for key in path:
        state = state[key]
    return state


def changes(state):
    """All changes of a state, as (name, function)."""
    for path in places(state):
        for value in VALUES:
            yield (
                f"{path} = {str(value)[:20]}",
                lambda s, p=path, v=value: at(s, p[:-1]).__setitem__(p[-1], copy.deepcopy(v)),
            )
        yield f"no {path}", lambda s, p=path: at(s, p[:-1]).pop(p[-1])
        if isinstance(at(state, path), list):
            yield f"{path} longer", lambda s, p=path: at(s, p).append(copy.deepcopy((at(s, p) or [0])[0]))
            yield f"{path} shorter", lambda s, p=path: at(s, p).__delitem__(slice(-1, None))
            yield f"{path} turned", lambda s, p=path: at(s, p).reverse()
        if isinstance(at(state, path), dict):
            yield f"{path} with another key", lambda s, p=path: at(s, p).update(other=1)


@pytest.mark.filterwarnings("ignore:the state was taken with NumPy")
@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("name", TREES)
def test_any_value_replaced_by_another(name, cut, monkeypatch):
    monkeypatch.setattr("streamflow.core.node.MANY_AGAIN", 1 << 12)
    with TREES[name]().open(cycle=cut == 11) as live:
        for _ in itertools.islice(live, cut):
            pass
        state = json.loads(json.dumps(live.state_dict()))
    todo = list(changes(state))
    random.Random(f"{name} {cut}").shuffle(todo)
    loaded = 0
    for what, change in todo[:N_CHANGES]:
        changed = copy.deepcopy(state)
        change(changed)
        try:
            with time_limit(20):
                loaded += outcome(TREES[name](), changed, cut)
        except Exception as error:
            raise AssertionError(f"{what}: {error!r}") from error
    assert loaded < len(todo[:N_CHANGES]) / 2, "most of the changes are told"


def outcome(tree, state, cut):
    """Whether a state is loaded; then the pass runs."""
    live = tree.open(cycle=cut == 11)
    try:
        try:
            live.load_state_dict(state)
        except sf.StateError as error:
            return len(str(error).split()) < 5  # not in words: counts as loaded
        for _ in itertools.islice(live, 30):
            pass
        return True
    finally:
        live.close()


def test_a_state_that_fails_before_anything_is_touched_leaves_the_pass_as_it_was():
    tree = TREES["drawn"]()
    with tree.open() as live, tree.open() as other:
        head = [next(live) for _ in range(5)]
        with pytest.raises(sf.StateError):
            live.load_state_dict(TREES["shuffled"]().open().state_dict())
        following = [next(live) for _ in range(5)]
        assert head + following == [next(other) for _ in range(10)]


def test_a_state_that_fails_in_the_middle_closes_the_pass_in_words():
    tree = TREES["drawn"]()
    with tree.open() as live:
        for _ in range(9):
            next(live)
        state = live.state_dict()
    state["node"]["slots"][2]["number"] = -1
    live = tree.open()
    next(live)
    with pytest.raises(sf.StateError, match="number"):
        live.load_state_dict(state)
    assert tree.active == 0
    for use in (lambda: next(live), live.state_dict, lambda: live.load_state_dict(state)):
        with pytest.raises(sf.StreamflowError, match=r"closed by a state that could not be loaded.*number"):
            use()


def test_a_replay_that_takes_long_is_told(caplog):
    def endless():
        yield from itertools.count()

    with sf.Streamer(endless).open() as live:
        next(live)
        state = live.state_dict()
    state["given"] = state["node"]["given"] = 2 * MANY_AGAIN
    with sf.Streamer(endless).open() as live, caplog.at_level(logging.WARNING, "streamflow"):
        live.load_state_dict(state)
        assert next(live) == 2 * MANY_AGAIN
    assert [f"{2 * MANY_AGAIN - 2} items" in record.getMessage() for record in caplog.records] == [True]


def test_a_slot_is_dead_or_live():
    with TREES["drawn by weight"]().open() as live:
        next(live)
        state = live.state_dict()
    for name in ("dead", "away"):
        for slots in ([1], [1, 1]):
            changed = copy.deepcopy(state)
            if len(slots) > 1:
                changed["node"]["slots"][1] = None
            changed["node"][name] = [{"slot": slot, "weight": 0.5} for slot in slots]
            with TREES["drawn by weight"]().open() as live, pytest.raises(sf.StateError, match="slot must be"):
                live.load_state_dict(changed)


def test_a_replay_is_bounded_by_the_budget():
    made = []

    def endless(name):
        for place in itertools.count():
            made.append(place)
            yield name, place

    tree = sf.StochasticMux([sf.Streamer(endless, i) for i in range(9)], 3, 10, random_state=0)
    with tree.open() as live:
        for _ in range(20):
            next(live)
        state = live.state_dict()
    made.clear()
    for slot in state["slots"] if "slots" in state else state["node"]["slots"]:
        slot["budget"] = 10**9
        if "node" in slot:
            slot["node"]["given"] = 10**9 - 1
    with tree.open() as live, pytest.raises(sf.StateError, match="budget must be an integer from 1 to"):
        live.load_state_dict(state)
    assert len(made) < 100


@pytest.mark.parametrize("name", ["lanes", "drawn", "batches"])
def test_a_state_makes_no_more_memory_than_its_tree_needs(name):
    with TREES[name]().open() as live:
        for _ in range(4):
            next(live)
        state = json.loads(json.dumps(live.state_dict()))
    for path in places(state):
        if isinstance(at(state, path), list) and at(state, path):
            changed = copy.deepcopy(state)
            at(changed, path).extend(copy.deepcopy(at(state, path)[:1]) * 20_000)
            if "of" in changed["node"]:
                for number, lane in enumerate(changed["node"]["lanes"]):
                    lane["lane"] = number
                changed["node"]["of"] = len(changed["node"]["lanes"])
            tracemalloc.start()
            with TREES[name]().open() as live, pytest.raises(sf.StateError):
                live.load_state_dict(changed)
            assert tracemalloc.get_traced_memory()[1] < 30e6
            tracemalloc.stop()
