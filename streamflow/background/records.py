"""What passes between a worker and its consumer.  Imports nothing of streamflow; every file of this package may use it.

A worker writes records, in order.  The place of a record in that order is its meaning: a `MARK` between two items is
the state of the stream between these items, an `END` or an `ERROR` comes after the last item.
"""

from __future__ import annotations

from typing import Any, Protocol

__all__ = ["END", "ERROR", "HELLO", "ITEM", "LAYOUT", "MARK", "READY", "Record", "Sink", "Stopped"]

#: Kinds of records.
#:
#: HELLO    the worker is connected
#: READY    the tree is open, and a state has been loaded
#: MARK     (items given, state of the tree), or the `StateError` that says why there is none
#: END      the tree has ended
#: ERROR    (pickled error, the error in words, traceback, path in the tree)
#: LAYOUT   (number, how items of this form are laid out): comes before the first such item
#: ITEM     an item; on the wire ITEM + number of its layout
HELLO, READY, MARK, END, ERROR, LAYOUT, ITEM = range(7)

#: [kind, value].  A list, so that whoever hands the value on can let go of it.
Record = list[Any]


class Stopped(BaseException):
    """Raised in a worker when nobody wants more; no `except Exception` of a user's holds it up."""


class Sink(Protocol):
    """A worker's end of a channel, as `produce` sees it."""

    def item(self, item: Any) -> None:
        """Send an item, then wait until there is room for another."""

    def put(self, kind: int, value: Any) -> None:
        """Send any other record."""

    def check(self) -> None:
        """Raise `Stopped` if the consumer wants no more."""
