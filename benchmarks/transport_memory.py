"""How much memory is in flight while the consumer sleeps for two seconds: items of 4 MiB.

The shared segment is counted by the blocks that it has in memory, since resident sizes count shared pages twice.  For
what travels through sockets it is the growth of both processes, shared pages divided between them; the item that the
worker sends over and over is in it.
"""

import time
from pathlib import Path
from statistics import median

from timing import Row, main
from transport_peers import CONTENDERS, MEBIBYTE, items, present
from visit import descendants, segment_bytes
from visits import fresh, interleaved, rounds

SIZE = 4 * MEBIBYTE
ASLEEP = 2.0  # seconds
NAMES = ("streamflow", "streamflow ipc", "pescador")
BOUND = 64  # MiB that a worker of ours may be ahead
ROUNDING = 0.1  # MiB for labels, counters and the like


def in_flight(name: str) -> dict[str, float]:
    """One visit: MiB of the segment, and by which both processes have grown."""
    before = proportional()
    stream = CONTENDERS[name](items, SIZE)
    next(stream)
    time.sleep(ASLEEP)
    grown = proportional() + sum(map(proportional, descendants())) - before
    return {"segment": segment_bytes() / MEBIBYTE, "grown": grown / MEBIBYTE}


def proportional(pid: int | str = "self") -> int:
    """Bytes of a process in memory, each page divided by the number of those that share it."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) << 10
    raise LookupError(pid)


def row(name: str, visits: list[dict[str, float]]) -> Row:
    segment, grown = (median(visit[what] for visit in visits) for what in ("segment", "grown"))
    if segment:
        note = f"both processes have grown by {grown:.0f} MiB"
        return Row(f"in flight, segment, {name}", segment, "MiB", goal=BOUND + SIZE / MEBIBYTE + ROUNDING, note=note)
    return Row(f"in flight, both processes, {name}", grown, "MiB")


def measure() -> list[Row]:
    installed = present()
    contenders = {
        name: (lambda name=name: fresh("transport_memory", "in_flight", name)) for name in NAMES if name in installed
    }
    return [row(name, visits) for name, visits in interleaved(contenders, rounds(3)).items()]


if __name__ == "__main__":
    main(measure)
