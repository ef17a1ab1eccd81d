"""Classes of one's own cannot hide methods of ours behind attributes."""

import functools

import pytest

import streamflow as sf
from streamflow.sources import Source


class Rows(Source):
    def __init__(self, n, **own):
        self.n = n
        for name, value in own.items():
            setattr(self, name, value)

    def __len__(self):
        return self.n

    def sample(self, index):
        return {"x": index}


class First(sf.BaseMux):
    def __init__(self, streamers, **own):
        super().__init__(streamers)
        for name, value in own.items():
            setattr(self, name, value)

    def choose(self, step, live, u):
        return live[0]


@pytest.mark.parametrize("name", ["keys", "samples", "batches", "map", "close", "fetch", "_label", "_view"])
def test_a_source(name):
    with pytest.raises(sf.ParameterError, match=f"`Rows.{name}` must be a method, got .*; keep it under another name"):
        Rows(3, **{name: ["x"]})
    with pytest.raises(sf.ParameterError, match=f"`Own.{name}` must be a method"):
        type("Own", (Rows,), {name: 5})


@pytest.mark.parametrize("name", ["cycle", "open", "shard", "choose", "ended", "children", "iterate", "_root"])
def test_a_mux(name):
    with pytest.raises(sf.ParameterError, match=f"`First.{name}` must be a method, got True"):
        First(["ab"], **{name: True})
    with pytest.raises(sf.ParameterError, match=f"`Own.{name}` must be a method"):
        type("Own", (First,), {name: property(lambda self: 5)})


def test_what_can_be_called_may_take_the_place_of_a_method():
    rows = Rows(3, sample=lambda index: {"x": -index}, prefetch=functools.partial(print, end=""))
    assert rows.read([1, 2])["x"].tolist() == [-1, -2]

    class Own(Rows):
        @staticmethod
        def keys():
            return ("x",)

    (batch,) = Own(3).batches(3, keys="x")
    assert batch.tolist() == [0, 1, 2]


def test_other_attributes_are_free():
    rows = Rows(3, size=2, length=4, data=[1], order="first", name="rows")
    assert (rows.size, rows.length, rows.data, rows.order, rows.name) == (2, 4, [1], "first", "rows")
    assert [batch["x"].tolist() for batch in rows.batches(2)] == [[0, 1], [2]]
    mux = First(["ab", "c"], rate=3, mode="any", order=[1])
    assert (mux.rate, mux.mode, mux.order, list(mux)) == (3, "any", [1], ["a", "b", "c"])
