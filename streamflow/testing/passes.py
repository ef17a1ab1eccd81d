"""Promises about passes: they repeat, close everything they open, and draw no more than is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ..core import Streamer
from .subject import Subject, expect, expect_items, expect_length, expect_position, promise, taken
from .watch import count_items, no_collection, open_generators

__all__ = ["check_closing", "check_draws", "check_pickles", "check_repeats", "check_unchanged"]


def check_repeats(subject: Subject) -> None:
    """Two passes at the same epoch are equal, and other epochs can be opened."""
    expected, n_items = subject.expected, subject.n_items
    with promise("two passes over a seeded stream at the same epoch are equal"):
        expect_items(subject.seeded_items(n_items), expected, "the second pass")
        expect_items(taken(subject.seeded.open(0), n_items), expected, "the pass of open()")
    with promise("`len` is the number of items, where it is known"):
        expect_length(subject.seeded, expected, subject.ended)
    with promise("another epoch can be opened, and repeats too"):
        later = subject.seeded_items(n_items, epoch=3)
        expect_items(subject.seeded_items(n_items, epoch=3), later, "the second pass over epoch 3")
    with promise("cycle() starts with epoch 0 and continues with epoch 1"):
        wanted = list(expected)
        if subject.ended and expected:
            wanted = (expected + subject.seeded_items(n_items, epoch=1))[:n_items]
        expect_items(taken(subject.seeded.cycle(), len(wanted)), wanted, "cycle()")


def check_pickles(subject: Subject, copies: list[tuple[str, Streamer]]) -> None:
    """The copies give the same items."""
    for library, copy in copies:
        with promise(f"a copy made with {library} gives the same items"):
            expect_items(taken(copy(subject.n_items, epoch=0), subject.n_items), subject.expected, "the copy")


def check_closing(subject: Subject) -> None:
    """However a pass ends, no generator stays open."""
    some = len(subject.expected) // 2 + 1
    with no_collection():
        for way, end in _WAYS_TO_END.items():
            with _everything_closed(way):
                held = end(subject.seeded, some)
                expect(subject.seeded.active == 0, f"`active` is {subject.seeded.active} instead of 0")
            del held
        if subject.ended:
            with _everything_closed("it reaches its end"):
                stream = subject.seeded.open(0)
                taken(stream, len(subject.expected) + 1)
            stream.close()


@contextmanager
def _everything_closed(way: str) -> Iterator[None]:
    """Raise if a generator that was opened in this block is still open after it."""
    with promise(f"a pass closes everything it opened when {way}"):
        before = open_generators()
        yield
        left = [name for key, name in open_generators().items() if key not in before]
        expect(not left, f"still open: {', '.join(left[:5])}")


def _closed(streamer: Streamer, some: int) -> Any:
    stream = streamer.open(0)
    taken(stream, some)
    stream.close()
    stream.close()
    return stream


def _left_block(streamer: Streamer, some: int) -> Any:
    with streamer as stream:
        taken(stream, some)
    return stream


def _dropped(streamer: Streamer, some: int) -> None:
    taken(streamer.open(0), some)


def _broken_loop(streamer: Streamer, some: int) -> None:
    for place, _ in enumerate(streamer):
        if place + 1 == some:
            break


def _limited(streamer: Streamer, some: int) -> Any:
    items = streamer.iterate(some, epoch=0)
    taken(items, some + 1)
    return items


def _cycled(streamer: Streamer, some: int) -> None:
    items = streamer.cycle()
    taken(items, some)
    items.close()


_WAYS_TO_END: dict[str, Callable[[Streamer, int], Any]] = {
    "its Stream is closed": _closed,
    "its `with` block ends": _left_block,
    "its Stream is dropped": _dropped,
    "a loop over it breaks": _broken_loop,
    "`max_iter` is reached": _limited,
    "cycle() is closed": _cycled,
}


def check_draws(subject: Subject) -> None:
    """Nothing is opened before the first item, and each way to take n items draws equally many from the leaves."""
    n_items = len(subject.expected)
    with promise("nothing is drawn before the first item is asked for"):
        with count_items() as drawn:
            stream = subject.seeded.open(0)
            subject.seeded.iterate(0)
        expect(not drawn, f"open() drew {dict(drawn)}")
    with promise("a pass draws no more than it is asked for"):
        with count_items() as by_next:
            for _ in range(n_items):
                next(stream)
        expect_position(stream, n_items)
        stream.close()
        with count_items() as by_limit:
            taken(subject.seeded.iterate(n_items, epoch=0), n_items + 1)
        expect(by_next == by_limit, f"{n_items} x next() drew {dict(by_next)}, iterate({n_items}) {dict(by_limit)}")


def check_unchanged(subject: Subject) -> None:
    """After all the other checks, the description is the same and gives the same items."""
    with promise("a description is not changed by iterating"):
        expect_items(subject.seeded_items(subject.n_items), subject.expected, "a pass after many others")
        active = subject.streamer.active + subject.seeded.active
        expect(active == 0, f"`active` is {active} instead of 0 with no pass open")
