"""Running a tree beside this thread: in other processes, in another thread, or in place where neither is possible.

From the ground up; each file imports only from those above it::

    stacks         the Python stack of a worker that does not answer
    heap           which bytes of a shared memory segment are free
    wire           items <-> layouts, arrays and pickles
    records        what passes between worker and consumer, and what a channel is
    zmq/listener   a socket that nobody else can connect to: private folder, or loopback with CURVE
    zmq/channel    records as ZMQ messages, read-ahead bounded in bytes
    shm/segment    a shared memory segment as both ends know it
    shm/sender     the worker's end
    shm/receiver   the consumer's end
    shm/channel    records as blocks of shared memory (Linux), read-ahead bounded likewise
    task           the job of a worker, and how its description gets there
    seeds          entropy drawn in the consumer, global generators seeded in a worker
    produce        what a worker does: draw the items of its lanes in turn, and now and then a mark
    worker         the worker process: signals, memory, the watch over the consumer
    pool           what any kind of worker is to the consumer; how many there are, how they are stopped
    process        a worker in a process
    local          a worker in a thread, or in place
    transport      which channel a worker process is given
    node           a background stream as the live node of a tree
    stream         `BackgroundStreamer`, the description

`produce` knows no channel, and `node` no kind of worker.  So another transport is another `Channel`, and a worker
somewhere else another `Worker` in a subclass of `BackgroundStreamer`.  All of it may import `core`; nothing here knows
`ZMQStreamer` or `ThreadStreamer`.

Importing this package loads `stream` alone; the other names are loaded when they are first used, and multiprocessing
and ZMQ with them.
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

#: The module of each name that is loaded when it is first used.
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
