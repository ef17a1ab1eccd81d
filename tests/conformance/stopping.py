"""Promises about closing and read-ahead: all that was started is closed, and read-ahead is bounded."""

from __future__ import annotations

import gc
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from streamflow.core import Streamer
from streamflow.testing.subject import expect, taken

from ..processes import within
from .case import Case
from .journal import Journal

__all__ = ["STOPPING"]

_MANY = 1 << 30
_NUMBERS = 1 << 19  #: in an array of 4 MiB


class _LoopError(Exception):
    """Raised in a loop over a stream."""


def _closed(streamer: Streamer, wait: Callable[[], Any]) -> Any:
    stream = streamer.open()
    taken(stream, 2)
    wait()
    stream.close()
    stream.close()
    return stream


def _block_left(streamer: Streamer, wait: Callable[[], Any]) -> Any:
    with streamer as stream:
        taken(stream, 2)
        wait()
    return stream


def _dropped(streamer: Streamer, wait: Callable[[], Any]) -> None:
    stream = streamer.open()
    taken(stream, 2)
    wait()


def _broken_off(streamer: Streamer, wait: Callable[[], Any]) -> None:
    for _ in streamer:
        wait()
        break


def _failed(streamer: Streamer, wait: Callable[[], Any]) -> None:
    with suppress(_LoopError):
        for _ in streamer:
            wait()
            raise _LoopError


def _limited(streamer: Streamer, wait: Callable[[], Any]) -> Any:
    items = streamer.iterate(2)
    taken(items, 3)
    return items


def _cycled(streamer: Streamer, wait: Callable[[], Any]) -> Any:
    items = streamer.cycle()
    taken(items, 2)
    wait()
    items.close()
    return items


_WAYS: dict[str, Callable[[Streamer, Callable[[], Any]], Any]] = {
    "its Stream is closed": _closed,
    "a `with` block is left": _block_left,
    "its Stream is dropped": _dropped,
    "a loop over it is broken off": _broken_off,
    "there is an error in a loop over it": _failed,
    "`max_iter` is reached": _limited,
    "cycle() is closed": _cycled,
}


def _leaves_nothing(case: Case) -> None:
    for way, leave in _WAYS.items():
        journal, background = case.noted(_MANY)
        held = leave(background, lambda: None)
        gc.collect(0)
        _expect_left(case, journal, f"when {way}")
        del held


def _leaves_nothing_while_full(case: Case) -> None:
    for way in ("its Stream is closed", "its Stream is dropped"):
        journal, background = case.noted(_MANY, size=_NUMBERS)
        most = case.ahead + 2

        def wait(journal: Journal = journal, most: int = most) -> None:
            journal.settle(2, most, case.timeout)

        held = _WAYS[way](background, wait)
        _expect_left(case, journal, f"when {way} and it is as far ahead as it may be")
        del held


def _leaves_nothing_asleep(case: Case) -> None:
    for way in ("its Stream is closed", "its Stream is dropped"):
        journal, background = case.noted(5, pause=0.15)
        held = _WAYS[way](background, lambda: None)
        _expect_left(case, journal, f"when {way} and the leaf is asleep")
        del held


def _expect_left(case: Case, journal: Journal, when: str) -> None:
    try:
        case.expect_closed(journal)
    except AssertionError as error:
        raise AssertionError(f"{when}: {error}") from None


def _closes_unopened(case: Case) -> None:
    journal, background = case.noted(3)
    background.open().close()
    del background
    expect(not journal.lines(), "the leaf was opened")


def _bounded(case: Case) -> None:
    journal, background = case.noted(4 * case.ahead + 20, size=_NUMBERS)
    with background.open() as stream:
        taken(stream, 2)
        made = journal.settle(2, case.ahead + 3, case.timeout)
        # One more is being made.
        expect(
            made <= case.ahead + 3, f"{made} items of 4 MiB were made when 2 had been taken (`ahead` is {case.ahead})"
        )
    case.expect_closed(journal)


def _ahead(case: Case) -> None:
    journal, background = case.noted(_MANY)
    with background.open() as stream:
        taken(stream, 1)
        expect(
            within(case.timeout / 2, lambda: journal.made() >= 2), "the second item is not made before it is asked for"
        )
    case.expect_closed(journal)


#: Each promise about closing and read-ahead, and the function that holds a background stream to it.
STOPPING = {
    "items are made before they are asked for": _ahead,
    "what is made ahead is bounded": _bounded,
    "closing a stream that was never asked for anything does nothing": _closes_unopened,
    "a pass closes all that it opened": _leaves_nothing,
    "a pass closes all that it opened while it waits for room": _leaves_nothing_while_full,
    "a pass closes all that it opened while a leaf takes its time": _leaves_nothing_asleep,
}
