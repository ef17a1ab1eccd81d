"""Leaves of every kind for random trees: what they yield tells who made it, in which activation and at which place.

All stand at the top of a module, so trees of them can be pickled and opened in another process.  `ledger` knows how
many items have been made, how many generators are open, and at which item a leaf shall fail.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np

from streamflow import BaseMux, Streamer
from streamflow.maps import stream_map


class Ledger:
    """What the leaves report to, and the failure that is in store for them."""

    def __init__(self) -> None:
        self.forget()

    def forget(self, fail_at: int | None = None) -> None:
        self.made, self.open, self.fail_at = 0, 0, fail_at

    def made_one(self) -> None:
        if self.made == self.fail_at:
            self.fail_at = None
            raise RuntimeError("the disk is gone")
        self.made += 1


ledger = Ledger()


class Opened:
    """Reports opening and closing of the generator around it."""

    def __enter__(self) -> None:
        ledger.open += 1

    def __exit__(self, *error: object) -> None:
        ledger.open -= 1


def sample(name: int, r: int, place: int) -> dict[str, Any]:
    ledger.made_one()
    return {"x": np.array([name, place]), "y": name * 1000 + place, "r": r}


def count(name: int, n: int) -> Iterator[Any]:
    """n samples, always the same."""
    with Opened():
        for place in range(n):
            yield sample(name, 0, place)


def endless(name: int) -> Iterator[Any]:
    with Opened():
        place = 0
        while True:
            yield sample(name, 0, place)
            place += 1


def drawing(name: int, n: int | None, rng: np.random.Generator) -> Iterator[Any]:
    """n samples (None: endless) with random numbers of this activation."""
    with Opened():
        place = 0
        while n is None or place < n:
            yield sample(name, int(rng.integers(1 << 40)), place)
            place += 1


def flaky(name: int, n: int, rng: np.random.Generator) -> Iterator[Any]:
    """From 0 to n samples, as chance will have it."""
    with Opened():
        for place in range(int(rng.integers(0, n + 1))):
            yield sample(name, int(rng.integers(1 << 40)), place)


def starting(name: int, n: int, start: int | None = None) -> Iterator[Any]:
    """Resumes itself."""
    with Opened():
        for place in range(start or 0, n):
            yield sample(name, 0, place)


def dividing(name: int, n: int, rng: np.random.Generator, shard: tuple[int, int] | None = None) -> Iterator[Any]:
    """Divides itself: draws for each item, and yields its own."""
    index, parts = shard or (0, 1)
    with Opened():
        for place in range(n):
            r = int(rng.integers(1 << 40))
            if place % parts == index:
                yield sample(name, r, place)


def dividing_start(name: int, n: int, shard: Any = None, start: Any = None) -> Iterator[Any]:
    """Divides and resumes itself."""
    index, parts = shard or (0, 1)
    with Opened():
        for place in range(index + parts * (start or 0), n, parts):
            yield sample(name, 0, place)


class Remembering:
    """An iterator with a state of its own."""

    def __init__(self, name: int, n: int) -> None:
        self.name, self.n, self.place = name, n, 0

    def __iter__(self) -> Remembering:
        return self

    def __next__(self) -> Any:
        if self.place >= self.n:
            raise StopIteration
        item = sample(self.name, 0, self.place)
        self.place += 1
        return item

    def state_dict(self) -> dict[str, int]:
        return {"place": self.place}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.place = state["place"]


class Calls:
    """An iterable object that makes a generator at each pass."""

    def __init__(self, name: int, n: int) -> None:
        self.name, self.n = name, n

    def __iter__(self) -> Iterator[Any]:
        return count(self.name, self.n)


def data(name: int, n: int) -> list[Any]:
    """A plain list."""
    return [{"x": np.array([name, place]), "y": name * 1000 + place, "r": 0} for place in range(n)]


def constant() -> Any:
    return sample(77, 0, 0)


def gives_streamer(name: int, n: int) -> Streamer:
    """A function that returns a Streamer."""
    return Streamer(drawing, name, n)


def noisy(stream: Any, rng: np.random.Generator) -> Iterator[Any]:
    """A function over a bound Streamer."""
    for item in stream:
        yield from item if isinstance(item, list) else [{**_sampled(item), "r": int(rng.integers(1 << 40))}]


def twice(stream: Any) -> Iterator[Any]:
    """Goes over its Streamer a second time."""
    yield from map(_sampled, stream)
    yield from map(_sampled, stream)


def paired(left: Any, right: Any) -> Iterator[Any]:
    """Two bound Streamers side by side."""
    yield from map(_sampled, zip(left, right, strict=False))


def _plain(item: Any) -> Any:
    if isinstance(item, dict):
        return [(key, _plain(value)) for key, value in sorted(item.items())]
    if isinstance(item, tuple | list):
        return [_plain(value) for value in item]
    return item.tolist() if isinstance(item, np.ndarray) else item


def _told(item: Any) -> int:
    """A number that depends on all of an item."""
    return zlib.crc32(repr(_plain(item)).encode())


def _sampled(item: Any) -> dict[str, Any]:
    return {"x": np.array([_told(item) % 1_000_003, 1]), "y": _told(item) % 999_983, "r": 0}


@stream_map()
def sampled(stream: Iterator[Any]) -> Iterator[Any]:
    """Whatever comes, as a sample."""
    for item in stream:
        yield _sampled(item)


@stream_map()
def pairs(stream: Iterator[Any], last: bool = True) -> Iterator[Any]:
    """Two items at a time, and perhaps the odd one."""
    for item in stream:
        other = next(stream, None)
        if other is not None or last:
            yield {"x": [item, other], "y": 2, "r": 0} if other is not None else {"x": [item], "y": 1, "r": 0}


@stream_map(kind="replayed")
def doubled(stream: Iterator[Any]) -> Iterator[Any]:
    """Each item twice: between the two it holds one back."""
    for item in stream:
        yield item
        yield item


@stream_map(kind="windowed")
def jumbled(stream: Iterator[Any], size: int, rng: Any) -> Iterator[Any]:
    """Items in a random order within windows, and sometimes one of them twice."""
    while window := list(islice(stream, size)):
        rng.shuffle(window)
        yield window[: rng.integers(2)] + window


def jittered(item: Any, rng: Any) -> Any:
    """A sample that shows its random number."""
    return {**item, "r": int(rng.integers(1 << 40))}


def numbered(item: Any, epoch: int, *, index: int) -> Any:
    """A sample that shows its number and its epoch."""
    return {**item, "r": 100 * epoch + index}


def chosen(item: Any, rng: Any, index: int) -> bool:
    """Most samples, the first among them."""
    return bool(index == 0 or rng.random() < 0.7)


@stream_map()
def dropping(stream: Iterator[Any]) -> Iterator[Any]:
    """Leaves out some items, never two in a row, so that it gives something of any stream."""
    for item in stream:
        yield next(stream, item) if item["y"] % 3 == 1 else item


class TakeTurns(BaseMux):
    """Two items of each live member in turn; it ends with its members."""

    def choose(self, step: int, live: Any, u: float) -> int:
        return int(live[step // 2 % len(live)])


class Again(BaseMux):
    """Any live member; one that has ended starts again."""

    def choose(self, step: int, live: Any, u: float) -> int:
        return int(live[int(u * len(live))])

    def ended(self, slot: int, given: int) -> bool:
        return True


class Thrice(BaseMux):
    """The last live member; every second ending is final."""

    def choose(self, step: int, live: Any, u: float) -> int:
        return int(live[-1])

    def ended(self, slot: int, given: int) -> bool:
        return given % 2 == 1


def chained(*members: Any) -> Any:
    """The members of a lazy ChainMux."""
    return iter(members)
