"""Shared by the benchmarks: visit contenders in turn, compare them round by round, print what came out.

On a machine that also does other work an absolute time may double within a minute.  Contenders are therefore visited
in turn, in many short rounds, and compared within each round; the median of those ratios hardly moves.  The clock is
that of the thread, which stands still while another process has the processor, and the order within a round changes, so
that no contender always runs into the scheduler's next switch.
"""

import gc
import platform
import random
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from statistics import median
from time import thread_time

import numpy as np

try:
    import pescador
except ImportError:  # an optional rival: without it the other comparisons still hold
    pescador = None

Times = dict[str, list[float]]


@dataclass(frozen=True)
class Row:
    """One measured number beside what it should be; a row without a goal is for information."""

    what: str
    value: float
    unit: str = "x"
    goal: float | None = None
    stretch: float | None = None
    at_least: bool = False
    note: str = ""

    def verdict(self) -> str:
        """``stretch``, ``hit``, ``MISS``, or nothing where no goal was set."""
        if self.goal is None:
            return ""
        if self.stretch is not None and self._reaches(self.stretch):
            return "stretch"
        return "hit" if self._reaches(self.goal) else "MISS"

    def _reaches(self, bound: float) -> bool:
        return self.value >= bound if self.at_least else self.value <= bound


def drain(iterator: Iterator[object], n_items: int) -> float:
    """Seconds per item over the next `n_items`."""
    start = thread_time()
    deque(islice(iterator, n_items), maxlen=0)
    seconds = thread_time() - start
    next(iterator)  # a stream that had ended early would look fast: let it raise instead
    return seconds / n_items


def endless(iterator: Iterator[object], seconds: float = 0.003, warm_up: int = 2000) -> Callable[[], float]:
    """A contender that takes about `seconds` of items from `iterator` at each visit.

    Visits are short, so that those of one round see the same machine.  Before the first, `warm_up` items open all
    members, also deep in a tree, and 50 ms or more of items tell how many fit into a visit.
    """
    drain(iterator, warm_up)
    n_items = 1
    while (each := drain(iterator, n_items)) * n_items < 0.05:
        n_items *= 2
    return partial(drain, iterator, max(1, round(seconds / each)))


def timed(run: Callable[[], object]) -> float:
    """Seconds of one call, its result dropped outside the measured time."""
    gc.collect()
    start = thread_time()
    result = run()
    seconds = thread_time() - start
    del result
    return seconds


def interleave(contenders: Mapping[str, Callable[[], float]], rounds: int = 101) -> Times:
    """The cost that each contender reports, once per round, all of them in every round."""
    times: Times = {name: [] for name in contenders}
    shuffle, names = random.Random(0).shuffle, list(contenders)
    for _ in range(rounds):
        shuffle(names)
        for name in names:
            times[name].append(contenders[name]())
    return times


def ratio(times: Times, name: str, to: str) -> float:
    """Median over the rounds of `name`'s cost over that of `to`."""
    return median(a / b for a, b in zip(times[name], times[to], strict=True))


def against(
    what: str, times: Times, floor: str, goal: float | None, stretch: float | None = None, faster: float | None = None
) -> list[Row]:
    """Rows for streamflow against a floor and, where it was visited too, against pescador (`faster`: at least that)."""
    ours = median(times["streamflow"])
    note = f"{show_time(ours)}, floor {show_time(median(times[floor]))}"
    rows = [Row(f"{what} / {floor}", ratio(times, "streamflow", floor), goal=goal, stretch=stretch, note=note)]
    if "pescador" in times:
        note = f"pescador {show_time(median(times['pescador']))}"
        speedup = ratio(times, "pescador", "streamflow")
        rows.append(Row(f"{what}: faster than pescador", speedup, goal=faster, at_least=True, note=note))
    return rows


def show_time(seconds: float) -> str:
    """A time in the unit that suits it."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def print_header() -> None:
    """Say what was measured with."""
    rival = "pescador is not installed: comparisons with it are left out"
    if pescador is not None:
        rival = f"pescador {pescador.__version__}"
    print(f"Python {sys.version.split()[0]}, numpy {np.__version__}, {rival}; {platform.platform()}\n")


def print_table(rows: Sequence[Row]) -> None:
    """One line per row."""
    width = max(len(row.what) for row in rows)
    print(f"{'':{width}}  {'measured':>12} {'goal':>10} {'stretch':>8}")
    for row in rows:
        sign = ">=" if row.at_least else "<="
        goal = "" if row.goal is None else f"{sign} {row.goal:g}"
        stretch = "" if row.stretch is None else f"{row.stretch:g}"
        value = f"{row.value:.0f}" if row.value >= 1000 else f"{row.value:.3g}"
        line = f"{row.what:{width}}  {value + ' ' + row.unit:>12} {goal:>10} {stretch:>8}  {row.verdict():8}{row.note}"
        print(line.rstrip())


def main(measure: Callable[[], list[Row]]) -> None:
    """What every script does when it is run alone."""
    print_header()
    print_table(measure())
