"""Signals while something is half done.  Imports nothing of streamflow."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

__all__ = ["blocked", "later", "unheard"]


@contextlib.contextmanager
def later(number: signal.Signals) -> Iterator[None]:
    """Let a signal (Ctrl-C is SIGINT) wait until the block is left.

    Python runs handlers in the main thread, whichever thread the signal has come to; so it is the handler that waits.
    """
    handler = signal.getsignal(number)
    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        yield
        return
    came: list[FrameType | None] = []
    signal.signal(number, lambda _number, frame: came.append(frame))
    try:
        yield
    finally:
        signal.signal(number, handler)
        if came:
            handler(number, came[0])


@contextlib.contextmanager
def blocked(number: signal.Signals) -> Iterator[None]:
    """Block a signal for this thread, and for a process that it starts meanwhile (where the system can).

    The handler is to wait too (`later`), or it may run, and raise, while the mask is changed.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, {number})
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def unheard(number: signal.Signals) -> Iterator[None]:
    """Let new interpreters that are started in the block ignore a signal for good; so does this process meanwhile."""
    handler = signal.getsignal(number)
    if threading.current_thread() is not threading.main_thread() or handler is None:
        yield
        return
    signal.signal(number, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(number, handler)
