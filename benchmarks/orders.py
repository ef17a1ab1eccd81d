"""What it costs to use a few rows of many in random order: opening the order, its key included, and 64 indices."""

from time import perf_counter

import numpy as np
from timing import Row, interleave, main

from streamflow.seeding import ORDER, Key, Root, permutation

FIRST = np.arange(64)
LENGTHS = (1000, 1025, 4096, 20_000, 65_537, 10**9)
KEY = Key(Root(np.random.default_rng(0)), (0, 5, 7))  # with 128 bits of entropy, below a mux


def opened(n: int) -> float:
    """Seconds that it takes; one of 25."""
    start = perf_counter()
    for _ in range(25):
        permutation(n, KEY, ORDER)[FIRST]
    return (perf_counter() - start) / 25


def measure() -> list[Row]:
    times = interleave({f"{n:,}": lambda n=n: opened(n) for n in LENGTHS}, rounds=301)
    return [
        Row(f"first 64 indices of {name} in random order", min(seconds) * 1e6, "us", goal=40)
        for name, seconds in times.items()
    ]


if __name__ == "__main__":
    main(measure)
