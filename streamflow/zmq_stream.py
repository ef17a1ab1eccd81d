"""`ZMQStreamer`: run a tree in worker processes."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, ClassVar

from .background import BackgroundStreamer
from .core.validate import choice, flag, is_integer, is_number, optional_positive_integer, positive_integer, require
from .core.walk import check_shards
from .exceptions import ParameterError

if TYPE_CHECKING:
    from .background import InlineWorker, Job, ProcessWorker, WorkerPool

__all__ = ["ZMQStreamer"]

_TRANSPORTS = ("auto", "shm", "ipc", "tcp")
_warned = False


class ZMQStreamer(BackgroundStreamer):
    """Make the items of a stream in worker processes, while this process does something else with them.

    The items equal those of the stream itself, with the same types, and their arrays are writeable.  An error in a
    worker is raised here with its type; its traceback and its place in the tree are added as notes.  A worker that dies
    raises `WorkerDied`, or is replaced.  A pass can be saved and resumed like any other.

    Parameters
    ----------
    streamer : Streamer
        The tree to run; any other re-iterable is wrapped in a `Streamer`.
    min_port, max_port : int
        Range of the ports that may be used, both included (49152 to 65535); for ``transport='tcp'`` only.
    max_tries : int
        How many ports are tried (100); for ``transport='tcp'`` only.
    copy : bool
        True: large arrays that come through shared memory are copied into private memory.  This costs two to four times
        as much, and is needed if processes that you fork keep using batches of this one.
    timeout : float or None
        Seconds that closing may take (5).  A worker that has not ended after 0.1 s is interrupted, so that its
        ``finally`` blocks run, and killed before this time is over.  None: it is never killed.
    n_workers : int
        Number of worker processes, at least 1 (the default).
    n_lanes : int or None
        How many parts the stream is divided into (see Notes).  None: `n_workers`, or as many as a state that is loaded.
    buffer_bytes : int
        How many bytes all workers together may be ahead (64 MiB); each may exceed its share by one item.
    transport : {'auto', 'shm', 'ipc', 'tcp'}
        ``shm`` is shared memory (Linux); ``ipc`` a Unix socket in a private folder; ``tcp`` the loopback interface with
        CURVE, which authenticates and encrypts; ``auto`` the first of them that the system has.
    start_method : {None, 'fork', 'forkserver', 'spawn'}
        How workers are started; None is ``fork`` on Linux and ``spawn`` elsewhere.  With ``fork`` nothing needs to be
        pickled.  The others copy the tree with its arguments (closures and notebook functions too) into a clean
        process, which is better if this one runs threads with locks that the leaves need.
    on_worker_death : {'raise', 'restart'}
        ``restart``: another worker takes the place of one that died, and the stream continues with no item lost or
        repeated, provided that leaves repeat their items.  When three in a row die at the same item, `WorkerDied` is
        raised.
    item_timeout : float or None
        Seconds without an item, at least 0.001, after which `BackgroundError` is raised with the stack of the worker;
        None: no limit.  The time runs also while items are only drawn again, after a state was loaded or a worker
        replaced.
    random_state : None, int, SeedSequence, Generator or RandomState
        A seed of its own, as with `with_seed`; None (the default): the parent's.

    Raises
    ------
    ParameterError
        If a parameter is invalid, or the stream cannot be divided into its lanes; at the first item, if the tree
        holds a one-shot iterator.
    BackgroundError
        At the first item, if no worker can be started or the tree cannot be sent to it.  In place of an item, after
        `item_timeout`; or if the tree raised an error that cannot be pickled or would mean something else here
        (`SystemExit`, `KeyboardInterrupt`, `GeneratorExit`, `StopIteration`).
    DataError
        In place of an item that cannot be pickled.
    WorkerDied
        If a worker dies and is not replaced; in a forked copy of this process, whose open streams have no workers.

    Notes
    -----
    A stream of several lanes is divided as by `Streamer.shard`, and yields one item of each lane in turn.  It depends
    on the tree, its seed and the number of lanes, not on the number of workers: with `n_lanes` fixed, `n_workers` may
    change from run to run, even when a state is loaded.  With one lane it is the stream itself.

    Each pass starts new workers; ``cycle`` keeps them from epoch to epoch.  Each worker seeds `random` and
    `numpy.random` from the seed and its first lane.  In a daemonic process, and inside a worker, the stream runs in
    place, with a warning the first time.

    Sharding: the tree is sharded, and each part is divided into lanes.

    Examples
    --------
    >>> import numpy as np
    >>> from streamflow import Streamer
    >>> squares = ZMQStreamer(Streamer([{"x": np.arange(3) ** i} for i in range(3)]))
    >>> for item in squares:
    ...     print(item["x"])
    [1 1 1]
    [0 1 2]
    [0 1 4]
    """

    seeds_workers: ClassVar[bool] = True

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
        random_state: Any = None,
    ) -> None:
        super().__init__(streamer, random_state)
        self.min_port, self.max_port = _port("min_port", min_port), _port("max_port", max_port)
        require(min_port <= max_port, "min_port", f"at most `max_port` ({max_port})", min_port)
        self.max_tries = positive_integer("max_tries", max_tries)
        self.copy = flag("copy", copy)
        self.timeout = _seconds("timeout", timeout, 0)
        self.n_workers = positive_integer("n_workers", n_workers)
        self.n_lanes = optional_positive_integer("n_lanes", n_lanes)
        self.buffer_bytes = positive_integer("buffer_bytes", buffer_bytes)
        self.transport = _transport(transport)
        self.start_method = _start_method(start_method)
        self.on_worker_death = choice("on_worker_death", on_worker_death, ("raise", "restart"))
        self.item_timeout = _seconds("item_timeout", item_timeout, 1e-3)
        if self.n_lanes is not None and self.n_workers > self.n_lanes:
            from .background.pool import warn_of_idle

            warn_of_idle(self.n_workers, self.n_lanes)
        self._check_lanes()

    def worker_pool(self) -> WorkerPool:
        """Worker processes, or one worker in place where this process may start none."""
        from .background import WorkerPool
        from .background.process import runs_in_place

        in_place = runs_in_place()
        if in_place:
            _warn_once()
        return WorkerPool(
            start=_start_in_place if in_place else self._start_process,
            n_workers=self.n_workers,
            n_lanes=self.n_lanes,
            restart=self.on_worker_death == "restart",
            timeout=self.timeout,
            item_timeout=self.item_timeout,
        )

    def _lane_count(self) -> int:
        return self.n_lanes or self.n_workers

    def _start_process(self, job: Job, n_workers: int) -> ProcessWorker:
        from .background.process import ProcessWorker, default_method
        from .background.transport import open_channel

        method = self.start_method or default_method()
        channel = open_channel(self.transport, method, self.copy, (self.min_port, self.max_port), self.max_tries)
        return ProcessWorker(job, channel, method, max(1, self.buffer_bytes // n_workers), self.item_timeout)

    def _check_lanes(self) -> None:
        """Raise if the stream cannot be divided into that many lanes."""
        n_lanes = self.n_lanes or self.n_workers
        if n_lanes > 1:
            try:
                check_shards(self.streamer, (*self.streamer._own_shards(), (0, n_lanes)))
            except ParameterError as error:
                raise ParameterError(f"the stream cannot be divided into {n_lanes} lanes: {error}") from None


def _start_in_place(job: Job, n_workers: int) -> InlineWorker:
    from .background import InlineWorker

    return InlineWorker(job)


def _port(name: str, port: Any) -> int:
    require(is_integer(port) and 1 <= port <= 65535, name, "a port from 1 to 65535", port)
    return int(port)


def _seconds(name: str, seconds: Any, least: float) -> float | None:
    fine = seconds is None or (is_number(seconds) and least <= seconds < float("inf"))
    require(fine, name, f"None or a number of seconds, at least {least:g}", seconds)
    return seconds  # type: ignore[no-any-return]


def _transport(transport: Any) -> str:
    transport = choice("transport", transport, _TRANSPORTS)
    if transport == "shm":
        from .background.transport import shares_memory

        require(shares_memory(), "transport", "one that this system has", transport, "use 'auto'")
    return str(transport)


def _start_method(start_method: Any) -> str | None:
    if start_method is None:
        return None
    import multiprocessing

    methods = multiprocessing.get_all_start_methods()
    rule = f"None or one of {', '.join(map(repr, methods))}"
    require(start_method in methods, "start_method", rule, start_method)
    return str(start_method)


def _warn_once() -> None:
    global _warned  # noqa: PLW0603
    if not _warned:
        _warned = True
        warnings.warn(
            "a ZMQStreamer inside a worker or a daemonic process starts no workers: it runs in place",
            stacklevel=2,
        )
