"""ZMQStreamer: run a tree in other processes."""

from __future__ import annotations

import os
import sys
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from .background_stream import BackgroundStreamer
from .core.fingerprint import Fingerprint
from .core.validate import is_integer, is_number, require
from .exceptions import BackgroundError, ParameterError

if TYPE_CHECKING:
    from .background import Crew, Door, InPlace, Job, Process

__all__ = ["ZMQStreamer"]

_TRANSPORTS = ("auto", "shm", "ipc", "tcp")
_warned = False


class ZMQStreamer(BackgroundStreamer):
    """Make the items of a stream in other processes, while this one does something else with them.

    What arrives equals what the stream would give here, with the same types; arrays may be written to.  An error over
    there is raised here, with its type, and its traceback and its place in the tree as notes; a worker that dies is a
    `WorkerDied`, or is replaced.  A pass can be saved and resumed as any other.

    Parameters
    ----------
    streamer : Streamer
        The tree to run; anything else that can be iterated again and again is wrapped in one.
    min_port, max_port : int
        The ports that may be used, both included; only for ``transport='tcp'``.
    max_tries : int
        How many ports are tried; likewise.
    copy : bool
        True: large arrays that come through shared memory are copied into memory of your own.  It costs two to four
        times as much, and is needed where processes that you fork go on using batches of this one.
    timeout : float or None
        Seconds that closing may take at most: a worker that has not ended after 0.1 s is interrupted (its ``finally``
        blocks run), and killed before this time is over.  None: never killed.
    n_workers : int
        Number of processes, at least 1.
    n_lanes : int or None
        Into how many parts the stream is divided (see Notes); None means `n_workers`, or, where a state is loaded, as
        many as it has.
    buffer_bytes : int
        How many bytes all workers together may be ahead, to within one item each.
    transport : {'auto', 'shm', 'ipc', 'tcp'}
        ``shm`` is memory that both processes share (Linux); ``ipc`` a Unix socket in a private folder; ``tcp`` the
        loopback interface with CURVE, which authenticates and encrypts; ``auto`` takes the first that there is.
    start_method : {None, 'fork', 'forkserver', 'spawn'}
        How workers are started; None is ``fork`` on Linux and ``spawn`` elsewhere.  With ``fork`` nothing needs to be
        pickled; the others copy the tree with its arguments (closures and functions of a notebook too) and begin with a
        clean process, which is better where this one runs threads with locks that the sources need.
    on_worker_death : {'raise', 'restart'}
        ``restart``: another worker takes the place of one that has died, and the stream goes on without an item lost or
        repeated, provided that sources give the same items again.  When three in a row die at the same place, it is a
        `WorkerDied`.
    item_timeout : float or None
        Seconds without an item after which `BackgroundError` says where the worker hangs.  Items that are made again,
        after a state has been loaded or a worker replaced, count as none.

    Raises
    ------
    ParameterError
        If a parameter is wrong; at the first item, if a source is a one-shot iterator.
    BackgroundError
        At the first item, if no worker can be started.

    Notes
    -----
    A stream of several lanes is divided as by `Streamer.shard`, and gives one item of each lane in turn.  It depends on
    the tree, its seed and the number of lanes, not on the number of workers: with `n_lanes` fixed, `n_workers` may
    change from run to run, and even when a state is loaded.  With one lane it is the stream itself.

    Each pass has workers of its own; ``cycle`` keeps them from epoch to epoch.  Each seeds `random` and `numpy.random`
    for itself from its place in the tree.  In a daemonic process, and in a worker, the stream runs in place; a warning
    says so once.

    Sharding: the stream inside is sharded, and each part divided into lanes.

    Examples
    --------
    >>> from streamflow import Streamer
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
        n_workers: int = 1,
        n_lanes: int | None = None,
        buffer_bytes: int = 64 << 20,
        transport: str = "auto",
        start_method: str | None = None,
        on_worker_death: str = "raise",
        item_timeout: float | None = None,
    ) -> None:
        super().__init__(streamer)
        for name, port in (("min_port", min_port), ("max_port", max_port)):
            require(is_integer(port) and 1 <= port <= 65535, name, "a port from 1 to 65535", port)
        require(min_port <= max_port, "min_port", f"at most `max_port` ({max_port})", min_port)
        require(is_integer(max_tries) and max_tries >= 1, "max_tries", "an integer from 1 on", max_tries)
        require(isinstance(copy, (bool, np.bool_, int)), "copy", "True or False", copy)
        _check_seconds("timeout", timeout, 0)
        _check_seconds("item_timeout", item_timeout, 1e-3)
        require(is_integer(n_workers) and n_workers >= 1, "n_workers", "an integer from 1 on", n_workers)
        lanes_ok = n_lanes is None or (is_integer(n_lanes) and n_lanes >= 1)
        require(lanes_ok, "n_lanes", "None or an integer from 1 on", n_lanes)
        require(is_integer(buffer_bytes) and buffer_bytes >= 1, "buffer_bytes", "an integer from 1 on", buffer_bytes)
        require(transport in _TRANSPORTS, "transport", f"one of {', '.join(map(repr, _TRANSPORTS))}", transport)
        possible = transport != "shm" or _shares_memory()
        require(possible, "transport", "one that this system has", transport, "take 'auto'")
        _check_start_method(start_method)
        require(on_worker_death in ("raise", "restart"), "on_worker_death", "'raise' or 'restart'", on_worker_death)
        self.min_port, self.max_port, self.max_tries = int(min_port), int(max_port), int(max_tries)
        self.copy, self.timeout, self.buffer_bytes = bool(copy), timeout, int(buffer_bytes)
        self.n_workers, self.n_lanes = int(n_workers), None if n_lanes is None else int(n_lanes)
        self.transport, self.start_method = transport, start_method
        self.on_worker_death, self.item_timeout = on_worker_death, item_timeout
        if self.n_lanes is not None and self.n_workers > self.n_lanes:
            from .background import warn_of_idle

            warn_of_idle(self.n_workers, self.n_lanes)
        self._check_lanes()

    def _crew(self) -> Crew:
        from .background import Crew, runs_in_place

        in_place = runs_in_place()
        if in_place:
            _warn_once()
        return Crew(
            start=_start_in_place if in_place else self._start_worker,
            n_workers=self.n_workers,
            n_lanes=self.n_lanes,
            restart=self.on_worker_death == "restart",
            timeout=self.timeout,
            item_timeout=self.item_timeout,
        )

    def _start_worker(self, job: Job, n_workers: int) -> Process:
        from .background import Process, default_method, draw_entropy

        draw_entropy(job)
        method = self.start_method or default_method()
        limit = max(1, self.buffer_bytes // n_workers)
        return Process(job, self._door(method), method, limit, self.item_timeout)

    def _door(self, method: str) -> Door:
        """Where a worker comes in."""
        import multiprocessing

        from .background import Listener, ShmDoor, ZmqDoor, default_socket

        transport = self.transport
        if transport == "shm" or (transport == "auto" and _shares_memory()):
            try:
                return ShmDoor(multiprocessing.get_context(method), self.copy)
            except OSError as error:
                if transport == "shm":
                    raise BackgroundError(f"no memory can be shared with a worker: {error}") from error
        socket = default_socket() if transport in ("auto", "shm") else transport
        return ZmqDoor(Listener(socket, (self.min_port, self.max_port), self.max_tries))

    def fingerprint(self) -> Fingerprint:
        inner = self.streamer.fingerprint()
        # Seeding the worker's global states is a use of randomness.
        return self._marked(inner.then(f"{self._label()}({inner.text})", random=True))

    def _check_lanes(self) -> None:
        """Raise if the stream cannot be divided into so many parts."""
        n_lanes, own = self.n_lanes or self.n_workers, self.streamer._overrides
        if n_lanes > 1:
            try:
                self.streamer._check_shards((*(own.shards if own is not None else ()), (0, n_lanes)))
            except ParameterError as error:
                raise ParameterError(f"the stream cannot be divided into {n_lanes} lanes: {error}") from None


def _start_in_place(job: Job, n_workers: int) -> InPlace:
    from .background import InPlace

    return InPlace(job)


def _check_start_method(start_method: Any) -> None:
    if start_method is not None:
        import multiprocessing

        methods = multiprocessing.get_all_start_methods()
        require(start_method in methods, "start_method", f"None or one of {', '.join(methods)}", start_method)


def _check_seconds(name: str, seconds: Any, least: float) -> None:
    fine = seconds is None or (is_number(seconds) and least <= seconds < float("inf"))
    require(fine, name, f"None or a number of seconds from {least:g} on", seconds)


def _shares_memory() -> bool:
    """Whether this system has memory that a worker can be given."""
    return sys.platform == "linux" and hasattr(os, "memfd_create")


def _warn_once() -> None:
    global _warned  # noqa: PLW0603
    if not _warned:
        _warned = True
        warnings.warn(
            "a ZMQStreamer inside a worker or a daemonic process starts no worker of its own: it runs in place",
            stacklevel=2,
        )
