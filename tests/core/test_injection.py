"""Which leaf functions receive an `rng`: signatures are read through partial, `__wrapped__` and `__call__`."""

import functools

import numpy as np
import pytest

import streamflow as sf


class Callable:
    def __call__(self, rng):
        yield rng

    def method(self, rng):
        yield rng


class Iterating:
    def __init__(self, rng):
        self.rng = [rng]

    def __iter__(self):
        return self

    def __next__(self):
        if not self.rng:
            raise StopIteration
        return self.rng.pop()


def wrapped(function):
    @functools.wraps(function)
    def inner(*args, **kwargs):
        return function(*args, **kwargs)

    return inner


def no_default(rng):
    yield rng


def default_none(rng=None):
    yield rng


def keyword_only(*, rng):
    yield rng


def after_others(a, b=2, rng=None):
    yield rng


def default_given(rng="mine"):
    yield rng


def anything(*args, **kwargs):
    yield kwargs.get("rng", "nothing")


INJECTED = {
    "no default": sf.Streamer(no_default),
    "default None": sf.Streamer(default_none),
    "keyword only": sf.Streamer(keyword_only),
    "after others": sf.Streamer(after_others, 1),
    "lambda": sf.Streamer(lambda rng: iter([rng])),
    "partial": sf.Streamer(functools.partial(after_others, 1)),
    "partial of partial": sf.Streamer(functools.partial(functools.partial(after_others, 1), b=3)),
    "__wrapped__": sf.Streamer(wrapped(no_default)),
    "wrapped twice": sf.Streamer(wrapped(wrapped(default_none))),
    "partial of wrapped": sf.Streamer(functools.partial(wrapped(after_others), 1)),
    "callable object": sf.Streamer(Callable()),
    "bound method": sf.Streamer(Callable().method),
    "type": sf.Streamer(Iterating),
    "streamable": sf.streamable(no_default)(),
}

NOT_INJECTED = {
    "default given": (sf.Streamer(default_given), "mine"),
    "keyword bound": (sf.Streamer(no_default, rng=5), 5),
    "positional bound": (sf.Streamer(no_default, 5), 5),
    "bound to None": (sf.Streamer(default_none, rng=None), None),
    "partial bound": (sf.Streamer(functools.partial(no_default, rng=5)), 5),
    "partial positional": (sf.Streamer(functools.partial(no_default, 5)), 5),
    "only **kwargs": (sf.Streamer(anything), "nothing"),
    "builtin": (sf.Streamer(iter, ["x"]), "x"),
}


@pytest.mark.parametrize("name", INJECTED)
def test_rng_is_injected(name):
    streamer = INJECTED[name].with_seed(1)
    (rng,), (again,), (other,) = list(streamer), list(streamer), list(streamer.iterate(epoch=1))
    assert isinstance(rng, np.random.Generator)
    numbers = rng.random(3).tolist()
    assert numbers == again.random(3).tolist()
    assert numbers != other.random(3).tolist()


@pytest.mark.parametrize("name", NOT_INJECTED)
def test_rng_is_not_injected(name):
    streamer, wanted = NOT_INJECTED[name]
    assert list(streamer) == [wanted]
