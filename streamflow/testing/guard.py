"""A limit for what may hang."""

from __future__ import annotations

import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from .subject import broken

__all__ = ["within"]

_AGAIN = 5.0  #: seconds after which what is interrupted and hangs once more, in closing, is interrupted again


class _Hung(BaseException):
    """Raised where it hangs; no ``except Exception`` there takes it for its own."""


def within(seconds: float, run: Callable[[], None]) -> None:
    """Call a function; raise where it stands after so many seconds.

    In the main thread by SIGALRM: everything runs where users run it, and can be interrupted.  Elsewhere it is called
    in a thread, which is left if it hangs.
    """
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        _in_a_thread(seconds, run)
        return
    try:
        with _alarm(seconds):
            run()
    except _Hung as hung:
        raise broken(f"it hangs (for {seconds:g} seconds) {hung}") from None


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    began = time.monotonic()
    delay, interval = signal.getitimer(signal.ITIMER_REAL)
    if 0 < delay < seconds:  # somebody else's comes first
        yield
        return
    handler = signal.signal(signal.SIGALRM, _raise)
    signal.setitimer(signal.ITIMER_REAL, seconds, _AGAIN)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        if delay:
            signal.setitimer(signal.ITIMER_REAL, max(1e-3, delay - (time.monotonic() - began)), interval)


def _raise(number: int, frame: FrameType | None) -> None:
    raise _Hung(_where(frame))


def _in_a_thread(seconds: float, run: Callable[[], None]) -> None:
    failed: list[BaseException] = []

    def target() -> None:
        try:
            run()
        except BaseException as error:  # noqa: BLE001  (raised below)
            failed.append(error)

    thread = threading.Thread(target=target, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise broken(f"it hangs (for {seconds:g} seconds) {_where(_frame_of(thread))}")
    if failed:
        raise failed.pop()


def _frame_of(thread: threading.Thread) -> Any:
    return sys._current_frames().get(thread.ident or 0)


def _where(frame: FrameType | None) -> str:
    calls = traceback.extract_stack(frame)[-4:]
    return "in " + " > ".join(f"{call.name} ({call.filename}, line {call.lineno})" for call in calls)
