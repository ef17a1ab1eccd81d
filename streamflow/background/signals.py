"""Signals while something is half done.  Imports nothing of streamflow."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator

__all__ = ["later"]


@contextlib.contextmanager
def later(number: signal.Signals) -> Iterator[None]:
    """Let a signal (Ctrl-C is SIGINT) wait until the block is left, where the system can block signals."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {number})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
