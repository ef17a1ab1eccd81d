"""What a worker is asked to do, and how the description of it gets there.  Knows `core`.

A forked worker inherits the description as it is.  For the other start methods it is pickled, by cloudpickle where
pickle fails, so closures and functions of a notebook may be sent.
"""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

from ..core import Streamer, StreamerList
from ..core.binding import Overrides
from ..core.call import OneShot, Shards
from ..core.label import short
from ..exceptions import BackgroundError, ParameterError, StreamflowError
from ..seeding import Key

__all__ = ["InheritedJob", "Job", "LaneJob", "PickledJob", "find_streamers", "refuse_one_shots"]

#: Bytes above which an argument that is copied to a worker gives a warning.
_LARGE_ARGUMENT = 64 << 20


class LaneJob(NamedTuple):
    """One lane, from a given position on."""

    number: int
    given: int  #: items up to its last mark
    state: Any  #: the lane's state at that mark, None at the start
    skip: int  #: items delivered since


class Job(NamedTuple):
    """What a worker is to do: run some lanes of a tree."""

    tree: Streamer
    key: Key
    shards: Shards
    n_lanes: int  #: of the whole stream
    numbers: tuple[int, ...]  #: of this worker's lanes
    lanes: tuple[LaneJob, ...]  #: those that have not ended, in the order in which their next items are wanted
    verify: bool  #: whether to check that leaves repeat their items

    def shards_of(self, lane: int) -> Shards:
        """Which part of the tree a lane is; an only lane is the whole."""
        return self.shards if self.n_lanes == 1 else (*self.shards, (lane, self.n_lanes))

    def at_epoch(self, epoch: int) -> Job:
        """All lanes at the start of another epoch."""
        lanes = tuple(LaneJob(number, 0, None, 0) for number in self.numbers)
        return self._replace(key=self.key.at_epoch(epoch), lanes=lanes)


class InheritedJob:
    """A job on its way to a forked worker."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def get(self) -> Job:
        """The job, in the worker."""
        return self._job


class PickledJob:
    """A job on its way to a worker that is not forked.

    Raises
    ------
    BackgroundError
        If it cannot be pickled.
    """

    def __init__(self, job: Job) -> None:
        import cloudpickle

        own = job.tree._overrides
        if own is not None and own.binding is not None:
            # A binding is a place in this process's tree; the worker opens its tree by key.
            job = job._replace(tree=job.tree._twin(Overrides(own.root, own.shards)))
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


def refuse_one_shots(tree: Streamer) -> None:
    """Raise if a tree holds a one-shot iterator: items that a worker takes from its copy, the consumer's still has."""
    for path, streamer in find_streamers(tree):
        for source in (streamer.source, getattr(streamer, "_lazy", None)):
            if isinstance(source, OneShot):
                raise ParameterError(
                    f"the {source.name} is a one-shot iterator and cannot run in the background (at {path}); "
                    f"{OneShot.ADVICE}"
                )


def find_streamers(tree: Streamer) -> Iterator[tuple[str, Streamer]]:
    """All Streamers of a tree, each once, with their path; the members of a lazy list are not built."""
    seen: set[int] = set()
    waiting: list[tuple[str, Any]] = [(tree._label(), tree)]
    while waiting:
        path, streamer = waiting.pop()
        if id(streamer) in seen:
            continue
        seen.add(id(streamer))
        yield path, streamer
        waiting.extend((f"{path} > {part._label()}", part) for part in _parts(streamer) if isinstance(part, Streamer))


def _parts(streamer: Streamer) -> Iterator[Any]:
    yield streamer.source
    yield from streamer.args
    yield from streamer.kwargs.values()
    pool = getattr(streamer, "_pool", None)
    if pool is not None and not isinstance(pool.members, StreamerList):
        yield from pool.members


def _warn_of_large_arguments(tree: Streamer) -> None:
    for path, streamer in find_streamers(tree):
        for value in (streamer.source, *streamer.args, *streamer.kwargs.values()):
            size = getattr(value, "nbytes", 0) or (len(value) if isinstance(value, (bytes, bytearray, str)) else 0)
            if size > _LARGE_ARGUMENT:
                warnings.warn(
                    f"an argument of {size >> 20} MiB, {short(value)}, is copied into the worker, at {path}; pass a "
                    "path and open it in the leaf function, or use start_method='fork'",
                    stacklevel=2,
                )
