"""The job of a worker, and how it is sent.  Knows `core`.

A forked worker inherits its job as it is.  For the other start methods it is pickled by cloudpickle, so the tree may
hold closures and functions defined in a notebook.
"""

from __future__ import annotations

import pickle
import warnings
from typing import Any, NamedTuple

from ..core import Streamer
from ..core.call import Shards
from ..core.label import short
from ..core.walk import large_arguments
from ..exceptions import BackgroundError, StreamflowError
from ..seeding import Key

__all__ = ["InheritedJob", "Job", "LaneJob", "PickledJob"]

#: Bytes above which copying an argument to a worker gives a warning.
_LARGE_ARGUMENT = 64 << 20


class LaneJob(NamedTuple):
    """A lane, and where to start in it."""

    number: int
    mark: Any  #: the lane's state at its last mark, None at the start
    skip: int  #: items delivered since, not to be sent again

    @property
    def given(self) -> int:
        """Items that have been delivered."""
        return self.skip if self.mark is None else self.mark["given"] + self.skip


class Job(NamedTuple):
    """What a worker does: run some lanes of a tree."""

    tree: Streamer
    key: Key
    shards: Shards
    n_lanes: int  #: of the whole stream
    numbers: tuple[int, ...]  #: of this worker's lanes
    lanes: tuple[LaneJob, ...]  #: those that have not ended, in the order in which their items are wanted
    verify: bool  #: whether to check that leaves repeat their items

    def shards_of(self, lane: int) -> Shards:
        """Which part of the tree a lane is; the only lane is the whole tree."""
        return self.shards if self.n_lanes == 1 else (*self.shards, (lane, self.n_lanes))

    def at_epoch(self, epoch: int) -> Job:
        """All lanes at the start of another epoch."""
        lanes = tuple(LaneJob(number, None, 0) for number in self.numbers)
        return self._replace(key=self.key.at_epoch(epoch), lanes=lanes)


class InheritedJob:
    """A job as a forked worker gets it."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def get(self) -> Job:
        """The job, in the worker."""
        return self._job


class PickledJob:
    """A job as a worker that is not forked gets it: pickled.

    Raises
    ------
    BackgroundError
        If it cannot be pickled.
    """

    def __init__(self, job: Job) -> None:
        import cloudpickle

        job = job._replace(tree=job.tree._unbound())  # its binding stays here; the worker opens it by key
        try:
            self._data: bytes = cloudpickle.dumps(job, 5)
        except StreamflowError:
            raise
        except Exception as error:
            raise BackgroundError(
                f"the tree cannot be sent to a worker: {error}; open such objects inside the leaf function, or use "
                "start_method='fork' where the system has it"
            ) from error
        if len(self._data) > _LARGE_ARGUMENT:
            _warn_of_large_arguments(job.tree)

    def get(self) -> Job:
        """The job, in the worker."""
        job: Job = pickle.loads(self._data)
        return job


def _warn_of_large_arguments(tree: Streamer) -> None:
    for path, value, size in large_arguments(tree, _LARGE_ARGUMENT):
        warnings.warn(
            f"an argument of {size >> 20} MiB, {short(value)}, is copied into the worker, at {path}; pass a path and "
            "open it in the leaf function, or use start_method='fork'",
            stacklevel=2,
        )
