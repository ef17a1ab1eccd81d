"""What has been closed is gone: passes, activations, errors, interrupts and dropped iterators leave nothing behind.

Three things are watched over many rounds: how many objects the collector knows, how many blocks of memory are taken,
and whether what members hold (an array in the frame of each) still lives.  The collector is off meanwhile, so what is
flat here goes at the moment of closing, by counting references.

Only a cycle that the user makes, from a member back to what iterates over it, is left to the collector: see
`test_a_member_that_knows_its_stream_is_collected`.
"""

import gc
import sys
import weakref
from contextlib import suppress
from itertools import count, islice

import numpy as np
import pytest

import streamflow as sf
from streamflow.maps import stream_map
from streamflow.sources import ArraySource

HELD = {}  #: weak references to what members hold, as long as it lives
NUMBERS = count()
KNOWN = []  #: what a member knows
TROUBLE = []  #: what a member raises instead of its third item


def member(value, length=5):
    """Holds an array as long as it is open."""
    held, _trainer = np.full(1000, value), KNOWN and KNOWN[0]
    number = next(NUMBERS)
    HELD[number] = weakref.ref(held, lambda _: HELD.pop(number))
    for i in range(length):
        if i == 2 and TROUBLE:
            raise TROUBLE[0]("here")
        yield {"x": held[i]}


def drawing(rng, value):
    for item in member(value):
        yield {"x": item["x"] + rng.random()}


def outer(inner, value):
    """Opens a Streamer that it was given, twice, and leaves the second open."""
    yield from member(value, 1)
    yield from inner
    for item in inner:
        yield item
        break
    yield from member(value)


class Trainer:
    """Iterates over a stream whose members know it."""


class Counter:
    """An iterator that knows its own state."""

    def __init__(self, value):
        self.items, self.at = member(value), 0

    def __iter__(self):
        return self

    def __next__(self):
        item = next(self.items)
        self.at += 1
        return item

    def state_dict(self):
        return {"at": self.at}

    def load_state_dict(self, state):
        while self.at < state["at"]:
            next(self)


@stream_map()
def doubled(items):
    for item in items:
        yield {"x": 2 * item["x"]}


class Mine(sf.BaseMux):
    """Any live slot; members start again."""

    def choose(self, step, live, u):
        return live[int(u * len(live))]

    def ended(self, slot, given):
        return slot % 2 == 0


class Watched(ArraySource):
    """A source whose reads hold an array, and fail if they shall."""

    def sample(self, index):
        if TROUBLE and index == 2:
            raise TROUBLE[0]("here")
        return super().sample(index)

    def read(self, indices, out=None):
        if TROUBLE and 2 in indices:
            raise TROUBLE[0]("here")
        return super().read(indices)


def four():
    return [sf.Streamer(member, i) for i in range(4)]


def weighted(make, **options):
    return make(four(), weights=[1, 2, 3, 4], random_state=0, **options)


def source():
    return Watched({"x": np.arange(40), "y": np.ones((40, 3))})


def stochastic(n_active, rate, weights=None, **options):
    return sf.StochasticMux(four(), n_active, rate, weights=weights, random_state=0, **options)


def nested(kind, inner):
    return kind([sf.Streamer(inner()), inner(), member_of_two()])


def member_of_two():
    return sf.RoundRobinMux([sf.Streamer(member, 1), sf.Streamer(member, 2, 3)])


W = [1, 2, 3, 4]
TREES = {
    "leaf": lambda: sf.Streamer(member, 0),
    "leaf with rng": lambda: sf.Streamer(drawing, value=0),
    "leaf with a state": lambda: sf.Streamer(Counter, 0),
    "part of a leaf": lambda: sf.Streamer(member, 0, 9).shard(1, 2),
    "leaf over a stream": lambda: sf.Streamer(outer, sf.ShuffledMux(four()), 3),
    "shuffled": lambda: sf.ShuffledMux(four(), random_state=0),
    "shuffled, weighted": lambda: sf.ShuffledMux(four(), weights=W, random_state=0),
    "shuffled, many": lambda: sf.ShuffledMux([sf.Streamer(member, i, 2) for i in range(100)], random_state=0),
    "with_replacement, rate 2": lambda: stochastic(3, 2),
    "with_replacement, weighted": lambda: stochastic(3, 2, W, dist="poisson"),
    "with_replacement, no rate": lambda: stochastic(3, None, W),
    "not pruned": lambda: stochastic(3, 2, prune_empty_streams=False),
    "single_active": lambda: stochastic(2, 2, mode="single_active"),
    "single_active, weighted": lambda: stochastic(2, 2, W, mode="single_active"),
    "exhaustive": lambda: stochastic(2, None, mode="exhaustive"),
    "exhaustive, weighted": lambda: stochastic(2, 3, W, mode="exhaustive"),
    "all active": lambda: stochastic(None, 3, W),
    "round robin": lambda: sf.RoundRobinMux(four()),
    "round robin, cycle": lambda: sf.RoundRobinMux(four(), mode="cycle"),
    "round robin, permuted": lambda: sf.RoundRobinMux(four(), mode="permuted_cycle", random_state=0),
    "a mux of one's own": lambda: Mine(four(), random_state=0),
    "chain": lambda: sf.ChainMux(four()),
    "chain, cycle": lambda: sf.ChainMux(four(), mode="cycle"),
    "chain of a function": lambda: sf.ChainMux(lambda: iter(four()), mode="cycle"),
    "zip": lambda: sf.ZipMux(four(), flatten=False),
    "zip, cycle": lambda: sf.ZipMux([sf.Streamer(member, 0, 4), sf.Streamer(member, 0, 9)], "cycle", flatten=False),
    "map": lambda: sf.Streamer(member, 0).pipe(doubled),
    "batches of a map": lambda: sf.ShuffledMux(four(), random_state=0).pipe(doubled).pipe(sf.buffer_stream, 2),
    "cache": lambda: sf.ShuffledMux(four()).pipe(sf.cache, 3, 0.5),
    "part of a map": lambda: sf.RoundRobinMux(four()).pipe(doubled).shard(0, 2),
    "samples": lambda: source().samples(shuffle=True, random_state=0),
    "batches": lambda: source().batches(4, shuffle=True, random_state=0, epochs=None),
    "batches with indices": lambda: source().batches(4, with_indices=True),
    "shuffled in stochastic": lambda: sf.StochasticMux(
        [sf.ShuffledMux(four()), sf.Streamer(sf.ShuffledMux(four()))], 2, 3, random_state=0
    ),
    "stochastic in round robin": lambda: nested(sf.RoundRobinMux, lambda: stochastic(2, None, mode="exhaustive")),
    "round robin in shuffled": lambda: nested(sf.ShuffledMux, lambda: sf.RoundRobinMux(four())),
    "chain and zip in one's own": lambda: Mine([sf.ChainMux(four()), sf.ZipMux(four(), flatten=False)]),
    "maps in single_active": lambda: sf.StochasticMux(
        [sf.StochasticMux(four(), 2, 3).pipe(doubled) for _ in range(3)], 2, 4, mode="single_active"
    ),
    "samples in shuffled": lambda: sf.ShuffledMux([source().samples(shuffle=True) for _ in range(3)]),
    "in a thread": lambda: sf.ThreadStreamer(sf.ShuffledMux(four(), random_state=0)),
}
#: Enough that every mux has closed members, and opened others.
SOME = 30


def to_the_end(tree):
    for _ in tree(max_iter=3 * SOME):
        pass


def closed(tree):
    with tree.open() as stream:
        for _ in islice(stream, SOME):
            pass


def dropped(tree):
    for _ in tree:
        break
    items, stream = iter(tree), tree.open()
    for _ in islice(items, SOME):
        pass
    for _ in islice(stream, SOME):
        pass
    del items, stream


def epochs(tree):
    for _ in tree.cycle(max_iter=3 * SOME):
        pass


def resumed(tree):
    stream = tree.open()
    for _ in islice(stream, 4):
        pass
    state = stream.state_dict()
    del stream
    with tree.open() as again:
        again.load_state_dict(state)
        for _ in islice(again, SOME):
            pass


def broken(tree, error=ValueError):
    TROUBLE.append(error)
    try:
        with suppress(error, sf.BackgroundError):
            list(tree(max_iter=3 * SOME))
        stream = tree.open()
        with suppress(error, sf.BackgroundError):
            for _ in islice(stream, 3 * SOME):
                pass
        with suppress(sf.StreamflowError):
            stream.state_dict()
    finally:
        TROUBLE.clear()


def interrupted(tree):
    broken(tree, KeyboardInterrupt)


ROUNDS = [to_the_end, closed, dropped, epochs, resumed, broken, interrupted]


@pytest.fixture(scope="module", autouse=True, name="before")
def what_stood_before():
    """What stands already is not looked at."""
    gc.collect()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True, name="only_counting")
def only_counting_fixture(before):
    """Nothing is collected."""
    gc.disable()
    gc.freeze()
    HELD.clear()
    yield
    gc.enable()


def counts():
    """Objects that the collector knows, arrays that members hold, and blocks of memory."""
    now = [len(gc.get_objects()), len(HELD)]
    gc.collect()  # it empties the lists in which Python keeps freed blocks for the next object
    return [*now, sys.getallocatedblocks()]


def assert_flat(run, rounds=20, tries=12):
    """Rounds after which no more stands than before; what leaks one thing a round never has them.

    Not at once: NumPy keeps up to seven freed blocks of each size for later.
    """
    run()
    seen = []
    for _ in range(tries):
        before = counts()
        for _ in range(rounds):
            run()
        seen.append([now - then for now, then in zip(counts(), before, strict=True)])
        if max(seen[-1][:2]) < rounds // 2 and seen[-1][2] < 2 * rounds:
            return
    pytest.fail(f"objects, arrays and blocks more after {rounds} rounds each: {seen}")


def test_nothing_stays_of_a_description():
    """What is known of a function goes with it, a map's declaration too."""
    lived = []

    def run():
        @stream_map()
        def mine(items):
            yield from items

        def numbers(rng=None):
            yield from range(3)

        tree = sf.ShuffledMux([sf.Streamer(numbers).pipe(mine), TREES["leaf with rng"]()])
        lived.extend([weakref.ref(mine), weakref.ref(numbers)])
        for _ in tree(max_iter=9):
            pass
        tree.fingerprint()
        del mine, numbers, tree
        gc.collect()  # a map and its declaration know each other
        lived[:] = [ref for ref in lived if ref() is not None]

    assert_flat(run, rounds=30)
    assert lived == []


MUXES = [name for name in TREES if " in " in name or "cycle" in name or "rate" in name or "shuffled" in name]


@pytest.mark.parametrize("name", MUXES)
def test_nothing_stays_of_an_activation(name):
    """While the stream goes on."""
    with TREES[name]().open(cycle=True) as stream:

        def run():
            for _ in islice(stream, 500):
                pass

        seen = []
        for _ in range(6):
            run()
            seen.append(counts())
    # What is open comes and goes; of 125 activations and more between two looks nothing stays.
    assert min(seen[-1][0], seen[-2][0]) - seen[0][0] < 250, seen
    assert min(seen[-1][1], seen[-2][1]) - seen[0][1] < 8, seen


@pytest.mark.parametrize("name", [name for name in TREES if name != "in a thread"])
def test_a_member_that_knows_its_stream_is_collected(name):
    """The user's own cycle: nobody closes the stream, so the collector must see through it."""
    trainers = []
    for _ in range(3):
        tree = TREES[name]()
        trainer = Trainer()
        trainer.items = tree.open()
        KNOWN.append(trainer)
        for _ in islice(trainer.items, 7):
            pass
        KNOWN.clear()
        trainers.append(weakref.ref(trainer))
        del trainer, tree
    gc.collect()
    assert [trainer() for trainer in trainers] == [None] * 3
    assert HELD == {}


@pytest.mark.parametrize("a_round", ROUNDS)
@pytest.mark.parametrize("name", TREES)
def test_nothing_stays_of_a_pass(name, a_round):
    tree = TREES[name]()
    assert_flat(lambda: a_round(tree))
