"""How a mux iterates at the speed of C.

Three ideas make an item of a mux cost little more than the item of its member.

*Blocks.*  Which slots give the next items is decided for many items at once: a block is a list of slots, in the order
in which they are asked.  ``map(next, block)`` then asks them without a line of Python in between, and
``chain.from_iterable`` strings the blocks together.  Behind its last slot a block holds an iterator that is always
empty, so every ``map`` ends at a slot that gives nothing; the list's iterator says how far it came.

*Slots that renew themselves.*  A slot is the chain of its members' items, one activation after the other.  When a
member ends, or has given its budget, the chain asks `_activations` for the next one: closing and opening happen inside
the slot, and no level above notices.

*Counting for free.*  ``asked`` slots before this block, plus those of this block (length of the list less the length
hint of its iterator), less the ``misses`` (asks that a dead slot left unanswered), are the items given.  Nothing is
counted per item.

A slot whose member has ended for good is *dead*.  It stays in the blocks and misses whenever it is asked; only when
misses have cost as much as making a new law of choice would, the dead are dropped from it (`_drop_dead`), so that a
pool of n members that all end takes time proportional to n.

Three methods say what kinds of muxes differ in: `_plan` (the next block), `_next` (what follows an activation that has
ended, if anything can) and `_drop_dead`.

A member that ends before its activation may be opened *once more* in it, without anything above knowing (`_once_more`):
in another *pass*, where short members are repeated; or *whole*, where it is empty in this part of an endless mux, so
that members with fewer items than there are parts have their share in each.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Generator, Iterable, Iterator
from contextlib import suppress
from itertools import chain, islice, repeat
from operator import is_not, itemgetter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..core.call import Shards, merged
from ..core.format import DEAD_MISSES, DEAD_SLOTS_PER_MISS, REPEATED, WHOLE
from ..core.node import Activation, Node
from ..seeding import Key
from .pool import Pool, check_repeatable

__all__ = ["FIRST", "Next", "Pass", "Slots"]

FIRST = 32  #: length of a first block
_LAST, _MOST = 2048, 1 << 16  #: length of a longest block, for few slots and for many
_END: Iterator[Any] = iter(())
_Slots = list[int] | NDArray[np.intp]
#: What follows in a slot: index of the member, number of the activation, budget.
Next = tuple[int, int, int | None]


class Pass(NamedTuple):
    """A later pass over the member of an activation."""

    activation: int  #: the number of the activation
    number: int  #: from 1
    before: int  #: items of the passes before it


class Slots(Node):
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

    # In slots, because CPython looks attributes up more slowly where an object has 30 or more in its dict.
    __slots__ = (
        "_block",
        "_chosen",
        "_cursor",
        "_dropped_at",
        "_longest",
        "_made",
        "_missed_at",
        "_moved",
        "_owed",
        "_passes",
        "_slots",
        "_whole",
        "asked",
        "held",
        "items",
        "key",
        "live",
        "misses",
        "pool",
        "shards",
    )
    #: Whether picks depend on which members are in the slots.
    _weighs = False
    #: Whether a slot may hold another activation when one has ended (`_next`); if not, it is dead.
    _renews = True
    #: Whether a member that ends before its activation is opened again in it; if not, whether `_ran_dry` is told.
    _repeats = False
    _counts_dry = False

    def __init__(self, pool: Pool, key: Key, shards: Shards) -> None:
        self.pool, self.key, self.shards = pool, key, shards
        self.held: list[Activation | Node | None] = []  # what each slot holds; None: it is dead
        self._passes: dict[int, Pass] = {}  # by slot; one of an earlier activation means nothing
        self._whole: set[int] = set()  # slots whose members are opened whole
        # By slot: an activation's number, and the index that its member had when it was opened, where that has changed.
        self._moved: dict[int, tuple[int, int]] = {}
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

    def _next(self, slot: int, old: Activation | Node, given: int) -> Next | None:
        """What follows an activation that has ended after `given` items (and is closed), or None: the slot is dead."""
        return None

    @abstractmethod
    def _drop_dead(self) -> None:
        """Leave the dead slots out of what `_plan` gives from now on."""

    def _found_empty(self, index: int) -> None:
        """A member gave nothing; it is not closed yet."""

    def _ran_dry(self) -> None:
        """An activation ended after some items, but early (told only if `_counts_dry`)."""

    def _endless(self, slot: int) -> bool:
        """Whether members are opened in a slot again and again, so that what they give is no set of items to divide."""
        return False

    def _died(self, slot: int) -> None:
        """A slot is dead from now on."""

    def _weigh(self, slot: int, index: int) -> None:
        """A slot holds another member (asked only if `_weighs`)."""

    # ------------------------------------------------------------------ slots
    def _fill(self, held: Iterable[Activation | Node | None]) -> None:
        """Begin with these in the slots."""
        self.held = list(held)
        self.live = sum(map(is_not, self.held, repeat(None)))
        self._slots = list(map(chain.from_iterable, map(self._activations, range(len(self.held)))))
        self._longest = max(_LAST, min(8 * len(self.held), _MOST))  # so that `_block_of` costs little per slot

    def _enter(self, slot: int, activation: Activation) -> None:
        """Give a dead slot an activation; what is planned is asked no more, because it holds the dead slot's chain."""
        self.held[slot] = activation
        self.live += 1
        self._slots[slot] = chain.from_iterable(self._activations(slot))
        self._cut()

    def _activations(self, slot: int) -> Iterator[Iterator[Any]]:
        """The items of a slot, activation by activation; this is where a slot is renewed."""
        held, members, key, shards = self.held, self.pool.members, self.key, self.shards
        weighs, renews, repeats = self._weighs, self._renews, self._repeats
        one = held[slot]
        if one is None:
            return
        index, number, budget = one.index, one.number, one.budget
        if isinstance(one, Activation):
            if budget is None or one.done < budget:
                if self._passes or self._whole or self._moved:  # a state was loaded
                    one = held[slot] = self._open(slot, one)
                else:
                    one = held[slot] = members[index]._activate(key, index, number, budget, shards)
                yield one.items if budget is None else islice(one.items, budget)
        else:  # a state was loaded in the middle of this activation
            yield islice(one.items, None if budget is None else budget - one.given())
        if self._whole:
            key, shards = self._address(slot)
        while renews:
            given = one.given()
            early = budget is not None and given < budget
            if not given or (early and repeats):
                more = self._once_more(slot, one, given)
                if more is not None:
                    one, budget = more, more.budget
                    key, shards = self._address(slot)
                    yield one.items if budget is None else islice(one.items, budget)
                    continue
                given = given or self._pass(slot, one).before
                if not given:
                    self._found_empty(one.index)
            elif early and self._counts_dry:
                self._ran_dry()
            one.close()  # before the next is opened
            following = self._next(slot, one, given)
            if following is None:
                break
            index, number, budget = following
            try:
                one = members[index]._activate(key, index, number, budget, shards)
            except BaseException:
                held[slot] = Activation(index, number, budget)
                raise
            if weighs:
                self._weigh(slot, index)
            held[slot] = one
            yield one.items if budget is None else islice(one.items, budget)
        else:
            one.close()
        held[slot] = None
        self.live -= 1
        if not self.live:
            self._cut()
        if self._whole:
            self._whole.discard(slot)
        self._died(slot)

    def _once_more(self, slot: int, one: Activation | Node, given: int) -> Node | None:
        """The member of an activation that has ended early, opened again in it; None if it is not."""
        last, left = self._pass(slot, one), one.budget
        if given and left is not None:
            self._passes[slot] = Pass(one.number, last.number + 1, last.before + given)
            left -= given
        elif not last.before and slot not in self._whole and self._divided() and self._endless(slot):
            self._whole.add(slot)
        else:
            return None
        one.close()
        again = self.held[slot] = Activation(one.index, one.number, left)  # what a state says if this fails
        more = self.held[slot] = self._open(slot, again)
        return more

    def _pass(self, slot: int, one: Activation | Node) -> Pass:
        """In which pass over its member the activation in a slot is."""
        found = self._passes.get(slot)
        return found if found is not None and found.activation == one.number else Pass(one.number, 0, 0)

    def _divided(self) -> bool:
        """Whether members are divided among several parts."""
        return merged(self.shards)[1] > 1

    def _address(self, slot: int) -> tuple[Key, Shards]:
        """Under which key, and in which part, members are opened in a slot."""
        if slot not in self._whole:
            return self.key, self.shards
        index, count = merged(self.shards)
        return self.key.below(count, WHOLE).below(index, WHOLE), ()

    def _open(self, slot: int, one: Activation) -> Node:
        key, shards = self._address(slot)
        member, last, index = self.pool.members[one.index], self._pass(slot, one), self._index_of_key(slot, one)
        if not last.number:
            node = member._activate(key, index, one.number, one.budget, shards)
            node.index = one.index
            return node
        if last.number == 1:
            check_repeatable(member)  # one of a `StreamerList` has not been looked at
        node = member._activate(key.below(one.number, index), REPEATED, last.number, one.budget, shards)
        node.index, node.number = one.index, one.number
        return node

    def _index_of_key(self, slot: int, one: Activation | Node) -> int:
        """The index that is in the key of an activation."""
        number, index = self._moved.get(slot, (-1, -1))
        return index if number == one.number else one.index

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
        if 2 * len(slots) + 192 < 3 * len(chosen):
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
        if self.misses - self._dropped_at > DEAD_MISSES + len(self.held) // DEAD_SLOTS_PER_MISS:
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

    def children(self) -> Iterable[tuple[Any, Node]]:
        names = self.pool.names
        return [
            (one.index if names is None else names[one.index], one)
            for one in self.held
            if one is not None and not isinstance(one, Activation)
        ]

    def here(self) -> tuple[str, Node | str | None]:
        slot = self._asked_last()
        one = None if slot is None or slot >= len(self.held) else self.held[slot]
        if one is None:
            return self.pool.kind, None
        below = self.pool[one.index]._label() if isinstance(one, Activation) else one
        return f"{self.pool.kind}[{self.pool.name(one.index)}]", below

    def close(self) -> None:
        # What leads back to this node goes now, so that it need not wait for the collector; the counts stay.
        with suppress(ValueError):  # it is running: the caller is further up
            self._made.close()
        self._slots.clear()
        self._block[:] = [_END] * len(self._block)
        super().close()
