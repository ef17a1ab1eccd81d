"""Streamer: what may be a source, exact draws, no copies, checks at the call, empties."""

import copy
import functools
import itertools
import pickle
import threading
import types
from decimal import Decimal

import numpy as np
import pytest

import streamflow as sf


def count_to(n):
    """A module-level leaf, so that a Streamer of it can be pickled."""
    yield from range(n)


class Tap:
    """A generator function over `n` numbers that notes every item drawn and every opening."""

    def __init__(self, n):
        self.n, self.drawn, self.opened = n, [], 0

    def __call__(self):
        self.opened += 1
        for i in range(self.n):
            self.drawn.append(i)
            yield i


class Countdown:
    """A type whose instances are iterators."""

    def __init__(self, n):
        self.n = n

    def __iter__(self):
        return self

    def __next__(self):
        if self.n == 0:
            raise StopIteration
        self.n -= 1
        return self.n


class Evens:
    """An object whose `__call__` returns an iterator."""

    def __call__(self, stop):
        return iter(range(0, stop, 2))


class Thrice:
    """An iterable that is neither a sequence nor callable."""

    def __iter__(self):
        return iter("abc")


class Uncopyable:
    """Stands for a 10 GB array: any attempt to copy or pickle it is an error."""

    def _refuse(self, *args):
        raise AssertionError("an argument was copied")

    __copy__ = __deepcopy__ = __reduce__ = __reduce_ex__ = _refuse


SOURCES = {
    "generator function": (lambda: sf.Streamer(count_to, 3), [0, 1, 2]),
    "keyword arguments": (lambda: sf.Streamer(count_to, n=3), [0, 1, 2]),
    "partial": (lambda: sf.Streamer(functools.partial(count_to, 3)), [0, 1, 2]),
    "lambda with a generator expression": (lambda: sf.Streamer(lambda n: (i * i for i in range(n)), 3), [0, 1, 4]),
    "function returning an iterator": (lambda: sf.Streamer(lambda: iter("ab")), ["a", "b"]),
    "callable object, generator": (lambda: sf.Streamer(Tap(2)), [0, 1]),
    "callable object, iterator": (lambda: sf.Streamer(Evens(), 5), [0, 2, 4]),
    "bound method": (lambda: sf.Streamer(Evens().__call__, 5), [0, 2, 4]),
    "type": (lambda: sf.Streamer(Countdown, 3), [2, 1, 0]),
    "builtin type zip": (lambda: sf.Streamer(zip, "ab", (1, 2)), [("a", 1), ("b", 2)]),
    "builtin type map": (lambda: sf.Streamer(map, str, (1, 2)), ["1", "2"]),
    "builtin function": (lambda: sf.Streamer(iter, "ab"), ["a", "b"]),
    "list": (lambda: sf.Streamer([3, 1, 2]), [3, 1, 2]),
    "string": (lambda: sf.Streamer("abc"), ["a", "b", "c"]),
    "range": (lambda: sf.Streamer(range(3)), [0, 1, 2]),
    "array": (lambda: sf.Streamer(np.arange(3)), [0, 1, 2]),
    "iterable object": (lambda: sf.Streamer(Thrice()), ["a", "b", "c"]),
    "Streamer": (lambda: sf.Streamer(sf.Streamer("ab")), ["a", "b"]),
    "mux": (lambda: sf.Streamer(sf.ChainMux(["ab", "c"])), ["a", "b", "c"]),
}


@pytest.mark.parametrize("name", SOURCES)
def test_every_kind_of_source_can_be_read_again_and_again(name):
    make, wanted = SOURCES[name]
    streamer = make()
    assert list(streamer) == wanted
    assert list(streamer.iterate()) == wanted
    assert list(streamer(max_iter=2)) == wanted[:2]
    assert list(streamer.cycle(max_iter=len(wanted) + 1)) == [*wanted, wanted[0]]
    with streamer.open() as live:
        assert list(live) == wanted


def test_iter_with_a_sentinel_is_a_source():
    numbers = itertools.count()
    streamer = sf.Streamer(iter, lambda: next(numbers) % 4, 3)
    assert list(streamer) == [0, 1, 2]
    assert list(streamer) == [0, 1, 2]


@pytest.mark.parametrize("source", [5, None, 1.5, object()])
def test_what_is_neither_callable_nor_iterable_is_refused_at_once(source):
    with pytest.raises(sf.exceptions.ParameterError, match="source"):
        sf.Streamer(source)


@pytest.mark.parametrize("source", [lambda: 6, lambda: None])
def test_a_callable_that_returns_no_iterator_is_refused_at_the_first_pass(source):
    streamer = sf.Streamer(source)
    items = iter(streamer)
    with pytest.raises(sf.StreamflowError, match="iterator"):
        next(items)


def test_async_generator_functions_are_refused():
    async def ticks():
        yield 1

    with pytest.raises(sf.StreamflowError, match="(?i)async"):
        next(iter(sf.Streamer(ticks)))


@pytest.mark.parametrize(
    ("max_iter", "wanted"),
    [(0, 0), (1, 1), (3, 3), (1e1, 10), (2.9, 2), (0.5, 0), (-1, 0), (-0.5, 0), (-3.0, 0), (np.int64(4), 4),
     (np.uint8(4), 4), (np.float32(3.5), 3), (None, 12), (99, 12), (2**70, 12), (1e30, 12)],
)  # fmt: skip
def test_max_iter_draws_exactly_so_many_items(max_iter, wanted):
    for read in (
        lambda s: s.iterate(max_iter),
        lambda s: s(max_iter),
        lambda s: s(max_iter=max_iter),
        lambda s: s.iterate(max_iter=max_iter, epoch=3),
    ):
        tap = Tap(12)
        assert list(read(sf.Streamer(tap))) == list(range(wanted))
        assert len(tap.drawn) == wanted


@pytest.mark.parametrize("max_iter", [0, 1, 3, 7, 2.5, -2])
def test_cycle_draws_exactly_so_many_items(max_iter):
    wanted = max(0, int(max_iter))
    for read in (lambda s: s.cycle(max_iter), lambda s: s(max_iter, cycle=True)):
        tap = Tap(3)
        assert list(read(sf.Streamer(tap))) == [i % 3 for i in range(wanted)]
        assert len(tap.drawn) == wanted


@pytest.mark.parametrize(
    "max_iter", [True, False, np.True_, float("nan"), float("inf"), Decimal("NaN"), "3", [3], b"3"]
)
def test_max_iter_is_checked_at_the_call(max_iter):
    streamer = sf.Streamer("abc")
    for call in (streamer.iterate, streamer.cycle, streamer):
        with pytest.raises(sf.exceptions.ParameterError, match="max_iter"):
            call(max_iter)


@pytest.mark.parametrize("epoch", [-1, 2**32, "0"])
def test_epoch_is_checked_at_the_call(epoch):
    streamer = sf.Streamer("abc")
    for call in (streamer.iterate, streamer, streamer.open):
        with pytest.raises(sf.exceptions.ParameterError, match="epoch"):
            call(epoch=epoch)


@pytest.mark.parametrize(
    "tree",
    [
        lambda taps: sf.RoundRobinMux([sf.Streamer(t) for t in taps]),
        lambda taps: sf.RoundRobinMux([sf.Streamer(t) for t in taps], mode="cycle"),
        lambda taps: sf.ChainMux([sf.Streamer(t) for t in taps]),
        lambda taps: sf.ChainMux([sf.Streamer(t) for t in taps], mode="cycle"),
        lambda taps: sf.ShuffledMux([sf.Streamer(t) for t in taps], weights=[3, 1, 1], random_state=0),
        lambda taps: sf.StochasticMux([sf.Streamer(t) for t in taps], 2, 2, random_state=0),
        lambda taps: sf.StochasticMux([sf.Streamer(t) for t in taps], 2, None, mode="exhaustive", random_state=0),
        lambda taps: sf.StochasticMux([sf.Streamer(t) for t in taps], 3, 1.5, mode="single_active", random_state=0),
        lambda taps: sf.ShuffledMux([sf.ChainMux([sf.Streamer(t)]) for t in taps], random_state=0),
    ],
)
@pytest.mark.parametrize("max_iter", [1, 2, 5, 9])
def test_a_mux_draws_no_item_that_it_does_not_give(tree, max_iter):
    taps = [Tap(4), Tap(5), Tap(6)]
    given = list(tree(taps).iterate(max_iter))
    assert len(given) == max_iter
    assert sum(len(t.drawn) for t in taps) == max_iter


def test_piped_maps_draw_exactly_what_they_need():
    tap = Tap(50)
    samples = sf.Streamer(lambda: ({"x": i} for i in tap()))
    batches = list(samples.pipe(sf.buffer_stream, 4).iterate(2))
    assert [b["x"].tolist() for b in batches] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert len(tap.drawn) == 8


def test_arguments_are_shared_by_reference(tmp_path):
    lock, huge = threading.Lock(), np.broadcast_to(np.zeros(1), (10 * 2**30 // 8,))
    with open(tmp_path / "handle", "w+") as handle:
        given = (Uncopyable(), lock, handle, huge)

        def leaf(*args, extra):
            yield all(a is b for a, b in zip(args, given, strict=True)) and extra is given[0]

        streamer = sf.Streamer(leaf, *given, extra=given[0])
        assert list(streamer) == [True]
        assert list(streamer.cycle(max_iter=2)) == [True, True]
        assert all(a is b for a, b in zip(streamer.args, given, strict=True))
        assert streamer.kwargs["extra"] is given[0]
        mux = sf.StochasticMux([streamer, streamer], n_active=2, rate=1, random_state=0)
        assert list(mux.iterate(6)) == [True] * 6
        assert list(sf.ChainMux([mux, mux], mode="cycle").iterate(3)) == [True] * 3


def test_a_source_object_is_not_copied_either():
    class Corpus(Uncopyable):
        def __iter__(self):
            yield self

    corpus = Corpus()
    assert next(iter(sf.Streamer(corpus))) is corpus
    assert next(iter(sf.ShuffledMux([corpus, corpus], random_state=0))) is corpus


def test_kwargs_cannot_be_changed_from_outside():
    streamer = sf.Streamer(count_to, n=3)
    with pytest.raises(TypeError):
        streamer.kwargs["n"] = 4
    assert isinstance(streamer.args, tuple)
    assert list(streamer) == [0, 1, 2]


@pytest.mark.parametrize(
    "streamer",
    [
        sf.Streamer("abc"),
        sf.RoundRobinMux(["ab", "c"]),
        sf.ChainMux(["ab", "c"]),
        sf.ShuffledMux(["ab", "c"], random_state=0),
        sf.StochasticMux(["ab", "c"], 1, 2, random_state=0),
        sf.ZipMux([[{"x": 1}], [{"y": 2}]]),
        sf.Streamer([{"x": 1}]).pipe(sf.tuples, "x"),
    ],
    ids=lambda s: type(s).__name__,
)
def test_iterate_cycle_call_and_iter_give_generator_objects(streamer):
    for items in (streamer.iterate(), streamer.cycle(), streamer(), streamer(max_iter=2, cycle=True), iter(streamer)):
        assert type(items) is types.GeneratorType
        next(items)
        items.close()


def test_nothing_is_opened_before_the_first_next():
    tap = Tap(3)
    opened = []

    def plain():
        opened.append(1)
        return iter("ab")

    for streamer in (sf.Streamer(tap), sf.Streamer(plain), sf.ShuffledMux([sf.Streamer(plain), sf.Streamer(tap)])):
        pending = [streamer.iterate(), streamer.cycle(), streamer(), iter(streamer), streamer.open()]
        assert (tap.opened, opened) == (0, [])
        for items in pending:
            items.close()
    assert (tap.opened, opened) == (0, [])


def test_active_counts_the_live_passes():
    streamer = sf.Streamer("abc")
    assert (streamer.active, streamer.is_activated_copy) == (0, False)
    first, second = streamer.iterate(), streamer.open()
    next(first)
    next(second)
    assert streamer.active == 2
    first.close()
    assert streamer.active == 1
    assert list(second) == ["b", "c"]
    second.close()
    assert streamer.active == 0


def test_no_pass_over_a_copy_is_open():
    streamer = sf.Streamer("abc")
    with streamer.open() as live:
        next(live)
        assert [twin.active for twin in (copy.copy(streamer), streamer.with_seed(0), streamer)] == [0, 0, 1]


def test_active_falls_after_an_error():
    def broken():
        yield 1
        raise OSError("disk")

    streamer = sf.Streamer(broken)
    with pytest.raises(OSError, match="disk"):
        list(streamer)
    assert streamer.active == 0


def test_cycle_ends_after_an_empty_epoch():
    left = [3, 2, 0]

    def shrinking():
        yield from range(left.pop(0))

    assert list(sf.Streamer(())) == []
    assert list(sf.Streamer(()).cycle()) == []
    assert list(sf.Streamer(()).open(cycle=True)) == []
    assert list(sf.Streamer(shrinking).cycle()) == [0, 1, 2, 0, 1]


@pytest.mark.parametrize(
    "mux",
    [
        sf.RoundRobinMux([(), ()]),
        sf.RoundRobinMux([(), ()], mode="cycle"),
        sf.RoundRobinMux([(), ()], mode="permuted_cycle"),
        sf.ChainMux(lambda: iter([])),
        sf.ChainMux(lambda: iter([]), mode="cycle"),
        sf.ChainMux([(), ()], mode="cycle"),
        sf.ShuffledMux([(), ()]),
        sf.StochasticMux([(), ()], 1, 2),
        sf.StochasticMux([(), ()], 2, None, prune_empty_streams=False),
        sf.StochasticMux([(), (), ()], 2, 3, mode="single_active", prune_empty_streams=False),
        sf.StochasticMux([(), ()], 2, 3, mode="exhaustive"),
        sf.StochasticMux([(), ()], None, None),
        sf.ZipMux([(), ()], mode="cycle"),
        sf.Streamer(()).pipe(sf.buffer_stream, 2, partial=True),
        sf.ChainMux([sf.ShuffledMux([(), sf.RoundRobinMux([()], mode="cycle")]), ()], mode="cycle"),
    ],
)
def test_an_operation_over_nothing_ends(mux):
    assert list(mux) == []
    assert list(mux.cycle()) == []


def test_pipe_and_with_seed_derive_new_descriptions():
    streamer = sf.Streamer(count_to, 4)
    doubled = streamer.pipe(lambda items, by: (by * i for i in items), by=2)
    assert (type(doubled), list(doubled), list(streamer)) == (sf.Streamer, [0, 2, 4, 6], [0, 1, 2, 3])
    assert streamer.with_seed(1) is not streamer
    assert list(streamer.with_seed(1)) == [0, 1, 2, 3]
    assert isinstance(streamer.pipe(sf.ZMQStreamer, timeout=1), sf.ZMQStreamer)


def test_a_streamer_of_a_module_level_function_pickles():
    streamer = sf.Streamer(count_to, 3)
    next(iter(streamer))
    assert list(pickle.loads(pickle.dumps(streamer))) == [0, 1, 2]
