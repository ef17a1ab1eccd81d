"""`len`: right for every stream and part where it is known, a TypeError where it is not, and never in the way."""

import collections
import operator

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import streamflow as sf
from streamflow import samplers, sources
from streamflow.maps import stream_map

from ..amount import amount


def endless():
    while True:
        yield {"x": 0}


def rows(n, first=0):
    return [{"x": i} for i in range(first, first + n)]


def array(n):
    return sources.ArraySource({"x": np.arange(n)})


KNOWN = {
    "list": (sf.Streamer([1, 2, 3]), 3),
    "tuple": (sf.Streamer((1, 2)), 2),
    "text": (sf.Streamer("abc"), 3),
    "dict": (sf.Streamer({"a": 1, "b": 2}), 2),
    "values of a dict": (sf.Streamer({"a": 1}.values()), 1),
    "set": (sf.Streamer({1, 2}), 2),
    "range": (sf.Streamer(range(5, 50, 3)), 15),
    "deque": (sf.Streamer(collections.deque([1])), 1),
    "array": (sf.Streamer(np.zeros((4, 2))), 4),
    "source": (sf.Streamer(array(6)), 6),
    "empty": (sf.Streamer([]), 0),
    "Streamer of a Streamer": (sf.Streamer(sf.Streamer("ab")), 2),
    "seeded": (sf.Streamer("ab").with_seed(0), 2),
    "samples": (array(10).samples(shuffle=True, random_state=0, epochs=3), 30),
    "batches": (array(1003).batches(64), 16),
    "batches, drop_last": (array(1003).batches(64, drop_last=True), 15),
    "batches, epochs": (array(10).batches(4, epochs=5), 15),
    "batches, across": (array(10).batches(4, epochs=5, across_epochs=True), 13),
    "with replacement": (array(10).batches(4, sampler=samplers.WeightedSampler(None, 0), epochs=5), 13),
    "subset": (array(10).batches(2, sampler=samplers.SubsetSampler([1, 5, 5])), 2),
    "batches larger than all": (array(3).batches(9, drop_last=True), 0),
    "an empty source": (array(0).batches(4, epochs=None), 0),
    "chain": (sf.ChainMux([rows(5), rows(6)]), 11),
    "round robin": (sf.RoundRobinMux({"a": "abc", "b": "de"}), 5),
    "exhaustive": (sf.StochasticMux([rows(5), rows(2)], 1, None, mode="exhaustive"), 7),
    "exhaustive, a zero": (sf.StochasticMux([rows(5), rows(2)], 1, None, [1, 0], mode="exhaustive"), 5),
    "zip": (sf.ZipMux([rows(5), "ab"], flatten=False), 2),
    "zip, cycle": (sf.ZipMux([rows(5), "ab"], mode="cycle", flatten=False), 5),
    "zip, cycle with nothing": (sf.ZipMux([rows(5), ""], mode="cycle", flatten=False), 0),
    "batches of a stream": (sf.Streamer(rows(7)).pipe(sf.buffer_stream, 3), 2),
    "partial batches": (sf.Streamer(rows(7)).pipe(sf.buffer_stream, 3, partial=True), 3),
    "tuples": (sf.Streamer(rows(7)).pipe(sf.tuples, "x"), 7),
    "keras_tuples": (sf.Streamer(rows(7)).pipe(sf.keras_tuples, "x"), 7),
    "map_items": (sf.Streamer(rows(7)).pipe(sf.map_items, str), 7),
    "thread": (sf.ThreadStreamer(rows(7)), 7),
    "one worker": (sf.ZMQStreamer(rows(7)), 7),
    "lanes": (sf.ZMQStreamer(sf.Streamer(rows(7)).pipe(sf.buffer_stream, 2, partial=True), n_lanes=2), 4),
}


@pytest.mark.parametrize("name", KNOWN)
def test_what_is_known_is_right(name):
    tree, length = KNOWN[name]
    assert len(tree) == length == operator.length_hint(tree)
    assert len(list(tree)) == length
    assert len(list(tree(epoch=3))) == length


UNKNOWN = {
    "a function": sf.Streamer(lambda: iter([1, 2])),
    "a function of known arguments": sf.Streamer(iter, [1, 2]),
    "endless": sf.Streamer(endless),
    "an iterator": sf.Streamer(iter([1, 2])),
    "a map over a function": sf.Streamer(endless).pipe(sf.buffer_stream, 2),
    "a function over a known stream": sf.Streamer([1, 2]).pipe(lambda stream: stream),
    "a map that draws": sf.Streamer([1, 2]).pipe(sf.cache, 2),
    "filter_items": sf.Streamer([1, 2]).pipe(sf.filter_items, bool),
    "endless samples": array(10).samples(epochs=None),
    "a chain with a function": sf.ChainMux([[1], sf.Streamer(endless)]),
    "a lazy chain": sf.ChainMux(lambda: iter(["ab"])),
    "a cycled chain": sf.ChainMux(["ab"], mode="cycle"),
    "a cycled round": sf.RoundRobinMux(["ab"], mode="cycle"),
    "shuffled": sf.ShuffledMux(["ab", "cd"]),
    "a rate": sf.StochasticMux(["ab", "cd"], 1, 2, mode="exhaustive"),
    "with replacement": sf.StochasticMux(["ab", "cd"], 1, None),
    "members of a function": sf.ChainMux(sf.StreamerList(lambda n: iter(range(n)), [1, 2])),
    "a zip with an endless one": sf.ZipMux([[1, 2], sf.Streamer(endless)], flatten=False),
    "too long for Python": sf.Streamer(range(10**30)),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_is_not_known_says_so(name):
    with pytest.raises(TypeError, match="the number of items of .* is not known"):
        len(UNKNOWN[name])
    assert operator.length_hint(UNKNOWN[name], -1) == -1


def test_a_streamer_is_true_however_many_items_it_gives():
    assert sf.Streamer([])
    assert sf.Streamer(endless)
    assert array(0).batches(3)


class Frame:
    """A table: as long as it has rows, and iterated by columns."""

    columns = ("a", "b", "c")

    def __len__(self):
        return 100

    def __iter__(self):
        return iter(self.columns)


def test_a_table_is_not_counted():
    with pytest.raises(TypeError):
        len(sf.Streamer(Frame()))
    assert list(sf.Streamer(Frame())) == ["a", "b", "c"]


class Broken(list):
    def __len__(self):
        raise OSError("the disk is gone")


def test_what_fails_to_be_counted_fails_when_it_is_iterated():
    tree = sf.Streamer(Broken([1, 2]))
    with pytest.raises(TypeError, match="the disk is gone"):
        len(tree)
    assert list(tree) == [1, 2]


def test_a_length_follows_its_collection():
    data = [1, 2]
    tree = sf.Streamer(data)
    data.append(3)
    assert len(tree) == len(list(tree)) == 3


class Twice(sf.Streamer):
    """A subclass that gives other items than its source, and does not say how many."""

    def _node(self, key, shards):
        return sf.ChainMux([self.source, self.source])._open(key, shards)


def test_a_subclass_with_other_items_does_not_inherit_a_length():
    tree = Twice([1, 2])
    with pytest.raises(TypeError):
        len(tree)
    assert list(tree) == [1, 2, 1, 2]


def test_a_map_of_ones_own_says_how_many():
    @stream_map(kind="replayed", length=lambda n, times=2: n * times)
    def repeated(stream, times=2):
        for item in stream:
            for _ in range(times):
                yield item

    tree = sf.Streamer([1, 2, 3])
    for piped in (tree.pipe(repeated), tree.pipe(repeated, 3), tree.pipe(repeated, times=1)):
        assert len(piped) == len(list(piped))


def test_a_streamer_is_no_sequence():
    tree = sf.Streamer([1, 2])
    assert not isinstance(tree, collections.abc.Sequence)
    assert not hasattr(tree, "__getitem__")
    assert np.asarray(tree).shape == ()


def test_counting_opens_and_draws_nothing():
    before = np.random.get_state(legacy=False)
    tree = array(100).batches(8, shuffle=True)
    len(tree)
    len(tree.shard(0, 3))
    after = np.random.get_state(legacy=False)
    assert (before["state"]["key"] == after["state"]["key"]).all()
    assert before["state"]["pos"] == after["state"]["pos"]
    assert tree.active == 0


def test_parts_of_a_mux_whose_members_differ_are_not_known():
    """Which members a part has is drawn anew in each epoch."""
    tree = sf.StochasticMux([rows(5), rows(2), rows(9)], 1, None, mode="exhaustive", random_state=0)
    assert len({len(list(tree.shard(0, 2)(epoch=epoch))) for epoch in range(9)}) > 1
    with pytest.raises(TypeError):
        len(tree.shard(0, 2))
    assert len(tree.shard(0, 4)) == len(list(tree.shard(0, 4)))  # fewer members than parts: each is divided


# ---- random trees

LEAVES = st.one_of(
    st.integers(0, 9).map(rows),
    st.builds(
        lambda n, size, shuffle, epochs: array(n).samples(shuffle=shuffle, epochs=epochs),
        st.integers(0, 9),
        st.integers(1, 4),
        st.booleans(),
        st.integers(1, 3),
    ),
)


def _grown(below):
    members = st.lists(below, min_size=1, max_size=4)
    weights = st.sampled_from([None, [1, 0, 2, 0]])
    return st.one_of(
        members.map(sf.ChainMux),
        members.map(sf.RoundRobinMux),
        st.builds(
            lambda some, w: sf.StochasticMux(some, 1, None, w and w[: len(some)], mode="exhaustive"), members, weights
        ),
        st.builds(lambda one, n: sf.StochasticMux([one] * n, 1, None, mode="exhaustive"), below, st.integers(1, 5)),
        st.builds(
            lambda some, mode: sf.ZipMux(some, mode, False).pipe(first), members, st.sampled_from(["shortest", "cycle"])
        ),
        st.builds(lambda one, k, n: sf.Streamer(one).shard(k % n, n), below, st.integers(0, 3), st.integers(1, 3)),
        st.builds(lambda one: sf.Streamer(one).pipe(sf.tuples, "x").pipe(dicts), below),
        st.builds(
            lambda one, size, partial: sf.Streamer(one).pipe(sf.buffer_stream, size, partial).pipe(dicts),
            below,
            st.integers(1, 4),
            st.booleans(),
        ),
    )


@stream_map(length=lambda n: n)
def dicts(stream):
    for _ in stream:
        yield {"x": 0}


@stream_map(length=lambda n: n)
def first(stream):
    for item in stream:
        yield item[0]


TREES = st.recursive(LEAVES, _grown, max_leaves=6)
PARTS = st.lists(st.integers(1, 4).flatmap(lambda n: st.tuples(st.integers(0, n - 1), st.just(n))), max_size=2)
ALL = {"suppress_health_check": list(HealthCheck)}


@settings(max_examples=amount(150, 2000), **ALL)
@given(TREES, PARTS, st.integers(0, 2), st.sampled_from([None, 1, 3]))
def test_a_length_of_a_random_tree_is_right(tree, parts, epoch, lanes):
    tree = sf.Streamer(tree).with_seed(0)
    for part in parts:
        tree = tree.shard(*part)
    if lanes:
        tree = sf.ZMQStreamer(tree, n_lanes=lanes)
        tree.worker_pool = in_place(lanes)
    try:
        length = len(tree)
    except TypeError:
        return
    assert len(list(tree(epoch=epoch))) == length


def in_place(lanes):
    from streamflow.background import InlineWorker, WorkerPool

    return lambda: WorkerPool(lambda job, n_workers: InlineWorker(job), n_lanes=lanes)


@pytest.mark.parametrize("shape", ["plain", "drop_last", "across", "choice", "stratified", "choice, drop_last"])
def test_batches_of_every_part(shape):
    for n, count, epochs, size in [
        (10, 3, 1, 2),
        (7, 4, 3, 2),
        (12, 4, 5, 5),
        (3, 5, 4, 1),
        (0, 2, 3, 2),
        (9, 6, 7, 2),
    ]:
        if "choice" in shape or shape == "stratified":
            members = [{"y": np.arange(max(1, n))}, {"y": np.arange(n // 2 + 1)}, {"y": np.arange(3)}]
            source = sources.ChoiceSource(members, stratified=shape == "stratified")
            tree = source.batches(size, epochs=epochs, shuffle=True, drop_last="drop_last" in shape)
        else:
            options = {"drop_last": shape == "drop_last", "across_epochs": shape == "across"}
            tree = array(n).batches(size, epochs=epochs, shuffle=True, **options)
        tree = tree.with_seed(0)
        for part in [tree, *(tree.shard(k, count) for k in range(count)), tree.shard(0, 2).shard(1, 2)]:
            assert len(part) == len(list(part(epoch=1))), (n, count, epochs, size, part)
