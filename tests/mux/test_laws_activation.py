"""Laws 4, 6, 7 and 8 of StochasticMux: who is active, in which order, with which weights, and what empties do."""

from collections import Counter
from itertools import islice, repeat

import numpy as np
import pytest

from streamflow import StochasticMux, Streamer
from streamflow.exceptions import ParameterError

from ..amount import amount
from .chance import RARE, p_of_columns, p_of_independence, p_value, share, table, uniform_order, weighted_order
from .members import Ledger, endless, every_other, numbered, pool

pytestmark = pytest.mark.timeout(60)  # what is tested here must not hang
WEIGHTS = (0.7, 0.2, 0.1)
MODES = pytest.mark.parametrize("mode", ["with_replacement", "single_active", "exhaustive"])
ENDLESS_MODES = pytest.mark.parametrize("mode", ["with_replacement", "single_active"])
PRUNING = pytest.mark.parametrize("prune", [True, False])

# --- law 4: all active ------------------------------------------------------------------------------------------------


@MODES
@pytest.mark.parametrize(("n_active", "rate"), [(None, None), (3, None), (None, 5)])
def test_all_active_items_are_independent_draws_from_the_weights(mode, n_active, rate):
    """(In `exhaustive` a rate would close the slots.)"""
    rate = None if mode == "exhaustive" else rate

    def mux(seed):
        return StochasticMux(pool(3), n_active, rate, weights=WEIGHTS, mode=mode, random_state=seed)

    assert p_of_columns(table(lambda seed: mux(seed).iterate(5), amount(500, 1500)), share(WEIGHTS)) > RARE
    items = list(mux(0).iterate(20_000))
    assert p_value(items, share(WEIGHTS)) > RARE
    assert p_of_independence(zip(items[::2], items[1::2], strict=True)) > RARE


@ENDLESS_MODES
@pytest.mark.parametrize(("n_active", "rate"), [(None, None), (4, None), (None, 2.5)])
def test_a_member_that_ends_is_opened_again_in_its_own_slot(mode, n_active, rate):
    """So shares are the weights whatever the lengths, and a member is never open twice."""
    ledger, weights = Ledger(), (4, 3, 2, 1)
    members = ledger.short_pool([1, 2, 5, 30])
    mux = StochasticMux(members, n_active, rate, weights=weights, mode=mode, random_state=1)
    items = list(mux.iterate(20_000))
    assert p_value(items, share(weights)) > RARE
    assert p_of_independence(zip(items[::2], items[1::2], strict=True)) > RARE
    assert not ledger.twice
    assert ledger.most == 4


@pytest.mark.parametrize("n_active", [None, 3])
def test_exhaustive_all_active_closes_the_slot(n_active):
    members = [Streamer(numbered, i, 1 + i) for i in range(3)]
    for seed in range(20):
        items = list(StochasticMux(members, n_active, None, mode="exhaustive", random_state=seed))
        assert Counter(items) == {(i, k): 1 for i in range(3) for k in range(1 + i)}


@pytest.mark.parametrize("n_active", [None, 3])
def test_exhaustive_all_active_picks_by_weight_among_the_slots_still_open(n_active):
    members = [Streamer(numbered, i, 1) for i in range(3)]

    def order(seed):
        return tuple(i for i, _ in StochasticMux(members, n_active, None, WEIGHTS, "exhaustive", random_state=seed))

    assert p_value([order(seed) for seed in range(amount(1000, 3000))], weighted_order(WEIGHTS)) > RARE


def test_as_many_slots_as_members_with_a_rate_is_not_all_active():
    """Law 1 holds there: members are drawn anew, so one may hold two slots."""
    ledger = Ledger()
    list(StochasticMux(ledger.pool(3), 3, 4, random_state=0).iterate(500))
    assert ledger.twice


# --- law 6: exhaustive ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("weights", [None, (0.7, 0.2, 0.1)], ids=str)
def test_exhaustive_order_is_uniform_over_three_members(weights):
    """With one slot the weights have no say: they act on picks."""
    members = [Streamer(numbered, i, 1) for i in range(3)]

    def order(seed):
        return tuple(i for i, _ in StochasticMux(members, 1, None, weights, "exhaustive", random_state=seed))

    assert p_value([order(seed) for seed in range(amount(1000, 3000))], uniform_order(3)) > RARE


@pytest.mark.parametrize("n_active", [1, 2, 3])
def test_exhaustive_order_is_uniform_over_four_members_in_every_epoch(n_active):
    members = [Streamer(numbered, i, 1) for i in range(4)]
    mux = StochasticMux(members, n_active, 1, mode="exhaustive", random_state=0)
    orders = [tuple(i for i, _ in mux.iterate(epoch=epoch)) for epoch in range(amount(1000, 3000))]
    assert p_value(orders, uniform_order(4)) > RARE
    assert p_of_independence((a[0], b[0]) for a, b in zip(orders[::2], orders[1::2], strict=True)) > RARE


@pytest.mark.parametrize("n_active", [1, 2, 5, 9, None])
def test_exhaustive_without_a_rate_gives_every_item_once(n_active):
    lengths = np.random.default_rng(0).integers(0, 9, size=9).tolist()
    ledger = Ledger()
    members = [Streamer(ledger.numbered, i, n) for i, n in enumerate(lengths)]
    for seed in range(20):
        ledger.opened.clear()
        items = list(StochasticMux(members, n_active, None, mode="exhaustive", weights=range(1, 10), random_state=seed))
        assert Counter(items) == {(i, k): 1 for i, n in enumerate(lengths) for k in range(n)}
        assert sorted(ledger.opened) == list(range(9)), "each member is activated once, empty ones too"
        assert all([k for i, k in items if i == member] == list(range(n)) for member, n in enumerate(lengths))
    assert ledger.most <= (n_active or 9)


@pytest.mark.parametrize("n_active", [1, 3])
def test_exhaustive_with_a_rate_caps_the_one_activation(n_active):
    members = [Streamer(numbered, i, 10) for i in range(5)]
    items = list(StochasticMux(members, n_active, 3, mode="exhaustive", dist="constant", random_state=0))
    assert Counter(items) == {(i, k): 1 for i in range(5) for k in range(3)}


def test_exhaustive_picks_follow_the_weights_of_what_is_active():
    mux = StochasticMux(pool(3), 2, None, weights=(1, 3, 3), mode="exhaustive", random_state=3)
    by_set = {}
    for epoch in range(60):
        items = list(mux.iterate(300, epoch=epoch))
        by_set.setdefault(frozenset(items), Counter()).update(items)
    assert len(by_set) == 3
    for active, counts in by_set.items():
        assert p_value(counts, {i: (1, 3, 3)[i] for i in active}) > RARE


def test_exhaustive_cycle_has_a_new_order_each_epoch():
    mux = StochasticMux([Streamer(numbered, i, 2) for i in range(20)], 1, None, mode="exhaustive", random_state=0)
    items = list(mux.cycle(max_iter=40 * 5))
    epochs = [items[k : k + 40] for k in range(0, 200, 40)]
    assert all(Counter(epoch) == Counter(epochs[0]) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 5
    assert epochs == [list(mux.iterate(epoch=epoch)) for epoch in range(5)]


# --- law 7: weights ---------------------------------------------------------------------------------------------------


@MODES
@pytest.mark.parametrize("rate", [None, 2])
@pytest.mark.parametrize("n_active", [1, 2, None])
def test_a_member_of_weight_zero_is_never_opened(mode, rate, n_active):
    ledger = Ledger()
    members = [Streamer(ledger.finite, i, 3) for i in range(4)]
    for seed in range(30):
        mux = StochasticMux(members, n_active, rate, weights=[0, 1, 2, 0], mode=mode, random_state=seed)
        items = list(mux.iterate(60))
        assert set(items) == {1, 2}
        assert len(items) == 60 or mode == "exhaustive"
    assert set(ledger.opened) == {1, 2}


@MODES
@pytest.mark.parametrize("rate", [None, 2])
def test_more_slots_than_members_with_weight_do_no_harm(mode, rate):
    mux = StochasticMux([Streamer(numbered, i, 5) for i in range(4)], 3, rate, weights=[0, 0, 7, 0], mode=mode)
    items = list(mux.iterate(50))
    assert {i for i, _ in items} == {2}
    assert len(items) == 50 or mode == "exhaustive"


@pytest.mark.parametrize("weights", [[2.0, 1.0, 1.0], np.array([2.0, 1.0, 1.0]), np.float32([2, 1, 1])], ids=repr)
def test_weights_are_copied_and_never_changed(weights):
    mux = StochasticMux(pool(3), 1, 1, weights=weights, random_state=0)
    before = list(mux.iterate(500))
    assert list(weights) == [2, 1, 1]
    weights[0] = 0
    assert list(mux.iterate(500)) == before
    named = {"a": 2.0, "b": 1.0}
    mux = StochasticMux({"a": Streamer(endless, 0), "b": Streamer(endless, 1)}, 1, 1, weights=named, random_state=0)
    before = list(mux.iterate(500))
    assert named == {"a": 2.0, "b": 1.0}
    named["a"] = 0
    assert list(mux.iterate(500)) == before


@pytest.mark.parametrize("weights", [[1, 2, 3], np.array([1, 2, 3]), np.array([1, 2, 3], dtype="u1")], ids=repr)
def test_whole_weights_are_fine(weights):
    assert p_value(StochasticMux(pool(3), 2, 1, weights=weights, random_state=0).iterate(6000), share([1, 2, 3])) > RARE


@MODES
@pytest.mark.parametrize(
    "weights",
    [[1, -1, 1], [1, np.nan, 1], [1, np.inf, 1], [0, 0, 0], [1, 1], [1, 1, 1, 1], [], "abc", 3, [[1, 1, 1]],
     [1, None, 1], {"a": 1}, {0: 1, 1: 1, 3: 1}],
    ids=repr,
)  # fmt: skip
def test_bad_weights_raise_where_they_are_given(weights, mode):
    with pytest.raises(ParameterError, match="weights"):
        StochasticMux(pool(3), 1, 8, weights=weights, mode=mode)


def test_weights_of_a_mapping_need_its_keys():
    members = {"a": Streamer(endless, "a"), "b": Streamer(endless, "b")}
    with pytest.raises(ParameterError, match="weights"):
        StochasticMux(members, 1, 8, weights={"a": 1, "c": 1})


@pytest.mark.parametrize("mode", ["exhaustive", "single_active"])
def test_more_slots_than_members_raise_where_members_are_taken_once(mode):
    with pytest.raises(ParameterError, match="n_active=None"):
        StochasticMux(pool(3), 4, 8, mode=mode)
    assert len(list(StochasticMux(pool(3), 4, 8, random_state=0).iterate(50))) == 50


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("n_active", [0, -1, 1.5, True, "2", np.nan]),
        ("rate", [0, 0.5, -3, np.nan, np.inf, True, "8"]),
        ("mode", ["cycle", None, 3]),
        ("dist", ["normal", None]),
        ("random_state", [True, "seed", 1.5]),
    ],
)
def test_other_parameters_are_checked_where_they_are_given(name, values):
    for value in values:
        with pytest.raises(ParameterError, match=name):
            StochasticMux(pool(3), **{"n_active": 2, "rate": 8, name: value})


@pytest.mark.parametrize("streamers", [[], {}, (), iter([])], ids=["list", "dict", "tuple", "iterator"])
def test_an_empty_pool_raises(streamers):
    with pytest.raises(ParameterError, match="streamers"):
        StochasticMux(streamers, None, None)


# --- law 8: pruning, and ends -----------------------------------------------------------------------------------------


@ENDLESS_MODES
@pytest.mark.parametrize("rate", [1, 5])
@pytest.mark.parametrize("n_active", [1, 2])
def test_with_pruning_an_empty_member_is_opened_once(mode, rate, n_active):
    ledger = Ledger()
    members = ledger.short_pool([0, 50, 0, 50])
    mux = StochasticMux(members, n_active, rate, mode=mode, random_state=0)
    assert len(list(mux.iterate(2000))) == 2000
    assert Counter(ledger.opened)[0] == 1
    assert Counter(ledger.opened)[2] == 1


def test_without_pruning_an_empty_member_stays_in_the_draw():
    """It is drawn by its weight for each item; the others keep their proportions."""
    ledger, weights = Ledger(), (1, 2, 3)
    mux = StochasticMux(ledger.short_pool([0, 50, 50]), 2, 1, weights, prune_empty_streams=False, random_state=0)
    items = list(mux.iterate(6000))
    assert p_value(items, {1: 2, 2: 3}) > RARE
    assert ledger.opened.count(0) > 6000 * 1 / 6 * 0.85


def test_with_pruning_the_others_keep_their_proportions():
    mux = StochasticMux(Ledger().short_pool([0, 50, 50]), 2, 1, weights=(300, 1, 3), random_state=0)
    assert p_value(islice(mux, 50, 6000), {1: 1, 2: 3}) > RARE


@MODES
@PRUNING
@pytest.mark.parametrize("rate", [None, 3])
@pytest.mark.parametrize("n_active", [1, 2, None])
def test_a_mux_of_empties_ends(mode, prune, rate, n_active):
    """Also where one of them is hardly ever drawn."""
    members = Ledger().short_pool([0, 0, 0])
    mux = StochasticMux(members, n_active, rate, (1, 1e-9, 1), mode, prune, random_state=0)
    assert list(mux) == []
    assert list(mux.cycle()) == []


@ENDLESS_MODES
@PRUNING
@pytest.mark.parametrize("rate", [None, 1, 4])
@pytest.mark.parametrize("n_active", [1, 2, None])
def test_members_that_are_empty_every_other_time_never_end_the_mux(mode, prune, rate, n_active):
    ledger, gives = Ledger(), [every_other(True), every_other(False), every_other(True)]
    members = [Streamer(ledger.flaky, i, gives[i], 2) for i in range(3)]
    mux = StochasticMux(members, n_active, rate, mode=mode, prune_empty_streams=prune, random_state=0)
    assert len(list(mux.iterate(300))) == 300


@ENDLESS_MODES
@PRUNING
@pytest.mark.parametrize("rate", [None, 1, 4])
@pytest.mark.parametrize("n_active", [1, 2, None])
def test_it_ends_only_after_every_member_was_tried_since_the_last_item(mode, prune, rate, n_active):
    for seed in range(30):
        log, flips = [], np.random.default_rng(seed)

        def member(i, log=log, flips=flips):
            log.append(i)
            for _ in range(2 * (flips.random() < 0.4)):
                log.append("item")
                yield i

        members = [Streamer(member, i) for i in range(3)]
        mux = StochasticMux(members, n_active, rate, mode=mode, prune_empty_streams=prune, random_state=seed)
        if len(list(mux.iterate(200))) < 200:
            last = max((k for k, entry in enumerate(log) if entry == "item"), default=-1)
            assert set(log[last + 1 :]) == {0, 1, 2}


@ENDLESS_MODES
@PRUNING
def test_a_steady_member_keeps_a_mux_of_flaky_ones_alive(mode, prune):
    rng = np.random.default_rng(0)
    flips = iter(lambda: bool(rng.random() < 0.3), None)
    ledger = Ledger()
    members = [*(Streamer(ledger.flaky, i, flips, 3) for i in range(5)), Streamer(endless, "steady")]
    mux = StochasticMux(members, 2, 2, mode=mode, prune_empty_streams=prune, random_state=0)
    assert len(list(mux.iterate(5000))) == 5000


@ENDLESS_MODES
def test_a_member_put_aside_is_tried_again_when_no_other_is_left(mode):
    """Member 0 is empty at first, then gives; member 1 gives once, then nothing more."""
    ledger = Ledger()
    slow, short = iter([False, *repeat(True, 1000)]), iter([True, *repeat(False, 1000)])
    members = [Streamer(ledger.flaky, "slow", slow), Streamer(ledger.flaky, "short", short)]
    mux = StochasticMux(members, 1, 4, weights=(1, 1), mode=mode, dist="constant", random_state=0)
    items = list(mux.iterate(400))
    assert len(items) == 400
    assert set(items[-300:]) == {"slow"}
