"""Members shorter than their activations: what shares follow, and that with ``short="repeat"`` they are the weights."""

import json
import logging
from collections import Counter
from itertools import combinations, groupby, islice
from math import prod

import numpy as np
import pytest

from streamflow import (
    ChainMux,
    RoundRobinMux,
    ShuffledMux,
    StochasticMux,
    Streamer,
    StreamerList,
    buffer_stream,
)
from streamflow.exceptions import ParameterError, StateError
from streamflow.mux import stochastic

from ..amount import amount
from .chance import RARE, cap_law, p_of_columns, p_of_shares, p_value, share, table
from .members import Ledger, drawing, every_other, numbered, pool

pytestmark = pytest.mark.timeout(60)
WEIGHTS = (0.7, 0.2, 0.1)
LENGTHS = (1000, 5, 1)
MODES = pytest.mark.parametrize("mode", ["with_replacement", "single_active"])
DISTS = pytest.mark.parametrize("dist", ["constant", "poisson", "binomial"])


def members(lengths, fn=numbered):
    return [Streamer(fn, i, n) for i, n in enumerate(lengths)]


def names(items):
    return [item[0] for item in items]


def repeating(members, n_active, rate, *args, **kwargs):
    return StochasticMux(members, n_active, rate, *args, **kwargs, short="repeat")


# --- repeat: laws 1 and 2 whatever the lengths ------------------------------------------------------------------------


@DISTS
@pytest.mark.parametrize("rate", [2.5, 32])
@pytest.mark.parametrize("n_active", [1, 2, 7])
def test_each_of_the_first_50_items_has_the_shares(n_active, rate, dist):
    short = members(LENGTHS)

    def stream(seed):
        return names(repeating(short, n_active, rate, WEIGHTS, dist=dist, random_state=seed).iterate(50))

    items = table(stream, amount(200, 1000))
    assert p_value(items[:, 0].tolist(), share(WEIGHTS)) > RARE, "the very first item"
    assert p_of_columns(items, share(WEIGHTS)) > RARE


@MODES
@DISTS
@pytest.mark.parametrize(("n_active", "rate"), [(1, 8), (2, 32), (3, 12.5)])
def test_the_long_run_has_the_shares(mode, n_active, rate, dist):
    weights, short = (0.5, 0.3, 0.15, 0.05), members([7, 40, 1, 300])
    streams = (
        names(islice(repeating(short, n_active, rate, weights, mode, dist=dist, random_state=seed), 300, 1800))
        for seed in range(amount(25, 80))
    )
    assert p_of_shares(streams, weights) > RARE


def test_five_rows_and_a_thousand_give_half_each():
    streams = (
        names(repeating(members([5, 1000]), 1, 32, random_state=seed).iterate(3000)) for seed in range(amount(40, 200))
    )
    assert p_of_shares(streams, (1, 1)) > RARE


@MODES
@DISTS
@pytest.mark.parametrize("rate", [1, 3.3, 64])
@pytest.mark.parametrize("n_active", [1, 2, 4])
@pytest.mark.parametrize("prune", [True, False])
def test_members_follow_each_other_as_if_they_were_endless(mode, dist, rate, n_active, prune):
    """Item for item: picks, activations and caps do not depend on the lengths, so neither do the laws."""
    settings = (n_active, rate, (5, 2, 0, 1, 1), mode, prune, dist)
    if n_active == 4 and rate == 64:
        settings = (None, *settings[1:])  # all active
    short = repeating(members([3, 1, 2, 50, 700]), *settings, random_state=1)
    assert names(short.iterate(1500)) == list(StochasticMux(pool(5), *settings, random_state=1).iterate(1500))


@MODES
@pytest.mark.parametrize(("n_active", "count"), [(3, 3), (7, 2)])
def test_members_of_parts_follow_each_other_as_if_they_were_endless(mode, n_active, count):
    settings = (n_active, 20, None, mode)
    for index in range(count):
        short = repeating(members([2] * 5 + [30] * 4), *settings, random_state=2).shard(index, count)
        long = StochasticMux(pool(9), *settings, random_state=2).shard(index, count)
        assert names(short.iterate(800)) == list(long.iterate(800))


@DISTS
def test_each_part_alone_has_the_shares(dist):
    for index in range(3):
        parts = (
            names(repeating(members(LENGTHS), 4, 12, WEIGHTS, dist=dist, random_state=seed).shard(index, 3)(600))
            for seed in range(amount(25, 80))
        )
        assert p_of_shares(parts, WEIGHTS) > RARE


# --- passes -----------------------------------------------------------------------------------------------------------


@MODES
def test_a_member_is_opened_again_until_the_activation_has_given_its_items(mode):
    """Whole passes, one after the other, and what is left in the last one; one at a time is open."""
    ledger = Ledger()
    mux = repeating([Streamer(ledger.counted, 0, 5)], 1, 13, None, mode, dist="constant", random_state=0)
    items = [(number, k) for _, number, k in mux.iterate(26)]
    assert items == [(n, k) for n, given in enumerate([5, 5, 3, 5, 5, 3]) for k in range(given)]
    assert ledger.most == 1
    assert not ledger.twice


@DISTS
def test_activations_have_the_law_of_caps(dist):
    """One slot, so activations are the runs between draws: what is seen are the items of each."""
    rate, n_active, seen = 7.5, 1, []
    short = members([3, 2])
    for seed in range(amount(400, 2000)):
        items = names(repeating(short, n_active, rate, dist=dist, random_state=seed).iterate(80))
        if items[0] != (other := next((i for i in items if i != items[0]), items[0])):
            seen.append(items.index(other))
    ends = cap_law(dist, rate, n_active)  # a run is a geometric number of activations
    runs, law = {0: 1.0}, Counter()
    for _ in range(12):
        runs = _sum(runs, ends)
        for items, chance in runs.items():
            law[items] += chance / 2
        runs = {items: chance / 2 for items, chance in runs.items() if items < 80}
    assert p_value(seen, {items: chance for items, chance in law.items() if items < 80}) > RARE


def _sum(a, b):
    law = Counter()
    for x, p in a.items():
        for y, q in b.items():
            law[x + y] += p * q
    return law


@MODES
def test_each_pass_has_random_numbers_of_its_own(mode):
    mux = repeating(members([3, 4, 5], drawing), 2, 20, None, mode, random_state=3)
    assert max(Counter(mux.iterate(3000)).values()) == 1


def test_passes_share_no_random_numbers_with_what_is_below_a_member():
    """A leaf that draws, over a Streamer that draws and of which it takes three epochs in each pass."""

    def leaf(stream, rng):
        for epoch in range(3):
            yield from stream(epoch=epoch)
            yield int(rng.integers(1 << 62))

    def noise(rng):
        yield int(rng.integers(1 << 62))

    items = list(repeating([Streamer(leaf, Streamer(noise))], 1, 200, random_state=4).iterate(400))
    assert max(Counter(items).values()) == 1


def test_the_first_pass_is_what_it_is_without():
    settings = ([Streamer(drawing, i, 50) for i in range(3)], 2, 10, WEIGHTS, "with_replacement", True, "constant", 5)
    assert list(repeating(*settings).iterate(400)) == list(StochasticMux(*settings).iterate(400))


def test_a_pass_of_no_items_ends_the_activation():
    """Every other time the member is empty: activations of 2 items where 6 were to come; and nothing ends."""
    ledger = Ledger()
    flaky = [Streamer(ledger.flaky, "flaky", every_other(True), 2), Streamer(ledger.endless, "steady")]
    items = list(repeating(flaky, 1, 6, dist="constant", random_state=0).iterate(4000))
    runs = [(name, len([*run])) for name, run in groupby(items)][:-1]
    assert len(runs) > 300
    assert {length % 2 for name, length in runs if name == "flaky"} == {0}
    assert min(length for name, length in runs if name == "flaky") == 2
    assert {length % 6 for name, length in runs if name == "steady"} == {0}


@MODES
@pytest.mark.parametrize("prune", [True, False])
def test_a_mux_of_empties_ends(mode, prune):
    mux = repeating(members([0, 0, 0]), 2, 5, None, mode, prune, random_state=0)
    assert list(mux) == []
    some = repeating(members([0, 3, 0, 2]), 2, 5, None, mode, prune, random_state=0)
    assert Counter(names(some.iterate(2000))).keys() == {1, 3}


# --- states -----------------------------------------------------------------------------------------------------------


RESUMED = {
    "with_replacement": lambda: repeating(members([3, 1, 40], drawing), 2, 12, WEIGHTS, random_state=6),
    "single_active": lambda: repeating(members([3, 1, 40], drawing), 2, 12.5, WEIGHTS, "single_active", random_state=6),
    "all active": lambda: repeating(members([3, 1, 40], drawing), None, 7, WEIGHTS, random_state=6),
    "batches": lambda: repeating(
        [Streamer(dicts, i, 7 + i).pipe(buffer_stream, 3) for i in range(3)], 2, 9, random_state=6
    ),
    "finite muxes": lambda: repeating(
        [RoundRobinMux(members([2, 3], drawing)), ChainMux(members([1, 4], drawing)),
         StochasticMux(members([2, 2], drawing), 1, None, mode="exhaustive")], 2, 11, random_state=6),
    "nested": lambda: repeating(
        [repeating(members([2, 3], drawing), 1, 5), *members([4], drawing)], 2, 9, random_state=6),
    "a part": lambda: repeating(members([3, 1, 40], drawing), 4, 12, WEIGHTS, random_state=6).shard(1, 2),
    "a list": lambda: repeating(StreamerList(drawing, range(5), [4] * 5), 3, 10, random_state=6),
    "flaky": lambda: repeating(members([3, 0, 2], drawing), 2, 10, None, "with_replacement", False, random_state=6),
}  # fmt: skip


def dicts(name, n, rng):
    for k in range(n):
        yield {"name": name, "k": k, "u": int(rng.integers(1 << 62))}


def plain(item):
    return {k: v.tolist() for k, v in item.items()} if isinstance(item, dict) else item


def resumed(make, cut, n):
    """The items after a resume at a cut, and those that should come."""
    live = make().open()
    for _ in range(cut):
        next(live)
    state = json.loads(json.dumps(live.state_dict()))
    expected = [plain(next(live)) for _ in range(n)]
    live.close()
    again = make().open()
    again.load_state_dict(state)
    found = [plain(next(again)) for _ in range(n)]
    again.close()
    return found, expected


@pytest.mark.parametrize("kind", RESUMED)
def test_a_resume_in_the_middle_of_a_pass_is_exact(kind):
    for cut in range(1, 90, amount(7, 1)):
        found, expected = resumed(RESUMED[kind], cut, 60)
        assert found == expected, f"after {cut}"


def test_a_resume_draws_again_what_the_open_pass_has_given():
    drawn = Counter()

    def member(name):
        for k in range(50):
            drawn[name] += 1
            yield name, k

    def tree():
        return repeating([Streamer(member, i) for i in range(4)], 2, 10_000, random_state=7)

    live = tree().open()
    for _ in range(3000):
        next(live)
    state = live.state_dict()
    live.close()
    drawn.clear()
    again = tree().open()
    again.load_state_dict(state, verify=False)
    assert sum(drawn.values()) <= 2 * 50
    again.close()


def test_a_state_of_the_other_rule_is_refused():
    live = repeating(members([3]), 1, 8, random_state=0).open()
    next(live)
    other = StochasticMux(members([3]), 1, 8, random_state=0).open()
    with pytest.raises(StateError, match="repeat"):
        other.load_state_dict(live.state_dict())
    live.close()
    other.close()


def test_a_pass_that_cannot_be_opened_is_opened_by_a_resume():
    broken = [False]

    def member(rng):
        if broken[0]:
            raise OSError("gone")
        return iter([int(rng.integers(1 << 62)) for _ in range(3)])

    def tree():
        return repeating([Streamer(member)], 1, 50, random_state=0)

    expected = list(tree().iterate(9))
    live = tree().open()
    items = [next(live) for _ in range(6)]
    broken[0] = True
    with pytest.raises(OSError, match="gone"):
        next(live)
    state = live.state_dict()
    live.close()
    broken[0] = False
    again = tree().open()
    again.load_state_dict(state)
    assert [*items, *(next(again) for _ in range(3))] == expected
    again.close()


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [
    {"rate": None}, {"rate": 8, "mode": "exhaustive"}, {"rate": None, "n_active": None}, {"rate": None, "n_active": 2},
], ids=str)  # fmt: skip
def test_repeat_needs_activations_that_end_by_a_number(settings):
    with pytest.raises(ParameterError, match="`short` must be 'next'"):
        repeating(members([1, 1]), **{"n_active": 1, **settings})


@pytest.mark.parametrize("short", ["again", None, True])
def test_other_rules_are_refused(short):
    with pytest.raises(ParameterError, match="short"):
        StochasticMux(members([1]), 1, 8, short=short)


@pytest.mark.parametrize("make", [
    lambda: iter("ab"), lambda: Streamer(iter("ab")), lambda: Streamer(iter([{"x": 1}])).pipe(buffer_stream, 1),
    lambda: ChainMux(Streamer(c) for c in "ab"), lambda: ShuffledMux([["a"], iter("b")]),
], ids=["iterator", "Streamer", "map", "chain", "mux"])  # fmt: skip
def test_one_shot_members_are_refused_at_construction(make):
    with pytest.raises(ParameterError, match="only once"):
        repeating([["a"], make()], 1, 8)
    StochasticMux([["a"], make()], 1, 8)


def test_one_shot_members_of_a_list_are_refused_when_they_are_opened_again():
    built = Ledger()

    class Iterators(list):
        def __getitem__(self, place):
            built.opened.append(place)
            return super().__getitem__(place)

    iterators = Iterators(iter([{"x": i}] * 3) for i in range(2))
    mux = repeating(StreamerList(buffer_stream, iterators, [2, 2]), 1, 8)
    repeating([ShuffledMux(StreamerList(buffer_stream, iterators, [2, 2])), ["a"]], 1, 8)
    assert built.opened == []
    with pytest.raises(ParameterError, match="only once"):
        list(mux.iterate(20))


# --- next: what shares follow, and that it is said --------------------------------------------------------------------


def mean_items(cap, length):
    return sum(min(items, length) * chance for items, chance in cap.items())


@DISTS
@pytest.mark.parametrize("n_active", [1, 3])
def test_with_next_shares_follow_weight_times_the_items_of_an_activation(n_active, dist):
    weights, lengths, cap = (3, 2, 1), (4, 9, 100), cap_law(dist, 12, n_active)
    law = [weight * mean_items(cap, length) for weight, length in zip(weights, lengths, strict=True)]
    streams = (
        names(islice(StochasticMux(members(lengths), n_active, 12, weights, dist=dist, random_state=seed), 500, 3000))
        for seed in range(amount(30, 120))
    )
    assert p_of_shares(streams, law) > RARE


def active_shares(weights, stays, n_active):
    """Weight times how often a member is active, where a set is active as often as the product of `stays`."""
    sets = {held: prod(stays[i] for i in held) for held in combinations(range(len(weights)), n_active)}
    return [w * sum(chance for held, chance in sets.items() if i in held) for i, w in enumerate(weights)]


def long_run(make, lengths, weights, n):
    return p_of_shares((names(islice(make(seed), n // 4, n)) for seed in range(amount(25, 100))), weights)


@pytest.mark.parametrize("n_active", [1, 2, 3])
def test_single_active_with_next_is_active_less_often_where_members_are_short(n_active):
    weights, lengths, rate = (0.5, 0.3, 0.15, 0.05), (8, 100, 3, 100), 20
    means = [max(1, rate * 4 * weight) for weight in weights]
    assert all(mean == int(mean) or mean > length for mean, length in zip(means, lengths, strict=True))
    gives = [min(mean, length) for mean, length in zip(means, lengths, strict=True)]
    stays = [min(1, rate * 4 * w) * given / w for w, given in zip(weights, gives, strict=True)]

    def make(seed):
        return StochasticMux(
            members(lengths), n_active, rate, weights, "single_active", dist="constant", random_state=seed
        )

    assert long_run(make, lengths, active_shares(weights, stays, n_active), 4000) > RARE


@pytest.mark.parametrize("weights", [(1, 1, 1, 1), (1, 2, 3, 4)], ids=str)
@pytest.mark.parametrize("n_active", [1, 2, 3])
def test_single_active_without_a_rate_is_active_as_the_product_of_the_lengths(weights, n_active):
    lengths = (1, 4, 10, 30)

    def make(seed):
        return StochasticMux(members(lengths), n_active, None, weights, "single_active", random_state=seed)

    assert long_run(make, lengths, active_shares(weights, lengths, n_active), 4000) > RARE


def test_lengths_1_10_and_100_in_two_slots():
    law = np.array(active_shares((1, 1, 1), (1, 10, 100), 2))
    assert (law / law.sum()).round(3).tolist() == [0.05, 0.455, 0.495]


@pytest.mark.parametrize("weights", [(1, 1, 1, 1), (1, 2, 3, 4)], ids=str)
@pytest.mark.parametrize("n_active", [1, 2, 3])
def test_with_replacement_without_a_rate_follows_weight_times_length(weights, n_active):
    lengths = (1, 4, 10, 30)

    def make(seed):
        return StochasticMux(members(lengths), n_active, None, weights, random_state=seed)

    assert long_run(make, lengths, [w * n for w, n in zip(weights, lengths, strict=True)], 6000) > RARE


def test_a_weight_of_one_half_of_a_hundred_members_needs_long_ones():
    """An activation of it lasts 64 x 100 x .5 = 3200 items; members of 200 leave early, unless they are repeated."""
    weights = [0.5, *[0.5 / 99] * 99]

    def first(short):
        shares = []
        for seed in range(amount(5, 20)):
            files = members([200] * 100)
            mux = StochasticMux(files, 8, 64, weights, "single_active", random_state=seed, short=short)
            shares.append(names(islice(mux, 20_000, 220_000)).count(0) / 200_000)
        return np.mean(shares)

    assert first("next") == pytest.approx(0.065, abs=0.015)
    assert first("repeat") == pytest.approx(0.5, abs=0.08)


@pytest.fixture
def logged(caplog):
    stochastic._log_dry.cache_clear()
    caplog.set_level(logging.INFO, "streamflow")
    return lambda: [record for record in caplog.records if record.name == "streamflow"]


@MODES
def test_members_that_run_dry_are_logged_once(mode, logged):
    mux = StochasticMux(members([5, 1000]), 1, 32, None, mode, random_state=0)
    list(mux.iterate(1000))
    assert logged() == [], "before 100 activations"
    for epoch in range(3):
        list(mux.iterate(4000, epoch=epoch))
    (record,) = logged()
    assert record.levelno == logging.WARNING
    text = record.getMessage()
    assert "2 streamers" in text
    assert "short='repeat'" in text
    assert ("how often a member is active" if mode == "single_active" else "items per activation") in text


@MODES
def test_what_is_as_it_should_be_is_not_logged(mode, logged):
    list(repeating(members([5, 9]), 1, 32, None, mode, random_state=0).iterate(9000))
    list(StochasticMux(members([500, 900]), 1, 8, None, mode, random_state=0).iterate(9000))
    list(StochasticMux(members([5, 9]), 1, None, None, mode, random_state=0).iterate(9000))
    list(StochasticMux(members([0] * 30 + [99] * 2), 2, 8, None, mode, random_state=0).iterate(9000))
    list(StochasticMux(members([5, 9]), None, 32, None, mode, random_state=0).iterate(9000))
    few = [Streamer(numbered, 0, 5), *(Streamer(numbered, i, 500) for i in range(1, 40))]
    list(StochasticMux(few, 4, 8, None, mode, dist="constant", random_state=0).iterate(9000))
    assert logged() == []
