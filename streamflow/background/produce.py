"""What runs in the background: some lanes of a tree, one item each in turn, and now and then a mark.

Knows `core`, `records` and `sending`; neither processes nor channels.

A mark is the states of the lanes at its place among the items.  Whoever has read the last mark, and counts the items
after it, can say without asking anybody where the stream stands: that is what states are made of, and where a worker
begins that takes over from a dead one.
"""

from __future__ import annotations

import pickle
import signal
from collections import deque
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Any

from ..core.node import Node, close_all, skip
from ..core.signals import later
from ..exceptions import StateError
from .records import END, ERROR, ITEM, MARK, READY, Failure, Record, Sink, Stopped
from .task import Job, LaneJob

__all__ = ["Work", "frozen", "produce"]

#: Seconds between two marks at least.
BETWEEN_MARKS = 0.02
#: Marks may take one part in so many of the time.
SHARE = 50


class Work:
    """The lanes of a job.

    Parameters
    ----------
    job : Job
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self._nodes: dict[int, Node] = {}
        self._asked: Node | None = None

    def records(self) -> Iterator[Record]:
        """All records, in order; an item's is one list that is used again, and must have been emptied by then."""
        for lane in self.job.lanes:
            self._open(lane)
        yield [READY, None]
        record: Record = [ITEM]
        # `append` is a function of C: no frame holds an item while the next is made.
        turns = deque((number, node, map(record.append, node.items)) for number, node in self._nodes.items())
        unmarked, due = len(turns), perf_counter() + BETWEEN_MARKS
        while turns:
            number, self._asked, drawn = turns[0]
            alone = len(turns) == 1
            for _ in drawn:
                yield record
                unmarked -= 1
                if not unmarked or perf_counter() >= due:  # when all have begun, and now and then
                    mark, due = self._mark()
                    yield mark
                if not alone:
                    turns.rotate(-1)
                    break
            else:
                turns.popleft()
                with later(signal.SIGTERM):  # its `finally` blocks are not to be interrupted
                    self._nodes.pop(number).close()
                yield [END, number]

    def _open(self, lane: LaneJob) -> None:
        job = self.job
        node = self._nodes[lane.number] = job.tree._open(job.key, job.shards_of(lane.number))
        self._asked = node
        if lane.state is not None:
            node.restore(lane.state, lane.given, job.verify)
        if skip(node.items, lane.skip) < lane.skip:
            raise StateError(f"the stream had given {lane.given + lane.skip} items and has fewer now")

    def _mark(self) -> tuple[Record, float]:
        """A mark, and when the next is due."""
        began = perf_counter()
        try:
            value: Any = [(number, node.given(), node.state()) for number, node in self._nodes.items()]
        except Exception as error:  # noqa: BLE001  (it will be told when somebody asks for a state)
            value = error if isinstance(error, StateError) else StateError(f"a source has no state: {error!r}")
            return [MARK, value], float("inf")
        ended = perf_counter()
        # To send it takes less than to make it.
        return [MARK, value], ended + max(BETWEEN_MARKS, 2 * SHARE * (ended - began))

    def again(self, epoch: int) -> Iterator[Record]:
        """The records of another epoch, when this one has ended."""
        self.job = self.job.at_epoch(epoch)
        return self.records()

    def where(self) -> list[str]:
        """The path to the member that was asked last."""
        return [] if self._asked is None else self._asked.where()

    def close(self) -> None:
        """Close all lanes; may be called again."""
        nodes = list(self._nodes.values())
        self._nodes.clear()
        close_all(nodes)


def frozen(mark: Any) -> Any:
    """A mark as it is now, for who stays in this process: a source may go on to change what it gave as its state."""
    if isinstance(mark, StateError):
        return mark
    try:
        return pickle.loads(pickle.dumps(mark, 5))
    except Exception as error:  # noqa: BLE001  (it will be told when somebody asks for a state)
        return StateError(f"a source has no state that can be kept: {error!r}")


def produce(get_job: Callable[[], Job], sink: Sink, begin: Callable[[Job], None], quiet: Callable[[], None]) -> None:
    """Run a job to its end, then one epoch after the other as they are wanted; ends by `Stopped`.

    Parameters
    ----------
    get_job : function
        Gives the job; what it raises reaches the consumer, as all errors do.
    sink : Sink
    begin : function
        Called before an epoch begins.
    quiet : function
        Called when the tree is to be closed: from then on its ``finally`` blocks are not to be interrupted.
    """
    work: Work | None = None
    try:
        work = Work(get_job())
        records = work.records()
        while True:
            begin(work.job)
            for record in records:
                if record[0] == ITEM:
                    sink.item(record)
                else:
                    sink.put(*record)
            records = work.again(sink.wait())
    except Stopped:
        quiet()
        if work is not None:
            work.close()
        raise
    except BaseException as error:  # noqa: BLE001  (it is raised in the consumer)
        quiet()
        where = work.where() if work is not None else []
        try:
            if work is not None:
                work.close()
        except BaseException as second:  # noqa: BLE001  (`error` is the one to be told)
            error.add_note(f"and closing the stream raised {second!r}")
        sink.put(ERROR, Failure(error, where))
        del error
    sink.wait()
