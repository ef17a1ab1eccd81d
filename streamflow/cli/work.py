"""How a command is stopped, how it starts itself again, and the error for wrong usage."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import FrameType

from ..core.validate import missing
from ..exceptions import StreamflowError

__all__ = ["ProcessFailed", "Stopped", "UsageError", "fresh_interpreter", "ignore_signals", "need", "stoppable"]

#: They end a process; not every system has all of them.
_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
_PATIENCE = 10  #: seconds that a process has to end when asked to


class UsageError(StreamflowError):
    """The command cannot do what it was asked to; one line that names the option, file or folder."""


def ignore_signals() -> None:
    """For the last lines of a command, which must not be stopped halfway."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _hold_signals(hold: bool) -> None:
    """Let the signals that end a process wait, or come."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK if hold else signal.SIG_UNBLOCK, _SIGNALS)


def need(user: str, extra: str, **libraries: str) -> None:
    """Raise a `MissingDependencyError` unless each module is there.

    Parameters
    ----------
    user : str
        Who needs them.
    extra : str
        What installs them.
    **libraries : str
        The module, and the name under which it is installed.
    """
    for module, name in libraries.items():
        if find_spec(module) is None:
            raise missing(user, name, extra)


class Stopped(KeyboardInterrupt):
    """Ctrl-C, or a signal that asks the process to end."""

    def __init__(self, code: int) -> None:
        super().__init__()
        self.code = code


class ProcessFailed(Exception):
    """A process that was started ended with this exit code, and has said why."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


@contextmanager
def stoppable() -> Iterator[None]:
    """Turn the signals that end a process into `Stopped`, once: what is being tidied up is not disturbed again."""
    before = {number: signal.getsignal(number) for number in _SIGNALS}

    def stop(number: int, frame: FrameType | None) -> None:
        ignore_signals()
        raise Stopped(128 + number)

    for number in _SIGNALS:
        signal.signal(number, stop)
    try:
        _hold_signals(False)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def fresh_interpreter(*arguments: str) -> None:
    """Run this command in a new Python process on the same terminal.

    Raises
    ------
    ProcessFailed
        If its exit code is not 0.
    """
    # With -P a folder named streamflow in the current directory is not taken for us.
    code = "import sys; sys.path.insert(0, sys.argv.pop(1)); from streamflow.cli import main; main()"
    here = str(Path(__file__).parents[2])
    process = None
    try:
        _hold_signals(True)  # in the new process too, until it is ready for them (`stoppable`)
        process = subprocess.Popen([sys.executable, "-P", "-c", code, here, *arguments])
        _hold_signals(False)
        exit_code = process.wait()
        if exit_code:
            raise ProcessFailed(exit_code)
    finally:
        _hold_signals(False)
        if process is not None and process.poll() is None:
            process.terminate()
            try:
                process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
