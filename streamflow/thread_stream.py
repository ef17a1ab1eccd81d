"""ThreadStreamer: run a tree in a thread."""

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
    """Make the items of a stream in a thread, while this one does something else with them.

    For leaves that wait (for a disk, a network) or work in libraries that release the interpreter's lock, as NumPy does
    in large operations; what computes in Python itself belongs in a `ZMQStreamer`.  An error in the thread is raised
    here, after the items before it, with its type, its traceback and its place in the tree.  A pass can be saved and
    resumed like any other.

    Parameters
    ----------
    streamer : Streamer
        The tree to run; anything else that can be iterated again and again is wrapped in one.
    buffer : int
        How many items the thread may be ahead, at least 1, counting the one that it is making.
    random_state : None, int, SeedSequence, Generator or RandomState
        A root of randomness of its own, as by `with_seed`; None takes the parent's.

    Raises
    ------
    ParameterError
        If a parameter is wrong; at the first item, if the tree holds a one-shot iterator.
    BackgroundError
        At the first item, if no thread can be started; in place of an item, if the tree raised what would mean
        something else here (`SystemExit`, `KeyboardInterrupt`, `GeneratorExit`, `StopIteration`).
    WorkerDied
        In a forked copy of the process, where the thread of a stream that was open does not run.

    Notes
    -----
    Items are handed over as they are, without a copy.  What you write into an item the leaf sees too, as it would
    without the thread, if it still has that array.  A leaf that fills the same array again for each item cannot run
    ahead: it has to yield a new array each time, or a copy.

    The tree runs in the thread from its first item to its closing, ``finally`` blocks included.  Closing tells the
    thread to stop, and waits up to 5 seconds (after Ctrl-C 0.1) until user code has returned and the tree is closed;
    after that the thread is left to finish alone.  All threads share the global random states, so leaves should draw
    from their ``rng``.

    Each pass has a thread of its own; ``cycle`` keeps it from epoch to epoch.

    Sharding: the stream inside is sharded.

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
        """One thread, which runs the only lane."""
        from .background import WorkerPool

        return WorkerPool(self._start_thread, n_lanes=1, timeout=_CLOSE_TIMEOUT)

    def _start_thread(self, job: Job, n_workers: int) -> ThreadWorker:
        from .background import ThreadWorker

        return ThreadWorker(job, self.buffer)
