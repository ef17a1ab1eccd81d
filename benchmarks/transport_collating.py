"""What transport adds where batches are collated in the worker: 64 samples of 128 x 128, 4 MiB a batch.

Floor: the same tree without a worker.  In the background a batch may be collated where the consumer will read it, so
that nothing is left to copy; what is left to pay is the difference.
"""

from collections.abc import Iterator
from itertools import cycle
from statistics import median
from types import ModuleType

import numpy as np
from timing import Row, main, pescador
from transport_peers import every_page
from visit import measured
from visits import Visits, cost_rows, goal_row, interleaved, pairs, rounds, visiting

import streamflow

BATCH, SHAPE, N_SAMPLES = 64, (128, 128), 256
WARM_UP = 64  # batches: four times what the worker may be ahead
FLOOR = "without a worker"


def samples() -> Iterator[dict[str, np.ndarray]]:
    """Samples that lie scattered in memory."""
    rng = np.random.default_rng(0)
    made = [{"X": rng.random(SHAPE, np.float32)} for _ in range(N_SAMPLES)]
    rng.shuffle(made)
    yield from cycle(made)


def collating(name: str) -> dict:
    """One visit."""
    library: ModuleType = pescador if name == "pescador" else streamflow
    batches = library.Streamer(library.buffer_stream, library.Streamer(samples), BATCH)
    if name == FLOOR:
        return measured(batches.iterate(), ignored, WARM_UP)
    background = library.ZMQStreamer(batches, timeout=0.1)
    return measured(background.iterate(), every_page, WARM_UP)


def ignored(batch: dict) -> None:
    pass


def added(visits: Visits) -> float:
    """Microseconds per batch."""
    return median(ours.wall - alone.wall for ours, alone in pairs(visits, "streamflow", FLOOR)) / 1e-6


def measure() -> list[Row]:
    names = [FLOOR, "streamflow"] + ["pescador"] * (pescador is not None)
    visits = interleaved({name: visiting("transport_collating", "collating", name) for name in names}, rounds(13))
    producer = median(ours.worker / alone.consumer for ours, alone in pairs(visits, "streamflow", FLOOR))
    rows = [
        Row("collating a batch of 4 MiB in a worker: added", added(visits), "us", goal=15),
        Row("collating a batch of 4 MiB in a worker: its CPU / that without", producer, goal=1.15),
    ]
    return [
        *(goal_row(row, visits, "streamflow", FLOOR) for row in rows),
        *cost_rows("collating a batch of 4 MiB", visits, FLOOR),
    ]


if __name__ == "__main__":
    main(measure)
