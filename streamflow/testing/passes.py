"""Promises about passes: they repeat, they close what they open, they draw no more than asked."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

from ..core import Streamer
from .subject import Subject, broken, expect, expect_items, expect_position, promise, taken
from .watch import made_items, no_collection, open_generators

__all__ = ["check_closing", "check_draws", "check_pickles", "check_repeats", "check_unchanged", "pickled_copies"]


def check_repeats(subject: Subject) -> None:
    """Two passes at one epoch are equal, and there is another epoch."""
    expected, n_items = subject.expected, subject.n_items
    with promise("two passes over a seeded stream at one epoch are equal"):
        expect_items(subject.seeded_items(n_items), expected, "the second pass")
        expect_items(taken(subject.seeded.open(), n_items), expected, "the pass by open()")
    with promise("another epoch can be opened, and repeats too"):
        later = subject.seeded_items(n_items, epoch=3)
        expect_items(subject.seeded_items(n_items, epoch=3), later, "the second pass over epoch 3")
    with promise("cycle() begins with epoch 0 and goes on with epoch 1"):
        wanted = list(expected)
        if subject.ended and expected:
            wanted = (expected + subject.seeded_items(n_items, epoch=1))[:n_items]
        expect_items(taken(subject.seeded.cycle(), len(wanted)), wanted, "cycle()")


def pickled_copies(subject: Subject, pickles: bool | None) -> list[tuple[str, Streamer]]:
    """Copies of the streamer by all that can carry it; to be made before the first pass."""
    import cloudpickle

    copies: list[tuple[str, Streamer]] = []
    if pickles is False:
        return copies
    with promise("a Streamer can be pickled by cloudpickle (or say `pickles=False`)"):
        copies.append(("cloudpickle", pickle.loads(cloudpickle.dumps(subject.seeded))))
    try:
        by_pickle = pickle.dumps(subject.seeded)
    except Exception as error:
        if pickles:
            raise broken(f"a Streamer can be pickled by pickle: it raised {type(error).__name__}: {error}") from error
        return copies
    with promise("what pickle has written it can read"):
        copies.append(("pickle", pickle.loads(by_pickle)))
    return copies


def check_pickles(subject: Subject, copies: list[tuple[str, Streamer]]) -> None:
    """The copies give the same items."""
    for by, copy in copies:
        with promise(f"a copy by {by} gives the same items"):
            expect_items(taken(copy(subject.n_items), subject.n_items), subject.expected, "the copy")


def check_closing(subject: Subject) -> None:
    """However a pass is left, no generator stays open."""
    some = len(subject.expected) // 2 + 1
    with no_collection():
        for way, leave in _WAYS.items():
            with promise(f"a pass closes all that it opened when {way}"):
                before = open_generators()
                held = leave(subject.seeded, some)
                left = [name for key, name in open_generators().items() if key not in before]
                expect(not left, f"open are still {', '.join(left[:5])}")
                expect(subject.seeded.active == 0, f"`active` is {subject.seeded.active} instead of 0")
                del held
        if subject.ended:
            with promise("a pass closes all that it opened when its end is reached"):
                before = open_generators()
                stream = subject.seeded.open()
                taken(stream, len(subject.expected) + 1)
                left = [name for key, name in open_generators().items() if key not in before]
                expect(not left, f"open are still {', '.join(left[:5])}")
                stream.close()


def _closed(streamer: Streamer, some: int) -> Any:
    stream = streamer.open()
    taken(stream, some)
    stream.close()
    stream.close()
    return stream


def _block_left(streamer: Streamer, some: int) -> Any:
    with streamer as stream:
        taken(stream, some)
    return stream


def _dropped(streamer: Streamer, some: int) -> None:
    taken(streamer.open(), some)


def _broken_off(streamer: Streamer, some: int) -> None:
    for place, _ in enumerate(streamer):
        if place + 1 == some:
            break


def _limited(streamer: Streamer, some: int) -> Any:
    items = streamer.iterate(some)
    taken(items, some + 1)
    return items


def _cycled(streamer: Streamer, some: int) -> None:
    items = streamer.cycle()
    taken(items, some)
    items.close()


_WAYS: dict[str, Callable[[Streamer, int], Any]] = {
    "its Stream is closed": _closed,
    "a `with` block is left": _block_left,
    "its Stream is dropped": _dropped,
    "a loop over it is broken off": _broken_off,
    "`max_iter` is reached": _limited,
    "cycle() is closed": _cycled,
}


def check_draws(subject: Subject) -> None:
    """Nothing is opened before the first item, and no way to take n items draws more than another."""
    n_items = len(subject.expected)
    with promise("nothing is drawn before the first item is asked for"):
        with made_items() as made:
            stream = subject.seeded.open()
            subject.seeded.iterate(0)
        expect(not made, f"open() made {dict(made)}")
    with promise("a pass draws no more than it is asked for"):
        with made_items() as by_next:
            for _ in range(n_items):
                next(stream)
        expect_position(stream, n_items)
        stream.close()
        with made_items() as by_limit:
            taken(subject.seeded.iterate(n_items), n_items + 1)
        expect(by_next == by_limit, f"{n_items} x next() made {dict(by_next)}, iterate({n_items}) {dict(by_limit)}")


def check_unchanged(subject: Subject) -> None:
    """After all that, the description is the same and gives the same items."""
    with promise("a description is not changed by iterating"):
        expect_items(subject.seeded_items(subject.n_items), subject.expected, "a pass after many others")
        active = subject.streamer.active + subject.seeded.active
        expect(active == 0, f"`active` is {active} instead of 0 with no pass open")
