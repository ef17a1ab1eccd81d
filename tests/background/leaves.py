"""Leaves and trees for the tests of many workers, digests of items, and the items a stream of lanes must give."""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from typing import Any

import numpy as np

import streamflow as sf

#: Bytes of an item's array, drawn anew for each: most are sent in one block or frame, some apart.
SIZES = (16, 16, 48, 400, 4_000, 70_000)
#: From a few to some MiB.
UP_TO_MIB = (16, 16, 16, 48, 48, 400, 400, 1_000, 4_000, 4_000, 9_000, 30_000, 30_000, 70_000, 300_000, 3_000_000)


def content(k: int, i: int, size: int) -> np.ndarray:
    """`size` bytes that only item i of leaf k has."""
    seed = np.arange(64, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(k * 1_000_003 + i)
    return np.resize((seed * seed >> np.uint64(29)).astype(np.uint8), size)


def sample(k: int, i: int, size: int) -> dict[str, Any]:
    """An item with a bit of everything."""
    return {"k": k, "i": i, "x": content(k, i, size), "s": f"{k}/{i}", "t": (np.float32(i), [i, None])}


def digest(item: Any) -> Any:
    """All of an item, as something small that compares equal only to itself."""
    if isinstance(item, np.ndarray):
        return item.shape, item.dtype.str, zlib.crc32(np.ascontiguousarray(item).view(np.uint8).reshape(-1))
    if isinstance(item, dict):
        return tuple((key, digest(value)) for key, value in item.items())
    if isinstance(item, (tuple, list)):
        return type(item).__name__, *map(digest, item)
    return item


# --- leaves -----------------------------------------------------------------------------------------------------------


def drawn(k, rng, n=None, sizes=SIZES):
    """Samples of random sizes; n of them, or endless."""
    i = 0
    while n is None or i < n:
        yield sample(k, i, sizes[rng.integers(len(sizes))])
        i += 1


def starting(k, n=None, sizes=SIZES, start=0):
    """The same without randomness; it can start in the middle."""
    i = start
    while n is None or i < n:
        yield sample(k, i, sizes[(7 * i + k) % len(sizes)])
        i += 1


class Knowing:
    """A leaf with a state of its own: each item depends on all before it."""

    def __init__(self, k, n=None, sizes=SIZES):
        self.k, self.n, self.sizes = k, n, sizes
        self.i, self.walk = 0, k

    def __iter__(self):
        return self

    def __next__(self):
        if self.i == self.n:
            raise StopIteration
        self.walk = (self.walk * 69_069 + 12_345) % (1 << 31)
        self.i += 1
        return sample(self.k, self.walk, self.sizes[self.walk // 8 % len(self.sizes)])

    def state_dict(self):
        return {"i": self.i, "walk": self.walk}

    def load_state_dict(self, state):
        self.i, self.walk = state["i"], state["walk"]


def plain(name, n):
    """(name, 0), ..., (name, n - 1)."""
    for i in range(n):
        yield name, i


def endless(name):
    """The same item, endlessly."""
    while True:
        yield name


# --- trees ------------------------------------------------------------------------------------------------------------


def pool(leaf: Any, count: int, *args: Any, **kwargs: Any) -> list[sf.Streamer]:
    return [sf.Streamer(leaf, k, *args, **kwargs) for k in range(count)]


def drawing_tree(sizes=SIZES) -> sf.Streamer:
    members = pool(drawn, 12, sizes=sizes)
    return sf.StochasticMux(members, n_active=6, rate=5, weights=range(1, 13), random_state=1)


def starting_tree(sizes=SIZES) -> sf.Streamer:
    return sf.ShuffledMux(pool(starting, 4, sizes=sizes), weights=[4, 3, 2, 1], random_state=2)


def knowing_tree(sizes=SIZES) -> sf.Streamer:
    return sf.ShuffledMux(pool(Knowing, 3, sizes=sizes), random_state=3)


def batch_tree() -> sf.Streamer:
    """Batches of one size: 4 x 40 kB, made in memory that a worker offers."""
    samples = sf.StochasticMux(pool(drawn, 8, sizes=(40_000,)), 6, 9, random_state=4)
    return samples.pipe(_parts_alike).pipe(sf.buffer_stream, 4)


def _parts_alike(stream):
    for item in stream:
        yield {"x": item["x"], "i": item["i"], "k": np.int64(item["k"])}


def finite_tree() -> sf.Streamer:
    """Many members of different lengths, some of them empty."""
    members = [sf.Streamer(drawn, k, n=k * 7 % 23) for k in range(24)]
    return sf.StochasticMux(members, n_active=4, rate=None, mode="exhaustive", random_state=5)


def leaf_tree() -> sf.Streamer:
    return sf.Streamer(starting, 0, n=150)


ENDLESS: dict[str, Callable[[], sf.Streamer]] = {
    "drawing": drawing_tree,
    "starting": starting_tree,
    "knowing": knowing_tree,
    "batches": batch_tree,
}
LARGE: dict[str, Callable[[], sf.Streamer]] = {
    "drawing": partial(drawing_tree, UP_TO_MIB),
    "starting": partial(starting_tree, UP_TO_MIB),
    "knowing": partial(knowing_tree, UP_TO_MIB),
    "batches": batch_tree,
}
FINITE: dict[str, Callable[[], sf.Streamer]] = {"finite": finite_tree, "leaf": leaf_tree}


def merged(tree: sf.Streamer, n_lanes: int, epoch: int = 0) -> Iterator[Any]:
    """A stream of so many lanes, made serially here: one item of each part in turn."""
    with contextlib.ExitStack() as stack:
        parts = [tree.shard(index, n_lanes) if n_lanes > 1 else tree for index in range(n_lanes)]
        live = [stack.enter_context(part.open(epoch)) for part in parts]
        while live:
            for part in list(live):
                try:
                    item = next(part)
                except StopIteration:
                    live.remove(part)
                else:
                    yield item


_known: dict[tuple[Any, int], list[Any]] = {}


def expected_items(make: Callable[[], sf.Streamer], n_lanes: int, count: int | None = None) -> list[Any]:
    """Digests of the first `count` items that a stream of lanes must give (None: all of a finite one)."""
    known = _known.get((make, n_lanes), [])
    if len(known) < (1 if count is None else count):
        known = _known[make, n_lanes] = [digest(item) for item in islice(merged(make(), n_lanes), count)]
    return known[:count]


def taken(stream: Iterable[Any], count: int | None = None) -> list[Any]:
    """Digests of the next `count` items (None: of all)."""
    return [digest(item) for item in islice(stream, count)]
