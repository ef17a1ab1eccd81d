"""What it costs to replace a member: each item evicts its stream (rate 1); and members that end, in linear time.

Floor: a list of ``(function, arguments)`` tuples; slots and members are drawn by the block, each item starts a
generator.  It neither counts, nor closes, nor notices an empty member.
"""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from timing import Row, against, drain, endless, gc, interleave, main, pescador, show_time, timed

import streamflow

N_ACTIVE = 32
BLOCK = 1024


def numbers(value: int) -> Iterator[int]:
    while True:
        yield value


def floor_list(pool: list[tuple]) -> Iterator[int]:
    rng = np.random.default_rng(0)
    slots = [function(*arguments) for function, arguments in pool[:N_ACTIVE]]
    while True:
        chosen = rng.integers(N_ACTIVE, size=BLOCK).tolist()
        members = rng.integers(len(pool), size=BLOCK).tolist()
        for slot, member in zip(chosen, members, strict=True):
            yield next(slots[slot])
            function, arguments = pool[member]
            slots[slot] = function(*arguments)


def evicting(library, n: int, **options) -> Iterator[int]:
    pool = [library.Streamer(numbers, i) for i in range(n)]
    return iter(library.StochasticMux(pool, N_ACTIVE, 1, random_state=0, **options))


def eviction_rows() -> list[Row]:
    goals = {1_000: (6.5, 4.0, 20), 30_000: (None, None, 100), 300_000: (3.0, 2.0, None)}
    rows = []
    for n, (goal, stretch, faster) in goals.items():
        weights = np.random.default_rng(1).random(n) + 0.1
        contenders = {
            "floor_list": endless(floor_list([(numbers, (i,)) for i in range(n)])),
            "streamflow": endless(evicting(streamflow, n)),
            "single": endless(evicting(streamflow, n, mode="single_active")),
            "weighted": endless(evicting(streamflow, n, weights=weights)),
        }
        if pescador is not None and n <= 30_000:
            theirs = evicting(pescador, n)
            contenders["pescador"] = partial(drain, theirs, 20)
        times = interleave(contenders)
        rows += against(f"rate 1, {n:,} members, with_replacement", times, "floor_list", goal, stretch, faster)
        for name, label, bound in (("single", "single_active", 8), ("weighted", "with_replacement, weighted", None)):
            both = {"floor_list": times["floor_list"], "streamflow": times[name]}
            rows += against(f"rate 1, {n:,} members, {label}", both, "floor_list", bound)
    return rows


def one(value: int) -> Iterator[int]:
    yield value


class Once:
    """Members that give their number the first time they are opened and nothing afterwards."""

    def __init__(self) -> None:
        self.given: set[int] = set()

    def __call__(self, value: int) -> Iterator[int]:
        """The member of one number."""
        if value not in self.given:
            self.given.add(value)
            yield value


def exhaustive(n: int) -> streamflow.Streamer:
    pool = [streamflow.Streamer(one, i) for i in range(n)]
    return streamflow.StochasticMux(pool, n, None, mode="exhaustive", random_state=0)


def round_robin(n: int) -> streamflow.Streamer:
    return streamflow.RoundRobinMux([streamflow.Streamer(one, i) for i in range(n)])


def shuffled(n: int) -> streamflow.Streamer:
    source = Once()
    return streamflow.ShuffledMux([streamflow.Streamer(source, i) for i in range(n)], random_state=0)


def all_items(make: Callable[[int], streamflow.Streamer], n: int) -> float:
    """Seconds per member to exhaust a mux of `n` one-item members, building included."""

    def run() -> None:
        items = list(make(n))
        if sorted(items) != list(range(n)):
            raise AssertionError(f"{n} one-item members gave {len(items)} items")

    return timed(run) / n


def ending_rows() -> list[Row]:
    """Time per member at four times the members: 1 where it is linear, 4 where it is quadratic.

    The garbage collector rests meanwhile (as in `timeit`): when it looks through everything is not the muxes' doing.
    """
    rows = []
    sizes = (7_500, 15_000, 30_000)
    for make in (exhaustive, round_robin, shuffled):
        gc.disable()
        times = interleave({f"{n}": partial(all_items, make, n) for n in sizes}, rounds=3)
        gc.enable()
        each = [min(times[f"{n}"]) for n in sizes]
        note = ", ".join(f"{n:,}: {show_time(t * n)}" for n, t in zip(sizes, each, strict=True))
        what = f"one-item members, {make.__name__}: per member, 30,000 / 7,500"
        rows.append(Row(what, each[-1] / each[0], goal=2, note=note))
    return rows


def measure() -> list[Row]:
    return eviction_rows() + ending_rows()


if __name__ == "__main__":
    main(measure)
