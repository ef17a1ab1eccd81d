"""Leaf: the live node of a leaf function or an iterable.

When a state is loaded, a leaf is replayed: its items are drawn again and dropped.  One whose function has a parameter
``start``, or that has its own state (``state_dict`` and ``load_state_dict``), is resumed without that.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from itertools import compress, islice, repeat
from types import GeneratorType
from typing import Any, ClassVar
from weakref import WeakSet

from ..exceptions import StateError
from ..seeding import LEAF, Key, generator
from .binding import Bindable, bound
from .call import Call, OneShot, Shards, iterated, merged, resumes, unfilled
from .equal import difference
from .exact import call_text
from .fingerprint import differing
from .label import name_of, short
from .node import MANY, Node, Ticks, close_all, skip_told
from .saved import Loading, Saved
from .watch import warn_once

__all__ = ["Leaf"]

_CHECKED = 2  #: items of a leaf that are compared when a state is loaded
_ADVICE = " (a parameter `start` would let it begin there)"


class Leaf(Node):
    """A live leaf; `made` is what its function has returned, where that is known already."""

    __slots__ = ("_drawn", "_given", "_opened", "_source", "_stride", "_text", "call", "items", "key", "shards")
    kind: ClassVar[str] = "leaf"

    def __init__(self, call: Call, key: Key, shards: Shards, made: Any = None) -> None:
        self.call, self.key, self.shards = call, key, shards
        self._opened: WeakSet[Any] | None = None
        self._drawn: Ticks | None = None
        self._text = ""  # of the call, for states: long arguments take long to write
        if made is None:
            made = self._start(0)
        else:
            self._source, self._stride = made, (0, 1)
        # The counter is `Ticks` written out: one object less for each activation.
        self._given = repeat(True, MANY)
        self.items = compress(made, self._given)

    def _start(self, done: int) -> Iterator[Any]:
        """Make the call; `_source` is what it gave, the result is this part of it."""
        opened: WeakSet[Any] = WeakSet()
        self._opened = opened
        self._source, self._stride = start(self.call, self.key, self.shards, done, opened)
        return self._strided(done * self._stride[1], done)  # a function that `resumes` has skipped those

    def _strided(self, drawn: int, given: int) -> Iterator[Any]:
        """This part of what the call gives, where `drawn` items have been taken of it and `given` of the part."""
        index, count = self._stride
        if count == 1:
            whole: Iterator[Any] = self._source
            return whole
        self._drawn = Ticks(self._source, drawn)
        return islice(self._drawn.items, index + count * given - drawn, None, count)

    def given(self, failed: bool = False) -> int:
        return MANY - self._given.__length_hint__()

    def state(self, failed: bool = False) -> dict[str, Any] | None:
        if isinstance(self.call.source, OneShot):
            raise self.call.source.no_state()
        given = MANY - self._given.__length_hint__()
        if not given:
            return None
        call, source = self.call, self._source
        self._text = self._text or call_text(call.source, call.args, call.kwargs)
        state = {
            "kind": self.kind,
            "version": 1,
            "given": given,
            "call": self._text,
        }
        if source.__class__ is not GeneratorType and _has_state(source):
            state["drawn"] = given if self._drawn is None else self._drawn.given()
            state["source"] = _copied(source.state_dict(), call._label())
        return state

    def restore(self, saved: Saved) -> None:
        given, was, call = saved.count("given"), saved.text("call"), self.call
        now = call_text(call.source, call.args, call.kwargs)
        if was != now:
            raise StateError("was {}, is now {}".format(*differing(was, now)))
        if "source" in saved:
            self._load(saved.value("source"), now)
            items = self._strided(saved.count("drawn", least=given), given)
        elif resumes(self.call.source, self.call.args, self.call.kwargs):
            self.close()
            items = self._start(given)
        else:
            items = self.items
            self._replay(items, given, saved.loading)
        self._given = repeat(True, MANY - given)
        self.items = compress(items, self._given)

    def _load(self, state: Any, label: str) -> None:
        """Give an iterator its own state, which nobody else can judge."""
        if not _has_state(self._source):
            raise StateError(f"{label} had a state of its own, and has none now")
        try:
            self._source.load_state_dict(_copied(state, label))
        except Exception as error:
            raise StateError(f"{label} does not take its own state {short(state)}: it raised {error!r}") from error

    def _replay(self, items: Iterator[Any], given: int, loading: Loading) -> None:
        """Draw again what had been given, and compare its first items with those of another opening."""
        checked = min(given, _CHECKED) if loading.verify else 0
        loading.watch.begin()
        head: list[Any] = []
        if checked:
            twin = Leaf(self.call, self.key, self.shards)
            head = list(islice(twin.items, checked))
            twin.close()
        again = list(islice(items, checked))
        differs = difference(head, again, loading.ignore)
        short = len(again) < checked or skip_told(items, given - checked, self.call._label, _ADVICE) < given - checked
        name = name_of(self.call.source)
        if loading.watch.drew(name, suspect=differs is not None):
            warn_once(name, self.call._label())
        elif differs is not None:
            raise StateError(
                f"{self.call._label()} gives other items when it is opened again"
                f"{differs and f' (they differ in {differs})'}; to be resumable a leaf must depend on nothing but its "
                "arguments and `rng` (verify=False skips this check"
                f"{differs and ', `ignore` names keys that may differ'})"
            )
        elif short:
            raise StateError(f"{self.call._label()} had given {given} items and now ends earlier")

    def here(self) -> tuple[str, None]:
        return self.call._label(), None

    def close(self) -> None:
        source = self._source
        if source.__class__ is GeneratorType:
            source.close()
        elif callable(self.call.source) and not any(
            source is arg for arg in (*self.call.args, *self.call.kwargs.values())
        ):
            close = getattr(source, "close", None)
            if close is not None:
                close()
        if self._opened:
            close_all(list(self._opened))


def start(
    call: Call, key: Key, shards: Shards, done: int, opened: WeakSet[Any]
) -> tuple[Iterator[Any], tuple[int, int]]:
    """Make a call, or begin an iterable.

    Parameters
    ----------
    call : Call
    key : Key
        Of this activation.
    shards : Shards
        Which part is wanted.
    done : int
        How many items of this part have been delivered before (for a function that `resumes`).
    opened : WeakSet
        Takes up the passes that are opened over Streamers among the arguments.

    Returns
    -------
    iterator
        What the call gave.
    stride : (index, count)
        Which of its items make the part.
    """
    source = call.source
    if not callable(source):
        if isinstance(source, OneShot) and shards:
            raise source.no_shards()
        return iter(source), merged(shards)
    args, kwargs = call.args, dict(sorted(call.kwargs.items()))  # the number of an argument is its place in this order
    last = len(args) + len(kwargs)
    for arg in (*args, *kwargs.values()):
        if isinstance(arg, Bindable):
            kwargs = {name: bound(kwargs[name], key, place, opened) for place, name in enumerate(kwargs, len(args))}
            args = tuple([bound(arg, key, place, opened) for place, arg in enumerate(args)])
            break
    open_ones = unfilled(source, args, kwargs)
    if "shard" in open_ones:
        kwargs["shard"] = shards[0] if shards else (0, 1)
        shards = shards[1:]
    elif source is iter and len(args) > 1:
        shards = ()  # endless calls of a function: each part makes its own
    if "start" in open_ones:
        kwargs["start"] = done * merged(shards)[1]
    if "rng" in open_ones:
        kwargs["rng"] = generator(key, LEAF)
    made = bound(source(*args, **kwargs), key, last, opened)
    return iterated(source, made), merged(shards)


def _has_state(source: Any) -> bool:
    """Whether an iterator keeps a state of its own."""
    return hasattr(source, "state_dict") and hasattr(source, "load_state_dict")


def _copied(state: Any, label: str) -> Any:
    """A copy of a leaf's own state: the leaf may go on changing the object that it gave, or that it was given."""
    try:
        return pickle.loads(pickle.dumps(state, 5))
    except Exception as error:
        raise StateError(f"the state of {label} cannot be copied: {error!r}") from error
