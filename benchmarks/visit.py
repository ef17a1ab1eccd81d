"""One visit: a contender alone in a fresh process, with the processor time of both sides beside the time itself.

A library leaves threads, sockets and warm memory behind, so `visits` starts this file for each visit:
``python visit.py MODULE FUNCTION JSON`` calls that function with these arguments and prints what it returns as JSON.
It imports nothing heavy, because workers that are spawned run it again.  Processor times, cores and memory are read
from `/proc`, so these benchmarks run on Linux only.
"""

import importlib
import json
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Self

_WINDOW = 0.4  # seconds that a visit measures; the clocks of processes lag by milliseconds
_WARM_UP = 1.0  # seconds after which a slow contender is warm


def measured(stream: Iterator[Any], take: Callable[[Any], object], warm_up: int) -> dict[str, float]:
    """What an item of `stream` costs when each is handed to `take`, once `warm_up` have been taken; see `Visit`."""
    warmed, each = _warmed(stream, take, warm_up)
    count = max(6, round(_WINDOW / each))
    with Clocks() as clocks:
        drain(stream, take, count)
    next(stream)  # one that had ended early would look fast: let it raise instead
    return {**clocks.per_item(count), "warm_up": warmed, "count": count}


class Clocks:
    """Inside a ``with``: the time that passes, processor time of both sides and of others, and the wait for a core."""

    def __enter__(self) -> Self:
        self.workers = descendants()
        self.start = self._now()
        return self

    def __exit__(self, *error: object) -> None:
        self.passed = {what: seconds - self.start[what] for what, seconds in self._now().items()}
        self.passed["others"] = self.passed.pop("busy") - self.passed["consumer"] - self.passed["worker"]

    def per_item(self, count: int) -> dict[str, float]:
        return {what: seconds / count for what, seconds in self.passed.items()}

    def _now(self) -> dict[str, float]:
        return {
            "worker": sum(map(cpu_time, self.workers)),
            "consumer": time.process_time(),
            "waited": sum(map(waited, ["self", *self.workers])),
            "busy": busy(),
            "wall": time.perf_counter(),
        }


def drain(stream: Iterator[Any], take: Callable[[Any], object], count: int) -> None:
    """Take `count` items, none of which is held."""
    deque(map(take, islice(stream, count)), maxlen=0)


def _warmed(stream: Iterator[Any], take: Callable[[Any], object], count: int) -> tuple[int, float]:
    """Take `count` items, or fewer from a slow contender: how many, and the seconds that one took towards the end."""
    start, taken, some = time.perf_counter(), 0, 1
    while True:
        before = time.perf_counter()
        drain(stream, take, some)
        taken, now = taken + some, time.perf_counter()
        if taken >= count or now - start > _WARM_UP:
            return taken, (now - before) / some
        some *= 2


def descendants(pid: int | str = "self") -> list[int]:
    """The processes below one."""
    found = []
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, file.read_text().split()):
            found += [child, *descendants(child)]
    return found


def cpu_time(pid: int) -> float:
    """Processor seconds of another process, all its threads together, to the nanosecond."""
    return time.clock_gettime(~pid << 3 | 2)  # as clock_getcpuclockid(3) makes it


def busy() -> float:
    """Seconds in which the cores have worked, or were taken away by the machine below."""
    _, user, nice, system, _idle, _disk, irq, softirq, steal, *_ = Path("/proc/stat").read_text().split()
    return sum(map(int, (user, nice, system, irq, softirq, steal))) / os.sysconf("SC_CLK_TCK")


def waited(pid: int | str) -> float:
    """Seconds in which the threads of a process wanted a core and had none."""
    return sum(int(file.read_text().split()[1]) for file in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


def segment_bytes() -> int:
    """Memory in the shared segments of streamflow that this process has open."""
    segments = {}
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            if descriptor.readlink().name.startswith("memfd:streamflow"):
                stat = descriptor.stat()
                segments[stat.st_ino] = 512 * stat.st_blocks
        except FileNotFoundError:  # the folder's own descriptor
            pass
    return sum(segments.values())


def main() -> None:
    _, module, function, args = sys.argv
    print(json.dumps(getattr(importlib.import_module(module), function)(*json.loads(args))), flush=True)


if __name__ == "__main__":
    main()
