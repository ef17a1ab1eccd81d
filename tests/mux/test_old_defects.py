"""Faults that a sampling library can have, each shown to be absent: shares, ends, replay, copies, closing."""

import inspect
import types
from collections import Counter
from itertools import islice
from threading import Lock

import numpy as np
import pytest

from streamflow import ChainMux, RoundRobinMux, ShuffledMux, StochasticMux, Streamer, buffer_stream
from streamflow.exceptions import ParameterError, StreamflowError

from .chance import RARE, p_of_shares, p_value, share
from .members import Ledger, drawing, every_other, numbered, pool

pytestmark = pytest.mark.timeout(60)
WEIGHTS = (0.7, 0.2, 0.1)


@pytest.mark.parametrize("mode", ["with_replacement", "single_active"])
@pytest.mark.parametrize("n_active", [1, 2, 3])
def test_weights_rule_the_long_run(mode, n_active):
    """Where activations are drawn uniformly the shares would be a third each, whatever the weights."""
    streams = (StochasticMux(pool(3), n_active, 8, WEIGHTS, mode, random_state=s).iterate(2000) for s in range(40))
    assert p_of_shares((list(stream)[500:] for stream in streams), WEIGHTS) > RARE


@pytest.mark.parametrize("rate", [20, None])
def test_three_always_active_sources_have_their_weights(rate):
    mux = StochasticMux([Streamer(numbered, i, 50) for i in range(3)], 3, rate, (0.1, 0.1, 0.8), "single_active",
                        random_state=0)  # fmt: skip
    assert p_value((i for i, _ in mux.iterate(20_000)), share((0.1, 0.1, 0.8))) > RARE


@pytest.mark.parametrize("seed", range(20))
def test_a_member_of_weight_zero_takes_no_slot(seed):
    mux = StochasticMux(pool(3), 1, 8, weights=[0, 0, 1], random_state=seed)
    assert list(mux.iterate(10)) == [2] * 10


@pytest.mark.parametrize("rate", [1.5, 2, 3, 8])
@pytest.mark.parametrize("n_active", [3, 10])
def test_default_caps_are_not_truncated(rate, n_active):
    ledger = Ledger()
    mux = StochasticMux([Streamer(ledger.activations, i) for i in range(8)], n_active, rate, random_state=0)
    items = mux.iterate(int(4000 * rate))
    lengths = Counter(number for _, number in items)
    whole = [lengths[number] for number in range(3600 - 20 * n_active)]
    assert np.mean(whole) == pytest.approx(rate, rel=0.03)


def test_nothing_hangs_on_nothing():
    nothing = Streamer(numbered, "a", 0)
    assert list(nothing.cycle()) == []
    assert list(ChainMux([nothing, nothing], mode="cycle")) == []
    assert list(RoundRobinMux([nothing], mode="cycle")) == []
    assert list(StochasticMux([nothing] * 3, 2, 8, prune_empty_streams=False)) == []
    assert list(ShuffledMux([nothing]).cycle()) == []
    assert list(ChainMux(lambda: iter([]), mode="cycle")) == []


def test_an_epoch_and_an_activation_have_their_own_order():
    mux = StochasticMux([Streamer(numbered, i, 1) for i in range(8)], 2, None, mode="exhaustive", random_state=0)
    items = list(mux.cycle(max_iter=24))
    assert len({tuple(items[k : k + 8]) for k in (0, 8, 16)}) == 3
    seeded = ShuffledMux([Streamer(numbered, i, 99) for i in range(4)], random_state=7)
    outer = StochasticMux([seeded], 1, 12, dist="constant", random_state=0)
    heads = [i for i, _ in outer.iterate(12 * 30)]
    assert len({tuple(heads[k : k + 12]) for k in range(0, 360, 12)}) == 30, "a seeded mux does not replay its head"


def test_a_leaf_gets_new_random_numbers_at_each_activation():
    items = list(StochasticMux([Streamer(drawing, "a", 2)], 1, 2, random_state=0).iterate(200))
    assert len(set(items)) == 200


@pytest.mark.parametrize("n", [2, 3, 8])
def test_the_recipe_for_always_active_members_opens_each(n):
    for seed in range(30):
        ledger = Ledger()
        list(StochasticMux(ledger.pool(n), n, None, random_state=seed).iterate(40 * n))
        assert sorted(ledger.opened) == list(range(n))


def test_exhaustive_says_that_a_rate_caps_and_without_one_nothing_is_lost():
    members = [Streamer(numbered, i, 10) for i in range(4)]
    assert len(list(StochasticMux(members, 2, 3, mode="exhaustive", dist="constant", random_state=0))) == 12
    assert len(list(StochasticMux(members, 2, None, mode="exhaustive", random_state=0))) == 40
    text = " ".join(inspect.getdoc(StochasticMux).split())
    assert "exhaustive" in text
    assert "cap" in text


@pytest.mark.parametrize("prune", [True, False])
def test_two_members_that_are_empty_every_other_time_do_not_end_it(prune):
    members = [Streamer(Ledger().flaky, i, every_other(True), 1) for i in range(2)]
    mux = StochasticMux(members, 2, 8, mode="single_active", prune_empty_streams=prune, random_state=0)
    assert len(list(mux.iterate(100))) == 100


def test_single_active_does_not_revive_empties():
    ledger = Ledger()
    mux = StochasticMux(ledger.short_pool([9, 9, 0]), 2, 4, mode="single_active", random_state=0)
    list(mux.iterate(200))
    assert ledger.opened.count(2) == 1


@pytest.mark.parametrize("n", [0, 1, 3, 7])
def test_no_more_is_drawn_than_is_asked_for(n):
    drawn = []

    def member():
        for k in range(99):
            drawn.append(k)
            yield k

    for tree in (Streamer(member), ShuffledMux([Streamer(member)]), ChainMux([Streamer(member)]),
                 RoundRobinMux([Streamer(member)]), StochasticMux([Streamer(member)], 1, None)):  # fmt: skip
        drawn.clear()
        assert len(list(tree.iterate(n))) == n
        assert len(drawn) == n


def test_arguments_are_not_copied():
    big = np.zeros(10)
    seen = set()

    def member(array):
        seen.add(id(array))
        yield array

    list(StochasticMux([Streamer(member, big) for _ in range(4)], 2, 1, random_state=0).iterate(50))
    assert seen == {id(big)}
    lock = Lock()  # cannot be copied at all
    assert next(iter(ShuffledMux([Streamer(member, lock)]))) is lock


def test_integers_as_weights_and_modes_are_checked():
    weights = np.array([1, 2, 3])
    StochasticMux(pool(3), 2, 8, weights=weights)
    ShuffledMux(pool(3), weights=weights)
    assert weights.tolist() == [1, 2, 3]
    for wrong in (
        lambda: StochasticMux(pool(3), 2, 8, weights=[np.nan, 1, 1]),
        lambda: StochasticMux(pool(3), 2, 8, weights=[-1, 1, 1]),
        lambda: StochasticMux(pool(3), 2, 0.5),
        lambda: StochasticMux(pool(3), 0, 8),
        lambda: StochasticMux(pool(3), -1, 8),
        lambda: RoundRobinMux(pool(3), mode="whatever"),
    ):
        with pytest.raises(ParameterError):
            wrong()
    assert issubclass(ParameterError, StreamflowError)


def test_a_batch_loses_no_field():
    """A key that comes or goes is an error, not a silent loss."""
    for items in ([{"x": 1}, {"x": 2, "y": 3}], [{"x": 1, "y": 2}, {"x": 3}]):
        with pytest.raises(StreamflowError, match="y"):
            list(buffer_stream(iter(items), 2))


def test_a_mux_has_epochs_and_a_state_and_takes_a_generator():
    mux = StochasticMux([Streamer(numbered, i, 9) for i in range(3)], 2, 4, random_state=np.random.default_rng(0))
    live = mux.open(epoch=3)
    head = list(islice(live, 17))
    assert head == list(mux.iterate(17, epoch=3))
    again = mux.open(epoch=0)
    again.load_state_dict(live.state_dict())
    assert (again.epoch, again.position) == (3, 17)
    assert list(islice(again, 20)) == list(islice(live, 20))


@pytest.mark.parametrize("make", [
    lambda members: StochasticMux(members, 2, 2, random_state=0),
    lambda members: ShuffledMux(members, random_state=0),
    lambda members: RoundRobinMux(members, mode="cycle"),
    lambda members: ChainMux(members, mode="cycle"),
], ids=["stochastic", "shuffled", "round robin", "chain"])  # fmt: skip
@pytest.mark.parametrize("how", ["exhausted by max_iter", "closed", "dropped"])
def test_members_are_closed_however_the_pass_ends(make, how):
    ledger = Ledger()
    tree = make(ledger.pool(4))
    stream = tree.iterate(30 if how == "exhausted by max_iter" else None)
    assert isinstance(stream, types.GeneratorType)
    taken = list(islice(stream, 31 if how == "exhausted by max_iter" else 30))
    assert len(taken) == 30
    if how == "closed":
        stream.close()
    if how == "dropped":
        del stream
    assert ledger.held == 0
