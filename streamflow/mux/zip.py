"""ZipMux: one item from each member at each step, merged."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from ..core.call import Shards, merged
from ..core.label import short
from ..core.map import DerivedNode
from ..core.node import Node, Turn, close_all, restore_turn, turn_state
from ..exceptions import DataError
from ..seeding import Key
from .base import BaseMux
from .pool import Pool, checked_mode

__all__ = ["ZipMux"]

MODES = ("shortest", "cycle")


class ZipMux(BaseMux):
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

    Raises
    ------
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

    def __init__(self, streamers: Any, mode: str = "shortest", flatten: bool = True) -> None:
        super().__init__(streamers)
        checked_mode("mode", mode, MODES)
        self.mode, self.flatten = mode, bool(flatten)

    def _settings(self, before: str = "") -> str:
        return f"{before}{self.mode}{', flat' if self.flatten else ''}"

    def _draws(self) -> bool:
        return False

    def _node(self, key: Key, shards: Shards) -> Node:
        return _ZipNode(self, _Side(self._pool, key), merged(shards))


class _Side(Node):
    """The members of a ZipMux, side by side, as one node below it."""

    def __init__(self, pool: Pool, key: Key) -> None:
        self.pool, self.key = pool, key
        self.turns: list[Turn | Node] = [Turn(index, 0) for index in range(len(pool))]
        self.asked: int | None = None  # the member that is being asked
        self.items = iter(())

    def open(self, index: int) -> Node:
        """The node of a member; opened if it is not."""
        turn = self.turns[index]
        if isinstance(turn, Turn):
            turn = self.turns[index] = self._open(turn)
        return turn

    def again(self, index: int) -> None:
        """Close a member that has ended; it starts again when it is opened."""
        turn = self.turns[index]
        turn.close()
        self.turns[index] = Turn(index, turn.number + 1)

    def _open(self, turn: Turn) -> Node:
        node = self.pool[turn.index]._activate(self.key, turn.number, turn.index, ())
        node.index, node.number, node.budget = turn.index, turn.number, None
        return node

    def given(self, failed: bool = False) -> int:
        return 0

    def state(self, failed: bool = False) -> Any:
        return [turn_state(turn, False) for turn in self.turns]

    def restore(self, state: Any, given: int, verify: bool) -> None:
        for index, saved in enumerate(state):
            self.turns[index] = restore_turn(saved, self._open, verify, self.pool.name)

    def where(self) -> list[str]:
        if self.asked is None:
            return [self.pool.kind]
        turn = self.turns[self.asked]
        inside = turn.where() if isinstance(turn, Node) else [self.pool[self.asked]._label()]
        return [f"{self.pool.kind}[{self.pool.name(self.asked)}]", *inside]

    def close(self) -> None:
        close_all(list(self.turns))


class _ZipNode(DerivedNode):
    """Steps over the members."""

    below: _Side

    def __init__(self, mux: ZipMux, below: _Side, stride: tuple[int, int]) -> None:
        self._mux = mux
        super().__init__(mux, below, stride)

    def _run(self) -> Generator[Any, None, None]:
        while step := self._step():
            yield step.pop()  # a name would hold it while this waits

    def _step(self) -> list[Any]:
        """The next item in a list, which is empty at the end."""
        side, cycle = self.below, self._mux.mode == "cycle"
        members = range(len(side.turns))
        items: list[Any] = []
        for index in members:
            side.asked = index
            item = next(side.open(index).items, _ENDED)
            if item is _ENDED:
                # A member has ended once if its turn is not its first, or is its first and ends now.
                others = all(side.turns[other].number for other in members if other != index)
                if not cycle or others or not side.turns[index].given():
                    return []
                side.again(index)
                item = next(side.open(index).items, _ENDED)
                if item is _ENDED:
                    return []
            items.append(item)
        side.asked = None
        return [_merged_items(items) if self._mux.flatten else tuple(items)]

    def where(self) -> list[str]:
        return self.below.where()


_ENDED = object()


def _merged_items(items: list[Any]) -> Any:
    dicts = [item for item in items if isinstance(item, dict)]
    if not dicts:
        return tuple([part for item in items for part in (item if isinstance(item, tuple) else (item,))])
    if len(dicts) < len(items):
        told = ", ".join(short(item) for item in items)
        raise DataError(f"dicts and other items cannot be merged, got {told}; flatten=False keeps them apart")
    out: dict[Any, Any] = {}
    for item in items:
        for key in item:
            if key in out:
                raise DataError(f"the key {key!r} is in the items of two members; flatten=False keeps them apart")
        out.update(item)
    return out
