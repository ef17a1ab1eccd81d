"""Live nodes: what runs while a Stream is open.

A Stream's tree consists of nodes.  Each offers `items`, a bare C iterator wherever possible, so that an item climbs
through many levels without a Python frame.  Nothing is counted or kept for the sake of states and errors: both are
derived when somebody asks, from counters that C iterators carry anyway.

A parent that may open several members over time speaks of a *turn*: one activation of a member.  A turn that is not
open (not yet, or its budget is spent) is a `Turn`; one that is open is the node itself.  Both tell `index` (of the
member in the pool), `number` (of the activation), `budget` (items it may give, None: all) and `given()`.
"""

from __future__ import annotations

import random
import warnings
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator
from itertools import compress, islice, repeat
from types import GeneratorType
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import numpy as np

from ..exceptions import StateError
from ..seeding import Key
from .describe import digest_of, same
from .source import OneShot, Shards, resumes

if TYPE_CHECKING:
    from .streamer import Streamer

__all__ = ["Leaf", "Node", "Ticks", "Turn", "close_all", "restore_turn", "skip", "turn_state"]

_MANY = 1 << 62
_CHECKED = 2  #: items of a leaf that are compared when a state is loaded
_warned: set[str] = set()


class Ticks:
    """Counts what an iterator gives, at C speed.

    `compress` draws an item first and then a selector, so a draw that fails is not counted; how many selectors are
    left is the length hint of the `repeat` that they come from.
    """

    __slots__ = ("_left", "items")

    def __init__(self, source: Iterator[Any], given: int = 0) -> None:
        self._left = repeat(True, _MANY - given)
        self.items: Iterator[Any] = compress(source, self._left)

    def given(self) -> int:
        """How many items have been given."""
        return _MANY - self._left.__length_hint__()


class Turn:
    """An activation that is not open: not yet, or no longer because its budget is spent."""

    __slots__ = ("budget", "done", "index", "number")

    def __init__(self, index: int, number: int, budget: int | None = None, done: int = 0) -> None:
        self.index, self.number, self.budget, self.done = index, number, budget, done

    def given(self, failed: bool = False) -> int:
        """How many items it gave."""
        return self.done

    def state(self, failed: bool = False) -> Any:
        """Nothing: a turn that is not open has no inside."""
        return None

    def close(self) -> None:
        """Nothing is open."""


class Node(ABC):
    """A live part of a tree."""

    __slots__ = ("budget", "index", "number")
    index: int
    number: int
    budget: int | None
    items: Iterator[Any]

    @abstractmethod
    def given(self, failed: bool = False) -> int:
        """How many items have been given; `failed`: the one that was asked for last did not come."""

    @abstractmethod
    def state(self, failed: bool = False) -> Any:
        """Where it stands after the last item given, for JSON; `failed`: an item was being made and did not come."""

    @abstractmethod
    def restore(self, state: Any, given: int, verify: bool) -> None:
        """Take up a state, right after the node has been opened."""

    @abstractmethod
    def where(self) -> list[str]:
        """The names on the way to the member that was asked last."""

    @abstractmethod
    def close(self) -> None:
        """Close everything below; may be called again."""

    def next_epoch(self, epoch: int) -> bool:
        """At the end of an epoch: begin another with what is open, if that is worth it; if not, it is to be closed."""
        return False

    def progress(self) -> tuple[int, int] | None:
        """The epoch of the last item given and how many of that epoch have been, if it has epochs of its own."""
        return None


class Leaf(Node):
    """A live source; it is replayed when a state is loaded, unless it can do better itself."""

    __slots__ = ("_drawn", "_given", "_opened", "_source", "_stride", "items", "key", "shards", "spec")

    def __init__(self, spec: Streamer, key: Key, shards: Shards, made: Any = None) -> None:
        self.spec, self.key, self.shards = spec, key, shards
        self._opened: WeakSet[Any] | None = None
        self._drawn: Ticks | None = None
        if made is None:
            made = self._start(0)
        else:
            self._source, self._stride = made, (0, 1)
        # The counter is `Ticks` written out: one object less for each activation.
        self._given = repeat(True, _MANY)
        self.items = compress(made, self._given)

    def _start(self, done: int) -> Iterator[Any]:
        """Call the source; `_source` is what it gave, the result is this part of it."""
        opened: WeakSet[Any] = WeakSet()
        self._opened = opened
        self._source, self._stride = self.spec._start(self.key, self.shards, done, opened)
        return self._strided(done * self._stride[1], done)  # a source that `resumes` has passed over those

    def _strided(self, drawn: int, given: int) -> Iterator[Any]:
        """This part of what the source gives, where so many have been drawn from it and given of the part."""
        index, count = self._stride
        if count == 1:
            whole: Iterator[Any] = self._source
            return whole
        self._drawn = Ticks(self._source, drawn)
        return islice(self._drawn.items, index + count * given - drawn, None, count)

    def given(self, failed: bool = False) -> int:
        return _MANY - self._given.__length_hint__()

    def state(self, failed: bool = False) -> Any:
        if isinstance(self.spec.source, OneShot):
            raise self.spec.source.no_state()
        if not self.given():
            return None
        return [self.spec._words(), self._digest(), self._own_state()]

    def _digest(self) -> str:
        return digest_of([*self.spec.args, *sorted(self.spec.kwargs.items())])

    def _own_state(self) -> Any:
        """The state of a source that knows its own, and how many items have been drawn from it."""
        if not _has_state(self._source):
            return None
        drawn = self.given() if self._drawn is None else self._drawn.given()
        return [self._source.state_dict(), drawn]

    def restore(self, state: Any, given: int, verify: bool) -> None:
        if state is None:
            return
        words, digest, own = state
        if digest != self._digest():
            raise StateError(f"was {words}, is now {self.spec._words()}")
        if own is not None:
            state_of_source, drawn = own
            self._source.load_state_dict(state_of_source)
            items = self._strided(drawn, given)
        elif resumes(self.spec.source, self.spec.args, self.spec.kwargs):
            self.close()
            items = self._start(given)
        else:
            items = self.items
            self._replay(items, given, verify)
        self._given = repeat(True, _MANY - given)
        self.items = compress(items, self._given)

    def _replay(self, items: Iterator[Any], given: int, verify: bool) -> None:
        """Draw what had been given, and compare its head with that of another opening."""
        checked = min(given, _CHECKED) if verify else 0
        before = _global_randomness()
        head: list[Any] = []
        if checked:
            twin = Leaf(self.spec, self.key, self.shards)
            head = list(islice(twin.items, checked))
            twin.close()
        again = list(islice(items, checked))
        differs = checked and not same(head, again)
        short = len(again) < checked or skip(items, given - checked) < given - checked
        if before != _global_randomness():
            _warn_once(self.spec._words())
        elif differs:
            raise StateError(
                f"{self.spec._words()} gives other items when it is opened again; a stream can be resumed if its "
                "leaves depend on nothing but their arguments and `rng` (verify=False skips this check)"
            )
        elif short:
            raise StateError(f"{self.spec._words()} had given {given} items and has fewer now")

    def where(self) -> list[str]:
        return [self.spec._words()]

    def close(self) -> None:
        source = self._source
        if source.__class__ is GeneratorType:
            source.close()
        elif callable(self.spec.source) and not any(
            source is arg for arg in (*self.spec.args, *self.spec.kwargs.values())
        ):
            close = getattr(source, "close", None)
            if close is not None:
                close()
        if self._opened:
            close_all(list(self._opened))


def _has_state(source: Any) -> bool:
    return hasattr(source, "state_dict") and hasattr(source, "load_state_dict")


def _global_randomness() -> Any:
    kind, words, *rest = np.random.get_state(legacy=True)
    return random.getstate(), kind, words.tobytes() if isinstance(words, np.ndarray) else words, rest


def _warn_once(words: str) -> None:
    if words not in _warned:
        _warned.add(words)
        warnings.warn(
            f"{words} draws from a global random state: it goes on after the same number of items, but not with the "
            "items that would have come; take randomness from a parameter named `rng`",
            stacklevel=2,
        )


def skip(items: Iterator[Any], count: int) -> int:
    """Draw and forget; how many there were."""
    ticks = Ticks(islice(items, count))
    deque(ticks.items, maxlen=0)
    return ticks.given()


def close_all(things: list[Any]) -> None:
    """Close each, whatever the others do; the first error is raised at the end."""
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


def turn_state(turn: Turn | Node, failed: bool) -> list[Any]:
    """The state of a turn for JSON."""
    given = turn.given(failed)
    spent = given == turn.budget
    return [turn.index, turn.number, turn.budget, given, None if spent else turn.state(failed)]


def restore_turn(saved: list[Any], open_turn: Any, verify: bool, name: Any) -> Turn | Node:
    """A turn from its state; `open_turn` opens a `Turn`, `name(index)` tells the member in errors."""
    index, number, budget, given, inside = saved
    turn = Turn(index, number, budget, given)
    if inside is None:
        return turn
    node: Node = open_turn(turn)
    try:
        node.restore(inside, given, verify)
    except StateError as error:
        node.close()
        raise StateError(f"member {name(index)}: {error}") from None
    except BaseException:
        node.close()
        raise
    return node
