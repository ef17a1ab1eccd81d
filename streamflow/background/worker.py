"""The worker process.  Knows `listener`, `produce`, `sending` and `stacks`; started by `process`.

It ignores Ctrl-C (the consumer gets it too, and says what to do), turns SIGTERM into `Stopped`, raised inside the
user's code so that its ``finally`` blocks run, and ends when its consumer ends, however that happens.
"""

from __future__ import annotations

import contextlib
import gc
import os
import random
import select
import signal
import sys
import threading
import time
from types import FrameType
from typing import Any, NamedTuple

import numpy as np

from ..core.call import merged
from ..seeding import WORKER, generator
from .produce import produce
from .records import Invitation, Stopped
from .stacks import Stacks
from .task import Inherited, Job, Pickled
from .zmq.listener import close_inherited

__all__ = ["TERMINATED", "Start", "in_worker", "main"]

#: The exit code after SIGTERM, as a shell tells it.
TERMINATED = 128 + signal.SIGTERM
_PR_SET_PDEATHSIG = 1
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
#: Seconds between two looks at the parent, where a process cannot be watched.
_LOOK = 0.25

_inside = False


class Start(NamedTuple):
    """All that a worker is told."""

    invitation: Invitation
    limit: int
    consumer: int  #: its process id
    is_child: bool  #: whether the consumer is the parent
    from_main: bool  #: whether the consumer's main thread started the worker
    stacks: Stacks | None
    job: Inherited | Pickled


def in_worker() -> bool:
    """Whether this process is a worker of ours (or was forked from one)."""
    return _inside


def main(start: Start) -> None:
    """Run a worker, from its first line to its last."""
    global _inside  # noqa: PLW0603
    _inside = True
    gc.freeze()  # what a fork has copied is the consumer's to close
    if isinstance(start.job, Inherited):
        close_inherited()
    if not start.is_child:
        _let_server_end()
    _keep_memory()
    try:
        _take_signals()
        _watch(start)
        if start.stacks is not None:
            start.stacks.register()
        sink = start.invitation.connect(start.limit, _deaf)
        try:
            if start.from_main or not start.is_child:
                _die_with_parent()
            produce(start.job.get, sink, _seed, _deaf)
        finally:
            sink.close()
    except Stopped as stopped:
        if stopped.args:  # by a signal
            sys.exit(TERMINATED)


def _let_server_end() -> None:
    """Close our end of the pipe that keeps the fork server alive: it is to end with the consumer, and we with it."""
    from multiprocessing import forkserver

    server: Any = getattr(forkserver, "_forkserver", None)
    alive = getattr(server, "_forkserver_alive_fd", None)
    if alive is not None:
        server._forkserver_alive_fd = None
        os.close(alive)


def _seed(job: Job) -> None:
    """Seed what user code may draw from without asking: the lanes of each worker have numbers of their own."""
    index, count = merged(job.shards_of(job.numbers[0]))
    address = [count * (count - 1) // 2 + index]  # each part of each number of parts its own
    given = sum(lane.given + lane.skip for lane in job.lanes)
    if given:  # who goes on does not begin again
        address += [given % (1 << 32), given >> 32]
    rng = generator(job.key, WORKER, *address)
    words = rng.integers(1 << 32, size=4, dtype=np.uint32)
    if hasattr(np.random, "set_bit_generator"):
        # Not `seed`: its lock may have been held by a thread of the consumer when this process was forked.
        np.random.set_bit_generator(np.random.MT19937(words.tolist()))
    else:
        np.random.seed(words)
    random.seed(int(rng.integers(1 << 63)))


def _keep_memory() -> None:
    """Let the C library use the memory of large messages again (glibc).

    By default it gives a few MiB back to the system and has them mapped anew for the next message, page by page: a
    fifth of what a message of 4 MiB costs.  A worker lives for its messages, so it may keep what it has.
    """
    if sys.platform == "linux":
        import ctypes

        with contextlib.suppress(AttributeError):  # another C library
            mallopt = ctypes.CDLL(None).mallopt
            mallopt(_M_TRIM_THRESHOLD, 256 << 20)
            mallopt(_M_MMAP_THRESHOLD, 32 << 20)


def _take_signals() -> None:
    if sys.platform != "win32":
        signal.set_wakeup_fd(-1)  # an event loop's of the consumer, after a fork
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _terminated)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})


def _terminated(number: int, frame: FrameType | None) -> None:
    _deaf()
    raise Stopped(number)


def _deaf() -> None:
    """What cleans up from now on is not to be disturbed; SIGKILL comes to that which takes too long."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _watch(start: Start) -> None:
    """End with the consumer.  A pidfd sees its death, whoever else may have inherited its pipes."""
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
            poll = select.poll()  # (`select` takes no large numbers)
            poll.register(descriptor, select.POLLIN)
            poll.poll()
        else:
            while os.getppid() == parent:
                time.sleep(_LOOK)
        _orphaned(start)

    threading.Thread(target=wait, daemon=True, name="streamflow-watch").start()


def _orphaned(start: Start) -> None:
    start.invitation.remove()
    os._exit(1)


def _die_with_parent() -> None:
    """Let the kernel end us with the consumer, even inside one long call of C that keeps the interpreter's lock.

    Not where another thread of the consumer started us: this comes when the starting *thread* ends.
    """
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
