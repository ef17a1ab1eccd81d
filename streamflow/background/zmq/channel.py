"""A ZMQ channel: records as messages.  Knows `records`, `wire`, `failure` and `listener`.

A message is one record.  Its first frame begins with a header (kind, bytes of the pickle behind the block, bytes that
count), the block of small arrays and, if it is short, the pickle of the rest; large buffers follow as frames.

*Read-ahead is bounded by credit.*  ZMQ's own marks count messages; here the worker counts the bytes that it has sent,
the consumer tells now and then how many it has taken, and at `limit` the worker waits before it makes another item.

*Copies.*  The worker's arrays are copied once as they are sent, since a generator may use its arrays again after the
`yield`.  In the consumer a small array is copied once more, out of the message; a large one is a view of the message it
came in, which nobody else has, so it may be written to.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable
from time import perf_counter
from typing import Any, NamedTuple

import zmq

from ..failure import packed, unpacked
from ..records import HELLO, ITEM, LAYOUT, Quiet, Record, Stopped
from ..wire import HEADER, Forms, Layout, raw, short_pickle
from .listener import Address, Listener

__all__ = ["ZmqDoor"]

_HEADER = struct.Struct("<IIQ")  # kind, bytes of the pickle in this frame, bytes of the whole record
#: News from the consumer: bytes that have been taken, the epoch that is wanted next, stop; each with a number.
_NEWS = struct.Struct("<cQ")
_TAKEN, _EPOCH, _STOP = b"t", b"e", b"s"
#: What a message costs beside its bytes, about.
_OVERHEAD = 256
#: Milliseconds after which a consumer that waits looks whether its worker is alive.
_POLL = 50
#: ... and after which a worker that waits goes on waiting (signals, and the end of its consumer, reach it anyway).
_LONG = 1000
#: Seconds between two looks for a message from the consumer.
_LOOK = 0.005


def _socket(context: zmq.Context[zmq.Socket[bytes]]) -> zmq.Socket[bytes]:
    made: zmq.Socket[bytes] = context.socket(zmq.PAIR)
    made.linger = 0
    made.sndhwm = made.rcvhwm = 0
    made.rcvtimeo = made.sndtimeo = _POLL
    return made


class ZmqDoor:
    """Where a worker comes in.

    Parameters
    ----------
    listener : Listener
    """

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self.invitation = _Invitation(listener.address)

    def open(self, limit: int, alive: Callable[[], bool], patience: float | None) -> _Receiver:
        return _Receiver(self._listener, limit, alive, patience)

    def close(self) -> None:
        self._listener.close()


class _Invitation(NamedTuple):
    address: Address

    def connect(self, limit: int, on_stop: Callable[[], None]) -> _Sender:
        return _Sender(self.address, limit, on_stop)

    def remove(self) -> None:
        self.address.remove()


class _Sender:
    """The worker's end.

    Parameters
    ----------
    address : Address
    limit : int
        Bytes that may be sent and not yet taken before the worker waits.
    on_stop : function
        Called before `Stopped` is raised.
    """

    def __init__(self, address: Address, limit: int, on_stop: Callable[[], None]) -> None:
        self._limit, self._on_stop = limit, on_stop
        self._ahead = 0
        # What ZMQ has not yet written when a worker dies is lost.  So that one worker after the other gets further,
        # each waits until its first item has been taken.
        self._delivers = False
        self._epoch: int | None = None  # that is wanted next
        self._look_at = 0.0
        self._forms = Forms(lambda announced: self.put(LAYOUT, announced))
        self._context = zmq.Context()
        self._socket = _socket(self._context)
        self._socket.rcvtimeo = _LONG
        address.connect(self._socket)
        self.put(HELLO, None)

    def item(self, record: Record) -> None:
        layout, arrays, parts = self._forms.of(record.pop())
        staged = layout.staged = layout.staged or _Staged(layout)
        large: list[Any] = []
        small = iter(staged.views)
        for array, (_, _, offset, order, _) in zip(arrays, layout.arrays, strict=True):
            if offset is None:
                large.append(raw(array, order))
            else:
                next(small)[...] = array
        self._send(ITEM + layout.number, staged.block, parts, large)
        if self._ahead >= self._limit or not self._delivers:
            self._wait_for_room()
        if perf_counter() >= self._look_at:
            self._look_at = perf_counter() + _LOOK
            while self._socket.poll(0):
                self._news(wait=False)

    def _wait_for_room(self) -> None:
        while self._ahead >= (self._limit if self._delivers else 1):
            self._news(wait=True)
        self._delivers = True

    def put(self, kind: int, value: Any) -> None:
        self._send(kind, bytearray(HEADER), packed(kind, value), [])

    def _send(self, kind: int, block: bytearray, parts: list[Any], large: list[Any]) -> None:
        inside, apart = short_pickle(parts)
        frames = [*large, *apart]
        size = len(block) + len(inside) + sum(map(len, frames)) + _OVERHEAD
        _HEADER.pack_into(block, 0, kind, len(inside), size)
        first = block + inside if inside else block
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

    def wait(self) -> int:
        while self._epoch is None:
            self._news(wait=True)
        epoch, self._epoch = self._epoch, None
        return epoch

    def _news(self, *, wait: bool) -> None:
        """Read one message from the consumer, if there is one."""
        try:
            kind, number = _NEWS.unpack(self._socket.recv(0 if wait else zmq.NOBLOCK))
        except zmq.Again:
            return
        if kind == _TAKEN:
            self._ahead -= number
        elif kind == _EPOCH:
            self._epoch = number
        else:
            self._on_stop()
            raise Stopped

    def close(self) -> None:
        self._context.destroy(linger=0)


class _Staged:
    """A layout with a block that is filled again for each item (sending copies it)."""

    __slots__ = ("block", "views")

    def __init__(self, layout: Layout) -> None:
        self.block = bytearray(layout.size)
        self.views = layout.views(self.block)


class _Receiver:
    """The consumer's end.

    Parameters
    ----------
    listener : Listener
        Where the worker connects; the worker has been started.
    limit : int
        The same as the sender's.
    alive : function
        Whether the worker still runs.
    patience : float or None
        Seconds without a message after which `Quiet` is raised.
    """

    def __init__(self, listener: Listener, limit: int, alive: Callable[[], bool], patience: float | None) -> None:
        self._limit, self._alive, self._listener, self._patience = limit, alive, listener, patience
        self._taken = 0  # and not yet told
        self._delivered = False  # whether an item has come, and the worker knows it
        self._layouts: dict[int, Layout] = {}
        self.connected = False
        self._context = zmq.Context()
        self._socket = _socket(self._context)
        try:
            listener.adopt(self._socket)
        except BaseException:
            self.close()
            raise

    def take(self) -> Record | None:
        while True:
            if not self.connected and not self._connect():
                return None
            try:
                frame = self._socket.recv(0, False)
            except zmq.Again:
                later = self._wait()
                if later is None:
                    return None
                frame = later
            record = self._read(frame)
            if record is not None:
                return record

    def _connect(self) -> bool:
        """Wait for the worker and close the door behind it; False if it died before."""
        until = self._until()
        while not self._listener.wait(self._socket, _POLL):
            if not self._alive():
                return False
            if perf_counter() > until:
                raise Quiet
        self.connected = True
        self._listener.close()
        return True

    def _wait(self) -> zmq.Frame | None:
        """The next frame after some time without any; what was sent before a death counts."""
        alive, until = True, self._until()
        while alive:
            alive = self._alive()
            if perf_counter() > until:
                raise Quiet
            try:
                return self._socket.recv(0, False)
            except zmq.Again:
                pass
        return None

    def _until(self) -> float:
        return float("inf") if self._patience is None else perf_counter() + self._patience

    def _read(self, frame: zmq.Frame) -> Record | None:
        """The record that begins with this frame; None for one that concerns only us."""
        block = bytearray(frame.buffer)
        kind, inside, size = _HEADER.unpack_from(block)
        self._taken += size
        if self._taken >= self._limit >> 2 or (kind >= ITEM and not self._delivered):
            self._tell(_TAKEN, self._taken)
            self._taken = 0
            self._delivered = self._delivered or kind >= ITEM
        more: list[Any] = []
        while frame.more:
            frame = self._socket.recv(0, False)
            more.append(frame)
        if kind >= ITEM:
            return [ITEM, self._layouts[kind - ITEM].item(block, inside, more)]
        if inside:
            more.insert(0, memoryview(block)[HEADER:])
        value = unpacked(kind, more)
        if kind == LAYOUT:
            number, key = value
            self._layouts[number] = Layout(key, number)
            return None
        return [kind, value]

    def want(self, epoch: int) -> None:
        self._tell(_EPOCH, epoch)

    def stop(self) -> None:
        self._tell(_STOP, 0)

    def _tell(self, kind: bytes, number: int) -> None:
        # Without a worker that is connected nobody hears it.
        with contextlib.suppress(zmq.Again):
            self._socket.send(_NEWS.pack(kind, number), zmq.NOBLOCK)

    def close(self) -> None:
        self._listener.close()
        self._context.destroy(linger=0)
        self._listener.given_up()
