"""ShuffledMux: all members open at once, each item from one of them in proportion to the weights."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from ..core.call import Shards, merged
from ..core.node import Node, Turn
from ..seeding import Key
from .base import BaseMux
from .caps import CapLaw, own_cap
from .picking import PickNode
from .pool import Pool, checked_weights

__all__ = ["AllActiveNode", "ShuffledMux"]


class ShuffledMux(BaseMux):
    """Each item comes from a member drawn in proportion to the weights; a member that ends starts again.

    Parameters
    ----------
    streamers : sequence or mapping of Streamers
        The members; all are open at once.
    weights : (n_streams,) numbers, or a mapping by name, optional
        Shares of the items, from the first item on; they need not sum to 1.  A member of weight 0 is never opened.
    random_state : None, int, SeedSequence, Generator or RandomState

    Raises
    ------
    ParameterError
        If there are no members, or the weights are not one finite number >= 0 for each, or all zero.

    Notes
    -----
    A member that gave nothing when it was opened is put aside until no other is left; the stream ends when all have
    been found empty since the last item.

    Sharding: each member is sharded, with the same weights.

    Examples
    --------
    >>> mux = ShuffledMux({"dog": ["woof"], "cat": ["miaow"]}, weights={"dog": 3, "cat": 1}, random_state=0)
    >>> sounds = list(mux(max_iter=1000))
    >>> 700 < sounds.count("woof") < 800
    True
    """

    def __init__(self, streamers: Any, weights: Any = None, random_state: Any = None) -> None:
        super().__init__(streamers, random_state)
        self._weights = checked_weights(weights, self._pool)

    @property
    def weights(self) -> NDArray[Any] | None:
        """The weights, summing to 1; None for equal ones."""
        return None if self._weights is None else self._weights.copy()

    def _weights_told(self) -> NDArray[Any] | None:
        return self._weights

    def _node(self, key: Key, shards: Shards) -> Node:
        return AllActiveNode(self._pool, key, shards, self._weights)


class AllActiveNode(PickNode):
    """All members open: slot i holds member i, and nothing else enters it.

    Parameters
    ----------
    cap : CapLaw, optional
        How many items a member gives before it is opened again.
    """

    def __init__(
        self,
        pool: Pool,
        key: Key,
        shards: Shards,
        weights: NDArray[Any] | None,
        prune: bool = True,
        cap: CapLaw | None = None,
    ) -> None:
        super().__init__(pool, key, shards, weights, prune, merged(shards)[0])
        self._cap = cap
        self._opened = [0] * len(pool)  # how many turns each slot has had
        self._fill(self._turn(index) if weights is None or weights[index] > 0 else None for index in range(len(pool)))
        self._begin_picks()

    def _turn(self, index: int) -> Turn:
        number = self._opened[index]
        self._opened[index] = number + 1
        return Turn(index, number, own_cap(self._cap, self.key.below(number, index)))

    def _next(self, slot: int, old: Turn | Node) -> Turn | None:
        return self._turn(slot) if old.given() else None

    def _revive(self, slot: int, barred: set[int]) -> Turn | None:
        never = self._pick_weights is not None and not self._pick_weights[slot]
        return None if never or slot in barred else self._turn(slot)

    def _own_state(self) -> dict[str, Any]:
        dead = [[slot, self._opened[slot]] for slot, turn in enumerate(self.turns) if turn is None]
        return {**super()._own_state(), "opened": dead}

    def _restore_own(self, state: dict[str, Any]) -> None:
        self._opened = [turn.number + 1 if turn is not None else 0 for turn in self.turns]
        for slot, opened in state["opened"]:
            self._opened[slot] = opened
        super()._restore_own(state)
