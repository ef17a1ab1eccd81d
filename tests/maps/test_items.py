"""map_items and filter_items: what is filled in, how items are numbered, and what an error says and loses."""

import functools
import types

import numpy as np
import pytest

import streamflow as sf
from streamflow.exceptions import ParameterError
from streamflow.maps import stream_map
from streamflow.testing import check_streamer


def double(item):
    return 2 * item


def odd(item):
    return item % 2


def asked(item, index, epoch, rng):
    return item, index, epoch, rng.random()


def test_each_item():
    assert list(sf.map_items([1, 2, 3], double)) == list(sf.Streamer([1, 2, 3]).pipe(sf.map_items, double)) == [2, 4, 6]
    assert list(sf.filter_items(range(6), odd)) == list(sf.Streamer(range(6)).pipe(sf.filter_items, odd)) == [1, 3, 5]
    assert type(sf.map_items([1], double)) is types.GeneratorType
    assert list(sf.map_items([], double)) == list(sf.filter_items(range(0, 6, 2), odd)) == []
    assert list(sf.Streamer(range(5)).pipe(sf.map_items, fn=double)) == [0, 2, 4, 6, 8]


@pytest.mark.parametrize("verb", [sf.map_items, sf.filter_items])
def test_the_function_must_be_one(verb):
    for call in (lambda: verb([1], 3), lambda: sf.Streamer([1]).pipe(verb, None)):
        with pytest.raises(ParameterError, match="`fn` must be a function of an item, got"):
            call()


class Method:
    def __call__(self, item, rng=None, index=None):
        return item, index, rng is None

    def method(self, item, *, index):
        return item, index


def wrapped(function):
    @functools.wraps(function)
    def call(*args, **kwargs):
        return function(*args, **kwargs)

    return call


@pytest.mark.parametrize(
    ("fn", "expected"),
    [
        (lambda item, index: (item, index), [("a", 0), ("b", 1)]),
        (lambda item, *, epoch: (item, epoch), [("a", 2), ("b", 2)]),
        (lambda item, epoch, index: (item, epoch, index), [("a", 2, 0), ("b", 2, 1)]),
        (lambda item, index=None: (item, index), [("a", 0), ("b", 1)]),
        (lambda item, index=7: (item, index), [("a", 7), ("b", 7)]),
        (lambda index: index, ["a", "b"]),
        (lambda item, *args, **kwargs: (item, args, kwargs), [("a", (), {}), ("b", (), {})]),
        (functools.partial(lambda more, item, index: (more, item, index), 5), [(5, "a", 0), (5, "b", 1)]),
        (functools.partial(lambda item, index: (item, index), index=5), [("a", 5), ("b", 5)]),
        (wrapped(lambda item, index: (item, index)), [("a", 0), ("b", 1)]),
        (Method(), [("a", 0, False), ("b", 1, False)]),
        (Method().method, [("a", 0), ("b", 1)]),
        (str.upper, ["A", "B"]),
        (str, ["a", "b"]),
    ],
)
def test_what_is_filled_in(fn, expected):
    tree = sf.Streamer(["a", "b"]).pipe(sf.map_items, fn)
    assert list(tree(epoch=2)) == expected
    if "epoch" not in str(getattr(fn, "__code__", None) and fn.__code__.co_varnames):
        assert list(sf.map_items(["a", "b"], fn)) == expected


def test_a_direct_call_is_epoch_0_of_a_tree():
    np.random.seed(3)
    items = list(sf.map_items(range(4), asked))
    assert [item[:3] for item in items] == [(0, 0, 0), (1, 1, 0), (2, 2, 0), (3, 3, 0)]
    np.random.seed(3)
    assert items == list(sf.Streamer(range(4)).pipe(sf.map_items, asked))


def test_numbers_count_items_of_the_stream():
    """Also those that a filter drops; those of an activation, an epoch and a part by themselves."""
    tree = sf.Streamer(range(10, 20))
    assert list(tree.pipe(sf.filter_items, lambda item, index: index % 3 == 1)) == [11, 14, 17]
    numbered = tree.pipe(sf.filter_items, odd).pipe(sf.map_items, lambda item, index, epoch: (item, index, epoch))
    assert list(numbered) == [(11, 0, 0), (13, 1, 0), (15, 2, 0), (17, 3, 0), (19, 4, 0)]
    assert list(numbered.cycle(7))[5:] == [(11, 0, 1), (13, 1, 1)]
    # A part is cut out below the maps: 11, 14, 17 of which two are odd.
    assert list(numbered.shard(1, 3)) == [(11, 0, 0), (17, 1, 0)]
    mux = sf.RoundRobinMux([numbered, numbered])
    assert list(mux)[:4] == [(11, 0, 0), (11, 0, 0), (13, 1, 0), (13, 1, 0)]


@pytest.mark.parametrize("after", range(11))
def test_a_resume_goes_on_with_the_next_number(after):
    tree = sf.Streamer(range(30)).pipe(sf.filter_items, lambda item, rng: rng.random() < 0.5)
    tree = tree.pipe(sf.map_items, asked).with_seed(4)
    whole = list(tree)
    with tree.open() as stream, tree.open() as again:
        for _ in range(after):
            next(stream)
        again.load_state_dict(stream.state_dict())
        assert list(again) == whole[after:]


def test_the_state_holds_the_number_of_items():
    with sf.Streamer(range(30)).pipe(sf.filter_items, lambda item: item > 20).open() as stream:
        assert next(stream) == 21
        node = stream.state_dict()["node"]
    assert (node["given"], node["stream"]["given"]) == (1, 22)


def fails_at_7(item):
    if item == 7:
        raise ValueError("here")
    return True


@pytest.mark.parametrize("verb", [sf.map_items, sf.filter_items])
@pytest.mark.parametrize("below", ["list", "mux", "filter"])
def test_an_error_names_the_item_and_loses_none(verb, below):
    stream = {
        "list": sf.Streamer(range(20)),
        "mux": sf.ChainMux([range(5), range(5, 20)]),
        "filter": sf.Streamer(range(-5, 20)).pipe(sf.filter_items, lambda item: item >= 0),
    }[below]
    live = stream.pipe(verb, fails_at_7).open()
    with pytest.raises(ValueError, match="here") as caught:
        list(live)
    assert f"in {verb.__name__}(fails_at_7), item 7" in caught.value.__notes__[0]
    state = live.state_dict()
    assert live.position == 7
    mended = stream.pipe(verb, fails_at_7).open()
    mended.load_state_dict(state)
    with pytest.raises(ValueError, match="here"):
        next(mended)
    with stream.pipe(verb, fails_at_7).open() as again:
        state["tree"] = again.state_dict()["tree"]
        fails_at_7_code = fails_at_7.__code__
        try:
            fails_at_7.__code__ = (lambda item: True).__code__
            again.load_state_dict(state)
            assert len(list(again)) == 13
        finally:
            fails_at_7.__code__ = fails_at_7_code


@pytest.mark.parametrize("verb", [sf.map_items, sf.filter_items])
def test_an_error_in_a_direct_call_names_the_item(verb):
    with pytest.raises(ValueError, match="here") as caught:
        list(verb(range(20), fails_at_7))
    assert caught.value.__notes__ == [f"in {verb.__name__}(fails_at_7), item 7"]


def test_a_filter_names_the_item_of_its_stream():
    with pytest.raises(ZeroDivisionError) as caught:
        list(sf.Streamer([5, 0, 4, 0]).pipe(sf.filter_items, lambda item: item != 0 or 1 / item).with_seed(0))
    assert "item 1" in caught.value.__notes__[0]


@pytest.mark.parametrize("verb", [sf.map_items, sf.filter_items])
def test_it_closes_what_it_has_opened(verb):
    tree = sf.Streamer(range(5)).pipe(verb, odd)
    check_streamer(tree, 10, fresh_process=False)
    opened = sf.Streamer(range(5))
    items = verb(opened, odd)
    next(items)
    assert opened.active == 1
    items.close()
    assert opened.active == 0


def test_only_a_function_that_asks_for_it_makes_the_tree_random():
    """Others must not touch NumPy's global state."""
    plain, random = (sf.Streamer(range(3)).pipe(sf.map_items, fn) for fn in (double, asked))
    assert not plain.fingerprint().random and random.fingerprint().random
    before = str(np.random.get_state())
    list(plain)
    assert str(np.random.get_state()) == before
    list(random)
    assert str(np.random.get_state()) != before


def test_it_is_applied_inside_a_part():
    calls = []

    def called(item):
        calls.append(item)
        return item

    assert list(sf.Streamer(range(9)).pipe(sf.map_items, called).shard(1, 3)) == calls == [1, 4, 7]


def test_a_length_is_that_of_the_stream_unless_items_are_dropped():
    assert len(sf.Streamer(range(5)).pipe(sf.map_items, asked)) == 5
    with pytest.raises(TypeError):
        len(sf.Streamer(range(5)).pipe(sf.filter_items, odd))


def test_a_length_is_not_told_of_rng():
    @stream_map(kind="windowed", length=lambda n, times: n * times)
    def repeated(stream, times, rng):
        for item in stream:
            yield [item] * times

    assert len(sf.Streamer(range(5)).pipe(repeated, 3)) == 15


def test_a_missing_parameter_says_of_which_map():
    with pytest.raises(TypeError, match="map_items: missing a required argument: 'fn'"):
        sf.Streamer([1]).pipe(sf.map_items)
