"""tuples and keras_tuples: which form each choice of keys gives, and what is refused."""

import types

import numpy as np
import pytest

import streamflow as sf

ROWS = [{"x": np.full(2, i), "y": i, "z": str(i), 7: -i} for i in range(4)]


def test_tuples_gives_the_values_of_the_keys_in_order():
    assert list(sf.tuples(ROWS, "y", "z")) == [(i, str(i)) for i in range(4)]
    assert list(sf.tuples(ROWS, "z")) == [(str(i),) for i in range(4)]
    assert list(sf.tuples(ROWS, 7, "y", 7)) == [(-i, i, -i) for i in range(4)]
    assert all(a is d["x"] for (a,), d in zip(sf.tuples(ROWS, "x"), ROWS, strict=True))


def form(value):
    """The form of an item, each value by its key."""
    if value is None:
        return None
    if isinstance(value, list):
        return [form(v) for v in value]
    return {np.ndarray: "x", int: "y", str: "z"}[type(value)]


@pytest.mark.parametrize(
    ("inputs", "outputs", "wanted"),
    [
        ("x", "y", ("x", "y")),
        ("x", None, ("x", None)),
        (None, "y", (None, "y")),
        ("x", [], ("x", None)),
        ((), "y", (None, "y")),
        ("", "y", (None, "y")),
        (["x"], "y", (["x"], "y")),
        (["x", "z"], ["y"], (["x", "z"], ["y"])),
        (["x"], None, (["x"], None)),
        (("x", "z"), None, (["x", "z"], None)),
        (("x", "z"), ["y"], (["x", "z"], ["y"])),
        (["x"], ("y", "z"), (["x"], ["y", "z"])),
        (("x",), ("y",), (["x"], ["y"])),
        (("x",), "y", (["x"], "y")),
        (None, ("y",), (None, ["y"])),
        ("x", "x", ("x", "x")),
    ],
)
def test_keras_tuples(inputs, outputs, wanted):
    found = list(sf.keras_tuples(ROWS, inputs, outputs))
    assert len(found) == 4
    for pair in found:
        assert type(pair) is tuple
        assert (form(pair[0]), form(pair[1])) == wanted


def test_keras_tuples_hands_out_the_very_arrays():
    for (x, y), row in zip(sf.keras_tuples(ROWS, "x", ["x", "y"]), ROWS, strict=True):
        assert x is row["x"]
        assert y[0] is row["x"]


def test_keys_are_checked_at_the_call():
    stream = sf.Streamer(ROWS)
    for call in (
        lambda: sf.tuples(ROWS),
        lambda: stream.pipe(sf.tuples),
        lambda: sf.Streamer(sf.tuples, stream),
        lambda: sf.keras_tuples(ROWS),
        lambda: sf.keras_tuples(ROWS, [], ()),
        lambda: sf.keras_tuples(ROWS, None, ""),
        lambda: stream.pipe(sf.keras_tuples),
    ):
        with pytest.raises(sf.exceptions.ParameterError):
            call()


def test_a_set_of_keys_is_refused_because_it_has_no_order():
    for name, call in {
        "inputs": lambda: sf.keras_tuples(ROWS, {"x", "z"}, "y"),
        "outputs": lambda: sf.keras_tuples(ROWS, "x", frozenset("yz")),
    }.items():
        with pytest.raises(sf.exceptions.ParameterError, match=f"^`{name}` must be a key or a list of keys, got "):
            call()
    assert next(sf.keras_tuples(ROWS, {"y": 0, "z": 1}.keys(), None)) == ([0, "0"], None)


def test_a_key_that_no_dict_can_have_is_refused_by_the_name_of_its_parameter():
    for name, call in {
        "keys": lambda: sf.tuples(ROWS, "x", ["y"]),
        "inputs": lambda: sf.keras_tuples(ROWS, [["x"]], "y"),
        "outputs": lambda: sf.keras_tuples(ROWS, "x", ["y", {}]),
    }.items():
        with pytest.raises(sf.exceptions.ParameterError, match=f"^`{name}` must be .*hashable"):
            call()


@pytest.mark.parametrize("item", [(1, 2), 5, None, np.zeros(3), [1]])
def test_an_item_that_is_not_a_dict_is_a_data_error(item):
    with pytest.raises(sf.DataError):
        list(sf.tuples([item], "x"))
    with pytest.raises(sf.DataError):
        list(sf.keras_tuples([item], "x"))


def test_a_missing_key_is_a_key_error_that_names_it():
    for items in (sf.tuples(ROWS, "x", "nothing"), sf.keras_tuples(ROWS, "x", ["nothing"])):
        with pytest.raises(KeyError, match="nothing"):
            next(items)


@pytest.mark.parametrize("mapping", [lambda s: sf.tuples(s, "y"), lambda s: sf.keras_tuples(s, "y", "z")])
def test_they_take_anything_that_can_be_iterated_and_give_generators(mapping):
    streamer = sf.Streamer(ROWS)
    with streamer.open() as live:
        wanted = list(mapping(ROWS))
        for iterable in (ROWS, iter(ROWS), (r for r in ROWS), streamer, live, sf.ChainMux([ROWS])):
            found = mapping(iterable)
            assert type(found) is types.GeneratorType
            assert list(found) == wanted


def test_piped_they_are_streamers():
    piped = sf.Streamer(ROWS).pipe(sf.tuples, "y")
    keras = sf.Streamer(sf.keras_tuples, sf.Streamer(ROWS), "y", outputs="z")
    for _ in range(2):
        assert list(piped) == [(0,), (1,), (2,), (3,)]
        assert list(keras) == [(0, "0"), (1, "1"), (2, "2"), (3, "3")]
    assert [list(piped.shard(k, 2)) for k in range(2)] == [[(0,), (2,)], [(1,), (3,)]]
    with piped.open() as live:
        next(live)
        state = live.state_dict()
    with piped.open() as live:
        live.load_state_dict(state)
        assert list(live) == [(1,), (2,), (3,)]


def test_they_draw_one_item_for_one():
    drawn = []

    def leaf():
        for row in ROWS:
            drawn.append(1)
            yield row

    for items in (sf.tuples(sf.Streamer(leaf), "y"), sf.keras_tuples(sf.Streamer(leaf), "y")):
        drawn.clear()
        assert drawn == []
        next(items)
        assert len(drawn) == 1
        items.close()
