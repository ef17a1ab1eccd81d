"""Passes: the root of a live tree, which goes through one epoch, or through one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

from .checkpoint import Clock
from .node import Node
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

    def begin(self) -> Iterator[Any]:
        """Open the root node and give the items of the pass."""
        node = self.node or self._open(self.epoch)
        return chain.from_iterable(self._epochs()) if self.cycle else node.items

    def _open(self, epoch: int) -> Node:
        node = self.node = self.spec._open_pass(self.root, epoch, self.clock)
        return node

    def _epochs(self) -> Iterator[Iterator[Any]]:
        while self.node is not None:
            yield self.node.items
            if not self.node.given():  # an epoch without items is the last
                return
            self.ended = True  # in case of an error while the next is being opened
            if not self.node.next_epoch(self.epoch + 1):
                self.node.close()
                self.node = None
                self._open(self.epoch + 1)
            self.epoch, self.ended = self.epoch + 1, False

    def given(self, failed: bool = False) -> int:
        return 0 if self.node is None else self.node.given(failed)

    def progress(self, failed: bool = False) -> tuple[int, int]:
        """The epoch of the last item given, and how many of that epoch have been."""
        own = None if self.node is None else self.node.progress()
        return own or (self.epoch, self.given(failed))

    def state(self, failed: bool) -> dict[str, Any]:
        if self.ended:
            return {"epoch": self.epoch + 1, "given": 0, "node": None}
        inside = None if self.node is None else self.node.state(failed)
        return {"epoch": self.epoch, "given": self.given(failed), "node": inside}

    def restore(self, state: Mapping[str, Any], verify: bool) -> None:
        self.close()
        self.epoch, self.node, self.ended = state["epoch"], None, False
        if state["node"] is not None:
            self._open(self.epoch).restore(state["node"], state["given"], verify)

    def close(self) -> None:
        if self.node is not None:
            self.node.close()
