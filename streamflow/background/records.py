"""What passes between a worker and its consumer.  Imports nothing of streamflow; every file of this package may use it.

A worker writes records, in order.  The place of a record in that order is its meaning: a `MARK` between two items is
the state of the worker's lanes between these items, an `END` or an `ERROR` comes after the last item.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

__all__ = [
    "END",
    "ERROR",
    "HELLO",
    "ITEM",
    "LAYOUT",
    "MARK",
    "READY",
    "Door",
    "Failure",
    "Inbox",
    "Invitation",
    "Quiet",
    "Record",
    "Sink",
    "Stopped",
]

#: Kinds of records.
#:
#: HELLO    the worker is connected
#: READY    the lanes are open, and their states have been loaded
#: MARK     [(lane, items given, state), ...] of the lanes that have not ended, or the `StateError` that says why not
#: END      number of a lane that has ended
#: ERROR    `Failure`
#: LAYOUT   (number, how items of this form are laid out): comes before the first such item
#: ITEM     an item; on the wire ITEM + number of its layout
HELLO, READY, MARK, END, ERROR, LAYOUT, ITEM = range(7)

#: [kind, value].  A list, so that whoever hands the value on can let go of it.
Record = list[Any]


class Stopped(BaseException):
    """Raised in a worker when nobody wants more; no `except Exception` of a user's holds it up."""


class Quiet(Exception):
    """Raised in the consumer when a living worker has sent nothing for too long."""


class Failure(NamedTuple):
    """An error of the tree."""

    error: BaseException
    path: list[str]  #: in the tree


class Sink(Protocol):
    """A worker's end of a channel."""

    def item(self, record: Record) -> None:
        """Send an item, [ITEM, item], and leave [ITEM]; then wait until there is room for another.

        Raises `Stopped` if the consumer wants no more.
        """

    def put(self, kind: int, value: Any) -> None:
        """Send any other record."""

    def wait(self) -> int:
        """Wait for what the consumer wants next, when all has been sent: the epoch.  Raises `Stopped` likewise."""

    def close(self) -> None:
        """Close it; what has been sent and not read may be lost."""


class Inbox(Protocol):
    """The consumer's end of a channel."""

    @property
    def connected(self) -> bool:
        """Whether the worker has said anything."""

    def take(self) -> Record | None:
        """The next record, or None when the worker has died and all that it had sent is read; may raise `Quiet`."""

    def want(self, epoch: int) -> None:
        """Say that another epoch is wanted."""

    def stop(self) -> None:
        """Say that no more is wanted."""

    def close(self) -> None:
        """Close it; may be called again."""


class Invitation(Protocol):
    """What a worker is given to come in by: it goes by fork, or through the pipe of a worker's start."""

    def connect(self, limit: int, on_stop: Callable[[], None]) -> Sink:
        """The worker's end; `limit`: bytes it may be ahead.  `on_stop` is called before `Stopped` is raised."""

    def remove(self) -> None:
        """Remove what would outlive a consumer that has died."""


class Door(Protocol):
    """The consumer's end before a worker comes in."""

    @property
    def invitation(self) -> Invitation:
        """For the worker."""

    def open(self, limit: int, alive: Callable[[], bool], patience: float | None) -> Inbox:
        """The consumer's end, once the worker has been started.

        `alive` tells whether it still runs; `patience`: seconds without a record after which `Quiet` is raised.
        """

    def close(self) -> None:
        """Let nobody in any more; may be called again."""
