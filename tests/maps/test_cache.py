"""cache: what it keeps, how often it gives an item, and what is refused."""

import itertools
import types

import numpy as np
import pytest

import streamflow as sf


def test_the_first_items_pass_in_order():
    for iterable in (range(5), iter(range(5)), sf.Streamer(range(5)), sf.Streamer(range(5)).open()):
        items = sf.cache(iterable, 5, random_state=0)
        assert type(items) is types.GeneratorType
        assert list(itertools.islice(items, 5)) == [0, 1, 2, 3, 4]


def test_a_stream_shorter_than_the_cache_passes_unchanged():
    assert list(sf.cache(range(3), 10, random_state=0)) == [0, 1, 2]
    assert list(sf.cache([], 3, random_state=0)) == []


@pytest.mark.parametrize("n_cache", [1, 2, 7])
def test_prob_one_gives_every_item_once_in_order(n_cache):
    assert list(sf.cache(range(50), n_cache, prob=1.0, random_state=0)) == list(range(50))


@pytest.mark.parametrize("seed", range(5))
def test_it_gives_items_of_the_cache_only(seed):
    """Never an item that was not drawn yet, and never more than n_cache different ones between two new items."""
    drawn = 0

    def leaf():
        nonlocal drawn
        for i in range(200):
            drawn += 1
            yield i

    newest, alive = -1, set()
    for item in sf.cache(leaf(), 4, prob=0.3, random_state=seed):
        assert item < drawn
        if item > newest:
            assert item == newest + 1  # new items come at once, and in order
            newest, alive = item, set()
        alive.add(item)
        assert len(alive) <= 4
    assert newest == 199


@pytest.mark.parametrize("prob", [0.25, 0.5, 0.9])
def test_the_mean_number_of_outputs_per_item_is_one_over_prob(prob):
    n, n_cache = 20_000, 10
    n_out = sum(1 for _ in sf.cache(range(n), n_cache, prob=prob, random_state=1))
    # the first n_cache come once; then outputs until the n-th success: negative binomial
    mean = n_cache + (n - n_cache + 1) / prob - 1
    deviation = np.sqrt(n * (1 - prob)) / prob
    assert abs(n_out - mean) < 4 * deviation


def test_the_slot_that_is_replaced_is_uniform():
    """Each of the first items leaves the cache at the same rate, so they are given equally often on average."""
    counts = np.zeros(4)
    for seed in range(400):
        items = np.fromiter(itertools.islice(sf.cache(range(10**6), 4, 0.2, seed), 300), int)
        counts += [np.count_nonzero(items == i) for i in range(4)]
    # an item is given 1 + geometric times: mean 1 + (1 - prob) / prob, in each of 400 runs
    mean, deviation = 400 * (1 + 0.8 / 0.2), np.sqrt(400 * 0.8) / 0.2
    assert np.all(np.abs(counts - mean) < 4.5 * deviation)


def test_it_repeats_with_a_seed():
    first = list(sf.cache(range(50), 5, random_state=3))
    assert list(sf.cache(range(50), 5, random_state=3)) == first
    assert list(sf.cache(range(50), 5, random_state=4)) != first
    assert list(sf.cache(range(50), 5, random_state=np.random.default_rng(3))) == list(
        sf.cache(range(50), 5, random_state=np.random.default_rng(3))
    )


def test_without_a_seed_it_follows_the_global_state():
    np.random.seed(0)
    first = [list(sf.cache(range(50), 5)) for _ in range(2)]
    np.random.seed(0)
    assert [list(sf.cache(range(50), 5)) for _ in range(2)] == first
    assert first[0] != first[1]


def test_piped_it_has_epochs_and_inherits_or_owns_its_root():
    piped = sf.Streamer(range(50)).pipe(sf.cache, 5)
    seeded = piped.with_seed(1)
    assert list(seeded) == list(seeded) != list(seeded.iterate(epoch=1))
    assert list(piped.with_seed(2)) != list(seeded)
    own = sf.Streamer(range(50)).pipe(sf.cache, 5, random_state=6)
    assert list(own) == list(own) != list(own.iterate(epoch=1))
    muxes = [sf.ChainMux([own], random_state=k) for k in range(2)]
    assert list(muxes[0]) == list(muxes[1])
    muxes = [sf.ChainMux([piped], random_state=k) for k in range(2)]
    assert list(muxes[0]) != list(muxes[1])


def test_piped_it_shards_inside_the_part():
    piped = sf.Streamer(range(60)).pipe(sf.cache, 3, prob=0.5).with_seed(0)
    parts = [list(piped.shard(k, 3)) for k in range(3)]
    assert [set(p) for p in parts] == [set(range(k, 60, 3)) for k in range(3)]


@pytest.mark.parametrize(
    ("name", "kwargs"),
    [
        ("n_cache", {"n_cache": 0}),
        ("n_cache", {"n_cache": -1}),
        ("n_cache", {"n_cache": True}),
        ("n_cache", {"n_cache": "3"}),
        ("prob", {"n_cache": 3, "prob": 0}),
        ("prob", {"n_cache": 3, "prob": -0.5}),
        ("prob", {"n_cache": 3, "prob": 1.01}),
        ("prob", {"n_cache": 3, "prob": float("nan")}),
        ("prob", {"n_cache": 3, "prob": "0.5"}),
        ("random_state", {"n_cache": 3, "random_state": "x"}),
        ("random_state", {"n_cache": 3, "random_state": True}),
    ],
)
def test_parameters_are_checked_at_the_call(name, kwargs):
    streamer = sf.Streamer(range(5))
    for call in (
        lambda: sf.cache(range(5), **kwargs),
        lambda: streamer.pipe(sf.cache, **kwargs),
        lambda: sf.Streamer(sf.cache, streamer, **kwargs),
    ):
        with pytest.raises(sf.exceptions.ParameterError, match=name):
            call()


def test_it_draws_only_what_it_needs_and_closes_its_leaf():
    drawn, closed = [], []

    def leaf():
        try:
            for i in range(100):
                drawn.append(i)
                yield i
        finally:
            closed.append(1)

    items = sf.cache(sf.Streamer(leaf), 5, prob=1.0, random_state=0)
    assert drawn == []
    list(itertools.islice(items, 3))
    assert len(drawn) == 3
    list(itertools.islice(items, 4))
    assert len(drawn) == 7
    items.close()
    assert closed == [1]
