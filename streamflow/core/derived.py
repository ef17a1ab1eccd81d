"""DerivedNode: a live node that makes its items from those of the node below it, and how it keeps that node's state.

* Between two outputs nothing is held back, so the state is that of the node below, now.
* When an item fails to come, the node below has moved on.  Therefore its state is noted now and then (after 20 ms, and
  so rarely that notes cost at most a fiftieth of the time), and the outputs after the note are made again.

A node that holds items back for an unbounded time (``replayed=True``) is replayed from the start of its activation.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Generator, Iterable, Iterator
from itertools import islice
from time import perf_counter
from typing import Any, ClassVar

from ..exceptions import StateError
from .node import Node, Ticks, skip
from .saved import Saved

__all__ = ["DerivedNode"]

_FIRST_NOTE = 0.02  #: seconds until the first note
_SHARE = 50  #: a note is taken when this many times its own cost has gone by


class DerivedNode(Node):
    """A node over one node below it; how its state is kept is said at the top of this file.

    Parameters
    ----------
    label : str
        Its name in error notes.
    below : Node
    stride : (index, count)
        Which of its outputs are given.
    replayed : bool
        Whether something is held back between two outputs.
    """

    __slots__ = ("_due", "_made", "_notes", "_ticks", "below", "items", "label", "replayed", "stride")
    kind: ClassVar[str] = "map"

    def __init__(self, label: str, below: Node, stride: tuple[int, int] = (0, 1), replayed: bool = False) -> None:
        self.label, self.below, self.stride, self.replayed = label, below, stride, replayed
        # (outputs given, state below); None for a node below that is untouched
        self._notes: list[tuple[int, Any]] = [(0, None)]
        self._begin(0)

    @abstractmethod
    def _run(self) -> Generator[Any, None, None]:
        """A fresh generator of outputs over the node below."""

    def _begin(self, given: int) -> None:
        self._made = self._run()
        outputs: Iterator[Any] = self._made
        index, count = self.stride
        if count > 1:
            outputs = islice(outputs, count - 1 if given else index, None, count)
        if not self.replayed:
            self._due = perf_counter() + _FIRST_NOTE
            outputs = map(self._passing, outputs)
        self._ticks = Ticks(outputs, given)
        self.items = self._ticks.items

    def _passing(self, output: Any) -> Any:
        if perf_counter() > self._due:
            self._note()
        return output

    def _note(self) -> None:
        began = perf_counter()
        try:
            note = (self.given() + 1, self.below.state())
        except Exception:  # noqa: BLE001 - nobody asked for this state; asking for one will raise it
            self._due = float("inf")
            return
        self._notes = [self._notes[-1], note]
        ended = perf_counter()
        self._due = ended + _SHARE * (ended - began)

    def given(self, failed: bool = False) -> int:
        return self._ticks.given()

    def state(self, failed: bool = False) -> dict[str, Any]:
        given = self.given()
        after, below = 0, None
        if self.replayed:
            pass
        elif failed:
            self.below.state(failed)  # raises if something below cannot be resumed
            # The last note may be of an output that was about to be delivered.
            after, below = next(note for note in reversed(self._notes) if note[0] <= given)
        else:
            after, below = given, self.below.state()
        return {"kind": self.kind, "version": self.version, "given": given, "after": after, "stream": below}

    def restore(self, saved: Saved, verify: bool) -> None:
        given = saved.count("given")
        after, below = saved.count("after", most=given), saved.below("stream")
        if below is not None:
            self._made.close()
            self.below.resume(below, verify)
            self._begin(after)
        self._notes = [(after, None if below is None else saved.value("stream"))]
        if skip(self.items, given - after) < given - after:
            raise StateError(f"{self.label} had given {given} items and now ends earlier")

    def children(self) -> Iterable[tuple[Any, Node]]:
        yield "stream", self.below

    def here(self) -> tuple[str, Node | str | None]:
        return self.label, self.below

    def close(self) -> None:
        try:
            self._made.close()
        finally:
            self.items = self._ticks.items = iter(())  # they lead back to this node
            super().close()

    def next_epoch(self, epoch: int) -> bool:
        if not self.below.next_epoch(epoch):
            return False
        self._made.close()
        self._notes = [(0, None)]
        self._begin(0)
        return True
