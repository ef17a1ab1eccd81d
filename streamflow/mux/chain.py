"""ChainMux: one member after the other."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from itertools import chain
from typing import Any

from ..core import Streamer
from ..core.describe import called
from ..core.node import Node, Turn, restore_turn, turn_state
from ..core.source import OneShot, Shards
from ..exceptions import ParameterError, StateError
from ..seeding import Key
from .base import BaseMux
from .pool import Pool, checked_mode, dealt

__all__ = ["ChainMux"]

MODES = ("exhaustive", "cycle")


class ChainMux(BaseMux):
    """The items of the first member, then those of the next, and so on; one member is open at a time.

    Parameters
    ----------
    streamers : sequence or mapping of Streamers, callable, or generator
        The members.  A function that returns an iterator of streamers is called in each pass and may be endless; a
        generator object serves for one pass.  What is not a Streamer is wrapped in one.
    mode : {'exhaustive', 'cycle'}
        ``cycle`` starts again at the end, until a pass over the members gives nothing.
    random_state : None, int, SeedSequence, Generator or RandomState
        A root for the members' randomness; the order is as given.

    Notes
    -----
    Sharding: ``exhaustive`` deals its members out (or shards each, if there are fewer than parts; those of a function
    are always dealt out); ``cycle`` shards each member.

    Examples
    --------
    >>> "".join(ChainMux(["abc", "d", "ef"]))
    'abcdef'
    >>> "".join(ChainMux(lambda: iter(["abc", "d"]), mode="cycle")(max_iter=6))
    'abcdab'
    """

    def __init__(self, streamers: Any, mode: str = "exhaustive", random_state: Any = None) -> None:
        Streamer.__init__(self, ())
        self._set_root(random_state)
        checked_mode("mode", mode, MODES)
        self.mode = mode
        self._lazy: Callable[[], Iterator[Any]] | OneShot | None = None
        if isinstance(streamers, Iterator):
            self._lazy = OneShot(streamers)
        elif callable(streamers):
            self._lazy = streamers
        self._pool = Pool(() if self._lazy is not None else streamers, type(self).__name__)

    @property
    def n_streams(self) -> int:
        """How many members there are; a function's are not known."""
        if self._lazy is not None:
            raise ParameterError("the members of this ChainMux come from a function; their number is not known")
        return len(self._pool)

    def __repr__(self) -> str:
        members = f"{len(self._pool)} streamers" if self._lazy is None else called(self._lazy)
        return f"{type(self).__name__}({members}, {self.mode})"

    def _settings(self, before: str = "") -> str:
        return f"{before}{self.mode}" + ("" if self._lazy is None else f", {called(self._lazy)}")

    def _draws(self) -> bool:
        return self._lazy is not None  # its members may

    def _check_shards(self, shards: Shards) -> None:
        if isinstance(self._lazy, OneShot):
            raise self._lazy.no_shards()

    def _node(self, key: Key, shards: Shards) -> Node:
        return _ChainNode(self, key, shards)


class _ChainNode(Node):
    """One slot, whose turns are the members by position; a turn's number is that of the pass over the members."""

    def __init__(self, mux: ChainMux, key: Key, shards: Shards) -> None:
        self._mux, self.key = mux, key
        self._cycle = mux.mode == "cycle"
        size = None if mux._lazy is not None else len(mux._pool)
        self._first, self._step = 0, 1
        if not self._cycle:
            self._first, self._step, _, shards = dealt(size, shards)
        self.shards = shards
        self._before = 0  # items of the members that have ended
        self._before_pass = 0  # items of the passes that have ended
        self._members: Iterator[Any] = iter(())
        self._reached = 0  # how many of `_members` have been read in this pass
        self._member: Streamer | None = None
        self.turn: Turn | Node | None = None
        self._begun = False
        self._made = self._lives()
        self.items = chain.from_iterable(self._made)

    def _lives(self) -> Generator[Iterator[Any], None, None]:
        if not self._begun:
            self._begun = True
            self.turn = self._at(self._first, 0)
        while (turn := self.turn) is not None:
            if isinstance(turn, Turn):
                turn = self.turn = self._open(turn)
            yield turn.items
            turn.close()
            self._before += turn.given()
            self.turn = self._following(turn)

    def _at(self, position: int, number: int) -> Turn | None:
        """The turn of a member, None past the end; a function's members come in order and are not kept."""
        lazy = self._mux._lazy
        if lazy is None:
            if position >= len(self._mux._pool):
                return None
            self._member = self._mux._pool[position]
            return Turn(position, number)
        if position < self._reached or not self._reached:
            self._members = iter(lazy if isinstance(lazy, OneShot) else lazy())
            self._reached = 0
        while self._reached <= position:
            try:
                member = next(self._members)
            except StopIteration:
                return None
            self._reached += 1
        self._member = member if isinstance(member, Streamer) else Streamer(member)
        return Turn(position, number)

    def _following(self, ended: Node) -> Turn | None:
        turn = self._at(ended.index + self._step, ended.number)
        if turn is None and self._cycle and self._before > self._before_pass:
            self._before_pass, self._reached = self._before, 0
            turn = self._at(self._first, ended.number + 1)
        return turn

    def _open(self, turn: Turn) -> Node:
        assert self._member is not None
        node = self._member._activate(self.key, turn.number, turn.index, self.shards)
        node.index, node.number, node.budget = turn.index, turn.number, None
        return node

    def given(self, failed: bool = False) -> int:
        return self._before + (0 if self.turn is None else self.turn.given(failed))

    def state(self, failed: bool = False) -> Any:
        if isinstance(self._mux._lazy, OneShot):
            raise StateError(
                f"the members come from a one-shot {self._mux._lazy.name} and cannot be resumed; give ChainMux a "
                "function that makes it"
            )
        turn = None if self.turn is None else turn_state(self.turn, failed)
        return {"begun": self._begun, "before": self._before, "before_pass": self._before_pass, "turn": turn}

    def restore(self, state: Any, given: int, verify: bool) -> None:
        self._begun, self._before, self._before_pass = state["begun"], state["before"], state["before_pass"]
        saved = state["turn"]
        if saved is None:
            return
        if self._at(saved[0], saved[1]) is None:
            raise StateError(f"there is no member {saved[0]} any more")
        self.turn = restore_turn(saved, self._open, verify, self._mux._pool.name if self._mux._lazy is None else str)

    def where(self) -> list[str]:
        here, turn = self._mux._words(), self.turn
        if turn is None:
            return [here]
        name = turn.index if self._mux._lazy is not None else self._mux._pool.name(turn.index)
        inside = turn.where() if isinstance(turn, Node) else [self._member._words()] if self._member else []
        return [f"{here}[{name}]", *inside]

    def close(self) -> None:
        with suppress(ValueError):  # it is running: the caller is further up
            self._made.close()
        if self.turn is not None:
            self.turn.close()
        close = getattr(self._members, "close", None)
        if close is not None:
            close()
