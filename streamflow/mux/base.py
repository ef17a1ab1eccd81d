"""BaseMux: what all muxes are, and how to write one of your own.

A mux of your own answers two questions: which slot gives the next item (`choose`), and what becomes of a slot whose
member has ended (`ended`).  Order, keys, states, sharding and closing come from here, at the speed of Python.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core import Streamer
from ..core.call import Shards, merged
from ..core.fingerprint import Fingerprint
from ..core.label import short
from ..core.node import Node, Turn
from ..core.validate import require
from ..exceptions import ParameterError
from ..seeding import PICKS, Key, bit_generator
from .pool import Pool
from .slots import FIRST, SlotNode

__all__ = ["BaseMux"]


class BaseMux(Streamer):
    """A stream that takes each item from one of several members.

    Parameters
    ----------
    streamers : sequence or mapping of Streamers
        The members; what is not a Streamer is wrapped in one.  The keys of a mapping name them.
    random_state : None, int, SeedSequence, Generator or RandomState
        A root of randomness of this mux's own; None takes the parent's.

    Raises
    ------
    ParameterError
        If there are no members.

    Notes
    -----
    A subclass answers `choose` and may answer `ended`.  Slot i always holds member i.  The stream ends when no slot is
    live, or when every live member has been opened since the last item and gave nothing.

    Sharding: each member is sharded, and each part makes its own choices.

    Examples
    --------
    >>> class TakeTurns(BaseMux):
    ...     '''Two items from each member, then two from the next.'''
    ...     def choose(self, step, live, u):
    ...         return live[step // 2 % len(live)]
    >>> "".join(TakeTurns(["abcd", "xyz"]))
    'abxycdz'
    """

    def __init__(self, streamers: Any, random_state: Any = None) -> None:
        kind = type(self)
        if kind.choose is BaseMux.choose and kind._node is BaseMux._node:
            raise TypeError(f"{kind.__name__} must answer choose(step, live, u)")
        super().__init__(())
        self._set_root(random_state)
        self._pool = Pool(streamers, type(self).__name__)
        require(len(self._pool), "streamers", "at least one streamer", streamers)

    def _set_root(self, random_state: Any) -> None:
        if random_state is not None:
            self._overrides = Streamer(()).with_seed(random_state)._overrides

    # ------------------------------------------------------------------ to be answered
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
        raise NotImplementedError

    def ended(self, slot: int, given: int) -> bool:
        """Whether a member that has ended after `given` items is opened again (else its slot is closed)."""
        return False

    # ------------------------------------------------------------------ what it is
    @property
    def n_streams(self) -> int:
        """How many members there are."""
        return len(self._pool)

    @property
    def streamers(self) -> Sequence[Streamer]:
        """The members."""
        return self._pool.members

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.n_streams} streamers{self._settings(', ')})"

    def _settings(self, before: str = "") -> str:
        """The parameters that make two muxes differ, for `repr` and for states: the public attributes, told shortly."""
        told = ", ".join(f"{name}={short(value)}" for name, value in vars(self).items() if not name.startswith("_"))
        return f"{before}{told}" if told else ""

    def _weights_told(self) -> NDArray[np.float64] | None:
        return None

    def _draws(self) -> bool:
        """Whether the mux itself draws random numbers."""
        return True

    def fingerprint(self) -> Fingerprint:
        shape = self.__dict__.get("_known_shape")
        if shape is None:
            shape = self._pool.shape(self._settings(), self._weights_told())
            shape = self.__dict__["_known_shape"] = self._marked(shape.then(shape.text, random=self._draws()))
        return shape

    def _twin(self, own: Any) -> Any:
        twin = super()._twin(own)
        twin.__dict__.pop("_known_shape", None)
        return twin

    def _label(self) -> str:
        return type(self).__name__

    def _check_shards(self, shards: Shards) -> None:
        """Any mux can be sharded; a member that cannot says so when it is opened."""

    def _node(self, key: Key, shards: Shards) -> Node:
        return _ChosenNode(self, key, shards)


class _ChosenNode(SlotNode):
    """The live node of a user's mux: a block is one choice."""

    def __init__(self, mux: BaseMux, key: Key, shards: Shards) -> None:
        super().__init__(mux._pool, key, shards)
        self._mux, self._part = mux, merged(shards)[0]
        self._asleep: dict[int, Turn] = {}  # slots whose member gave nothing, with what they wake up to
        self._asleep_at = -1
        self._numbers: list[float] = []
        self._from = 0
        self._fill(Turn(index, 0) for index in range(len(self.pool)))

    def _plan(self) -> list[int] | None:
        if self._asleep and self._asleep_at != self.given() + 1:
            for slot, turn in self._asleep.items():
                self._enter(slot, turn)
            self._asleep.clear()
        live = [slot for slot, turn in enumerate(self.turns) if turn is not None]
        if not live:
            return None
        slot = self._mux.choose(self.asked, live, self._number(self.asked))
        if slot not in live:
            raise ParameterError(f"`choose` must give one of the live slots {live[:20]}, gave {slot!r}")
        return [slot]

    def _number(self, step: int) -> float:
        if not 0 <= step - self._from < len(self._numbers):
            bits = bit_generator(self.key, PICKS)
            if self._part:
                bits = bits.jumped(self._part)
            bits.advance(step)
            self._numbers, self._from = np.random.Generator(bits).random(8 * FIRST).tolist(), step
        return self._numbers[step - self._from]

    def _next(self, slot: int, old: Turn | Node) -> Turn | None:
        given = old.given()
        if not self._mux.ended(slot, given):
            return None
        turn = Turn(old.index, old.number + 1)
        if given:
            return turn
        if self._asleep_at != self.given():
            self._asleep_at = self.given()
        self._asleep[slot] = turn
        return None

    def _drop_dead(self) -> None:
        """A block is one choice among live slots, so there is nothing to drop."""

    def _own_state(self) -> dict[str, Any]:
        return {"asleep": [[slot, turn.number] for slot, turn in self._asleep.items()], "asleep_at": self._asleep_at}

    def _restore_own(self, state: dict[str, Any]) -> None:
        self._asleep = {slot: Turn(slot, number) for slot, number in state["asleep"]}
        self._asleep_at = state["asleep_at"]
