"""A soak: three minutes in which a background stream meets all that wears it out, to see that nothing grows.

Passes of very different lengths, over items from 16 bytes to 8 MiB out of two workers, end by themselves, are closed or
just dropped.  The consumer holds up to 60 items, also after their pass, and lets them go in any order, each checked
against the checksum that its worker made, and then overwritten, since arrays are the consumer's own.  Workers are
killed now and then.  No item may be missing, or come twice.

Memory, descriptors and processes are looked at all the time, and at rest: now and then everything is let go.  At the
end the first third (after a warm-up) is compared with the last; what has grown makes the exit code 1.

Usage: ``python soak.py [seconds] [--kills SECONDS_BETWEEN]`` (0: none are killed).
"""

import argparse
import os
import random
import signal
import sys
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, fields
from itertools import count, islice
from pathlib import Path
from statistics import median

import numpy as np
from visit import descendants, segment_bytes

import streamflow

MEBIBYTE = 1 << 20
SMALLEST, LARGEST = 16, 8 * MEBIBYTE
MOST_HELD = 60
PRINTED, LOOKED = 5.0, 0.1  # seconds between two lines, and between two looks
WARM_UP = 0.1  # part of the samples that is left out
#: MiB that memory may grow, beside a tenth: sizes are random, and so are what is held and how far workers are ahead.
SLACK_RUNNING, SLACK_AT_REST = 64.0, 16.0


@dataclass(frozen=True)
class Sample:
    """What this process has at one moment; memory in MiB."""

    resident: float
    segment: float
    descriptors: float
    processes: float


def blocks(length: int | None) -> Iterator[dict[str, object]]:
    """Items of any size, small ones as often as large ones, with their number and a checksum."""
    sheet = np.random.default_rng(0).integers(0, 256, 2 * LARGEST, np.uint8)
    for number in count() if length is None else range(length):
        rng = random.Random(number)
        size = round(SMALLEST * (LARGEST / SMALLEST) ** rng.random())
        block = sheet[(start := rng.randrange(LARGEST)) : start + size]
        yield {"block": block, "number": number, "checksum": zlib.crc32(block)}


def let_go(item: dict) -> None:
    """Check an item that is held no longer, and write to it."""
    if zlib.crc32(item["block"]) != item["checksum"]:
        raise SystemExit(f"item {item['number']} of {item['block'].nbytes} bytes has changed")
    item["block"][:] = 255


class Soak:
    """One run: what is held, what was seen, and when something is due."""

    def __init__(self, seconds: float, between_kills: float) -> None:
        self.rng = random.Random(0)
        self.held: list[dict] = []
        self.running: list[Sample] = []
        self.at_rest: list[Sample] = []
        self.passes = self.items = self.kills = 0
        self.between_kills = between_kills
        self.start = time.monotonic()
        self.end = self.start + seconds
        self.next_look = self.next_line = self.start
        self.next_kill = self.start + between_kills if between_kills else float("inf")

    def run(self) -> None:
        """Pass after pass; after some, rest."""
        while time.monotonic() < self.end:
            self.one_pass()
            self.passes += 1
            if self.rng.random() < 0.3:
                self.drop_to(0)
                self.at_rest.append(sample())

    def one_pass(self) -> None:
        """A pass that ends in one of three ways."""
        length = round(10 ** self.rng.uniform(1, 3.5))
        ending = self.rng.choice(("by itself", "closed", "dropped"))
        source = streamflow.Streamer(blocks, length if ending == "by itself" else None)
        stream = streamflow.ZMQStreamer(source, n_workers=2, on_worker_death="restart").iterate()
        self.take(stream, length)
        if ending == "closed":
            stream.close()
        elif ending == "by itself" and time.monotonic() < self.end and next(stream, None) is not None:
            raise SystemExit(f"more than {length} items came")

    def take(self, stream: Iterator[dict], length: int) -> None:
        """Take `length` items, each of them the next one, holding now more and now fewer."""
        may_hold, taken = 0, 0
        for taken, item in enumerate(islice(stream, length), 1):
            if item["number"] != taken - 1:
                raise SystemExit(f"item {item['number']} came in place of {taken - 1}")
            self.held.append(item)
            if self.rng.random() < 0.02:
                may_hold = self.rng.randint(0, MOST_HELD)
            self.drop_to(may_hold)
            self.items += 1
            if self.see_to_what_is_due():
                return
        if taken < length:
            raise SystemExit(f"{taken} items came in place of {length}")

    def drop_to(self, number: int) -> None:
        while len(self.held) > number:
            let_go(self.held.pop(self.rng.randrange(len(self.held))))

    def see_to_what_is_due(self) -> bool:
        """Look, print, kill; whether the time is over."""
        now = time.monotonic()
        if now >= self.next_look:
            self.running.append(sample())
            self.next_look = now + LOOKED
        if now >= self.next_line:
            self.print_line(now)
            self.next_line = now + PRINTED
        if now >= self.next_kill:
            self.kill()
            self.next_kill = now + self.between_kills * self.rng.uniform(0.5, 1.5)
        return now >= self.end

    def kill(self) -> None:
        if running := workers():
            os.kill(self.rng.choice(running), signal.SIGKILL)
            self.kills += 1

    def print_line(self, now: float) -> None:
        seen = self.running[-1]
        print(
            f"{now - self.start:5.0f} s  {self.passes:5} passes {self.items:8} items {self.kills:4} kills "
            f"{len(self.held):3} held  resident {seen.resident:5.0f} MiB  segments {seen.segment:5.0f} MiB  "
            f"{seen.descriptors:3.0f} descriptors  {seen.processes:2.0f} processes",
            flush=True,
        )


def workers() -> list[int]:
    """Forked children (other children, like those that `multiprocessing` starts for itself, run another command)."""
    ours, found = Path("/proc/self/cmdline").read_bytes(), []
    for pid in descendants():
        try:
            if Path(f"/proc/{pid}/cmdline").read_bytes() == ours:
                found.append(pid)
        except OSError:  # it has just ended
            pass
    return found


def sample() -> Sample:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    resident = pages * os.sysconf("SC_PAGE_SIZE") / MEBIBYTE
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    return Sample(resident, segment_bytes() / MEBIBYTE, descriptors, len(descendants()))


def flat(what: str, samples: list[Sample], slack: float) -> bool:
    """Print the medians of the first third, after a warm-up, and of the last; whether nothing has grown."""
    samples = samples[round(WARM_UP * len(samples)) :]
    third = len(samples) // 3
    if not third:
        print(f"{what}: too few samples")
        return False
    nothing_grew = True
    for name in (field.name for field in fields(Sample)):
        first, last = (median(getattr(sample, name) for sample in part) for part in (samples[:third], samples[-third:]))
        allowed = 1.1 * first + slack if name in ("resident", "segment") else first
        word = "flat" if last <= allowed else "HAS GROWN"
        print(f"{what + ', ' + name:25} {first:8.1f} -> {last:8.1f}  {word}")
        nothing_grew &= last <= allowed
    return nothing_grew


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("seconds", type=float, nargs="?", default=180.0)
    parser.add_argument("--kills", type=float, default=4.0, help="seconds between two kills; 0: none")
    options = parser.parse_args()
    soak = Soak(options.seconds, options.kills)
    soak.run()
    print(
        f"\n{soak.passes} passes, {soak.items} items, {soak.kills} kills; medians of the first third and of the last:"
    )
    running = flat("running", soak.running, SLACK_RUNNING)
    at_rest = flat("at rest", soak.at_rest, SLACK_AT_REST)
    sys.exit(not (running and at_rest))


if __name__ == "__main__":
    main()
