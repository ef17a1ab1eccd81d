"""Errors: the tree of classes, the form of the messages, the note that says where in a tree an error came from."""

import functools
import itertools

import numpy as np
import pytest

import streamflow as sf
from streamflow import exceptions


def boom(after=2):
    yield from range(after)
    raise OSError("disk full")


def steady():
    yield from itertools.count()


def notes(error):
    return "\n".join(getattr(error, "__notes__", []))


def raised(items):
    with pytest.raises(OSError, match="disk full") as caught:
        for _ in itertools.islice(items, 10_000):
            pass
    return caught.value


# ---- the classes


@pytest.mark.parametrize(
    ("name", "bases"),
    [
        ("StreamflowError", (Exception,)),
        ("ParameterError", (exceptions.StreamflowError, ValueError)),
        ("DataError", (exceptions.StreamflowError,)),
        ("StateError", (exceptions.StreamflowError,)),
        ("MissingDependencyError", (exceptions.StreamflowError, ImportError)),
        ("BackgroundError", (exceptions.StreamflowError,)),
        ("WorkerDied", (exceptions.BackgroundError,)),
    ],
)
def test_the_tree_of_errors(name, bases):
    cls = getattr(exceptions, name)
    assert getattr(sf, name) is cls
    assert all(issubclass(cls, base) for base in bases)


def test_pescador_error_is_an_alias():
    assert sf.PescadorError is sf.exceptions.PescadorError is sf.StreamflowError


@pytest.mark.parametrize(
    ("parameter", "call"),
    [
        ("max_iter", lambda: sf.Streamer("ab").iterate("3")),
        ("epoch", lambda: sf.Streamer("ab").open(epoch=-1)),
        ("random_state", lambda: sf.Streamer("ab").with_seed("x")),
        ("index", lambda: sf.Streamer("ab").shard(2, 2)),
        ("count", lambda: sf.Streamer("ab").shard(0, 0)),
        ("n_active", lambda: sf.StochasticMux(["a"], 0, 1)),
        ("rate", lambda: sf.StochasticMux(["a"], 1, 0.5)),
        ("mode", lambda: sf.StochasticMux(["a"], 1, 1, mode="often")),
        ("dist", lambda: sf.StochasticMux(["a"], 1, 1, dist="normal")),
        ("weights", lambda: sf.ShuffledMux(["a"], weights=[-1])),
        ("mode", lambda: sf.RoundRobinMux(["a"], mode="often")),
        ("mode", lambda: sf.ChainMux(["a"], mode="often")),
        ("mode", lambda: sf.ZipMux(["a"], mode="often")),
        ("buffer_size", lambda: sf.buffer_stream([], 0)),
        ("buffer_size", lambda: sf.Streamer("ab").pipe(sf.buffer_stream, -1)),
        ("buffer_size", lambda: sf.Streamer(sf.buffer_stream, sf.Streamer("ab"), 0)),
        ("ragged", lambda: sf.buffer_stream([], 1, ragged="often")),
        ("n_cache", lambda: sf.Streamer("ab").pipe(sf.cache, 0)),
        ("prob", lambda: sf.cache([], 1, prob=1.5)),
    ],
)
def test_parameters_are_checked_where_they_are_given(parameter, call):
    with pytest.raises(exceptions.ParameterError, match=rf"{parameter}.* must be [\s\S]*got "):
        call()


def test_maps_given_too_few_or_unknown_arguments_are_refused_where_they_are_given():
    for call in (
        lambda: sf.Streamer("ab").pipe(sf.tuples),
        lambda: sf.Streamer("ab").pipe(sf.keras_tuples),
        lambda: sf.Streamer("ab").pipe(sf.buffer_stream, 2, colour="red"),
        lambda: sf.Streamer(sf.buffer_stream, sf.Streamer("ab")),
    ):
        with pytest.raises((exceptions.ParameterError, TypeError)):
            call()


# ---- the note


def test_the_error_itself_is_what_the_leaf_raised():
    error = OSError("disk full")

    def leaf():
        yield 1
        raise error

    assert raised(iter(sf.RoundRobinMux([sf.Streamer(leaf), sf.Streamer(leaf)]))) is error


@pytest.mark.parametrize(
    "read",
    [
        iter,
        lambda tree: tree.iterate(),
        lambda tree: tree.cycle(),
        lambda tree: tree(max_iter=100),
        lambda tree: tree.open(),
        lambda tree: sf.tuples(tree.pipe(as_samples), "x"),
        lambda tree: iter(tree.pipe(as_samples).pipe(sf.buffer_stream, 2).pipe(sf.tuples, "x")),
    ],
)
def test_the_note_names_path_and_leaf(read):
    inner = sf.RoundRobinMux({"tabby": sf.Streamer(steady), "siamese": sf.Streamer(boom, after=3)})
    tree = sf.RoundRobinMux({"dogs": sf.Streamer(steady), "cats": inner})
    note = notes(raised(read(tree)))
    assert "cats" in note
    assert "siamese" in note
    assert "boom" in note
    assert "dogs" not in note
    assert note.index("cats") < note.index("siamese")


def as_samples(stream):
    for item in stream:
        yield {"x": item}


def test_members_of_a_list_are_named_by_index():
    inner = sf.ShuffledMux([*[range(0)] * 5, sf.Streamer(boom)], random_state=0)
    note = notes(raised(iter(sf.ChainMux([*[range(1)] * 7, inner]))))
    assert note.index("7") < note.index("5") < note.index("boom")


@pytest.mark.parametrize(
    "tree",
    [
        lambda bad, good: sf.StochasticMux({"good": good, "bad one": bad}, 1, 4, random_state=0),
        lambda bad, good: sf.StochasticMux({"good": good, "bad one": bad}, 2, None, mode="exhaustive", random_state=0),
        lambda bad, good: sf.StochasticMux({"good": good, "bad one": bad}, 2, 4, mode="single_active", random_state=0),
        lambda bad, good: sf.ShuffledMux({"good": good, "bad one": bad}, random_state=0),
        lambda bad, good: sf.RoundRobinMux({"good": good, "bad one": bad}),
        lambda bad, good: sf.RoundRobinMux({"good": good, "bad one": bad}, mode="permuted_cycle", random_state=1),
        lambda bad, good: sf.ChainMux({"bad one": bad, "good": good}, mode="cycle"),
        lambda bad, good: sf.ZipMux({"good": good, "bad one": bad}, flatten=False),
    ],
)
@pytest.mark.parametrize("after", [0, 2])
def test_every_mux_names_the_member_that_failed(tree, after):
    note = notes(raised(iter(tree(sf.Streamer(boom, after=after), sf.Streamer(steady)))))
    assert "bad one" in note
    assert "boom" in note
    assert "good" not in note


def test_an_error_in_the_opening_call_is_noted_too():
    note = notes(raised(iter(sf.RoundRobinMux({"first": range(9), "second": sf.Streamer(fails)}))))
    assert "second" in note
    assert "fails" in note


def test_a_failing_bound_stream_is_named_below_the_function_that_reads_it():
    tree = sf.RoundRobinMux({"noisy": sf.Streamer(as_samples, sf.Streamer(boom))})
    note = notes(raised(iter(tree)))
    assert "noisy" in note
    assert "as_samples" in note or "boom" in note


@pytest.mark.parametrize(
    "source",
    [functools.partial(boom, 2), lambda: boom(2), type("Reader", (), {"__call__": lambda self: boom()})()],
    ids=["partial", "lambda", "object"],
)
def test_leaves_of_every_kind_can_be_named(source):
    note = notes(raised(iter(sf.ChainMux({"only": sf.Streamer(source)}))))
    assert "only" in note


def fails():
    raise OSError("disk full")


@pytest.mark.parametrize("leaf", [boom, fails])
def test_a_lone_leaf_is_named(leaf):
    for read in (iter, lambda s: s.cycle(), lambda s: s.open(), lambda s: iter(s.pipe(sf.tuples, "x").with_seed(1))):
        with pytest.raises((OSError, sf.DataError)) as caught:
            list(read(sf.Streamer(leaf)))
        assert leaf.__name__ in notes(caught.value)


def test_the_note_tells_simple_arguments_but_never_prints_much():
    def leaf(path, array, text):
        raise OSError("disk full")
        yield

    tree = sf.ChainMux([sf.Streamer(leaf, "a/0017.npz", np.full(10**6, 1234.5), "w" * 10**6)])
    note = notes(raised(iter(tree)))
    assert len(note) < 2000
    assert "1234.5" not in note


def test_no_note_is_added_at_the_normal_end_or_by_the_consumer():
    live = sf.RoundRobinMux([sf.Streamer(steady)]).open()
    with pytest.raises(KeyError) as caught, live:
        next(live)
        raise KeyError("mine")
    assert notes(caught.value) == ""


# ---- data errors


HUGE = {"image": np.full((300, 1000), 12345.678, np.float32), "label": np.arange(5000)}


@pytest.mark.parametrize(
    "items",
    [
        lambda: sf.tuples([HUGE], "image", "missing"),
        lambda: sf.keras_tuples([HUGE], "image", "missing"),
        lambda: sf.tuples([HUGE["image"]], "image"),
        lambda: sf.buffer_stream([HUGE["image"], HUGE], 2),
        lambda: sf.buffer_stream([HUGE, {"image": HUGE["image"]}], 2),
        lambda: sf.buffer_stream([HUGE, {**HUGE, "label": np.arange(4999)}], 2),
        lambda: iter(sf.ZipMux([[HUGE["image"]], [HUGE]])),
    ],
)
def test_a_large_batch_is_never_printed(items):
    with pytest.raises(Exception) as caught:
        list(items())
    text = f"{caught.value}\n{notes(caught.value)}"
    assert len(text) < 1500
    assert "12345" not in text
    assert "4998" not in text


def test_a_data_error_shows_keys_dtypes_and_shapes():
    with pytest.raises(exceptions.DataError) as caught:
        list(sf.buffer_stream([HUGE, {**HUGE, "image": np.zeros((300, 999), np.float32)}], 2))
    text = str(caught.value)
    assert "image" in text
    assert "(300, 1000)" in text
    assert "(300, 999)" in text
