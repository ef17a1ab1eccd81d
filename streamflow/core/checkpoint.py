"""When checkpoints are made: the clock of a live tree.

A checkpoint is a state that is kept while items flow, so that less has to be drawn again later: a map notes the state
of the stream below it, and a worker writes the states of its lanes among the items (a *mark*).  Both follow one clock,
which counts *ticks*.  With each tick everybody makes one checkpoint, as soon as possible: a map at its next window, a
worker behind its next item.  What these cost decides when the next tick is due, so that all of them together take at
most a fiftieth of the time, however many maps there are.

The pass that opens a tree owns the clock, in a worker the job.  It reaches the nodes below by their `Key`.  Threads may
share one: at worst a tick comes somewhat early.

This file imports nothing of ours.
"""

from __future__ import annotations

from time import perf_counter
from typing import Any

__all__ = ["BETWEEN", "SHARE", "Clock"]

#: Least number of seconds between two ticks; also before the first.
BETWEEN = 0.02
#: Checkpoints take at most 1 / SHARE of the time.
SHARE = 50


class Clock:
    """Says when checkpoints are due.

    Examples
    --------
    >>> clock = Clock()
    >>> clock.now() == clock.tick == 0, clock.due > perf_counter()
    (True, True)
    """

    __slots__ = ("_began", "_spent", "due", "tick")

    def __init__(self) -> None:
        self.tick = 0  #: how many ticks there have been
        self._begin(perf_counter())

    def _begin(self, moment: float) -> None:
        self._began, self._spent = moment, 0.0
        self.due = moment + BETWEEN  #: when the next tick will be, in seconds as of `perf_counter`

    def now(self) -> int:
        """How many ticks there have been, including one that is due."""
        moment = perf_counter()
        if moment >= self.due:
            self.tick += 1
            self._begin(moment)
        return self.tick

    def charge(self, seconds: float) -> None:
        """A checkpoint has taken so long: the next tick comes so much later that it was a small part of the time."""
        self._spent += seconds
        self.due = self._began + max(BETWEEN, SHARE * self._spent)

    def __reduce__(self) -> Any:
        return Clock, ()  # times mean nothing in another process
