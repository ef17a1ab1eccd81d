"""Run a tree in the background: in worker processes, in a thread, or in place where no worker may be started.

From the ground up; of this package, each file imports only from those above it::

    stacks         the Python stack of a worker that hangs
    heap           which bytes of a shared memory segment are free
    wire           items to layouts, arrays and pickles, and back
    records        what passes between worker and consumer; the protocols of a channel and its ends
    zmq/listener   a socket that only the worker can connect to: in a private folder, or loopback with CURVE
    zmq/channel    records as ZMQ messages, read-ahead bounded in bytes
    shm/segment    a shared memory segment as both ends know it
    shm/sender     the worker's end
    shm/receiver   the consumer's end
    shm/channel    records as blocks of shared memory (Linux), read-ahead bounded likewise
    task           the job of a worker, and how it is sent
    seeds          draws entropy in the consumer, seeds global generators in a worker
    produce        what a worker does: draw items from its lanes in turn, and take a mark now and then
    worker         the worker process: signals, memory, watching the consumer
    pool           what every kind of worker offers the consumer; how many there are, how they are stopped
    process        a worker that is a process
    local          a worker that is a thread, or runs in place
    transport      chooses the channel of a worker process
    node           a background stream as the live node of a tree
    stream         `BackgroundStreamer`, the description

`produce` knows no channel, and `node` no kind of worker.  So a new transport is a new `Channel`, and a new kind of
worker is a new `Worker`, started by a subclass of `BackgroundStreamer`.  All files may import `core`; none imports
`ZMQStreamer` or `ThreadStreamer`.

Importing this package loads only `stream`.  The other names are loaded on first use, and multiprocessing and ZMQ with
them.
"""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

from .stream import BackgroundStreamer

if _TYPE_CHECKING:
    from .local import InlineWorker, ThreadWorker
    from .pool import Worker, WorkerPool
    from .process import ProcessWorker
    from .records import Channel, Receiver, Sender, WorkerEnd
    from .seeds import draw_entropy, seed_global_generators
    from .task import Job

__all__ = [
    "BackgroundStreamer",
    "Channel",
    "InlineWorker",
    "Job",
    "ProcessWorker",
    "Receiver",
    "Sender",
    "ThreadWorker",
    "Worker",
    "WorkerEnd",
    "WorkerPool",
    "draw_entropy",
    "seed_global_generators",
]

#: The module of each name that is loaded on first use.
_LAZY = {
    "Channel": "records",
    "InlineWorker": "local",
    "Job": "task",
    "ProcessWorker": "process",
    "Receiver": "records",
    "Sender": "records",
    "ThreadWorker": "local",
    "Worker": "pool",
    "WorkerEnd": "records",
    "WorkerPool": "pool",
    "draw_entropy": "seeds",
    "seed_global_generators": "seeds",
}


def __getattr__(name: str) -> _Any:
    if name in _LAZY:
        return getattr(_import_module(f".{_LAZY[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
