"""Fingerprints: settings by value, functions by name, and the public protocol of sources, samplers and muxes."""

import functools
import json
from dataclasses import dataclass
from itertools import islice

import numpy as np
import pytest

import streamflow as sf
from streamflow import sources
from streamflow.core.equal import same
from streamflow.core.exact import argument, call_text, setting
from streamflow.core.fingerprint import differing
from streamflow.mux import BaseMux
from streamflow.samplers import Sampler


class Turns(BaseMux):
    """A mux of one's own with weights in a tuple."""

    def __init__(self, streamers, weights, random_state=None):
        super().__init__(streamers, random_state)
        self.weights = weights

    def choose(self, step, live, u):
        return live[int(u * sum(self.weights) > self.weights[0]) % len(live)]


class Rows(sources.Source):
    """A source of one's own."""

    def __init__(self, name):
        self.name = name

    def __len__(self):
        return 20

    def sample(self, index):
        return f"{self.name}{index}"


class Hidden(Rows):
    """Its name is private, so it says itself what it is."""

    def __init__(self, name):
        self._name = name

    @property
    def name(self):
        return self._name

    def fingerprint(self):
        return f"Hidden {self._name}"


class Backwards(Sampler):
    """A sampler of one's own, from an offset on."""

    random = False

    def __init__(self, offset):
        self.offset = offset

    def order(self, n, key):
        return (np.arange(n)[::-1] + self.offset) % n


class Scaled:
    """A mapped function that is an object."""

    def __init__(self, factor):
        self.factor = factor

    def __call__(self, item):
        return item * self.factor

    def times(self, item):
        return item * self.factor


class Sides(sf.Streamer):
    """A Streamer of one's own without hooks: it gives what its source gives."""

    def __init__(self, sides):
        super().__init__(lambda: iter(range(sides)))
        self.sides = sides


def times(item, factor=2):
    return item * factor


def scaling(factor):
    def scaled(item):
        return item * factor

    return scaled


def leaf(argument):
    yield from range(50)


def mapped(fn):
    return sources.ArraySource(list(range(20))).map(fn).samples()


def piped(fn):
    return sf.Streamer(list(range(20))).pipe(sf.maps.map_items, fn)


@sf.maps.stream_map()
def clipped(items, limits, names=None):
    for item in items:
        yield max(limits[0], min(item, limits[1]))


def chain(*arguments):
    return sf.ChainMux([sf.Streamer(leaf, *arguments)])


#: Two trees each, of which one must refuse the state of the other, and what the error has to show.
PAIRS = {
    "weights of a mux of one's own": (Turns(["ab", "cd"], (0.5, 0.5)), Turns(["ab", "cd"], (0.9, 0.1)), "0.9"),
    "a source of one's own": (Rows("a").samples(), Rows("b").samples(), "'b'"),
    "a source that says what it is": (Hidden("a").samples(), Hidden("b").samples(), "Hidden b"),
    "the same below a view and a map": (Rows("a")[2:].map(str).batches(3), Rows("b")[2:].map(str).batches(3), "'b'"),
    "the same in a composition": (
        sources.CompositeSource([Rows("a"), Rows("b")]).samples(),
        sources.CompositeSource([Rows("a"), Rows("c")]).samples(),
        "'c'",
    ),
    "small arrays": (
        sources.ArraySource(np.arange(9)).samples(),
        sources.ArraySource(np.arange(9) + 1).samples(),
        "ArraySource",
    ),
    "a sampler of one's own": (Rows("a").samples(sampler=Backwards(0)), Rows("a").samples(sampler=Backwards(3)), "3"),
    "a mapped lambda": (mapped(lambda x: x + 1), mapped(lambda x: x + 2), "lambda"),
    "a lambda that calls another name": (mapped(lambda x: abs(x) + 1), mapped(lambda x: int(x) + 1), "lambda"),
    "a lambda within a lambda": (
        mapped(lambda x: sorted([x], key=lambda y: 1)),
        mapped(lambda x: sorted([x], key=lambda y: 2)),
        "lambda",
    ),
    "a mapped partial": (piped(functools.partial(times, factor=3)), piped(functools.partial(times, factor=4)), "4"),
    "a mapped object": (piped(Scaled(2)), piped(Scaled(3)), "factor=3"),
    "a bound method": (piped(Scaled(2).times), piped(Scaled(3).times), "factor=3"),
    "a closure": (piped(scaling(2)), piped(scaling(3)), "3"),
    "a mapped function": (piped(times), piped(scaling), "scaling"),
    "a list setting of a map": (
        sf.Streamer(range(9)).pipe(clipped, [1, 2]),
        sf.Streamer(range(9)).pipe(clipped, [1, 3]),
        "[1, 3]",
    ),
    "a dict setting of a map": (
        sf.Streamer(range(9)).pipe(clipped, [1, 2], names={"a": 1}),
        sf.Streamer(range(9)).pipe(clipped, [1, 2], names={"a": 2}),
        "2}",
    ),
    "a list argument of a leaf": (chain([1, 2, 3]), chain([1, 2, 4]), "[1, 2, 4]"),
    "a dict argument of a leaf": (chain({"x": 1}), chain({"x": 2}), "{'x': 2}"),
    "an array argument of a leaf": (chain(np.arange(3)), chain(np.arange(3) + 1), "int64"),
    "a short list as a leaf": (sf.Streamer([1, 2, 3]), sf.Streamer([1, 2, 4]), "[1, 2, 4]"),
    "a leaf that is another lambda": (sf.Streamer(lambda: iter("ab")), sf.Streamer(lambda: iter("cd")), "lambda"),
    "a Streamer of one's own": (Sides(4), Sides(6), "Sides"),
}


@pytest.mark.parametrize("name", PAIRS)
def test_what_differs_is_refused_and_shown(name):
    one, other, shown = PAIRS[name]
    with one.with_seed(0).open() as live:
        next(live)
        state = json.loads(json.dumps(live.state_dict()))
        following = list(islice(live, 5))
    with one.with_seed(0).open() as again:
        again.load_state_dict(state)
        assert all(map(same, islice(again, 5), following))
    with other.with_seed(0).open() as another, pytest.raises(sf.StateError) as caught:
        another.load_state_dict(state)
    assert shown in str(caught.value)


def test_values_that_are_equal_have_one_text():
    @dataclass
    class Point:
        x: int

    class Named(str):
        __slots__ = ()

    values = [
        (1, 2),
        [1, 2],
        {1, 2},
        {"b": 1, "a": [2]},
        "x" * 1000,
        b"x",
        1.5,
        np.float32(1.5),
        np.arange(4),
        Point(3),
    ]
    values += [range(3), 10**400, slice(1, 2), np.dtype("i4"), Named("x"), float("nan"), None, True, times, scaling(3)]
    texts = [setting(value) for value in values]
    assert len(set(texts)) == len(texts)
    assert texts == [setting(value) for value in values]
    assert setting({"a": [2], "b": 1}) == setting({"b": 1, "a": [2]})
    assert setting({3, 1, 2}) == setting({2, 3, 1})
    assert max(map(len, texts)) < 420


def test_what_is_large_or_unknown_goes_by_type_and_shape():
    assert setting(np.zeros(10**6)) == setting(np.ones(10**6)) == "ndarray(float64, (1000000,))"
    assert setting(list(range(1000))) == "list of 1000"
    assert argument(Scaled(2)) == argument(Scaled(3)) == "Scaled"
    loop = [1]
    loop.append(loop)
    assert setting(loop) == "[1, ...]"

    class Deep:
        def __init__(self, below):
            self.below, self.many = below, list(range(50))

    deep = None
    for _ in range(100):
        deep = Deep(deep)
    assert len(setting(deep)) < 500


def test_no_code_of_a_collection_runs():
    def fails(*args):
        raise AssertionError

    for kind, value in ((list, [1, 2]), (tuple, (1, 2)), (set, {1, 2}), (frozenset, {1, 2}), (dict, {1: 2})):
        methods = dict.fromkeys(("__iter__", "__len__", "items", "__getitem__", "__contains__"), fails)
        mine, usual = type("Mine", (kind,), methods)(value), type("Mine", (kind,), {})(value)
        assert argument(mine) == argument(usual) and setting(mine) == setting(usual) != setting(kind(value))


def test_long_arguments_are_written_once_for_each_activation(monkeypatch):
    written = []
    monkeypatch.setattr("streamflow.core.leaf.call_text", lambda *call: written.append(call) or call_text(*call))
    with sf.StochasticMux([[*range(50)], [*range(60)]], 2, None, random_state=0).open() as live:
        list(islice(live, 10))
        states = [live.state_dict() for _ in range(5)]
    assert len(written) == 2
    assert states[0] == states[-1]


def test_an_object_whose_fingerprint_means_something_else_is_left_alone():
    class Certificate:
        def fingerprint(self, algorithm):
            raise AssertionError("it is not ours to call")

    assert setting(Certificate()) == f"{Certificate.__qualname__}"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a" * 300 + "b" * 300, "a" * 300 + "c" * 300),
        ("x(1, " * 60, "x(1, " * 30 + "x(2, " * 30),
        ("", "a"),
        ("ab", "a"),
    ],
)
def test_the_first_place_of_difference_is_shown(one, other):
    shown, too = differing(one, other)
    assert shown != too
    assert max(len(shown), len(too)) < 120


def test_the_text_of_a_map_is_what_one_would_write():
    tree = sf.Streamer([{"x": 1}] * 4).pipe(sf.buffer_stream, 2).pipe(clipped, [0, 1])
    text = "clipped(buffer_stream(list[4], 2, False, None, 'error'), [0, 1], None)"
    assert tree.fingerprint().text == text.replace("clipped", f"{__name__}.clipped")


def test_the_text_of_a_tree_is_short_however_large_it_is():
    pools = [sf.ShuffledMux([[i] * (i + j + 1) for j in range(100)], random_state=i) for i in range(200)]
    with sf.ShuffledMux(pools, random_state=0).open() as live:
        next(live)
        assert len(live.state_dict()["tree"]) < 5000


def stamped(n):
    for i in range(n):
        yield {"x": i, "time": next(TIMES)}


TIMES = iter(range(10**9))


def test_keys_of_items_that_may_differ_are_named():
    tree = sf.Streamer(stamped, 30)
    with tree.open() as live:
        next(live), next(live)
        state = live.state_dict()
    with tree.open() as live, pytest.raises(sf.StateError, match=r"differ in 'time'.*ignore"):
        live.load_state_dict(state)
    with tree.open() as live, pytest.raises(sf.StateError, match="'time'"):
        live.load_state_dict(state, ignore=("x",))
    with tree.open() as live:
        live.load_state_dict(state, ignore=("time",))
        assert next(live)["x"] == 2


def test_keys_may_differ_in_a_background_too():
    tree = sf.ThreadStreamer(sf.Streamer(stamped, 30))
    with tree.open() as live:
        next(live), next(live)
        state = live.state_dict()
        state["node"]["lanes"][0]["since"] = 0
        state["given"] = state["node"]["given"] = 2
        state["node"]["lanes"][0]["mark"] = {"kind": "leaf", "version": 1, "given": 2, "call": "stamped(30)"}
    with tree.open() as live, pytest.raises(sf.StateError, match="'time'"):
        live.load_state_dict(state)
    with tree.open() as live:
        live.load_state_dict(state, ignore=("time",))
        assert next(live)["x"] == 2


@pytest.mark.parametrize("ignore", ["time", 3, None, [["time"]]])
def test_ignore_is_a_collection_of_keys(ignore):
    with sf.Streamer("abc").open() as live, pytest.raises(sf.exceptions.ParameterError, match="ignore"):
        live.load_state_dict({}, ignore=ignore)
