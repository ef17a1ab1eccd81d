"""Chooses the channel of a worker process.  Knows `shm` and `zmq`; `zmq_stream` uses it."""

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
    """Whether this system has shared memory that can be passed to a worker."""
    return sys.platform == "linux" and hasattr(os, "memfd_create")


def open_channel(transport: str, method: str, copy: bool, ports: tuple[int, int], tries: int) -> Channel:
    """Open a channel for a worker that is about to be started.

    Parameters
    ----------
    transport : {'auto', 'shm', 'ipc', 'tcp'}
        'auto' is shared memory, or a socket where that is not available.
    method : {'fork', 'forkserver', 'spawn'}
        How the worker is started.
    copy : bool
        Whether large arrays are copied out of shared memory into private memory.
    ports : (first, last)
        Ports that may be tried for 'tcp', both included.
    tries : int
        How many of them are tried.

    Raises
    ------
    BackgroundError
        If the system cannot provide that channel.
    """
    if transport == "shm" or (transport == "auto" and shares_memory()):
        try:
            return ShmChannel(multiprocessing.get_context(method), copy)
        except OSError as error:
            if transport == "shm":
                raise BackgroundError(f"shared memory is not available: {error}; use transport='auto'") from error
    socket = default_socket() if transport == "auto" else transport
    return ZmqChannel(Listener(socket, ports, tries))
