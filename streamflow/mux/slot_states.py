"""The state of a mux with slots: what is written of it, and how it is taken up again, also by more members."""

from __future__ import annotations

from collections.abc import Container
from functools import partial
from typing import Any

from ..core.node import NUMBERS, Activation, Node
from ..core.saved import LARGEST, Saved
from .activation import Members, activation_state, restore_activation
from .slots import Pass, Slots

__all__ = ["SlotNode"]


class SlotNode(Slots):
    """The live node of a mux with several slots, with its state."""

    #: Whether members may be added anywhere in the pool when a state is loaded; else only at the end.
    _grows_anywhere = False

    # ------------------------------------------------------------------ what a kind of mux says
    def _largest_cap(self) -> int | None:
        """The most items that an activation may have to give; None: all that its member has."""
        return None

    def _fits(self, slot: int, index: int, number: int) -> bool:
        """Whether a slot can hold this activation of a member."""
        return index == slot  # of all muxes that have a slot for each member

    def _grow(self, saved: Saved, before: int, slots: int) -> None:
        """Before a state is loaded that had fewer members, and so many slots: what is held behind these stays.

        Here: raise unless it had as many slots as members.
        """
        if slots != before:
            raise saved.wrong("slots", f"a list of {before} values")

    def _complete(self, saved: Saved) -> None:
        """A state has been loaded; weights may have changed or members been added, if it was loaded so."""

    def _own_state(self) -> dict[str, Any]:
        """What `_restore_own` needs besides the activations."""
        return {}

    def _restore_own(self, saved: Saved, grown: bool) -> None:
        """Take up `_own_state`, when members may have been added; the slots are filled already."""

    # ------------------------------------------------------------------ state
    def state(self, failed: bool = False) -> Any:
        owed = self._asked_last() if failed and self._is_asking() else self._owed
        waiting = self._owed is not None  # not asked for a second time yet
        return {
            "kind": self.kind,
            "version": self.version,
            "given": self.given(failed),
            "asked": self.asked + self._inside() + waiting,
            "misses": self.misses,
            "dropped_at": self._dropped_at,
            "owed": owed,
            "pool": self.pool.census(),
            "slots": self._slot_states(owed if failed else None),
            **self._own_state(),
        }

    def _slot_states(self, failed: int | None) -> list[dict[str, Any] | None]:
        """The states of the slots, of which one may have failed."""
        pool = self.pool
        slots = [
            None if one is None else activation_state(one, slot == failed, pool) for slot, one in enumerate(self.held)
        ]
        for slot, last in self._passes.items():
            state = slots[slot]
            if state is not None and state["number"] == last.activation:
                state |= {"pass": last.number, "before": last.before}
        for slot, (number, index) in self._moved.items():
            state = slots[slot]
            if state is not None and state["number"] == number:
                state["key"] = index
        for slot in self._whole:
            state = slots[slot]
            if state is not None:
                state["whole"] = True
        return slots

    def restore(self, saved: Saved) -> None:
        members = Members(self.pool, saved, not self._grows_anywhere)
        if members.grown:
            self._grow(saved, members.before, len(saved.values("slots")))
        slots = saved.each("slots", 0 if members.grown else len(self.held), len(self.held))
        held: list[Activation | Node | None] = []
        later = self.held[len(slots) :]
        self.held = held  # filled one by one, so that `close` finds what is open if one fails
        cap = self._largest_cap()
        if cap is not None and saved.loading.loose:
            cap = LARGEST  # other weights may mean other caps
        held.extend(self._restored(slot, one, members, cap) for slot, one in enumerate(slots))
        held.extend(later)
        self._owed = saved.optional_count("owed", most=len(held) - 1)
        waiting = self._owed is not None
        asked = saved.count("asked", least=waiting)
        self.asked, self.misses = asked - waiting, saved.count("misses", most=asked)
        if saved.count("given") != self.asked - self.misses:
            raise saved.wrong("given", f"what was asked less what was missed ({self.asked - self.misses})")
        self._dropped_at = saved.count("dropped_at", most=self.misses)
        self._forget_block()
        self._fill(held)
        self._restore_own(saved, members.grown)
        self._complete(saved)

    def _restored(self, slot: int, saved: Saved | None, members: Members, cap: int | None) -> Activation | Node | None:
        if saved is None:
            return None
        index, number = members.find(saved), saved.count("number", most=NUMBERS - 1)
        if not self._fits(slot, index, number):
            raise saved.wrong("index", "that of a member which this slot can hold")
        if self._repeats and "pass" in saved:
            passes = saved.count("pass", most=NUMBERS - 1, least=1)
            self._passes[slot] = Pass(number, passes, saved.count("before", least=1))
        if "whole" in saved and saved.flag("whole") and self._divided():
            self._whole.add(slot)
        of_key = saved.count("key" if "key" in saved else "index", most=NUMBERS - 1)
        if of_key != index:
            self._moved[slot] = number, of_key
        return restore_activation(saved, index, partial(self._open, slot), self.pool.name(index), cap)

    def _dead_slot(self, saved: Saved, known: Container[int]) -> int:
        """The slot that a dict of a state names: a dead one that is not known yet."""
        slot = saved.count("slot", most=len(self.held) - 1)
        if self.held[slot] is not None or slot in known:
            raise saved.wrong("slot", "that of a slot whose member has ended, each once")
        return slot
