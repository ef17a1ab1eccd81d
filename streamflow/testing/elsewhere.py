"""Promises about a source that is read in other places: in a forked process, by several threads at once."""

from __future__ import annotations

import os
import select
import signal
import threading
import time
import warnings
from collections.abc import Callable

import numpy as np

from .reading import Reading
from .subject import expect, promise

__all__ = ["check_fork", "check_threads"]


def check_fork(reading: Reading, timeout: float) -> None:
    """A forked process reads the same, and so does this one while it does and afterwards."""
    if not hasattr(os, "fork"):
        return
    reading.check(reading.source)  # whatever it opens is open now
    with promise("a forked process reads the same"):
        answer = _in_child(lambda: reading.check(reading.source, np.random.default_rng(1)), timeout)
        expect(not answer, answer)
    with promise("a source reads the same after a forked process has read it"):
        reading.check(reading.source)


def _in_child(job: Callable[[], None], timeout: float) -> str:
    """Run something in a forked process; what it raised, or how it ended."""
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that other threads are running
        child = os.fork()
    if not child:
        try:
            try:
                job()
                answer = "done"
            except BaseException as error:  # noqa: BLE001  (a child must not come back)
                answer = str(error) if isinstance(error, AssertionError) else f"{type(error).__name__}: {error}"
            os.write(writer, answer.encode()[:4096])
        finally:
            os._exit(0)
    os.close(writer)
    try:
        ready, _, _ = select.select([reader], [], [], timeout)
        if not ready:
            os.kill(child, signal.SIGKILL)
        answer = os.read(reader, 4096).decode(errors="replace") if ready else f"it did not end in {timeout} s"
    finally:
        os.close(reader)
        _, status = os.waitpid(child, 0)
    if answer == "done":
        return ""
    return answer or f"it died with {os.waitstatus_to_exitcode(status)}"


def check_threads(reading: Reading, n_threads: int, timeout: float) -> None:
    """Several threads that read at once all read the same."""
    start = threading.Barrier(n_threads)
    failures: list[BaseException] = []

    def read(seed: int) -> None:
        random = np.random.default_rng(seed)
        try:
            start.wait(timeout)
            for _ in range(5):
                reading.check(reading.source, random)
        except BaseException as error:  # noqa: BLE001  (it is raised in the thread that waits)
            failures.append(error)

    # daemons: one that hangs must not keep the process from ending
    threads = [threading.Thread(target=read, args=(seed,), daemon=True) for seed in range(n_threads)]
    with promise(f"{n_threads} threads that read at once read the same"):
        for thread in threads:
            thread.start()
        end = time.monotonic() + timeout
        for thread in threads:
            thread.join(max(0, end - time.monotonic()))
        expect(not any(thread.is_alive() for thread in threads), f"they did not end in {timeout} s")
        if failures:
            raise failures[0]
