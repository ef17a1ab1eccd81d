"""A background stream under test: how to make it, and what the promises need to watch it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from streamflow.core import Streamer
from streamflow.testing.subject import expect

from ..processes import within
from .journal import Journal, noted

__all__ = ["Case", "threads_left"]


class Case:
    """A way to make background streams, and a folder for the journals of their leaves.

    Parameters
    ----------
    make : class or function
        Called as ``make(streamer)``; returns the background stream of a `Streamer`, as a Streamer of one lane.  For
        the promises about lanes it is also called as ``make(streamer, n_workers=2, n_lanes=3)``.
    folder : Path
    ahead : int
        How many items of 4 MiB may be made ahead, at least 1.
    timeout : float
        Seconds that any step may take; more is a hang.
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

    def over(self, leaf: Any, *args: Any, **kwargs: Any) -> Streamer:
        """The background stream of a leaf."""
        return self.make(Streamer(leaf, *args, **kwargs))

    def journal(self) -> Journal:
        """A new journal."""
        self._journals += 1
        return Journal(self._folder / f"{self._journals}.txt")

    def noted(self, n: int, **how: Any) -> tuple[Journal, Streamer]:
        """The background stream of a leaf that keeps a journal, and that journal."""
        journal = self.journal()
        return journal, self.over(noted, journal.path, n, **how)

    @contextmanager
    def released(self, journal: Journal) -> Iterator[None]:
        """Leaves with `hang_at` hang until the block is left."""
        try:
            yield
        finally:
            journal.path.with_suffix(".go").touch()

    def expect_closed(self, journal: Journal, seconds: float = 0.0) -> None:
        """Expect that all leaves are closed within some seconds, and that their processes are gone."""
        within(seconds, lambda: not journal.open())
        expect(not journal.open(), f"`finally` has not run in {journal.open()} of its leaves")
        within(self.timeout / 2, lambda: not journal.processes())
        expect(not journal.processes(), f"processes in which leaves ran are alive: {sorted(journal.processes())}")


def threads_left(before: set[threading.Thread], seconds: float) -> list[str]:
    """The names of the threads that were not there before and have not ended within some seconds."""
    within(seconds, lambda: set(threading.enumerate()) <= before)
    return [thread.name for thread in threading.enumerate() if thread not in before]
