"""streamable: a decorated function makes Streamers, keeps its signature, and what it makes can be pickled."""

import functools
import inspect
import pickle
import subprocess
import sys

import pytest

import streamflow as sf


@sf.streamable
def count_to(n, step=1):
    """Count to n."""
    yield from range(0, n, step)


@sf.streamable
def draws(n, rng):
    for _ in range(n):
        yield int(rng.integers(10**9))


@sf.streamable
def doubled(stream):
    for item in stream:
        yield 2 * item


@sf.streamable
def returning(n):
    return iter(range(n))


class Corpus:
    """Streams as methods of a class."""

    def __init__(self, size):
        self.size = size

    @sf.streamable
    def items(self, step=1):
        yield from range(0, self.size, step)

    @staticmethod
    @sf.streamable
    def letters():
        yield from "ab"


def test_calling_it_gives_a_streamer():
    streamer = count_to(7, step=3)
    assert isinstance(streamer, sf.Streamer)
    assert list(streamer) == list(streamer) == [0, 3, 6]
    assert list(streamer.cycle(4)) == [0, 3, 6, 0]
    assert list(returning(2)) == [0, 1]


def test_the_function_looks_as_it_did():
    assert count_to.__name__ == "count_to"
    assert count_to.__doc__ == "Count to n."
    assert count_to.__module__ == __name__
    assert list(inspect.signature(count_to).parameters) == ["n", "step"]


def test_it_works_on_methods():
    corpus = Corpus(5)
    assert list(corpus.items()) == [0, 1, 2, 3, 4]
    assert list(corpus.items(step=2)) == [0, 2, 4]
    assert list(Corpus.letters()) == list(corpus.letters()) == ["a", "b"]
    assert [list(s) for s in (Corpus(1).items(), Corpus(2).items())] == [[0], [0, 1]]


def test_rng_is_injected_and_streamers_are_bound():
    assert list(draws(4).with_seed(1)) == list(draws(4).with_seed(1)) != list(draws(4).with_seed(2))
    one = list(sf.ChainMux([doubled(draws(3)), doubled(draws(3))], random_state=0))
    assert len(set(one)) == 6
    assert list(doubled(count_to(3))) == [0, 2, 4]


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_what_it_makes_can_be_pickled(protocol):
    for make in (lambda: count_to(3), lambda: doubled(count_to(3)), lambda: Corpus(3).items()):
        again = pickle.loads(pickle.dumps(make(), protocol))
        assert isinstance(again, sf.Streamer)
        assert list(again) == list(make())
    mux = sf.StochasticMux([draws(4), draws(5)], 2, 2, random_state=0)
    assert list(pickle.loads(pickle.dumps(mux, protocol)).iterate(20)) == list(mux.iterate(20))


def test_the_function_itself_can_be_pickled():
    assert list(pickle.loads(pickle.dumps(count_to))(3)) == [0, 1, 2]


MODULE = """
import streamflow as sf

@sf.streamable
def numbers(n, rng=None):
    for _ in range(n):
        yield int(rng.integers(100))
"""


def test_a_fresh_process_can_unpickle_it(tmp_path):
    (tmp_path / "made.py").write_text(MODULE)
    program = [
        "import made, pickle; s = made.numbers(5).with_seed(3); pickle.dump(s, open('s', 'wb')); print(list(s))",
        "import pickle; print(list(pickle.load(open('s', 'rb'))))",
    ]
    run = functools.partial(subprocess.run, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
    said = [run([sys.executable, "-c", text]) for text in program]
    assert said[0].stdout == said[1].stdout
    assert len(said[0].stdout.split()) == 5


def test_async_generator_functions_are_refused():
    async def ticks():
        yield 1

    with pytest.raises(sf.StreamflowError, match="(?i)async"):
        next(iter(sf.streamable(ticks)()))


def test_it_refuses_what_is_no_function():
    with pytest.raises(sf.exceptions.ParameterError):
        sf.streamable(5)
