"""What a state costs to take, how large it is, and how much of the past is replayed when it is loaded."""

import json
from collections.abc import Iterator
from itertools import islice
from statistics import median
from time import thread_time

from timing import Row, interleave, main

import streamflow

RATE = 64
N_ITEMS = 100_000


class Counted:
    """A member function that counts the items it makes."""

    def __init__(self) -> None:
        self.made = 0

    def __call__(self, value: int) -> Iterator[int]:
        """An endless member."""
        while True:
            self.made += 1
            yield value


def resume_rows(n_active: int, largest_kib: float | None) -> list[Row]:
    source = Counted()
    pool = [streamflow.Streamer(source, i) for i in range(2 * n_active)]
    tree = streamflow.StochasticMux(pool, n_active, RATE, random_state=0)
    with tree.open() as stream:
        for _ in islice(stream, N_ITEMS):
            pass

        def take_state() -> float:
            start = thread_time()
            stream.state_dict()
            return thread_time() - start

        seconds = median(interleave({"state_dict": take_state}, rounds=21)["state_dict"])
        text = json.dumps(stream.state_dict())
        following = list(islice(stream, 1000))

    before = source.made
    with tree.open() as resumed:
        start = thread_time()
        resumed.load_state_dict(json.loads(text))
        first = next(resumed)
        loading = thread_time() - start
        replayed = source.made - before - 1
        if [first, *islice(resumed, 999)] != following:
            raise AssertionError("the resumed stream is another one")
    what = f"{n_active} slots after {N_ITEMS:,} items"
    return [
        Row(f"{what}: state_dict()", seconds * 1e3, "ms"),
        Row(f"{what}: state as JSON", len(text) / 1024, "KiB", goal=largest_kib),
        Row(f"{what}: load and first item", loading * 1e3, "ms"),
        Row(f"{what}: items replayed / ({n_active} x rate)", replayed / (n_active * RATE), goal=1, note=f"{replayed}"),
    ]


def measure() -> list[Row]:
    return resume_rows(16, 64) + resume_rows(1000, None)


if __name__ == "__main__":
    main(measure)
