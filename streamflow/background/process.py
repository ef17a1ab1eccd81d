"""The consumer's handle on a worker process.  Knows `channel`, `listener`, `sending` and `worker`; `live` is given one.

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
from collections.abc import Iterator
from typing import Any

from ..exceptions import BackgroundError
from .channel import Receiver
from .listener import Listener
from .records import Record
from .sending import Inherited, Job, Pickled
from .signals import later_interrupts
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
    listener : Listener
        Where it shall connect; it is closed with the worker.
    method : {'fork', 'forkserver', 'spawn'}
    limit : int
        Bytes that it may send ahead.
    """

    def __init__(self, job: Job, listener: Listener, method: str, limit: int) -> None:
        self._method = method
        forked = method == "fork"
        self._receiver: Receiver | None = None
        self._process: Any = None
        self._pid: int | None = None
        try:
            start = Start(
                listener.address,
                limit,
                os.getpid(),
                method != "forkserver",
                threading.current_thread() is threading.main_thread(),
                listener.socket.fileno() if forked else None,
                Inherited(job) if forked else Pickled(job),
            )
            context: Any = mp.get_context(method)
            # Known before it is started: a Ctrl-C that comes meanwhile is raised as soon as it has been.
            self._process = context.Process(target=main, args=(start,), name="streamflow-worker", daemon=False)
            with _quiet_start():
                self._process.start()
            self._pid = self._process.pid
            self._receiver = Receiver(listener, limit, self.alive)
        except BaseException as error:
            listener.close()
            self.stop()
            self.join(0.0)
            if isinstance(error, OSError):
                raise BackgroundError(f"a worker could not be started ({method}): {error}") from error
            raise

    def take(self) -> Record | None:
        """The next record, or None when the worker has died and all that it had sent is read."""
        assert self._receiver is not None
        return self._receiver.take()

    def alive(self) -> bool:
        """Whether it still runs (also right where somebody else waits for our children)."""
        if not self._process.is_alive():
            return False
        if self._pid is not None and sys.platform != "win32":
            try:
                os.kill(self._pid, 0)
            except ProcessLookupError:
                return False
        return True

    def death(self) -> str:
        """How it ended, in words."""
        self._gone(1.0)
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
        if self._receiver is not None and not self._receiver.connected and self._method != "fork":
            how += (
                f" before it had begun; with start_method={self._method!r} the main script is run once more in the "
                'worker, so what it starts must stand below `if __name__ == "__main__":`'
            )
        return f"{self} {how}"

    def __str__(self) -> str:
        return f"worker process {self._pid}"

    def stop(self) -> None:
        """Ask it to stop; returns at once."""
        if self._receiver is not None:
            self._receiver.stop()

    def join(self, timeout: float | None) -> None:
        """Wait, then terminate, then kill, all within `timeout` seconds (None: never kill); may be called again."""
        if self._process is not None:
            if self._process.pid is not None:
                self._end(timeout)
            with contextlib.suppress(ValueError):  # one that not even the kernel can end
                self._process.close()
            self._process = None
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            receiver.close()

    def _end(self, timeout: float | None) -> None:
        if self._gone(_POLITE if timeout is None else min(_POLITE, timeout / 10)):
            return
        self._process.terminate()
        if self._gone(None if timeout is None else 0.8 * timeout):
            return
        self._process.kill()
        self._gone(1.0)

    def _gone(self, seconds: float | None) -> bool:
        """Wait for its end, at most so long, by looking: a process that it has started may hold its pipe open."""
        until = None if seconds is None else time.monotonic() + seconds
        pause = 0.0005
        while self.alive():
            if until is not None and time.monotonic() >= until:
                return False
            time.sleep(pause)
            pause = min(2 * pause, 0.01)
        self._process.join(0.5)  # to learn its exit code
        return True


@contextlib.contextmanager
def _quiet_start() -> Iterator[None]:
    """A worker is born deaf to Ctrl-C, until it can ignore it.

    Python warns of forking beside threads, since a lock that another thread holds stays locked in the child; a worker
    takes none of ours, and what the threads of ZMQ hold it never touches.
    """
    with later_interrupts(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*use of fork", category=DeprecationWarning)
        yield


def runs_in_place() -> bool:
    """Whether this process starts no workers: it is one, or it is daemonic (which may have no children)."""
    return in_worker() or bool(mp.current_process().daemon)
