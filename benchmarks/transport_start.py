"""How long a pass takes from nothing to its first item of 4 KiB, by the method that starts its worker.

The first pass of a process also imports what workers need, and starts the server of ``forkserver``; later ones do not.
The libraries themselves are imported before.
"""

import importlib
import time
from functools import partial
from statistics import median

from timing import Row, main, show_time
from transport_peers import OURS, PEERS, items, library, present
from visits import fresh, interleaved, rounds

SIZE = 4096
METHODS = ("fork", "forkserver", "spawn")
STARTS = {f"streamflow {method}": partial(OURS["streamflow"], start_method=method) for method in METHODS}
STARTS |= {name: PEERS[name] for name in ("pescador", "multiprocessing.Pipe")}


def starting(name: str) -> dict[str, float]:
    """One visit: seconds of the first pass, and of one of the next."""
    importlib.import_module(library(name))
    first, *later = [_first_item(name) for _ in range(4)]
    return {"first": first, "later": median(later)}


def _first_item(name: str) -> float:
    start = time.perf_counter()
    stream = STARTS[name](items, SIZE)
    next(stream)
    seconds = time.perf_counter() - start
    if hasattr(stream, "close"):
        stream.close()
    return seconds


def measure() -> list[Row]:
    libraries = {library(name) for name in present()}
    contenders = {
        name: (lambda name=name: fresh("transport_start", "starting", name))
        for name in STARTS
        if library(name) in libraries
    }
    rows = []
    for name, visits in interleaved(contenders, rounds(7)).items():
        later, first = (median(visit[what] for visit in visits) for what in ("later", "first"))
        note = f"{show_time(first)} in the first pass of a process"
        rows.append(Row(f"first item, {name}", later / 1e-3, "ms", note=note))
    return rows


if __name__ == "__main__":
    main(measure)
