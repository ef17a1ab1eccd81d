"""ShuffledMux: all members open at once, each item from one of them in proportion to the weights."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from ..core.call import Shards, merged
from ..core.node import NUMBERS, Activation, Node
from ..core.saved import Saved
from ..seeding import Key
from .base import PoolMux
from .caps import CapLaw, own_cap
from .picking import PickNode
from .pool import Pool
from .slots import Next
from .weights import pool_weights

__all__ = ["AllActiveNode", "ShuffledMux"]


class ShuffledMux(PoolMux):
    """Each item comes from a member drawn in proportion to the weights; a member that ends starts again.

    Parameters
    ----------
    streamers : sequence or mapping of Streamers
        The members; all are open at once.
    weights : (n_streams,) numbers, or a mapping by name, optional
        Shares of the items, from the first item on; they need not sum to 1.  A member of weight 0 is never opened.
    random_state : None, int, SeedSequence, Generator or RandomState
        The seed of this mux; None: its randomness follows from its parent's.

    Raises
    ------
    ParameterError
        If there are no members, or if the weights are not one finite number for each, none of them negative and one at
        least above zero.

    Notes
    -----
    An empty member is skipped until no other is left; the stream ends when all have been found empty since the last
    item.

    Sharding: each member is sharded, with the same weights; one that is empty in a part is opened whole there.

    Examples
    --------
    >>> mux = ShuffledMux({"dog": ["woof"], "cat": ["miaow"]}, weights={"dog": 3, "cat": 1}, random_state=0)
    >>> sounds = list(mux(max_iter=1000))
    >>> 700 < sounds.count("woof") < 800
    True
    """

    def __init__(self, streamers: Any, weights: Any = None, random_state: Any = None) -> None:
        super().__init__(streamers, random_state)
        self._weights = pool_weights(weights, self._pool)

    @property
    def weights(self) -> NDArray[Any] | None:
        """The weights, summing to 1; None for equal ones."""
        return None if self._weights is None else self._weights.copy()

    def _settings(self, before: str = "") -> str:
        return ""

    def _node(self, key: Key, shards: Shards) -> Node:
        return AllActiveNode(self._pool, key, shards, self._weights)


class AllActiveNode(PickNode):
    """All members open: slot i holds member i, and nothing else enters it.

    Parameters
    ----------
    cap : CapLaw, optional
        How many items a member gives before it is opened again.
    repeats : bool
        Whether a member that ends before its cap is opened again in the same activation.
    """

    kind = "all active"

    def __init__(
        self,
        pool: Pool,
        key: Key,
        shards: Shards,
        weights: NDArray[Any] | None,
        prune: bool = True,
        cap: CapLaw | None = None,
        repeats: bool = False,
    ) -> None:
        super().__init__(pool, key, shards, weights, prune, merged(shards)[0])
        self._cap, self._repeats = cap, repeats
        self._opened = [0] * len(pool)  # how many activations each slot has had
        drawn = [weights is None or weights[index] > 0 for index in range(len(pool))]
        self._fill(Activation(*self._again(index)) if drawn[index] else None for index in range(len(pool)))
        self._begin_picks()

    def _again(self, index: int) -> Next:
        """The next activation of a member, in its own slot."""
        number = self._opened[index]
        self._opened[index] = number + 1
        return index, number, own_cap(self._cap, self.key.below(number, index))

    def _endless(self, slot: int) -> bool:
        return True

    def _next(self, slot: int, old: Activation | Node, given: int) -> Next | None:
        return self._again(slot) if given else None

    def _revive(self, slot: int, barred: set[int]) -> Activation | None:
        never = self._pick_weights is not None and not self._pick_weights[slot]
        return None if never or slot in barred else Activation(*self._again(slot))

    def _largest_cap(self) -> int | None:
        return None if self._cap is None else self._cap.largest

    def _complete(self, saved: Saved) -> None:
        """A member that has ended for good stays so."""

    def _own_state(self) -> dict[str, Any]:
        dead = [{"slot": slot, "opened": self._opened[slot]} for slot, one in enumerate(self.held) if one is None]
        return {**super()._own_state(), "closed": dead}

    def _restore_own(self, saved: Saved, grown: bool) -> None:
        self._opened = [0 if one is None else one.number + 1 for one in self.held]
        closed: set[int] = set()
        for one in saved.dicts("closed", len(self.held)):
            slot = self._dead_slot(one, closed)
            closed.add(slot)
            self._opened[slot] = one.count("opened", most=NUMBERS - 1)
        super()._restore_own(saved, grown)
