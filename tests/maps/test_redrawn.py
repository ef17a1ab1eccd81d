"""How much a resume draws again: the open activations' items, a window of each map, and what no checkpoint covers.

Trees are random, run long, and know for themselves how much that may be at most.
"""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Any

import pytest

import streamflow as sf
from streamflow.background import InlineWorker, WorkerPool, produce
from streamflow.core import checkpoint, derived, history
from streamflow.maps import stream_map

from ..amount import amount
from .test_kinds import shuffle_buffer

LENGTH = 6  #: items of a leaf
DRAWN = [0]  #: items, from all leaves


def leaf(value):
    for number in range(LENGTH):
        DRAWN[0] += 1
        yield {"x": value, "n": number}


@stream_map(kind="windowed")
def unbatched(stream):
    """The rows of batches."""
    for batch in stream:
        yield [{"x": batch["x"][row], "n": 0} for row in range(len(batch["x"]))]


@stream_map()
def passed(stream):
    """A user's stateless map."""
    yield from stream


@stream_map(kind="replayed")
def replayed(stream):
    """A map that is said to hold something."""
    yield from stream


def jittered(item, rng):
    return {**item, "x": item["x"] + rng.random()}


def two_of_three(item, index):
    return index % 3


@dataclass
class Tree:
    """A Streamer of samples, and how much drawing from the leaves it takes at most."""

    streamer: sf.Streamer
    per_item: int  # to make one item
    open: int  # given by the leaves that are open together
    windows: int  # in one window of each map


def leaves(dice) -> Tree:
    return Tree(sf.Streamer(leaf, dice.randrange(100)), 1, LENGTH, 0)


def mux(dice, below: Callable[[Any], Tree]) -> Tree:
    members = [below(dice) for _ in range(dice.randint(2, 4))]
    pool = [member.streamer for member in members]
    n_active = dice.randint(1, len(pool))
    kind = dice.choice(["stochastic", "stochastic", "shuffled", "round_robin", "chain", "zip"])
    most = len(pool)
    if kind == "stochastic":
        mode = dice.choice(["with_replacement", "single_active"])
        streamer: sf.Streamer = sf.StochasticMux(pool, n_active, dice.choice([None, 3, 5]), mode=mode)
        most = n_active
    elif kind == "shuffled":
        streamer = sf.ShuffledMux(pool)
    elif kind == "round_robin":
        streamer = sf.RoundRobinMux(pool, "cycle")
    elif kind == "chain":
        streamer, most = sf.ChainMux(pool, "cycle"), 1
    else:
        streamer = sf.ZipMux(pool, flatten=False).pipe(sf.map_items, _first)
    each = max(member.per_item for member in members)
    return Tree(
        streamer,
        each * len(pool) if kind == "zip" else each,
        most * max(member.open for member in members),
        most * max(member.windows for member in members) + each * len(pool) * (kind == "zip"),
    )


def _first(items):
    return items[0]


def mapped(dice, below: Callable[[Any], Tree]) -> Tree:
    tree = below(dice)
    stream, each = tree.streamer, tree.per_item
    kind = dice.choice(["passed", "items", "filter", "shuffled", "batches", "twice"])
    size = dice.randint(2, 5)
    if kind == "passed":
        return Tree(stream.pipe(passed), each, tree.open, tree.windows)
    if kind == "items":
        return Tree(stream.pipe(sf.map_items, jittered), each, tree.open, tree.windows)
    if kind == "filter":  # in a row, and at the end of an activation, one item is left out
        return Tree(stream.pipe(sf.filter_items, two_of_three), 3 * each, tree.open, tree.windows)
    if kind == "shuffled":
        return Tree(stream.pipe(shuffle_buffer, size), size * each, tree.open, tree.windows + size * each)
    batches = stream.pipe(sf.buffer_stream, size, partial=True)
    if kind == "batches":
        return Tree(batches.pipe(sf.map_items, _head), size * each, tree.open, tree.windows + size * each)
    return Tree(batches.pipe(unbatched), size * each, tree.open, tree.windows + 2 * size * each)


def _head(batch):
    return {"x": float(batch["x"][0]), "n": 0}


def random_tree(seed: int) -> Tree:
    """An endless tree: muxes and maps in turn over a mux of leaves."""
    dice = random.Random(seed)

    def inner(dice) -> Tree:
        return mapped(dice, leaves) if dice.random() < 0.5 else leaves(dice)

    tree = mux(dice, lambda dice: mux(dice, inner) if dice.random() < 0.3 else inner(dice))
    # A mux that ends with its members begins again.
    streamer = sf.StochasticMux([tree.streamer], 1, None, prune_empty_streams=False)
    tree = Tree(streamer, tree.per_item, tree.open, tree.windows)
    for _ in range(dice.randint(1, 3)):
        tree = mapped(dice, lambda _, below=tree: below)
    return Tree(tree.streamer.with_seed(seed), tree.per_item, tree.open, tree.windows)


def draws_of_resume(streamer, draws, more=0, further=8):
    """How much was drawn again by a resume after so many draws, and so many items more; and how much had been drawn."""
    DRAWN[0] = 0
    with streamer.open() as stream:
        while DRAWN[0] < draws:
            next(stream)
        for _ in islice(stream, more):
            pass
        state, before = json.loads(json.dumps(stream.state_dict())), DRAWN[0]
        expected = [repr(item) for item in islice(stream, further)]
    DRAWN[0] = 0
    with streamer.open() as stream:
        stream.load_state_dict(state, verify=False)
        again = DRAWN[0]
        assert [repr(item) for item in islice(stream, further)] == expected
    return again, before


@pytest.fixture(name="always")
def always_fixture(monkeypatch):
    """A checkpoint whenever one can be made."""
    monkeypatch.setattr(checkpoint, "BETWEEN", 0.0)
    monkeypatch.setattr(checkpoint, "SHARE", 0)


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("seed", range(amount(25, 1000)))
def test_open_activations_and_a_window_of_each_map(seed):
    tree = random_tree(seed)
    bound = tree.open + tree.windows
    for draws, more in ((0, 1), (500, 0), (510, 1), (520, seed % 7)):
        again, before = draws_of_resume(tree.streamer, draws, more)
        assert again <= bound, f"{tree} after {before} draws"


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("seed", range(10))
def test_a_replayed_map_in_the_tree_draws_everything_again(seed):
    """The bound is well below that."""
    tree = random_tree(seed)
    again, before = draws_of_resume(tree.streamer.pipe(replayed), 500)
    assert again == before > tree.open + tree.windows


class Time:
    """Stands still but for what takes time here."""

    def __init__(self):
        self.now = self.spent = 0.0

    def __call__(self):
        return self.now

    def work(self, seconds):
        self.now += seconds

    def checkpoint(self, seconds):
        self.now += seconds
        self.spent += seconds


@pytest.fixture(name="time")
def time_fixture(monkeypatch):
    time = Time()
    for module in (checkpoint, derived, history, produce):
        monkeypatch.setattr(module, "perf_counter", time)
    return time


class Timed:
    """A leaf that takes a millisecond for an item, and for its state as long as it is told."""

    time: Time
    cost = 0.0

    def __init__(self, value):
        self.value, self.made = value, 0

    def __iter__(self):
        return self

    def __next__(self):
        DRAWN[0] += 1
        self.made += 1
        self.time.work(0.001)
        return {"x": self.value, "n": self.made}

    def state_dict(self):
        self.time.checkpoint(self.cost)
        return {"made": self.made}

    def load_state_dict(self, state):
        self.made = state["made"]


def timed_tree(time, cost):
    Timed.time, Timed.cost = time, cost
    pool = [sf.Streamer(Timed, value).pipe(shuffle_buffer, 3) for value in range(6)]
    tree = sf.StochasticMux(pool, 3, 20).pipe(passed).pipe(shuffle_buffer, 7).pipe(unbatched_pairs).with_seed(3)
    return tree, 3 * 3 + 7 + 1


@stream_map(kind="windowed")
def unbatched_pairs(stream):
    for item in stream:
        yield [item, item]


@pytest.mark.parametrize("cost", [0.0, 0.0001, 0.01, 0.2])
def test_what_was_drawn_since_the_last_checkpoint(time, cost):
    """Ticks come every 20 ms, or so seldom that what they cost is a fiftieth of the time."""
    tree, windows = timed_tree(time, cost)
    again = []
    for draws in range(1001, 1030, 3):
        time.now = time.spent = 0.0
        again.append(draws_of_resume(tree, draws)[0])
    # In one tick six notes are taken at most (two over the mux, one in each slot, and those of new activations), each
    # of three leaves at most.
    between = max(20, 50 * 1000 * cost * 12)
    assert max(again) <= min(1100, windows + 2 * between)
    if not cost:
        assert max(again) > windows  # or this would test nothing


class Worker(sf.BackgroundStreamer):
    """A lane in this thread, with marks."""

    def worker_pool(self):
        return WorkerPool(lambda job, n_workers: InlineWorker(job), n_workers=1, n_lanes=1)


@pytest.mark.parametrize("cost", [0.0001, 0.001, 0.01])
@pytest.mark.parametrize("where", ["here", "in a worker"])
def test_checkpoints_take_a_fiftieth_of_the_time(time, cost, where):
    """Of whichever kind, all together: there is one clock."""
    tree, _ = timed_tree(time, cost)
    if where == "in a worker":
        tree = Worker(tree).with_seed(3)
    with tree.open() as stream:
        for _ in islice(stream, 20_000):
            pass
    assert 0 < time.spent <= time.now / 50 + 40 * cost
    assert time.spent > time.now / 5000


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("seed", range(amount(10, 200)))
def test_in_a_worker(seed):
    """A mark is as good as a state."""
    tree = random_tree(seed)
    background = Worker(tree.streamer).with_seed(seed)
    again, _ = draws_of_resume(background, 500, 1)
    assert again <= tree.open + tree.windows
