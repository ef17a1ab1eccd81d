"""The workers that run the lanes of a background stream.  Knows `records` and `task`, but no kind of worker.

`node` uses it; each kind of worker (`process`, `local`) is a `Worker`.
"""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn, Protocol

from ..exceptions import StateError, WorkerDied
from .records import Record
from .task import Job

__all__ = ["Lane", "Worker", "WorkerElsewhere", "WorkerPool", "WorkerSlot", "stop_workers", "warn_of_idle"]


class Worker(Protocol):
    """A running job, as the consumer sees it.  Its `str` is its name in errors: "worker process 123"."""

    @property
    def receive(self) -> Callable[[], Record | None]:
        """A function that waits for the next record and returns it, or None if the worker has died.

        The function may raise `ItemTimeout`.
        """

    def death(self) -> str:
        """How the worker died, as a sentence without a full stop."""

    def stack(self) -> str:
        """The Python stack of the worker; empty if it is not available."""

    def request_epoch(self, epoch: int) -> None:
        """Ask for another epoch after the end of one; does not wait."""

    def stop(self) -> None:
        """Ask the worker to stop; does not wait."""

    def interrupt(self, timeout: float | None) -> None:
        """Interrupt user code if the worker has not ended shortly after `stop`; `timeout` is that of `join`."""

    def join(self, timeout: float | None) -> None:
        """Wait for its end, and enforce it within `timeout` seconds of `stop` (None: never).  May be called again."""


class WorkerPool(NamedTuple):
    """How many workers run a tree, and how they are started, replaced and stopped."""

    #: Starts a worker, given its job and the number of workers.
    start: Callable[[Job, int], Worker]
    n_workers: int = 1
    #: How many lanes the stream is divided into; None: one for each worker, or as many as a loaded state has.
    n_lanes: int | None = None
    #: Whether a worker that died is replaced.
    restart: bool = False
    #: Seconds that closing may take; None: no limit.
    timeout: float | None = 5
    #: Seconds, for the error when a worker raises `ItemTimeout`; the limit itself is for `start` to set.
    item_timeout: float | None = None


class Lane:
    """The position of a lane.

    Parameters
    ----------
    number : int
        Of the lane, among all lanes of the stream.
    mark : state or None
        The state of the lane at its last mark; None at the start.
    since : int
        Items delivered after that mark.
    ended : bool
        Whether the end of the lane has been received.
    """

    __slots__ = ("at_mark", "ended", "mark", "number", "since", "slot")
    slot: WorkerSlot

    def __init__(self, number: int, mark: Any = None, since: int = 0, ended: bool = False) -> None:
        self.number, self.since, self.ended = number, since, ended
        self.begin_at(mark)

    def begin_at(self, mark: Any) -> None:
        """Take up a mark."""
        self.mark = mark
        self.at_mark = 0 if mark is None else mark["given"]  #: items of this epoch before the mark


class WorkerSlot:
    """Some lanes, and the worker that runs them now."""

    __slots__ = ("at_death", "deaths", "lanes", "no_state", "worker")

    def __init__(self) -> None:
        self.worker: Worker | None = None

    def assign(self, lanes: list[Lane]) -> None:
        """Begin with these lanes."""
        self.lanes = lanes
        self.no_state: StateError | None = None  #: why no marks can be taken
        self.deaths, self.at_death = 0, -1  #: deaths in a row, and the progress at the last one
        for lane in lanes:
            lane.slot = self

    def progress(self) -> int:
        """How many items and ends have been delivered."""
        return sum(lane.at_mark + lane.since + lane.ended for lane in self.lanes)


def stop_workers(slots: list[WorkerSlot], timeout: float | None, pid: int) -> None:
    """Stop all workers; no-op in any process but `pid`, which started them (not in a forked copy of the stream)."""
    if os.getpid() != pid:
        return
    workers = []
    for slot in slots:
        if slot.worker is not None:
            workers.append(slot.worker)
            slot.worker = None
    failed: Exception | None = None
    try:
        for worker in workers:
            worker.stop()
        for worker in workers:
            worker.interrupt(timeout)
        for worker in workers:
            try:
                worker.join(timeout)
            except Exception as error:  # noqa: BLE001  (raised below, when all have ended)
                failed = failed or error
    except BaseException:  # a second Ctrl-C: stop waiting
        for worker in workers:
            with contextlib.suppress(Exception):
                worker.join(0.0)
        raise
    if failed is not None:
        try:
            raise failed
        finally:
            failed = None  # its traceback holds this frame


def warn_of_idle(n_workers: int, n_lanes: int) -> None:
    """Warn that there are fewer lanes than workers."""
    warnings.warn(
        f"{n_workers} workers for {n_lanes} lanes: {n_workers - n_lanes} of them are not started", stacklevel=3
    )


class WorkerElsewhere:
    """Stands in for a worker in a forked process: the worker itself belongs to the process that started it.

    Parameters
    ----------
    worker : Worker or None
        Kept alive, so that no finaliser of it runs in this process.
    """

    def __init__(self, worker: Worker | None) -> None:
        self._worker = worker

    def receive(self) -> NoReturn:
        raise WorkerDied(
            "this stream was opened before the process was forked, and its workers belong to the other process; open "
            "a new stream here"
        )

    def death(self) -> str:
        return "the worker belongs to another process"

    def stack(self) -> str:
        return ""

    def request_epoch(self, epoch: int) -> None:
        """No-op."""

    def stop(self) -> None:
        """No-op."""

    def interrupt(self, timeout: float | None) -> None:
        """No-op."""

    def join(self, timeout: float | None) -> None:
        """No-op."""
