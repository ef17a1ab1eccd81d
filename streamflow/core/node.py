"""Live nodes: what runs while a Stream is open.

A Stream's tree consists of nodes.  Each offers `items`, a bare C iterator wherever possible, so that an item climbs
through many levels without a Python frame.  Nothing is counted or kept for the sake of states and errors: both are
derived when somebody asks, from counters that C iterators carry anyway.

A parent that may open several members over time speaks of *activations*.  One that is not open (not yet, or its budget
is spent) is an `Activation`; one that is open is the node itself.  Both have `index` (of the member in the pool),
`number` (of the activation), `budget` (how many items it may give; None: all) and `given()`.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import compress, islice, repeat
from time import perf_counter
from typing import Any, ClassVar

from ..exceptions import StateError
from .saved import ADVICE, Saved

__all__ = [
    "MANY",
    "NUMBERS",
    "Activation",
    "Node",
    "Ticks",
    "close_all",
    "skip",
    "skip_told",
]

_log = logging.getLogger("streamflow")
MANY = 1 << 62  #: more items than anybody will draw
FEW, MANY_AGAIN, PATIENCE = 64, 1 << 20, 10.0  #: making so many items again, or so many seconds, is told of
NUMBERS = 1 << 32  #: activations are numbered below this


class Ticks:
    """Counts what an iterator gives, at C speed.

    `compress` draws an item first and then a selector, so a draw that fails is not counted; how many selectors are
    left is the length hint of the `repeat` that they come from.
    """

    __slots__ = ("_left", "items")

    def __init__(self, source: Iterator[Any], given: int = 0) -> None:
        self._left = repeat(True, MANY - given)
        self.items: Iterator[Any] = compress(source, self._left)

    def given(self) -> int:
        """How many items have been given."""
        return MANY - self._left.__length_hint__()


class Activation:
    """An activation that is not open: not yet, or no longer because its budget is spent."""

    __slots__ = ("budget", "done", "index", "number")

    def __init__(self, index: int, number: int, budget: int | None = None, done: int = 0) -> None:
        self.index, self.number, self.budget, self.done = index, number, budget, done

    def given(self, failed: bool = False) -> int:
        """How many items it gave."""
        return self.done

    def state(self, failed: bool = False) -> Any:
        """None: it has no inside."""
        return None

    def close(self) -> None:
        """Nothing is open."""


class Node(ABC):
    """A live part of a tree."""

    __slots__ = ("budget", "index", "number")
    #: What kind of node wrote a state, and the version of what it writes.
    kind: ClassVar[str]
    version: ClassVar[int] = 1
    index: int
    number: int
    budget: int | None
    items: Iterator[Any]

    @abstractmethod
    def given(self, failed: bool = False) -> int:
        """How many items have been given; `failed`: the one that was asked for last did not come."""

    @abstractmethod
    def state(self, failed: bool = False) -> dict[str, Any] | None:
        """Where it stands after the last item given, for JSON: `kind`, `version`, `given` and what else it needs.

        None: it stands where it was opened.  `failed`: an item was being made and did not come.  What it gives is kept
        (by the pass, by maps, as marks), so it must not be changed afterwards.
        """

    @abstractmethod
    def restore(self, saved: Saved) -> None:
        """Take up a state of this kind and version, right after the node has been opened."""

    def resume(self, saved: Saved) -> None:
        """Take up a state, right after the node has been opened."""
        kind, version = saved.text("kind"), saved.count("version")
        if kind != self.kind:
            raise StateError(f"the state was written by another kind of node: {kind!r}, not {self.kind!r}")
        if version != self.version:
            raise StateError(
                f"the state of {kind!r} has version {version}; this release reads version {self.version}: {ADVICE}"
            )
        self.restore(saved)

    def children(self) -> Iterable[tuple[Any, Node]]:
        """The nodes right below that are open, each with its name."""
        return ()

    def here(self) -> tuple[str, Node | str | None]:
        """Its own name and the child that was asked last: a node, the label of one that is not open, or None."""
        return type(self).__name__, None

    def where(self) -> list[str]:
        """The names on the way to what was asked last."""
        name, below = self.here()
        return [name, *(below.where() if isinstance(below, Node) else [] if below is None else [below])]

    def close(self) -> None:
        """Close everything below; may be called again."""
        close_all([node for _, node in self.children()])

    def next_epoch(self, epoch: int) -> bool:
        """At the end of an epoch: whether it has begun the next with what is open; if not, it is closed."""
        return False

    def progress(self, given: int) -> tuple[int, int] | None:
        """The epoch of the last item given and its count within that epoch, if the node has epochs of its own."""
        return None


def skip(items: Iterator[Any], count: int) -> int:
    """Draw `count` items and drop them; returns how many there were."""
    ticks = Ticks(islice(items, count))
    deque(ticks.items, maxlen=0)
    return ticks.given()


def skip_told(items: Iterator[Any], count: int, label: Callable[[], str], advice: str = "") -> int:
    """`skip`, for a state that is being loaded: if it takes long, a warning of the logger says what is going on."""
    step = min(count, FEW)
    done = skip(items, step)
    end = perf_counter() + PATIENCE
    while done == step < count and step < MANY_AGAIN and perf_counter() < end:
        step = min(2 * step, count)
        done += skip(items, step - done)
    if done == step < count:
        text = "resuming %s: %d items have to be made again, %d of them have been so far%s"
        _log.warning(text, label(), count, done, advice)
        done += skip(items, count - done)
    return done


def close_all(things: list[Any]) -> None:
    """Close each, even where others fail, and empty the list; the first error is raised at the end."""
    failed: BaseException | None = None
    for thing in things:
        try:
            thing.close()
        except Exception as error:  # noqa: BLE001 - raised below, when all have been closed
            failed = failed or error
    things.clear()
    if failed is not None:
        try:
            raise failed
        finally:
            failed = None  # its traceback holds this frame
