"""ThreadStreamer: run a tree in a thread.

Knows `background` and all below it; loads it when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .core import Streamer
from .core.binding import Own
from .core.describe import Shape
from .core.node import Node
from .core.source import Shards
from .exceptions import is_whole, require
from .seeding import Key

if TYPE_CHECKING:
    from .background import Job, Thread

__all__ = ["ThreadStreamer"]

#: Seconds that closing waits for user code to let go.
_PATIENCE = 5.0


class ThreadStreamer(Streamer):
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
    stop, and waits up to 5 seconds until user code has let go and the tree is closed; after that the thread is left to
    it.  Global random states are shared with everybody, so sources should draw from their ``rng``.

    Each pass has a thread of its own; ``cycle`` keeps it from epoch to epoch.

    Sharding: the stream inside is sharded.

    Examples
    --------
    >>> squares = ThreadStreamer(Streamer([{"x": i**2} for i in range(3)]), buffer=4)
    >>> for item in squares:
    ...     print(item)
    {'x': 0}
    {'x': 1}
    {'x': 4}
    """

    def __init__(self, streamer: Any, buffer: int = 2) -> None:
        super().__init__(())
        require(is_whole(buffer) and buffer >= 1, "buffer", "an integer from 1 on", buffer)
        self.streamer = streamer if isinstance(streamer, Streamer) else Streamer(streamer)
        self.buffer = int(buffer)
        self._checked = False
        inner = self.streamer._own
        if inner is not None and inner.binding is not None:
            # Made inside a source function, over a Streamer that it was given: it belongs where that one does.
            self._own = Own(None, (), inner.binding)
            self.streamer = self.streamer._twin(Own(inner.root, inner.shards))

    def __repr__(self) -> str:
        return f"ThreadStreamer({self.streamer!r}, buffer={self.buffer})"

    # ------------------------------------------------------------------ hooks
    def _node(self, key: Key, shards: Shards) -> Node:
        from .background import BackgroundNode, Crew, Job, check_sources

        if not self._checked:
            check_sources(self.streamer)
            self._checked = True
        job = Job(self.streamer, key, shards, n_lanes=1, numbers=(), lanes=(), verify=False)
        return BackgroundNode(self._words(), job, Crew(self._start_thread, n_lanes=1, timeout=_PATIENCE))

    def _start_thread(self, job: Job, n_workers: int) -> Thread:
        from .background import Thread

        if job.key.root.drawn is None and self.streamer._shape().random:
            _ = job.key.root.entropy  # drawn here, so that it comes in the order of this thread's other draws
        return Thread(job, self.buffer)

    def _shape(self) -> Shape:
        inner = self.streamer._shape()
        return self._marked(inner.then(f"{self._words()}({inner.text})"))

    def _words(self) -> str:
        return type(self).__name__

    def _check_shards(self, shards: Shards) -> None:
        self.streamer._check_shards(shards)
