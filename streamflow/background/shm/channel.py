"""A channel through shared memory (Linux).  Opens a `Sender` and a `Receiver` over one segment.

*Two counting semaphores, no flag, no lock.*  One is released for each record, the other for each event.  They count,
wake the other end, and order memory between processors.  A process that is killed at any moment leaves nothing locked,
and what it had published is still received.

*One copy.*  The worker copies arrays into blocks, since a generator may reuse its arrays.  The consumer copies small
arrays once more, since lending them out would cost as much; a large array is handed out as a view of its block, which
is free again when a weak reference reports that the last view is gone.  A consumer that holds many items gets copies,
so holding many items never stalls the stream.  An array that was made in a block (`core.allocator`), and to which
nothing in the worker refers any more, is not copied at all.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable
from multiprocessing.context import BaseContext
from typing import Any

from .receiver import ShmReceiver
from .segment import mapped
from .sender import ShmSender

__all__ = ["ShmChannel"]


class ShmChannel:
    """A `Channel`: a segment and its semaphores.

    Parameters
    ----------
    context : multiprocessing context
        With which the worker is started.
    copy : bool
        Whether large arrays are copied into private memory too.

    Raises
    ------
    OSError
        If the system does not provide shared memory of that size.
    """

    def __init__(self, context: BaseContext, copy: bool) -> None:
        self._copy = copy
        self._fd: int | None = os.memfd_create("streamflow")
        try:
            os.ftruncate(self._fd, os.sysconf("SC_PHYS_PAGES") * mmap.PAGESIZE)
            self.worker_end = _ShmWorkerEnd(self._fd, [context.Semaphore(0), context.Semaphore(0)])
        except BaseException:
            self.close()
            raise

    def open(self, limit: int, alive: Callable[[], bool], item_timeout: float | None) -> ShmReceiver:
        end = self.worker_end
        receiver = ShmReceiver(end.segment, end.semaphores, limit, alive, item_timeout, self._copy)
        self.close()
        return receiver

    def close(self) -> None:
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)


class _ShmWorkerEnd:
    """A segment and its semaphores; a worker that is not forked maps the segment anew."""

    def __init__(self, fd: int, semaphores: list[Any]) -> None:
        self._fd = fd
        self.segment = mapped(fd)
        self.semaphores = semaphores  #: of records and of events; kept until the worker is known to have opened them

    def __reduce__(self) -> Any:
        from multiprocessing.reduction import DupFd

        return _received, (DupFd(self._fd), self.semaphores)

    def connect(self, limit: int, on_stop: Callable[[], None]) -> ShmSender:
        os.close(self._fd)
        records, events = self.semaphores
        return ShmSender(self.segment, records, events, limit, on_stop)

    def clean_up(self) -> None:
        """No-op: the segment is freed with the processes that map it."""


def _received(fd: Any, semaphores: list[Any]) -> _ShmWorkerEnd:
    return _ShmWorkerEnd(fd.detach(), semaphores)
