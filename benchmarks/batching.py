"""`buffer_stream` against the copies that a batch needs at least.

Floor: the 64 rows of a batch, which lie scattered in memory, copied one by one into memory that is used over and over.
Each size is measured twice: batches dropped as they come, and one batch held while the next is made, as a training loop
does (the floor then takes two memories in turn).
"""

from collections.abc import Iterator
from itertools import cycle, islice

import numpy as np
from timing import Row, against, endless, interleave, main, pescador

import streamflow

BATCH = 64
CASES = (  # name, shape of one row, different rows, goal, times faster than pescador
    ("4 MiB", (128, 128), 256, 1.10, None),
    ("37 MiB", (224, 224, 3), 128, 1.20, 1.5),
    ("4 KiB", (16,), 1024, 1.20, None),
)


def floor_copies(rows: Iterator[np.ndarray], shape: tuple[int, ...], n_memories: int) -> Iterator[np.ndarray]:
    memories = [np.empty((BATCH, *shape), np.float32) for _ in range(n_memories)]
    for batch in cycle(memories):
        for place, row in enumerate(islice(rows, BATCH)):
            batch[place] = row
        yield batch


def holding(batches: Iterator) -> Iterator:
    """A consumer that lets a batch go only when it has the next."""
    for batch in batches:  # noqa: UP028 - `yield from` would hold nothing
        yield batch


def case_rows(name: str, shape: tuple[int, ...], n_rows: int, goal: float, faster: float | None) -> list[Row]:
    rng = np.random.default_rng(0)
    arrays = [rng.random(shape, np.float32) for _ in range(n_rows)]
    rng.shuffle(arrays)
    samples = [{"X": array} for array in arrays]
    libraries = {"streamflow": streamflow, "pescador": pescador}
    rows = []
    for n_memories, manner, consumer in ((1, "dropped", iter), (2, "held", holding)):
        streams = {"row copies": floor_copies(cycle(arrays), shape, n_memories)}
        for library_name, library in libraries.items():
            if library is not None:
                streams[library_name] = consumer(library.buffer_stream(cycle(samples), BATCH))
        contenders = {key: endless(stream, warm_up=5) for key, stream in streams.items()}
        times = interleave(contenders, rounds=51)
        rows += against(f"batch of {BATCH}, {name}, {manner}", times, "row copies", goal, faster=faster)
    return rows


def measure() -> list[Row]:
    return [row for case in CASES for row in case_rows(*case)]


if __name__ == "__main__":
    main(measure)
