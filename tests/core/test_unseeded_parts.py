"""Parts without a seed: refused where they would have to draw alike, and nowhere else."""

import json
import multiprocessing
from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import streamflow as sf
from streamflow import ParameterError, StateError, samplers, sources
from streamflow.mux.pool import Pool

from ..amount import amount


def drawing(name, n, rng):
    for place in rng.permutation(n).tolist():
        yield name, place


def plain(name, n):
    for place in range(n):
        yield name, place


def dividing(name, n, rng, shard):
    index, count = shard
    for place in rng.permutation(n).tolist()[index::count]:
        yield name, place


def over(stream):
    yield from stream


def source(n=40):
    return sources.ArraySource({"x": np.arange(n)})


def pool(function=drawing, n=4):
    return [sf.Streamer(function, name, 5) for name in range(n)]


def shuffled(**how):
    return source().samples(shuffle=True, **how)


def exhaustive(members, **how):
    return sf.StochasticMux(members, 2, None, mode="exhaustive", **how)


REFUSED = {
    "a shuffled source": shuffled,
    "batches": lambda: source().batches(4, shuffle=True),
    "a block shuffle": lambda: source().samples(sampler=samplers.BlockShuffledSampler(4)),
    "a shuffled subset": lambda: source().samples(sampler=samplers.SubsetSampler([1, 2, 3], shuffle=True)),
    "a leaf with rng": lambda: sf.Streamer(drawing, 0, 9),
    "a leaf that divides itself": lambda: sf.Streamer(dividing, 0, 9),
    "an exhaustive mux": lambda: exhaustive(pool(plain)),
    "the members of few": lambda: sf.ChainMux(pool(n=1)),
    "the members of all": lambda: sf.ShuffledMux(pool()),
    "a user's map over what draws": lambda: sf.Streamer(over, sf.Streamer(drawing, 0, 9)),
    "a user's map over a mux that draws": lambda: sf.Streamer(over, sf.ShuffledMux(pool(plain))),
    "a zip": lambda: sf.ZipMux([sf.Streamer(drawing, 0, 9), range(9)], flatten=False),
    "below a map": lambda: sf.Streamer(sf.tuples, shuffled(), "x"),
    "below two Streamers": lambda: sf.Streamer(sf.Streamer(shuffled())),
    "a seed beside it": lambda: sf.ShuffledMux([sf.Streamer(drawing, 0, 9).with_seed(0), shuffled()]),
    "in the background": lambda: sf.ThreadStreamer(shuffled()),
    "with lanes": lambda: sf.ZMQStreamer(shuffled(), n_workers=2),
    "a list of streamers": lambda: sf.ShuffledMux(sf.StreamerList(drawing, [0, 1], [5, 5])),
}
FINE = {
    "nothing draws": lambda: sf.ChainMux(pool(plain)),
    "members that stay whole": lambda: sf.ChainMux(pool()),
    "a round of members that stay whole": lambda: sf.RoundRobinMux(pool()),
    "with_replacement": lambda: sf.StochasticMux(pool(), 2, 3.0),
    "single_active": lambda: sf.StochasticMux(pool(), 2, 3.0, mode="single_active"),
    "its own choices": lambda: sf.ShuffledMux(pool(plain)),
    "all active": lambda: sf.StochasticMux(pool(plain), None, 3.0),
    "draws with replacement": lambda: source().samples(sampler=samplers.WeightedSampler(None), epochs=2),
    "a sampler with a seed": lambda: source().samples(sampler=samplers.ShuffledSampler(0)),
    "crops": lambda: sources.ArraySource(np.zeros((6, 9))).batches(1, ragged="crop", crop=sources.random_crop(3)),
    "a seed": lambda: shuffled(random_state=0),
    "a seed at the root": lambda: sf.ShuffledMux(pool(), random_state=0),
    "a seed where it matters": lambda: sf.ShuffledMux([one.with_seed(1) for one in pool()]),
    "a strided sampler with a seed": lambda: sf.Streamer(over, source().samples(sampler=samplers.ShuffledSampler(0))),
    "endless calls": lambda: sf.Streamer(iter, np.random.random, None),
    "a map that draws": lambda: sf.ChainMux(pool(plain)).pipe(sf.cache, 2),
    "lazy members": lambda: sf.ChainMux(lambda: iter(pool())),
}


@pytest.mark.parametrize("name", REFUSED)
def test_parts_that_must_agree_are_refused(name):
    tree = REFUSED[name]()
    half = tree.shard(0, 2)
    np.random.seed(0)  # nobody knows whether other processes did the same
    for part in (half, tree.shard(0, 1).shard(1, 2), sf.ShuffledMux([half, "ab"]), sf.Streamer(over, half)):
        with pytest.raises(ParameterError, match=r"`random_state` must be a seed.*with_seed\(0\)"):
            next(iter(part))
        # Opening does not raise: a state might bring a seed along.
        with part.open() as live, pytest.raises(ParameterError, match="random_state"):
            next(live)
        with part.open() as live, pytest.raises(ParameterError, match="random_state"):
            live.state_dict()
        assert next(iter(part.with_seed(0))) is not None
    assert next(iter(tree)) is not None  # the whole may do without
    assert next(iter(tree.shard(0, 1))) is not None


@pytest.mark.parametrize("name", FINE)
def test_parts_that_need_not_agree_are_not_refused(name):
    tree = FINE[name]()
    for part in (tree.shard(0, 2), tree.shard(0, 1).shard(1, 2), sf.ShuffledMux([tree.shard(0, 2), "ab"])):
        next(iter(part))
        with part.open() as live:
            next(live)
            live.state_dict()


def test_a_tree_that_draws_nothing_does_not_touch_the_global_state():
    before = np.random.get_state(legacy=False)["state"]
    list(sf.ChainMux(pool(plain)).shard(0, 2))
    with pytest.raises(ParameterError):
        list(shuffled().shard(0, 2))
    after = np.random.get_state(legacy=False)["state"]
    assert before["pos"] == after["pos"] and (before["key"] == after["key"]).all()


def test_a_state_brings_the_seed_along():
    part, seeded = (shuffled().with_seed(seed).shard(1, 2) for seed in (None, 7))
    with seeded.open() as live:
        items = [next(live)["x"] for _ in range(20)]
    with seeded.open() as live:
        for _ in range(5):
            next(live)
        state = json.loads(json.dumps(live.state_dict()))
    # As if a release that did not refuse it had drawn that seed.
    state["tree"], state["entropy"] = part.fingerprint().text, 7
    with part.open() as live:
        live.load_state_dict(state)
        assert [item["x"] for item in live] == items[5:]
    state["entropy"] = None
    with part.open() as live:
        with pytest.raises(StateError, match="entropy"):  # no release has written that of a tree that draws
            live.load_state_dict({**state, "given": 0, "node": None})
        with pytest.raises(ParameterError, match="random_state"):  # the pass stayed as it was
            next(live)


def test_our_own_lanes_need_no_seed():
    for tree in (shuffled(), exhaustive(pool()), sf.Streamer(drawing, 0, 9)):
        items = list(sf.ZMQStreamer(tree, n_workers=2))
        assert len({repr(item) for item in items}) == len(items) == len(list(tree))


def test_a_part_of_what_belongs_to_an_activation_needs_no_seed():
    """All parts of it take their seed from the activation."""

    def both(stream):
        for index in range(2):
            yield from stream.shard(index, 2)

    assert sorted(item["x"].item() for item in sf.Streamer(both, shuffled())) == list(range(40))


def test_a_pool_is_looked_through_once_and_not_in_each_pass(monkeypatch):
    calls, original = [], Pool.must_agree
    monkeypatch.setattr(Pool, "must_agree", lambda self, shards: calls.append(shards) or original(self, shards))
    tree = sf.ShuffledMux(pool(plain))
    for _ in range(5):
        next(iter(tree))
    assert calls == [()]


# ---- what is not refused fits together, whatever each part draws

LEAVES = st.one_of(
    st.builds(
        lambda name, n, fn: sf.Streamer(fn, name, n),
        st.integers(0, 99),
        st.integers(0, 6),
        st.sampled_from([drawing, plain, dividing]),
    ),
    st.builds(
        lambda n, shuffle: sources.ArraySource(np.arange(n)).map(int).samples(shuffle=shuffle),
        st.integers(0, 9),
        st.booleans(),
    ),
)


def _grown(below):
    members = st.lists(below, min_size=1, max_size=4)
    return st.one_of(
        members.map(sf.ChainMux),
        members.map(sf.RoundRobinMux),
        st.builds(
            lambda some, seed: exhaustive(some * 2, random_state=seed), members, st.sampled_from([None, None, 3])
        ),
        st.builds(lambda one, seed: one.with_seed(seed), below, st.sampled_from([None, 5])),
        below.map(lambda one: sf.Streamer(over, one)),
        below.map(sf.Streamer),
        below.map(sf.ThreadStreamer),
        members.map(lambda some: sf.ZipMux(some, "cycle", flatten=False)),
    )


@settings(max_examples=amount(150, 2000), suppress_health_check=list(HealthCheck), deadline=None)
@given(st.recursive(LEAVES, _grown, max_leaves=6), st.integers(2, 4))
def test_unseeded_parts_are_refused_or_fit_together(tree, count):
    whole = list(tree)
    parts = []
    try:
        for index in range(count):
            np.random.seed(index)  # each process is on its own
            parts += tree.shard(index, count)
    except ParameterError:
        return
    assert Counter(map(repr, parts)) == Counter(map(repr, whole))


# ---- real processes


def _numbers(tree, index, results):
    try:
        part = tree.shard(index, 2)
        results.put([int(item["x"]) for item in part])
    except ParameterError as error:
        results.put(str(error))


@pytest.mark.parametrize("seed", [None, 0])
def test_two_processes(seed):
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    tree = shuffled(random_state=seed)
    workers = [context.Process(target=_numbers, args=(tree, index, results)) for index in range(2)]
    for worker in workers:
        worker.start()
    found = [results.get(timeout=60) for _ in workers]
    for worker in workers:
        worker.join(60)
    if seed is None:
        assert all("with_seed" in error for error in found)
    else:
        assert sorted(found[0] + found[1]) == list(range(40))
