"""Whether another version of streamflow is slower: the rows of two checkouts, visited in turn.

    python versions.py OLD NEW [rounds]

OLD and NEW are folders that hold a package `streamflow` each.  Rows of single items visit both in one process; rows of
whole operations run each in a new process, since the collector goes through what both have left behind.  For each row
it prints the median over the rounds of
new / old, and the bound that the true median is below with 95 % confidence (an order statistic of the ratios, so it
supposes nothing about how they are distributed).  A row is slower where that bound is above 1.05.
"""

import importlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from math import comb
from pathlib import Path
from statistics import median
from types import ModuleType

import numpy as np
from timing import endless, interleave, timed

LIMIT = 1.05


def load(folder: Path) -> ModuleType:
    """The package in a folder; what was loaded of another version is forgotten first, and lives on in its objects."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "streamflow"]:
        del sys.modules[name]
    sys.path.insert(0, str(folder))
    package = importlib.import_module("streamflow")
    importlib.import_module("streamflow.sources")
    assert Path(package.__file__).is_relative_to(folder.resolve()), package.__file__
    sys.path.pop(0)
    return package


def numbers(value: int) -> Iterator[int]:
    """An endless member that costs next to nothing."""
    while True:
        yield value


def one(value: int) -> Iterator[int]:
    """A member of one item."""
    yield value


def samples(value: int) -> Iterator[dict[str, object]]:
    """An endless member of small samples."""
    sample = {"X": np.full(16, value, np.float32), "y": value}
    while True:
        yield sample


def pool(sf: ModuleType, n: int, fn: Callable = numbers) -> list:
    return [sf.Streamer(fn, i) for i in range(n)]


def tree(sf: ModuleType, levels: int, width: int = 8):
    members = pool(sf, width) if levels == 1 else [tree(sf, levels - 1, width) for _ in range(width)]
    return sf.ShuffledMux(members, random_state=levels)


def taking(sf: ModuleType):
    """The least mux of a user's own."""

    class Taking(sf.BaseMux):
        def choose(self, step, live, number):
            return live[step % len(live)]

        def ended(self, slot, given):
            return True

    return Taking(pool(sf, 16))


def per_item() -> dict[str, Callable[[ModuleType], Iterator]]:
    """Streams whose cost is that of an item."""
    weights = np.random.default_rng(1).random(1024) + 0.1

    def stochastic(sf, rate, n_pool=16, n_active=16, **settings):
        return sf.StochasticMux(pool(sf, n_pool), n_active, rate, random_state=0, **settings)

    return {
        "ShuffledMux, 2 members": lambda sf: sf.ShuffledMux(pool(sf, 2), random_state=0),
        "ShuffledMux, 16": lambda sf: sf.ShuffledMux(pool(sf, 16), random_state=0),
        "ShuffledMux, 1024": lambda sf: sf.ShuffledMux(pool(sf, 1024), random_state=0),
        "ShuffledMux, 1024 weighted": lambda sf: sf.ShuffledMux(pool(sf, 1024), weights, random_state=0),
        "StochasticMux, rate None": lambda sf: stochastic(sf, None),
        "StochasticMux, rate 64": lambda sf: stochastic(sf, 64),
        "StochasticMux, rate 64, weighted": lambda sf: stochastic(sf, 64, weights=weights[:16]),
        "StochasticMux, rate 1, 1000 members": lambda sf: stochastic(sf, 1, 1000),
        "single_active, rate 64": lambda sf: stochastic(sf, 64, 64, weights=weights[:64], mode="single_active"),
        "single_active, rate 1": lambda sf: stochastic(sf, 1, 64, weights=weights[:64], mode="single_active"),
        "RoundRobinMux, 16": lambda sf: sf.RoundRobinMux(pool(sf, 16), mode="cycle"),
        "ZipMux, 4": lambda sf: sf.ZipMux(pool(sf, 4), flatten=False),
        "a mux of one's own, 16": taking,
        "tree of 8 x 8 x 8": lambda sf: tree(sf, 3),
        "buffer_stream of 64": lambda sf: sf.ShuffledMux(pool(sf, 16, samples), random_state=0).pipe(
            sf.buffer_stream, 64
        ),
        "ArraySource.samples": lambda sf: sf.sources.ArraySource({"x": np.arange(1000)}).samples(
            shuffle=True, epochs=None, random_state=0
        ),
        "ArraySource.batches of 64": lambda sf: sf.sources.ArraySource({"x": np.zeros((4096, 16))}).batches(
            64, shuffle=True, epochs=None, random_state=0
        ),
    }


def per_pass() -> dict[str, Callable[[ModuleType], Callable[[], object]]]:
    """Operations that are timed whole."""

    def state(sf):
        live = sf.StochasticMux(pool(sf, 1000), 1000, 64, random_state=0).open()
        for _ in range(3000):
            next(live)
        return live

    def first_item(sf):
        members = pool(sf, 10_000)
        return lambda: next(iter(sf.StochasticMux(members, 16, 64, random_state=0)))

    def draining(mux):
        return lambda: sum(1 for _ in mux)

    def loading(sf):
        saved = state(sf).state_dict()
        return lambda: sf.StochasticMux(pool(sf, 1000), 1000, 64, random_state=0).open().load_state_dict(saved)

    return {
        "describe 10,000 Streamers": lambda sf: lambda: pool(sf, 10_000),
        "a mux over 10,000, and its first item": first_item,
        "3,000 members of one item, exhaustive": lambda sf: draining(
            sf.StochasticMux(pool(sf, 3000, one), 16, None, mode="exhaustive", random_state=0)
        ),
        "3,000 members of one item, in turn": lambda sf: draining(
            sf.RoundRobinMux(pool(sf, 3000, one), random_state=0)
        ),
        "state_dict of 1,000 slots": lambda sf: state(sf).state_dict,
        "load_state_dict of 1,000 slots": loading,
    }


def upper_bound(ratios: list[float], confidence: float = 0.95) -> float:
    """What the median is below with this confidence.

    The k-th smallest of n is above the median unless fewer than k of them are below it, which happens as often as a
    fair coin falls heads fewer than k times in n throws.
    """
    n, below = len(ratios), 0.0
    for k in range(n):
        below += comb(n, k) / 2**n
        if below >= confidence:
            return sorted(ratios)[k]
    return float("inf")


def in_new_process(folder: Path, name: str) -> float:
    """What one row costs with the package in a folder."""
    command = [sys.executable, __file__, "--row", str(folder), name]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def one_row(folder: str, name: str) -> None:
    """Print what a row of `per_pass` costs."""
    run = per_pass()[name](load(Path(folder)))
    for _ in range(3):
        timed(run)
    print(median(timed(run) for _ in range(20)))


def main() -> None:
    folders = [Path(folder).resolve() for folder in sys.argv[1:3]]
    rounds = max(5, int(sys.argv[3]) if len(sys.argv) > 3 else 41)  # below 5 there is no such bound
    print(f"{'new / old':45} {'median':>8} {'below':>8}   ({rounds} rounds)")
    rows: dict[str, list[Callable[[], float]]] = {}
    packages = [load(folder) for folder in folders]
    for name, make in per_item().items():
        rows[name] = [endless(iter(make(sf))) for sf in packages]
    for name in per_pass():
        rows[name] = [partial(in_new_process, folder, name) for folder in folders]
    for name, (old, new) in rows.items():
        times = interleave({"old": old, "new": new}, rounds)
        ratios = [b / a for a, b in zip(times["old"], times["new"], strict=True)]
        bound = upper_bound(ratios)
        print(f"{name:45} {median(ratios):8.3f} {bound:8.3f}{'   SLOWER' if bound > LIMIT else ''}", flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "--row":
        one_row(*sys.argv[2:])
    else:
        main()
