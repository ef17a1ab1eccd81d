"""A worker that is a thread of this process: its items are handed over as they are.  Knows `produce`.

Two queues written in C: records one way, and for each item that is taken one token back, which is the room for another.
Neither has a lock that a signal handler or a finaliser could find held.
"""

from __future__ import annotations

import queue
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any

from ..exceptions import BackgroundError
from .failure import harmless
from .produce import frozen, produce
from .records import ERROR, ITEM, MARK, Failure, Record, Stopped
from .task import Job

__all__ = ["Thread"]

#: Seconds between two looks whether the thread that is waited for still lives (in a forked copy it does not).
_LOOK = 1.0
#: Seconds that closing waits when it is Ctrl-C that closes.
_HURRY = 0.1


class Belt:
    """What the thread puts its records on (a `records.Sink`).

    Parameters
    ----------
    buffer : int
        How many items may lie on it.
    """

    def __init__(self, buffer: int) -> None:
        self.records: queue.SimpleQueue[Record | None] = queue.SimpleQueue()
        self.room: queue.SimpleQueue[None] = queue.SimpleQueue()
        self.epochs: queue.SimpleQueue[int] = queue.SimpleQueue()
        self.stopped = False
        self.failure: BaseException | None = None  #: what closing the tree raised
        for _ in range(buffer - 1):
            self.room.put(None)

    def item(self, record: Record) -> None:
        self.records.put([ITEM, record.pop()])
        self.room.get()
        if self.stopped:
            raise Stopped

    def put(self, kind: int, value: Any) -> None:
        if kind == MARK:
            value = frozen(value)
        elif kind == ERROR:
            value = Failure(harmless(value.error, "in a thread"), value.path)
        self.records.put([kind, value])

    def wait(self) -> int:
        epoch = self.epochs.get()
        if self.stopped:
            raise Stopped
        return epoch

    def stop(self) -> None:
        """Say that no more is wanted, wherever the thread is."""
        self.stopped = True
        self.room.put(None)
        self.epochs.put(0)

    def close(self) -> None:
        """Say that nothing comes any more."""
        self.records.put(None)


class Thread:
    """A running thread (a `crew.Handle`).

    Parameters
    ----------
    job : Job
    buffer : int
        How many items it may be ahead.
    """

    def __init__(self, job: Job, buffer: int) -> None:
        self._belt = belt = Belt(buffer)
        # Daemonic, and so nobody waits for user code that does not end; `live` stops it before the interpreter does.
        self._thread = threading.Thread(target=_run, args=(job, belt), daemon=True, name="streamflow-thread")
        try:
            self._thread.start()
        except RuntimeError as error:
            raise BackgroundError(f"a thread could not be started: {error}") from error
        #: The next record, or None when the thread is gone.
        self.take: Callable[[], Record | None] = _taking(belt, self._thread)

    def death(self) -> str:
        """How it ended, in words."""
        return f"{self} is gone"

    def __str__(self) -> str:
        return f"thread {self._thread.name} ({self._thread.native_id})"

    def stack(self) -> str:
        """Where it is."""
        frame = sys._current_frames().get(self._thread.ident or 0)
        return "".join(traceback.format_stack(frame)) if frame is not None else ""

    def want(self, epoch: int) -> None:
        """Ask it for another epoch, when it has ended one."""
        self._belt.epochs.put(epoch)

    def stop(self) -> None:
        """Ask it to stop; returns at once."""
        self._belt.stop()

    def interrupt(self, timeout: float | None) -> None:
        """Nothing can interrupt a thread."""

    def join(self, timeout: float | None) -> None:
        """Wait until it has closed the tree; leave it to that after `timeout` seconds.  May be called again.

        Raises what closing the tree raised.
        """
        if isinstance(sys.exception(), KeyboardInterrupt):
            timeout = _HURRY if timeout is None else min(timeout, _HURRY)
        if self._thread is not threading.current_thread():  # a collection in the thread itself may drop the stream
            self._thread.join(timeout)
        self.take = _nothing
        self._belt.close()  # another thread may wait there (of a tree around this one, when the interpreter ends)
        failure, self._belt.failure = self._belt.failure, None
        if failure is not None:
            try:
                raise failure
            finally:
                del failure  # its traceback holds this frame


def _run(job: Job, belt: Belt) -> None:
    """The thread, from its first line to its last."""
    try:
        produce(lambda: job, belt, _ignored, _nothing)
    except Stopped:
        pass
    except BaseException as error:  # noqa: BLE001  (of the tree's `finally`; it is raised where the stream is closed)
        belt.failure = harmless(error, "in a thread")


def _taking(belt: Belt, thread: threading.Thread) -> Callable[[], Record | None]:
    """The function that takes the next record."""
    get, make_room = belt.records.get, belt.room.put

    def take() -> Record | None:
        while True:
            try:
                record = get(True, _LOOK)
            except queue.Empty:
                if thread.is_alive():
                    continue
                return None
            if record is not None and record[0] == ITEM:
                make_room(None)
            return record

    return take


def _ignored(job: Job) -> None:
    """Threads share global random states with everybody: there is nothing to seed."""


def _nothing() -> None:
    return None
