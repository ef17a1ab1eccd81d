"""ZipMux: one item from each member at each step, merged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from ..core.call import Shards, merged
from ..core.derived import StatelessNode
from ..core.label import short
from ..core.lengths import strided
from ..core.node import Activation, Node
from ..core.saved import Saved
from ..core.validate import choice, flag
from ..core.walk import divides, drawn_from_above
from ..exceptions import DataError, StateError
from ..seeding import Key
from .activation import Members, activation_state, restore_activation
from .base import PoolMux
from .pool import Pool

__all__ = ["ZipMux"]

MODES = ("shortest", "cycle")


class ZipMux(PoolMux):
    """One item from each member at each step, merged into one item.

    Parameters
    ----------
    streamers : sequence or mapping of Streamers
        The members; all are open at once.
    mode : {'shortest', 'cycle'}
        ``shortest``: ends with the first member that ends.  ``cycle``: members that end start again, until the longest
        has ended; it ends at once if a member gives nothing.
    flatten : bool
        True: dicts are merged (a key in two of them raises `DataError`), tuples are joined, and other items stand in
        the tuple as they are.  False: the items stand in a tuple, one for each member.
    random_state : None, int, SeedSequence, Generator or RandomState
        A seed for the members; a ZipMux itself draws nothing.

    Raises
    ------
    ParameterError
        If there are no members, or if `mode` is not one of these.
    DataError
        While iterating, if dicts and other items are to be merged, or if two dicts have a key in common.

    Notes
    -----
    Sharding: part k of n yields steps k, k + n, ... (and makes the others too), so that what belongs together stays
    together.

    Examples
    --------
    >>> pairs = ZipMux([[{"x": 1}, {"x": 2}], [{"y": 3}, {"y": 4}]])
    >>> list(pairs)
    [{'x': 1, 'y': 3}, {'x': 2, 'y': 4}]
    >>> list(ZipMux(["abc", "de"], mode="cycle"))
    [('a', 'd'), ('b', 'e'), ('c', 'd')]
    """

    def __init__(self, streamers: Any, mode: str = "shortest", flatten: bool = True, random_state: Any = None) -> None:
        super().__init__(streamers, random_state)
        self.mode, self.flatten = choice("mode", mode, MODES), flag("flatten", flatten)

    def _settings(self, before: str = "") -> str:
        return f"{before}{self.mode}{', flat' if self.flatten else ''}"

    def _draws(self) -> bool:
        return False

    def _divided_draw(self, shards: Shards) -> str | None:
        if divides(shards):  # each part makes all steps
            return next(filter(None, (drawn_from_above(member) for _, member in self._typical_children())), None)
        return super()._divided_draw(())

    def _length(self, shards: Shards) -> int | None:
        lengths = [member._measured(()) for member in self._pool.members]
        known = [length for length in lengths if length is not None]
        if len(known) < len(lengths):
            return None
        longest = self.mode == "cycle" and all(known)
        return strided(max(known) if longest else min(known), shards)

    def _node(self, key: Key, shards: Shards) -> Node:
        return _ZipNode(self, _Side(self._pool, key), key, merged(shards))


class _Side(Node):
    """The members of a ZipMux, side by side, as one node below it."""

    kind = "members"

    def __init__(self, pool: Pool, key: Key) -> None:
        self.pool, self.key = pool, key
        self.held: list[Activation | Node] = [Activation(index, 0) for index in range(len(pool))]
        self.asked: int | None = None  # the member that is being asked
        self.items = iter(())

    def open(self, index: int) -> Node:
        """The node of a member; opened if it is not."""
        held = self.held[index]
        if isinstance(held, Activation):
            held = self.held[index] = self._open_member(held)
        return held

    def again(self, index: int) -> None:
        """Close a member that has ended; it starts again when it is opened."""
        held = self.held[index]
        held.close()
        self.held[index] = Activation(index, held.number + 1)

    def _open_member(self, held: Activation) -> Node:
        return self.pool[held.index]._activate(self.key, held.index, held.number, None, ())

    def given(self, failed: bool = False) -> int:
        """How many items have been asked of all members together; after a first step never 0."""
        return sum(held.number + held.given() for held in self.held)

    def state(self, failed: bool = False) -> dict[str, Any]:
        members = [activation_state(held, False, self.pool) for held in self.held]
        return {"kind": self.kind, "version": self.version, "pool": self.pool.census(), "members": members}

    def restore(self, saved: Saved) -> None:
        members, pool = Members(self.pool, saved), self.pool
        if members.grown:
            raise StateError(
                f"a ZipMux of {members.before} members cannot go on with {len(pool)}: its items would differ"
            )
        for index, held in enumerate(saved.each("members", len(pool))):
            if held is None or members.find(held) != index:
                raise saved.wrong("members", "one state for each member, in order")
            self.held[index] = restore_activation(held, index, self._open_member, pool.name(index), None)

    def children(self) -> Iterable[tuple[Any, Node]]:
        for held in self.held:
            if not isinstance(held, Activation):
                yield self.pool.name(held.index), held

    def here(self) -> tuple[str, Node | str | None]:
        if self.asked is None:
            return self.pool.kind, None
        held = self.held[self.asked]
        below = self.pool[self.asked]._label() if isinstance(held, Activation) else held
        return f"{self.pool.kind}[{self.pool.name(self.asked)}]", below


class _Steps:
    """Makes one item of those of the members; of a part those of some steps."""

    def __init__(self, mux: ZipMux, side: _Side, part: tuple[int, int]) -> None:
        self.mux, self.side, self.part = mux, side, part

    def at_epoch(self, epoch: int) -> _Steps:
        return self

    def start(self, items: Iterator[Any], number: int) -> Iterator[Any]:
        index, count = self.part
        steps = self._steps()
        # Where some have been made, the last was one of this part.
        return steps if count == 1 else islice(steps, count - 1 if number else index, None, count)

    def _steps(self) -> Iterator[Any]:
        while step := self._step():
            yield step.pop()  # a name would hold it while this waits

    def _step(self) -> list[Any]:
        """The next item in a list, which is empty at the end."""
        side, cycle = self.side, self.mux.mode == "cycle"
        members = range(len(side.held))
        items: list[Any] = []
        for index in members:
            side.asked = index
            item = next(side.open(index).items, _ENDED)
            if item is _ENDED:
                # A member has ended once if its activation is not its first, or is its first and ends now.
                others = all(side.held[other].number for other in members if other != index)
                if not cycle or others or not side.held[index].given():
                    return []
                side.again(index)
                item = next(side.open(index).items, _ENDED)
                if item is _ENDED:
                    return []
            items.append(item)
        side.asked = None
        return [_merged_items(items) if self.mux.flatten else tuple(items)]


class _ZipNode(StatelessNode):
    """Steps over the members."""

    kind = "zip"
    below: _Side

    def __init__(self, mux: ZipMux, below: _Side, key: Key, part: tuple[int, int]) -> None:
        super().__init__(mux._label(), below, _Steps(mux, below, part), key.clock, checked=False)

    def children(self) -> Iterable[tuple[Any, Node]]:
        return self.below.children()

    def here(self) -> tuple[str, Node | str | None]:
        return self.below.here()


_ENDED = object()


def _merged_items(items: list[Any]) -> Any:
    dicts = [item for item in items if isinstance(item, dict)]
    if not dicts:
        return tuple([part for item in items for part in (item if isinstance(item, tuple) else (item,))])
    if len(dicts) < len(items):
        shown = ", ".join(short(item) for item in items)
        raise DataError(f"dicts and other items cannot be merged, got {shown}; flatten=False keeps them apart")
    out: dict[Any, Any] = {}
    for item in items:
        for key in item:
            if key in out:
                raise DataError(f"the key {key!r} is in the items of two members; flatten=False keeps them apart")
        out.update(item)
    return out
