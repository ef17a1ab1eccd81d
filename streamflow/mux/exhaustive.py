"""The live node of an exhaustive StochasticMux: each member once."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.call import Shards, merged
from ..core.node import Activation, Node
from ..core.saved import Saved
from ..exceptions import StateError
from ..seeding import ORDER, Key, order
from .activation import check_dealt_alike
from .caps import CapLaw, own_cap
from .picking import PickNode
from .pool import Pool, dealt
from .slots import Next

__all__ = ["ExhaustiveNode"]


class ExhaustiveNode(PickNode):
    """Each member once, in a keyed order of the whole tree, of which a part takes its positions."""

    kind = "exhaustive"

    def __init__(
        self,
        pool: Pool,
        key: Key,
        shards: Shards,
        weights: NDArray[np.float64] | None,
        n_active: int | None,
        cap: CapLaw | None,
    ) -> None:
        self._candidates = None if weights is None or weights.all() else np.flatnonzero(weights)
        size = len(pool) if self._candidates is None else len(self._candidates)
        self._n_candidates, self._shards_given = size, shards
        self._earlier: list[int] = []  # how many there were before members were added, each time
        self._place = order(size, key, ORDER)
        self._first, self._step, left, below = dealt(size, shards)
        self._left, self._taken = left or 0, 0
        super().__init__(pool, key, below, weights, prune=True, part=merged(shards)[0])
        self._cap = cap
        slots = self._left if n_active is None else min(self._left, _at_least_one(n_active, shards))
        self._fill([None if one is None else Activation(*one) for one in (self._take() for _ in range(slots))])
        self._begin_picks()

    def _take(self) -> Next | None:
        if self._taken == self._left:
            return None
        index = self._place(self._first + self._step * self._taken)
        self._taken += 1
        if self._candidates is not None:
            index = int(self._candidates[index])
        return index, 0, own_cap(self._cap, self.key.below(0, index))

    def _next(self, slot: int, old: Activation | Node, given: int) -> Next | None:
        return self._take()

    def _revive(self, slot: int, barred: set[int]) -> Activation | None:
        return None

    def _found_empty(self, index: int) -> None:
        """No member is drawn a second time."""

    # ------------------------------------------------------------------ state
    def _largest_cap(self) -> int | None:
        return None if self._cap is None else self._cap.largest

    def _fits(self, slot: int, index: int, number: int) -> bool:
        return not number

    def _grow(self, saved: Saved, before: int, slots: int) -> None:
        size = before if self._candidates is None else bisect_left(self._candidates, before)
        check_dealt_alike(self.pool.kind, size, self._n_candidates, self._shards_given)
        left = dealt(size, self._shards_given)[2] or 0
        super()._grow(saved, min(left, len(self.held)), slots)
        self.held[slots:] = [None] * (len(self.held) - slots)  # `_complete` fills them

    def _own_state(self) -> dict[str, Any]:
        return {**super()._own_state(), "taken": self._taken, "size": self._n_candidates, "earlier": self._earlier}

    def _restore_own(self, saved: Saved, grown: bool) -> None:
        before = saved.count("size", least=1)
        earlier = saved.counts("earlier", before - 1, before)
        if earlier != sorted(set(earlier)) or 0 in earlier:
            raise saved.wrong("earlier", "a list of numbers, each above the one before")
        now = self._n_candidates
        if grown:
            census = saved.below("pool")
            assert census is not None  # `Members` has read it
            members = census.count("members")
            now = members if self._candidates is None else bisect_left(self._candidates, members)
        if before != now:
            raise StateError(f"{before} members had a weight above zero, now {now} have, of which each has its turn")
        self._earlier = [*earlier, before] if grown else earlier
        self._place = _in_turn([*self._earlier, self._n_candidates], self.key)
        held = [one.index for one in self.held if one is not None]
        self._taken = saved.count("taken", most=self._left, least=len(held))
        if len(set(held)) < len(held):
            raise saved.wrong("slots", "a list in which each member stands once")
        super()._restore_own(saved, grown)

    def _complete(self, saved: Saved) -> None:
        for slot, one in enumerate(self.held):
            following = self._take() if one is None else None
            if following is not None:
                self._enter(slot, Activation(*following))


def _in_turn(sizes: list[int], key: Key) -> Callable[[int], int]:
    """A random order of the first members, then one of those that were added, and so on; as `order`."""
    begins = [0, *sizes[:-1]]
    orders = [
        order(size - begin, key, ORDER, *([number] if number else []))
        for number, (begin, size) in enumerate(zip(begins, sizes, strict=True))
    ]

    def place(position: int) -> int:
        number = bisect_right(begins, position) - 1
        return begins[number] + orders[number](position - begins[number])

    return orders[0] if len(orders) == 1 else place


def _at_least_one(n_active: int, shards: Shards) -> int:
    for index, count in shards:
        n_active = max(1, n_active // count + (index < n_active % count))
    return n_active
