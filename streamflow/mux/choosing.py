"""BaseMux: a mux of your own.

It answers two questions: which slot gives the next item (`choose`), and what becomes of a slot whose member has ended
(`ended`).  Order, keys, states, sharding and closing come from here, at the speed of Python.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core.call import Shards, merged
from ..core.exact import setting
from ..core.methods import KeepsMethods
from ..core.node import NUMBERS, Activation, Node
from ..core.saved import Saved
from ..exceptions import ParameterError
from ..seeding import PICKS, Key, bit_generator
from .base import PoolMux
from .slot_states import SlotNode
from .slots import FIRST, Next

__all__ = ["BaseMux"]


class BaseMux(KeepsMethods, PoolMux):
    """A stream that takes each item from one of several members; a subclass says from which.

    Parameters
    ----------
    streamers : sequence or mapping of Streamers
        The members; what is not a Streamer is wrapped in one.  The keys of a mapping name them.
    random_state : None, int, SeedSequence, Generator or RandomState
        The seed of this mux; None: its randomness follows from its parent's.

    Raises
    ------
    ParameterError
        If there are no members.

    Notes
    -----
    A subclass answers `choose` and may answer `ended`.  Slot i always holds member i.  The stream ends when no slot is
    live, or when every live member has been opened since the last item and gave nothing.

    What makes two of them the same mux for a state: the class and its public attributes.  An attribute with the name of
    a method (`cycle`, `open`, `shard`, ...) is refused, and names that begin with an underscore are ours.

    Sharding: each member is sharded, and each part makes its own choices.  A member that is empty in a part is opened
    whole there, if `ended` says that an empty member is opened again.

    Examples
    --------
    >>> class TakeTurns(BaseMux):
    ...     '''Two items from each member, then two from the next.'''
    ...     def choose(self, step, live, u):
    ...         return live[step // 2 % len(live)]
    >>> "".join(TakeTurns(["abcd", "xyz"]))
    'abxycdz'
    """

    # ------------------------------------------------------------------ to be answered
    @abstractmethod
    def choose(self, step: int, live: Sequence[int], u: float) -> int:
        """Which slot gives the next item.

        Parameters
        ----------
        step : int
            How many choices have been made before in this pass.
        live : sequence of int
            The slots that may give one, in order; never empty.
        u : float
            A random number in [0, 1) that belongs to this choice.
        """

    def ended(self, slot: int, given: int) -> bool:
        """Whether a member that has ended after `given` items is opened again (else its slot is closed)."""
        return False

    # ------------------------------------------------------------------ what it is
    def _settings(self, before: str = "") -> str:
        public = ", ".join(f"{name}={setting(value)}" for name, value in vars(self).items() if not name.startswith("_"))
        return f"{before}{public}" if public else ""

    def _node(self, key: Key, shards: Shards) -> Node:
        return _ChosenNode(self, key, shards)


class _ChosenNode(SlotNode):
    """The live node of a user's mux: a block is one choice."""

    kind = "choosing"

    def __init__(self, mux: BaseMux, key: Key, shards: Shards) -> None:
        super().__init__(mux._pool, key, shards)
        self._mux, self._part = mux, merged(shards)[0]
        self._asleep: dict[int, Activation] = {}  # slots whose member gave nothing, with what they wake up to
        self._asleep_at = -1
        self._numbers: list[float] = []
        self._from = 0
        self._fill(Activation(index, 0) for index in range(len(self.pool)))

    def _plan(self) -> list[int] | None:
        if self._asleep and self._asleep_at != self.given() + 1:
            for slot, activation in self._asleep.items():
                self._enter(slot, activation)
            self._asleep.clear()
        live = [slot for slot, activation in enumerate(self.held) if activation is not None]
        if not live:
            return None
        slot = self._mux.choose(self.asked, live, self._number(self.asked))
        if slot not in live:
            raise ParameterError(f"`choose` must return one of the live slots {live[:20]}, got {slot!r}")
        return [slot]

    def _number(self, step: int) -> float:
        if not 0 <= step - self._from < len(self._numbers):
            bits = bit_generator(self.key, PICKS)
            if self._part:
                bits = bits.jumped(self._part)
            bits.advance(step)
            self._numbers, self._from = np.random.Generator(bits).random(8 * FIRST).tolist(), step
        return self._numbers[step - self._from]

    def _endless(self, slot: int) -> bool:
        return self._mux.ended(slot, 0)

    def _next(self, slot: int, old: Activation | Node, given: int) -> Next | None:
        if not self._mux.ended(slot, given):
            return None
        if given:
            return old.index, old.number + 1, None
        self._asleep_at = self.given()
        self._asleep[slot] = Activation(old.index, old.number + 1)
        return None

    def _drop_dead(self) -> None:
        """A block is one choice among live slots, so there is nothing to drop."""

    def _own_state(self) -> dict[str, Any]:
        asleep = [{"slot": slot, "number": activation.number} for slot, activation in self._asleep.items()]
        return {"asleep": asleep, "asleep_at": self._asleep_at}

    def _restore_own(self, saved: Saved, grown: bool) -> None:
        for one in saved.dicts("asleep", len(self.held)):
            slot = self._dead_slot(one, self._asleep)
            self._asleep[slot] = Activation(slot, one.count("number", most=NUMBERS - 1))
        self._asleep_at = saved.count("asleep_at", most=self.given() + 1, least=-1)
