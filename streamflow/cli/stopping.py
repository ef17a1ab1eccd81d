"""How the command is stopped: by Ctrl-C, or by another signal that asks it to end.

One handler serves the whole run; what it does changes in three stages.  While the command is loaded, it ends where it
is (`take_signals`).  While it works, `Stopped` is raised, so that what is open is tidied up (`stoppable`).  At last
signals are ignored, and what must not be left is removed (`finish`).

Python may run a handler between any two instructions, also where nobody catches what it raises: in `__del__`, in the
callback of a weak reference, in a hook of a fork.  There Python prints the exception with a traceback and goes on as
if nothing had happened.  So nothing of this kind is printed once the command was asked to stop, and a `Stopped` that
was lost is raised once more.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, ClassVar

__all__ = ["SIGNALS", "Stopped", "at_end", "finish", "hold_signals", "stoppable", "take_signals"]

#: They end a process; not every system has all of them.
SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
_PATIENCE = 10  #: seconds within which all is tidied up
_AGAIN = 0.01  #: seconds until a `Stopped` that was lost is raised once more


class Stopped(BaseException):
    """Ctrl-C, or a signal that asks the process to end.

    Not a `KeyboardInterrupt`, since libraries have their own ways with those.

    Parameters
    ----------
    code : int
        The exit code, by the convention of shells.
    text : str
        What to say about it; may be empty.
    """

    def __init__(self, code: int, text: str) -> None:
        super().__init__(code, text)
        self.code, self.text = code, text


def hold_signals(hold: bool) -> None:
    """Let the signals that end a process wait, or come; a process that is started while they wait holds them too."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK if hold else signal.SIG_UNBLOCK, SIGNALS)


def take_signals() -> None:
    """From here on a signal ends the process where it is; one that is ignored (`nohup`) stays ignored."""
    _Run.pid, _Run.code, _Run.act = os.getpid(), None, _end_here
    for number in SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _came)
    hold_signals(False)


@contextmanager
def stoppable(text: str) -> Iterator[None]:
    """Raise `Stopped` at a signal, once: what is tidied up because of it is not disturbed by those that follow soon.

    It is also what the block raises in the end, should a library have made another error of it, or have dropped it.
    Since it may be raised just before or after the block too, `main` is where it is caught, and prints the text.
    """
    _Run.text = text
    shown = sys.unraisablehook

    def show(unraisable: Any) -> None:
        if _Run.code is None or os.getpid() != _Run.pid:
            shown(unraisable)
        elif issubclass(unraisable.exc_type, Stopped) and hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, _AGAIN)  # here it would be lost again

    sys.unraisablehook = show
    if hasattr(signal, "SIGALRM"):
        signal.signal(signal.SIGALRM, _again)
    _Run.act = _stop
    try:
        yield
    except Exception:
        _stop_if_asked()
        raise
    _stop_if_asked()


def at_end(tidy_up: Callable[[], object]) -> None:
    """Have something done by `finish`: whatever happens, and undisturbed, as no ``finally`` of a command can be."""
    _Run.left.append(tidy_up)


def finish() -> None:
    """At the end of `main`: ignore signals to the end of the interpreter, and tidy up; may be called again."""
    _Run.act = _go_on
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)  # handlers are taken away when the interpreter ends
    while _Run.left:
        _Run.left.pop()()


def _came(number: int, frame: FrameType | None) -> None:
    if os.getpid() == _Run.pid:
        _Run.act(number)
    else:  # a fork that has not set its own handlers yet
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)


def _end_here(number: int) -> None:
    os._exit(128 + number)


def _stop(number: int) -> None:
    if _Run.code is None or time.monotonic() > _Run.at + _PATIENCE:
        _Run.code, _Run.at = 128 + number, time.monotonic()
        _stop_if_asked()


def _go_on(number: int) -> None:
    pass


def _again(number: int, frame: FrameType | None) -> None:
    if _Run.act is _stop:
        _stop_if_asked()


def _stop_if_asked() -> None:
    if _Run.code is not None:
        raise Stopped(_Run.code, _Run.text) from None


class _Run:
    """The state of this run of the command."""

    act: Callable[[int], None] = _go_on  #: what the handler does
    left: ClassVar[list[Callable[[], object]]] = []  #: what `finish` does
    pid = 0  #: of the process that runs it
    text = ""  #: what it says when it was stopped
    code: int | None = None  #: the exit code, once it was asked to stop
    at = 0.0  #: when it was asked, in the time of `monotonic`
