"""What the commands share: what they need, how they start themselves again, and the error for wrong usage."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from ..core.validate import missing
from ..exceptions import StreamflowError
from .stopping import hold_signals

__all__ = ["ProcessFailed", "UsageError", "fresh_interpreter", "need"]

_PATIENCE = 10  #: seconds that a process has to end when asked to


class UsageError(StreamflowError):
    """The command cannot do what it was asked to; one line that names the option, file or folder."""


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


class ProcessFailed(Exception):
    """A process that was started ended with this exit code, and has said why."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


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
        hold_signals(True)  # in the new process too, until it takes them (`main`)
        process = subprocess.Popen([sys.executable, "-P", "-c", code, here, *arguments])
        hold_signals(False)
        exit_code = process.wait()
        if exit_code:
            raise ProcessFailed(exit_code)
    finally:
        hold_signals(False)
        if process is not None and process.poll() is None:
            process.terminate()
            try:
                process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
