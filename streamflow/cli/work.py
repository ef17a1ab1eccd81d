"""The folder that the demo works in, how it is stopped, and how it starts itself anew."""

from __future__ import annotations

import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from .arrays import CorpusError
from .arrays import CorpusError as UsageError

__all__ = ["Stopped", "UsageError", "Work", "fresh_interpreter", "stoppable", "workspace"]

#: They end a process; not every system has all of them.
_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
_PATIENCE = 10  #: seconds that a process has to end when it is told to


class Work:
    """The files of a run.

    Parameters
    ----------
    folder : Path
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.corpus = folder / "corpus"
        self.state = folder / "state.json"
        self.model = folder / "model.pickle"
        self.job = folder / "job.json"
        self.result = folder / "result.json"
        self.journal = folder / "opened-and-closed"


@contextmanager
def workspace(keep: Path | None) -> Iterator[Work]:
    """A folder to work in: a temporary one that is removed whatever happens, or one that the user wants to keep.

    Raises
    ------
    CorpusError
        If the folder to keep cannot be made or is not empty.
    """
    if keep is not None:
        try:
            keep.mkdir(parents=True, exist_ok=True)
            used = any(keep.iterdir())
        except OSError as error:
            raise CorpusError(f"--keep {keep}: the folder cannot be made: {error.strerror}") from None
        if used:
            raise CorpusError(f"--keep {keep}: the folder must be new or empty, nothing in it is overwritten")
        yield Work(keep.resolve())
        return
    # The name is known before the folder is there, so that no moment to stop leaves it behind.
    folder = Path(tempfile.gettempdir()) / f"streamflow-demo-{secrets.token_hex(6)}"
    try:
        folder.mkdir(mode=0o700)
        yield Work(folder)
    finally:
        _ignore_signals()
        shutil.rmtree(folder, ignore_errors=True)


def _ignore_signals() -> None:
    """From here on nothing but the end of the command comes: it is not to be stopped half-way."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _hold_signals(hold: bool) -> None:
    """Let the signals that end a process wait, or come."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK if hold else signal.SIG_UNBLOCK, _SIGNALS)


class Stopped(KeyboardInterrupt):
    """Ctrl-C, or a signal that asks the process to end."""

    def __init__(self, code: int) -> None:
        super().__init__()
        self.code = code


@contextmanager
def stoppable() -> Iterator[None]:
    """Turn the signals that end a process into `Stopped`, once: what is being tidied up is not disturbed again."""
    before = {number: signal.getsignal(number) for number in _SIGNALS}

    def stop(number: int, frame: FrameType | None) -> None:
        _ignore_signals()
        raise Stopped(128 + number)

    for number in _SIGNALS:
        signal.signal(number, stop)
    try:
        _hold_signals(False)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def fresh_interpreter(*arguments: str) -> int:
    """Run this command in a new Python process on the same terminal; its exit code."""
    # With -P a folder named streamflow in the current directory is not taken for us.
    code = "import sys; sys.path.insert(0, sys.argv.pop(1)); from streamflow.cli import main; main()"
    here = str(Path(__file__).parents[2])
    process = None
    try:
        _hold_signals(True)  # in the new process too, until it is ready for them (`stoppable`)
        process = subprocess.Popen([sys.executable, "-P", "-c", code, here, *arguments])
        _hold_signals(False)
        return process.wait()
    finally:
        _hold_signals(False)
        if process is not None and process.poll() is None:
            process.terminate()
            try:
                process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
