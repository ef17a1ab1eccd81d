"""What is easily mistyped: the error says at once what to write instead."""

import functools

import numpy as np
import pytest

import streamflow as sf
from streamflow.exceptions import ParameterError


def rows(path, n, *, scale=1):
    yield from range(n)


def drawing(path, rng, n=3):
    yield from rng.random(n)


def keyword_only(path, *, n, rng=None):
    yield from range(n)


# ---- a path where a function is meant


@pytest.mark.parametrize(
    "path",
    [
        "file.npy",
        "a/b",
        "/data",
        "data/*.npz",
        r"C:\data",
        "x.tar.gz",
        "../up",
        b"file.npy",
        b"a/b",
        "part-0001.parquet",
    ],
)
def test_text_that_looks_like_a_path_is_refused(path):
    for call in (lambda: sf.Streamer(path), lambda: sf.ShuffledMux([path, path]), lambda: sf.ChainMux([path])):
        with pytest.raises(
            ParameterError, match=r"`source` must be .*got b?['\"].*looks like a path.*Streamer\(read, path"
        ):
            call()


@pytest.mark.parametrize("text", ["abcd", "", "Two words.", "one\ntwo", "a b", b"abc", "3 . 5", "end."])
def test_other_text_is_an_iterable_of_its_characters(text):
    assert list(sf.Streamer(text)) == list(text)


def test_paths_given_as_lists_of_characters_are_fine():
    assert "".join(sf.Streamer(list("file.npy"))) == "file.npy"


# ---- a function that returns instead of yielding


@pytest.mark.parametrize(
    ("made", "advice"),
    [({"x": 1, "y": 2}, "its keys"), ("abc", "its characters"), (b"abc", "its characters"), (3, "returned 3"),
     (None, "returned None")],
)  # fmt: skip
@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: sf.RoundRobinMux([s]), lambda s: s.shard(0, 2)])
def test_a_function_that_returns_one_item_should_have_yielded_it(made, advice, wrap):
    def leaf():
        return made

    for source in (leaf, functools.partial(leaf)):
        with pytest.raises(ParameterError, match=r"leaf returned .*yield the items") as caught:
            list(wrap(sf.Streamer(source)))
        assert advice in str(caught.value)


def test_a_function_may_return_any_other_iterable():
    assert list(sf.Streamer(lambda: [1, 2])) == [1, 2]
    assert list(sf.Streamer(np.arange, 3)) == [0, 1, 2]
    assert list(sf.Streamer(lambda: sf.Streamer([1]))) == [1]
    assert list(sf.Streamer({"x": 1}.keys)) == ["x"]


# ---- arguments


@pytest.mark.parametrize(
    "call",
    [
        lambda: sf.Streamer(rows, "a"),
        lambda: sf.Streamer(rows),
        lambda: sf.Streamer(rows, "a", 3, 4),
        lambda: sf.Streamer(rows, "a", 3, colour="red"),
        lambda: sf.Streamer(rows, "a", path="b"),
        lambda: sf.Streamer(rows, "a", 3, n=4),
        lambda: sf.Streamer(drawing),
        lambda: sf.Streamer(keyword_only, "a"),
        lambda: sf.Streamer(keyword_only, "a", 3),
        lambda: sf.StreamerList(rows, ["a", "b"]),
        lambda: sf.StreamerList(rows, ["a"], [3], colour="red"),
        lambda: sf.streamable(rows)("a"),
        lambda: sf.Streamer([1]).pipe(rows),
    ],
)
def test_arguments_that_a_function_cannot_take_are_refused_when_it_is_described(call):
    for _ in range(2):
        sf.Streamer(rows, "a", 3)  # a call that is fine just before does not hide one that is not
        with pytest.raises(ParameterError, match=r"`args` must be arguments of \w+\(.*\), got \("):
            call()


@pytest.mark.parametrize(
    "call",
    [
        lambda: sf.Streamer(rows, "a", 3),
        lambda: sf.Streamer(rows, "a", n=3),
        lambda: sf.Streamer(rows, path="a", n=3, scale=2),
        lambda: sf.Streamer(drawing, "a"),
        lambda: sf.Streamer(drawing, "a", n=3),
        lambda: sf.Streamer(drawing, "a", np.random.default_rng(0)),
        lambda: sf.Streamer(keyword_only, "a", n=3),
        lambda: sf.Streamer(lambda *args, **kwargs: iter(range(len(args) + len(kwargs))), 1, 2, x=3),
        lambda: sf.Streamer(functools.wraps(rows)(lambda: iter(range(3)))),
        lambda: sf.StreamerList(rows, ["a"], [3], scale=4)[0],
        lambda: sf.StreamerList(drawing, ["a"])[0],
    ],
)
def test_arguments_that_a_function_takes_are_not(call):
    assert len(list(call())) == 3


def test_a_function_that_was_given_a_default_later_is_read_again():
    def leaf(n):
        yield from range(n)

    with pytest.raises(ParameterError, match="leaf"):
        sf.Streamer(leaf)
    leaf.__defaults__ = (2,)
    assert list(sf.Streamer(leaf)) == [0, 1]


# ---- a generator object


def test_a_generator_that_has_been_used_is_named_in_plain_words():
    streamer = sf.Streamer(rows("a", 3))
    assert len(list(streamer)) == 3
    with pytest.raises(sf.StreamflowError, match="the iterator 'rows' can be iterated only once and an earlier pass"):
        list(streamer)


# ---- more parts than slots


def test_more_parts_than_slots_names_the_parameter_that_was_given():
    mux = sf.StochasticMux([range(9)] * 5, 3, 4)
    with pytest.raises(ParameterError, match=r"`n_active` must be at least the number of parts .*4.*, got 3; .*raise"):
        mux.shard(0, 4)
    with pytest.raises(ParameterError, match="cannot be divided into 4 lanes: `n_active`"):
        sf.ZMQStreamer(mux, n_workers=4)


# ---- a leaf that depends on the time


def test_a_leaf_that_gives_other_items_on_resume_is_told_which_keys_differ():
    clock = iter(range(10**6))

    def timed():
        while True:
            yield {"x": 1, "time": next(clock)}

    live = sf.Streamer(timed).open()
    next(live)
    state = live.state_dict()
    with pytest.raises(sf.StateError, match=r"other items .*differ in 'time'\)"):
        sf.Streamer(timed).open().load_state_dict(state)


# ---- flags


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("cycle", lambda value: sf.Streamer("ab")(cycle=value)),
        ("cycle", lambda value: sf.Streamer("ab").open(cycle=value)),
        ("flatten", lambda value: sf.ZipMux([[1]], flatten=value)),
        ("prune_empty_streams", lambda value: sf.StochasticMux([[1]], 1, 1, prune_empty_streams=value)),
    ],
)
def test_flags_are_true_or_false(name, call):
    for value in (True, False, np.True_):
        call(value)
    for value in ("no", 0, None, 1.0, []):
        with pytest.raises(ParameterError, match=f"`{name}` must be True or False, got "):
            call(value)
