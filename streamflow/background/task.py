"""How a description gets to a worker.  Knows `core`; used by `process` and by `zmq_stream`.

A forked worker inherits it as it is.  For the other start methods it is pickled, by cloudpickle where it must be, so
closures and the functions of a notebook may be sent.
"""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

from ..core import Streamer, StreamerList
from ..core.call import OneShot, Shards
from ..core.label import short
from ..exceptions import BackgroundError, ParameterError, StreamflowError
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
        if tree._overrides is not None and tree._overrides.binding is not None:
            # Its place in this process's tree; the worker opens it by key.
            job = job._replace(
                tree=tree._twin(type(tree._overrides)(tree._overrides.root, tree._overrides.shards, None))
            )
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
    for _path, one in _find_streamers(job.tree):
        if one._overrides is not None and one._overrides.binding is not None:
            _ = one._overrides.binding.key.root.entropy


def _find_streamers(tree: Streamer) -> Iterator[tuple[str, Streamer]]:
    """All Streamers of a tree, each once, with their path; the members of a lazy list are not built."""
    seen: set[int] = set()
    waiting: list[tuple[str, Any]] = [(tree._label(), tree)]
    while waiting:
        path, one = waiting.pop()
        if not isinstance(one, Streamer) or id(one) in seen:
            continue
        seen.add(id(one))
        yield path, one
        waiting.extend((f"{path} > {part._label()}", part) for part in _inside(one) if isinstance(part, Streamer))


def _inside(streamer: Streamer) -> Iterator[Any]:
    yield streamer.source
    yield from streamer.args
    yield from streamer.kwargs.values()
    pool = getattr(streamer, "_pool", None)
    if pool is not None and not isinstance(pool.members, StreamerList):
        yield from pool.members
    yield getattr(streamer, "streamer", None)  # of a background streamer inside


def check_sources(tree: Streamer) -> None:
    """Refuse one-shot iterators: what a worker takes from its copy, the consumer's still has."""
    for path, one in _find_streamers(tree):
        for source in (one.source, getattr(one, "_lazy", None)):
            if isinstance(source, OneShot):
                raise ParameterError(
                    f"the {source.name} is a one-shot iterator and cannot run in the background (at {path}); "
                    f"{OneShot.ADVICE}"
                )


def _warn_of_big_arguments(tree: Streamer) -> None:
    for path, one in _find_streamers(tree):
        for value in (one.source, *one.args, *one.kwargs.values()):
            size = getattr(value, "nbytes", 0) or (len(value) if isinstance(value, (bytes, bytearray, str)) else 0)
            if size > _BIG:
                warnings.warn(
                    f"an argument of {size >> 20} MiB, {short(value)}, is copied into the worker, at {path}; give a "
                    "path that the source opens, or use start_method='fork'",
                    stacklevel=2,
                )
