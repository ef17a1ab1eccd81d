"""The consumer's handle on a worker process.  Knows `records`, `sending` and `worker`, but no channel.

Stopping is polite first: a message, after 0.1 s SIGTERM (raised inside the user's code), and SIGKILL before the time
is over.  A death is noticed by looking for the process whenever 50 ms have brought nothing.
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

from ..core.signals import blocked, later
from ..exceptions import BackgroundError
from .records import Door, Inbox, Record
from .stacks import Stacks
from .task import Inherited, Job, Pickled
from .worker import TERMINATED, Start, in_worker, main

__all__ = ["Process", "default_method", "runs_in_place"]

#: Seconds after which a worker that was asked to stop is told to.
_POLITE = 0.1


def default_method() -> str:
    """How workers are started if nothing is said."""
    return "fork" if sys.platform == "linux" else "spawn"


class Process:
    """A running worker.

    Parameters
    ----------
    job : Job
    door : Door
        Where it comes in; it is closed with the worker.
    method : {'fork', 'forkserver', 'spawn'}
    limit : int
        Bytes that it may send ahead.
    item_timeout : float or None
        Seconds without a record after which `take` raises `Quiet`.
    """

    def __init__(self, job: Job, door: Door, method: str, limit: int, item_timeout: float | None) -> None:
        self._method, self._door = method, door
        self._inbox: Inbox | None = None
        self._stacks: Stacks | None = None
        self._process: Any = None
        self._pid: int | None = None
        self._stopped = 0.0  # when it was asked to stop
        try:
            if item_timeout is not None and Stacks.possible():
                self._stacks = Stacks()
            start = Start(
                door.invitation,
                limit,
                os.getpid(),
                method != "forkserver",
                threading.current_thread() is threading.main_thread(),
                self._stacks,
                Inherited(job) if method == "fork" else Pickled(job),
            )
            context: Any = mp.get_context(method)
            # Known before it is started: a Ctrl-C that comes meanwhile is raised as soon as it has been.
            self._process = context.Process(target=main, args=(start,), name="streamflow-worker", daemon=False)
            with _quiet_start():
                self._process.start()
            self._pid = self._process.pid
            self._inbox = door.open(limit, self.alive, item_timeout)
            #: The next record, or None when the worker has died and all that it had sent is read.
            self.take: Callable[[], Record | None] = self._inbox.take
        except BaseException as error:
            self.stop()
            self.interrupt(0.0)
            self.join(0.0)
            if isinstance(error, OSError):
                raise BackgroundError(f"a worker could not be started ({method}): {error}") from error
            raise

    def alive(self) -> bool:
        """Whether it still runs (also right where somebody else waits for our children)."""
        if self._process is None or not self._process.is_alive():
            return False
        if self._pid is not None and sys.platform != "win32":
            try:
                os.kill(self._pid, 0)
            except ProcessLookupError:
                return False
        return True

    def death(self) -> str:
        """How it ended, in words."""
        self._gone(0.0, 1.0)
        code = self._process.exitcode
        if code is None:
            how = "has ended"
        elif code == TERMINATED:
            how = "was ended by SIGTERM"
        elif code < 0:
            name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
            how = f"was ended by {name}" + (" (by whom? perhaps for want of memory)" if name == "SIGKILL" else "")
        else:
            how = f"ended with exit code {code}"
        if self._inbox is not None and not self._inbox.connected and self._method != "fork":
            how += (
                f" before it had begun; with start_method={self._method!r} the main script is run once more in the "
                'worker, so what it starts must stand below `if __name__ == "__main__":`'
            )
        return f"{self} {how}"

    def __str__(self) -> str:
        return f"worker process {self._pid}"

    def stack(self) -> str:
        """Where it is, if it can be asked."""
        if self._stacks is None or self._pid is None or not self.alive():
            return ""
        return self._stacks.ask(self._pid)

    def want(self, epoch: int) -> None:
        """Ask it for another epoch, when it has ended one."""
        if self._inbox is not None:
            self._inbox.want(epoch)

    def stop(self) -> None:
        """Ask it to stop; returns at once."""
        self._stopped = time.monotonic()
        if self._inbox is not None:
            self._inbox.stop()

    def interrupt(self, timeout: float | None) -> None:
        """Interrupt user code, if a moment after `stop` it has not ended."""
        if self._runs() and not self._gone(_POLITE if timeout is None else min(_POLITE, timeout / 10)):
            self._process.terminate()

    def join(self, timeout: float | None) -> None:
        """Wait for its end; kill it before `timeout` seconds after `stop` are over (None: never).

        May be called again.
        """
        if self._runs() and not self._gone(None if timeout is None else 0.8 * timeout):
            self._process.kill()
            self._gone(timeout, 1.0)
        if self._process is not None:
            with contextlib.suppress(ValueError):  # one that not even the kernel can end
                self._process.close()
            self._process = None
        self.take = _nothing  # the inbox knows us, and we know it: let both go at once
        self._door.close()
        inbox, self._inbox = self._inbox, None
        if inbox is not None:
            inbox.close()
        if self._stacks is not None:
            self._stacks.close()

    def _runs(self) -> bool:
        """Whether there may be a process to end."""
        return self._process is not None and self._process.pid is not None

    def _gone(self, seconds: float | None, more: float = 0.0) -> bool:
        """Whether it has ended, so many seconds after it was asked to at the latest.

        By looking: a process that it has started may hold its pipe open.
        """
        until = None if seconds is None else max(self._stopped + seconds, time.monotonic() + more)
        pause = 0.0005
        while self.alive():
            if until is not None and time.monotonic() >= until:
                return False
            time.sleep(pause)
            pause = min(2 * pause, 0.01)
        self._process.join(0.5)  # to learn its exit code
        return True


def _nothing() -> None:
    return None


@contextlib.contextmanager
def _quiet_start() -> Iterator[None]:
    """A worker is born deaf to Ctrl-C, until it can ignore it.

    Python warns of forking beside threads, since a lock that another thread holds stays locked in the child; a worker
    takes none of ours, and what the threads of ZMQ hold it never touches.
    """
    with later(signal.SIGINT), blocked(signal.SIGINT), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*use of fork", category=DeprecationWarning)
        yield


def runs_in_place() -> bool:
    """Whether this process starts no workers: it is one, or it is daemonic (which may have no children)."""
    return in_worker() or bool(mp.current_process().daemon)
