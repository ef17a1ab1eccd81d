"""ThreadStreamer: run a tree in a thread."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .background_stream import BackgroundStreamer
from .core.validate import is_integer, require

if TYPE_CHECKING:
    from .background import Crew, Job, Thread

__all__ = ["ThreadStreamer"]

#: Seconds that closing waits for user code to let go.
_PATIENCE = 5.0


class ThreadStreamer(BackgroundStreamer):
    """Make the items of a stream in a thread, while this one does something else with them.

    For sources that wait (for a disk, a network) or work in libraries that let go of the interpreter's lock, as NumPy
    does in large operations; what computes in Python itself belongs in a `ZMQStreamer`.  An error in the thread is
    raised here, after the items before it, with its type, its traceback and its place in the tree.  A pass can be saved
    and resumed as any other.

    Parameters
    ----------
    streamer : Streamer
        The tree to run; anything else that can be iterated again and again is wrapped in one.
    buffer : int
        How many items the thread may be ahead, at least 1, counting the one that it is making.

    Raises
    ------
    ParameterError
        If a parameter is wrong; at the first item, if a source is a one-shot iterator.
    BackgroundError
        At the first item, if no thread can be started; where an item should be, if the tree raised what would mean
        something else here (`SystemExit`, `KeyboardInterrupt`, `GeneratorExit`, `StopIteration`).
    WorkerDied
        In a forked copy of the process, where the thread of a stream that was open does not run.

    Notes
    -----
    Items are handed over as they are, without a copy.  What you write into an item the source sees, as without the
    thread, if it still has that array.  A source that fills one array again and again for all of its items cannot run
    ahead: it has to yield a new one each time, or a copy.

    The tree runs in the thread from its first item to its closing: ``finally`` blocks too.  Closing tells the thread to
    stop, and waits up to 5 seconds (after Ctrl-C 0.1) until user code has let go and the tree is closed; after that the
    thread is left to it.  Global random states are shared with everybody, so sources should draw from their ``rng``.

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

    def __init__(self, streamer: Any, buffer: int = 2) -> None:
        super().__init__(streamer)
        require(is_integer(buffer) and buffer >= 1, "buffer", "an integer from 1 on", buffer)
        self.buffer = int(buffer)

    def __repr__(self) -> str:
        return f"ThreadStreamer({self.streamer!r}, buffer={self.buffer})"

    def _crew(self) -> Crew:
        from .background import Crew

        return Crew(self._start_thread, n_lanes=1, timeout=_PATIENCE)

    def _start_thread(self, job: Job, n_workers: int) -> Thread:
        from .background import Thread, draw_entropy

        if self.streamer.fingerprint().random:
            draw_entropy(job)
        return Thread(job, self.buffer)
