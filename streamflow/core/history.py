"""History: how a state can be some items back, for a trainer that has drawn items that it has not trained on yet.

A tree cannot be run backwards.  Therefore the state of the pass is kept now and then, as a *checkpoint*: with a tick of
the pass's clock, before an item.  The state at a place some items back is the newest checkpoint that is not after that
place, and how many items are to be drawn from there.

Only a dozen checkpoints are kept: the newest that is as old as a state can be asked for, and after it ever more of them
the younger they are.
"""

from __future__ import annotations

import pickle
from contextlib import suppress
from time import perf_counter
from typing import Any, NamedTuple

from ..exceptions import StateError
from . import checkpoint
from .passes import Passes

__all__ = ["MOST", "Checkpoint", "History", "worth_keeping"]

MOST = 64  #: how many items back a state can be
_LONGEST = 128  #: items between two looks at the clock, at most


class Checkpoint(NamedTuple):
    """The state of a pass that is kept."""

    at: int  #: `Passes.count` there
    state: bytes  #: pickled, which is an eighth of its size as objects, and nothing for the collector to walk through


class History:
    """The checkpoints of a pass, from where it stands now.

    Parameters
    ----------
    passes : Passes
        Handed over at each call, so that nothing here leads back to the tree.
    """

    __slots__ = ("_interval", "_kept", "_looked", "_seen")

    def __init__(self, passes: Passes) -> None:
        self._kept: list[Checkpoint] = []
        self._keep(passes)
        self._looked, self._interval = perf_counter(), 1
        self._seen = passes.clock.tick

    def look(self, passes: Passes) -> int:
        """Between two items: keep a checkpoint if one is due; returns before how many items to look again."""
        before, self._looked = self._looked, perf_counter()
        # Twice as many items, as long as they take less than a tenth of the time between two ticks.
        quick = self._looked - before < checkpoint.BETWEEN / 10
        self._interval = min(2 * self._interval, _LONGEST) if quick else 1
        tick = passes.clock.now()
        if tick != self._seen:
            self._seen = tick
            self._keep(passes)
        return self._interval

    def _keep(self, passes: Passes) -> None:
        began = perf_counter()
        with suppress(Exception):  # nobody asked for this state; asking for one will raise it
            newest = Checkpoint(passes.count(), pickle.dumps(passes.state(failed=False), 5))
            self._kept = worth_keeping([*self._kept, newest])
        passes.clock.charge(perf_counter() - began)

    def back(self, count: int, behind: int) -> tuple[dict[str, Any], int]:
        """The state `behind` items before a place.

        Parameters
        ----------
        count : int
            `Passes.count` at the place.
        behind : int

        Returns
        -------
        state : dict
            That of a checkpoint.
        draw : int
            How many items to draw from there.

        Raises
        ------
        StateError
            If that is before the first checkpoint.
        """
        for at, state in reversed(self._kept):
            if at <= count - behind:
                return pickle.loads(state), count - behind - at
        reach = count - self._kept[0].at if self._kept else 0
        raise StateError(
            f"there is no state {behind} items back: this stream can go back {reach} items, to where it was opened or "
            "to the state that was loaded"
        )


def worth_keeping(kept: list[Checkpoint]) -> list[Checkpoint]:
    """Drop the checkpoints that no state can need, and those that save next to nothing.

    One that is dropped between two others leaves a gap that is at most as long as the younger of these is old.  So a
    state n items back draws fewer than n items because of it.

    >>> kept = []
    >>> for count in range(1000):
    ...     kept = worth_keeping([*kept, Checkpoint(count, b"")])
    >>> [kept[-1].at - one.at for one in kept]  # how old they are
    [81, 54, 27, 18, 9, 6, 3, 2, 1, 0]
    """
    newest = kept[-1].at
    old = [number for number, one in enumerate(kept) if one.at <= newest - MOST]
    few: list[Checkpoint] = []
    for one in kept[old[-1] if old else 0 :]:
        while len(few) > 1 and one.at - few[-2].at <= newest - one.at:
            few.pop()
        few.append(one)
    return few
