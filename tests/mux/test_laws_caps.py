"""Law 5 of StochasticMux: how many items an activation gives, and where that number comes from."""

from collections import Counter

import numpy as np
import pytest

from streamflow import StochasticMux, Streamer

from ..amount import amount
from .chance import RARE, cap_law, mean, p_of_independence, p_value
from .members import Ledger

DISTS = pytest.mark.parametrize("dist", ["constant", "poisson", "binomial"])


def caps(n_active, rate, dist, n=None, seed=0, part=None):
    """The lengths of the first n activations (in the order of their opening), all of which have ended."""
    n = n or amount(1500, 4000)
    ledger = Ledger()
    mux = StochasticMux(
        [Streamer(ledger.activations, i) for i in range(3)], n_active, rate, dist=dist, random_state=seed
    )
    tree = mux if part is None else mux.shard(*part)
    lengths = Counter(activation for _, activation in tree.iterate(int((n + 40 * n_active) * rate)))
    assert len(ledger.opened) > n + 2 * n_active
    return [lengths[activation] for activation in range(n)]


@DISTS
@pytest.mark.parametrize("rate", [1, 1.5, 2, 3, 3.7, 8])
@pytest.mark.parametrize("n_active", [1, 2, 3, 10])
def test_caps_follow_their_law(dist, rate, n_active):
    lengths = caps(n_active, rate, dist)
    law = cap_law(dist, rate, n_active)
    assert p_value(lengths, law) > RARE
    spread = np.sqrt(sum(chance * (k - mean(law)) ** 2 for k, chance in law.items()))
    assert abs(np.mean(lengths) - rate) <= 4.5 * spread / np.sqrt(len(lengths)), "the mean is `rate` itself"


@pytest.mark.parametrize("rate", [4, 9.5])
def test_poisson_caps_have_the_variance_of_one_plus_poisson(rate):
    lengths = caps(2, rate, "poisson")
    error = np.sqrt((3 * (rate - 1) ** 2 + rate - 1 - (rate - 1) ** 2) / len(lengths))
    assert abs(np.var(lengths) - (rate - 1)) < 4.5 * error


def test_caps_are_independent_of_each_other():
    lengths = np.minimum(caps(1, 2.5, "poisson", n=amount(2500, 6000)), 5).tolist()
    assert p_of_independence(zip(lengths[::2], lengths[1::2], strict=True)) > RARE


@pytest.mark.parametrize("count", [2, 4])
def test_caps_inside_a_part_are_those_of_the_whole_tree(count):
    """Four slots over 2 or 4 parts: the binomial law is that of four slots, also where a part has one."""
    for index in range(count):
        assert (
            p_value(caps(4, 6, "binomial", n=amount(1000, 2500), part=(index, count)), cap_law("binomial", 6, 4)) > RARE
        )
        assert (
            p_value(caps(4, 2.4, "binomial", n=amount(1000, 2500), part=(index, count)), cap_law("binomial", 2.4, 4))
            > RARE
        )


def test_caps_belong_to_the_seed_and_the_activation():
    assert caps(2, 5, "poisson", n=200, seed=1) == caps(2, 5, "poisson", n=200, seed=1)
    assert caps(2, 5, "poisson", n=200, seed=1) != caps(2, 5, "poisson", n=200, seed=2)


def exhaustive(random_state=0, weights=None, n_active=2):
    """A mux that gives each of 40 endless members one capped activation."""
    return StochasticMux(
        [Streamer(Ledger().endless, i) for i in range(40)], n_active, 5.5, weights=weights, mode="exhaustive",
        dist="poisson", random_state=random_state,
    )  # fmt: skip


def test_caps_hang_on_the_activations_own_key_alone():
    """Other picks (other weights) change the order of the items, not how many each activation gives."""
    plain, weighted = list(exhaustive()), list(exhaustive(weights=range(1, 41)))
    assert plain != weighted
    assert Counter(plain) == Counter(weighted)


def test_caps_differ_from_member_to_member_and_from_epoch_to_epoch():
    mux = exhaustive()
    first, second = Counter(mux.iterate(epoch=0)), Counter(mux.iterate(epoch=1))
    assert len(set(first.values())) > 3
    assert first != second


@DISTS
def test_exhaustive_caps_follow_the_law_too(dist):
    members = [Streamer(Ledger().endless, i) for i in range(3000)]
    mux = StochasticMux(members, 4, 3.5, mode="exhaustive", dist=dist, random_state=1)
    lengths = Counter(mux)
    assert len(lengths) == 3000
    assert p_value(lengths.values(), cap_law(dist, 3.5, 4)) > RARE


def test_an_activation_asks_for_no_item_more_than_its_cap():
    """A member is not drawn once too often at the end of its activation."""
    asked = []

    def member(i):
        while True:
            asked.append(i)
            yield i

    items = list(StochasticMux([Streamer(member, i) for i in range(4)], 2, 3, random_state=0).iterate(5000))
    assert asked == items
