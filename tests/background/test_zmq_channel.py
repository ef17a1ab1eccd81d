"""The channel over sockets, beyond the contract that all share: views of messages, credit, framing, layouts."""

import gc
import time
from multiprocessing import Value
from pathlib import Path

import numpy as np
import pytest

import streamflow as sf
from streamflow.background.records import END, HELLO, ITEM, MARK, ItemTimeout, Stopped
from streamflow.background.zmq.channel import ZmqChannel
from streamflow.background.zmq.listener import Listener

from ..processes import settled
from .views import MIB, filled, full, is_lent

pytestmark = pytest.mark.parametrize("channel", ["ipc", "tcp"], indirect=True)


@pytest.fixture(autouse=True, name="only_here")
def only_here_fixture(channel):
    """All tests here are about sockets."""


class Ends:
    """Both ends in one thread; another thread opens the worker's, since each waits for the other."""

    def __init__(self, channel, limit, item_timeout=10.0):
        from threading import Thread

        self.stopped, self.living = [], True
        ours = ZmqChannel(Listener(channel, (49152, 65535), 100))
        self.receiver = ours.open(limit, lambda: self.living, item_timeout)
        made = []

        def begin():
            made.append(ours.worker_end.connect(limit, lambda: self.stopped.append(1)))
            made[0].send_item([ITEM, "first"])  # may wait until it has been taken

        thread = Thread(target=begin)
        thread.start()
        assert not self.receiver.connected
        assert self.receiver.receive() == [HELLO, None]
        assert self.receiver.connected
        assert self.take() == "first"
        thread.join()
        self.sender = made.pop()

    def send(self, item):
        record = [ITEM, item]
        self.sender.send_item(record)
        assert record == [ITEM]

    def take(self):
        kind, item = self.receiver.receive()
        assert kind == ITEM
        return item

    def close(self):
        self.sender.close()
        self.receiver.close()
        self.receiver.close()


@pytest.fixture(name="ends")
def ends_fixture(channel):
    opened = []

    def make(limit=MIB, **settings):
        opened.append(Ends(channel, limit, **settings))
        return opened[-1]

    yield make
    while opened:
        opened.pop().close()


def test_records_come_in_order(ends):
    both = ends()
    both.sender.send(MARK, {"a": [1, 2]})
    both.send({"x": full(1, 10), "y": full(2)})
    both.sender.send(MARK, "x" * 200_000)
    both.send({"x": full(3, 10), "y": full(4)})
    both.sender.send(END, 3)
    assert both.receiver.receive() == [MARK, {"a": [1, 2]}]
    assert (both.take()["y"] == 2).all()
    assert both.receiver.receive() == [MARK, "x" * 200_000]
    item = both.take()
    assert (item["x"] == 3).all()
    assert (item["y"] == 4).all()
    assert both.receiver.receive() == [END, 3]


def test_the_worker_is_asked_for_epochs_and_to_stop(ends):
    both = ends()
    both.receiver.request_epoch(1 << 40)
    assert both.sender.wait_for_epoch() == 1 << 40
    both.receiver.request_epoch(7)
    both.receiver.request_stop()
    assert both.sender.wait_for_epoch() == 7
    assert both.stopped == []
    with pytest.raises(Stopped):
        both.sender.wait_for_epoch()
    assert both.stopped == [1]


def test_a_silent_worker_is_not_taken_for_a_dead_one(ends):
    both = ends(item_timeout=0.2)
    with pytest.raises(ItemTimeout):
        both.receiver.receive()
    both.send(1)
    both.living = False
    assert both.take() == 1  # what was sent before a death counts
    assert both.receiver.receive() is None


def test_a_large_array_is_a_view_of_its_message(ends):
    """Not copied in the consumer, writeable, and no two messages share memory."""
    both = ends(limit=64 * MIB)
    held = []
    for i in range(20):
        both.send({"x": full(i, MIB), "small": full(i, 10)})
        item = both.take()
        assert item["x"].base is not None
        assert not is_lent(item["x"])
        assert item["x"].flags.writeable
        held.append(item)
    for i, item in enumerate(held):
        item["x"] += i
    assert all((item["x"] == 2 * i).all() and (item["small"] == i).all() for i, item in enumerate(held))
    assert held.pop()["x"].nbytes == MIB


def test_memory_goes_with_the_last_view():
    """100 MiB pass through; a slice of every tenth item is kept, which keeps its message."""

    def resident():
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

    with sf.ZMQStreamer(sf.Streamer(filled, MIB), buffer_bytes=MIB).open() as stream:
        for _ in range(20):
            next(stream)
        before, kept = resident(), []
        for i in range(20, 120):
            item = next(stream)
            if i % 10 == 0:
                kept.append((i, item[5:9]))
        del item
        assert resident() - before < 50 * MIB
    gc.collect()
    assert all((array == i).all() for i, array in kept)


@pytest.mark.parametrize("size", [10, 20_000, 200_000])
def test_credit_goes_back_long_before_all_is_taken(size):
    """Otherwise worker and consumer would wait for each other in turn."""
    made = Value("l", 0, lock=False)

    def items():
        for i in range(1 << 30):
            made.value = i
            yield "x" * size

    with sf.ZMQStreamer(items, buffer_bytes=2 * MIB).open() as stream:
        next(stream)
        last = settled(lambda: made.value)
        for _ in range(last * 3 // 4):
            next(stream)
        until = time.monotonic() + 20
        while made.value < last * 5 // 4 and time.monotonic() < until:
            time.sleep(0.01)
        assert made.value >= last * 5 // 4


def test_no_shared_memory_is_made(monkeypatch):
    import os

    monkeypatch.setattr(os, "memfd_create", None)
    assert len(list(sf.ZMQStreamer(sf.Streamer(filled, 50_000, 3)))) == 3


def test_buffers_that_lie_badly_are_put_right(ends):
    """ZMQ aligns the frames of a message as it likes; arrays are aligned as their dtype needs."""
    both = ends(limit=64 * MIB)
    for i in range(40):
        one = {
            "text": "x" * i,
            "x": np.full(3000 + i, i, np.longdouble),
            "o": np.ma.masked_array(np.full(5000, i, "c16")),
        }
        both.send(one)
        item = both.take()
        for array in (item["x"], item["o"].data):
            assert array.flags.aligned
            assert array.flags.writeable
            assert (array == i).all()
