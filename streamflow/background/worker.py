"""The worker process, from its first line to its last.  Knows `produce`, `seeds` and `stacks`; `process` starts it.

It ignores Ctrl-C (the consumer gets it too, and stops the worker), turns SIGTERM into `Stopped`, raised inside the
user's code so that its ``finally`` blocks run, and ends when its consumer ends, however that happens.
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
#: Seconds between two looks at the parent, on systems that cannot watch a process.
_LOOK = 0.25

_inside = False


class Start(NamedTuple):
    """All that a worker is given."""

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
    gc.freeze()  # objects copied by the fork are the consumer's to close
    if isinstance(start.job, InheritedJob):
        close_inherited()
    if not start.is_child:
        _let_server_end()
    _keep_memory()
    try:
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
    """Close our end of the pipe that keeps the fork server alive: it must end with the consumer, and we with it."""
    from multiprocessing import forkserver

    server: Any = getattr(forkserver, "_forkserver", None)
    alive = getattr(server, "_forkserver_alive_fd", None)
    if alive is not None:
        server._forkserver_alive_fd = None
        os.close(alive)


def _keep_memory() -> None:
    """Let the C library (glibc) reuse the memory of large messages.

    By default it returns all but a few MiB to the system and maps it again for the next message, page by page, which
    is a fifth of the cost of a message of 4 MiB.  A worker does nothing but send messages, so it may keep its memory.
    """
    if sys.platform == "linux":
        import ctypes

        with contextlib.suppress(AttributeError):  # another C library
            mallopt = ctypes.CDLL(None).mallopt
            mallopt(_M_TRIM_THRESHOLD, 256 << 20)
            mallopt(_M_MMAP_THRESHOLD, 32 << 20)


def _set_signal_handlers() -> None:
    if sys.platform != "win32":
        signal.set_wakeup_fd(-1)  # after a fork, that of an event loop of the consumer
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _terminated)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})


def _terminated(number: int, frame: FrameType | None) -> None:
    _ignore_sigterm()
    raise Stopped(number)


def _ignore_sigterm() -> None:
    """From here on only SIGKILL interrupts: what runs now is cleaning up."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _watch(start: Start) -> None:
    """End with the consumer.  A pidfd reports its death, whoever else may have inherited its pipes."""
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
    """Let the kernel kill us with the consumer, even inside a long C call that holds the interpreter's lock.

    Not if another thread of the consumer started us: the signal comes when the starting *thread* ends.
    """
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
