"""Workers inside this process: a thread, or the thread that asks for items.  Knows `produce`, but not `pool`.

`ThreadWorker` hands items over as they are, through queues written in C: records go one way, and for each item taken
one token comes back, which is room for another item.  A signal handler or finaliser never finds a lock of theirs held.

`InlineWorker` runs in place, where no worker may be started: in one of our workers, or in a daemonic process.
"""

from __future__ import annotations

import queue
import sys
import threading
import traceback
from collections.abc import Callable

from ..exceptions import BackgroundError
from .produce import RunningJob, produce
from .records import ERROR, ITEM, Failure, Record, Stopped, as_exception, no_record
from .seeds import draw_entropy
from .task import Job

__all__ = ["InlineWorker", "ThreadChannel", "ThreadWorker"]

#: Seconds between two checks that the thread is alive (in a forked copy of the process it is not).
_LOOK = 1.0
#: Seconds that closing waits after Ctrl-C.
_CTRL_C_TIMEOUT = 0.1


class InlineWorker:
    """A `Worker` that runs in the calling thread, whenever it is asked for a record.

    Parameters
    ----------
    job : Job
    """

    def __init__(self, job: Job) -> None:
        self._running = RunningJob(job)
        self._records = self._running.records()

    def receive(self) -> Record | None:
        try:
            return next(self._records)
        except Exception as error:  # noqa: BLE001  (the receiver raises it)
            return [ERROR, Failure(error, self._running.where())]

    def death(self) -> str:
        raise NotImplementedError  # it cannot die

    def stack(self) -> str:
        """Empty: its caller is in the same stack."""
        return ""

    def request_epoch(self, epoch: int) -> None:
        self._records = self._running.next_epoch(epoch)

    def stop(self) -> None:
        """No-op."""

    def interrupt(self, timeout: float | None) -> None:
        """No-op."""

    def join(self, timeout: float | None) -> None:
        """Close the lanes."""
        self._running.close()


class ThreadChannel:
    """The queues between a thread and its consumer; the thread uses it as its `records.Sender`.

    Parameters
    ----------
    buffer : int
        How many items the thread may be ahead, at least 1, counting the one that it is making.
    """

    def __init__(self, buffer: int) -> None:
        self.records: queue.SimpleQueue[Record | None] = queue.SimpleQueue()
        self.room: queue.SimpleQueue[None] = queue.SimpleQueue()
        self.epochs: queue.SimpleQueue[int] = queue.SimpleQueue()
        self.stopped = False
        self.failure: BaseException | None = None  #: raised when the tree was closed
        for _ in range(buffer - 1):
            self.room.put(None)

    def send_item(self, record: Record) -> None:
        self.records.put([ITEM, record.pop()])
        self.room.get()
        if self.stopped:
            raise Stopped

    def send(self, kind: int, value: object) -> None:
        if isinstance(value, Failure):
            value = Failure(as_exception(value.error, "in a thread"), value.path)
        self.records.put([kind, value])

    def wait_for_epoch(self) -> int:
        epoch = self.epochs.get()
        if self.stopped:
            raise Stopped
        return epoch

    def stop(self) -> None:
        """In the consumer: make the thread raise `Stopped` where it waits now or next."""
        self.stopped = True
        self.room.put(None)
        self.epochs.put(0)

    def close(self) -> None:
        """In the consumer: wake up whatever thread still waits for a record; it receives None."""
        self.records.put(None)


class ThreadWorker:
    """A `Worker` that is a thread of this process.

    Parameters
    ----------
    job : Job
    buffer : int
        As for `ThreadChannel`.

    Raises
    ------
    BackgroundError
        If the system cannot start another thread.
    """

    def __init__(self, job: Job, buffer: int) -> None:
        if job.tree.fingerprint().needs_entropy:
            draw_entropy(job)
        self._channel = channel = ThreadChannel(buffer)
        # A daemon, so that user code that never returns cannot keep the program running; `node` stops it at exit.
        self._thread = threading.Thread(target=_run, args=(job, channel), daemon=True, name="streamflow-thread")
        try:
            self._thread.start()
        except RuntimeError as error:
            raise BackgroundError(f"a thread could not be started: {error}") from error
        #: Waits for the next record; None when the thread has ended.
        self.receive: Callable[[], Record | None] = _receiving(channel, self._thread)

    def death(self) -> str:
        return f"{self} is gone"

    def __str__(self) -> str:
        return f"thread {self._thread.name} ({self._thread.native_id})"

    def stack(self) -> str:
        frame = sys._current_frames().get(self._thread.ident or 0)
        return "".join(traceback.format_stack(frame)) if frame is not None else ""

    def request_epoch(self, epoch: int) -> None:
        self._channel.epochs.put(epoch)

    def stop(self) -> None:
        self._channel.stop()

    def interrupt(self, timeout: float | None) -> None:
        """No-op: a thread cannot be interrupted."""

    def join(self, timeout: float | None) -> None:
        """Wait until the thread has closed the tree, but no longer than `timeout` seconds (after Ctrl-C 0.1).

        Raises what closing the tree raised.
        """
        if isinstance(sys.exception(), KeyboardInterrupt):
            timeout = _CTRL_C_TIMEOUT if timeout is None else min(timeout, _CTRL_C_TIMEOUT)
        if self._thread is not threading.current_thread():  # a collection in the thread itself may drop the stream
            self._thread.join(timeout)
        self.receive = no_record
        self._channel.close()  # another thread (of a tree around this one, at exit) may be waiting for a record
        failure, self._channel.failure = self._channel.failure, None
        if failure is not None:
            try:
                raise failure
            finally:
                del failure  # its traceback holds this frame


def _run(job: Job, channel: ThreadChannel) -> None:
    """What the thread runs."""
    try:
        produce(lambda: job, channel)
    except Stopped:
        pass
    except BaseException as error:  # noqa: BLE001  (from a `finally` of the tree; `join` raises it)
        channel.failure = as_exception(error, "in a thread")


def _receiving(channel: ThreadChannel, thread: threading.Thread) -> Callable[[], Record | None]:
    """`ThreadWorker.receive`."""
    get, make_room = channel.records.get, channel.room.put

    def receive() -> Record | None:
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

    return receive
