"""Promises about a source that is read in a forked process, and by several threads at once."""

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
    """A forked process reads the same data, and so does this process afterwards."""
    if not hasattr(os, "fork"):
        return
    reading.check(reading.source)  # opens whatever reading opens
    with promise("a forked process reads the same data"):
        answer = _in_child(lambda: reading.check(reading.source, np.random.default_rng(1)), timeout)
        expect(not answer, answer)
    with promise("a source reads the same data after a forked process has read it"):
        reading.check(reading.source)


def _in_child(job: Callable[[], None], timeout: float) -> str:
    """Run a function in a forked process; returns what went wrong, or an empty string."""
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that this process has several threads
        child = os.fork()
    if not child:
        try:
            try:
                job()
                answer = "done"
            except BaseException as error:  # noqa: BLE001  (a forked child must not return)
                answer = str(error) if isinstance(error, AssertionError) else f"{type(error).__name__}: {error}"
            os.write(writer, answer.encode()[:4096])
        finally:
            os._exit(0)
    os.close(writer)
    try:
        ready, _, _ = select.select([reader], [], [], timeout)
        if not ready:
            os.kill(child, signal.SIGKILL)
        answer = os.read(reader, 4096).decode(errors="replace") if ready else f"it did not finish within {timeout:g} s"
    finally:
        os.close(reader)
        _, status = os.waitpid(child, 0)
    if answer == "done":
        return ""
    return answer or f"it exited with {os.waitstatus_to_exitcode(status)}"


def check_threads(reading: Reading, n_threads: int, timeout: float) -> None:
    """Threads that read at the same time read the same data."""
    start = threading.Barrier(n_threads)
    failures: list[BaseException] = []

    def read(seed: int) -> None:
        random = np.random.default_rng(seed)
        try:
            start.wait(timeout)
            for _ in range(5):
                reading.check(reading.source, random)
        except BaseException as error:  # noqa: BLE001  (raised again in the main thread)
            failures.append(error)

    # daemons, so that one that hangs does not keep the process alive
    threads = [threading.Thread(target=read, args=(seed,), daemon=True) for seed in range(n_threads)]
    with promise(f"{n_threads} threads reading at once read the same data"):
        for thread in threads:
            thread.start()
        end = time.monotonic() + timeout
        for thread in threads:
            thread.join(max(0, end - time.monotonic()))
        expect(not any(thread.is_alive() for thread in threads), f"they did not finish within {timeout:g} s")
        if failures:
            raise failures[0]
