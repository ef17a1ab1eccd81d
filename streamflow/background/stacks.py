"""The Python stack of a worker that hangs.  Imports nothing from streamflow; `process` and `worker` use it.

Python can write its stack to a file when a signal arrives, even while user code holds the GIL in a long call.  The file
has no name; both processes hold it open from the worker's start.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import tempfile
import time
from typing import Any

__all__ = ["StackDump"]

_TIMEOUT = 0.5  #: seconds a worker has to write its stack


class StackDump:
    """The file that a worker writes its stack to on request."""

    def __init__(self) -> None:
        self._file: Any = tempfile.TemporaryFile()  # noqa: SIM115  (closed by `close`)
        self._fd = self._file.fileno()

    @staticmethod
    def supported() -> bool:
        """Whether this system can write a stack on a signal."""
        return hasattr(faulthandler, "register")

    def __reduce__(self) -> Any:
        from multiprocessing.reduction import DupFd

        return _received, (DupFd(self._fd),)

    def register(self) -> None:
        """In the worker: from now on, write the stack on request."""
        faulthandler.register(signal.SIGUSR1, file=self._fd, all_threads=True)

    def request(self, pid: int) -> str:
        """In the consumer: request the stack of the worker `pid`; empty if it does not answer."""
        before = os.fstat(self._fd).st_size
        try:
            os.kill(pid, signal.SIGUSR1)
        except ProcessLookupError:
            return ""
        until, size = time.monotonic() + _TIMEOUT, before
        while time.monotonic() < until:
            time.sleep(0.02)
            last, size = size, os.fstat(self._fd).st_size
            if size == last > before:
                break
        self._file.seek(before)
        text: bytes = self._file.read()
        return text.decode(errors="replace").rstrip()

    def close(self) -> None:
        """Close our end."""
        self._file.close()


def _received(fd: Any) -> StackDump:
    dump = StackDump.__new__(StackDump)
    dump._file = os.fdopen(fd.detach(), "w+b")
    dump._fd = dump._file.fileno()
    return dump
