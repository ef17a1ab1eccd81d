"""StochasticMux: a bounded number of members open at a time, drawn and replaced at random."""

from __future__ import annotations

import functools
import logging
import math
from collections.abc import Callable
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.call import Shards
from ..core.format import BARRED_TRIES
from ..core.node import NUMBERS, Activation, Node
from ..core.saved import Saved
from ..core.validate import choice, flag, optional_positive_integer, require
from ..seeding import CAPS, POOL, REDRAWS, Draws, Key
from .base import PoolMux
from .caps import DISTS, CapLaw, cap_law
from .exhaustive import ExhaustiveNode
from .picking import PickNode, law_of, uniform_law
from .pool import check_repeatable, dealt
from .shuffled import AllActiveNode
from .slots import Next
from .weights import pool_weights

__all__ = ["StochasticMux"]

MODES = ("with_replacement", "single_active", "exhaustive")
SHORT = ("next", "repeat")
_MOST_DRAWS = (NUMBERS - 2) * Draws.SIZE  #: blocks of draws are numbered as activations are
_ENOUGH = 100  #: activations after which it is said that members run dry
_log = logging.getLogger("streamflow")


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
    short : {'next', 'repeat'}
        What follows a member that ends before its activation is over.  ``next``: the next activation.  ``repeat``: the
        same member, opened again until the activation has given its items; needs a rate, and members that can be opened
        again.

    Raises
    ------
    ParameterError
        If a parameter has an invalid value; if `n_active` is above the number of members where a member may hold only
        one slot; or if ``short="repeat"`` is given without a rate, with ``exhaustive``, or over a one-shot iterator.

    Notes
    -----
    Shares of the items equal the weights

    * ``with_replacement`` with a rate: for each single item, the very first included.  Members enter slots in
      proportion to the weights, and slots are picked uniformly.
    * ``single_active`` with a rate: in the long run.  With m_i = rate * n_streams * weights[i] / sum(weights), members
      enter in proportion to min(1, m_i), stay for max(1, m_i) items on average, and slots are picked by weight.
    * all active (``n_active=None``, or n_active equal to the number of members and ``rate=None``): for each item.

    The first two need members that last as long as their activations, or ``short="repeat"``, which makes them hold
    whatever the lengths.  With ``short="next"`` a member that ends early leaves early: in ``with_replacement`` its
    share is in proportion to its weight times the items that an activation gives on average, and in ``single_active``
    it is active less often.  Once a tenth of at least 100 activations have ended early, a warning of the logger
    ``streamflow`` says so, once for muxes that look alike.

    With ``rate=None`` and fewer slots than members, members are drawn by weight and slots are picked by weight.  In
    the long run the share of a member is then in proportion to its weight times its length (``with_replacement``), or
    to its weight times how often it is active, where each set of active members is as likely as the product of their
    lengths (``single_active``).  In ``exhaustive`` weights act on the picks only, and a rate caps the one activation
    that each member has.

    Sharding: ``exhaustive`` deals its members out (or shards each, if there are fewer than parts).  The other modes
    give each part the whole pool, its own choices and n_active / count slots; all active, each member is sharded, and
    one that is empty in a part is opened whole there.

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
        *,
        short: str = "next",
    ) -> None:
        super().__init__(streamers, random_state)
        self.mode, self.dist, self.short = (
            choice("mode", mode, MODES),
            choice("dist", dist, DISTS),
            choice("short", short, SHORT),
        )
        self.n_active = _checked_n_active(n_active, mode, self.n_streams)
        self.rate = _checked_rate(rate)
        self.prune_empty_streams = flag("prune_empty_streams", prune_empty_streams)
        self._weights = pool_weights(weights, self._pool)
        all_active = n_active is None or (rate is None and n_active == self.n_streams)
        self._all_active = all_active and mode != "exhaustive"
        if short == "repeat":
            self._check_repeat()

    def _check_repeat(self) -> None:
        advice = "short='next' goes on with the next member"
        require(self.rate is not None, "short", "'next' without a rate", self.short, advice)
        require(self.mode != "exhaustive", "short", "'next' in mode 'exhaustive'", self.short, advice)
        check_repeatable(self)

    @property
    def weights(self) -> NDArray[Any] | None:
        """The weights, summing to 1; None for equal ones."""
        return None if self._weights is None else self._weights.copy()

    def _settings(self, before: str = "") -> str:
        pruned = "" if self.prune_empty_streams else ", not pruned"
        short = "" if self.short == "next" else f", short={self.short}"
        return f"{before}n_active={self.n_active}, rate={self.rate}, {self.mode}, {self.dist}{pruned}{short}"

    def _refuse_shards(self, shards: Shards) -> None:
        if self.mode != "exhaustive" and not self._all_active:
            parts = math.prod(count for _, count in shards)
            slots = _slots_of(self.n_active or self.n_streams, shards)
            rule = f"at least the number of parts (lanes, workers, ranks: {parts} in all)"
            require(slots, "n_active", rule, self.n_active, "each part needs a member open; raise n_active")

    def _order(self) -> tuple[int, range | list[int]]:
        """How many members have a weight above zero, and which."""
        weights = self._weights
        if weights is None or weights.all():
            return len(self._pool), range(len(self._pool))
        drawn = np.flatnonzero(weights).tolist()
        return len(drawn), drawn

    def _handed(self, shards: Shards) -> Shards:
        if self._all_active:
            return shards
        return dealt(self._order()[0], shards)[3] if self.mode == "exhaustive" else ()

    def _divided_draw(self, shards: Shards) -> str | None:
        if self.mode == "exhaustive" and dealt(self._order()[0], shards)[1] > 1:  # the parts of an order
            return self._label()
        return super()._divided_draw(shards)

    def _length(self, shards: Shards) -> int | None:
        if self.mode != "exhaustive" or self.rate is not None:
            return None
        size, drawn = self._order()
        _, step, here, below = dealt(size, shards)
        if step == 1:
            return self._pool.total(drawn, below)
        length = self._pool.common_length(drawn, below)  # which members a part has, the order says in each epoch
        return None if length is None or here is None else here * length

    def _cap(self) -> CapLaw | None:
        return None if self.rate is None else cap_law(self.dist, self.rate, self.n_active or self.n_streams)

    def _node(self, key: Key, shards: Shards) -> Node:
        if self._all_active:
            repeats = self.short == "repeat"
            return AllActiveNode(self._pool, key, shards, self._weights, self.prune_empty_streams, self._cap(), repeats)
        if self.mode == "exhaustive":
            return ExhaustiveNode(self._pool, key, shards, self._weights, self.n_active, self._cap())
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


class _DrawnNode(PickNode):
    """Members drawn from the pool as long as anything comes: with_replacement and single_active."""

    kind = "drawn"
    _grows_anywhere = True

    def __init__(self, mux: StochasticMux, key: Key, slots: int) -> None:
        self._single = mux.mode == "single_active"
        weights = mux._weights
        # With a rate, shares come from the activations, and any slot is as good as another (with_replacement).
        picks = weights if self._single or mux.rate is None else None
        super().__init__(mux._pool, key, (), picks, mux.prune_empty_streams)
        self._mux, self._repeats = mux, mux.short == "repeat"
        self._counts_dry = not self._repeats
        self._dry, self._dry_since = 0, 0  # activations that ended early, among those from this number on
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
        self._dist, self._slots_in_all = mux.dist, mux.n_active or n

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
            cap = cap_law(self._dist, float(self._means[index]), self._slots_in_all)(cap)
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

    def _ran_dry(self) -> None:
        self._dry += 1
        activations = self._n_activated - self._dry_since
        if activations >= _ENOUGH and 10 * self._dry >= activations:
            _log_dry(repr(self._mux), self._single)
            self._counts_dry = False

    # ------------------------------------------------------------------ state
    def _largest_cap(self) -> int | None:
        if self._caps is None or self._means is None:
            return None if self._caps is None else self._caps.largest
        return cap_law(self._dist, float(self._means.max()), self._slots_in_all).largest

    def _grow(self, saved: Saved, before: int, slots: int) -> None:
        super()._grow(saved, len(self.held), slots)

    def _fits(self, slot: int, index: int, number: int) -> bool:
        return True

    def _own_state(self) -> dict[str, Any]:
        return {
            **super()._own_state(),
            "drawn": self._pool_draws.taken,
            "redrawn": self._redraws.taken,
            "activations": self._n_activated,
        }

    def _restore_own(self, saved: Saved, grown: bool) -> None:
        held = [one for one in self.held if one is not None]
        activations = saved.count("activations", most=NUMBERS - 1, least=1 + max([-1, *(one.number for one in held)]))
        if len({one.number for one in held}) < len(held):
            raise saved.wrong("slots", "a list of activations that each have a number of their own")
        if self._single and len({one.index for one in held}) < len(held):
            raise saved.wrong("slots", "a list in which each member stands once")
        self._draw_from(saved.count("drawn", most=_MOST_DRAWS), saved.count("redrawn", most=_MOST_DRAWS), activations)
        self._dry, self._dry_since = 0, activations
        super()._restore_own(saved, grown)
        self._active = {one.index for one in self.held if one is not None} if self._single else set()


@functools.cache
def _log_dry(mux: str, single: bool) -> None:
    """Log, once per process for muxes that look alike, what shares follow where members end early."""
    _log.warning(
        "%s: a tenth or more of the activations end early, since their members are shorter, so shares do not equal the "
        "weights: they follow weight x %s; short='repeat' opens short members again, so that shares equal the weights",
        mux,
        "how often a member is active" if single else "items per activation",
    )
