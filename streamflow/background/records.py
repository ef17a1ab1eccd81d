"""What passes between a worker and its consumer, and the protocols of the channel that it passes through.

A worker sends records, in order, and their order carries meaning: a `MARK` between two items is the state of the
worker's lanes at that point; an `END` or an `ERROR` comes after the last item.

How the two ends of a channel meet, and which calls correspond::

    consumer                                          worker
    channel = ...Channel(...)
    start a worker with `channel.worker_end`
    receiver = channel.open(...)                      sender = worker_end.connect(...)
    receiver.receive()                      <-------  sender.send_item(record), sender.send(kind, value)
    receiver.request_epoch(epoch)           ------->  sender.wait_for_epoch() returns it
    receiver.request_stop()                 ------->  `Stopped` is raised in any call of the sender
    receiver.close(), channel.close()                 sender.close()

Imports `wire` to pickle errors; every later file of this package may import this one.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from ..exceptions import BackgroundError
from .wire import pickled, unpickled

__all__ = [
    "END",
    "ERROR",
    "HELLO",
    "ITEM",
    "LAYOUT",
    "MARK",
    "READY",
    "Channel",
    "Failure",
    "ItemTimeout",
    "Receiver",
    "Record",
    "Sender",
    "Stopped",
    "WorkerEnd",
    "as_exception",
    "decoded",
    "encoded",
    "no_record",
]

#: Kinds of records.
#:
#: HELLO    the worker is connected
#: READY    its lanes are open and their states have been loaded
#: MARK     [(lane, state), ...] of the lanes that have not ended, or a `StateError` if there is no state
#: END      the number of a lane that has ended
#: ERROR    a `Failure`
#: LAYOUT   (number, key of an item layout), before the first item of that layout
#: ITEM     an item; inside a channel, ITEM + the number of its layout
HELLO, READY, MARK, END, ERROR, LAYOUT, ITEM = range(7)

#: [kind, value].  A list, so that code that passes the value on can remove it, and holds no reference meanwhile.
Record = list[Any]


class Stopped(BaseException):
    """Raised in a worker when the consumer stops it; not an `Exception`, so that user code does not catch it."""


class ItemTimeout(Exception):
    """Raised in the consumer when a worker that is alive has sent nothing for too long."""


class Failure(NamedTuple):
    """An error raised by the tree."""

    error: BaseException
    path: list[str]  #: of the node that raised it


# ---------------------------------------------------------------------- the ends of a channel
class Sender(Protocol):
    """The worker's end of a channel.  One thread of the worker calls it."""

    def send_item(self, record: Record) -> None:
        """Send the item of a record [ITEM, item], remove it from the record, and wait until there is room for another.

        Raises `Stopped` once the consumer has called `Receiver.request_stop`.
        """

    def send(self, kind: int, value: Any) -> None:
        """Send a record of any other kind."""

    def wait_for_epoch(self) -> int:
        """Wait until the consumer calls `Receiver.request_epoch`; return that epoch.  Raises `Stopped` as above."""

    def close(self) -> None:
        """Close this end; records not yet received may be lost."""


class Receiver(Protocol):
    """The consumer's end of a channel.  One thread at a time calls it; `request_stop` may come from a finaliser."""

    @property
    def connected(self) -> bool:
        """Whether anything has come from the worker."""

    def receive(self) -> Record | None:
        """Wait for the next record; None when the worker has died and all that it sent has been received.

        Raises `ItemTimeout` if the worker lives and has sent nothing for `item_timeout` seconds.
        """

    def request_epoch(self, epoch: int) -> None:
        """Make the worker's `Sender.wait_for_epoch` return an epoch; does not wait."""

    def request_stop(self) -> None:
        """Make the worker's sender raise `Stopped`; does not wait."""

    def close(self) -> None:
        """Close this end; may be called again."""


class WorkerEnd(Protocol):
    """What a worker connects with; a forked worker inherits it, for other start methods it is pickled."""

    def connect(self, limit: int, on_stop: Callable[[], None]) -> Sender:
        """In the worker: connect, and return the sender.

        `limit` is how many bytes may be sent and not yet received; `on_stop` is called before `Stopped` is raised.
        """

    def clean_up(self) -> None:
        """In a worker whose consumer has died: remove all that would outlive both."""


class Channel(Protocol):
    """The consumer's end, before a worker has connected."""

    @property
    def worker_end(self) -> WorkerEnd:
        """What the worker is started with."""

    def open(self, limit: int, alive: Callable[[], bool], item_timeout: float | None) -> Receiver:
        """Return the receiver; called once, after the worker has been started.

        `limit` is the sender's; `alive` returns whether the worker still runs; after `item_timeout` seconds without a
        record (None: no limit) `Receiver.receive` raises `ItemTimeout`.
        """

    def close(self) -> None:
        """Accept no more workers; may be called again."""


def no_record() -> None:
    """`Receiver.receive` of a worker that has been closed."""


# ---------------------------------------------------------------------- records as bytes
class _SentFailure(NamedTuple):
    """A failure, in parts that unpickle anywhere."""

    parts: list[bytes]  #: the error, pickled
    summary: str
    traceback: str
    pid: int
    path: list[str]


def encoded(kind: int, value: Any) -> list[Any]:
    """The value of a record that is not an item, as [pickle, buffer, buffer, ...]."""
    return pickled(_sent(value) if kind == ERROR else value)


def decoded(kind: int, parts: Any) -> Any:
    """The value that `encoded` was given."""
    value = unpickled(parts)
    return _received(value) if kind == ERROR else value


def as_exception(error: BaseException, where: str) -> Exception:
    """The error, wrapped in a `BackgroundError` if it would mean something else in the consumer (an exit, an end)."""
    if isinstance(error, Exception) and not isinstance(error, (StopIteration, StopAsyncIteration)):
        return error
    wrapped = BackgroundError(f"{where}, the tree {_summary(error)}")
    wrapped.__cause__ = error
    return wrapped


def _summary(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return f"called sys.exit({error.code!r})"
    return f"raised {type(error).__name__}: {error}"


def _sent(failure: Failure) -> _SentFailure:
    """A failure that will unpickle; an error that would not is replaced by a `BackgroundError` that quotes it."""
    error, path = failure
    text = "".join(traceback.format_exception(error))
    summary = _summary(error)
    error = as_exception(error, "in a worker")
    try:
        parts = pickled(error)
        if type(unpickled(parts)) is type(error):
            return _SentFailure([bytes(part) for part in parts], summary, text, os.getpid(), path)
    except Exception:  # noqa: BLE001, S110  (the summary will do)
        pass
    return _SentFailure(pickled(BackgroundError(f"in a worker, the tree {summary}")), summary, text, os.getpid(), path)


def _received(sent: _SentFailure) -> Failure:
    try:
        error = unpickled(sent.parts)
    except Exception:  # noqa: BLE001  (it unpickles in the worker, but not here)
        error = BackgroundError(f"in a worker, the tree {sent.summary}")
    error.add_note(f"in worker process {sent.pid}:\n{sent.traceback.rstrip()}")
    return Failure(error, sent.path)
