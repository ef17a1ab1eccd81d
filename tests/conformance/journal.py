"""Leaf functions that keep a journal in a file, since they may run in another process, which can import them."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..processes import within

__all__ = ["Counting", "Journal", "drawing", "exiting", "failing", "noted", "summed"]

_STEP = 0.005  #: seconds between two checks


class Journal:
    """The file in which leaves note what they do."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def lines(self) -> list[str]:
        """All notes, in order."""
        return self.path.read_text("utf-8").split("\n")[:-1] if self.path.exists() else []

    def made(self) -> int:
        """How many items leaves have begun to make."""
        return self.lines().count("item")

    def open(self) -> int:
        """How many leaves are open."""
        lines = self.lines()
        return sum(line.startswith("open") for line in lines) - lines.count("closed")

    def processes(self) -> set[int]:
        """The other processes in which leaves ran, if they are still alive."""
        found = {int(line.split()[1]) for line in self.lines() if line.startswith("open")} - {os.getpid()}
        return set(filter(_is_alive, found))

    def settle(self, least: int, most: int, seconds: float) -> int:
        """Wait until no more items are made, or there are more than `most`; return how many there are."""
        within(seconds, lambda: self.made() >= least)
        made, still = self.made(), 0
        while made <= most and still < 12:
            time.sleep(2 * _STEP)
            still = still + 1 if self.made() == made else 0
            made = self.made()
        return made


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def _note(path: Path, what: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(descriptor, f"{what}\n".encode())
    finally:
        os.close(descriptor)


def noted(
    path: Path, n: int, *, size: int = 1, pause: float = 0.0, hang_at: int | None = None, again: bool = False
) -> Iterator[dict[str, Any]]:
    """Samples with an array of `size` numbers, all of them the place of the sample.

    Before item `hang_at` it hangs until a file appears beside the journal (see `Case.released`).  With `again` it
    yields the same array every time.
    """
    _note(path, f"open {os.getpid()} {threading.get_ident()}")
    kept = np.zeros(size) if again else None
    try:
        for place in range(n):
            _note(path, "item")
            if place == hang_at:
                while not path.with_suffix(".go").exists():
                    time.sleep(_STEP)
            yield {"x": np.full(size, float(place)) if kept is None else kept, "place": place, "process": os.getpid()}
            time.sleep(pause)
    finally:
        _note(path, "closed")


def drawing(name: str, n: int, rng: np.random.Generator, pause: float = 0.0) -> Iterator[dict[str, Any]]:
    """Samples with random numbers."""
    for place in range(n):
        yield {"x": rng.integers(1 << 40, size=2), "name": name, "place": place}
        time.sleep(pause)


def summed(stream: Any) -> Iterator[int]:
    """A function of a stream: the sum of each item."""
    for item in stream:
        yield int(item["x"].sum())


class LostError(Exception):
    """An error that cannot be made again from its `args`, as pickle does."""

    def __init__(self, what: str, where: str) -> None:
        super().__init__(f"{what} is lost, {where}")
        self.what = what


def _unpicklable() -> Exception:
    class HiddenError(Exception):
        """Of a class that pickle cannot find, and with an attribute that cannot be pickled."""

    error = HiddenError("the needle is lost, in a haystack")
    error.lock = threading.Lock()  # type: ignore[attr-defined]
    return error


ERRORS: dict[str, Callable[[], BaseException]] = {
    "KeyError": lambda: KeyError("the needle is lost, in a haystack"),
    "an error that pickle loses": lambda: LostError("the needle", "in a haystack"),
    "an error that cannot be pickled": _unpicklable,
    "SystemExit": lambda: SystemExit("the needle is lost, in a haystack"),
    "KeyboardInterrupt": lambda: KeyboardInterrupt("the needle is lost, in a haystack"),
    "GeneratorExit": lambda: GeneratorExit("the needle is lost, in a haystack"),
    "StopIteration": lambda: StopIteration("the needle is lost, in a haystack"),
}


def failing(path: Path, n: int, kind: str) -> Iterator[dict[str, Any]]:
    """`n` samples and an error; `n` more samples instead, once there is a file beside the journal."""
    _note(path, f"open {os.getpid()}")
    try:
        for place in range(n):
            yield {"place": place}
        if not path.with_suffix(".go").exists():
            error = ERRORS[kind]()
            raise error
        for place in range(n, 2 * n):
            yield {"place": place}
    finally:
        _note(path, "closed")


def exiting(kind: str) -> Iterator[Any]:
    """Raises an error as soon as it is called (it is not a generator function)."""
    error = ERRORS[kind]()
    raise error


class Counting:
    """A leaf with a state, which returns the same dict as its state each time, and changes it."""

    def __init__(self, n: int, pause: float) -> None:
        self.n, self.pause, self.state = n, pause, {"place": 0}

    def __iter__(self) -> Counting:
        return self

    def __next__(self) -> int:
        if self.state["place"] == self.n:
            raise StopIteration
        time.sleep(self.pause)
        self.state["place"] += 1
        return self.state["place"]

    def state_dict(self) -> dict[str, int]:
        return self.state

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.state = dict(state)
