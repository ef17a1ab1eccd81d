"""Derived nodes: live nodes that make their outputs from the items of the node below them, and keep its state.

Between some outputs nothing is held back, neither items nor numbers.  At such a *border* the state is that of the node
below, and how many outputs there have been.  Three kinds of node differ in where their borders are:

* *stateless*: after each output;
* *windowed*: after each window, a list of outputs that are made together;
* *replayed*: only at the very start.

Between two borders, and when an item fails to come (the node below has moved on by then), the state is a `Note` of an
earlier border and how many outputs are to be made again.  A note is taken at the first border after each tick of the
tree's clock (see `checkpoint`).

Outputs are given in blocks, chained together: a window, or some outputs of a stateless node.  So nothing but the border
of a block costs a line of Python.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import chain, compress, islice, repeat
from time import perf_counter
from typing import Any, ClassVar, NamedTuple, NoReturn, Protocol

from ..exceptions import DataError, StateError
from . import checkpoint
from .checkpoint import Clock
from .label import short
from .node import Node, Ticks, skip_told
from .saved import Saved

__all__ = ["DerivedNode", "Maker", "ReplayedNode", "StatelessNode", "WindowedNode", "emptied"]

_LONGEST = 256  #: outputs in a block of a stateless node


class Maker(Protocol):
    """What makes the outputs of a derived node; it holds nothing that changes while items flow."""

    def start(self, items: Iterator[Any], number: int) -> Iterator[Any]:
        """Make outputs from these items; of a windowed node lists of outputs.

        `number` is how many windows there have been before, of another node how many items.
        """

    def at_epoch(self, epoch: int) -> Maker:
        """The same in another epoch."""


class Note(NamedTuple):
    """A border: a place between two outputs at which nothing is held back."""

    made: int  #: outputs before it
    windows: int  #: windows before it, of a windowed node
    below: Any  #: the state below; None: it stands where it was opened


_START = Note(0, 0, None)


class DerivedNode(Node):
    """A node over one node below it; how its state is kept is said at the top of this file.

    Parameters
    ----------
    label : str
        Its name in error notes.
    below : Node
    maker : Maker
    clock : Clock, optional
        Of the tree.
    checked : bool
        Whether to raise where outputs come for which nothing was drawn: something has been held back at a border.
    """

    _counts_windows: ClassVar[bool] = False
    __slots__ = (
        "_checked",
        "_clock",
        "_maker",
        "_note",
        "_outputs",
        "_refused",
        "_seen",
        "_ticks",
        "below",
        "items",
        "label",
    )

    def __init__(self, label: str, below: Node, maker: Maker, clock: Clock | None = None, checked: bool = True) -> None:
        self.label, self.below, self._maker, self._checked = label, below, maker, checked
        self._clock = Clock() if clock is None else clock
        self._refused = ""  # why no state can be taken
        self._begin(_START)

    # ------------------------------------------------------------------ what kinds differ in
    @abstractmethod
    def _run(self, note: Note) -> Iterator[Any]:
        """Make outputs from a border on; the node below stands there already."""

    @abstractmethod
    def _border(self) -> Note:
        """The last border at which a state can be taken, when no item has failed to come."""

    # ------------------------------------------------------------------ running
    def _begin(self, note: Note) -> None:
        self._note = note
        self._seen: int | None = self._clock.tick  # at the last note; None: notes fail
        self._outputs: Iterator[Any] | None = None  # what the maker has started
        outputs = self._run(note)
        self._ticks = Ticks(outputs, note.made)
        self.items = self._ticks.items

    def _start(self, items: Iterator[Any], number: int) -> Iterator[Any]:
        outputs = self._outputs = self._maker.start(items, number)
        return outputs

    def _refuse(self, why: str) -> NoReturn:
        """End with an error, because states are wrong."""
        self._refused = why
        raise StateError(why)

    def _take_note(self, made: int, windows: int) -> None:
        """Note this border, if there has been a tick since the last note."""
        if self._seen is None or self._clock.now() == self._seen:
            return
        self._seen = self._clock.tick
        began = perf_counter()
        try:
            below = self.below.state()
        except Exception:  # noqa: BLE001 - nobody asked for this state; asking for one will raise it
            self._seen = None
            return
        self._note = Note(made, windows, below)
        self._clock.charge(perf_counter() - began)

    # ------------------------------------------------------------------ node
    def given(self, failed: bool = False) -> int:
        return self._ticks.given()

    def state(self, failed: bool = False) -> dict[str, Any]:
        if self._refused:
            raise StateError(self._refused)
        if failed:
            self.below.state(failed)  # raises if something below cannot be resumed
        made, windows, below = self._note if failed else self._border()
        return {
            "kind": self.kind,
            "version": self.version,
            "given": self.given(),
            "after": made,
            **({"windows": windows} if self._counts_windows else {}),
            "stream": below,
        }

    def restore(self, saved: Saved) -> None:
        given, below = saved.count("given"), saved.below("stream")
        made = saved.count("after", most=0 if below is None else given)
        windows = saved.count("windows") if self._counts_windows else 0
        if below is not None:
            self.below.resume(below)
        self._stop()
        self._begin(Note(made, windows, None if below is None else saved.value("stream")))
        missing = given - made
        saved.check_redrawn(missing, self.label)
        if skip_told(self.items, missing, lambda: self.label) < missing:
            raise StateError(f"{self.label} had given {given} items and now ends earlier")

    def children(self) -> Iterable[tuple[Any, Node]]:
        yield "stream", self.below

    def here(self) -> tuple[str, Node | str | None]:
        return self.label, self.below

    def _stop(self) -> None:
        close = getattr(self._outputs, "close", None)
        if close is not None:
            close()

    def close(self) -> None:
        try:
            self._stop()
        finally:
            self.items = self._ticks.items = iter(())  # they lead back to this node
            super().close()

    def next_epoch(self, epoch: int) -> bool:
        if not self.below.next_epoch(epoch):
            return False
        self._stop()
        self._maker = self._maker.at_epoch(epoch)
        self._begin(_START)
        return True


class ReplayedNode(DerivedNode):
    """Run again from the start of its activation."""

    kind = "replayed map"
    __slots__ = ()

    def _run(self, note: Note) -> Iterator[Any]:
        return self._start(self.below.items, self.below.given())

    def _border(self) -> Note:
        return _START

    def restore(self, saved: Saved) -> None:
        if saved.value("stream") is not None:
            raise saved.wrong("stream", "null, because this map is run again from its start")
        super().restore(saved)


class StatelessNode(DerivedNode):
    """At most one output for each item drawn, and nothing held back between outputs."""

    kind = "stateless map"
    __slots__ = ("_ended",)

    def _run(self, note: Note) -> Iterator[Any]:
        return chain.from_iterable(self._blocks(note.made))

    def _blocks(self, given: int) -> Iterator[Iterator[Any]]:
        start = self._start_checked if self._checked else self._start
        outputs = start(self.below.items, self.below.given())
        length, moment = 1, perf_counter()
        while True:
            self._take_note(given, 0)
            yield islice(outputs, length)
            given += length
            if self._ticks.given() < given:
                break
            # A block takes about a tenth of the time between two checkpoints, and is one output if that is none.
            before, moment = moment, perf_counter()
            quick = moment - before < checkpoint.BETWEEN / 10
            length = min(2 * length, _LONGEST) if quick else max(length // 2, 1)
        if self._checked and not self._ended:
            self._refuse(
                f"{self.label} gave an output for which it drew no item, so a resume could lose one: a map that gives "
                "several outputs for an item is declared with stream_map(kind='windowed') and yields lists of them"
            )

    def _start_checked(self, items: Iterator[Any], number: int) -> Iterator[Any]:
        """The outputs up to the first for which nothing was drawn; only if there is none does `_ended` become True.

        Each item drawn sets a key of a dict, each output takes it away.  Both are calls in C: `iter(call, None)` calls
        until it gets None, and `compress` asks it once for each item.
        """
        drawn: dict[None, bool] = {}
        sets = iter(partial(drawn.setdefault, None, True), None)
        takes = iter(partial(drawn.pop, None, None), None)
        self._ended = False
        return compress(chain(self._start(compress(items, sets), number), self._end()), takes)

    def _end(self) -> Iterator[Any]:
        self._ended = True
        yield from ()

    def _border(self) -> Note:
        return Note(self.given(), 0, self.below.state())


class WindowedNode(DerivedNode):
    """Outputs that are made window by window, and nothing held back between windows."""

    kind = "windowed map"
    _counts_windows = True
    __slots__ = ("_end", "_windows")

    def _run(self, note: Note) -> Iterator[Any]:
        # Where the last window ends that has been made, and how many windows that are.
        self._end, self._windows = note.made, note.windows
        return chain.from_iterable(self._blocks())

    def _blocks(self) -> Iterator[Iterator[Any]]:
        clock, below, drawn = self._clock, self.below, self.below.given()
        for window in self._start(self.below.items, self._windows):
            block = emptied(window, self.label)
            if self._checked:
                before, drawn = drawn, below.given()
                if window and before == drawn:
                    self._refuse(
                        f"{self.label} gave outputs for which it drew no item, so a resume could lose or repeat them: "
                        "a map that holds something between two lists is declared with stream_map(kind='replayed')"
                    )
            self._windows += 1
            self._end += len(window)
            yield block
            if perf_counter() >= clock.due or clock.tick != self._seen:
                self._take_note(self._end, self._windows)

    def _border(self) -> Note:
        given = self.given()
        return Note(given, self._windows, self.below.state()) if given == self._end else self._note


def emptied(window: Any, label: str) -> Iterator[Any]:
    """The outputs of a window, each taken out of it when it is given, so that the window does not hold them longer.

    >>> window = [1, 2, 3]
    >>> next(emptied(window, "map")), window
    (1, [3, 2])
    """
    if window.__class__ is not list and not isinstance(window, list):
        raise DataError(f"{label} is declared as windowed, so it must yield lists of outputs, got {short(window)}")
    n = len(window)
    if n == 1:
        return map(list.pop, (window,))
    window.reverse()
    return map(list.pop, repeat(window, n))
