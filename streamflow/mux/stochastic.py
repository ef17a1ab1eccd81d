"""StochasticMux: a bounded number of members open at a time, drawn and replaced at random."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.call import Shards, merged
from ..core.format import BARRED_TRIES
from ..core.node import NUMBERS, Activation, Node
from ..core.saved import Saved
from ..core.validate import choice, flag, optional_positive_integer, require
from ..seeding import CAPS, ORDER, POOL, REDRAWS, Draws, Key, order
from .base import PoolMux
from .caps import DISTS, CapLaw, cap_law, own_cap
from .picking import PickNode, law_of, uniform_law
from .pool import dealt
from .shuffled import AllActiveNode
from .slots import Next
from .weights import pool_weights

__all__ = ["StochasticMux"]

MODES = ("with_replacement", "single_active", "exhaustive")


class StochasticMux(PoolMux):
    """Keep `n_active` members open, take each item from one of them, and replace a member after about `rate` items.

    Parameters
    ----------
    streamers : sequence or mapping of Streamers
        The members.  Only `n_active` of them are open at any moment.
    n_active : int or None
        Number of members open at a time; None: all of them, each in its own slot.
    rate : float or None
        Mean number of items of an activation, at least 1.  None: an activation ends with its member.
    weights : (n_streams,) numbers, or a mapping by name, optional
        Shares of the items.  They need not sum to 1; a member of weight 0 is never opened.
    mode : {'with_replacement', 'single_active', 'exhaustive'}
        ``with_replacement``: any member may enter a slot at any time, even one that is active in another.
        ``single_active``: a member holds at most one slot.  ``exhaustive``: each member is activated exactly once, in
        random order, then the stream ends.
    prune_empty_streams : bool
        True: an empty member is skipped until no other is left.  False: it stays in the draw.
    dist : {'binomial', 'constant', 'poisson'}
        How the number of items of an activation is distributed about `rate`.
    random_state : None, int, SeedSequence, Generator or RandomState
        The seed of this mux; None: its randomness follows from its parent's.

    Raises
    ------
    ParameterError
        If a parameter has an invalid value, or if `n_active` is above the number of members where a member may hold
        only one slot.

    Notes
    -----
    Shares of the items equal the weights

    * ``with_replacement`` with a rate: for each single item, the very first included, as long as members do not run
      dry.  Members enter slots in proportion to the weights, and slots are picked uniformly.
    * ``single_active`` with a rate: in the long run.  With m_i = rate * n_streams * weights[i], members enter in
      proportion to min(1, m_i), stay for max(1, m_i) items on average, and slots are picked by weight.
    * all active (``n_active=None``, or n_active equal to the number of members and ``rate=None``): for each item.

    With ``rate=None`` members are drawn by weight and slots are picked by weight, so members that end are seen in
    proportion to weight times length.  In ``exhaustive`` weights act on the picks only, and a rate caps the one
    activation that each member has.

    Sharding: ``exhaustive`` deals its members out (or shards each, if there are fewer than parts).  The other modes
    give each part the whole pool, its own choices and n_active / count slots; all active, each member is sharded.

    Examples
    --------
    >>> from streamflow import Streamer
    >>> def read(name):
    ...     for place in range(100):
    ...         yield name, place
    >>> files = [Streamer(read, f"part-{i}") for i in range(300)]
    >>> mux = StochasticMux(files, n_active=8, rate=4, random_state=0)
    >>> len({name for name, _ in mux(max_iter=1000)}) > 100
    True
    """

    def __init__(
        self,
        streamers: Any,
        n_active: int | None,
        rate: float | None,
        weights: Any = None,
        mode: str = "with_replacement",
        prune_empty_streams: bool = True,
        dist: str = "binomial",
        random_state: Any = None,
    ) -> None:
        super().__init__(streamers, random_state)
        self.mode, self.dist = choice("mode", mode, MODES), choice("dist", dist, DISTS)
        self.n_active = _checked_n_active(n_active, mode, self.n_streams)
        self.rate = _checked_rate(rate)
        self.prune_empty_streams = flag("prune_empty_streams", prune_empty_streams)
        self._weights = pool_weights(weights, self._pool)
        all_active = n_active is None or (rate is None and n_active == self.n_streams)
        self._all_active = all_active and mode != "exhaustive"

    @property
    def weights(self) -> NDArray[Any] | None:
        """The weights, summing to 1; None for equal ones."""
        return None if self._weights is None else self._weights.copy()

    def _settings(self, before: str = "") -> str:
        pruned = "" if self.prune_empty_streams else ", not pruned"
        return f"{before}n_active={self.n_active}, rate={self.rate}, {self.mode}, {self.dist}{pruned}"

    def _refuse_shards(self, shards: Shards) -> None:
        if self.mode != "exhaustive" and not self._all_active:
            parts = math.prod(count for _, count in shards)
            slots = _slots_of(self.n_active or self.n_streams, shards)
            rule = f"at least the number of parts (lanes, workers, ranks: {parts} in all)"
            require(slots, "n_active", rule, self.n_active, "each part needs a member open; raise n_active")

    def _cap(self) -> CapLaw | None:
        return None if self.rate is None else cap_law(self.dist, self.rate, self.n_active or self.n_streams)

    def _node(self, key: Key, shards: Shards) -> Node:
        if self._all_active:
            return AllActiveNode(self._pool, key, shards, self._weights, self.prune_empty_streams, self._cap())
        if self.mode == "exhaustive":
            return _ExhaustiveNode(self, key, shards)
        for index, count in shards:
            if count > 1:
                key = key.below(count, index)
        self._refuse_shards(shards)
        return _DrawnNode(self, key, _slots_of(self.n_active or self.n_streams, shards))


def _slots_of(n_active: int, shards: Shards) -> int:
    """The slots of a part; 0 if there are fewer than parts."""
    for index, count in shards:
        n_active = n_active // count + (index < n_active % count) if n_active >= count else 0
    return n_active


def _checked_n_active(n_active: Any, mode: str, n_streams: int) -> int | None:
    n = optional_positive_integer("n_active", n_active)
    if n is not None and mode != "with_replacement":
        rule = f"at most the number of streamers ({n_streams}) in mode {mode!r}"
        require(n <= n_streams, "n_active", rule, n, "n_active=None keeps all of them open")
    return n


def _checked_rate(rate: Any) -> float | None:
    if rate is None:
        return None
    try:
        number = float("nan") if isinstance(rate, (bool, np.bool_, str, bytes)) else float(rate)
    except (TypeError, ValueError):
        number = float("nan")
    require(1 <= number < float("inf"), "rate", "None or a finite number of at least 1", rate)
    return number


class _ExhaustiveNode(PickNode):
    """Each member once, in a keyed order of the whole tree, of which a part takes its positions."""

    kind = "exhaustive"

    def __init__(self, mux: StochasticMux, key: Key, shards: Shards) -> None:
        weights = mux._weights
        self._candidates = None if weights is None or weights.all() else np.flatnonzero(weights)
        size = len(mux._pool) if self._candidates is None else len(self._candidates)
        self._place = order(size, key, ORDER)
        self._first, self._step, left, below = dealt(size, shards)
        self._left, self._taken = left or 0, 0
        super().__init__(mux._pool, key, below, weights, prune=True, part=merged(shards)[0])
        self._cap = mux._cap()
        slots = self._left if mux.n_active is None else min(self._left, _at_least_one(mux.n_active, shards))
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

    def _own_state(self) -> dict[str, Any]:
        return {**super()._own_state(), "taken": self._taken}

    def _restore_own(self, saved: Saved) -> None:
        self._taken = saved.count("taken", most=self._left)
        super()._restore_own(saved)


def _at_least_one(n_active: int, shards: Shards) -> int:
    for index, count in shards:
        n_active = max(1, n_active // count + (index < n_active % count))
    return n_active


class _DrawnNode(PickNode):
    """Members drawn from the pool as long as anything comes: with_replacement and single_active."""

    kind = "drawn"

    def __init__(self, mux: StochasticMux, key: Key, slots: int) -> None:
        self._single = mux.mode == "single_active"
        weights = mux._weights
        # With a rate, shares come from the activations, and any slot is as good as another (with_replacement).
        picks = weights if self._single or mux.rate is None else None
        super().__init__(mux._pool, key, (), picks, mux.prune_empty_streams)
        self._read_laws(mux)
        self._draw_from(0, 0, 0)
        self._active: set[int] = set()
        self._fill(self._first_members(slots, distinct=self._single or mux.rate is None))
        self._begin_picks()

    # ------------------------------------------------------------------ laws
    def _read_laws(self, mux: StochasticMux) -> None:
        """How members are drawn, and how long each stays."""
        n, weights, rate = len(mux._pool), mux._weights, mux.rate
        self._caps: CapLaw | None = mux._cap()
        self._draw_weights = weights
        self._means: NDArray[np.float64] | None = None
        if self._single and rate is not None and weights is not None:
            means = rate * n * weights
            self._draw_weights = np.minimum(1.0, means)
            self._means = np.maximum(1.0, means)
        self._dist, self._whole = mux.dist, mux.n_active or n

    def _draw_from(self, drawn: int, redrawn: int, activations: int) -> None:
        """Continue the draws after this many of each have been taken."""
        self._n_activated = activations
        law = uniform_law(len(self.pool)) if self._draw_weights is None else law_of(self._draw_weights)
        self._pool_draws = Draws(law, self.key, POOL, drawn)
        self._draw: Callable[[], int] = self._pool_draws.next
        self._redraws = Draws(lambda u: u, self.key, REDRAWS, redrawn)
        self._next_cap = self._cap_draws(activations)

    def _cap_draws(self, activations: int) -> Callable[[], Any]:
        """What gives the next activation's cap, or its random number where members have caps of their own."""
        cap = self._caps
        if cap is None:
            return repeat(None).__next__
        if self._means is not None:
            return Draws(lambda u: u, self.key, CAPS, activations).next
        if cap.certain:
            return repeat(cap(0.0)).__next__
        return Draws(cap.many, self.key, CAPS, activations).next

    # ------------------------------------------------------------------ activations
    def _first_members(self, slots: int, distinct: bool) -> list[Activation | None]:
        """What the slots hold first."""
        first: list[Activation | None] = []
        taken: set[int] = set()
        for _ in range(slots):
            index = self._member(taken if distinct else set())
            if index is None and not self._single:  # more slots than members
                taken.clear()
                index = self._member(taken)
            if index is not None:
                taken.add(index)
            first.append(None if index is None else Activation(*self._activation(index)))
        return first

    def _activation(self, index: int) -> Next:
        """The next activation, of a member that has been drawn."""
        number = self._n_activated
        self._n_activated = number + 1
        if self._single:
            self._active.add(index)
        cap = self._next_cap()
        if self._means is not None:
            cap = cap_law(self._dist, float(self._means[index]), self._whole)(cap)
        return index, number, cap

    def _member(self, barred: set[int]) -> int | None:
        """A member drawn by the law among those not barred, None if there is none."""
        if not barred:
            return self._draw()
        for _ in range(BARRED_TRIES):
            index = self._draw()
            if index not in barred:
                return index
        weights = np.ones(len(self.pool)) if self._draw_weights is None else self._draw_weights.copy()
        weights[list(barred)] = 0.0
        if not weights.any():
            return None
        return int(law_of(weights)(np.array([self._redraws.next()]))[0])

    def _next(self, slot: int, old: Activation | Node, given: int) -> Next | None:
        if given and not self._aside and not self._weighs:  # the common case, in one frame
            index = self._draw()
            if self._single:
                active = self._active
                active.discard(old.index)
                if index in active:
                    other = self._member(active)
                    assert other is not None  # the member that has just left may be drawn again
                    index = other
                active.add(index)
            number = self._n_activated
            self._n_activated = number + 1
            return index, number, self._next_cap()
        barred = self._barred()
        if self._single:
            self._active.discard(old.index)
            barred = self._active | barred if barred else self._active
        drawn = self._member(barred)
        return None if drawn is None else self._activation(drawn)

    def _revive(self, slot: int, barred: set[int]) -> Activation | None:
        index = self._member(barred | self._active | (self._aside if self._prune else set()))
        return None if index is None else Activation(*self._activation(index))

    # ------------------------------------------------------------------ state
    def _own_state(self) -> dict[str, Any]:
        return {
            **super()._own_state(),
            "drawn": self._pool_draws.taken,
            "redrawn": self._redraws.taken,
            "activations": self._n_activated,
        }

    def _restore_own(self, saved: Saved) -> None:
        activations = saved.count("activations", most=NUMBERS)
        self._draw_from(saved.count("drawn"), saved.count("redrawn"), activations)
        self._active = {one.index for one in self.held if one is not None} if self._single else set()
        super()._restore_own(saved)
