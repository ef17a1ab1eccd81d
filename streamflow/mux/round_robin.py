"""RoundRobinMux: the members in turn."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.call import Shards, merged
from ..core.node import NUMBERS, Activation, Node
from ..core.saved import Saved
from ..core.validate import choice
from ..seeding import ORDER, Key, permutation
from .activation import check_dealt_alike
from .base import PoolMux
from .pool import dealt, turned
from .slot_states import SlotNode
from .slots import FIRST

__all__ = ["RoundRobinMux"]

MODES = ("exhaustive", "cycle", "permuted_cycle")


class RoundRobinMux(PoolMux):
    """One item from each member in turn; members that have ended are skipped.

    Parameters
    ----------
    streamers : sequence or mapping of Streamers
        The members; all are open at once.
    mode : {'exhaustive', 'cycle', 'permuted_cycle'}
        ``exhaustive``: ends when all members have ended.  ``cycle``: then starts all of them again, until a round
        gives nothing.  ``permuted_cycle``: as ``cycle``, in a new order after each restart.
    random_state : None, int, SeedSequence, Generator or RandomState
        A seed for the order of ``permuted_cycle``, and for the members.

    Raises
    ------
    ParameterError
        If there are no members, or if `mode` is not one of these.

    Notes
    -----
    Sharding: ``exhaustive`` deals its members out (or shards each, if there are fewer than parts); the other modes
    shard each member, and the parts change places from round to round, so that each comes to every item.

    Examples
    --------
    >>> "".join(RoundRobinMux(["abc", "d", "ef"]))
    'adebfc'
    >>> "".join(RoundRobinMux(["abc", "d", "ef"], mode="cycle")(max_iter=9))
    'adebfcade'
    """

    def __init__(self, streamers: Any, mode: str = "exhaustive", random_state: Any = None) -> None:
        super().__init__(streamers, random_state)
        self.mode = choice("mode", mode, MODES)

    def _settings(self, before: str = "") -> str:
        return f"{before}{self.mode}"

    def _draws(self) -> bool:
        return self.mode == "permuted_cycle"

    def _handed(self, shards: Shards) -> Shards:
        return dealt(len(self._pool), shards)[3] if self.mode == "exhaustive" else shards

    def _length(self, shards: Shards) -> int | None:
        if self.mode != "exhaustive":
            return None
        return self._pool.dealt_total(shards)

    def _node(self, key: Key, shards: Shards) -> Node:
        return _RoundRobinNode(self, key, shards)


class _RoundRobinNode(SlotNode):
    """`_order` holds the slots that are asked in turn, `_at` the place in it after `_from` asks."""

    kind = "round robin"
    _renews = False  # a slot waits for the next round

    def __init__(self, mux: RoundRobinMux, key: Key, shards: Shards) -> None:
        members = range(len(mux._pool))
        self._shards_given = shards
        if mux.mode == "exhaustive":
            first, step, _, shards = dealt(len(members), shards)
            members = members[first::step]
        super().__init__(mux._pool, key, shards)
        self._mode, self._members, self._dealt = mux.mode, members, shards
        self._round, self._given_before = 0, 0
        self._quiet = 0  # rounds in a row that gave nothing
        self._begin_round()

    def _turn_to(self, number: int) -> None:
        self._round, self.shards = number, turned(self._dealt, number)

    def _begin_round(self) -> None:
        n = len(self._members)
        self._fill(Activation(index, self._round) for index in self._members)
        self._order: NDArray[np.intp] = np.arange(n)
        if self._mode == "permuted_cycle" and self._round:
            self._order = permutation(n, self.key, ORDER, self._round)[self._order]
        self._at, self._from, self._size = 0, self.asked, FIRST

    def _plan(self) -> NDArray[np.intp] | None:
        if not self.live:
            self._quiet = 0 if self.given() > self._given_before else self._quiet + 1
            if self._mode == "exhaustive" or self._quiet >= merged(self._dealt)[1]:
                return None
            self._turn_to(self._round + 1)
            self._given_before = self.given()
            self._begin_round()
        else:
            self._at = self._place()
        self._from = self.asked
        size, self._size = self._size, min(self._longest, 2 * self._size)
        return self._order[(self._at + np.arange(size)) % len(self._order)]

    def _place(self) -> int:
        """The place in the order that is asked next."""
        asked = self.asked + self._inside() + (self._owed is not None)
        return (self._at + asked - self._from) % max(1, len(self._order))

    def _drop_dead(self) -> None:
        place = self._place()
        rotated = np.roll(self._order, -place)
        self._order = rotated[[self.held[slot] is not None for slot in rotated]]
        self._cut()
        self._at, self._from, self._size = 0, self.asked + self._inside(), FIRST

    def _fits(self, slot: int, index: int, number: int) -> bool:
        return index == self._members[slot] and number == self._round

    def _grow(self, saved: Saved, before: int, slots: int) -> None:
        if self._mode == "exhaustive":
            check_dealt_alike(self.pool.kind, before, len(self.pool), self._shards_given)
        super()._grow(saved, sum(index < before for index in self._members), slots)
        self.held[slots:] = [Activation(index, self._round) for index in self._members[slots:]]

    def _own_state(self) -> dict[str, Any]:
        return {
            "round": self._round,
            "given_before": self._given_before,
            "order": self._order.tolist(),
            "at": self._place(),
        }

    def restore(self, saved: Saved) -> None:
        most = 0 if self._mode == "exhaustive" else NUMBERS - 1
        self._turn_to(saved.count("round", most=most))  # before members are opened
        super().restore(saved)

    def _restore_own(self, saved: Saved, grown: bool) -> None:
        n = len(self.held)
        found = saved.counts("order", n - 1, n)
        live = {slot for slot, one in enumerate(self.held) if one is not None}
        found += range(len(saved.values("slots")), n)  # of members that were added
        if len(set(found)) < len(found) or not live.issubset(found):
            raise saved.wrong("order", "each slot at most once, and each whose member has not ended")
        self._order = np.array(found, np.intp)
        self._at = saved.count("at", most=max(0, len(self._order) - 1))
        self._from = saved.count("asked")
        self._given_before = saved.count("given_before", most=self.given())
