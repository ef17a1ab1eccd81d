"""The consumer's side: a background stream as a node of a tree.  Knows `core`, `records` and `sending`, but no process.

Where the stream stands is the last mark that came, and how many items came after it; so a state needs no request, and
is there even when the worker hangs or has died.  The state lists one entry for each lane, of which there is one.
"""

from __future__ import annotations

import contextlib
import multiprocessing.util
import os
from collections.abc import Callable, Generator
from typing import Any, NoReturn, Protocol

from ..core.node import Node, skip
from ..exceptions import BackgroundError, StateError, WorkerDied
from .records import END, ERROR, ITEM, MARK, READY, Record
from .sending import Job
from .signals import later_interrupts
from .wire import unpickled

__all__ = ["BackgroundNode", "Handle", "InPlaceNode"]


class Handle(Protocol):
    """What runs a job, as seen from here."""

    def take(self) -> Record | None:
        """The next record, or None when the worker has died."""

    def death(self) -> str:
        """How it died, in words."""

    def stop(self) -> None:
        """Ask it to stop."""

    def join(self, timeout: float | None) -> None:
        """Make it stop within `timeout` seconds."""


class Lane:
    """Where a lane stands: its last mark, and how many items came after it."""

    __slots__ = ("ended", "given", "mark", "since")

    def __init__(self, given: int = 0, mark: Any = None, since: int = 0, ended: bool = False) -> None:
        self.given, self.mark, self.since, self.ended = given, mark, since, ended

    def state(self) -> list[Any]:
        """For JSON."""
        return [self.given, self.mark, self.since, self.ended]


def _lane(state: Any) -> Lane:
    """The lane of a state."""
    lanes = state["lanes"]
    if len(lanes) != 1:
        raise StateError(f"the state is of {len(lanes)} lanes, this background stream has one")
    return Lane(*lanes[0])


class BackgroundNode(Node):
    """A stream that is made by a worker, which starts with the first item, or when a state is loaded.

    Parameters
    ----------
    words : str
        What it is called in errors.
    job : Job
        What the worker shall do, from the start.
    start : function from a Job to a Handle
    timeout : float or None
        Seconds that closing may take.
    """

    def __init__(self, words: str, job: Job, start: Callable[[Job], Handle], timeout: float | None) -> None:
        self._words, self._job, self._launch, self._timeout = words, job, start, timeout
        self._lane = Lane()
        self._handle: Handle | None = None
        self._no_state: StateError | None = None
        self._path: list[str] = [job.tree._words()]
        self._begin()

    def _begin(self) -> None:
        self._made = self._run()
        self.items = self._made

    # ------------------------------------------------------------------ items
    def _run(self) -> Generator[Any, None, None]:
        lane = self._lane
        if lane.ended:
            return
        try:
            if self._handle is None:
                self._start(verify=False)
            while True:
                record = self._next()
                if record[0] == ITEM:
                    lane.since += 1
                    yield record.pop()  # a name would hold the item while this waits
                elif record[0] == END:
                    lane.ended = True
                    return
        finally:
            self._stop()

    def _start(self, *, verify: bool) -> None:
        lane, job = self._lane, self._job
        _ = job.key.root.entropy  # drawn here if anywhere: a worker is sent it
        job = job._replace(given=lane.given, state=lane.mark, skip=lane.since, verify=verify)
        with later_interrupts():  # a worker that is started is also kept, or nobody would end it
            self._pid = os.getpid()
            handle = self._handle = self._launch(job)
            # Before Python waits for its child processes at the end, whoever may still hold this stream.
            self._at_exit = multiprocessing.util.Finalize(
                None, _finish, args=(handle, self._timeout, self._pid), exitpriority=100
            )

    def _next(self) -> Record:
        """The next record that is not told here."""
        assert self._handle is not None
        while True:
            record = self._handle.take()
            if record is None:
                raise WorkerDied(f"{self._handle.death()}, after {self.given()} items")
            if record[0] == MARK:
                self._marked(record[1])
            elif record[0] == ERROR:
                self._raise(*record[1])
            else:
                return record

    def _marked(self, mark: Any) -> None:
        if isinstance(mark, StateError):
            self._no_state = mark
            return
        lane = self._lane
        (lane.given, lane.mark), lane.since = mark, 0

    def _raise(self, parts: list[Any], said: str, text: str, path: list[str]) -> NoReturn:
        self._path = path or self._path
        try:
            error = unpickled(parts)
        except Exception:  # noqa: BLE001  (it could be read there, but not here)
            error = BackgroundError(f"in a worker {said}")
        error.add_note(f"in {self._handle}:\n{text.rstrip()}")
        raise error

    # ------------------------------------------------------------------ node
    def given(self, failed: bool = False) -> int:
        return self._lane.given + self._lane.since

    def state(self, failed: bool = False) -> Any:
        if self._no_state is not None:
            raise StateError(*self._no_state.args)
        return {"turn": 0, "lanes": [self._lane.state()]}

    def restore(self, state: Any, given: int, verify: bool) -> None:
        if state is None:
            return
        self._made.close()
        self._lane = _lane(state)
        self._begin()
        if not self._lane.ended:
            self._start(verify=verify)
            while self._next()[0] != READY:  # what is wrong with the state shall be told now
                pass

    def where(self) -> list[str]:
        return [self._words, *self._path]

    def close(self) -> None:
        self._stop()
        with contextlib.suppress(ValueError):  # it is running: the caller is further up
            self._made.close()
        self.items = iter(())

    def _stop(self) -> None:
        handle, self._handle = self._handle, None
        if handle is not None:
            self._at_exit.cancel()
            _finish(handle, self._timeout, self._pid)


def _finish(handle: Handle, timeout: float | None, pid: int) -> None:
    """Stop a worker, in the process that started it (a forked copy of a live stream has no worker of its own)."""
    if os.getpid() == pid:
        handle.stop()
        handle.join(timeout)


class InPlaceNode(Node):
    """The same stream made in this process, where there can be no worker; the states are the same too."""

    def __init__(self, words: str, below: Node) -> None:
        self._words, self._below = words, below
        self._ended: int | None = None
        self.items = below.items

    def given(self, failed: bool = False) -> int:
        return self._below.given(failed) if self._ended is None else self._ended

    def state(self, failed: bool = False) -> Any:
        if self._ended is not None:
            return {"turn": 0, "lanes": [Lane(self._ended, None, 0, ended=True).state()]}
        return {"turn": 0, "lanes": [Lane(self._below.given(failed), self._below.state(failed)).state()]}

    def restore(self, state: Any, given: int, verify: bool) -> None:
        if state is None:
            return
        lane = _lane(state)
        if lane.ended:
            self._ended, self.items = lane.given + lane.since, iter(())
            return
        if lane.mark is not None:
            self._below.restore(lane.mark, lane.given, verify)
        self.items = self._below.items
        if skip(self.items, lane.since) < lane.since:
            raise StateError(f"the stream had given {given} items and has fewer now")

    def where(self) -> list[str]:
        return [self._words, *self._below.where()]

    def close(self) -> None:
        self._below.close()
