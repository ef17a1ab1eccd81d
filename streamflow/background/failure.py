"""An error of the tree on its way to the consumer.  Knows `records` and `wire`; the channels use it.

What is sent is known to unpickle; where it does not (or would mean something else in the consumer, as a SystemExit), a
`BackgroundError` says what it said.
"""

from __future__ import annotations

import os
import traceback
from typing import Any, NamedTuple

from ..exceptions import BackgroundError
from .records import ERROR, Failure
from .wire import pickled, unpickled

__all__ = ["harmless", "packed", "unpacked"]


class _Sent(NamedTuple):
    """A failure in parts that unpickle everywhere."""

    parts: list[bytes]  #: the error
    said: str  #: the same in words
    text: str  #: the traceback
    pid: int
    path: list[str]


def packed(kind: int, value: Any) -> list[Any]:
    """The value of any record but an item, as `wire.pickled` gives it."""
    return pickled(_sent(value) if kind == ERROR else value)


def unpacked(kind: int, parts: Any) -> Any:
    """What `packed` was given."""
    value = unpickled(parts)
    return _received(value) if kind == ERROR else value


def in_words(error: BaseException) -> str:
    """An error in words."""
    if isinstance(error, SystemExit):
        return f"the tree called sys.exit({error.code!r})"
    return f"{type(error).__name__}: {error}"


def harmless(error: BaseException, where: str) -> Exception:
    """What can be raised in the consumer without meaning something else there, such as the end of the program."""
    if isinstance(error, Exception) and not isinstance(error, (StopIteration, StopAsyncIteration)):
        return error
    told = BackgroundError(f"{where} {in_words(error)}")
    told.__cause__ = error
    return told


def _sent(failure: Failure) -> _Sent:
    error, path = failure
    text = "".join(traceback.format_exception(error))
    said = in_words(error)
    error = harmless(error, "in a worker")
    try:
        parts = pickled(error)
        if type(unpickled(parts)) is type(error):
            return _Sent([bytes(part) for part in parts], said, text, os.getpid(), path)
    except Exception:  # noqa: BLE001, S110  (its words will do)
        pass
    return _Sent(pickled(BackgroundError(f"in a worker {said}")), said, text, os.getpid(), path)


def _received(sent: _Sent) -> Failure:
    try:
        error = unpickled(sent.parts)
    except Exception:  # noqa: BLE001  (it could be read there, but not here)
        error = BackgroundError(f"in a worker {sent.said}")
    error.add_note(f"in worker process {sent.pid}:\n{sent.text.rstrip()}")
    return Failure(error, sent.path)
