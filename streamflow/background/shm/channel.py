"""A channel through shared memory (Linux).  Opens `shm_sender` and `shm_receiver` over a `segment`.

*Two counting semaphores, no flag, no lock*: one is released for each record, one for each event.  They count, wake, and
order memory between processors; and a process that is killed at any moment leaves nothing locked.  What it had
published before counts.

*One copy.*  The worker copies arrays into blocks, for a generator may use its arrays again.  The consumer copies what
is small once more, since lending it out would cost as much; a large array he gets as a view of its block, which is free
again when a weak reference says that the last view has gone.  Whoever holds on to much gets copies of his own, so a
hoard never stops the stream.  An array that was made in a block (`core.memory`) and that nobody in the worker holds any
more is not copied at all.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable
from multiprocessing.context import BaseContext
from typing import Any

from .receiver import Receiver
from .segment import mapped
from .sender import Sender

__all__ = ["ShmDoor"]


class ShmDoor:
    """Where a worker comes in: a segment and its semaphores.

    Parameters
    ----------
    context : multiprocessing context
        By which the worker is started.
    copy : bool
        Whether the consumer gets private copies of all arrays.

    Raises
    ------
    OSError
        Where there is no such thing.
    """

    def __init__(self, context: BaseContext, copy: bool) -> None:
        self._copy = copy
        self._fd: int | None = os.memfd_create("streamflow")
        try:
            os.ftruncate(self._fd, os.sysconf("SC_PHYS_PAGES") * mmap.PAGESIZE)
            self.invitation = _Invitation(self._fd, [context.Semaphore(0), context.Semaphore(0)])
        except BaseException:
            self.close()
            raise

    def open(self, limit: int, alive: Callable[[], bool], patience: float | None) -> Receiver:
        receiver = Receiver(self.invitation.segment, self.invitation.semaphores, limit, alive, patience, self._copy)
        self.close()
        return receiver

    def close(self) -> None:
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)


class _Invitation:
    """A segment and its semaphores; a worker that is not forked maps it anew."""

    def __init__(self, fd: int, semaphores: list[Any]) -> None:
        self._fd = fd
        self.segment = mapped(fd)
        self.semaphores = semaphores  #: `filled` and `back`, while it is not sure that the worker has them

    def __reduce__(self) -> Any:
        from multiprocessing.reduction import DupFd

        return _received, (DupFd(self._fd), self.semaphores)

    def connect(self, limit: int, on_stop: Callable[[], None]) -> Sender:
        os.close(self._fd)
        filled, back = self.semaphores
        return Sender(self.segment, filled, back, limit, on_stop)

    def remove(self) -> None:
        """Nothing outlives those who map it."""


def _received(fd: Any, semaphores: list[Any]) -> _Invitation:
    return _Invitation(fd.detach(), semaphores)
