"""Which channel a worker process is given.  Knows `shm` and `zmq`; `zmq_stream` uses it."""

from __future__ import annotations

import multiprocessing
import os
import sys

from ..exceptions import BackgroundError
from .records import Channel
from .shm.channel import ShmChannel
from .zmq.channel import ZmqChannel
from .zmq.listener import Listener, default_socket

__all__ = ["open_channel", "shares_memory"]


def shares_memory() -> bool:
    """Whether this system has shared memory that a worker can be given."""
    return sys.platform == "linux" and hasattr(os, "memfd_create")


def open_channel(transport: str, method: str, copy: bool, ports: tuple[int, int], tries: int) -> Channel:
    """A channel for a worker that is about to be started.

    Parameters
    ----------
    transport : {'auto', 'shm', 'ipc', 'tcp'}
        'auto' is shared memory, or a socket where there is none to be had.
    method : {'fork', 'forkserver', 'spawn'}
        How the worker is started.
    copy : bool
        Whether the consumer gets private copies of all arrays.
    ports : (first, last)
        Ports that may be tried for 'tcp'.
    tries : int
        How many of them.

    Raises
    ------
    BackgroundError
        If there is no such channel to be had.
    """
    if transport == "shm" or (transport == "auto" and shares_memory()):
        try:
            return ShmChannel(multiprocessing.get_context(method), copy)
        except OSError as error:
            if transport == "shm":
                raise BackgroundError(f"no memory can be shared with a worker: {error}") from error
    socket = default_socket() if transport in ("auto", "shm") else transport
    return ZmqChannel(Listener(socket, ports, tries))
