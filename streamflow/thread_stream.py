"""`ThreadStreamer`: run a tree in a thread."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .background import BackgroundStreamer
from .core.validate import positive_integer

if TYPE_CHECKING:
    from .background import Job, ThreadWorker, WorkerPool

__all__ = ["ThreadStreamer"]

#: Seconds that closing waits for user code to return.
_CLOSE_TIMEOUT = 5.0


class ThreadStreamer(BackgroundStreamer):
    """Make the items of a stream in a thread, while this thread does something else with them.

    For leaves that wait (for a disk, a network) or call libraries that release the GIL, as NumPy does in large
    operations; what computes in Python itself belongs in a `ZMQStreamer`.  An error in the thread is raised here, after
    the items before it, with its type, its traceback and its place in the tree.  A pass can be saved and resumed like
    any other.

    Parameters
    ----------
    streamer : Streamer
        The tree to run; any other re-iterable is wrapped in a `Streamer`.
    buffer : int
        How many items the thread may be ahead, at least 1, counting the one that it is making (2).
    random_state : None, int, SeedSequence, Generator or RandomState
        A seed of its own, as with `with_seed`; None (the default): the parent's.

    Raises
    ------
    ParameterError
        If a parameter is invalid; at the first item, if the tree holds a one-shot iterator.
    BackgroundError
        At the first item, if no thread can be started; in place of an item, if the tree raised an error that would mean
        something else here (`SystemExit`, `KeyboardInterrupt`, `GeneratorExit`, `StopIteration`).
    WorkerDied
        In a forked copy of this process, whose open streams have no threads.

    Notes
    -----
    Items are handed over as they are, without a copy.  If the leaf keeps an array that it has yielded, it sees what you
    write into it, as it would without the thread.  A leaf that fills the same array again for each item cannot run
    ahead: it must yield a new array, or a copy, each time.

    The tree runs in the thread from its first item to its closing, ``finally`` blocks included.  Closing asks the
    thread to stop, and waits up to 5 seconds (after Ctrl-C 0.1) until user code has returned and the tree is closed;
    after that it leaves the thread to finish alone.  All threads share the global random states, so leaves should draw
    from their ``rng``.

    Each pass starts a new thread; ``cycle`` keeps it from epoch to epoch.

    Sharding: the tree is sharded.

    Examples
    --------
    >>> from streamflow import Streamer
    >>> squares = ThreadStreamer(Streamer([{"x": i**2} for i in range(3)]), buffer=4)
    >>> for item in squares:
    ...     print(item)
    {'x': 0}
    {'x': 1}
    {'x': 4}
    """

    def __init__(self, streamer: Any, buffer: int = 2, *, random_state: Any = None) -> None:
        super().__init__(streamer, random_state)
        self.buffer = positive_integer("buffer", buffer)

    def __repr__(self) -> str:
        return f"ThreadStreamer({self.streamer!r}, buffer={self.buffer})"

    def worker_pool(self) -> WorkerPool:
        """One thread, for the only lane."""
        from .background import WorkerPool

        return WorkerPool(self._start_thread, n_lanes=1, timeout=_CLOSE_TIMEOUT)

    def _lane_count(self) -> int:
        return 1

    def _start_thread(self, job: Job, n_workers: int) -> ThreadWorker:
        from .background import ThreadWorker

        return ThreadWorker(job, self.buffer)
