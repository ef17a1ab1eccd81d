"""How a description gets to a worker.  Knows `core`; used by `process` and by `zmq_stream`.

A forked worker inherits it as it is.  For the other start methods it is pickled, by cloudpickle where it must be, so
closures and the functions of a notebook may be sent.
"""

from __future__ import annotations

import pickle
import warnings
from typing import Any, NamedTuple

from ..core import Streamer
from ..core.call import Shards
from ..core.label import short
from ..core.walk import check_resendable as check_sources
from ..core.walk import large_arguments, walk
from ..exceptions import BackgroundError, StreamflowError
from ..seeding import Key

__all__ = ["Inherited", "Job", "LaneJob", "Pickled", "check_sources", "draw_entropy"]

_BIG = 64 << 20


class LaneJob(NamedTuple):
    """A lane, from a position on."""

    number: int
    given: int  #: items up to the mark
    state: Any  #: the lane's state there, None at the start
    skip: int  #: items that have been delivered since


class Job(NamedTuple):
    """What a worker shall do: run some lanes of a tree."""

    tree: Streamer
    key: Key
    shards: Shards
    n_lanes: int  #: of the whole stream
    numbers: tuple[int, ...]  #: of the lanes of this worker
    lanes: tuple[LaneJob, ...]  #: those that have not ended, in the order in which their next items are wanted
    verify: bool  #: check that leaves give the same items again

    def shards_of(self, lane: int) -> Shards:
        """Which part of the tree a lane is; the only lane is the whole."""
        return self.shards if self.n_lanes == 1 else (*self.shards, (lane, self.n_lanes))

    def at_epoch(self, epoch: int) -> Job:
        """All lanes at the start of another epoch."""
        lanes = tuple(LaneJob(number, 0, None, 0) for number in self.numbers)
        return self._replace(key=self.key.at_epoch(epoch), lanes=lanes)


class Inherited:
    """A job on its way to a forked worker."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def get(self) -> Job:
        """The job, in the worker."""
        return self._job


class Pickled:
    """A job on its way to a worker that shares no memory with us.

    Raises
    ------
    BackgroundError
        If it cannot be pickled.
    """

    def __init__(self, job: Job) -> None:
        import cloudpickle

        tree = job.tree
        job = job._replace(tree=tree._unbound())  # what it is bound to stays here; the worker opens it by key
        try:
            self._data: bytes = cloudpickle.dumps(job, 5)
        except StreamflowError:
            raise
        except Exception as error:
            raise BackgroundError(
                f"the tree cannot be sent to a worker: {error}; open such things in the source function itself, or use "
                "start_method='fork' where there is one"
            ) from error
        if len(self._data) > _BIG:
            _warn_of_big_arguments(job.tree)

    def get(self) -> Job:
        """The job, in the worker."""
        job: Job = pickle.loads(self._data)
        return job


def draw_entropy(job: Job) -> None:
    """Draw here what a worker is sent and never draws itself: the entropy of the tree, and of what it is bound to."""
    _ = job.key.root.entropy
    for _, one in walk(job.tree):
        if one._overrides is not None and one._overrides.binding is not None:
            _ = one._overrides.binding.key.root.entropy


def _warn_of_big_arguments(tree: Streamer) -> None:
    for path, value, size in large_arguments(tree, _BIG):
        warnings.warn(
            f"an argument of {size >> 20} MiB, {short(value)}, is copied into the worker, at {path}; give a path that "
            "the function opens, or use start_method='fork'",
            stacklevel=2,
        )
