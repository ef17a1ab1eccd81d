"""Keyed orders: each number once, computed where it is asked for, and no order more likely than another.

Above 1024 numbers the last is true only as far as statistics can tell.  With 4 rounds instead of 7 the law of
neighbours is broken, with 3 that of pairs too, and with exclusive or in place of addition that of parity.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components
from scipy.stats import binomtest, chisquare, hypergeom, norm, poisson

from streamflow.core.format import PERMUTATION_ROUNDS, SORTED_UP_TO
from streamflow.core.permutation import Permutation
from streamflow.seeding import ORDER, Key, Root, order, permutation

from ..amount import amount

#: A p-value below this one is a broken law.
RARE = 1e-5
#: Lengths and numbers of seeds: just above what is sorted, a square, neither, and just above a power of two.
LAWS = {1025: amount(1500, 40_000), 4096: amount(400, 10_000), 20_000: amount(150, 2500), 65_537: amount(60, 800)}
laws = pytest.mark.parametrize(("n", "seeds"), LAWS.items())


def ordered(n, seed, positions=None):
    return permutation(n, Key(Root(seed), (0,)), ORDER)[np.arange(n) if positions is None else np.array(positions)]


def halves(n):
    """The two halves that the rounds mix, of each number below n."""
    bits = (n - 1).bit_length() // 2
    return np.arange(n) & ((1 << bits) - 1), np.arange(n) >> bits


def p_value(outcomes, law):
    """Chi-square of outcomes 0, 1, 2, ...; those that are expected less than 5 times are thrown together."""
    counts, expected = np.bincount(outcomes, minlength=len(law)), np.array(law) * len(outcomes)
    assert len(counts) == len(law), "an unknown outcome"
    rare = expected < 5
    seen, wanted = [*counts[~rare], counts[rare].sum()], [*expected[~rare], expected[rare].sum()]
    if wanted[-1] == 0:
        seen, wanted = seen[:-1], wanted[:-1]
    return chisquare(seen, np.array(wanted) * sum(seen) / sum(wanted)).pvalue


def poisson_law():
    """The law of how often something happens that is expected once; 8 and more are one outcome."""
    law = poisson.pmf(np.arange(8), 1)
    return [*law, 1 - law.sum()]


# ---------------------------------------------------------------------- an order
AROUND_POWERS = [2**k + off for k in range(11, 19) for off in (-1, 0, 1)]
PRIMES = [1031, 2053, 4099, 10_007, 65_521, 131_071]


@pytest.mark.parametrize("n", [*range(4), 77, *range(1022, amount(1090, 4200)), *AROUND_POWERS, *PRIMES])
def test_each_number_comes_once(n):
    assert np.array_equal(np.sort(ordered(n, n)), np.arange(n))
    assert len(permutation(n, Key(Root(n), (0,)), ORDER)) == n


@given(n=st.integers(1, 1 << 62), seed=st.integers(0, 9), data=st.data())
def test_one_position_and_many_give_the_same_numbers(n, seed, data):
    positions = data.draw(st.lists(st.integers(0, n - 1), max_size=30, unique=True))
    place = order(n, Key(Root(seed), (0,)), ORDER)
    found = ordered(n, seed, np.array(positions, np.intp)).tolist()
    assert found == [place(position) for position in positions]
    assert len({number for number in found if 0 <= number < n}) == len(positions)


@given(n=st.integers(SORTED_UP_TO + 1, 1 << 62))
def test_few_numbers_are_computed_in_vain(n):
    found = Permutation(n, np.zeros(PERMUTATION_ROUNDS, np.uint64))
    a = found._mask + 1
    assert a % 2 == 0
    assert n <= a * found._b < 1.05 * n


@pytest.fixture
def asked(monkeypatch):
    """How many positions have been computed together, time after time."""
    counts = []
    permuted = Permutation._permuted

    def noted(self, positions):
        counts.append(len(positions))
        return permuted(self, positions)

    monkeypatch.setattr(Permutation, "_permuted", noted)
    return counts


def test_an_order_is_computed_where_it_is_asked_for(asked):
    for n in (SORTED_UP_TO + 1, 20_000, 10**15):
        ordered(n, 0, np.arange(64))
    assert asked == [64, 64, 64]


@pytest.mark.parametrize("step", [1, 3, 64])
def test_single_numbers_are_computed_ahead_at_the_distance_of_the_last_two(asked, step):
    positions = range(5, 20_000, step)[:300]
    place = order(20_000, Key(Root(0), (0,)), ORDER)
    found = [place(position) for position in positions]
    assert asked == [64, 248 if step == 64 else 256]
    assert found == ordered(20_000, 0, positions).tolist()
    assert place(7) == ordered(20_000, 0, [7])[0], "back to an earlier one"


# ---------------------------------------------------------------------- no order more likely than another
def test_short_orders_are_equally_likely():
    law = np.full(24, 1 / 24)
    numbers = {tuple(one): place for place, one in enumerate(sorted({tuple(ordered(4, seed)) for seed in range(2000)}))}
    assert len(numbers) == 24
    assert p_value([numbers[tuple(ordered(4, seed))] for seed in range(4000)], law) > RARE


@laws
def test_any_number_may_come_first_and_last(n, seeds):
    cells = 10
    law = np.bincount(np.arange(n) * cells // n) / n
    many = np.array([ordered(n, seed, [0, n - 1]) for seed in range(amount(3000, 50_000))])
    for column in many.T:
        assert p_value(column * cells // n, law) > RARE
    where = [int(np.flatnonzero(ordered(n, seed) == 0)[0]) for seed in range(seeds)]
    assert p_value(np.array(where) * cells // n, law) > RARE


@laws
def test_pairs_of_numbers_are_equally_frequent(n, seeds):
    """Also those that share a half with each other, in the place that they come from or in that they go to."""
    cells, bits = 8, (n - 1).bit_length() // 2
    law = np.bincount(np.arange(n) * cells // n) / n
    starts = [0, 1, 1 << bits, n - 1]
    many = np.array([ordered(n, seed, starts) * cells // n for seed in range(amount(3000, 50_000))])
    for other in range(1, len(starts)):
        # the chance of a pair within a cell is smaller by 1/n, which 50,000 seeds do not show
        assert p_value(many[:, 0] * cells + many[:, other], np.outer(law, law).ravel()) > RARE
    for distance in (1, 1 << bits, 3 << bits):
        for half in halves(n):
            counts = np.bincount(half)
            chance = float((counts * (counts - 1)).sum()) / (n * (n - 1))
            same = pairs = 0
            for seed in range(seeds // 4):
                values = half[ordered(n, seed)]
                same += int((values[distance:] == values[:-distance]).sum())
                pairs += n - distance
            # nearly independent, so that the number is nearly normal
            z = (same - pairs * chance) / np.sqrt(pairs * chance * (1 - chance))
            assert 2 * norm.sf(abs(z)) > RARE, (distance, z)


@laws
def test_fixed_points_and_neighbours_are_poisson(n, seeds):
    fixed, following, leading = [], [], []
    for seed in range(seeds):
        found = ordered(n, seed)
        steps = np.diff(found)
        fixed.append(min(8, int((found == np.arange(n)).sum())))
        following.append(min(8, int((steps == 1).sum())))
        leading.append(min(8, int((steps == -1).sum())))
    for counts in (fixed, following, leading):
        assert p_value(counts, poisson_law()) > RARE


@laws
def test_half_of_all_orders_are_even(n, seeds):
    def cycles(found):
        graph = csr_matrix((np.ones(n, np.int8), (np.arange(n), found)), shape=(n, n))
        return connected_components(graph, directed=False)[0]

    odd = sum((n - cycles(ordered(n, seed))) % 2 for seed in range(seeds // 2))
    assert binomtest(int(odd), seeds // 2).pvalue > RARE


@laws
def test_the_first_numbers_are_a_random_subset(n, seeds):
    many = amount(1500, 40_000)
    for k in (16, 64):
        law = hypergeom.pmf(np.arange(k + 1), n, n // 2, k)
        below = [int((ordered(n, seed, np.arange(k)) < n // 2).sum()) for seed in range(many)]
        assert p_value(below, law) > RARE
