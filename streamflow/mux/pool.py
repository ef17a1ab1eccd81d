"""The members of a mux: a sequence of Streamers with their names, and how they are dealt out to parts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core import Streamer, StreamerList
from ..core.call import OneShot, Shards
from ..core.exact import bounded, digest, setting
from ..core.fingerprint import Fingerprint, digest_of, joined
from ..core.label import short
from ..exceptions import ParameterError

__all__ = ["Pool", "check_repeatable", "dealt", "turned"]


class Pool:
    """Members by index; what is not a Streamer has been wrapped in one."""

    __slots__ = ("_samples", "kind", "members", "names")

    def __init__(self, streamers: Any, kind: str) -> None:
        self.kind = kind
        self._samples: dict[int, str] = {}
        self.names: tuple[Any, ...] | None = None
        if isinstance(streamers, Mapping):
            self.names, streamers = tuple(streamers), streamers.values()
        self.members: Sequence[Streamer] = _members(streamers)

    def __len__(self) -> int:
        return len(self.members)

    def __getitem__(self, index: int) -> Streamer:
        return self.members[index]

    def name(self, index: int) -> Any:
        """What a member is called: its key in the mapping, or its index."""
        return index if self.names is None else self.names[index]

    def total(self, indexes: Iterable[int], shards: Shards) -> int | None:
        """How many items some members give together, each sharded so; None where that is not known."""
        total = 0
        for index in indexes:
            length = self.members[index]._measured(shards)
            if length is None:
                return None
            total += length
        return total

    def dealt_total(self, shards: Shards) -> int | None:
        """How many items a part gives to which members are `dealt` out; None where that is not known."""
        first, step, _, below = dealt(len(self), shards)
        return self.total(range(first, len(self), step), below)

    def common_length(self, indexes: Iterable[int], shards: Shards) -> int | None:
        """How many items each of some members gives, sharded so; None where they differ, or that is not known."""
        common: int | None = None
        for index in indexes:
            length = self.members[index]._measured(shards)
            if length is None or length != (length if common is None else common):
                return None
            common = length
        return common

    def must_agree(self, shards: Shards) -> str | None:
        """The label of what members, sharded so, divide and draw from a seed above them; None if there is none."""
        members = self.members[:1] if isinstance(self.members, StreamerList) else _different(self.members)
        return next(filter(None, (member._must_agree(shards) for member in members)), None)

    def identity(self, index: int) -> str:
        """What a member is known by."""
        return bounded(self.members[index]._identity(), 200)

    def census(self) -> dict[str, Any]:
        """How many members there are, and a digest of some of them, for a state."""
        return {"members": len(self.members), "sample": self.sample(len(self.members))}

    def sample(self, n: int) -> str:
        """A digest of up to 16 of the first n members, the first and the last among them.

        It differs if one has come in between or has gone, and costs the same for any number of members.
        """
        found = self._samples.get(n)
        if found is None:
            places = sorted({place * (n - 1) // 15 for place in range(16)})
            texts = [f"{setting(self.name(place))}: {self.identity(place)}" for place in places]
            found = self._samples[n] = digest(*texts)
        return found

    def fingerprint(self, settings: str, weights: NDArray[np.float64] | None) -> Fingerprint:
        """The fingerprint of the mux."""
        if isinstance(self.members, StreamerList):
            below = self.members.fingerprint()
        else:
            below = joined(_fingerprints(self.members))
        if self.names is not None:
            settings = f"{settings and settings + ', '}named {digest_of(map(str, self.names))}"
        weighed = "" if weights is None else digest(weights.tobytes())
        return below.then(f"{self.kind}({settings and settings + ': '}{below.text})", weighed)


def _members(streamers: Any) -> Sequence[Streamer]:
    if isinstance(streamers, StreamerList):
        return streamers
    if callable(streamers) and not isinstance(streamers, Streamer):
        raise ParameterError(f"`streamers` must be a collection of streamers, got {short(streamers)}")
    try:
        members = tuple(streamers)
    except TypeError:
        raise ParameterError(f"`streamers` must be a collection of streamers, got {short(streamers)}") from None
    if all(issubclass(kind, Streamer) for kind in set(map(type, members))):
        return members
    return tuple([member if isinstance(member, Streamer) else Streamer(member) for member in members])


def _fingerprints(members: Iterable[Streamer]) -> Iterator[Fingerprint]:
    """The fingerprint of each; neighbours that call one function without Streamers as arguments share theirs."""
    last, shared = None, Fingerprint("", "", False)
    for member in members:
        simple = _is_simple(member)
        if simple and last is not None and member.source is last:
            yield shared
            continue
        shared = member.fingerprint()
        last = member.source if simple else None
        yield shared


def check_repeatable(tree: Streamer) -> None:
    """Refuse one-shot iterators in a tree, where they are to be seen without building members of a `StreamerList`."""
    waiting: list[Any] = [tree]
    while waiting:
        one = waiting.pop()
        for held in one._held():
            if isinstance(held, OneShot):
                raise ParameterError(held.refusal("cannot be opened again, as short='repeat' does"))
        pool = getattr(one, "_pool", None)
        if not isinstance(pool, Pool) or not isinstance(pool.members, StreamerList):
            waiting.extend(child for _, child in one.children())


def _is_simple(member: Streamer) -> bool:
    """Whether it calls a function without Streamers among the arguments, and nothing else is to be said of it."""
    return (
        type(member) is Streamer
        and member._overrides is None
        and member._kwargs is None
        and callable(member.source)
        and not any(isinstance(arg, Streamer) for arg in member.args)
    )


def _different(members: Iterable[Streamer]) -> Iterator[Streamer]:
    """The members, but only the first of neighbours that simply call one function.

    A pool may be large, so what is alike is passed over here, in a quarter of the time of `_is_simple`.
    """
    last: Any = members  # nobody's source
    for member in members:
        if member.__class__ is Streamer and member.source is last and not member._overrides and not member._kwargs:
            for arg in member.args:
                if isinstance(arg, Streamer):
                    break
            else:
                continue
        yield member
        last = member.source if _is_simple(member) else members


def dealt(size: int | None, shards: Shards) -> tuple[int, int, int | None, Shards]:
    """Which positions of an order belong to a part of a part.

    At each level the positions are dealt out, unless there are fewer than parts: then each member is sharded.  With
    `size` None (it is not known how many there are) they are always dealt out.

    Returns
    -------
    first, step : int
        Positions first, first + step, ...
    size : int or None
        How many there are.
    shards : Shards
        What the members are to be sharded by.

    >>> dealt(5, ((1, 2),)), dealt(5, ((1, 2), (0, 3)))
    ((1, 2, 2, ()), (1, 2, 2, ((0, 3),)))
    """
    first, step = 0, 1
    left: Shards = ()
    for index, count in shards:
        if size is not None and size < count:
            left = (*left, (index, count))
        else:
            first, step = first + step * index, step * count
            size = None if size is None else len(range(index, size, count))
    return first, step, size, left


def turned(shards: Shards, steps: int) -> Shards:
    """The part of a part that comes `steps` after one.

    At each step the parts change places, and in as many steps as there are parts each has been in every place.

    >>> [turned(((0, 2), (1, 3)), steps) for steps in range(4)]
    [((0, 2), (1, 3)), ((1, 2), (1, 3)), ((0, 2), (2, 3)), ((1, 2), (2, 3))]
    """
    moved = []
    for index, count in shards:
        steps, step = divmod(steps, count)
        moved.append(((index + step) % count, count))
    return tuple(moved)
