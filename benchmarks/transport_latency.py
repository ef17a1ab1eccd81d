"""How old a small item is when it arrives, where the consumer waits for each: 4 KiB every three milliseconds.

The worker stamps each item with the monotonic clock, which all processes of a machine share, and the consumer compares.
"""

import time
from collections import deque
from collections.abc import Iterator
from itertools import islice
from statistics import median, quantiles

import numpy as np
from timing import Row, main, show_time
from transport_peers import CONTENDERS, present
from visits import fresh, interleaved, rounds

PERIOD = 0.003  # seconds
WARM_UP, COUNT = 30, 300  # items
#: Rival, goal.
GOALS = (("pescador", 0.4), ("multiprocessing.Pipe", 1.0))
NAMES = ("streamflow", "streamflow ipc", "pescador", "multiprocessing.Pipe", "multiprocessing.Queue")


def stamped() -> Iterator[dict[str, np.ndarray]]:
    array = np.ones(1024, np.float32)
    while True:
        time.sleep(PERIOD)
        yield {"X": array, "y": np.asarray(time.monotonic())}


def latency(name: str) -> dict[str, float]:
    """One visit: median and 95th percentile in seconds."""
    stream = CONTENDERS[name](stamped)
    deque(islice(stream, WARM_UP), maxlen=0)
    ages = [time.monotonic() - float(item["y"]) for item in islice(stream, COUNT)]
    return {"median": median(ages), "p95": quantiles(ages, n=20)[-1]}


def measure() -> list[Row]:
    installed = present()
    contenders = {
        name: (lambda name=name: fresh("transport_latency", "latency", name)) for name in NAMES if name in installed
    }
    visits = interleaved(contenders, rounds(9))
    rows = []
    for rival, goal in GOALS:
        if rival in visits:
            pairs = zip(visits["streamflow"], visits[rival], strict=True)
            times = median(ours["median"] / theirs["median"] for ours, theirs in pairs)
            rows.append(Row(f"4 KiB, paced: latency / {rival}", times, goal=goal))
    for name, made in visits.items():
        note = f"95 % within {show_time(median(visit['p95'] for visit in made))}"
        rows.append(Row(f"4 KiB, paced, {name}", median(visit["median"] for visit in made) / 1e-6, "us", note=note))
    return rows


if __name__ == "__main__":
    main(measure)
