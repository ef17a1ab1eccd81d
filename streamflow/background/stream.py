"""`BackgroundStreamer`: the base of `ZMQStreamer`, `ThreadStreamer`, and other streamers that run a tree in workers.

Knows `core`.  `node`, and with it all code that runs workers, is loaded when a pass is opened.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from ..core import Streamer
from ..core.call import Shards
from ..core.fingerprint import Fingerprint
from ..core.node import Node
from ..core.walk import check_resendable
from ..seeding import Key

if TYPE_CHECKING:
    from .pool import WorkerPool

__all__ = ["BackgroundStreamer"]


class BackgroundStreamer(Streamer):
    """Run a tree in workers, while this thread does something else with its items.

    The base of `ZMQStreamer`, whose workers are processes, and of `ThreadStreamer`, whose worker is a thread.  A
    subclass defines how a worker is started; lanes, states, restarts and errors are the same for all.

    Parameters
    ----------
    streamer : Streamer
        The tree to run; any other re-iterable is wrapped in a `Streamer`.
    random_state : None, int, SeedSequence, Generator or RandomState
        A seed of its own, as with `with_seed`; None (the default): the parent's.

    Attributes
    ----------
    streamer : Streamer
        The tree.
    seeds_workers : bool
        Set to True in a subclass whose workers seed `random` and `numpy.random` from the seed of the tree.  Such a
        stream draws a seed even if its tree needs none.

    Raises
    ------
    ParameterError
        If `random_state` is of another type; at the first item, if the tree holds a one-shot iterator.

    Notes
    -----
    A subclass defines `worker_pool`.  The `start` of that pool returns a `Worker`.  It runs `produce` (from
    `streamflow.background.produce`) on its job, with a `Sender` of its own, and hands the records to the consumer in
    order.  A `start` whose worker runs outside the calling thread first calls `draw_entropy(job)`, since the entropy of
    the tree must be drawn in the consumer.

    Sharding: the tree is sharded, and each part is divided into lanes.

    Examples
    --------
    >>> from streamflow.background import InlineWorker, WorkerPool
    >>> class InPlace(BackgroundStreamer):
    ...     '''Two lanes, both run in this thread.'''
    ...     def worker_pool(self):
    ...         return WorkerPool(lambda job, n_workers: InlineWorker(job), n_workers=2)
    >>> list(InPlace(range(5)))
    [0, 1, 2, 3, 4]
    """

    seeds_workers: ClassVar[bool] = False

    def __init__(self, streamer: Any, random_state: Any = None) -> None:
        self._describe(random_state)
        self.streamer = self._adopt(streamer)
        self._checked = False

    def __repr__(self) -> str:
        return f"{self._label()}({self.streamer!r})"

    # ------------------------------------------------------------------ for subclasses to define
    def worker_pool(self) -> WorkerPool:
        """Say how many workers there are and how one is started; called once for each pass, when it is opened.

        Returns
        -------
        WorkerPool
            Its `start` is called with a job and the number of workers, once for each worker and each replacement.

        Raises
        ------
        NotImplementedError
            If the subclass does not define it.
        """
        raise NotImplementedError(f"{type(self).__name__} must define worker_pool()")

    def _lane_count(self) -> int | None:
        """How many lanes a pass has; None where that is not known beforehand."""
        return None

    # ------------------------------------------------------------------ hooks
    def _node(self, key: Key, shards: Shards) -> Node:
        from .node import BackgroundNode

        if not self._checked:
            check_resendable(self.streamer)
            self._checked = True
        return BackgroundNode(self._label(), self.streamer, key, shards, self.worker_pool())

    def _length(self, shards: Shards) -> int | None:
        lanes = self._lane_count()
        if lanes is None:
            return None
        parts = [(*shards, (lane, lanes)) for lane in range(lanes)] if lanes > 1 else [shards]
        lengths = [self.streamer._measured(part) for part in parts]
        known = [length for length in lengths if length is not None]
        return sum(known) if len(known) == len(lengths) else None

    def fingerprint(self) -> Fingerprint:
        inner = self.streamer.fingerprint()
        return self._marked(inner.then(f"background({inner.text})", seeds=self.seeds_workers))

    def _identity(self) -> str:
        return self._marked(Fingerprint(f"background({self.streamer._identity()})")).text

    def _label(self) -> str:
        return type(self).__name__
