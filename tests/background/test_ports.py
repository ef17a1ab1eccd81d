"""While several workers run, nobody but the two ends of each channel can connect to a socket of theirs."""

import os
import time
from pathlib import Path

import pytest

import streamflow as sf

from .sockets_seen import listening, sockets_of


def endless():
    """A leaf function that is in no module, so that it is pickled by value."""

    def pids():
        while True:
            yield os.getpid()
            time.sleep(0.001)

    return pids


@pytest.mark.parametrize(
    ("transport", "method"),
    [
        *((transport, "fork") for transport in ("auto", "shm", "ipc", "tcp")),
        *((transport, method) for transport in ("shm", "ipc") for method in ("spawn", "forkserver")),
    ],
)
def test_who_listens(transport, method):
    """ZMQ cannot close a listening socket of the consumer, but its name in the file system is gone."""
    me = os.getpid()
    list(sf.ZMQStreamer([1], start_method=method))  # starts Python's own helpers
    before = sockets_of(me)
    with sf.ZMQStreamer(endless(), n_workers=2, transport=transport, start_method=method).open() as stream:
        pids = {next(stream) for _ in range(6)}
        assert len(pids) == 2
        theirs, mine = listening(pids, before), listening([me], before)
        there = [Path(name).exists() for table, name, _ in mine if table == "unix"]
    assert theirs == []
    assert [at[:2] for at in mine] == [("tcp", "0100007F")] * 2 or transport != "tcp"
    assert mine == [] or transport not in ("auto", "shm")
    assert there == [False] * len(mine) or transport != "ipc"


def test_the_look_itself_sees_every_kind():
    import socket

    made = [
        socket.socket(socket.AF_INET),
        socket.socket(socket.AF_UNIX),
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
    ]
    try:
        before = len(listening([os.getpid()]))
        made[0].bind(("127.0.0.1", 0))
        made[1].bind(f"/tmp/sf-{os.getpid()}")
        made[0].listen()
        made[1].listen()
        made[2].bind(("127.0.0.1", 0))
        assert len(listening([os.getpid()])) == before + 3
    finally:
        for one in made:
            one.close()
        Path(f"/tmp/sf-{os.getpid()}").unlink()


def test_no_socket_at_all_is_made_for_shared_memory():
    before = sockets_of(os.getpid())
    with sf.ZMQStreamer(endless(), n_workers=2, transport="shm").open() as stream:
        pids = {next(stream) for _ in range(4)}
        assert sockets_of(os.getpid()) == before
        assert all(sockets_of(pid) <= before for pid in pids)
