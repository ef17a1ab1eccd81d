"""What `check_background` checks: a function from a stream to its background stream, and what it should give."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..core import Streamer
from .journal import Journal, appear, noted
from .subject import expect

__all__ = ["Case", "takes_lanes"]

#: Parameters of what can divide a stream.
LANE_NAMES = ("n_workers", "n_lanes")


def takes_lanes(make: Callable[..., Any]) -> bool:
    """Whether it has parameters for lanes, or takes any keyword."""
    try:
        parameters = inspect.signature(make).parameters.values()
    except (TypeError, ValueError):  # a builtin that tells nothing of itself
        return False
    names = {one.name for one in parameters if one.kind is not one.POSITIONAL_ONLY}
    return names.issuperset(LANE_NAMES) or any(one.kind is one.VAR_KEYWORD for one in parameters)


class Case:
    """A function that makes background streams, and a folder for what sources note.

    Parameters
    ----------
    make : function
    folder : Path
    timeout : float
        Seconds that anything may take.
    ahead : int
        Items of 4 MiB that may be ahead.
    """

    def __init__(self, make: Callable[..., Any], folder: Path, timeout: float, ahead: int) -> None:
        self._make, self._folder, self.timeout, self.ahead = make, folder, timeout, ahead
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
