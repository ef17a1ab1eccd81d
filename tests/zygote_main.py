"""The zygote itself, and how its forks become programs; see `zygote.py`."""

from __future__ import annotations

import os

if __name__ == "__main__" and os.fork():
    os._exit(0)

import builtins
import contextlib
import io
import json
import random
import runpy
import selectors
import signal
import socket
import sys
import tempfile
import types
import warnings
from pathlib import Path
from typing import Any

import cloudpickle  # noqa: F401  (loaded for the programs, as are the next three)
import joblib  # noqa: F401
import numpy as np
import zmq  # noqa: F401

STANDARD = sys.path[1:]
sys.path[0] = str(Path(__file__).parents[1])  # the package beside these tests
import streamflow  # noqa: E402, F401

_FILES = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))


def serve(link: socket.socket) -> dict[str, Any]:
    """Fork for each job, and report how the forks end; returns only in the forks, with the job."""
    reader, writer = os.pipe()
    for end in (reader, writer):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    living: set[int] = set()
    with selectors.DefaultSelector() as selector:
        selector.register(link, selectors.EVENT_READ)
        selector.register(reader, selectors.EVENT_READ)
        while True:
            ready = [key.fileobj for key, _ in selector.select()]
            if reader in ready:
                os.read(reader, 1 << 10)
                _report_ends(link, living)
            if link in ready:
                word, given, _, _ = socket.recv_fds(link, 1, 4)
                if not word:
                    break
                pid = os.fork()
                if not pid:
                    for end in (reader, writer):
                        os.close(end)
                    link.close()
                    return _job(given)
                for descriptor in given:
                    os.close(descriptor)
                living.add(pid)
                _report(link, "started", pid, 0)
    for pid in living:  # only if a test has failed
        os.kill(pid, signal.SIGKILL)
    os._exit(0)


def _report_ends(link: socket.socket, living: set[int]) -> None:
    for pid in list(living):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            living.discard(pid)
            with contextlib.suppress(BrokenPipeError):
                _report(link, "ended", pid, os.waitstatus_to_exitcode(status))


def _report(link: socket.socket, *answer: Any) -> None:
    link.sendall(json.dumps(answer).encode() + b"\n")


def _job(given: list[int]) -> dict[str, Any]:
    """In the fork: become an independent process, with the files that were sent."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.setsid()
    text, *files = given
    job: dict[str, Any] = json.loads(os.pread(text, os.fstat(text).st_size, 0))
    for number, descriptor in enumerate(files):
        os.dup2(descriptor, number)
    for descriptor in given:
        os.close(descriptor)
    for number, (name, mode) in enumerate(_FILES):
        raw = open(number, f"{mode}b", buffering=-1, closefd=False)  # noqa: SIM115  (it stays)
        lines = name == "stderr" or os.isatty(number)
        errors = "backslashreplace" if name == "stderr" else "strict"
        file = io.TextIOWrapper(raw, encoding="utf-8", errors=errors, line_buffering=lines)
        setattr(sys, name, file)
        setattr(sys, f"__{name}__", file)
    return job


def become(job: dict[str, Any]) -> None:
    """Run the program as `__main__`."""
    os.chdir(job["cwd"])
    os.environ.clear()
    os.environ.update(job["env"])
    tempfile.tempdir = None
    random.seed()
    np.random.seed()
    sys.path[:] = [*filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)), *STANDARD]
    command = job["command"]
    first: list[str] | None = [""]
    if command[0] == "-P":
        command, first = command[1:], None
    if command[:2] == ["-W", "error"]:
        command = command[2:]
        sys.warnoptions.append("error")
    if "error" in (*sys.warnoptions, os.environ.get("PYTHONWARNINGS")):
        warnings.simplefilter("error")
    sys.modules["__main__"] = types.ModuleType("__main__")
    names = sys.modules["__main__"].__dict__
    names["__builtins__"] = builtins
    what, *rest = command
    if what in {"-c", "-m"}:
        subject, *rest = rest
        code = compile(subject, "<string>", "exec") if what == "-c" else None
        sys.argv[:] = [what, *rest]
    else:
        subject, first = what, first and [str(Path(what).parent)]
        code = compile(Path(what).read_bytes(), what, "exec")
        names["__file__"] = what
        sys.argv[:] = [what, *rest]
    sys.path[:0] = first or []
    if code is None:
        runpy._run_module_as_main(subject)  # what ``python -m`` calls
    else:
        exec(code, names)


if __name__ == "__main__":
    become(serve(socket.socket(fileno=int(sys.argv[1]))))
