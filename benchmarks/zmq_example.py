"""The example that pescador publishes for its ZMQStreamer: costly items made over there, as costly work on them here.

An item is a matrix of 64 x 64 random numbers.  Making it takes pointless arithmetic of about 1.2 ms, and what the
consumer does with it the same again, so that two cores could halve the time.

Floor: both halves at the same time in two processes that pass nothing to each other.  A background stream cannot be
faster than that on the same two cores, whose clock and memory they share.
"""

import multiprocessing as mp
import time
from collections.abc import Iterator
from itertools import repeat
from multiprocessing.synchronize import Barrier

import numpy as np
from timing import Row, main
from transport_peers import CONTENDERS, present
from visit import Clocks, drain, measured
from visits import compared, cost_rows, goal_row, interleaved, rounds, visiting

SHAPE, TIMES = (64, 64), 9
WARM_UP, COUNT = 100, 400
SINGLE, FLOOR = "one process", "two cores, nothing passed"


def worked(values: np.ndarray) -> np.ndarray:
    """The same numbers, but for rounding, after a good deal of work."""
    for _ in range(TIMES):
        values = np.sqrt(values**1.5) ** (4 / 3)
    return values


def costly_items() -> Iterator[dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    while True:
        yield {"X": worked(rng.random(SHAPE)), "y": rng.integers(0, 10, 1)}


def use(item: dict[str, np.ndarray]) -> None:
    worked(item["X"])


def example(name: str) -> dict:
    """One visit."""
    if name == FLOOR:
        return apart()
    stream = costly_items() if name == SINGLE else CONTENDERS[name](costly_items)
    return measured(stream, use, WARM_UP)


def apart() -> dict:
    """Make items there and use one item here, as often, both at once, until both are done."""
    item, barrier = next(costly_items()), mp.Barrier(2)
    other = mp.Process(target=make_items, args=(barrier,))
    other.start()
    drain(repeat(item), use, WARM_UP)
    barrier.wait()
    with Clocks() as clocks:
        drain(repeat(item), use, COUNT)
        barrier.wait()
    other.kill()
    return {**clocks.per_item(COUNT), "warm_up": WARM_UP, "count": COUNT}


def make_items(barrier: Barrier) -> None:
    """The other half."""
    items = costly_items()
    for count in (WARM_UP, COUNT):
        drain(items, id, count)
        barrier.wait()
    time.sleep(60)  # so that its clock can be read; it is killed


def measure() -> list[Row]:
    names = [SINGLE, FLOOR, "streamflow"] + ["pescador"] * ("pescador" in present())
    visits = interleaved({name: visiting("zmq_example", "example", name) for name in names}, rounds(9))
    row = Row(f"pescador's ZMQ example / {FLOOR}", compared(visits, "streamflow", FLOOR), goal=1.05)
    return [
        goal_row(row, visits, "streamflow", FLOOR),
        *cost_rows("pescador's ZMQ example", visits, FLOOR),
    ]


if __name__ == "__main__":
    main(measure)
