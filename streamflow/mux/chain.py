"""ChainMux: one member after the other."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import suppress
from itertools import chain
from typing import Any

from ..core import Streamer
from ..core.call import OneShot, Shards, merged
from ..core.exact import function_text
from ..core.label import name_of
from ..core.node import NUMBERS, Activation, Node
from ..core.saved import Saved
from ..core.validate import choice, require
from ..exceptions import ParameterError, StateError
from ..seeding import Key
from .activation import Members, activation_state, check_dealt_alike, restore_activation
from .base import PoolMux
from .pool import Pool, dealt, turned

__all__ = ["ChainMux"]

MODES = ("exhaustive", "cycle")


class ChainMux(PoolMux):
    """The items of the first member, then those of the next, and so on; one member is open at a time.

    Parameters
    ----------
    streamers : sequence or mapping of Streamers, callable, or generator
        The members.  A function that returns an iterator of streamers is called in each pass and may be endless; a
        generator object can be iterated only once.  What is not a Streamer is wrapped in one.
    mode : {'exhaustive', 'cycle'}
        ``cycle`` starts again at the end, until a pass over the members gives nothing.
    random_state : None, int, SeedSequence, Generator or RandomState
        A seed for the members; the order is as given.

    Raises
    ------
    ParameterError
        If `mode` is not one of these, or if `streamers` is not a collection of at least one, a function or an iterator.

    Notes
    -----
    Sharding: ``exhaustive`` deals its members out (or shards each, if there are fewer than parts; those of a function
    are always dealt out); ``cycle`` shards each member, and the parts change places from round to round, so that each
    comes to every item.

    Examples
    --------
    >>> "".join(ChainMux(["abc", "d", "ef"]))
    'abcdef'
    >>> "".join(ChainMux(lambda: iter(["abc", "d"]), mode="cycle")(max_iter=6))
    'abcdab'
    """

    def __init__(self, streamers: Any, mode: str = "exhaustive", random_state: Any = None) -> None:
        self._describe(random_state)
        self.mode = choice("mode", mode, MODES)
        self._lazy: Callable[[], Iterator[Any]] | OneShot | None = None
        if isinstance(streamers, Iterator):
            self._lazy = OneShot(streamers)
        elif callable(streamers):
            self._lazy = streamers
        self._pool = Pool(() if self._lazy is not None else streamers, type(self).__name__)
        some = self._lazy is not None or len(self._pool)
        require(some, "streamers", "a collection of at least one streamer", streamers)

    @property
    def n_streams(self) -> int:
        """How many members there are; of a function's members the number is not known."""
        if self._lazy is not None:
            raise ParameterError("the members of this ChainMux come from a function; their number is not known")
        return len(self._pool)

    def __repr__(self) -> str:
        members = f"{len(self._pool)} streamers" if self._lazy is None else name_of(self._lazy)
        return f"{type(self).__name__}({members}, {self.mode})"

    def _settings(self, before: str = "") -> str:
        return f"{before}{self.mode}" + ("" if self._lazy is None else f", {function_text(self._lazy, deep=False)}")

    def _draws(self) -> bool:
        return False

    def _may_draw(self) -> bool:
        return self._lazy is not None  # its members

    def _handed(self, shards: Shards) -> Shards:
        return dealt(len(self._pool), shards)[3] if self.mode == "exhaustive" else shards

    def _length(self, shards: Shards) -> int | None:
        if self._lazy is not None or self.mode != "exhaustive":
            return None
        return self._pool.dealt_total(shards)

    def _held(self) -> Iterable[Any]:
        return super()._held() if self._lazy is None else (self._lazy,)

    def _refuse_shards(self, shards: Shards) -> None:
        if isinstance(self._lazy, OneShot):
            raise self._lazy.no_shards()

    def _node(self, key: Key, shards: Shards) -> Node:
        return _ChainNode(self, key, shards)


class _ChainNode(Node):
    """One slot for the members by position; the number of an activation is that of the round over the members."""

    kind = "chain"

    def __init__(self, mux: ChainMux, key: Key, shards: Shards) -> None:
        self._mux, self.key, self._shards_given = mux, key, shards
        self._cycle = mux.mode == "cycle"
        size = None if mux._lazy is not None else len(mux._pool)
        self._first, self._step = 0, 1
        if not self._cycle:
            self._first, self._step, _, shards = dealt(size, shards)
        self.shards = shards
        self._before = 0  # items of the members that have ended
        self._before_round = 0  # items of the rounds that have ended
        self._quiet, self._n_parts = 0, merged(shards)[1]  # rounds in a row that gave nothing
        self._members: Iterator[Any] = iter(())
        self._reached = 0  # how many of `_members` have been read in this round
        self._member: Streamer | None = None
        self._held: Activation | Node | None = None
        self._begun = False
        self._made = self._activations()
        self.items = chain.from_iterable(self._made)

    def _activations(self) -> Generator[Iterator[Any], None, None]:
        if not self._begun:
            self._begun = True
            self._held = self._at(self._first, 0)
        while (held := self._held) is not None:
            if isinstance(held, Activation):
                held = self._held = self._open_member(held)
            yield held.items
            held.close()
            self._before += held.given()
            self._held = self._following(held)

    def _at(self, position: int, number: int) -> Activation | None:
        """The activation of a member, None past the end; a function's members come in order and are not kept."""
        lazy = self._mux._lazy
        if lazy is None:
            if position >= len(self._mux._pool):
                return None
            self._member = self._mux._pool[position]
            return Activation(position, number)
        if position < self._reached or not self._reached:
            self._members = iter(lazy if isinstance(lazy, OneShot) else lazy())
            self._reached = 0
        while self._reached <= position:
            try:
                member = next(self._members)
            except StopIteration:
                return None
            self._reached += 1
        self._member = member if isinstance(member, Streamer) else Streamer(member)
        return Activation(position, number)

    def _following(self, ended: Node) -> Activation | None:
        following = self._at(ended.index + self._step, ended.number)
        if following is None and self._cycle:
            self._quiet = 0 if self._before > self._before_round else self._quiet + 1
            if self._quiet < self._n_parts:
                self._before_round, self._reached = self._before, 0
                following = self._at(self._first, ended.number + 1)
        return following

    def _open_member(self, held: Activation) -> Node:
        assert self._member is not None
        return self._member._activate(self.key, held.index, held.number, None, turned(self.shards, held.number))

    def given(self, failed: bool = False) -> int:
        return self._before + (0 if self._held is None else self._held.given(failed))

    def state(self, failed: bool = False) -> dict[str, Any]:
        if isinstance(self._mux._lazy, OneShot):
            why = "its members cannot be resumed"
            raise StateError(self._mux._lazy.refusal(why, "give ChainMux a function that makes it"))
        pool = None if self._mux._lazy is not None else self._mux._pool
        return {
            "kind": self.kind,
            "version": self.version,
            "given": self.given(failed),
            **({} if pool is None else {"pool": pool.census()}),
            "begun": self._begun,
            "before": self._before,
            "before_round": self._before_round,
            "member": None if self._held is None else activation_state(self._held, failed, pool),
        }

    def restore(self, saved: Saved) -> None:
        self._begun, given = saved.flag("begun"), saved.count("given")
        self._before = saved.count("before", most=given)
        self._before_round = saved.count("before_round", most=self._before)
        members = None if self._mux._lazy is not None else Members(self._mux._pool, saved)
        if members is not None and not self._cycle:
            pool = self._mux._pool
            check_dealt_alike(pool.kind, members.before, len(pool), self._shards_given)
        held = saved.below("member")
        if held is not None:
            index = held.count("index") if members is None else members.find(held)
            number = held.count("number", most=NUMBERS - 1 if self._cycle else 0)
            if not self._begun or index % self._step != self._first:
                raise held.wrong("index", "that of a member of this part, and `begun` true")
            if self._at(index, number) is None:
                raise StateError(f"member {index} no longer exists")
            self._held = restore_activation(held, index, self._open_member, self._name(index), None)
        elif members is not None and members.grown and self._begun:  # it had ended: the added ones follow
            later = range(self._first, len(self._mux._pool), self._step)
            self._held = self._at(next((at for at in later if at >= members.before), len(self._mux._pool)), 0)
        if not self._begun and given:
            raise saved.wrong("begun", "true")
        if given != self.given():
            raise saved.wrong("given", f"the items of its members ({self.given()})")

    def _name(self, index: int) -> Any:
        return index if self._mux._lazy is not None else self._mux._pool.name(index)

    def children(self) -> Iterable[tuple[Any, Node]]:
        held = self._held
        if held is not None and not isinstance(held, Activation):
            yield self._name(held.index), held

    def here(self) -> tuple[str, Node | str | None]:
        label, held = self._mux._label(), self._held
        if held is None:
            return label, None
        closed = None if self._member is None else self._member._label()
        return f"{label}[{self._name(held.index)}]", closed if isinstance(held, Activation) else held

    def close(self) -> None:
        with suppress(ValueError):  # it is running: the caller is further up
            self._made.close()
        super().close()
        close = getattr(self._members, "close", None)
        if close is not None:
            close()
