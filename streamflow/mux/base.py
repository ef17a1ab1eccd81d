"""PoolMux: what the descriptions of all muxes have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core import Streamer, StreamerList
from ..core.call import Shards
from ..core.fingerprint import Fingerprint
from ..core.node import Node
from ..core.validate import require
from ..seeding import Key
from .pool import Pool

__all__ = ["PoolMux"]


class PoolMux(Streamer, ABC):
    """A stream over a pool of members.

    Parameters
    ----------
    streamers : sequence or mapping of Streamers
        The members; what is not a Streamer is wrapped in one.  The keys of a mapping name them.
    random_state : None, int, SeedSequence, Generator or RandomState
        The seed of this mux; None: its randomness follows from its parent's.
    """

    #: The weights, summing to 1; None where all are equal.
    _weights: NDArray[np.float64] | None = None

    def __init__(self, streamers: Any, random_state: Any = None) -> None:
        self._describe(random_state)
        self._pool = Pool(streamers, type(self).__name__)
        require(len(self._pool), "streamers", "a collection of at least one streamer", streamers)

    @property
    def n_streams(self) -> int:
        """How many members there are."""
        return len(self._pool)

    @property
    def streamers(self) -> Sequence[Streamer]:
        """The members."""
        return self._pool.members

    def children(self) -> Iterable[tuple[Any, Streamer]]:
        """The members, each with its key or index; those of a `StreamerList` are built one by one."""
        for index, member in enumerate(self._pool.members):
            yield self._pool.name(index), member

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.n_streams} streamers{self._settings(', ')})"

    # ------------------------------------------------------------------ what a kind of mux says
    @abstractmethod
    def _node(self, key: Key, shards: Shards) -> Node: ...

    @abstractmethod
    def _settings(self, before: str = "") -> str:
        """The parameters that make two muxes differ, for `repr` and for states."""

    def _draws(self) -> bool:
        """Whether the mux itself draws random numbers."""
        return True

    def _may_draw(self) -> bool:
        """Whether something may draw that cannot be seen from here."""
        return False

    # ------------------------------------------------------------------ hooks of a Streamer
    def fingerprint(self) -> Fingerprint:
        found = self.__dict__.get("_known_fingerprint")
        if found is None:
            found = self._pool.fingerprint(self._settings(), self._weights)
            random = self._draws() or self._may_draw()
            found = self.__dict__["_known_fingerprint"] = self._marked(found.then(found.text, random=random))
        return found

    def _identity(self) -> str:
        return self._marked(Fingerprint(f"{type(self).__name__}({self._settings()})")).text

    def _twin(self, own: Any) -> Any:
        twin = super()._twin(own)
        twin.__dict__.pop("_known_fingerprint", None)
        return twin

    def _draws_itself(self, seeded: bool) -> bool:
        return not seeded and self._draws()

    def _handed(self, shards: Shards) -> Shards:
        """What the members of a part are sharded by."""
        return shards

    def _divided_draw(self, shards: Shards) -> str | None:
        handed = self._handed(shards)
        if handed:
            return self._pool.must_agree(handed)
        if "_known_agreement" not in self.__dict__:  # a pool may be large, and is looked through in each pass
            self.__dict__["_known_agreement"] = self._pool.must_agree(())
        found: str | None = self.__dict__["_known_agreement"]
        return found

    def _label(self) -> str:
        return type(self).__name__

    def _typical_children(self) -> Iterable[tuple[Any, Streamer]]:
        members = self._pool.members
        if isinstance(members, StreamerList):
            return [(0, members[0])] if len(members) else []
        return self.children()

    def _held(self) -> Iterable[Any]:
        members = self._pool.members
        return members._sequences if isinstance(members, StreamerList) else ()

    def _inside(self) -> None:
        """None: a mux divides itself, in its own way."""
        return

    def _refuse_shards(self, shards: Shards) -> None:
        """Any mux can be sharded; a member that cannot be raises when it is opened."""
