"""Workers that convert files: processes where each result is independent, threads where results are wanted in order."""

from __future__ import annotations

import os
import signal
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import islice
from typing import Any, TypeVar

from ...core.signals import ignored
from ...exceptions import WorkerDied

__all__ = ["in_processes", "in_threads"]

A = TypeVar("A")
B = TypeVar("B")


def in_processes(
    function: Callable[..., list[A]], tasks: Sequence[tuple[Any, ...]], n_workers: int, died: str
) -> Generator[A, None, None]:
    """The elements of ``function(*task)`` for each task, from other processes, as soon as a task is done.

    Parameters
    ----------
    function : function
        Of a module, so that it can be pickled.
    tasks : sequence of tuple
    n_workers : int
    died : str
        How the error begins if a worker dies.
    """
    import joblib
    from joblib.externals.loky.process_executor import BrokenProcessPool

    parallel = joblib.Parallel(
        n_workers, return_as="generator_unordered", batch_size=1, initializer=_end_with_parent, initargs=(os.getpid(),)
    )
    with ignored(signal.SIGINT):  # Ctrl-C is for this process, which ends its workers
        results = parallel(joblib.delayed(function)(*task) for task in tasks)
    try:
        for some in results:
            yield from some
    except BrokenProcessPool as error:
        raise WorkerDied(f"{died}: {' '.join(str(error).split())}") from error
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # about the tasks that are given up
            results.close()


def _end_with_parent(parent: int) -> None:
    """End this worker soon after its parent, even if that was killed."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    if os.name == "posix":
        threading.Thread(target=watch, daemon=True).start()


def in_threads(function: Callable[[A], B], items: Iterable[A], n_workers: int) -> Generator[B, None, None]:
    """``function(item)`` for each item, in order, from threads a few items ahead; with one worker, from this thread."""
    if n_workers == 1:
        yield from map(function, items)
        return
    left = iter(items)
    pool = ThreadPoolExecutor(n_workers)
    try:
        waiting = deque(pool.submit(function, item) for item in islice(left, 2 * n_workers))
        while waiting:
            yield waiting.popleft().result()
            with suppress(StopIteration):
                waiting.append(pool.submit(function, next(left)))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
