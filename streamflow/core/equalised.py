"""EqualNode: a part that is made as long as others, cut where it is longer and begun again where it is shorter.

Each further pass has a key of its own, so a part that is random gives other items, or the same in another order.  The
first of them also leaves out some items, more from epoch to epoch, so a part that is not random repeats others in each
epoch.  How long parts are is in `lengths.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import suppress
from itertools import chain, islice
from typing import Any, ClassVar

from ..seeding import Key
from .format import AGAIN
from .node import NUMBERS, Node, skip
from .saved import Saved

__all__ = ["EqualNode"]

_END = object()


class EqualNode(Node):
    """`length` items of a part: of its first pass, then of further ones until there are enough.

    Parameters
    ----------
    label : str
        Its name where nothing is open.
    open_at : function
        From a key to the node of a pass.
    key : Key
        That of the first pass.
    own_length : int
        How many items a pass has.
    length : int
        How many are wanted.
    """

    __slots__ = ("_at", "_label", "_made", "_open_at", "items", "key", "length", "own_length")
    kind: ClassVar[str] = "equal"

    def __init__(self, label: str, open_at: Callable[[Key], Node], key: Key, own_length: int, length: int) -> None:
        self._label, self._open_at, self.key = label, open_at, key
        self.own_length, self.length = own_length, length
        #: Number of the pass, items given before it, its node (None: not open yet).
        self._at: tuple[int, int, Node | None] = (0, 0, None)
        self._begin()

    def _begin(self) -> None:
        self._made = self._passes()
        self.items = chain.from_iterable(self._made)

    def _passes(self) -> Generator[Iterator[Any], None, None]:
        while self.given() < self.length:
            number, before, node = self._at
            if node is None:
                node = self._open(number)
                self._at = number, before, node
            left_out = self._left_out(number) - node.given()
            if left_out > 0:
                skip(node.items, left_out)
            yield islice(node.items, self.length - self.given())
            given = self.given()
            if given == before:  # it has become empty: there is nothing to repeat
                return
            if given < self.length:
                self._at = number + 1, given, None
                node.close()

    def _open(self, number: int) -> Node:
        return self._open_at(self.key.below(number, AGAIN) if number else self.key)

    def _left_out(self, number: int) -> int:
        """How many items a pass leaves out at its beginning: what was repeated in earlier epochs is not, at first."""
        if number != 1:
            return 0
        repeated = self.length - self.own_length
        return self.key.path[0] * repeated % self.own_length

    # ------------------------------------------------------------------ node
    def given(self, failed: bool = False) -> int:
        number, before, node = self._at
        return before if node is None else before + max(0, node.given(failed) - self._left_out(number))

    def state(self, failed: bool = False) -> dict[str, Any]:
        number, before, node = self._at
        return {
            "kind": self.kind,
            "version": self.version,
            "given": self.given(failed),
            "pass": number,
            "before": before,
            "part": None if node is None else node.state(failed),
        }

    def restore(self, saved: Saved) -> None:
        before = saved.count("before", most=self.length)
        number = saved.count("pass", least=bool(before), most=min(before, NUMBERS - 1))  # each pass gave some
        self._at = number, before, None
        inside = saved.below("part")
        if inside is not None:
            node = self._open(number)
            self._at = number, before, node
            node.resume(inside)
        if saved.count("given", most=self.length) != self.given():
            raise saved.wrong("given", f"the count of its passes ({self.given()})")

    def children(self) -> Iterable[tuple[Any, Node]]:
        node = self._at[2]
        return [] if node is None else [("part", node)]

    def where(self) -> list[str]:
        node = self._at[2]
        return [self._label] if node is None else node.where()

    def progress(self, given: int) -> tuple[int, int] | None:
        number, _, node = self._at
        return None if number or node is None else node.progress(given)

    def close(self) -> None:
        with suppress(ValueError):  # it is running: the caller is further up
            self._made.close()
        super().close()

    def next_epoch(self, epoch: int) -> bool:
        number, _, node = self._at
        if number or node is None or self.own_length != self.length or next(node.items, _END) is not _END:
            return False
        if not node.next_epoch(epoch):
            return False
        self._at = 0, 0, node
        self._begin()
        return True
