"""What an item costs on its way out of a worker: 4 KiB, 256 KiB, 4 MiB and 64 MiB, beside other libraries.

Floor: the same bytes copied from one buffer to another inside one process.  The consumer touches every page of each
array, so that memory which is only promised counts too.  A full run takes eight minutes; ``--quick``, here and in the
other scripts about transport, makes few rounds.
"""

from collections.abc import Iterator

import numpy as np
from timing import Row, main, show_time
from transport_peers import CONTENDERS, MEBIBYTE, every_page, items, present
from visit import measured
from visits import Visits, compared, cost_rows, goal_row, interleaved, rounds, typical, visiting

KIBIBYTE = 1 << 10
AHEAD = 64 * MEBIBYTE  # how far a worker of ours may be ahead
FLOOR = "copied"
SIZES = {"4 KiB": 4 * KIBIBYTE, "256 KiB": 256 * KIBIBYTE, "4 MiB": 4 * MEBIBYTE, "64 MiB": 64 * MEBIBYTE}
#: By size: what streamflow is compared with, goal.
GOALS = {
    "4 KiB": (("pescador", 5), ("multiprocessing.Pipe", 2.8)),
    "256 KiB": (),
    "4 MiB": ((FLOOR, 1.6), ("pescador", 6), ("seqtools with shm_size", 1.3)),
    "64 MiB": ((FLOOR, 1.8), ("pescador", 5), ("seqtools with shm_size", 1)),
}


def copies(size: int) -> Iterator[None]:
    source, target = np.ones(size, np.uint8), np.ones(size, np.uint8)
    while True:
        np.copyto(target, source)
        yield


def first_value(item: dict) -> object:
    return item["X"][0]


def ignored(item: None) -> None:
    pass


def throughput(name: str, size: int) -> dict:
    """One visit.  All memory has been touched when it begins: three times what the worker may be ahead has passed."""
    if name == FLOOR:
        return measured(copies(size), ignored, 20)
    touch = first_value if size == 4 * KIBIBYTE else every_page
    return measured(CONTENDERS[name](items, size), touch, 3 * AHEAD // size + 16)


def visits_of(size: int, names: tuple[str, ...], rivals: list[str]) -> Visits:
    """All contenders; those that no goal names in every third round only."""
    contenders = {name: visiting("transport", "throughput", name, size) for name in (FLOOR, *names)}
    return interleaved(contenders, rounds(9), contenders.keys() - {FLOOR, "streamflow", *rivals})


def goal_rows(what: str, visits: Visits) -> list[Row]:
    ours = typical(visits["streamflow"], "wall")
    note = f"{show_time(ours)}, after {typical(visits['streamflow'], 'warm_up'):.0f} items of warm-up"
    rows = []
    if what == "4 KiB":
        row = Row(f"{what} out of a worker", ours / 1e-6, "us", goal=5, stretch=3, note=note)
        rows.append(goal_row(row, visits, "streamflow", "streamflow"))
    for rival, goal in GOALS[what]:
        if rival == FLOOR:
            row = Row(f"{what} out of a worker / copied", compared(visits, "streamflow", FLOOR), goal=goal, note=note)
            rows.append(goal_row(row, visits, "streamflow", FLOOR))
        elif rival in visits:
            times = compared(visits, rival, "streamflow")
            row = Row(f"{what} out of a worker: faster than {rival}", times, goal=goal, at_least=True)
            rows.append(goal_row(row, visits, "streamflow", rival))
    return rows


def measure() -> list[Row]:
    names, rows = present(), []
    for what, size in SIZES.items():
        visits = visits_of(size, names, [rival for rival, _ in GOALS[what]])
        rows += [*goal_rows(what, visits), *cost_rows(what, visits, FLOOR)]
    return rows


if __name__ == "__main__":
    main(measure)
