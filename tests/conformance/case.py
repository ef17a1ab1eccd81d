"""What is held to the promises: a function from a stream to its background stream, and what it should give."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from streamflow.core import Streamer
from streamflow.testing.subject import expect

from .journal import Journal, appear, noted

__all__ = ["Case", "threads_left"]


class Case:
    """A function that makes background streams, and a folder for what sources note.

    Parameters
    ----------
    make : class or function
        Called as ``make(streamer)``; gives the background stream of a `Streamer`, as a Streamer of one lane.  What
        divides streams is also called as ``make(streamer, n_workers=2, n_lanes=3)``.
    folder : Path
    ahead : int
        Items of 4 MiB that may be made ahead, at least 1.
    timeout : float
        Seconds that anything may take.
    """

    def __init__(self, make: Callable[..., Any], folder: Path, ahead: int = 32, timeout: float = 60) -> None:
        self._make, self._folder, self.ahead, self.timeout = make, folder, ahead, timeout
        self._journals = 0

    def make(self, streamer: Any, **how: Any) -> Streamer:
        """The background stream of a tree."""
        made = self._make(streamer, **how)
        expect(isinstance(made, Streamer), f"`make` gave {type(made).__name__}, not a Streamer")
        expect(made is not streamer, "`make` gave back the stream itself")
        return made  # type: ignore[no-any-return]

    def over(self, source: Any, *args: Any, **kwargs: Any) -> Streamer:
        """The background stream of a source."""
        return self.make(Streamer(source, *args, **kwargs))

    def journal(self) -> Journal:
        """A new one."""
        self._journals += 1
        return Journal(self._folder / f"{self._journals}.txt")

    def noted(self, n: int, **how: Any) -> tuple[Journal, Streamer]:
        """The background stream of a source that notes what it does."""
        journal = self.journal()
        return journal, self.over(noted, journal.path, n, **how)

    @contextmanager
    def released(self, journal: Journal) -> Iterator[None]:
        """Sources that wait for a word hang until the block is left."""
        try:
            yield
        finally:
            journal.path.with_suffix(".go").touch()

    def expect_closed(self, journal: Journal, seconds: float = 0.0) -> None:
        """All sources are closed (after so many seconds at the latest), and their processes are gone."""
        appear(lambda: not journal.open(), seconds)
        expect(not journal.open(), f"`finally` has not run in {journal.open()} of its sources")
        appear(lambda: not journal.processes(), self.timeout / 2)
        expect(not journal.processes(), f"processes that sources ran in live: {sorted(journal.processes())}")


def threads_left(before: set[threading.Thread], seconds: float) -> list[str]:
    """The names of threads that were not there before and are there after so many seconds."""
    appear(lambda: set(threading.enumerate()) <= before, seconds)
    return [thread.name for thread in threading.enumerate() if thread not in before]
