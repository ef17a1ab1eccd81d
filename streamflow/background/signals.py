"""Ctrl-C while something is half done.  Imports nothing of streamflow; `live` and `process` use it."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator

__all__ = ["later_interrupts"]


@contextlib.contextmanager
def later_interrupts() -> Iterator[None]:
    """Let Ctrl-C wait until the block is left (where the system can block signals)."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
