"""Streams over sources: resumed at every cut, divided, below muxes, and never replayed."""

import itertools
import json

import numpy as np
import pytest

import streamflow as sf
from streamflow import StateError
from streamflow.samplers import BlockShuffledSampler, SubsetSampler, WeightedSampler
from streamflow.sources import ArraySource, ChoiceSource, Source, random_crop
from streamflow.testing import check_streamer, rows

N = 17
SOURCE = ArraySource({"X": np.arange(2 * N).reshape(N, 2), "y": np.arange(N)})
WAYS = {
    "in order": {},
    "shuffled": {"shuffle": True},
    "epochs": {"shuffle": True, "epochs": 3},
    "endless": {"shuffle": True, "epochs": None},
    "across": {"shuffle": True, "epochs": 3, "across_epochs": True},
    "weighted": {"sampler": WeightedSampler(np.arange(N)), "epochs": 2},
    "uniform": {"sampler": WeightedSampler(None), "epochs": None},
    "blocks": {"sampler": BlockShuffledSampler(3, window=2), "epochs": 2},
    "subset": {"sampler": SubsetSampler([3, 1, -1], shuffle=True), "epochs": 5},
    "indices": {"shuffle": True, "with_indices": True, "keys": ("y", "X")},
    "own seed": {"sampler": WeightedSampler(None, random_state=3), "epochs": 2},
}


@pytest.mark.parametrize("way", WAYS)
def test_batches_keep_every_promise_of_streams(way):
    check_streamer(SOURCE.batches(3, **WAYS[way]), 30, samples_of=rows, fresh_process=way == "across", pickles=True)


@pytest.mark.parametrize("way", [way for way in WAYS if way != "across"])
def test_samples_keep_every_promise_of_streams(way):
    check_streamer(SOURCE[::-1].samples(**WAYS[way]), 40, fresh_process=way == "epochs", pickles=True)


def test_dropped_batches_keep_their_promises():
    stream = SOURCE.batches(5, shuffle=True, epochs=3, drop_last=True)
    check_streamer(stream, 30, samples_of=rows, shards="parts", fresh_process=False)


def test_random_crops_are_resumed():
    source = ArraySource({"x": [np.arange(i + 5) for i in range(9)]})
    stream = source.batches(2, shuffle=True, epochs=2, ragged="crop", crop=random_crop(3))
    check_streamer(stream, 30, samples_of=rows, fresh_process=False)


@pytest.mark.parametrize("count", [2, 3, 20])
def test_parts_in_turn_are_the_order_itself(count):
    stream = SOURCE.samples(shuffle=True, epochs=2, random_state=0, keys="y")
    parts = [list(stream.shard(index, count)) for index in range(count)]
    merged = [item for row in itertools.zip_longest(*parts) for item in row if item is not None]
    assert merged == list(stream)


def test_a_part_of_a_part():
    stream = SOURCE.samples(shuffle=True, random_state=0, keys="y")
    assert list(stream.shard(1, 2).shard(0, 3)) == list(stream)[1::6]


# ---------------------------------------------------------------------- what a state is
class Counting(Source):
    """Counts the samples that are read."""

    def __init__(self, n):
        self._n, self._read_ones = n, []

    def __len__(self):
        return self._n

    def sample(self, index):
        self._read_ones.append(index)
        return {"x": index}


@pytest.mark.parametrize(
    "open_stream", [lambda source: source.batches(2, epochs=None), lambda source: source.samples()]
)
def test_nothing_is_replayed(open_stream):
    source = Counting(1000)
    with open_stream(source).open() as stream:
        list(itertools.islice(stream, 300))
        state = stream.state_dict()
        wanted = np.ravel(next(stream)["x"]).tolist()
    del source._read_ones[:]
    with open_stream(source).open() as again:
        again.load_state_dict(state)
        assert source._read_ones == []
        assert np.ravel(next(again)["x"]).tolist() == wanted


def test_a_mux_over_sources_is_resumed_without_replay():
    def tree():
        pool = [Counting(50).samples(shuffle=True, epochs=None) for _ in range(6)]
        return sf.StochasticMux(pool, 3, 8, random_state=0), [streamer.source for streamer in pool]

    mux, _ = tree()
    with mux.open() as stream:
        list(itertools.islice(stream, 333))
        state = stream.state_dict()
        wanted = list(itertools.islice(stream, 40))
    again, sources = tree()
    with again.open() as stream:
        stream.load_state_dict(state)
        assert [source._read_ones for source in sources] == [[]] * 6
        assert list(itertools.islice(stream, 40)) == wanted


def test_a_member_that_is_activated_again_has_another_order():
    pool = [SOURCE.samples(shuffle=True, keys="y")]
    items = [int(y) for y in itertools.islice(sf.ChainMux(pool, mode="cycle", random_state=0), 2 * N)]
    assert sorted(items[:N]) == sorted(items[N:]) == list(range(N))
    assert items[:N] != items[N:]


def test_the_size_of_a_state_does_not_grow():
    with SOURCE.batches(2, shuffle=True, epochs=None, random_state=0).open() as stream:
        list(itertools.islice(stream, 10))
        small = len(str(stream.state_dict()))
        list(itertools.islice(stream, 1000))
        assert len(str(stream.state_dict())) < small + 10


@pytest.mark.parametrize(
    ("other", "text"),
    [
        (SOURCE.batches(3, shuffle=True), "of another tree"),
        (SOURCE.batches(2), "of another tree"),
        (SOURCE.batches(2, shuffle=True, drop_last=True), "of another tree"),
        (SOURCE.batches(2, shuffle=True, epochs=2), "of another tree"),
        (SOURCE.batches(2, sampler=SubsetSampler([1, 2, 3])), "of another tree"),
        (SOURCE.samples(shuffle=True), "of another tree"),
        (SOURCE[:-1].batches(2, shuffle=True), "of another tree"),
        (ArraySource({"X": np.zeros(N)}).batches(2, shuffle=True), "is now ArraySource"),
        (
            ArraySource({"X": np.zeros((N - 1, 2)), "y": np.arange(N - 1)}).batches(2, shuffle=True),
            "is now ArraySource",
        ),
    ],
)
def test_a_state_of_something_else_is_refused(other, text):
    with SOURCE.batches(2, shuffle=True).open() as stream:
        next(stream)
        state = stream.state_dict()
    with other.open() as stream, pytest.raises(StateError, match=text):
        stream.load_state_dict(state)


def test_other_weights_are_allowed_on_demand():
    def stream(weights):
        return SOURCE.samples(sampler=WeightedSampler(weights), epochs=None, random_state=0, keys="y").open()

    with stream(np.arange(N)) as live:
        list(itertools.islice(live, 5))
        state = live.state_dict()
    with stream(np.ones(N)) as live, pytest.raises(StateError, match="other weights"):
        live.load_state_dict(state)
    with stream(np.eye(N)[3]) as live:
        live.load_state_dict(state, strict=False)
        assert live.position == 5
        assert next(live) == 3


def test_a_state_of_a_source_that_has_grown_is_refused():
    source = Counting(10)
    with source.batches(2).open() as stream:
        next(stream)
        state = stream.state_dict()
    source._n = 11
    with source.batches(2).open() as stream, pytest.raises(StateError, match="had 10 samples, now has 11"):
        stream.load_state_dict(state)


def test_another_selection_of_the_same_length_is_refused():
    with SOURCE[[1, 2, 3]].samples().open() as stream:
        next(stream)
        state = stream.state_dict()
    with SOURCE[[1, 2, 4]].samples().open() as stream, pytest.raises(StateError, match="is now"):
        stream.load_state_dict(state)


def test_after_an_error_the_state_is_that_of_the_last_batch():
    class Breaks(Counting):
        def sample(self, index):
            if index == 5 and self._read_ones is not None:
                raise OSError("no disk")
            return index

    source = Breaks(8)
    stream = source.batches(2).open()
    assert [next(stream).tolist() for _ in range(2)] == [[0, 1], [2, 3]]
    with pytest.raises(OSError, match="no disk"):
        next(stream)
    assert stream.position == 2
    state = stream.state_dict()
    source._read_ones = None
    with source.batches(2).open() as again:
        again.load_state_dict(state)
        assert [batch.tolist() for batch in again] == [[4, 5], [6, 7]]


def test_workers_divide_a_source():
    stream = SOURCE.batches(2, shuffle=True, random_state=0, keys="y")
    with sf.ZMQStreamer(stream, n_workers=2).open() as live:
        got = sorted(int(y) for batch in live for y in batch)
    assert got == list(range(N))


# ---------------------------------------------------------------------- states from strangers
def noisy(sample, rng):
    return {**sample, "noise": rng.random()}


ORDERS = {
    **{way: (lambda way=way: SOURCE.batches(3, **WAYS[way])) for way in WAYS},
    "samples": lambda: SOURCE.samples(shuffle=True, epochs=2),
    "endless samples": lambda: SOURCE.samples(epochs=None),
    "dropped": lambda: SOURCE.batches(5, shuffle=True, epochs=3, drop_last=True),
    "too large": lambda: SOURCE.batches(50, epochs=3, drop_last=True),
    "dropped across": lambda: SOURCE.batches(5, epochs=3, drop_last=True, across_epochs=True),
    "random": lambda: SOURCE.map(noisy).batches(4, shuffle=True, epochs=3),
    "part": lambda: SOURCE.batches(5, shuffle=True, epochs=5).shard(1, 3),
    "dropped part": lambda: SOURCE.batches(2, shuffle=True, epochs=7, drop_last=True).shard(3, 5),
    "small part": lambda: SOURCE[:2].batches(3, shuffle=True, epochs=7).shard(3, 5),
    "choice": lambda: choice(True).batches(3, shuffle=True, epochs=3),
    "choice in rounds": lambda: choice(False).batches(3, epochs=2),
    "dropped choice": lambda: choice(True).batches(4, shuffle=True, epochs=3, drop_last=True),
    "part of a choice": lambda: choice(True).batches(2, epochs=4, drop_last=True).shard(2, 3),
    "empty": lambda: SOURCE[:0].batches(3),
}
STRANGE = [None, True, False, 0, 1, -1, 7, 2**53 - 1, 2**53, 2**70, 1.0, 0.5, "", "3", [], [0], {}, {"given": 0}]


def choice(stratified):
    return ChoiceSource([SOURCE[:9], SOURCE[9:12], SOURCE[12:]], stratified=stratified)


def exactly(items):
    return [json.dumps(item, default=lambda array: array.tolist()) for item in items]


@pytest.mark.parametrize("way", ORDERS)
def test_every_count_is_a_position_and_no_other_is(way):
    stream = ORDERS[way]().with_seed(0)
    wanted = exactly(itertools.islice(stream, 25))
    with stream.open() as live:
        places = []
        for _ in zip(live, range(25), strict=False):
            places.append((live.epoch, live.position))
    with stream.open() as live:
        if next(live, None) is None:  # it has no other position
            return
        state = live.state_dict()
    for given in range(len(wanted) + 1):
        with stream.open() as live:
            live.load_state_dict({**state, "given": given, "node": {**state["node"], "given": given}})
            assert exactly(itertools.islice(live, 25 - given)) == wanted[given:]
        with stream.open() as live:
            live.load_state_dict({**state, "given": given, "node": {**state["node"], "given": given}})
            assert not given or (live.epoch, live.position) == places[given - 1]
    beyond = [2**53 - 1] if len(wanted) == 25 else [len(wanted) + 1, 2**32, 2**53 - 1]
    for given in beyond:
        with stream.open() as live, pytest.raises(StateError, match="given must be a count that .* reaches"):
            live.load_state_dict({**state, "given": given, "node": {**state["node"], "given": given}})


@pytest.mark.parametrize("way", ["shuffled", "samples", "endless", "choice", "random", "part"])
def test_a_state_with_any_other_value_is_refused_when_it_is_loaded(way):
    stream = ORDERS[way]().with_seed(0)
    with stream.open() as live:
        list(itertools.islice(live, 2))
        state = live.state_dict()
    for name, value in state["node"].items():
        for other in STRANGE:
            if type(other) is type(value) and other == value:
                continue
            with stream.open() as live, pytest.raises(StateError):
                live.load_state_dict({**state, "node": {**state["node"], name: other}})
        with stream.open() as live, pytest.raises(StateError, match=f"has no node.{name}"):
            live.load_state_dict({**state, "node": {key: one for key, one in state["node"].items() if key != name}})


def test_other_settings_in_a_mux_are_named():
    def tree(*streams):
        return sf.StochasticMux(list(streams), 1, None, random_state=0)

    with tree(SOURCE.batches(3, shuffle=True)).open() as live:
        next(live)
        state = live.state_dict()
    for other, text in (
        (SOURCE.batches(4, shuffle=True), r"was .*, 3, ShuffledSampler.*, is now .*, 4, ShuffledSampler"),
        (SOURCE.batches(3), r"was .*, 3, ShuffledSampler.*, is now .*, 3, SequentialSampler"),
        (SOURCE[1:].batches(3, shuffle=True), r"was .*ArraySource, .*, is now .*View, "),
    ):
        again = tree(other)
        forged = {**state, "tree": again.fingerprint().text}
        with again.open() as live, pytest.raises(StateError, match=text):
            live.load_state_dict(forged)
