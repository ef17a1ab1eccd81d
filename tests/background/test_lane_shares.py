"""Of an endless tree each lane alone has the weights, from its first item on; together they keep the working set."""

import multiprocessing
from math import exp

import pytest

import streamflow as sf

from ..amount import amount
from .leaves import endless, pool

#: Fixed seeds: the same verdict each time.  A p-value below this one is a broken law.
RARE = 1e-5
WEIGHTS = (0.6, 0.3, 0.1)


def p_of_three(counts, weights):
    """Chi-square goodness of fit over three cells: its tail with two degrees of freedom is exp(-x / 2)."""
    n = sum(counts)
    expected = [n * weight / sum(weights) for weight in weights]
    assert min(expected) >= 5
    return exp(-sum((seen - wanted) ** 2 / wanted for seen, wanted in zip(counts, expected, strict=True)) / 2)


def test_the_test_itself():
    assert p_of_three([600, 300, 100], WEIGHTS) == 1.0
    assert p_of_three([640, 230, 130], WEIGHTS) < RARE


TREES = {
    "with_replacement": lambda seed: sf.StochasticMux(pool(endless, 3), 6, 4, weights=WEIGHTS, random_state=seed),
    "shuffled": lambda seed: sf.ShuffledMux(pool(endless, 3), weights=WEIGHTS, random_state=seed),
}


@pytest.mark.parametrize("tree", TREES)
@pytest.mark.parametrize(("n_lanes", "n_workers"), [(2, 1), (2, 2)])
def test_first_items_of_each_lane_have_the_shares(tree, n_lanes, n_workers):
    first = [[0, 0, 0] for _ in range(n_lanes)]
    early = [[0, 0, 0] for _ in range(n_lanes)]
    for seed in range(amount(50, 100)):
        z = sf.ZMQStreamer(TREES[tree](seed), n_lanes=n_lanes, n_workers=n_workers)
        items = list(z(max_iter=6 * n_lanes))
        for lane in range(n_lanes):
            first[lane][items[lane]] += 1
            early[lane][items[lane + 5 * n_lanes]] += 1
    assert min(p_of_three(counts, WEIGHTS) for counts in [*first, *early]) * 2 * n_lanes > RARE
    assert first[0] != first[1], "lanes choose for themselves"


@pytest.mark.parametrize("tree", TREES)
@pytest.mark.parametrize(("n_lanes", "n_workers"), [(2, 2), (3, 1), (3, 3)])
def test_each_lane_has_the_shares_in_the_long_run(tree, n_lanes, n_workers):
    """Items of one activation come together, so they count as one."""
    rate = 1 if tree == "with_replacement" else 4
    made = sf.StochasticMux(pool(endless, 3), 6, rate, weights=WEIGHTS, random_state=3) if rate == 1 else TREES[tree](3)
    items = list(sf.ZMQStreamer(made, n_lanes=n_lanes, n_workers=n_workers)(max_iter=3000 * n_lanes))
    for lane in range(n_lanes):
        own = items[lane::n_lanes]
        assert p_of_three([own.count(k) for k in range(3)], WEIGHTS) * n_lanes > RARE


@pytest.mark.parametrize("n_workers", [1, 3])
@pytest.mark.parametrize(("n_active", "n_lanes"), [(6, 3), (7, 3), (4, 4), (3, 3)])
@pytest.mark.parametrize("mode", ["with_replacement", "single_active", "exhaustive"])
def test_all_lanes_together_have_no_more_members_open(mode, n_active, n_lanes, n_workers):
    """Leaves count how many are open, in memory that all workers share."""
    if n_workers > n_lanes:
        pytest.fail("the parameters above leave workers idle")
    now, most = multiprocessing.Value("l"), multiprocessing.Value("l", lock=False)

    def counted(name, n):
        with now.get_lock():
            now.value += 1
            most.value = max(most.value, now.value)
        try:
            for _ in range(n):
                yield name
        finally:
            with now.get_lock():
                now.value -= 1

    members = [sf.Streamer(counted, k, 20 if mode == "exhaustive" else 4) for k in range(14)]
    rate = None if mode == "exhaustive" else 3
    mux = sf.StochasticMux(members, n_active, rate, mode=mode, random_state=2)
    z = sf.ZMQStreamer(mux, n_lanes=n_lanes, n_workers=n_workers, buffer_bytes=1000)
    assert len(list(z(max_iter=250))) == 250
    # Lanes that run at the same time are all full at some moment; the last one may not have begun when others end.
    assert n_active - n_active // n_lanes <= most.value <= n_active
    assert now.value == 0


@pytest.mark.parametrize("n_lanes", [3, 4])
def test_fewer_slots_than_lanes_are_refused_before_anything_starts(n_lanes, processes):
    mux = sf.StochasticMux(pool(endless, 5), 2, 4, random_state=0)
    with pytest.raises(sf.exceptions.ParameterError, match="n_active"):
        next(sf.ZMQStreamer(mux, n_lanes=n_lanes).iterate())
    assert processes() == {}
