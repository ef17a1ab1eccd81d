"""What it costs to describe a large pool and to draw the first item from it; and that opening copies nothing.

Floor: a list of ``(function, arguments)`` tuples, of which as many are started as the mux has active.  For members that
hold large arrays there is nothing to do at all, so a plain time is the goal.
"""

import tracemalloc
from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing import get_context
from statistics import median
from time import thread_time

import numpy as np
from timing import Row, Times, gc, interleave, main, pescador, ratio, show_time, timed

import streamflow

N_ACTIVE = 32
MEBIBYTE = 1 << 20


def numbers(value: int) -> Iterator[int]:
    while True:
        yield value


def held(array: np.ndarray) -> Iterator[float]:
    while True:
        yield array[0]


def tuples(n: int) -> list[tuple]:
    return [(numbers, (i,)) for i in range(n)]


def start_tuples(pool: list[tuple]) -> list:
    """Start N_ACTIVE members drawn at random and take one item."""
    chosen = np.random.default_rng(0).integers(len(pool), size=N_ACTIVE).tolist()
    active = [function(*arguments) for function, arguments in (pool[i] for i in chosen)]
    return [next(active[0]), active]


def mux(library, n: int):
    return library.StochasticMux([library.Streamer(numbers, i) for i in range(n)], N_ACTIVE, 8, random_state=0)


def first_of(mux) -> list:
    items = iter(mux)
    return [next(items), items]


CONTENDERS = {
    "tuples": (tuples, start_tuples),
    "streamflow": (partial(mux, streamflow), first_of),
    "pescador": (partial(mux, pescador), first_of),
}


def build_and_first(name: str, n: int) -> tuple[float, float]:
    """Seconds to build a pool, and seconds to its first item."""
    build, first = CONTENDERS[name]
    start = thread_time()
    pool = build(n)
    built = thread_time()
    first(pool)
    return built - start, thread_time() - built


def in_fresh_process(name: str, n: int) -> tuple[float, float]:
    """The same where no memory lies ready: a pool is built once in a process, and pages must come from the system."""
    with get_context("spawn").Pool(1) as process:
        return process.apply(build_and_first, (name, n))


def build_rows(n: int, goal: float | None, rounds: int) -> list[Row]:
    firsts: dict[str, list[float]] = {}

    def visit(name: str) -> float:
        built, first = in_fresh_process(name, n)
        firsts.setdefault(name, []).append(first)
        return built + first

    names = ["tuples", "streamflow"]
    if pescador is not None and n <= 30_000:
        names.append("pescador")
    times: Times = interleave({name: partial(visit, name) for name in names}, rounds)
    first = median(firsts["streamflow"]) * 1e3
    note = f"{show_time(median(times['streamflow']))}, tuples {show_time(median(times['tuples']))}"
    growth = ratio(times, "streamflow", "tuples")
    rows = [
        Row(f"{n:,} Streamers: build and first item / list of tuples", growth, goal=goal, note=note),
        Row(f"{n:,} Streamers: first item alone", first, "ms", goal=1.0),
    ]
    if "pescador" in times:
        rows.append(Row(f"{n:,} Streamers: faster than pescador", ratio(times, "pescador", "streamflow")))
    return rows


def bytes_per_streamer(n: int = 100_000) -> Row:
    """Streamer, arguments and its place in the mux, all that is left once the first item has come."""
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    pool = mux(streamflow, n)
    first = first_of(pool)
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    del pool, first
    return Row("memory per Streamer with its argument, after the first item", (after - before) / n, "B", goal=176)


def lazy_list_row(n: int = 1_000_000) -> Row:
    def run() -> list:
        members = streamflow.StreamerList(numbers, range(n))
        return first_of(streamflow.StochasticMux(members, N_ACTIVE, 8, random_state=0))

    seconds = median(interleave({"StreamerList": lambda: timed(run)}, rounds=9)["StreamerList"])
    return Row(f"StreamerList of {n:,}: build and first item", seconds * 1e3, "ms", goal=1.0)


def nested(library, arrays: list, levels: int):
    """The arrays' streamers in `levels` levels of muxes, five muxes to a level above the last."""
    if levels == 1:
        members = [library.Streamer(held, array) for array in arrays]
    else:
        members = [nested(library, arrays[k::5], levels - 1) for k in range(5)]
    return library.StochasticMux(members, 4, 8, random_state=levels)


def peak_bytes(run: Callable[[], object]) -> int:
    """The most memory that Python and NumPy held above what they held before."""
    gc.collect()
    tracemalloc.start()
    result = run()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    del result
    return peak


def held_array_rows() -> list[Row]:
    arrays = [np.zeros(MEBIBYTE // 8) for _ in range(200)]
    rows = []
    for levels in (1, 3):
        what = f"200 Streamers holding 1 MiB each, {levels} level{'s' * (levels > 1)}"
        ours = nested(streamflow, arrays, levels)
        contenders = {"streamflow": lambda ours=ours: timed(lambda: first_of(ours))}
        if pescador is not None:
            theirs = nested(pescador, arrays, levels)
            contenders["pescador"] = lambda theirs=theirs: timed(lambda: first_of(theirs))
        times = interleave(contenders, rounds=7)
        rows.append(Row(f"{what}: first item", median(times["streamflow"]) * 1e3, "ms", goal=2.0))
        if pescador is not None:
            faster = ratio(times, "pescador", "streamflow")
            rows.append(Row(f"{what}: faster than pescador", faster, goal=50, at_least=True))
        # one array is 1024 KiB: less than that means that not a single one was copied
        peak = peak_bytes(lambda ours=ours: first_of(ours)) / 1024
        rows.append(Row(f"{what}: memory for opening (one array: 1024)", peak, "KiB", goal=200))
    return rows


def measure() -> list[Row]:
    rows = build_rows(30_000, None, rounds=7) + build_rows(1_000_000, 1.9, rounds=7)
    return [*rows, bytes_per_streamer(), lazy_list_row(), *held_array_rows()]


if __name__ == "__main__":
    main(measure)
