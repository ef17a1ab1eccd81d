"""Members for the tests of the muxes, and a ledger of what was opened, closed and held open."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import count, repeat
from typing import Any

from streamflow import Streamer


def endless(name: Any) -> Iterator[Any]:
    """The same item for ever."""
    while True:
        yield name


def numbered(name: Any, n: int) -> Iterator[Any]:
    """(name, 0), ..., (name, n - 1)."""
    for k in range(n):
        yield name, k


def drawing(name: Any, n: int, rng: Any) -> Iterator[Any]:
    """n items that show which random numbers this activation was given."""
    for _ in range(n):
        yield name, int(rng.integers(1 << 62))


def pool(n: int) -> list[Streamer]:
    """n endless members; member i yields i."""
    return [Streamer(endless, i) for i in range(n)]


class Ledger:
    """Members that report to one list.

    Attributes
    ----------
    opened : list
        Names in the order in which members were opened; the place in it is the number of the activation.
    open : Counter
        How many activations of each name are open now.
    held, most : int
        How many activations are open now, and the largest number that were open at once.
    twice : bool
        Whether a name was ever open twice at once.
    """

    def __init__(self) -> None:
        self.opened: list[Any] = []
        self.open: Counter[Any] = Counter()
        self.held = 0
        self.most = 0
        self.twice = False

    def run(self, name: Any, items: Iterable[Any]) -> Iterator[Any]:
        """`items`, while the ledger knows that `name` is open."""
        self.opened.append(name)
        self.open[name] += 1
        self.held += 1
        self.most = max(self.most, self.held)
        self.twice |= self.open[name] > 1
        try:
            yield from items
        finally:
            self.open[name] -= 1
            self.held -= 1

    def endless(self, name: Any) -> Iterator[Any]:
        """The name for ever."""
        return self.run(name, repeat(name))

    def finite(self, name: Any, n: int) -> Iterator[Any]:
        """The name n times."""
        return self.run(name, repeat(name, n))

    def activations(self, name: Any) -> Iterator[Any]:
        """(name, number of the activation) for ever."""
        number = len(self.opened)
        yield from self.run(name, repeat((name, number)))

    def counted(self, name: Any, n: int) -> Iterator[Any]:
        """(name, number of the activation, k) for k below n."""
        number = len(self.opened)
        yield from self.run(name, ((name, number, k) for k in range(n)))

    def numbered(self, name: Any, n: int) -> Iterator[Any]:
        """(name, k) for k below n."""
        return self.run(name, numbered(name, n))

    def flaky(self, name: Any, gives: Iterable[bool], n: int = 1000) -> Iterator[Any]:
        """n times the name if next(gives), else nothing: `gives` is an iterator that activations share."""
        return self.run(name, repeat(name, n if next(iter(gives)) else 0))

    def pool(self, n: int) -> list[Streamer]:
        """n endless members; member i yields i."""
        return [Streamer(self.endless, i) for i in range(n)]

    def short_pool(self, lengths: Iterable[int]) -> list[Streamer]:
        """Finite members; member i yields i, lengths[i] times."""
        return [Streamer(self.finite, i, n) for i, n in enumerate(lengths)]


def every_other(first: bool) -> Iterator[bool]:
    """first, not first, first, ..."""
    for k in count():
        yield first if k % 2 == 0 else not first
