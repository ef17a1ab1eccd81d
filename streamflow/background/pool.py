"""Who runs the lanes of a background stream.  Knows `records` and `sending`, but no process; `live` uses it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn, Protocol

from ..exceptions import StateError, WorkerDied
from .records import Record
from .task import Job

__all__ = ["Crew", "Elsewhere", "Handle", "Lane", "Place", "finish"]


class Handle(Protocol):
    """What runs a job, as seen from here."""

    @property
    def take(self) -> Callable[[], Record | None]:
        """Gives the next record, or None when the worker has died; may raise `Quiet`."""

    def death(self) -> str:
        """How it died, in words."""

    def stack(self) -> str:
        """Where it is, if it can be asked."""

    def want(self, epoch: int) -> None:
        """Ask it for another epoch, when it has ended one."""

    def stop(self) -> None:
        """Ask it to stop."""

    def interrupt(self, timeout: float | None) -> None:
        """Interrupt user code, if a moment after `stop` it has not ended."""

    def join(self, timeout: float | None) -> None:
        """Make it end within `timeout` seconds."""


class Crew(NamedTuple):
    """How a job is run."""

    start: Callable[[Job, int], Handle]  #: from a job and the number of workers to one that runs it
    n_workers: int = 1
    n_lanes: int | None = None  #: None: as many as workers, or as a state says
    restart: bool = False  #: whether a worker that has died is replaced
    timeout: float | None = 5  #: seconds that closing may take
    item_timeout: float | None = None  #: for error texts


class Lane:
    """Where a lane stands: its last mark, and how many items came after it."""

    __slots__ = ("at_mark", "ended", "mark", "number", "place", "since")
    place: Place

    def __init__(self, number: int, at_mark: int = 0, mark: Any = None, since: int = 0, ended: bool = False) -> None:
        self.number, self.at_mark, self.mark, self.since, self.ended = number, at_mark, mark, since, ended


class Place:
    """A worker's place: its lanes, and who runs them now."""

    __slots__ = ("at_death", "deaths", "handle", "lanes", "no_state")

    def __init__(self) -> None:
        self.handle: Handle | None = None

    def take_on(self, lanes: list[Lane]) -> None:
        """Begin with lanes."""
        self.lanes = lanes
        self.no_state: StateError | None = None  #: why there are no marks
        self.deaths, self.at_death = 0, -1  #: in a row, and what had come by then
        for lane in lanes:
            lane.place = self

    def progress(self) -> int:
        """How many items and ends have come."""
        return sum(lane.at_mark + lane.since + lane.ended for lane in self.lanes)


def finish(places: list[Place], timeout: float | None, pid: int) -> None:
    """Stop workers, in the process that started them (a forked copy of a live stream has none of its own)."""
    if os.getpid() != pid:
        return
    handles = []
    for place in places:
        if place.handle is not None:
            handles.append(place.handle)
            place.handle = None
    failed: Exception | None = None
    try:
        for handle in handles:
            handle.stop()
        for handle in handles:
            handle.interrupt(timeout)
        for handle in handles:
            try:
                handle.join(timeout)
            except Exception as error:  # noqa: BLE001  (raised below, when all have ended)
                failed = failed or error
    except BaseException:  # Ctrl-C once more: nobody waits any longer
        for handle in handles:
            with contextlib.suppress(Exception):
                handle.join(0.0)
        raise
    if failed is not None:
        try:
            raise failed
        finally:
            failed = None  # its traceback holds this frame


class Elsewhere:
    """In a forked process, in the place of a handle: the workers are those of the process that started them."""

    def __init__(self, handle: Handle | None) -> None:
        self._handle = handle  # kept, so that nothing of it is taken down here

    def take(self) -> NoReturn:
        raise WorkerDied(
            "this stream was opened before the process was forked, and its workers send to the other process; open "
            "another one here"
        )

    def death(self) -> str:
        return "it is not here"

    def stack(self) -> str:
        return ""

    def want(self, epoch: int) -> None:
        """Nobody hears it."""

    def stop(self) -> None:
        """Nobody hears it."""

    def interrupt(self, timeout: float | None) -> None:
        """There is nothing to interrupt."""

    def join(self, timeout: float | None) -> None:
        """There is nothing to wait for."""
