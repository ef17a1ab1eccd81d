"""Running a tree beside this thread: in other processes, in another thread, or in place where there can be neither.

From the ground up; each file knows only those above it::

    records      what passes between worker and consumer, and what a channel is
    stacks       where a worker is that does not answer
    heap         which bytes of a segment are free
    wire         items <-> layouts, arrays and pickles
    failure      an error of the tree on its way
    listener     a socket that nobody else gets into: private folder, or loopback with CURVE
    zmq_channel  records as messages, read-ahead bounded in bytes
    segment      shared memory as both ends know it
    shm_sender   the worker's end
    shm_receiver the consumer's
    shm_channel  records as blocks of shared memory (Linux), likewise
    sending      how a description gets to a worker; what cannot be sent is refused here
    produce      what a worker does: draw the items of its lanes in turn, and now and then a mark
    worker       the worker process: signals, seeds, the watch over the consumer
    process      the consumer's handle on a worker: start, take, stop
    inplace      the same for no worker at all
    thread       the same for a worker that is a thread
    crew         who runs the lanes: places, handles, how they are ended
    live         the live node: a background stream as a part of a tree like any other

`produce` knows no channel, `live` no process; so another transport is another channel, and another kind of worker
another handle.  All of it may import `core`; nothing here knows the streamers themselves.
"""

from .inplace import InPlace
from .node import BackgroundNode, warn_of_idle
from .pool import Crew, Handle
from .process import Process, default_method, runs_in_place
from .records import Door
from .shm.channel import ShmDoor
from .task import Job, check_sources, draw_entropy
from .thread import Thread
from .zmq.channel import ZmqDoor
from .zmq.listener import Listener, default_socket

__all__ = [
    "BackgroundNode",
    "Crew",
    "Door",
    "Handle",
    "InPlace",
    "Job",
    "Listener",
    "Process",
    "ShmDoor",
    "Thread",
    "ZmqDoor",
    "check_sources",
    "default_method",
    "default_socket",
    "draw_entropy",
    "runs_in_place",
    "warn_of_idle",
]
