"""Where is a process that does not answer?  Imports nothing of streamflow; `process` and `worker` use it.

Python can write its stack into a file when a signal comes, even while user code holds the interpreter's lock in a long
call.  The file has no name, and both processes hold it from the worker's start.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import tempfile
import time
from typing import Any

__all__ = ["Stacks"]

_PATIENCE = 0.5  #: seconds that writing may take


class Stacks:
    """A file for the stack of a worker that we start."""

    def __init__(self) -> None:
        self._file: Any = tempfile.TemporaryFile()  # noqa: SIM115  (closed by `close`)
        self._fd = self._file.fileno()

    @staticmethod
    def possible() -> bool:
        """Whether this system can."""
        return hasattr(faulthandler, "register")

    def __reduce__(self) -> Any:
        from multiprocessing.reduction import DupFd

        return _received, (DupFd(self._fd),)

    def register(self) -> None:
        """In the worker: write the stack from now on when we are asked."""
        faulthandler.register(signal.SIGUSR1, file=self._fd, all_threads=True)

    def ask(self, pid: int) -> str:
        """In the consumer: the stack of the worker; empty if it does not answer."""
        before = os.fstat(self._fd).st_size
        try:
            os.kill(pid, signal.SIGUSR1)
        except ProcessLookupError:
            return ""
        until, size = time.monotonic() + _PATIENCE, before
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


def _received(fd: Any) -> Stacks:
    stacks = Stacks.__new__(Stacks)
    stacks._file = os.fdopen(fd.detach(), "w+b")
    stacks._fd = stacks._file.fileno()
    return stacks
