"""What a worker process runs.  Knows `produce`, `seeds`, `stacks` and `task`; `process` starts it.

Of the channels it knows only that sockets on which the consumer listens must be closed in a fork (`zmq.listener`).

It ignores Ctrl-C (the consumer gets it too, and stops the worker); turns SIGTERM into `Stopped`, raised inside user
code so that its ``finally`` blocks run; and ends when its consumer ends, however that happens.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import signal
import sys
import threading
import time
from types import FrameType
from typing import Any, NamedTuple

from .produce import produce
from .records import Stopped, WorkerEnd
from .seeds import seed_global_generators
from .stacks import StackDump
from .task import InheritedJob, PickledJob
from .zmq.listener import close_inherited

__all__ = ["TERMINATED", "Start", "in_worker", "main"]

#: The exit code after SIGTERM, by the convention of shells.
TERMINATED = 128 + signal.SIGTERM
_PR_SET_PDEATHSIG = 1
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
#: Seconds between two checks of the parent, on systems that cannot watch a process.
_LOOK = 0.25

_inside = False


class Start(NamedTuple):
    """All that a worker process is given."""

    worker_end: WorkerEnd
    limit: int
    consumer: int  #: its process id
    is_child: bool  #: whether the consumer is the parent
    from_main: bool  #: whether the consumer's main thread started the worker
    stack: StackDump | None
    job: InheritedJob | PickledJob


def in_worker() -> bool:
    """Whether this process is a worker of ours, or was forked from one."""
    return _inside


def main(start: Start) -> None:
    """Run a worker."""
    global _inside  # noqa: PLW0603
    _inside = True
    gc.freeze()  # objects copied by the fork are for the consumer to close
    if isinstance(start.job, InheritedJob):
        close_inherited()
    if not start.is_child:
        _let_server_end()
    _keep_memory()
    try:
        _keep_quiet_about_stopped()
        _set_signal_handlers()
        _watch(start)
        if start.stack is not None:
            start.stack.register()
        sender = start.worker_end.connect(start.limit, _ignore_sigterm)
        try:
            if start.from_main or not start.is_child:
                _die_with_parent()
            produce(start.job.get, sender, seed_global_generators, _ignore_sigterm)
        finally:
            sender.close()
    except Stopped as stopped:
        if stopped.args:  # by a signal
            sys.exit(TERMINATED)


def _let_server_end() -> None:
    """Close our end of the pipe that keeps the fork server alive: the server must end when the consumer does."""
    from multiprocessing import forkserver

    server: Any = getattr(forkserver, "_forkserver", None)
    alive = getattr(server, "_forkserver_alive_fd", None)
    if alive is not None:
        server._forkserver_alive_fd = None
        os.close(alive)


def _keep_memory() -> None:
    """Let the C library (glibc) reuse the memory of large messages.

    By default it returns all but a few MiB to the system and maps pages anew for the next message, which is a fifth of
    the cost of a message of 4 MiB.  A worker does nothing but send messages, so it may keep its memory.
    """
    if sys.platform == "linux":
        import ctypes

        with contextlib.suppress(AttributeError):  # another C library
            mallopt = ctypes.CDLL(None).mallopt
            mallopt(_M_TRIM_THRESHOLD, 256 << 20)
            mallopt(_M_MMAP_THRESHOLD, 32 << 20)


def _set_signal_handlers() -> None:
    if sys.platform != "win32":
        signal.set_wakeup_fd(-1)  # after a fork it would be that of the consumer's event loop
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _terminated)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})


def _terminated(number: int, frame: FrameType | None) -> None:
    _ignore_sigterm()
    raise Stopped(number)


def _ignore_sigterm() -> None:
    """From here on only SIGKILL interrupts: the worker is cleaning up."""
    # By a handler, since Python reports a signal that has come already and is then ignored by SIG_IGN.
    signal.signal(signal.SIGTERM, _do_nothing)


def _do_nothing(number: int, frame: FrameType | None) -> None:
    pass


def _keep_quiet_about_stopped() -> None:
    """Do not print a `Stopped` that SIGTERM raised where Python drops it, such as in a `__del__` of user code.

    The worker still ends: at its next item, by the message that came before SIGTERM, or by SIGKILL.
    """
    shown = sys.unraisablehook

    def show(unraisable: Any) -> None:
        if not issubclass(unraisable.exc_type, Stopped):
            shown(unraisable)

    sys.unraisablehook = show


def _watch(start: Start) -> None:
    """Watch the consumer, to end when it ends.  A pidfd reports that even if others have inherited its pipes."""
    parent = os.getppid()
    descriptor = None
    try:
        if hasattr(os, "pidfd_open"):
            descriptor = os.pidfd_open(start.consumer)
    except ProcessLookupError:
        _orphaned(start)
    except OSError:  # an old kernel, or one that forbids it
        pass
    if start.is_child and parent != start.consumer:
        _orphaned(start)

    def wait() -> None:
        if descriptor is not None:
            poll = select.poll()  # (`select` takes no large descriptors)
            poll.register(descriptor, select.POLLIN)
            poll.poll()
        else:
            while os.getppid() == parent:
                time.sleep(_LOOK)
        _orphaned(start)

    threading.Thread(target=wait, daemon=True, name="streamflow-watch").start()


def _orphaned(start: Start) -> None:
    start.worker_end.clean_up()
    os._exit(1)


def _die_with_parent() -> None:
    """Have the kernel kill us when the consumer ends, even inside a long C call that holds the GIL.

    Only if the consumer's main thread started us: the signal is sent when the starting *thread* ends.
    """
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
