"""Every class and every map of ours keeps the promises."""

import functools
import inspect

import pytest

import streamflow
from streamflow import (
    BackgroundStreamer,
    BaseMux,
    ChainMux,
    Mux,
    RoundRobinMux,
    ShuffledMux,
    StochasticMux,
    Streamer,
    StreamerList,
    ThreadStreamer,
    ZipMux,
    ZMQStreamer,
    buffer_stream,
    cache,
    keras_tuples,
    streamable,
    tuples,
)
from streamflow.testing import check_streamer, rows

from ..amount import amount
from . import leaves
from .leaves import Again, Calls, Remembering, TakeTurns, Thrice

FINITE = [Streamer(leaves.count, 1, 5), Streamer(leaves.drawing, 2, 4), Streamer(leaves.flaky, 3, 6)]
SAME = [Streamer(leaves.drawing, name, 4) for name in (1, 2, 3, 4)]
ENDLESS = [Streamer(leaves.endless, 1), Streamer(leaves.drawing, 2, None), Streamer(leaves.drawing, 3, 4)]
SAMPLES = Streamer(leaves.drawing, 1, 11)


@streamable
def decorated(n, rng):
    for _ in range(n):
        yield int(rng.integers(1 << 40))


TREES = {
    "Streamer of a function": Streamer(leaves.count, 1, 9),
    "Streamer of a drawing function": Streamer(leaves.drawing, 1, 9),
    "Streamer of an endless function": Streamer(leaves.drawing, 1, None),
    "Streamer of a partial": Streamer(functools.partial(leaves.drawing, 1), n=9),
    "Streamer of a function that resumes itself": Streamer(leaves.starting, 1, 9),
    "Streamer of a function that divides itself": Streamer(leaves.dividing, 1, 9),
    "Streamer of a function that does both": Streamer(leaves.dividing_start, 1, 9),
    "Streamer of a list": Streamer(leaves.data(1, 9)),
    "Streamer of an iterable": Streamer(Calls(1, 9)),
    "Streamer of a class with a state": Streamer(Remembering, 1, 9),
    "Streamer of calls": Streamer(iter, leaves.constant, None),
    "Streamer of a Streamer": Streamer(SAMPLES),
    "Streamer of a bound Streamer": Streamer(leaves.noisy, SAMPLES),
    "Streamer of one bound twice": Streamer(leaves.paired, SAMPLES, right=SAMPLES),
    "Streamer of nothing": Streamer([]),
    "a seeded Streamer": SAMPLES.with_seed(7),
    "a part": SAMPLES.shard(1, 2),
    "a part of a part": SAMPLES.shard(1, 2).shard(0, 2),
    "streamable": decorated(9),
    "StreamerList": ChainMux(StreamerList(leaves.drawing, [1, 2, 3], [4, 0, 2])),
    "a mapping of names": ShuffledMux(dict(zip("abc", ENDLESS, strict=True)), {"a": 1, "b": 2, "c": 0.5}),
    "StochasticMux": StochasticMux(SAME, 3, 2.5),
    "StochasticMux without rate": StochasticMux(ENDLESS, 3, None, [1, 2, 3]),
    "StochasticMux with all active": StochasticMux(ENDLESS, None, None),
    "StochasticMux, single_active": StochasticMux(SAME * 2, 3, 2, mode="single_active", dist="poisson"),
    "StochasticMux, exhaustive": StochasticMux(FINITE, 2, None, mode="exhaustive"),
    "StochasticMux of few members, exhaustive": StochasticMux(FINITE[:1], 1, None, mode="exhaustive"),
    "ShuffledMux": ShuffledMux(ENDLESS, [1, 2, 3], random_state=1),
    "RoundRobinMux": RoundRobinMux(FINITE),
    "RoundRobinMux, cycle": RoundRobinMux(SAME, "cycle"),
    "RoundRobinMux, permuted_cycle": RoundRobinMux(SAME, "permuted_cycle"),
    "ChainMux": ChainMux(FINITE),
    "ChainMux, cycle": ChainMux(FINITE, "cycle"),
    "ChainMux, lazy": ChainMux(functools.partial(leaves.chained, *FINITE)),
    "ZipMux": ZipMux(FINITE[:2], flatten=False),
    "ZipMux, cycle": ZipMux(FINITE[:2], "cycle", flatten=False),
    "BaseMux, ending": TakeTurns(FINITE),
    "BaseMux, starting again": Again(SAME),
    "cache": ENDLESS[1].pipe(cache, 3),
    "a map of the user's": FINITE[0].pipe(leaves.sampled),
    "a map that holds items back": ENDLESS[1].pipe(leaves.doubled),
    "a tree": ShuffledMux(
        [StochasticMux(SAME, 2, 3, random_state=4), RoundRobinMux(ENDLESS, "cycle"), ChainMux(SAME, "cycle")]
    ),
}
BATCHES = {
    "buffer_stream": SAMPLES.pipe(buffer_stream, 4, partial=True),
    "buffer_stream, called": Streamer(buffer_stream, StochasticMux(SAME, 2, None, mode="exhaustive"), 3, True),
    "tuples": SAMPLES.pipe(buffer_stream, 4, partial=True).pipe(tuples, "x", "y"),
    "keras_tuples": SAMPLES.pipe(buffer_stream, 4, partial=True).pipe(keras_tuples, "x", "y"),
}
# What each part repeats or leaves out is its own: together they are not the stream.
PARTS = {
    "buffer_stream without the last batch": SAMPLES.pipe(buffer_stream, 4),
    "cache of a few": SAMPLES.pipe(cache, 3, random_state=5),
    "BaseMux, ending by chance": Thrice(FINITE),
    "a map of two": SAMPLES.pipe(leaves.pairs),
}
#: Each state that is resumed starts workers.
CUTS = amount(4, None)
FRESH = ["Streamer of a drawing function", "StochasticMux", "StochasticMux, exhaustive", "ChainMux, lazy", "a tree"]


@pytest.mark.parametrize("name", TREES)
def test_tree(name):
    check_streamer(TREES[name], 24, fresh_process=name in FRESH, pickles=True if "streamable" not in name else None)


@pytest.mark.parametrize("name", BATCHES)
def test_batches(name):
    check_streamer(BATCHES[name], 24, samples_of=rows, fresh_process=name == "tuples", pickles=True)


@pytest.mark.parametrize("name", PARTS)
def test_trees_whose_parts_are_not_the_stream(name):
    check_streamer(PARTS[name], 24, shards="parts", fresh_process=False, pickles=True)


def test_deprecated_mux():
    with pytest.warns(DeprecationWarning, match="Mux"):
        mux = Mux(SAME, 2, rate=3, random_state=0)
    check_streamer(mux, 24, fresh_process=False)


def test_background():
    check_streamer(ZMQStreamer(ShuffledMux(FINITE[:2], random_state=3)), 6, pickles=True, cuts=CUTS)


def test_finite_background():
    check_streamer(ZMQStreamer(RoundRobinMux(FINITE[:2])), 9, fresh_process=False, pickles=True, cuts=CUTS)


def test_several_workers():
    tree = ZMQStreamer(RoundRobinMux(FINITE[:2]), n_workers=2)
    check_streamer(tree, 9, fresh_process=False, pickles=True, cuts=CUTS)


def test_threads():
    check_streamer(ThreadStreamer(ShuffledMux(FINITE[:2], random_state=3)), 9, fresh_process=False, pickles=True)


def test_every_class_is_here():
    classes = {
        value for value in vars(streamflow).values() if inspect.isclass(value) and issubclass(value, Streamer)
    } - {BackgroundStreamer, BaseMux, Mux}
    here = {type(tree) for tree in TREES.values()} | {ThreadStreamer, ZMQStreamer}
    assert classes <= here
