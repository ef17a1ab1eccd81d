"""Running a tree in another process.

From the ground up; each file knows only those above it::

    records    what passes between worker and consumer: kinds, and `Stopped`
    signals    Ctrl-C while something is half done
    wire       items <-> layouts, arrays and pickles
    listener   a socket that nobody else gets into: private folder, or loopback with CURVE
    channel    both ends of a ZMQ channel: records in order, read-ahead bounded in bytes
    sending    how a description gets to a worker; what cannot be sent is refused here
    produce    what a worker does: draw items, and now and then a mark
    worker     the worker process: signals, seeds, the watch over the consumer
    process    the consumer's handle on a worker: start, take, stop
    live       the live nodes: a background stream as a part of a tree like any other

`produce` knows no transport and `live` no process, so that another transport is another `channel`, and another kind of
worker another `process`.  All of it may import `core`; nothing here knows `zmq_stream`.
"""

from .listener import Listener, resolved
from .live import BackgroundNode, InPlaceNode
from .process import Process, default_method, runs_in_place
from .sending import Job, check_sources

__all__ = [
    "BackgroundNode",
    "InPlaceNode",
    "Job",
    "Listener",
    "Process",
    "check_sources",
    "default_method",
    "resolved",
    "runs_in_place",
]
