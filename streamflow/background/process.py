"""A worker that is a process, as the consumer sees it.  Knows `records`, `task` and `worker`, but no channel.

A worker is stopped in three steps: a message, SIGTERM after 0.1 s (raised inside user code), and SIGKILL before the
timeout is over.  To notice a death, the receiver checks the process after every 50 ms without a record.
"""

from __future__ import annotations

import contextlib
import multiprocessing as mp
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from ..core.signals import blocked, deferred
from ..exceptions import BackgroundError
from .records import Channel, Receiver, Record, no_record
from .seeds import draw_entropy
from .stacks import StackDump
from .task import InheritedJob, Job, PickledJob
from .worker import TERMINATED, Start, in_worker, main

__all__ = ["ProcessWorker", "default_method", "runs_in_place"]

#: Seconds after `stop` at which a worker that still runs is sent SIGTERM.
_POLITE = 0.1


def default_method() -> str:
    """The start method for `start_method=None`."""
    return "fork" if sys.platform == "linux" else "spawn"


def runs_in_place() -> bool:
    """Whether this process must not start workers: it is one itself, or is daemonic (and so may have no children)."""
    return in_worker() or bool(mp.current_process().daemon)


class ProcessWorker:
    """A `Worker` that is a process.

    Parameters
    ----------
    job : Job
    channel : Channel
        How the worker connects; closed with it.
    method : {'fork', 'forkserver', 'spawn'}
        How the process is started.
    limit : int
        Bytes that the worker may be ahead.
    item_timeout : float or None
        Seconds without a record after which `receive` raises `ItemTimeout`; None: it waits as long as the worker lives.

    Raises
    ------
    BackgroundError
        If the process cannot be started, or the job cannot be sent to it.
    """

    def __init__(self, job: Job, channel: Channel, method: str, limit: int, item_timeout: float | None) -> None:
        self._method, self._channel = method, channel
        self._receiver: Receiver | None = None
        self._stack: StackDump | None = None
        self._process: Any = None
        self._pid: int | None = None
        self._stopped = 0.0  # when it was asked to stop
        try:
            draw_entropy(job)
            if item_timeout is not None and StackDump.supported():
                self._stack = StackDump()
            start = Start(
                channel.worker_end,
                limit,
                os.getpid(),
                method != "forkserver",
                threading.current_thread() is threading.main_thread(),
                self._stack,
                InheritedJob(job) if method == "fork" else PickledJob(job),
            )
            context: Any = mp.get_context(method)
            # Assigned before it is started, so that a Ctrl-C, raised right after the start, finds it here to be ended.
            self._process = context.Process(target=main, args=(start,), name="streamflow-worker", daemon=False)
            with _undisturbed(method):
                self._process.start()
            self._pid = self._process.pid
            self._receiver = channel.open(limit, self.alive, item_timeout)
            #: Waits for the next record; None when the worker has died and all that it sent has been received.
            self.receive: Callable[[], Record | None] = self._receiver.receive
        except BaseException as error:
            self.stop()
            self.interrupt(0.0)
            self.join(0.0)
            if isinstance(error, OSError):
                raise BackgroundError(f"a worker could not be started ({method}): {error}") from error
            raise

    def alive(self) -> bool:
        """Whether it still runs; right even where other code has waited for our child process."""
        if self._process is None or not self._process.is_alive():
            return False
        if self._pid is not None and sys.platform != "win32":
            try:
                os.kill(self._pid, 0)
            except ProcessLookupError:
                return False
        return True

    def death(self) -> str:
        self._has_ended(0.0, 1.0)
        how = _ending(self._process.exitcode)
        if self._receiver is not None and not self._receiver.connected and self._method != "fork":
            how += (
                f" before it had started; with start_method={self._method!r} the main script is run again in each "
                'worker, so code that opens a stream must be under `if __name__ == "__main__":`'
            )
        return f"{self} {how}"

    def __str__(self) -> str:
        return f"worker process {self._pid}"

    def stack(self) -> str:
        if self._stack is None or self._pid is None or not self.alive():
            return ""
        return self._stack.request(self._pid)

    def request_epoch(self, epoch: int) -> None:
        if self._receiver is not None:
            self._receiver.request_epoch(epoch)

    def stop(self) -> None:
        self._stopped = time.monotonic()
        if self._receiver is not None:
            self._receiver.request_stop()

    def interrupt(self, timeout: float | None) -> None:
        if self._was_started() and not self._has_ended(_POLITE if timeout is None else min(_POLITE, timeout / 10)):
            self._process.terminate()

    def join(self, timeout: float | None) -> None:
        """Wait for its end; kill it before `timeout` seconds after `stop` are over (None: never)."""
        if self._was_started() and not self._has_ended(None if timeout is None else 0.8 * timeout):
            self._process.kill()
            self._has_ended(timeout, 1.0)
        if self._process is not None:
            with contextlib.suppress(ValueError):  # it still runs: not even SIGKILL could end it
                self._process.close()
            self._process = None
        self.receive = no_record  # the receiver refers to us, and we to it: drop both at once
        self._channel.close()
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            receiver.close()
        if self._stack is not None:
            self._stack.close()

    def _was_started(self) -> bool:
        return self._process is not None and self._process.pid is not None

    def _has_ended(self, seconds: float | None, at_least: float = 0.0) -> bool:
        """Wait for its end until `seconds` after `stop`, or `at_least` seconds from now if that is later.

        Returns whether it has ended.  By polling, because a process that the worker has started may hold open the pipe
        that `Process.join` waits for.
        """
        until = None if seconds is None else max(self._stopped + seconds, time.monotonic() + at_least)
        pause = 0.0005
        while self.alive():
            if until is not None and time.monotonic() >= until:
                return False
            time.sleep(pause)
            pause = min(2 * pause, 0.01)
        self._process.join(0.5)  # to learn its exit code
        return True


def _ending(code: int | None) -> str:
    """How a process ended, by its exit code."""
    if code is None:
        return "has ended"
    if code == TERMINATED:
        return "was terminated by SIGTERM"
    if code >= 0:
        return f"ended with exit code {code}"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    return f"was killed by {name}" + (" (possibly the out-of-memory killer)" if name == "SIGKILL" else "")


@contextlib.contextmanager
def _undisturbed(method: str) -> Iterator[None]:
    """Start a worker with Ctrl-C blocked, until it can ignore it.

    A fork has the consumer's handler of SIGTERM until it sets its own, and would print with a traceback what that
    raises: so it begins with SIGTERM blocked too.  (A fork server would hand this on to processes that are not ours.)

    Python warns about forking beside threads, since a lock that another thread holds stays locked in the child; a
    worker takes no lock of ours, and never touches what the threads of ZMQ hold.
    """
    with contextlib.ExitStack() as stack:
        for kept_off in (deferred, blocked):
            for number in (signal.SIGINT, signal.SIGTERM) if method == "fork" else (signal.SIGINT,):
                stack.enter_context(kept_off(number))
        stack.enter_context(warnings.catch_warnings())
        warnings.filterwarnings("ignore", message=".*use of fork", category=DeprecationWarning)
        yield
