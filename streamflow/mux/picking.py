"""Picking slots at random, in proportion to weights, from keyed numbers.

Each pick takes one uniform number from a bit generator that nothing else uses, so the position in it is the number of
picks.  A law maps numbers to slots; when a weight changes, the numbers that have been drawn and not used are mapped
again by the new law.  Therefore the length of the blocks has no influence on what comes.

An empty member is barred from the draw: with pruning until no other is left, else until an item has come.  When all
slots are dead, every member is tried once more; if none of them gives anything, the stream ends.
"""

from __future__ import annotations

import base64
import zlib
from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.call import Shards
from ..core.node import Activation
from ..core.saved import Saved
from ..seeding import PICKS, Key, bit_generator
from .pool import Pool
from .slot_states import SlotNode
from .slots import FIRST

__all__ = ["PickNode", "law_of", "uniform_law"]

_LEAST = 4  #: length of the shortest block, where weights change all the time
Law = Callable[[NDArray[np.float64]], NDArray[np.intp]]


def uniform_law(n: int) -> Law:
    """The law that maps uniform numbers to range(n), each as likely as the others."""
    return lambda u: (u * n).astype(np.intp)


def law_of(weights: NDArray[np.float64], table: bool = False) -> Law:
    """The law that maps uniform numbers to indexes in proportion to weights.

    With `table` it finds its place through a table of 4 n cells: the same indexes, faster for many numbers, but slow
    to build.  (The product of a number below 1 with the total is below the total in floating point too, so no index is
    past the last positive weight.)

    >>> law_of(np.array([1.0, 0.0, 3.0]))(np.array([0.0, 0.24, 0.25, 0.99])).tolist()
    [0, 0, 2, 2]
    """
    sums = weights.cumsum()
    total = sums[-1]
    if not table:
        return lambda u: sums.searchsorted(u * total, "right")
    cells = 4 * len(weights)
    start = sums.searchsorted(np.arange(cells) / cells * total, "right")

    def through_table(u: NDArray[np.float64]) -> NDArray[np.intp]:
        index: NDArray[np.intp] = start[(u * cells).astype(np.intp)]
        wanted = u * total
        low = np.flatnonzero(sums[index] <= wanted)
        while len(low):  # of several indexes in one cell, walk to the right one
            index[low] += 1
            low = low[sums[index[low]] <= wanted[low]]
        return index

    return through_table


class PickNode(SlotNode):
    """Slots picked in proportion to the weights of the members in them, or uniformly.

    Parameters
    ----------
    weights : (n_streams,) array or None
        The members' weights for picks; None picks slots uniformly.
    prune : bool
        Whether empty members are barred until no other is left, and not only until the next item.
    part : int
        The number of this part, where parts share a key and must not share their picks.
    """

    __slots__ = (
        "_aside",
        "_away",
        "_away_at",
        "_dead",
        "_empty",
        "_empty_at",
        "_from",
        "_law",
        "_numbers",
        "_part",
        "_pick_weights",
        "_planned",
        "_prune",
        "_retried_at",
        "_rng",
        "_size",
        "_table",
        "_weights",
    )

    def __init__(
        self, pool: Pool, key: Key, shards: Shards, weights: NDArray[np.float64] | None, prune: bool, part: int = 0
    ) -> None:
        super().__init__(pool, key, shards)
        self._pick_weights, self._prune, self._part = weights, prune, part
        self._weighs = weights is not None
        self._rng: np.random.Generator | None = None
        self._size, self._table = FIRST, False  # length of the next block; whether its law has a table
        self._planned = 0  # length of the last one, before it was cut
        self._dead: dict[int, float] = {}  # dead slots that the law still knows, with their weights
        self._away: dict[int, float] = {}  # unpruned: those that it has been made to forget until the next item
        self._away_at = 0
        self._aside: set[int] = set()
        self._empty: set[int] = set()  # members found empty since the last item
        self._empty_at = self._retried_at = -1

    # ------------------------------------------------------------------ what a kind of mux says
    @abstractmethod
    def _revive(self, slot: int, barred: set[int]) -> Activation | None:
        """An activation for a dead slot, of a member that is not barred."""

    # ------------------------------------------------------------------ picks
    def _begin_picks(self) -> None:
        """Weigh the slots as they are filled."""
        self._weights = np.array([0.0 if one is None else self._weight(one.index) for one in self.held])
        for slot, weight in self._dead.items():
            self._weights[slot] = weight
        self._law: Law | None = None
        self._from = -1

    def _weight(self, index: int) -> float:
        return 1.0 if self._pick_weights is None else float(self._pick_weights[index])

    def _plan(self) -> NDArray[np.intp] | None:
        if not self.live:
            self._refill()
            if not self.live:
                return None
        if self._away and self.given() > self._away_at:
            self._bring_back()
        if self._rng is None:
            self._rng = self._picks()
            self._numbers, self._from = np.empty(0), self.asked
        used = self.asked - self._from
        if used:
            if used >= self._planned:
                self._size = min(self._longest, 2 * self._size)
            elif 4 * used < self._size:  # cut early: weights change faster than that
                self._size = max(_LEAST, self._size // 2)
            self._numbers, self._from = self._numbers[used:], self.asked
        if not len(self._numbers):
            self._numbers = self._rng.random(max(FIRST, self._size))
        if self._table != (self._size == self._longest):  # a table pays where weights stay for long
            self._table, self._law = not self._table, None
        if self._law is None:
            alike = self._pick_weights is None and self._weights.all()
            self._law = uniform_law(len(self.held)) if alike else law_of(self._weights, self._table)
        chosen = self._law(self._numbers[: 1 if self._away else self._size])
        self._planned = len(chosen)
        return chosen

    def _picks(self) -> np.random.Generator:
        bits = bit_generator(self.key, PICKS)
        if self._part:
            bits = bits.jumped(self._part)
        bits.advance(self.asked)
        return np.random.Generator(bits)

    def _refill(self) -> None:
        """Every slot is dead: try the members again, each once before the next item."""
        now = self.given() + 1
        if self._retried_at != now:  # what was found empty before counts no more
            self._retried_at = now
            self._empty.clear()
        barred = self._just_empty()
        self._aside &= barred
        for slot in range(len(self.held)):
            activation = self._revive(slot, barred)
            if activation is not None:
                self._enter(slot, activation)

    def _missed(self, slot: int) -> None:
        super()._missed(slot)
        if not self._prune and self.held[slot] is None:
            activation = self._revive(slot, self._just_empty())
            if activation is not None:
                self._enter(slot, activation)

    def _weigh(self, slot: int, index: int) -> None:
        # The weight of the new member counts from the next pick on.
        weight = self._weight(index)
        if self._weights[slot] != weight:
            self._weights[slot] = weight
            if self._prune:
                self._drop_dead()
            else:
                self._law = None
                self._cut()

    def _drop_dead(self) -> None:
        if self._dead:
            self._weights[list(self._dead)] = 0.0
            if not self._prune:  # they stay in the draw, but not before the next item
                self._away.update(self._dead)
                self._away_at = self.given()
            self._dead.clear()
        self._law = None
        self._cut()

    def _bring_back(self) -> None:
        """An item has come: the dead slots that were left out for it are in the draw again."""
        for slot, weight in self._away.items():
            self._dead[slot] = self._weights[slot] = weight
        self._away.clear()
        self._law = None

    def _died(self, slot: int) -> None:
        self._dead[slot] = float(self._weights[slot])

    def _enter(self, slot: int, activation: Activation) -> None:
        super()._enter(slot, activation)
        self._dead.pop(slot, None)
        self._away.pop(slot, None)
        self._weights[slot] = self._weight(activation.index)
        self._law = None

    # ------------------------------------------------------------------ members that give nothing
    def _found_empty(self, index: int) -> None:
        now = self.given()
        if self._empty_at != now:
            self._empty, self._empty_at = set(), now
        self._empty.add(index)
        if self._prune:
            self._aside.add(index)

    def _barred(self) -> set[int]:
        """The members that must not be drawn in answering the present ask."""
        if self._prune:
            return self._aside
        return self._empty if self._empty_at == self.given() else set()

    def _just_empty(self) -> set[int]:
        """Between two asks: the members found empty since the last item."""
        return self._empty if self._empty_at == self.given() + 1 else set()

    # ------------------------------------------------------------------ state
    def _own_state(self) -> dict[str, Any]:
        return {
            "dead": [{"slot": slot, "weight": weight} for slot, weight in self._dead.items()],
            "away": [{"slot": slot, "weight": weight} for slot, weight in self._away.items()],
            "away_at": self._away_at,
            "aside": packed(self._aside),
            "empty": packed(self._empty if self._empty_at >= self.given() else set()),
            "empty_at": self._empty_at,
            "retried_at": self._retried_at,
        }

    def _restore_own(self, saved: Saved, grown: bool) -> None:
        self._dead, self._away = self._weighed(saved, "dead"), self._weighed(saved, "away")
        if self._away.keys() & self._dead:
            raise saved.wrong("away", "slots that are not in `dead`")
        now = self.given() + 1
        self._away_at = saved.count("away_at", most=now)
        self._empty_at = saved.count("empty_at", most=now, least=-1)
        self._retried_at = saved.count("retried_at", most=now, least=-1)
        if grown:  # everybody is in the draw again, and the sets are of another pool
            self._empty_at = self._retried_at = -1
        else:
            self._aside, self._empty = self._members_in(saved, "aside"), self._members_in(saved, "empty")
        self._begin_picks()
        for slot, one in enumerate(self.held):
            if one is not None and not self._weights[slot]:
                if not saved.loading.loose:
                    raise saved.wrong("slots", "a list of activations of members whose weight is not 0")
                one.close()
                self.held[slot] = None
                self.live -= 1

    def _complete(self, saved: Saved) -> None:
        if saved.loading.loose:
            for slot, one in enumerate(self.held):
                activation = self._revive(slot, set()) if one is None else None
                if activation is not None:
                    self._enter(slot, activation)

    def _weighed(self, saved: Saved, name: str) -> dict[int, float]:
        """Some dead slots with their weights."""
        found: dict[int, float] = {}
        for one in saved.dicts(name, len(self.held)):
            found[self._dead_slot(one, found)] = one.weight("weight")
        return found

    def _members_in(self, saved: Saved, name: str) -> set[int]:
        """Some members."""
        try:
            return unpacked(saved.text(name), len(self.pool))
        except ValueError:
            raise saved.wrong(name, f"a packed set of members below {len(self.pool)}") from None


def packed(numbers: set[int]) -> str:
    """A set of numbers as a compressed bit set, in letters.

    >>> sorted(unpacked(packed({3, 1_000_000}), 1_000_001))
    [3, 1000000]
    """
    if not numbers:
        return ""
    bits = np.zeros(max(numbers) + 1, bool)
    bits[list(numbers)] = True
    return base64.b85encode(zlib.compress(np.packbits(bits).tobytes())).decode()


def unpacked(text: str, n: int) -> set[int]:
    """The set of numbers below n that was `packed`; raises a ValueError for any other text.

    It never unpacks more than n bits, whatever the text asks for.
    """
    if not text:
        return set()
    unpacker, most = zlib.decompressobj(), (n + 7) // 8
    try:
        data = unpacker.decompress(base64.b85decode(text), most + 1)
    except zlib.error as error:
        raise ValueError(str(error)) from None
    numbers = set(np.flatnonzero(np.unpackbits(np.frombuffer(data[: most + 1], np.uint8))).tolist())
    if len(data) > most or not unpacker.eof or (numbers and max(numbers) >= n):
        raise ValueError(f"it is no set of numbers below {n}")
    return numbers
