"""What an item costs on its way out of another process: small ones (4 KiB) and large ones (4 MiB).

Floor: one copy of the item's bytes inside one process.  Each visit is a pass of its own, timed from its first item to
its last, so that starting and closing a worker do not count.

The processor time of both sides stands beside each time.  Where the two add up to the time itself, both processes have
shared one core, and the run says nothing.
"""

import resource
from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from statistics import median
from time import perf_counter, process_time

import numpy as np
from timing import Row, interleave, main, pescador, ratio, show_time

import streamflow

KIBIBYTE, MEBIBYTE = 1 << 10, 1 << 20


def items(size: int) -> Iterator[dict[str, np.ndarray]]:
    array, label = np.ones(size // 4, np.float32), np.asarray(1)
    while True:
        yield {"X": array, "y": label}


class Pass:
    """Items of a stream out of a worker: the seconds each takes, with processor times kept apart."""

    def __init__(self, make: Callable[[], object], n_items: int):
        self.make, self.n_items = make, n_items
        self.consumer: list[float] = []
        self.worker: list[float] = []

    def __call__(self) -> float:
        """Seconds per item."""
        children = self.children()
        stream = self.make().iterate()
        deque(islice(stream, self.n_items // 20), maxlen=0)
        start, start_cpu = perf_counter(), process_time()
        deque(islice(stream, self.n_items), maxlen=0)
        end, end_cpu = perf_counter(), process_time()
        stream.close()
        self.consumer.append((end_cpu - start_cpu) / self.n_items)
        self.worker.append((self.children() - children) / self.n_items)
        return (end - start) / self.n_items

    @staticmethod
    def children() -> float:
        """Processor time of the workers that have ended."""
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    def note(self, seconds: list[float]) -> str:
        """The times in words."""
        return (
            f"{show_time(median(seconds))} (consumer {show_time(median(self.consumer))}, "
            f"worker {show_time(median(self.worker))})"
        )


def copying(size: int, n_items: int) -> Callable[[], float]:
    """Copy the same bytes without leaving the process."""
    source, target = np.ones(size, np.uint8), np.ones(size, np.uint8)

    def run() -> float:
        start = perf_counter()
        for _ in range(n_items):
            target[...] = source
        return (perf_counter() - start) / n_items

    return run


def rows(what: str, size: int, n_items: int, rounds: int) -> list[Row]:
    contenders: dict[str, Callable[[], float]] = {
        "copy": copying(size, n_items),
        "streamflow": Pass(lambda: streamflow.ZMQStreamer(streamflow.Streamer(items, size)), n_items),
    }
    if pescador is not None:
        contenders["pescador"] = Pass(lambda: pescador.ZMQStreamer(pescador.Streamer(items, size)), n_items)
    times = interleave(contenders, rounds)
    note = contenders["streamflow"].note(times["streamflow"])
    found = [Row(f"{what} out of a worker / copied", ratio(times, "streamflow", "copy"), note=note)]
    if pescador is not None:
        note = contenders["pescador"].note(times["pescador"])
        speedup = ratio(times, "pescador", "streamflow")
        found.append(
            Row(f"{what} out of a worker: faster than pescador", speedup, at_least=True, note=f"pescador {note}")
        )
    return found


def measure(rounds: int = 7) -> list[Row]:
    return [
        *rows("4 KiB", 4 * KIBIBYTE, 20_000, rounds),
        *rows("4 MiB", 4 * MEBIBYTE, 150, rounds),
    ]


if __name__ == "__main__":
    main(measure)
