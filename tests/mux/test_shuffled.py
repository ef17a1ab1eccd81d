"""ShuffledMux: every member active, each item an independent draw by weight, ended members start again."""

from collections import Counter
from functools import partial
from itertools import islice

import numpy as np
import pytest

from streamflow import ShuffledMux, StochasticMux, Streamer
from streamflow.exceptions import ParameterError

from ..amount import amount
from .chance import RARE, p_of_columns, p_of_independence, p_value, share, table
from .members import Ledger, drawing, endless, every_other, pool

pytestmark = pytest.mark.timeout(60)
WEIGHTS = (0.7, 0.2, 0.1)


@pytest.mark.parametrize("weights", [WEIGHTS, (1, 2, 3, 4), None], ids=str)
def test_each_item_is_an_independent_draw_from_the_weights(weights):
    law = share(weights or (1, 1, 1))
    members = pool(len(law))
    firsts = table(lambda seed: ShuffledMux(members, weights, random_state=seed).iterate(10), amount(500, 1500))
    assert p_of_columns(firsts, law) > RARE
    items = list(ShuffledMux(members, weights, random_state=0).iterate(60_000))
    assert p_value(items, law) > RARE
    assert p_of_independence(zip(items[::2], items[1::2], strict=True)) > RARE


def test_shares_hold_over_a_thousand_members():
    weights = np.random.default_rng(0).random(1000)
    items = list(ShuffledMux(pool(1000), weights, random_state=1).iterate(60_000))
    assert p_value(items, share(weights.tolist())) > RARE


def test_a_member_that_ends_starts_again_in_its_place():
    ledger = Ledger()
    mux = ShuffledMux(ledger.short_pool([1, 3, 100]), WEIGHTS, random_state=0)
    items = list(mux.iterate(30_000))
    assert p_value(items, share(WEIGHTS)) > RARE
    assert not ledger.twice
    assert ledger.most == 3
    assert ledger.opened.count(1) >= items.count(1) // 3, "opened again each time that it ended"


def test_a_member_opened_again_does_not_replay_its_head():
    items = list(ShuffledMux([Streamer(drawing, i, 4) for i in range(2)], random_state=0).iterate(400))
    assert len(set(items)) == 400


def test_orders_repeat_by_seed_and_epoch_and_differ_between_them():
    members = pool(3)

    def take(seed, epoch=0):
        return list(ShuffledMux(members, random_state=seed).iterate(50, epoch=epoch))

    assert take(0) == take(0)
    assert len({tuple(take(*address)) for address in [(0, 0), (1, 0), (0, 1), (1, 1)]}) == 4


@pytest.mark.parametrize("n", [1, 3])
def test_empties_end(n):
    mux = ShuffledMux(Ledger().short_pool([0] * n), random_state=0)
    assert list(mux) == []
    assert list(mux.cycle()) == []


def test_empties_that_are_hardly_ever_drawn_end_too():
    assert list(ShuffledMux(Ledger().short_pool([0, 0]), (1, 1e-12), random_state=0)) == []


def test_empties_leave_the_others_in_proportion():
    mux = ShuffledMux(Ledger().short_pool([0, 5, 5]), (3, 1, 2), random_state=0)
    assert p_value(mux.iterate(6000), {1: 1, 2: 2}) > RARE


def test_it_ends_when_the_last_member_has_dried_up():
    once = [iter([True, False, False]), iter([True, True, False, False, False])]
    members = [Streamer(Ledger().flaky, i, gives, 2) for i, gives in enumerate(once)]
    assert Counter(islice(ShuffledMux(members, random_state=0), 100)) == {0: 2, 1: 4}


def test_members_that_are_empty_every_other_time_never_end_it():
    members = [Streamer(Ledger().flaky, i, every_other(i == 0), 2) for i in range(2)]
    assert len(list(ShuffledMux(members, random_state=0).iterate(300))) == 300


def test_a_member_of_weight_zero_is_never_opened():
    ledger = Ledger()
    list(ShuffledMux(ledger.pool(3), [0, 1, 2], random_state=0).iterate(500))
    assert set(ledger.opened) == {1, 2}


def test_a_member_of_weight_zero_keeps_nothing_alive():
    """All others have dried up: that is the end, and the endless one was not touched."""
    for mux in (partial(ShuffledMux, weights=[0, 1]), partial(StochasticMux, n_active=None, rate=None, weights=[0, 1])):
        ledger, once = Ledger(), iter([True, *[False] * 5])
        members = [Streamer(ledger.endless, 0), Streamer(ledger.flaky, 1, once, 3)]
        assert list(mux(members, random_state=0).iterate(50)) == [1, 1, 1]
        assert set(ledger.opened) == {1}


def test_weights_are_copied_and_whole_ones_are_fine():
    weights = np.array([1, 2, 3])
    mux = ShuffledMux(pool(3), weights, random_state=0)
    before = list(mux.iterate(300))
    assert weights.tolist() == [1, 2, 3]
    weights[:] = 0
    assert list(mux.iterate(300)) == before


@pytest.mark.parametrize(
    "weights", [[1, -1, 1], [1, np.nan, 1], [1, np.inf, 1], [0, 0, 0], [1, 1], [1] * 4, "abc"], ids=repr
)
def test_bad_weights_raise_where_they_are_given(weights):
    with pytest.raises(ParameterError, match="weights"):
        ShuffledMux(pool(3), weights)


def test_other_parameters_are_checked_where_they_are_given():
    with pytest.raises(ParameterError, match="streamers"):
        ShuffledMux([])
    with pytest.raises(ParameterError, match="random_state"):
        ShuffledMux(pool(2), random_state=True)


def test_members_of_a_mapping_take_their_weights_by_name():
    members = {name: Streamer(endless, name) for name in "abc"}
    mux = ShuffledMux(members, {"b": 0.2, "c": 0.1, "a": 0.7}, random_state=0)
    assert p_value(mux.iterate(6000), {"a": 0.7, "b": 0.2, "c": 0.1}) > RARE
    with pytest.raises(ParameterError, match="weights"):
        ShuffledMux(members, {"a": 1, "b": 1, "d": 1})


def test_anything_iterable_is_a_member():
    assert set(ShuffledMux(["ab", [1, 2], range(7, 9)], random_state=0).iterate(200)) == {"a", "b", 1, 2, 7, 8}


def test_a_tree_of_two_levels_has_the_product_of_the_shares():
    """The documented letters: three to one between groups, from the first item on."""
    inner = [ShuffledMux([Streamer(endless, (group, k)) for k in range(2)], (0.6, 0.4)) for group in range(2)]
    law = {(0, 0): 0.45, (0, 1): 0.3, (1, 0): 0.15, (1, 1): 0.1}
    firsts = [next(ShuffledMux(inner, (0.75, 0.25), random_state=seed).iterate(1)) for seed in range(amount(700, 2000))]
    assert p_value(firsts, law) > RARE
    assert p_value(ShuffledMux(inner, (0.75, 0.25), random_state=0).iterate(30_000), law) > RARE
