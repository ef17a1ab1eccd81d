"""A worker that is none: lanes drawn in this process, where there may be no other.  Knows `produce`.

In a worker of ours, or in a daemonic process, a background stream runs so; its items and states are the same.
"""

from __future__ import annotations

from .produce import Work, frozen
from .records import ERROR, MARK, Failure, Record
from .task import Job

__all__ = ["InPlace"]


class InPlace:
    """A handle on work that is done when it is asked for.

    Parameters
    ----------
    job : Job
    """

    def __init__(self, job: Job) -> None:
        self._work = Work(job)
        self._records = self._work.records()

    def take(self) -> Record | None:
        """The next record."""
        try:
            record = next(self._records)
        except Exception as error:  # noqa: BLE001  (it is raised by who takes it)
            return [ERROR, Failure(error, self._work.where())]
        return [MARK, frozen(record[1])] if record[0] == MARK else record

    def death(self) -> str:
        """Nothing can die here."""
        raise NotImplementedError

    def stack(self) -> str:
        """Whoever could ask is here himself."""
        return ""

    def want(self, epoch: int) -> None:
        """Begin another epoch."""
        self._records = self._work.again(epoch)

    def stop(self) -> None:
        """Nothing runs."""

    def interrupt(self, timeout: float | None) -> None:
        """Nothing runs."""

    def join(self, timeout: float | None) -> None:
        """Close the lanes."""
        self._work.close()
