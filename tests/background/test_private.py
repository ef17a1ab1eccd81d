"""Nobody else can connect: private folders that are removed at once, and CURVE with keys on both sides for ports."""

import os
import socket
import stat
import tempfile
import time
from pathlib import Path

import pytest
import zmq

import streamflow as sf
from streamflow.background import process, worker
from streamflow.background.zmq import listener
from streamflow.background.zmq.listener import Listener, default_socket

from .sockets_seen import listening, sockets_of


def ports(*pids):
    """Address and port of all TCP sockets on which these processes listen."""
    return [(address, port) for table, address, port in listening(pids) if table.startswith("tcp")]


def pids():
    while True:
        yield os.getpid()
        time.sleep(0.001)


@pytest.mark.parametrize("channel", ["shm", "ipc"], indirect=True)
def test_no_port_is_open_without_tcp(channel):
    before = ports(os.getpid())
    with sf.ZMQStreamer(pids).open() as stream:
        assert ports(os.getpid(), next(stream)) == before
    with sf.ZMQStreamer(pids, transport="tcp").open() as stream:  # `ports` itself works
        assert len(ports(os.getpid(), next(stream))) == len(before) + 1


def test_the_folder_is_gone_once_the_worker_is_connected(sockets, monkeypatch):
    made = []
    make = tempfile.mkdtemp
    monkeypatch.setattr(tempfile, "mkdtemp", lambda **settings: made.append(make(**settings)) or made[-1])
    with sf.ZMQStreamer(pids, transport="ipc").open() as stream:
        next(stream)
        assert [Path(folder).parent for folder in made] == [Path(sockets)]
        assert not list(Path(sockets).glob("streamflow-*"))


def test_shared_memory_needs_no_socket_and_no_folder(monkeypatch):
    monkeypatch.setattr(listener, "Listener", None)
    monkeypatch.setattr("streamflow.background.transport.Listener", None)
    monkeypatch.setattr(tempfile, "mkdtemp", None)
    with sf.ZMQStreamer(pids, transport="shm").open() as stream:
        before = sockets_of(os.getpid())
        assert sockets_of(next(stream)) <= before


def test_the_folder_is_private_and_the_name_short(sockets):
    waiting = Listener("ipc", (1, 2), 1)
    try:
        folder = Path(waiting.address.folder)
        assert folder.parent == Path(sockets)
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    finally:
        waiting.close()
    assert not folder.exists()


def test_a_long_tmpdir(monkeypatch, tmp_path):
    deep = tmp_path / ("x" * 90)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    waiting = Listener("ipc", (1, 2), 1)
    try:
        assert Path(waiting.address.folder).parent == Path("/tmp")
        assert len(waiting.address.url) < 100
    finally:
        waiting.close()
    assert list(sf.ZMQStreamer([1, 2], transport="ipc")) == [1, 2]


def test_no_place_for_a_socket(monkeypatch):
    def nowhere(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tempfile, "mkdtemp", nowhere)
    with pytest.raises(sf.BackgroundError, match="no folder can be made for a socket.*Permission denied.*TMPDIR"):
        list(sf.ZMQStreamer([1], transport="ipc"))


# ---- tcp


def test_tcp_is_loopback_and_inside_the_range():
    with sf.ZMQStreamer(pids, 50_000, 50_400, transport="tcp").open() as stream:
        worker_pid = next(stream)
        [(address, port)] = ports(os.getpid())
        assert address == "0100007F"
        assert 50_000 <= port <= 50_400
        assert ports(worker_pid) == []  # it has closed the copy that it got by fork


def test_no_free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(sf.BackgroundError, match=f"no free port.*{port} and {port} in 3 tries.*in use.*min_port"):
            list(sf.ZMQStreamer([1], port, port, 3, transport="tcp"))


def test_missing_curve(monkeypatch):
    monkeypatch.setattr(zmq, "has", lambda what: what != "curve")
    with pytest.raises(sf.BackgroundError, match="CURVE"):
        list(sf.ZMQStreamer([1], transport="tcp"))
    assert default_socket() == "ipc"
    monkeypatch.setattr(zmq, "has", lambda what: what != "ipc")
    assert default_socket() == "tcp"


def strangers(url, server_key):
    """Peers that pose as our worker: without keys, with wrong keys, and with only the server's key right."""
    context = zmq.Context()
    found = []
    for keys in (None, zmq.curve_keypair()[0], server_key):
        peer = context.socket(zmq.PAIR)
        peer.linger = 0
        if keys is not None:
            peer.curve_publickey, peer.curve_secretkey = zmq.curve_keypair()
            peer.curve_serverkey = keys
        peer.connect(url)
        for text in (b"\0" * 16, b"stop"):
            peer.send(text)
        found.append(peer)
    return context, found


@pytest.mark.parametrize("when", ["before the worker", "beside the worker"])
def test_strangers_do_not_get_in_by_tcp(monkeypatch, when):
    """They connect first, and keep trying; what arrives is from the worker, and they receive nothing."""
    opened = []
    start = process.ProcessWorker.__init__

    def with_company(self, job, channel, *rest):
        start(self, job, channel, *rest)
        address = channel.worker_end.address
        opened.append(strangers(address.url, address.keys[2]))

    monkeypatch.setattr(process.ProcessWorker, "__init__", with_company)
    delay = 0.7 if when == "before the worker" else 0.0
    main = worker.main
    monkeypatch.setattr(process, "main", lambda start: time.sleep(delay) or main(start))
    try:
        got = []
        for item in sf.ZMQStreamer(range(300), transport="tcp"):
            got.append(item)
            if item == 100:
                time.sleep(0.3)
        assert got == list(range(300))
        assert not any(peer.poll(0) for _, peers in opened for peer in peers)
        assert len(opened) == 1
    finally:
        for context, _ in opened:
            context.destroy(linger=0)


@pytest.mark.parametrize("answering", [True, False])
def test_a_stranger_who_knows_the_key_of_the_consumer(answering):
    """It is rejected while the consumer waits for the worker, and nobody can connect afterwards."""
    waiting = Listener("tcp", (49152, 65535), 100)
    context = zmq.Context()
    consumer = context.socket(zmq.PAIR)
    waiting.adopt(consumer)
    if not answering:
        waiting.close()
    company, _ = strangers(waiting.address.url, waiting.address.keys[2])
    try:
        assert not any(waiting.wait(consumer, 20) for _ in range(20))
        waiting_for = context.socket(zmq.PAIR)
        if answering:  # and the worker does get in, all the same
            waiting.address.connect(waiting_for)
            waiting_for.send(b"hello")
            assert any(waiting.wait(consumer, 50) for _ in range(100))
    finally:
        waiting.close()
        company.destroy(linger=0)
        context.destroy(linger=0)


def test_a_stranger_with_the_worker_key_of_another_channel():
    """Keys are made for one channel."""
    one, two = Listener("tcp", (49152, 65535), 100), Listener("tcp", (49152, 65535), 100)
    try:
        assert len({*one.address.keys, *two.address.keys}) == 6
    finally:
        one.close()
        two.close()
