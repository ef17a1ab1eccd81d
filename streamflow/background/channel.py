"""Both ends of a ZMQ channel.  Knows `records`, `wire` and `listener`; used by `worker` and `process`.

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
from collections import deque
from collections.abc import Callable
from time import perf_counter
from typing import Any

import zmq

from ..core.describe import short
from ..exceptions import DataError
from .listener import Address, Listener
from .records import HELLO, ITEM, LAYOUT, Record, Stopped
from .wire import HEADER, LARGE, Layout, pickled, raw, taken_apart, unpickled

__all__ = ["Receiver", "Sender"]

_HEADER = struct.Struct("<IIQ")  # kind, bytes of the pickle in this frame, bytes of the whole record
_TAKEN = struct.Struct("<Q")
_STOP, _WELCOME = b"stop", b"welcome"
#: What a message costs beside its bytes, about.
_OVERHEAD = 256
#: Milliseconds after which a consumer that waits looks whether its worker is alive.
_PATIENCE = 50
#: ... and after which a worker that waits goes on waiting (signals, and the end of its consumer, reach it anyway).
_LONG = 1000
#: Seconds between two looks for a message from the consumer.
_LOOK = 0.005
#: Layouts that a channel remembers.
_LAYOUTS = 64


def _socket(context: zmq.Context[zmq.Socket[bytes]]) -> zmq.Socket[bytes]:
    made: zmq.Socket[bytes] = context.socket(zmq.PAIR)
    made.linger = 0
    made.sndhwm = made.rcvhwm = 0
    made.rcvtimeo = made.sndtimeo = _PATIENCE
    return made


class Sender:
    """The worker's end (a `records.Sink`).

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
        self._look_at = 0.0
        self._layouts: dict[tuple[Any, ...], _Staged] = {}
        self._last: _Staged | None = None
        self._context = zmq.Context()
        self._socket = _socket(self._context)
        self._socket.rcvtimeo = _LONG
        address.connect(self._socket)
        self.put(HELLO, None)
        while self._news(wait=True) != _WELCOME:
            pass

    def item(self, item: Any) -> None:
        staged = self._last
        arrays: Any
        parts: list[Any] = []
        if staged is not None and staged.layout.matches(item):
            arrays = item.values()
        else:
            key, arrays, rest = taken_apart(item)
            if rest:
                parts = self._sendable(rest, item)
            staged = self._last = self._layouts.get(key) or self._new(key)
        large: list[Any] = []
        if staged.layout.whole:
            for view, array in zip(staged.views, arrays, strict=True):
                view[...] = array
        else:
            small = iter(staged.views)
            for array, (_, _, offset, order, _) in zip(arrays, staged.layout.arrays, strict=True):
                if offset is None:
                    large.append(raw(array, order))
                else:
                    next(small)[...] = array
        self._send(ITEM + staged.layout.number, staged.block, parts, large)
        while self._ahead >= self._limit:
            self._news(wait=True)

    @staticmethod
    def _sendable(rest: list[Any], item: Any) -> list[Any]:
        try:
            return pickled(rest)
        except Exception as error:
            keys = f" with keys {', '.join(map(repr, item))[:200]}" if isinstance(item, dict) else ""
            raise DataError(f"an item ({short(item)}{keys}) cannot be sent to the consumer: {error}") from error

    def put(self, kind: int, value: Any) -> None:
        self._send(kind, bytearray(HEADER), pickled(value), [])

    def _new(self, key: tuple[Any, ...]) -> _Staged:
        """Announce a layout; the oldest makes room for it."""
        number = len(self._layouts)
        if number == _LAYOUTS:
            number = self._layouts.pop(next(iter(self._layouts))).layout.number
        self.put(LAYOUT, (number, key))
        staged = self._layouts[key] = _Staged(Layout(key, number))
        return staged

    def _send(self, kind: int, block: bytearray, parts: list[Any], large: list[Any]) -> None:
        inside = len(parts[0]) if parts and len(parts[0]) < LARGE else 0
        frames = [*large, *parts[1:]] if inside else [*large, *parts]
        size = len(block) + inside + sum(map(len, frames)) + _OVERHEAD
        _HEADER.pack_into(block, 0, kind, inside, size)
        first = block + bytes(parts[0]) if inside else block
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

    def check(self) -> None:
        if perf_counter() < self._look_at:
            return
        self._look_at = perf_counter() + _LOOK
        while self._socket.poll(0):
            self._news(wait=False)

    def wait_for_stop(self) -> None:
        """Stay until the consumer has read all there is."""
        while True:
            self._news(wait=True)

    def _news(self, *, wait: bool) -> bytes:
        """Read one message from the consumer, if there is one."""
        try:
            news: bytes = self._socket.recv(0 if wait else zmq.NOBLOCK)
        except zmq.Again:
            return b""
        if news == _STOP:
            self._on_stop()
            raise Stopped
        if len(news) == _TAKEN.size:
            self._ahead -= _TAKEN.unpack(news)[0]
        return news

    def close(self) -> None:
        """Close the channel; what has not been read is lost."""
        self._context.destroy(linger=0)


class _Staged:
    """A layout with a block that is filled again for each item (sending copies it)."""

    __slots__ = ("block", "layout", "views")

    def __init__(self, layout: Layout) -> None:
        self.layout, self.block = layout, bytearray(layout.size)
        self.views = layout.views(self.block)


class Receiver:
    """The consumer's end.

    Parameters
    ----------
    listener : Listener
        Where the worker connects; the worker has been started.
    limit : int
        The same as the sender's.
    alive : function
        Whether the worker still runs.
    """

    def __init__(self, listener: Listener, limit: int, alive: Callable[[], bool]) -> None:
        self._limit, self._alive, self._listener = limit, alive, listener
        self._taken = 0  # and not yet told
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
        """The next record, or None when the worker has died and all that it had sent is read."""
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
        while not self._listener.wait(self._socket, _PATIENCE):
            if not self._alive():
                return False
        self.connected = True
        self._listener.close()
        self._socket.send(_WELCOME)
        return True

    def _wait(self) -> zmq.Frame | None:
        """The next frame after some time without any; what was sent before a death counts."""
        alive = True
        while alive:
            alive = self._alive()
            try:
                return self._socket.recv(0, False)
            except zmq.Again:
                pass
        return None

    def _read(self, frame: zmq.Frame) -> Record | None:
        """The record that begins with this frame; None for one that concerns only us."""
        block = bytearray(frame.buffer)
        kind, inside, size = _HEADER.unpack_from(block)
        self._taken += size
        if self._taken >= self._limit >> 2:
            self._tell(_TAKEN.pack(self._taken))
            self._taken = 0
        more: deque[zmq.Frame] = deque()
        while frame.more:
            frame = self._socket.recv(0, False)
            more.append(frame)
        if kind >= ITEM:
            layout = self._layouts[kind - ITEM]
            if not layout.rested:
                return [ITEM, layout.built(block, iter(more), ())]
            large = [more.popleft() for array in layout.arrays if array[2] is None]
            first = memoryview(block)[layout.size :] if inside else more.popleft()
            return [ITEM, layout.built(block, iter(large), unpickled([first, *more]))]
        first = memoryview(block)[HEADER:] if inside else more.popleft()
        value = unpickled([first, *more])
        if kind == LAYOUT:
            number, key = value
            self._layouts[number] = Layout(key, number)
            return None
        return [kind, value]

    def stop(self) -> None:
        """Say that no more is wanted."""
        self._tell(_STOP)

    def _tell(self, news: bytes) -> None:
        # Without a worker that is connected nobody hears it.
        with contextlib.suppress(zmq.Again):
            self._socket.send(news, zmq.NOBLOCK)

    def close(self) -> None:
        """Close the channel and what is left of its listener; may be called again."""
        self._listener.close()
        self._context.destroy(linger=0)
