"""Laws 1 to 3 of StochasticMux: whose items come, from the very first one on, with a rate and without."""

from collections import Counter
from itertools import islice

import numpy as np
import pytest

from streamflow import StochasticMux, Streamer

from ..amount import amount
from .chance import (
    RARE,
    p_of_columns,
    p_of_independence,
    p_of_shares,
    p_value,
    share,
    table,
    whole_number,
)
from .members import Ledger, numbered, pool

SKEWED, WHOLE = (0.7, 0.2, 0.1), (1, 2, 3, 4)
WEIGHTS = pytest.mark.parametrize("weights", [SKEWED, WHOLE, (1, 1)], ids=str)
DISTS = pytest.mark.parametrize("dist", ["constant", "poisson", "binomial"])
NEVER = 10**9  # a rate so high that no activation ends in a test

# --- law 1: with_replacement with a rate ------------------------------------------------------------------------------


@WEIGHTS
@pytest.mark.parametrize("rate", [1, 2.5, 64])
@pytest.mark.parametrize("n_active", [1, 2, 7])
def test_each_of_the_first_50_items_has_the_shares(weights, rate, n_active):
    members = pool(len(weights))

    def stream(seed):
        return StochasticMux(members, n_active, rate, weights=weights, random_state=seed).iterate(50)

    items = table(stream, amount(200, 500))
    assert p_value(items[:, 0].tolist(), share(weights)) > RARE, "the very first item"
    assert p_of_columns(items, share(weights)) > RARE


@DISTS
@pytest.mark.parametrize("n_active", [1, 3])
def test_first_items_have_the_shares_under_every_dist(dist, n_active):
    members = pool(3)

    def stream(seed):
        return StochasticMux(members, n_active, 3.3, weights=SKEWED, dist=dist, random_state=seed).iterate(12)

    assert p_of_columns(table(stream, amount(400, 1200)), share(SKEWED)) > RARE


@pytest.mark.parametrize("n_active", [1, 2, 3, 6])
def test_first_filling_is_independent_and_slots_are_chosen_alike(n_active):
    """The joint law of the first two items: one slot twice, 1 time in n_active; else two independent members."""
    members = pool(3)

    def stream(seed):
        return StochasticMux(members, n_active, NEVER, weights=SKEWED, dist="constant", random_state=seed).iterate(2)

    pairs = [tuple(pair) for pair in table(stream, amount(900, 2500)).tolist()]
    law = {
        (i, j): a * ((i == j) / n_active + (1 - 1 / n_active) * b)
        for i, a in enumerate(SKEWED)
        for j, b in enumerate(SKEWED)
    }
    assert p_value(pairs, law) > RARE


def test_a_slot_is_chosen_alike_whatever_it_holds():
    """Two slots with different members give half the items each, though the weights are nine to one."""
    members, heavy = pool(2), []
    for seed in range(400):
        items = list(StochasticMux(members, 2, NEVER, weights=(0.9, 0.1), random_state=seed).iterate(200))
        if len(set(items)) == 2:
            heavy.append([items.count(0) / 200])
    assert len(heavy) > 30
    assert abs(np.mean(heavy) - 0.5) < 5 * 0.5 / np.sqrt(200 * len(heavy))


@pytest.mark.parametrize("n_active", [1, 2, 5])
def test_at_rate_one_items_are_independent(n_active):
    items = list(StochasticMux(pool(3), n_active, 1, weights=SKEWED, random_state=5).iterate(40_000))
    assert p_value(items, share(SKEWED)) > RARE
    assert p_of_independence(zip(items[::2], items[1::2], strict=True)) > RARE


@DISTS
@pytest.mark.parametrize(("n_active", "rate"), [(1, 4), (3, 2.5), (8, 20)])
@pytest.mark.parametrize("weights", [SKEWED, WHOLE], ids=str)
def test_long_run_has_the_shares(weights, n_active, rate, dist):
    members = pool(len(weights))
    streams = (
        StochasticMux(members, n_active, rate, weights=weights, dist=dist, random_state=seed).iterate(1500)
        for seed in range(amount(30, 80))
    )
    assert p_of_shares(streams, weights) > RARE


def test_every_activation_draws_its_member_in_proportion_to_the_weights():
    ledger = Ledger()
    list(StochasticMux(ledger.pool(3), 3, 2, weights=SKEWED, random_state=0).iterate(20_000))
    opened = ledger.opened[: len(ledger.opened) // 2 * 2]
    assert p_value(opened, share(SKEWED)) > RARE
    assert p_of_independence(zip(opened[::2], opened[1::2], strict=True)) > RARE


def test_shares_hold_over_epochs_of_one_seed():
    mux = StochasticMux(pool(3), 2, 8, weights=SKEWED, random_state=0)
    assert p_of_columns(table(lambda epoch: mux.iterate(4, epoch=epoch), amount(500, 1500)), share(SKEWED)) > RARE


# --- law 2: single_active with a rate ---------------------------------------------------------------------------------


@DISTS
@pytest.mark.parametrize("rate", [1, 3.5, 12])
@pytest.mark.parametrize("n_active", [1, 2, 3])
def test_single_active_has_the_shares_in_the_long_run(n_active, rate, dist):
    """Four members; the light ones expect less than one item per activation at rate 1."""
    weights, members = (0.6, 0.2, 0.15, 0.05), pool(4)
    streams = (
        islice(
            StochasticMux(
                members, n_active, rate, weights=weights, mode="single_active", dist=dist, random_state=seed
            ).iterate(1200),
            300,
            None,
        )
        for seed in range(amount(25, 40))
    )
    assert p_of_shares(streams, weights) > RARE


@pytest.mark.parametrize("rate", [1, 2])
def test_single_active_with_one_slot_opens_in_proportion_to_what_an_activation_gives(rate):
    """A member that expects m < 1 items per activation is opened m times as often, and gives one."""
    ledger, weights = Ledger(), (0.6, 0.25, 0.1, 0.05)
    means = [rate * 4 * weight for weight in weights]
    list(StochasticMux(ledger.pool(4), 1, rate, weights=weights, mode="single_active", random_state=1).iterate(20_000))
    assert p_value(ledger.opened, share([min(1, m) for m in means])) > RARE


def test_single_active_caps_have_the_means_of_the_law():
    """rate x n x weight, but at least one: here 9, 3, 1.5 and 1 (where .9 would be its share)."""
    weights, rate, lengths = (0.5, 0.25, 0.2, 0.05), 4.5, {i: Counter() for i in range(4)}
    ledger = Ledger()
    members = [Streamer(ledger.activations, i) for i in range(4)]
    mux = StochasticMux(members, 2, rate, weights=weights, mode="single_active", dist="constant", random_state=2)
    for (i, activation), n in Counter(mux.iterate(30_000)).items():
        if activation < len(ledger.opened) - 50:
            lengths[i][n] += 1
    for i, weight in enumerate(weights):
        assert p_value(lengths[i].elements(), whole_number(max(1, rate * 4 * weight))) > RARE


@pytest.mark.parametrize("rate", [1, 6, None])
@pytest.mark.parametrize("n_active", [1, 2, 3, 4])
def test_single_active_never_has_a_member_open_twice(n_active, rate):
    ledger = Ledger()
    members = [Streamer(ledger.finite, i, 5) for i in range(4)]
    mux = StochasticMux(members, n_active, rate, weights=WHOLE, mode="single_active", random_state=3)
    assert len(list(mux.iterate(3000))) == 3000
    assert not ledger.twice
    assert ledger.most == n_active or rate == 1  # (a spent member may be closed at once)


def test_single_active_with_weights_worlds_apart_does_not_loop():
    mux = StochasticMux(pool(3), 1, 8, weights=(1e10, 1e-10, 1), mode="single_active", random_state=0)
    assert Counter(mux.iterate(1000)).most_common(1)[0][0] == 0


# --- law 3: rate=None -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["with_replacement", "single_active"])
def test_without_a_rate_endless_members_stay_and_picks_follow_their_weights(mode):
    members, by_set = pool(4), {}
    for seed in range(150):
        items = list(StochasticMux(members, 2, None, weights=WHOLE, mode=mode, random_state=seed).iterate(400))
        assert len(set(items)) == 2, "the first filling takes distinct members, and they stay"
        by_set.setdefault(frozenset(items), Counter()).update(items)
    assert len(by_set) == 6
    for active, counts in by_set.items():
        assert p_value(counts, {i: WHOLE[i] for i in active}) > RARE


def test_first_filling_takes_distinct_members_as_long_as_there_are_some():
    """Two of the five slots have to take a member that is active already."""
    for seed in range(50):
        ledger = Ledger()
        items = set(StochasticMux(ledger.pool(3), 5, None, weights=(5, 1, 1), random_state=seed).iterate(400))
        assert items == {0, 1, 2}
        assert ledger.most == 5


@pytest.mark.parametrize("mode", ["with_replacement", "single_active"])
def test_with_one_slot_and_no_rate_members_are_drawn_in_proportion_to_the_weights(mode):
    ledger, lengths = Ledger(), (1, 2, 4, 8)
    mux = StochasticMux(ledger.short_pool(lengths), 1, None, weights=WHOLE, mode=mode, random_state=4)
    items = Counter(mux.iterate(40_000))
    assert p_value(ledger.opened, share(WHOLE)) > RARE
    assert items[3] / items[0] == pytest.approx(4 * 8, rel=0.15), "seen as weight x length"


@pytest.mark.parametrize("mode", ["with_replacement", "single_active"])
def test_with_one_slot_and_no_rate_the_first_filling_follows_the_weights_too(mode):
    members = pool(4)
    muxes = (
        StochasticMux(members, 1, None, weights=WHOLE, mode=mode, random_state=seed)
        for seed in range(amount(700, 2000))
    )
    assert p_value([next(mux.iterate(1)) for mux in muxes], share(WHOLE)) > RARE


def test_without_a_rate_a_slot_whose_member_ends_draws_in_proportion_to_the_weights():
    ledger = Ledger()
    list(StochasticMux(ledger.short_pool([3, 3, 3, 3]), 3, None, weights=WHOLE, random_state=5).iterate(40_000))
    drawn = ledger.opened[3:]
    assert p_value(drawn, share(WHOLE)) > RARE
    drawn = drawn[: len(drawn) // 2 * 2]
    assert p_of_independence(zip(drawn[::2], drawn[1::2], strict=True)) > RARE


def test_single_active_draws_by_weight_among_those_that_are_not_active_however_light_they_are():
    """The three heavy members never end, so the fourth slot goes to one of the light ones each time."""
    ledger, weights = Ledger(), (100, 100, 100, 1, 3)
    heavy, light = ledger.pool(3), [Streamer(ledger.finite, i, 1) for i in (3, 4)]
    mux = StochasticMux([*heavy, *light], 4, None, weights=weights, mode="single_active", random_state=0)
    list(mux.iterate(150_000))
    drawn = ledger.opened[5:]
    assert len(drawn) > 500
    assert p_value(drawn, {3: 1, 4: 3}) > RARE


@pytest.mark.parametrize("mode", ["with_replacement", "single_active", "exhaustive"])
def test_without_a_rate_an_activation_ends_only_with_its_member(mode):
    """Each activation that was over gave all seven items, in order."""
    ledger = Ledger()
    members = [Streamer(ledger.counted, i, 7) for i in range(6)]
    mux = StochasticMux(members, 2, None, weights=[1, 2, 3, 1, 2, 3], mode=mode, random_state=6)
    runs: dict[tuple[int, int], list[int]] = {}
    for i, activation, k in mux.iterate(2000):
        runs.setdefault((i, activation), []).append(k)
    whole = [run for run in runs.values() if len(run) == 7]
    assert all(run == list(range(7)) for run in whole)
    assert len(runs) - len(whole) <= 2, "only what is open may be unfinished"


def test_members_of_a_mapping_take_their_weights_by_name():
    members = {name: Streamer(numbered, name, 1) for name in "abc"}
    mux = StochasticMux(members, 1, 1, weights={"c": 0.1, "a": 0.7, "b": 0.2}, random_state=7)
    names = [name for name, _ in mux.iterate(8000)]
    assert p_value(names, {"a": 0.7, "b": 0.2, "c": 0.1}) > RARE
