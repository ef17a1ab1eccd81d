"""How a mux iterates at the speed of C.

Three ideas make an item of a mux cost little more than the item of its member.

*Blocks.*  Which slots give the next items is decided for many items at once: a block is a list of slots, in the order
in which they are asked.  ``map(next, block)`` then asks them without a line of Python in between, and
``chain.from_iterable`` strings the blocks together.  Behind its last slot a block holds an iterator that is always
empty, so every ``map`` ends by a slot that gives nothing; how far it came is what the list's iterator tells.

*Slots that renew themselves.*  A slot is the chain of its members' items, one activation after the other.  When a
member ends, or has given its budget, the chain asks `_lives` for the next one: closing and opening happen inside the
slot, and no level above notices.

*Counting for free.*  ``asked`` slots before this block, plus those of this block (length of the list less the length
hint of its iterator), less the ``misses`` (asks that a dead slot left unanswered), are the items given.  Nothing is
counted per item.

A slot whose member has ended for good is *dead*.  It stays in the blocks and misses whenever it is asked; only when
misses have cost as much as making a new law of choice would, the dead are dropped from it (`_drop_dead`), so that a
pool of n members that all end takes time in proportion to n.

What kinds of muxes differ in is answered by three methods: `_plan` (the next block), `_next` (what follows a turn that
has ended) and `_drop_dead`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Generator, Iterable, Iterator
from contextlib import suppress
from itertools import chain, islice
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..core.node import Node, Turn, close_all, restore_turn, turn_state
from ..core.source import Shards
from ..seeding import Key

if TYPE_CHECKING:
    from .pool import Pool

__all__ = ["FIRST", "SlotNode"]

FIRST = 32  #: length of a first block
_LAST, _MOST = 2048, 1 << 16  #: length of a longest block, for few slots and for many
_END: Iterator[Any] = iter(())
_Slots = list[int] | NDArray[np.intp]


class SlotNode(Node):
    """The live node of a mux with several slots.

    Parameters
    ----------
    pool : Pool
        The members.
    key : Key
        Of this mux; a member's key is below it.
    shards : Shards
        The part that is handed down to the members.
    """

    def __init__(self, pool: Pool, key: Key, shards: Shards) -> None:
        self.pool, self.key, self.shards = pool, key, shards
        self.turns: list[Turn | Node | None] = []
        self.asked = self.misses = 0
        self._owed: int | None = None
        self._missed_at = 0  # how many had been asked at the last miss
        self._dropped_at = 0  # how many misses there were when the dead were dropped
        self._slots: list[Iterator[Any]] = []
        self._forget_block()
        self._made = self._segments()
        self.items = chain.from_iterable(self._made)

    def _forget_block(self) -> None:
        self._chosen: _Slots = []
        self._block: list[Iterator[Any]] = [_END]
        self._cursor: Any = iter(self._block)

    # ------------------------------------------------------------------ what a kind of mux says
    @abstractmethod
    def _plan(self) -> _Slots | None:
        """The slots to be asked next, or None at the end."""

    @abstractmethod
    def _next(self, slot: int, old: Turn | Node) -> Turn | None:
        """The turn that follows one that has ended (and is closed), or None: the slot is dead."""

    @abstractmethod
    def _drop_dead(self) -> None:
        """Leave the dead slots out of what `_plan` gives from now on."""

    def _own_state(self) -> dict[str, Any]:
        """What `_restore_own` needs beside the turns."""
        return {}

    def _restore_own(self, state: dict[str, Any]) -> None:
        """Take up `_own_state`; the turns stand already."""

    # ------------------------------------------------------------------ slots
    def _fill(self, turns: Iterable[Turn | Node | None]) -> None:
        """Begin with these turns."""
        self.turns = list(turns)
        self.live = sum(turn is not None for turn in self.turns)
        self._slots = [chain.from_iterable(self._lives(slot)) for slot in range(len(self.turns))]
        self._longest = max(_LAST, min(8 * len(self.turns), _MOST))  # so that `_block_of` costs little a slot

    def _enter(self, slot: int, turn: Turn) -> None:
        """Give a dead slot a turn; what is planned is asked no more, because it holds the dead slot's chain."""
        self.turns[slot] = turn
        self.live += 1
        self._slots[slot] = chain.from_iterable(self._lives(slot))
        self._cut()

    def _lives(self, slot: int) -> Iterator[Iterator[Any]]:
        """The items of a slot, turn by turn."""
        turns = self.turns
        turn = turns[slot]
        if turn is None:
            return
        if isinstance(turn, Turn):
            if turn.budget is None or turn.done < turn.budget:
                turn = turns[slot] = self._open(turn)
                yield turn.items if turn.budget is None else islice(turn.items, turn.budget)
        else:  # a state was loaded in the middle of this turn
            yield islice(turn.items, None if turn.budget is None else turn.budget - turn.given())
        while (node := self._renew(slot, turn)) is not None:
            turn = turns[slot] = node
            yield turn.items if turn.budget is None else islice(turn.items, turn.budget)

    def _renew(self, slot: int, old: Turn | Node) -> Node | None:
        """Close what has ended, and only then open what follows."""
        old.close()
        turn = self._next(slot, old)
        self.turns[slot] = turn
        if turn is None:
            self.live -= 1
            if not self.live:
                self._cut()
            return None
        return self._open(turn)

    def _open(self, turn: Turn) -> Node:
        index = turn.index
        node = self.pool.members[index]._activate(self.key, turn.number, index, self.shards)
        node.index, node.number, node.budget = index, turn.number, turn.budget
        return node

    # ------------------------------------------------------------------ blocks
    def _segments(self) -> Generator[Iterator[Any], None, None]:
        if self._owed is not None:  # the state was taken after this slot had failed to answer
            chosen: _Slots | None = [self._owed]
            self._owed = None
        else:
            chosen = self._plan()
        while chosen is not None:
            self._chosen = chosen
            block = self._block = self._block_of(chosen)
            cursor: Any = iter(block)
            self._cursor = cursor
            while True:
                yield map(next, cursor)
                if not cursor.__length_hint__():
                    break
                self._missed(int(chosen[self._inside() - 1]))
            self.asked += len(block) - 1
            self._forget_block()
            chosen = self._plan()

    def _block_of(self, chosen: _Slots) -> list[Iterator[Any]]:
        """The chosen slots, one after the other.

        NumPy picks many at once three times as fast as Python.  But the collector cannot see what an array of objects
        holds, and slots lead back to this node; so no such array is kept, and one is made only where that pays.
        """
        slots = self._slots
        if len(slots) + 64 < len(chosen):
            block: list[Iterator[Any]] = np.fromiter(slots, object, len(slots))[chosen].tolist()
            block.append(_END)
            return block
        if len(chosen) == 1:
            return [slots[chosen[0]], _END]
        return [*itemgetter(*(chosen if isinstance(chosen, list) else chosen.tolist()))(slots), _END]

    def _inside(self) -> int:
        """How many slots of the running block have been asked."""
        return len(self._block) - int(self._cursor.__length_hint__() or 1)

    def _cut(self) -> None:
        """Ask no further slot of the running block (a list's iterator looks at the length each time)."""
        self._block[self._inside() :] = [_END]

    def _missed(self, slot: int) -> None:
        """A slot that was asked is dead."""
        self.misses += 1
        self._missed_at = self.asked + self._inside()
        # A miss costs about 0.2 us, a new law 10 us and 0.02 us a slot.
        if self.misses - self._dropped_at > 50 + len(self.turns) // 10:
            self._dropped_at = self.misses
            self._drop_dead()

    def _is_asking(self) -> bool:
        """Whether, when an error comes, the slot asked last has not answered (and is not known as dead)."""
        inside = self._inside()
        return inside > 0 and self.asked + inside != self._missed_at

    def _asked_last(self) -> int | None:
        inside = self._inside()
        return int(self._chosen[inside - 1]) if inside else self._owed

    # ------------------------------------------------------------------ node
    def given(self, failed: bool = False) -> int:
        return self.asked + self._inside() - self.misses - (failed and self._is_asking())

    def state(self, failed: bool = False) -> Any:
        owed = self._asked_last() if failed and self._is_asking() else self._owed
        waiting = self._owed is not None  # not asked for a second time yet
        return {
            "asked": self.asked + self._inside() + waiting,
            "misses": self.misses,
            "dropped_at": self._dropped_at,
            "owed": owed,
            "turns": [turn and turn_state(turn, failed and slot == owed) for slot, turn in enumerate(self.turns)],
            **self._own_state(),
        }

    def restore(self, state: Any, given: int, verify: bool) -> None:
        turns: list[Turn | Node | None] = []
        self.turns = turns  # filled one by one, so that `close` finds what is open if one fails
        turns.extend(saved and restore_turn(saved, self._open, verify, self.pool.name) for saved in state["turns"])
        self._owed = state["owed"]
        self.asked, self.misses = state["asked"] - (self._owed is not None), state["misses"]
        self._dropped_at = state["dropped_at"]
        self._forget_block()
        self._fill(turns)
        self._restore_own(state)

    def where(self) -> list[str]:
        here = self.pool.kind
        slot = self._asked_last()
        turn = None if slot is None or slot >= len(self.turns) else self.turns[slot]
        if turn is None:
            return [here]
        inside = turn.where() if isinstance(turn, Node) else [self.pool[turn.index]._words()]
        return [f"{here}[{self.pool.name(turn.index)}]", *inside]

    def close(self) -> None:
        # What leads back to this node goes now, so that it need not wait for the collector; the counts stay.
        with suppress(ValueError):  # it is running: the caller is further up
            self._made.close()
        self._slots.clear()
        self._block[:] = [_END] * len(self._block)
        close_all([turn for turn in self.turns if turn is not None])
