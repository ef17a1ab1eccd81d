"""Exact statistics for the laws of the muxes: chi-square tests, tests of means, and the laws that they compare with.

Every test runs over fixed seeds, so it gives the same verdict each time; `RARE` is the chance that a correct
implementation would have been called wrong when the seeds were chosen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from itertools import permutations
from math import comb, erfc, exp, factorial, floor, lgamma, log, sqrt

import numpy as np

#: A p-value below this one is a broken law.
RARE = 1e-5


def chi_square_tail(x: float, df: int) -> float:
    """P(X > x) of the chi-square law: the regularised upper incomplete gamma function at (df / 2, x / 2).

    Whole and half arguments are finite sums (Abramowitz and Stegun 26.4.4 and 26.4.5).
    """
    half, offset = x / 2, 0 if df % 2 == 0 else 0.5
    if half == 0:
        return 1.0
    terms = (exp((k - offset) * log(half) - half - lgamma(k - offset + 1)) for k in range(df % 2, (df + 1) // 2))
    return sum(terms) + (erfc(sqrt(half)) if df % 2 else 0.0)


def p_value(outcomes: Iterable[Hashable] | Mapping[Hashable, int], law: Mapping[Hashable, float]) -> float:
    """Chi-square goodness of fit of independent outcomes to a law.

    Outcomes that the law excludes give 0.  Cells with an expectation below 5 are thrown together; if they still expect
    less than 5, with the smallest other cell.
    """
    seen = Counter(outcomes)
    n, whole = seen.total(), sum(law.values())
    if any(law.get(outcome, 0) <= 0 for outcome in seen):
        return 0.0
    if sum(chance > 0 for chance in law.values()) == 1:
        return 1.0  # a certain outcome, and nothing else was seen
    cells = sorted((n * chance / whole, seen[outcome]) for outcome, chance in law.items() if chance > 0)
    while len(cells) > 1 and cells[0][0] < 5:
        (expected, count), (more, also) = cells[:2]
        cells = sorted([(expected + more, count + also), *cells[2:]])
    assert len(cells) > 1, "one cell alone proves nothing"
    return chi_square_tail(sum((count - expected) ** 2 / expected for expected, count in cells), len(cells) - 1)


def share(weights: Sequence[float]) -> dict[int, float]:
    """The law that gives member i the share weights[i] / sum(weights)."""
    return {i: weight / sum(weights) for i, weight in enumerate(weights)}


def p_of_columns(table: np.ndarray, law: Mapping[Hashable, float]) -> float:
    """The same for each column of a table whose rows are independent: the smallest p-value, times their number."""
    return min(p_value(column.tolist(), law) for column in table.T) * table.shape[1]


def p_of_means(rows: np.ndarray, expected: Sequence[float]) -> float:
    """Whether independent rows have the expected mean, whatever their covariance.

    Hotelling's T-square, as Bartlett's chi-square (exact for two columns).  Columns that add up to a constant are
    dependent: leave one out.
    """
    n, k = rows.shape
    off = rows.mean(axis=0) - np.asarray(expected)
    spread = np.atleast_2d(np.cov(rows, rowvar=False))
    if not spread.any():
        return float(not off.any())
    t_square = n * float(off @ np.linalg.solve(spread, off))
    return chi_square_tail((n - 1 - k / 2) * float(np.log1p(t_square / (n - 1))), k)


def p_of_shares(streams: Iterable[Iterable[int]], weights: Sequence[float]) -> float:
    """Whether independent streams of member numbers have shares like the weights, on average."""
    members = len(weights)
    rows = []
    for stream in streams:
        counts = np.bincount(np.fromiter(stream, dtype=np.int64), minlength=members)
        assert len(counts) == members, "an unknown member"
        rows.append(counts / counts.sum())
    return p_of_means(np.array(rows)[:, :-1], np.asarray(weights[:-1]) / sum(weights))


def p_of_independence(pairs: Iterable[tuple[Hashable, Hashable]]) -> float:
    """Chi-square test of independence of the two halves of independent pairs."""
    seen = Counter(pairs)
    first, second = Counter(), Counter()
    for (a, b), count in seen.items():
        first[a] += count
        second[b] += count
    n = seen.total()
    off = sum((seen[a, b] - first[a] * second[b] / n) ** 2 / (first[a] * second[b] / n) for a in first for b in second)
    assert len(first) > 1 and len(second) > 1, "a constant is independent of all"
    return chi_square_tail(off, (len(first) - 1) * (len(second) - 1))


# --- laws -------------------------------------------------------------------------------------------------------------


def whole_number(mean: float) -> dict[int, float]:
    """floor or ceil of a number, with that mean."""
    low = floor(mean)
    return {low: 1 - (mean - low), low + 1: mean - low}


def one_plus_poisson(rate: float) -> dict[int, float]:
    """1 + Poisson(rate - 1), its tail in the last cell."""
    law = {1 + k: exp(1 - rate) * (rate - 1) ** k / factorial(k) for k in range(80)}
    return {k: chance for k, chance in law.items() if chance > 0}


def one_plus_binomial(rate: float, n_active: int) -> dict[int, float]:
    """1 + Binomial(N, q), q = 1 - 1/n_active and N = floor or ceil of (rate - 1)/q, with that mean."""
    q = 1 - 1 / n_active
    law: dict[int, float] = {}
    for trials, weight in whole_number((rate - 1) / q).items():
        for k in range(trials + 1):
            law[1 + k] = law.get(1 + k, 0) + weight * comb(trials, k) * q**k * (1 - q) ** (trials - k)
    return {k: chance for k, chance in law.items() if chance > 0}


def cap_law(dist: str, rate: float, n_active: int) -> dict[int, float]:
    """The law of an activation's cap."""
    if dist == "constant":
        return {k: chance for k, chance in whole_number(rate).items() if chance > 0}
    if dist == "poisson" or n_active == 1:
        return one_plus_poisson(rate)
    return one_plus_binomial(rate, n_active)


def mean(law: Mapping[int, float]) -> float:
    """The mean of a law over numbers."""
    return sum(k * chance for k, chance in law.items()) / sum(law.values())


def uniform_order(n: int) -> dict[tuple[int, ...], float]:
    """All orders of range(n), equally likely."""
    return dict.fromkeys(permutations(range(n)), 1.0)


def weighted_order(weights: Sequence[float]) -> dict[tuple[int, ...], float]:
    """Orders in which each next one is drawn in proportion to the weights of those that are left."""

    def chance(order: tuple[int, ...]) -> float:
        product = 1.0
        for k, i in enumerate(order):
            product *= weights[i] / sum(weights[j] for j in order[k:])
        return product

    return {order: chance(order) for order in permutations(range(len(weights)))}


def table(make: Callable[[int], Iterable[int]], seeds: int) -> np.ndarray:
    """One row per seed: what `make(seed)` yields."""
    return np.array([list(make(seed)) for seed in range(seeds)])
