"""How many items an activation may give.

A cap is drawn by inverting its distribution function at one uniform number, so it depends on nothing but that number.
The three distributions have the same mean, which need not be whole:

* ``constant``: the whole numbers next to the mean;
* ``poisson``: 1 + Poisson(mean - 1);
* ``binomial``: 1 + Binomial(N, q) with q = 1 - 1/n_active and N a whole number next to (mean - 1) / q, drawn such that
  its expectation is exactly that.  It is what the other slots give while one slot waits, so an active set is replaced
  more evenly than with ``poisson``, which is its limit for many trials.  With one slot it is ``poisson``.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ..core.format import CAP_REACH
from ..seeding import CAPS, Key, generator

__all__ = ["DISTS", "CapLaw", "cap_law", "own_cap"]

DISTS = ("binomial", "constant", "poisson")


class CapLaw:
    """The law of a cap: from uniform numbers in [0, 1) to positive integers.

    >>> law = cap_law("constant", 2.5, 4)
    >>> law(0.49), law(0.5)
    (2, 3)
    """

    __slots__ = ("_below", "_first", "_list")

    def __init__(self, first: int, chances: NDArray[np.float64]) -> None:
        """`chances[k]` is the chance of first + k."""
        cdf = np.cumsum(chances)
        self._first, self._below = first, (cdf / cdf[-1])[:-1]
        self._list: list[float] = self._below.tolist()  # quicker for single numbers

    def __call__(self, u: float) -> int:
        return self._first + bisect_right(self._list, u)

    def many(self, u: NDArray[np.float64]) -> NDArray[np.intp]:
        """The caps of many numbers."""
        caps: NDArray[np.intp] = self._first + self._below.searchsorted(u, side="right")
        return caps

    @property
    def largest(self) -> int:
        """The largest value."""
        return self._first + len(self._list)

    @property
    def certain(self) -> bool:
        """Whether there is only one value."""
        return not len(self._below)


@lru_cache(maxsize=4096)
def cap_law(dist: str, mean: float, n_active: int) -> CapLaw:
    """The law of caps with a mean of at least 1 in an active set of a whole tree's size."""
    more = mean - 1.0
    if dist == "constant" or more <= 0:
        whole = math.floor(max(mean, 1.0))
        part = max(mean, 1.0) - whole
        return CapLaw(whole, np.array([1.0 - part, part] if part else [1.0]))
    if dist == "poisson" or n_active == 1:
        low, high = _window(more, more)
        k = np.arange(low, high)
        start = low * math.log(more) - more - math.lgamma(low + 1)
        return CapLaw(1 + low, _chances(start, math.log(more) - np.log(k + 1.0)))
    q = 1.0 - 1.0 / n_active
    trials = more / q
    few = math.floor(trials)
    low, high = _window(more, trials * q * (1 - q))
    chances = (1.0 - (trials - few)) * _binomial(few, q, low, high)
    if trials > few:
        chances = chances + (trials - few) * _binomial(few + 1, q, low, high)
    return CapLaw(1 + low, chances)


def own_cap(law: CapLaw | None, key: Key) -> int | None:
    """The cap of one activation from its own key; None where there is no law."""
    return None if law is None else law(generator(key, CAPS).random())


def _window(mean: float, variance: float) -> tuple[int, int]:
    """The whole numbers around a mean that matter."""
    reach = CAP_REACH * math.sqrt(variance) + CAP_REACH
    return max(0, math.floor(mean - reach)), math.ceil(mean + 2 * reach)


def _binomial(trials: int, q: float, low: int, high: int) -> NDArray[np.float64]:
    """The chances of Binomial(trials, q) for low, ..., high."""
    chances = np.zeros(high - low + 1)
    top = min(trials, high)
    if top < low:
        return chances
    k = np.arange(low, top)
    start = math.lgamma(trials + 1) - math.lgamma(low + 1) - math.lgamma(trials - low + 1)
    start += low * math.log(q) + (trials - low) * math.log1p(-q)
    chances[: top - low + 1] = _chances(start, np.log((trials - k) / (k + 1.0)) + math.log(q) - math.log1p(-q))
    return chances


def _chances(start: float, steps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Chances from the logarithm of the first and the differences of the logarithms."""
    return np.exp(start + np.concatenate([[0.0], np.cumsum(steps)]))
