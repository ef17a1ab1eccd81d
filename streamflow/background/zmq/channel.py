"""A channel through a ZMQ socket: records as messages.  Knows `records`, `wire` and `listener`.

A message is one record.  Its first frame holds the block, which begins with a header (kind, bytes of pickle in this
frame, size of the record), and the pickle if it is short; the buffers follow, a frame each.

*Read-ahead is bounded by credit.*  ZMQ's high-water marks count messages.  Here the worker counts the bytes that it has
sent, the consumer reports now and then how many it has received, and at `limit` the worker waits before it makes
another item.

*Copies.*  The worker's arrays are copied once as they are sent, since a generator may use its arrays again after the
`yield`.  In the consumer a small array is copied once more, out of the message; a large one is a view of its message,
to which nothing else refers, so it is writeable.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable
from time import perf_counter
from typing import Any, NamedTuple

import zmq

from ..records import HELLO, ITEM, LAYOUT, ItemTimeout, Record, Stopped, decoded, encoded
from ..wire import HEADER, ItemLayout, LayoutTable, raw_bytes, short_pickle
from .listener import Address, Listener

__all__ = ["ZmqChannel"]

_HEADER = struct.Struct("<IIQ")  # kind, bytes of pickle in this frame, bytes of the whole record
#: Events from the consumer, each with a number: bytes received, the next epoch, stop.
_EVENT = struct.Struct("<cQ")
_RECEIVED, _EPOCH, _STOP = b"r", b"e", b"s"
#: What a message costs in memory beside its bytes, roughly.
_OVERHEAD = 256
#: Milliseconds between two checks that the worker is alive, while the consumer waits.
_POLL = 50
#: Milliseconds that a worker waits at a time (signals, and the end of the consumer, reach it anyway).
_LONG = 1000
#: Seconds between two checks for an event.
_LOOK = 0.005


def _socket(context: zmq.Context[zmq.Socket[bytes]]) -> zmq.Socket[bytes]:
    made: zmq.Socket[bytes] = context.socket(zmq.PAIR)
    made.linger = 0
    made.sndhwm = made.rcvhwm = 0
    made.rcvtimeo = made.sndtimeo = _POLL
    return made


class ZmqChannel:
    """A `Channel` over a socket on which the consumer listens.

    Parameters
    ----------
    listener : Listener
    """

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self.worker_end = _ZmqWorkerEnd(listener.address)

    def open(self, limit: int, alive: Callable[[], bool], item_timeout: float | None) -> ZmqReceiver:
        return ZmqReceiver(self._listener, limit, alive, item_timeout)

    def close(self) -> None:
        self._listener.close()


class _ZmqWorkerEnd(NamedTuple):
    address: Address

    def connect(self, limit: int, on_stop: Callable[[], None]) -> ZmqSender:
        return ZmqSender(self.address, limit, on_stop)

    def clean_up(self) -> None:
        self.address.remove()


class ZmqSender:
    """A `Sender` over a socket.

    Parameters
    ----------
    address : Address
    limit : int
        Bytes that may be sent and not yet received before the worker waits.
    on_stop : function
        Called before `Stopped` is raised.
    """

    def __init__(self, address: Address, limit: int, on_stop: Callable[[], None]) -> None:
        self._limit, self._on_stop = limit, on_stop
        self._ahead = 0
        # When a worker dies, what ZMQ has not yet written is lost.  A worker waits until its first item has been
        # received, so that each replacement gets further than the worker before it.
        self._delivered = False
        self._epoch: int | None = None  # the next one, once it has been requested
        self._look_at = 0.0
        self._layouts = LayoutTable(lambda announced: self.send(LAYOUT, announced))
        self._context = zmq.Context()
        self._socket = _socket(self._context)
        self._socket.rcvtimeo = _LONG
        address.connect(self._socket)
        self.send(HELLO, None)

    def send_item(self, record: Record) -> None:
        layout, arrays, parts = self._layouts.of(record.pop())
        staging = layout.staging = layout.staging or _Staging(layout)
        large: list[Any] = []
        small = iter(staging.views)
        for array, (_, _, offset, order, _) in zip(arrays, layout.arrays, strict=True):
            if offset is None:
                large.append(raw_bytes(array, order))
            else:
                next(small)[...] = array
        self._send(ITEM + layout.number, staging.block, parts, large)
        if self._ahead >= self._limit or not self._delivered:
            self._wait_for_room()
        if perf_counter() >= self._look_at:
            self._look_at = perf_counter() + _LOOK
            while self._socket.poll(0):
                self._read_event(wait=False)

    def _wait_for_room(self) -> None:
        while self._ahead >= (self._limit if self._delivered else 1):
            self._read_event(wait=True)
        self._delivered = True

    def send(self, kind: int, value: Any) -> None:
        self._send(kind, bytearray(HEADER), encoded(kind, value), [])

    def _send(self, kind: int, block: bytearray, parts: list[Any], large: list[Any]) -> None:
        short, buffers = short_pickle(parts)
        frames = [*large, *buffers]
        size = len(block) + len(short) + sum(map(len, frames)) + _OVERHEAD
        _HEADER.pack_into(block, 0, kind, len(short), size)
        first = block + short if short else block
        send = self._socket.send
        if frames:
            last = frames.pop()
            send(first, zmq.SNDMORE)
            for frame in frames:
                send(frame, zmq.SNDMORE)
            send(last)
        else:
            send(first)
        self._ahead += size

    def wait_for_epoch(self) -> int:
        while self._epoch is None:
            self._read_event(wait=True)
        epoch, self._epoch = self._epoch, None
        return epoch

    def _read_event(self, *, wait: bool) -> None:
        """Read one event from the consumer, if there is one."""
        try:
            kind, number = _EVENT.unpack(self._socket.recv(0 if wait else zmq.NOBLOCK))
        except zmq.Again:
            return
        if kind == _RECEIVED:
            self._ahead -= number
        elif kind == _EPOCH:
            self._epoch = number
        else:
            self._on_stop()
            raise Stopped

    def close(self) -> None:
        self._context.destroy(linger=0)


class _Staging:
    """The block of a layout, reused for every item (sending copies it)."""

    __slots__ = ("block", "views")

    def __init__(self, layout: ItemLayout) -> None:
        self.block = bytearray(layout.size)
        self.views = layout.views(self.block)


class ZmqReceiver:
    """A `Receiver` over a socket.

    Parameters
    ----------
    listener : Listener
        Where the worker, which has been started, connects.
    limit : int
        That of the sender.
    alive : function
        Returns whether the worker still runs.
    item_timeout : float or None
        Seconds without a record after which `ItemTimeout` is raised.
    """

    def __init__(self, listener: Listener, limit: int, alive: Callable[[], bool], item_timeout: float | None) -> None:
        self._limit, self._alive, self._listener, self._item_timeout = limit, alive, listener, item_timeout
        self._unreported = 0  # bytes received
        self._item_reported = False  # whether an item has been received and reported
        self._layouts: dict[int, ItemLayout] = {}
        self.connected = False
        self._context = zmq.Context()
        self._socket = _socket(self._context)
        try:
            listener.adopt(self._socket)
        except BaseException:
            self.close()
            raise

    def receive(self) -> Record | None:
        while True:
            if not self.connected and not self._connect():
                return None
            try:
                frame = self._socket.recv(0, False)
            except zmq.Again:
                late = self._wait()
                if late is None:
                    return None
                frame = late
            record = self._read(frame)
            if record is not None:
                return record

    def _connect(self) -> bool:
        """Wait until the worker connects, then accept nobody else; False if it died before."""
        until = self._until()
        while not self._listener.wait(self._socket, _POLL):
            if not self._alive():
                return False
            if perf_counter() > until:
                raise ItemTimeout
        self.connected = True
        self._listener.close()
        return True

    def _wait(self) -> zmq.Frame | None:
        """Wait for the next frame; None when the worker has died and all that it sent has been received."""
        alive, until = True, self._until()
        while alive:
            alive = self._alive()
            if perf_counter() > until:
                raise ItemTimeout
            try:
                return self._socket.recv(0, False)
            except zmq.Again:
                pass
        return None

    def _until(self) -> float:
        return float("inf") if self._item_timeout is None else perf_counter() + self._item_timeout

    def _read(self, frame: zmq.Frame) -> Record | None:
        """The record that begins with this frame; None for a layout."""
        block = bytearray(frame.buffer)
        kind, n_pickled, size = _HEADER.unpack_from(block)
        self._unreported += size
        if self._unreported >= self._limit >> 2 or (kind >= ITEM and not self._item_reported):
            self._post(_RECEIVED, self._unreported)
            self._unreported = 0
            self._item_reported = self._item_reported or kind >= ITEM
        buffers: list[Any] = []
        while frame.more:
            frame = self._socket.recv(0, False)
            buffers.append(frame)
        if kind >= ITEM:
            return [ITEM, self._layouts[kind - ITEM].item(block, n_pickled, buffers)]
        if n_pickled:
            buffers.insert(0, memoryview(block)[HEADER:])
        value = decoded(kind, buffers)
        if kind == LAYOUT:
            number, key = value
            self._layouts[number] = ItemLayout(key, number)
            return None
        return [kind, value]

    def request_epoch(self, epoch: int) -> None:
        self._post(_EPOCH, epoch)

    def request_stop(self) -> None:
        self._post(_STOP, 0)

    def _post(self, kind: bytes, number: int) -> None:
        with contextlib.suppress(zmq.Again):  # no worker is connected
            self._socket.send(_EVENT.pack(kind, number), zmq.NOBLOCK)

    def close(self) -> None:
        self._listener.close()
        self._context.destroy(linger=0)
        self._listener.forget()
