"""Blocks of code in which a signal is deferred, blocked or ignored.  Imports nothing from streamflow."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

__all__ = ["blocked", "came_between", "deferred", "ignored"]


@contextlib.contextmanager
def deferred(number: signal.Signals) -> Iterator[None]:
    """Handle a signal (Ctrl-C is SIGINT) only at the end of the block.

    Python runs handlers in the main thread, whichever thread received the signal.  So in any other thread, and for a
    signal without a Python handler, this does nothing.
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
    """Block a signal in this thread, and in processes that it starts in the block; does nothing on Windows.

    Defer the signal too (`deferred`): otherwise its handler may run, and raise, while the mask is being changed.
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
def ignored(number: signal.Signals) -> Iterator[None]:
    """Ignore a signal in the block; interpreters started in the block ignore it for good.

    Does nothing outside the main thread, and if the handler of the signal is not Python's to restore.
    """
    handler = signal.getsignal(number)
    if threading.current_thread() is not threading.main_thread() or handler is None:
        yield
        return
    signal.signal(number, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(number, handler)


def came_between(error: BaseException) -> bool:
    """Whether an error may have come at any line of ours: Ctrl-C, an exit, or what a signal handler raised.

    >>> came_between(KeyboardInterrupt()), came_between(ValueError())
    (True, False)
    """
    if not isinstance(error, Exception):
        return True
    handlers = map(signal.getsignal, signal.valid_signals())
    codes = {getattr(getattr(handler, "__func__", handler), "__code__", None) for handler in handlers} - {None}
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code in codes:
            return True
        trace = trace.tb_next
    return False
