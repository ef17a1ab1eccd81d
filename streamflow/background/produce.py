"""What a worker does: draw one item from each of its lanes in turn, and take a mark now and then.

Knows `core`, `records` and `task`, but no process and no channel: any kind of worker can run it.

A mark holds the states of the lanes at its place among the items.  The consumer keeps the last mark and counts the
items after it, so it knows the position of the stream without asking the worker.  That is what states are made of, and
where the replacement of a dead worker starts.
"""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Any

from ..core.checkpoint import Clock
from ..core.node import Node, close_all, skip_told
from ..core.saved import Saved
from ..core.signals import deferred
from ..exceptions import StateError
from ..seeding import Key
from .records import END, ERROR, ITEM, MARK, READY, Failure, Record, Sender, Stopped
from .task import Job, LaneJob

__all__ = ["RunningJob", "produce"]


class RunningJob:
    """The open lanes of a job.

    Parameters
    ----------
    job : Job
    """

    def __init__(self, job: Job) -> None:
        self._clock = Clock()  # for marks, and for what the maps of the lanes note
        self.job = job._replace(key=Key(job.key.root, job.key.path, self._clock))
        self._nodes: dict[int, Node] = {}
        self._current: Node | None = None

    def records(self) -> Iterator[Record]:
        """Yield all records of an epoch, in order.

        All items come in the same list: the caller removes the item from it before it asks for the next record.
        """
        for lane in self.job.lanes:
            self._open(lane)
        if self.job.loading.grown:  # the loaded states have fewer members
            yield self._mark()
        yield [READY, None]
        record: Record = [ITEM]
        # `append` is a C function: no frame holds an item while the next one is made.
        turns = deque((number, node, map(record.append, node.items)) for number, node in self._nodes.items())
        clock, unmarked, seen = self._clock, len(turns), self._clock.tick
        self._marking = True  # until a state cannot be taken
        while turns:
            number, self._current, drawn = turns[0]
            alone = len(turns) == 1
            for _ in drawn:
                yield record
                unmarked -= 1
                # Once all lanes have begun, and then at each tick.
                if not unmarked or (self._marking and (perf_counter() >= clock.due or clock.tick != seen)):
                    seen = clock.now()
                    yield self._mark()
                if not alone:
                    turns.rotate(-1)
                    break
            else:
                turns.popleft()
                with deferred(signal.SIGTERM):  # so that nothing interrupts its `finally` blocks
                    self._nodes.pop(number).close()
                yield [END, number]

    def _open(self, lane: LaneJob) -> None:
        job = self.job
        node = self._nodes[lane.number] = job.tree._open(job.key, job.shards_of(lane.number))
        self._current = node
        if lane.mark is not None:
            node.resume(Saved(lane.mark, f"lanes[{lane.number}].mark", job.loading))
        if skip_told(node.items, lane.skip, lambda: f"lane {lane.number}") < lane.skip:
            raise StateError(f"the stream had given {lane.given} items and now ends earlier")

    def _mark(self) -> Record:
        began = perf_counter()
        try:
            value: Any = [(number, node.state()) for number, node in self._nodes.items()]
        except Exception as error:  # noqa: BLE001  (raised when a state is asked for)
            value = error if isinstance(error, StateError) else StateError(f"the state of a leaf failed: {error!r}")
            self._marking = False
        self._clock.charge(2 * (perf_counter() - began))  # sending a mark takes at most as long as making it
        return [MARK, value]

    def next_epoch(self, epoch: int) -> Iterator[Record]:
        """The records of another epoch; only after all records of this one have been drawn."""
        self.job = self.job.at_epoch(epoch)
        return self.records()

    def where(self) -> list[str]:
        """The path to the node that was last asked for an item."""
        return [] if self._current is None else self._current.where()

    def close(self) -> None:
        """Close all lanes; may be called again."""
        nodes = list(self._nodes.values())
        self._nodes.clear()
        close_all(nodes)


def produce(
    get_job: Callable[[], Job],
    sender: Sender,
    before_epoch: Callable[[Job], None] | None = None,
    before_close: Callable[[], None] | None = None,
) -> None:
    """Run a job to its end, then further epochs as they are requested; always ends by raising `Stopped`.

    Parameters
    ----------
    get_job : function
        Returns the job; its errors reach the consumer, as those of the tree do.
    sender : Sender
    before_epoch : function, optional
        Called with the job before each epoch.
    before_close : function, optional
        Called before the tree is closed, to see to it that nothing interrupts its ``finally`` blocks.
    """
    running: RunningJob | None = None
    try:
        running = RunningJob(get_job())
        records = running.records()
        while True:
            if before_epoch is not None:
                before_epoch(running.job)
            for record in records:
                if record[0] == ITEM:
                    sender.send_item(record)
                else:
                    sender.send(*record)
            records = running.next_epoch(sender.wait_for_epoch())
    except Stopped:
        if before_close is not None:
            before_close()
        if running is not None:
            running.close()
        raise
    except BaseException as error:  # noqa: BLE001  (it is raised in the consumer)
        if before_close is not None:
            before_close()
        where = running.where() if running is not None else []
        try:
            if running is not None:
                running.close()
        except BaseException as second:  # noqa: BLE001  (`error` is the one to report)
            error.add_note(f"closing the stream then raised {second!r}")
        sender.send(ERROR, Failure(error, where))
        del error
    sender.wait_for_epoch()
