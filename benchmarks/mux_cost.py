"""What a mux costs per item, against a hand-written loop over the same generators (and against pescador).

The members cost next to nothing (15 to 25 ns), so what is seen is the mux.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from statistics import median

import numpy as np
from timing import Row, against, endless, interleave, main, pescador, ratio

import streamflow

BLOCK = 1024


def numbers(value: int) -> Iterator[int]:
    """An endless member."""
    while True:
        yield value


def floor_loop(members: Sequence[Iterator], weights: np.ndarray | None = None) -> Iterator:
    """The least Python that samples: one ``yield next(...)`` an item, choices drawn by the block, no ends."""
    rng, n = np.random.default_rng(0), len(members)
    cdf = None if weights is None else np.cumsum(weights) / np.sum(weights)
    if cdf is not None:
        cdf[-1] = 1.0
    while True:
        doubles = rng.random(BLOCK)
        chosen = (doubles * n).astype(np.intp) if cdf is None else cdf.searchsorted(doubles, side="right")
        for i in chosen.tolist():
            yield next(members[i])


def some_weights(n: int) -> np.ndarray:
    return np.random.default_rng(1).random(n) + 0.1


def pool(library, n: int) -> list:
    return [library.Streamer(numbers, i) for i in range(n)]


def shuffled(library, n: int, weights: np.ndarray | None = None) -> Iterator:
    return iter(library.ShuffledMux(pool(library, n), weights=weights, random_state=0))


def stochastic(library, rate: float, weights=None, n_pool: int = 16, mode: str = "with_replacement") -> Iterator:
    mux = library.StochasticMux(pool(library, n_pool), 16, rate, weights=weights, mode=mode, random_state=0)
    return iter(mux)


def tree(library, levels: int, width: int = 8):
    """`levels` levels of ShuffledMux over `width` children each."""
    if levels == 0:
        return library.Streamer(numbers, 0)
    return library.ShuffledMux([tree(library, levels - 1, width) for _ in range(width)], random_state=levels)


def floor_tree(levels: int, width: int = 8) -> Iterator:
    if levels == 0:
        return numbers(0)
    return floor_loop([floor_tree(levels - 1, width) for _ in range(width)])


def compare(floor: Iterator, stream):
    """`stream` makes an iterator from a library; visited in turn with the floor."""
    contenders = {"floor_loop": endless(floor), "streamflow": endless(stream(streamflow))}
    if pescador is not None:
        contenders["pescador"] = endless(stream(pescador))
    return interleave(contenders)


def shuffled_rows() -> list[Row]:
    rows = []
    for n in (16, 1024):
        times = compare(floor_loop([numbers(i) for i in range(n)]), partial(shuffled, n=n))
        rows += against(f"ShuffledMux, {n} members", times, "floor_loop", 1.25, 1.0, faster=110)
    weights = some_weights(1024)
    weighted_floor = floor_loop([numbers(i) for i in range(1024)], weights)
    times = compare(weighted_floor, partial(shuffled, n=1024, weights=weights))
    rows += against("ShuffledMux, 1024 weighted members", times, "floor_loop", 0.75, 0.6)
    times = interleave(
        {"2 uniform": endless(shuffled(streamflow, 2)), "1024 weighted": endless(shuffled(streamflow, 1024, weights))}
    )
    grows = ratio(times, "1024 weighted", "2 uniform")
    return [*rows, Row("ShuffledMux, 1024 weighted members / 2 uniform", grows, goal=1.5)]


def stochastic_rows() -> list[Row]:
    rows = []
    for name, weights in (("uniform", None), ("weighted", some_weights(16))):
        # with replacement picks among the slots are uniform, whatever the weights: one floor serves both
        times = compare(floor_loop([numbers(i) for i in range(16)]), partial(stochastic, rate=64, weights=weights))
        rows += against(f"StochasticMux, 16 active, rate 64, {name}", times, "floor_loop", 1.9, 1.4, faster=85)
    return rows


def single_active_rows() -> list[Row]:
    """16 of 64 members active with unequal weights: every eviction changes the weights among the slots."""
    weights = some_weights(64)
    rows = []
    floor = floor_loop([numbers(i) for i in range(16)], weights[:16])
    stream = partial(stochastic, weights=weights, n_pool=64, mode="single_active")
    times = compare(floor, partial(stream, rate=64))
    rows += against("single_active, unequal weights, rate 64", times, "floor_loop", 6)
    each = median(interleave({"rate 1": endless(stream(streamflow, rate=1))})["rate 1"])
    return [*rows, Row("single_active, unequal weights, rate 1: an item", each * 1e6, "us", goal=10)]


def tree_rows() -> list[Row]:
    times = compare(floor_tree(3), lambda library: iter(tree(library, 3)))
    return against("tree of 8 x 8 x 8 ShuffledMux", times, "floor_loop", 1.05, 0.9, faster=120)


def measure() -> list[Row]:
    return shuffled_rows() + stochastic_rows() + single_active_rows() + tree_rows()


if __name__ == "__main__":
    main(measure)
