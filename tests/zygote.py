"""Python programs at the price of a fork: a process that has loaded the libraries forks and becomes the program.

A new interpreter takes half a second or more to load NumPy, ZeroMQ and streamflow.  The zygote has loaded them, and
waits; each `start` forks it, and the fork becomes what ``python [-P] [-W error] script.py | -c code | -m module`` would
be: a process with its own `__main__`, arguments, environment, folder, files and session, which ends as an interpreter
does.  It is not a child of the tests' process, and inherits nothing from it.

Two things differ from a new interpreter: modules are loaded already, and have read the environment as it was then.  A
test that depends on either starts an interpreter instead.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Self

__all__ = ["Program", "Zygote"]

_MAIN = Path(__file__).with_name("zygote_main.py")
#: Seconds; a hang is a failure.
_PATIENCE = 60.0


class Zygote:
    """The process that programs are forked from; it ends when this one does."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair()
        self._socket.settimeout(_PATIENCE)
        self._codes: dict[int, int] = {}
        self._received = b""  # of an answer that is not complete yet
        # It detaches at once, since tests count, kill and wait for the children of this process.
        subprocess.run(
            [sys.executable, str(_MAIN), str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            check=True,
        )
        theirs.close()

    def close(self) -> None:
        """End it, and all its programs that still run."""
        self._socket.shutdown(socket.SHUT_WR)
        while self._socket.recv(1 << 10):
            pass
        self._socket.close()

    def start(
        self,
        *command: Any,
        env: dict[str, str] | None = None,
        cwd: Any = None,
        stdin: int = subprocess.DEVNULL,
        stdout: int = subprocess.PIPE,
        stderr: int | None = subprocess.PIPE,
    ) -> Program:
        """Start ``python *command``, as `subprocess.Popen` does with ``text=True`` and ``start_new_session=True``.

        ``stderr=None`` is the zygote's stderr, which is where pytest writes.
        """
        pipes: list[Any] = [None, None, None]
        given = []
        for place, how in enumerate((stdin, stdout, 2 if stderr is None else stderr)):
            if how == subprocess.PIPE:
                reader, writer = os.pipe()
                ours, theirs = (writer, reader) if place == 0 else (reader, writer)
                pipes[place] = os.fdopen(ours, "w" if place == 0 else "r", encoding="utf-8", buffering=1)
            elif how == subprocess.DEVNULL:
                theirs = os.open(os.devnull, os.O_RDWR)
            elif how == subprocess.STDOUT:
                theirs = os.dup(given[1])
            else:
                theirs = os.dup(how)
            given.append(theirs)
        job = {
            "command": list(map(str, command)),
            "env": dict(os.environ if env is None else env),
            "cwd": str(Path.cwd() if cwd is None else cwd),
        }
        with tempfile.TemporaryFile() as text:  # a file, since it may be of any length
            text.write(json.dumps(job).encode())
            text.flush()
            socket.send_fds(self._socket, [b"!"], [text.fileno(), *given])
        for descriptor in given:
            os.close(descriptor)
        while (answer := self._answer())[0] != "started":
            self._codes[answer[1]] = answer[2]
        return Program(self, answer[1], *pipes)

    def run(self, *command: Any, timeout: float = _PATIENCE, **how: Any) -> subprocess.CompletedProcess[str]:
        """Run it to its end, as `subprocess.run` does with ``capture_output=True, text=True``."""
        program = self.start(*command, **how)
        try:
            out, errors = program.communicate(timeout=timeout)
        except BaseException:
            program.kill()
            program.communicate()
            raise
        return subprocess.CompletedProcess([sys.executable, *map(str, command)], program.wait(), out, errors)

    def _answer(self) -> tuple[str, int, int]:
        while b"\n" not in self._received:
            more = self._socket.recv(1 << 10)
            assert more, "the zygote has ended"
            self._received += more
        line, _, self._received = self._received.partition(b"\n")
        answer: tuple[str, int, int] = tuple(json.loads(line))
        return answer

    def code(self, pid: int, timeout: float | None) -> int | None:
        """The exit code of a program, as `subprocess` gives it; None if it still runs after `timeout` seconds."""
        end = None if timeout is None else time.monotonic() + timeout
        while pid not in self._codes:
            self._socket.settimeout(None if end is None else max(0.0, end - time.monotonic()))
            try:
                _, other, code = self._answer()
            except (TimeoutError, BlockingIOError):
                return None
            finally:
                self._socket.settimeout(_PATIENCE)
            self._codes[other] = code
        return self._codes[pid]


class Program:
    """A program that was started; has what tests use of `subprocess.Popen`."""

    def __init__(self, zygote: Zygote, pid: int, stdin: Any, stdout: Any, stderr: Any) -> None:
        self._zygote, self.pid = zygote, pid
        self.stdin, self.stdout, self.stderr = stdin, stdout, stderr
        self.returncode: int | None = None
        self._texts = ["", ""]
        self._readers: list[threading.Thread] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
        self.wait()

    def close(self) -> None:
        """Close our ends of its files."""
        for file in (self.stdin, self.stdout, self.stderr):
            if file is not None:
                with contextlib.suppress(BrokenPipeError):
                    file.close()

    def poll(self) -> int | None:
        """Its exit code; None while it runs."""
        return self._ended(0.0)

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, when it has ended."""
        if self._ended(timeout) is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0)
        assert self.returncode is not None
        return self.returncode

    def _ended(self, timeout: float | None) -> int | None:
        if self.returncode is None:
            self.returncode = self._zygote.code(self.pid, timeout)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """Send SIGKILL, unless it has ended."""
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        """Send SIGTERM, unless it has ended."""
        self.send_signal(signal.SIGTERM)

    def communicate(self, timeout: float = _PATIENCE) -> tuple[str, str]:
        """What it writes to stdout and stderr until it has ended, and nothing else holds them open."""
        if self.stdin is not None:
            self.stdin.close()
        end = time.monotonic() + timeout
        if not self._readers:
            self._readers = [threading.Thread(target=self._read, args=(n,), daemon=True) for n in range(2)]
            for reader in self._readers:
                reader.start()
        for reader in self._readers:
            reader.join(max(0.0, end - time.monotonic()))
        if any(reader.is_alive() for reader in self._readers):
            raise subprocess.TimeoutExpired(str(self.pid), timeout)
        self.wait(max(0.0, end - time.monotonic()))
        self.close()
        return self._texts[0], self._texts[1]

    def _read(self, number: int) -> None:
        file = (self.stdout, self.stderr)[number]
        if file is not None and not file.closed:
            self._texts[number] = file.read()
