"""Visit contenders in turn, each time in a fresh process (`visit`), and compare them round by round.

A visit is void, and left out, if both sides have shared one core: their processor times add up to the time that passed,
to within a tenth, and they had to wait for a core for a tenth of it or more.  (The sum alone is not enough: where one
side is busy all the time and the other for a tenth of it, or where they take turns, it comes out so with two cores as
well.)  It is void too if other processes took a core for a quarter of the time: one process alone would not have
noticed, and two would.
"""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from timing import Row, show_time

QUICK = "--quick" in sys.argv  #: fewer rounds, to see that all runs
_SCRIPT = str(Path(__file__).with_name("visit.py"))
_HANGS = 120.0  # seconds after which a visit is given up


@dataclass(frozen=True)
class Visit:
    """Seconds per item: all, of both processors, without one, and of other processes; items before and while it ran."""

    wall: float
    consumer: float
    worker: float
    waited: float
    others: float
    warm_up: int
    count: int

    @property
    def void(self) -> bool:
        """Whether both sides have shared one core, or others were busy."""
        shared = abs(self.consumer + self.worker - self.wall) <= 0.1 * self.wall <= self.waited
        return shared or self.others >= 0.25 * self.wall


#: One entry per round; None where a contender was not visited.
Visits = dict[str, list[Visit | None]]


class VisitError(RuntimeError):
    """A visit that failed or hung."""


def rounds(full: int) -> int:
    """How many rounds to make of `full`."""
    return max(2, full // 4) if QUICK else full


def fresh(module: str, function: str, *args: Any) -> Any:
    """What ``module.function(*args)`` returns in a process of its own."""
    command = [sys.executable, _SCRIPT, module, function, json.dumps(args)]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # two processes share two cores
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        out, err = process.communicate(timeout=_HANGS)
    except subprocess.TimeoutExpired:
        raise VisitError(f"{module}.{function}{args} hung") from None
    finally:
        with contextlib.suppress(ProcessLookupError):  # workers of a library that does not end its own
            os.killpg(process.pid, signal.SIGKILL)
    if process.returncode:
        raise VisitError(f"{module}.{function}{args} failed:\n{err}")
    return json.loads(out.splitlines()[-1])


def interleaved(contenders: Mapping[str, Callable[[], Any]], count: int, seldom: Collection[str] = ()) -> dict:
    """What each contender reports, once per round; those of `seldom` in every third round only, else None.

    A peer that fails is left out from then on, and a line says so.
    """
    found: dict[str, list] = {name: [] for name in contenders}
    shuffle, names = random.Random(0).shuffle, list(contenders)
    for number in range(count):
        shuffle(names)
        for name in list(names):
            try:
                found[name].append(contenders[name]() if name not in seldom or number % 3 == 0 else None)
            except VisitError as error:
                if name.startswith("streamflow"):
                    raise
                print(f"{name} is left out: {str(error).splitlines()[-1]}")
                names.remove(name)
                del found[name]
    return found


def visiting(module: str, function: str, *args: Any) -> Callable[[], Visit]:
    """A contender that is visited in a fresh process."""
    return lambda: Visit(**fresh(module, function, *args))


def valid(visits: list[Visit | None]) -> list[Visit | None]:
    """Those that count; where all are void they all count (`summary` says so)."""
    kept = [None if visit is None or visit.void else visit for visit in visits]
    return kept if any(kept) else visits


def pairs(visits: Visits, name: str, other: str) -> list[tuple[Visit, Visit]]:
    """What both reported, where both count in the same round; else in the order of their visits."""
    both = [pair for pair in zip(valid(visits[name]), valid(visits[other]), strict=True) if None not in pair]
    return both or list(zip(filter(None, valid(visits[name])), filter(None, valid(visits[other])), strict=False))


def compared(visits: Visits, name: str, to: str) -> float:
    """Median over the rounds of `name`'s time over that of `to`."""
    return median(a.wall / b.wall for a, b in pairs(visits, name, to))


def goal_row(row: Row, visits: Visits, name: str, other: str) -> Row:
    """`row`, with what this comparison stands on as a note; without its goal if that is void visits only."""
    stands_on = pairs(visits, name, other)
    if any(visit.void for pair in stands_on for visit in pair):
        return replace(row, goal=None, stretch=None, note=f"says nothing: VOID visits only; {row.note}".rstrip("; "))
    note = f"from {len(stands_on)} of {len(visits[name])} rounds; {row.note}".rstrip("; ")
    return replace(row, note=note)


def typical(visits: list[Visit | None], what: str) -> float:
    """Median of one of a visit's numbers."""
    return median(getattr(visit, what) for visit in valid(visits) if visit is not None)


def summary(visits: list[Visit | None]) -> str:
    """The processor times in words, and how many visits were void."""
    made = [visit for visit in visits if visit is not None]
    void = sum(visit.void for visit in made)
    consumer, worker, waited = (show_time(typical(visits, what)) for what in ("consumer", "worker", "waited"))
    said = f"CPU: consumer {consumer}, worker {worker}; waited {waited} for a core"
    if not void:
        return said
    return f"{said}, {void} of {len(made)} VOID" + (": counted all the same" if void == len(made) else "")


def cost_rows(what: str, visits: Visits, floor: str) -> list[Row]:
    """For information: what each contender takes, and how often the floor that is."""
    rows = []
    for name, made in visits.items():
        note = summary(made) if name == floor else f"x {compared(visits, name, floor):.3g}, {summary(made)}"
        rows.append(Row(f"{what}, {name}", typical(made, "wall") / 1e-6, "us", note=note))
    return rows
