"""ZMQStreamer: run a tree in another process, over ZMQ.

Knows `background` and all below it; loads it (and `multiprocessing` and ZMQ with it) when it is first used.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from .core import Streamer
from .core.binding import Own
from .core.describe import Shape
from .core.node import Node
from .core.source import Shards
from .core.streamer import open_node
from .exceptions import is_number, is_whole, require
from .seeding import Key

if TYPE_CHECKING:
    from .background import Job, Process

__all__ = ["ZMQStreamer"]

_warned = False


class ZMQStreamer(Streamer):
    """Make the items of a stream in another process, while this one does something else with them.

    What arrives equals what the stream would give here, item by item, with the same types; arrays may be written to.
    An error over there is raised here, with its type, and its traceback and its place in the tree as notes; a worker
    that dies is a `WorkerDied`.  A pass can be saved and resumed as any other.

    Parameters
    ----------
    streamer : Streamer
        The tree to run; anything else that can be iterated again and again is wrapped in one.
    min_port, max_port : int
        The ports that may be used, both included; only for ``transport='tcp'``.
    max_tries : int
        How many ports are tried.
    copy : bool
        Over a socket items are always copies of your own, so here it makes no difference.
    timeout : float or None
        Seconds that closing may take at most: a worker that has not ended after 0.1 s is interrupted (its ``finally``
        blocks run), and killed before this time is over.  None: never killed.
    buffer_bytes : int
        How many bytes the worker may be ahead, to within one item.
    transport : {'auto', 'ipc', 'tcp'}
        ``ipc`` is a Unix socket in a private folder, ``tcp`` the loopback interface with CURVE, which authenticates and
        encrypts; ``auto`` takes the first that there is.
    start_method : {None, 'fork', 'forkserver', 'spawn'}
        How the worker is started; None is ``fork`` on Linux and ``spawn`` elsewhere.  With ``fork`` nothing needs to be
        pickled; the others copy the tree with its arguments (closures and functions of a notebook too) and begin with a
        clean process, which is better where this one runs threads with locks that the sources need.

    Raises
    ------
    ParameterError
        If a parameter is wrong; at the first item, if a source is a one-shot iterator.
    BackgroundError
        At the first item, if no worker can be started.

    Notes
    -----
    Each pass has a worker of its own.  It seeds `random` and `numpy.random` for itself from its place in the tree.

    In a daemonic process, and in a worker, the stream runs in place; a warning says so once.

    Sharding: the stream inside is sharded.

    Examples
    --------
    >>> squares = ZMQStreamer(Streamer([{"x": np.arange(3) ** i} for i in range(3)]))
    >>> for item in squares:
    ...     print(item["x"])
    [1 1 1]
    [0 1 2]
    [0 1 4]
    """

    def __init__(
        self,
        streamer: Any,
        min_port: int = 49152,
        max_port: int = 65535,
        max_tries: int = 100,
        copy: bool = False,
        timeout: float | None = 5,
        *,
        buffer_bytes: int = 64 << 20,
        transport: str = "auto",
        start_method: str | None = None,
    ) -> None:
        super().__init__(())
        for name, port in (("min_port", min_port), ("max_port", max_port)):
            require(_whole(port) and 1 <= port <= 65535, name, "a port from 1 to 65535", port)
        require(min_port <= max_port, "min_port", f"at most `max_port` ({max_port})", min_port)
        require(_whole(max_tries) and max_tries >= 1, "max_tries", "an integer from 1 on", max_tries)
        require(isinstance(copy, (bool, np.bool_, int)), "copy", "True or False", copy)
        require(
            timeout is None or (_number(timeout) and 0 <= timeout < float("inf")),
            "timeout",
            "None or a number of seconds from 0 on",
            timeout,
        )
        require(_whole(buffer_bytes) and buffer_bytes >= 1, "buffer_bytes", "an integer from 1 on", buffer_bytes)
        require(transport in ("auto", "ipc", "tcp"), "transport", "'auto', 'ipc' or 'tcp'", transport)
        _check_start_method(start_method)
        self.streamer = streamer if isinstance(streamer, Streamer) else Streamer(streamer)
        self.min_port, self.max_port, self.max_tries = int(min_port), int(max_port), int(max_tries)
        self.copy, self.timeout, self.buffer_bytes = bool(copy), timeout, int(buffer_bytes)
        self.transport, self.start_method = transport, start_method
        self._checked = False
        inner = self.streamer._own
        if inner is not None and inner.binding is not None:
            # Made inside a source function, over a Streamer that it was given: it belongs where that one does.
            self._own = Own(None, (), inner.binding)
            self.streamer = self.streamer._twin(Own(inner.root, inner.shards))

    def __repr__(self) -> str:
        return f"ZMQStreamer({self.streamer!r})"

    # ------------------------------------------------------------------ hooks
    def _node(self, key: Key, shards: Shards) -> Node:
        from .background import BackgroundNode, InPlaceNode, Job, check_sources, runs_in_place

        if not self._checked:
            check_sources(self.streamer)
            self._checked = True
        if runs_in_place():
            _warn_once()
            return InPlaceNode(self._words(), open_node(self.streamer, key, shards))
        job = Job(self.streamer, key, shards, given=0, state=None, skip=0, verify=False)
        return BackgroundNode(self._words(), job, self._start_worker, self.timeout)

    def _start_worker(self, job: Job) -> Process:
        from .background import Listener, Process, default_method, resolved

        listener = Listener(resolved(self.transport), (self.min_port, self.max_port), self.max_tries)
        return Process(job, listener, self.start_method or default_method(), self.buffer_bytes)

    def _shape(self) -> Shape:
        inner = self.streamer._shape()
        # Seeding the worker's global states is a use of randomness.
        return self._marked(inner.then(f"{self._words()}({inner.text})", random=True))

    def _words(self) -> str:
        return type(self).__name__

    def _check_shards(self, shards: Shards) -> None:
        self.streamer._check_shards(shards)


def _check_start_method(start_method: Any) -> None:
    if start_method is not None:
        import multiprocessing

        methods = multiprocessing.get_all_start_methods()
        require(start_method in methods, "start_method", f"None or one of {', '.join(methods)}", start_method)


def _whole(value: Any) -> bool:
    return is_whole(value)


def _number(value: Any) -> bool:
    return is_number(value)


def _warn_once() -> None:
    global _warned  # noqa: PLW0603
    if not _warned:
        _warned = True
        warnings.warn(
            "a ZMQStreamer inside a worker or a daemonic process starts no worker of its own: it runs in place",
            stacklevel=2,
        )
