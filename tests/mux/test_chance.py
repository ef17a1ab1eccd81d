"""The yardsticks themselves: tails against tabled values, laws against their means, and that a wrong share is seen."""

import numpy as np
import pytest

from .chance import (
    RARE,
    chi_square_tail,
    mean,
    one_plus_binomial,
    one_plus_poisson,
    p_of_independence,
    p_of_means,
    p_of_shares,
    p_value,
    share,
    uniform_order,
    weighted_order,
    whole_number,
)


@pytest.mark.parametrize(
    ("x", "df", "tail"), [(3.841459, 1, 0.05), (5.991465, 2, 0.05), (16.266236, 3, 0.001), (18.307038, 10, 0.05)]
)
def test_tails_are_those_of_the_tables(x, df, tail):
    assert chi_square_tail(x, df) == pytest.approx(tail, rel=1e-6)


def test_p_values_of_a_right_law_are_uniform():
    rng = np.random.default_rng(0)
    law = share((0.7, 0.2, 0.1))
    counts = rng.multinomial(10**6, [0.7, 0.2, 0.1], size=2000).tolist()  # so many that p-values are all but continuous
    values = [p_value(dict(enumerate(row)), law) for row in counts]
    tenths = np.floor(np.array(values) * 10).astype(int).tolist()
    assert p_value(tenths, share([1] * 10)) > RARE


def test_p_values_of_means_are_uniform():
    rng = np.random.default_rng(1)
    values = [p_of_means(rng.normal(size=(40, 2)) @ [[1, 2], [0, 1]], (0, 0)) for _ in range(2000)]
    tenths = np.floor(np.array(values) * 10).astype(int).tolist()
    assert p_value(tenths, share([1] * 10)) > RARE


def test_wrong_laws_are_seen():
    rng = np.random.default_rng(2)
    draws = rng.choice(3, size=2000, p=[0.6, 0.25, 0.15]).tolist()
    assert p_value(draws, share((0.7, 0.2, 0.1))) < RARE
    assert p_value(draws, share((0.7, 0.3, 0))) == 0  # an outcome that must not be
    assert p_of_shares([rng.choice(2, size=100, p=[0.6, 0.4]) for _ in range(50)], (0.7, 0.3)) < RARE
    assert p_of_independence([(k, k) for k in (0, 1)] * 100) < RARE
    assert p_of_independence(tuple(pair) for pair in rng.integers(3, size=(1000, 2)).tolist()) > RARE


@pytest.mark.parametrize("rate", [1, 1.5, 2, 2.3, 3, 8])
@pytest.mark.parametrize("n_active", [2, 3, 10])
def test_cap_laws_have_their_rate_as_mean(rate, n_active):
    for law in (whole_number(rate), one_plus_poisson(rate), one_plus_binomial(rate, n_active)):
        assert mean(law) == pytest.approx(rate)
        assert sum(law.values()) == pytest.approx(1)


def test_order_laws():
    assert len(uniform_order(4)) == 24
    law = weighted_order((0.5, 0.3, 0.2))
    assert law[0, 1, 2] == pytest.approx(0.5 * 0.3 / 0.5)
    assert sum(law.values()) == pytest.approx(1)
