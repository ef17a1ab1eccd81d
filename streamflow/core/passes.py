"""Passes: the root of a live tree, which goes through one epoch, or through one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

from .checkpoint import Clock
from .node import NUMBERS, Node
from .saved import Saved
from .spec import Spec

__all__ = ["Passes"]


class Passes:
    """The root of a live tree: one epoch, or one after the other."""

    def __init__(self, spec: Spec, epoch: int, cycle: bool) -> None:
        self.spec, self.cycle, self.epoch = spec, cycle, epoch
        self.root = spec._root()
        self.clock = Clock()
        self.node: Node | None = None
        self.ended = False
        self._at_end = 0  # the items of a pass that a loaded state has at its end
        self._earlier = 0  # the items of epochs that have ended here
        self._ended_at: tuple[int, int] | None = None  # `progress` at the end of the latest of these

    def begin(self) -> Iterator[Any]:
        """Open the root node and give the items of the pass."""
        if self.ended:  # a state was loaded that had been taken there
            return iter(())
        self.check_seed()
        node = self.node or self._open(self.epoch)
        return chain.from_iterable(self._epochs()) if self.cycle else node.items

    def check_seed(self) -> None:
        """Before a seed is drawn, which a state brings along: raise if other parts have to draw alike."""
        if self.root.drawn is None:
            self.spec._check_seed()

    def _open(self, epoch: int) -> Node:
        node = self.node = self.spec._open_pass(self.root, epoch, self.clock)
        return node

    def _epochs(self) -> Iterator[Iterator[Any]]:
        while self.node is not None:
            yield self.node.items
            if not self.node.given():  # an epoch without items is the last
                return
            # All at once, in case of an error while the next is being opened.
            count = self.count()
            self._earlier, self._ended_at, self.ended = count, self.progress(count), True
            if not self.node.next_epoch(self.epoch + 1):
                self.node.close()
                self.node = None
                self._open(self.epoch + 1)
            self.epoch, self.ended = self.epoch + 1, False

    def given(self, failed: bool = False) -> int:
        return self._at_end if self.node is None else self.node.given(failed)

    def count(self, failed: bool = False) -> int:
        """A number that is one more after each item given, whatever epoch that is of."""
        return self._earlier + (0 if self.ended and self.cycle else self.given(failed))

    def within(self, count: int) -> int:
        """How many of the first `count` items are of this epoch."""
        return count - self._earlier

    def progress(self, count: int) -> tuple[int, int]:
        """The epoch of the last of the first `count` items, and how many of that epoch there have been with it."""
        given = self.within(count)
        if not given and self._ended_at is not None:
            return self._ended_at
        own = None if self.node is None or not given else self.node.progress(given)
        return own or (self.epoch, given)

    def state(self, failed: bool) -> dict[str, Any]:
        if self.ended and self.cycle:
            return {"epoch": self.epoch + 1, "given": 0, "ended": False, "node": None}
        inside = None if self.node is None or self.ended else self.node.state(failed)
        given = self.given(failed) if inside is None else inside["given"]
        return {"epoch": self.epoch, "given": given, "ended": self.ended, "node": inside}

    def restore(self, saved: Saved) -> None:
        epoch, given, ended = saved.count("epoch", most=NUMBERS - 2), saved.count("given"), saved.flag("ended")
        inside = saved.below("node")
        if ended and inside is not None:
            raise saved.wrong("ended", "false where there is a node")
        self.close()
        self.node, self._at_end, self.ended = None, 0, False
        self._earlier, self._ended_at = 0, None
        if ended and self.cycle:
            epoch = epoch + 1
        elif ended:
            self.ended, self._at_end = True, given
        self.epoch = epoch
        if ended:
            return
        if inside is not None:
            self._open(epoch).resume(inside)
        if given != self.given():
            raise saved.wrong("given", f"the count of its node ({self.given()})")

    def close(self) -> None:
        if self.node is not None:
            self.node.close()
