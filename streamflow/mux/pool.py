"""The members of a mux: a sequence of Streamers, their names and their weights."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core import Streamer, StreamerList
from ..core.call import Shards
from ..core.fingerprint import Fingerprint, digest_of, joined
from ..core.label import short
from ..core.validate import require
from ..exceptions import ParameterError

__all__ = ["Pool", "checked_mode", "checked_weights", "dealt"]


class Pool:
    """Members by index; what is not a Streamer has been wrapped in one."""

    __slots__ = ("kind", "members", "names")

    def __init__(self, streamers: Any, kind: str) -> None:
        self.kind = kind
        self.names: tuple[Any, ...] | None = None
        if isinstance(streamers, Mapping):
            self.names, streamers = tuple(streamers), streamers.values()
        self.members: Sequence[Streamer] = _members(streamers)

    def __len__(self) -> int:
        return len(self.members)

    def __getitem__(self, index: int) -> Streamer:
        return self.members[index]

    def name(self, index: int) -> Any:
        """What a member is called in errors: its key in the mapping, or its index."""
        return index if self.names is None else self.names[index]

    def shape(self, settings: str, weights: NDArray[np.float64] | None) -> Fingerprint:
        """The shape of the mux."""
        if isinstance(self.members, StreamerList):
            below = self.members.fingerprint()
        else:
            below = joined(_shapes(self.members))
        text = below.text if len(below.text) <= 2000 else f"{below.text[:1900]}... {digest_of([below.text])}"
        if self.names is not None:
            settings = f"{settings and settings + ', '}named {digest_of(map(str, self.names))}"
        told = "" if weights is None else digest_of([weights.tobytes()])
        return below.then(f"{self.kind}({settings and settings + ': '}{text})", told)


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


def _shapes(members: Iterable[Streamer]) -> Iterator[Fingerprint]:
    """The shape of each; neighbours of one function and no arguments that matter share theirs."""
    last, shape = None, Fingerprint("", "", False)
    for member in members:
        plain = (
            type(member) is Streamer and member._overrides is None and callable(member.source) and not member._is_map()
        )
        if plain and last is not None and member.source is last.source and not _holds_streamers(member):
            yield shape
            continue
        shape = member.fingerprint()
        last = member if plain and not _holds_streamers(member) else None
        yield shape


def _holds_streamers(member: Streamer) -> bool:
    return member._kwargs is not None or any(isinstance(arg, Streamer) for arg in member.args)


def checked_mode(name: str, value: Any, allowed: tuple[str, ...]) -> None:
    """Raise unless a word is one of those allowed."""
    require(isinstance(value, str) and value in allowed, name, f"one of {', '.join(map(repr, allowed))}", value)


def checked_weights(weights: Any, pool: Pool) -> NDArray[np.float64] | None:
    """A private copy of the weights, summing to 1; None if all are equal.

    Parameters
    ----------
    weights : None, (n_streams,) numbers, or a mapping from the members' names
    pool : Pool
    """
    if weights is None:
        return None
    rule = f"{len(pool)} numbers, one for each streamer"
    if isinstance(weights, Mapping):
        names = range(len(pool)) if pool.names is None else pool.names
        require(set(weights) == set(names), "weights", "a mapping with the keys of `streamers`", list(weights))
        weights = [weights[name] for name in names]
    try:
        array = np.array(weights, float)
    except (TypeError, ValueError):
        raise ParameterError(f"`weights` must be {rule}, got {short(weights)}") from None
    require(array.shape == (len(pool),), "weights", rule, weights)
    require(np.isfinite(array).all() and (array >= 0).all(), "weights", "finite and not negative", weights)
    require(array.any(), "weights", "more than zeros", weights)
    if (array == array[0]).all():
        return None
    array /= array.max()  # so that the sum is finite
    array /= array.sum()
    array.flags.writeable = False
    return array


def dealt(size: int | None, shards: Shards) -> tuple[int, int, int | None, Shards]:
    """Which positions of an order belong to a part of a part.

    At each level the positions are dealt out, unless there are fewer than parts: then each member is sharded.  With
    `size` None (nobody knows how many there are) they are always dealt.

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
