"""A background stream as the live node of a tree.  Knows `core`, `records`, `task` and `pool`, but no kind of worker.

The position of a lane is the last mark received and the number of items delivered after it.  So a state needs no
answer from a worker: it is exact while items are in flight, and available even when a worker hangs or has died.  The
replacement of a dead worker starts from the same position.

A worker sends one item of each of its lanes in turn, and the consumer asks the lanes of all workers in turn.  So every
worker sends its items in the order in which they are wanted, and the consumer never has to set one aside.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing.util
import os
import signal
from collections.abc import Generator
from typing import Any, NoReturn
from weakref import WeakSet

from ..core.call import Shards, merged
from ..core.fork import at_fork
from ..core.node import Node, Ticks
from ..core.saved import Loading, Saved
from ..core.signals import deferred
from ..core.streamer import Streamer
from ..exceptions import BackgroundError, StateError, StreamflowError, WorkerDied
from ..seeding import Key
from .pool import Lane, Worker, WorkerElsewhere, WorkerPool, WorkerSlot, stop_workers, warn_of_idle
from .records import END, ERROR, ITEM, MARK, READY, Failure, ItemTimeout, Record
from .task import Job, LaneJob

__all__ = ["BackgroundNode"]

#: A worker is no longer replaced after this many deaths in a row without an item between them.
MAX_DEATHS = 3
#: Kinds of records that are about one lane.
_OF_LANES = (ITEM, END)
_MOST_LANES = 4096  #: in a state, where the tree does not say how many
_log = logging.getLogger("streamflow")


class BackgroundNode(Node):
    """A stream whose items are made by workers; they start at the first item, or when a state is loaded.

    Parameters
    ----------
    label : str
        The name of the background streamer, for errors.
    tree : Streamer
        What the workers run.
    key : Key
        The key of this pass or activation.
    shards : Shards
        Which part of the tree it is; each lane is a part of that.
    pool : WorkerPool
    """

    kind = "background"

    def __init__(self, label: str, tree: Streamer, key: Key, shards: Shards, pool: WorkerPool) -> None:
        self._label, self._tree, self._key, self._shards, self._pool = label, tree, key, shards, pool
        self._loading = Loading(verify=False)  # how workers load the marks of their lanes
        self._path: list[str] = [tree._label()]
        self._slots: list[WorkerSlot] = []
        self._running = False
        self._set_lanes([Lane(number) for number in range(pool.n_lanes or pool.n_workers)], 0)

    def _set_lanes(self, lanes: list[Lane], turn: int) -> None:
        self._lanes = lanes
        self._order = [lane for lane in lanes[turn:] + lanes[:turn] if not lane.ended]  # those that have not ended
        self._at = 0  # the lane whose item is next, in this order
        self._before = self.given()  # items before this position, to which `_ticks` adds those since
        self._merged = self._merge()
        self._ticks = Ticks(self._merged)
        self.items = self._ticks.items

    # ------------------------------------------------------------------ items
    def _merge(self) -> Generator[Any, None, None]:
        """One item of each lane in turn."""
        order = self._order
        try:
            if order and not self._running:
                self._start()
            while order:
                at = self._at
                lane = order[at]
                record = self._next(lane)
                if record[0] == ITEM:
                    lane.since += 1
                    self._at = at + 1 if at + 1 < len(order) else 0
                    yield record.pop()  # a variable would keep the item alive while this waits
                else:
                    lane.ended = True
                    del order[at]
                    self._at = at if at < len(order) else 0
        except BaseException:
            self._stop()  # at the end of an epoch the workers wait instead: there may be another one
            raise

    def _next(self, lane: Lane) -> Record:
        """The next item of a lane, or its end."""
        slot = lane.slot
        while True:
            record = self._received(slot, lane)
            if record is None:
                self._replace(slot, lane)
                continue
            kind = record[0]
            if kind in _OF_LANES:
                return record
            if kind == MARK:
                self._take_mark(slot, record[1])
            elif kind == ERROR:
                self._raise(record)

    def _received(self, slot: WorkerSlot, lane: Lane) -> Record | None:
        """The next record of a worker, None if it has died."""
        worker = slot.worker
        assert worker is not None
        try:
            record = worker.receive()
        except ItemTimeout:
            self._raise_timeout(worker, lane)
        except Exception:
            if slot.worker is worker:
                raise
            record = None
        if record is None and slot.worker is None:  # by a signal handler, or at the exit of the program
            raise StreamflowError("the stream was closed while it waited for an item")
        return record

    def _take_mark(self, slot: WorkerSlot, mark: Any) -> None:
        if isinstance(mark, StateError):
            slot.no_state = mark
            return
        for number, state in mark:
            lane = self._lanes[number]
            lane.begin_at(state)
            lane.since = 0

    def _raise(self, record: Record) -> NoReturn:
        failure: Failure = record.pop()  # the error's traceback holds the frames that hold the record
        self._path, error = failure.path or self._path, failure.error
        del failure
        try:
            raise error
        finally:
            del error

    def _raise_timeout(self, worker: Worker, lane: Lane) -> NoReturn:
        stack = worker.stack()
        raise BackgroundError(
            f"{worker} has sent nothing for {self._pool.item_timeout} seconds ({self._item_of(lane)}); "
            + (f"its Python stack:\n{stack}" if stack else "no stack available")
        ) from None

    def _item_of(self, lane: Lane) -> str:
        item = f"item {lane.at_mark + lane.since} of lane {lane.number}"
        return item if len(self._lanes) > 1 else f"item {self.given()}"

    # ------------------------------------------------------------------ workers
    def _start(self) -> None:
        """Start workers for all lanes that have not ended."""
        count = min(self._pool.n_workers, len(self._lanes))
        self._slots = [WorkerSlot() for _ in range(count)]
        self._divide()
        self._pid = os.getpid()
        # At exit, before Python waits for its child processes, even if something still holds this stream.
        self._at_exit = multiprocessing.util.Finalize(
            None, stop_workers, args=(self._slots, self._pool.timeout, self._pid), exitpriority=100
        )
        self._running = True
        _running.add(self)
        for slot in self._slots:
            self._launch(slot)

    def _divide(self) -> None:
        """Divide the lanes among the workers."""
        for number, slot in enumerate(self._slots):
            slot.assign(self._lanes[number :: len(self._slots)])

    def _launch(self, slot: WorkerSlot) -> None:
        """Start a worker at the positions of its lanes, unless all of them have ended."""
        wanted = self._order[self._at :] + self._order[: self._at]
        lanes = tuple(LaneJob(lane.number, lane.mark, lane.since) for lane in wanted if lane.slot is slot)
        if lanes:
            numbers = tuple(lane.number for lane in slot.lanes)
            job = Job(self._tree, self._key, self._shards, len(self._lanes), numbers, lanes, self._loading)
            with deferred(signal.SIGINT):  # a worker that was started but not assigned could not be stopped
                slot.worker = self._pool.start(job, len(self._slots))

    def _replace(self, slot: WorkerSlot, lane: Lane) -> None:
        """Start another worker in place of one that died, or raise `WorkerDied`."""
        assert slot.worker is not None
        death = f"{slot.worker.death()}, after {self.given()} items"
        worker, slot.worker = slot.worker, None
        worker.stop()
        worker.join(0.0)
        if not self._pool.restart:
            raise WorkerDied(death)
        if slot.no_state is not None:
            raise WorkerDied(f"{death}; it cannot be replaced: {slot.no_state}")
        progress = slot.progress()
        slot.deaths = slot.deaths + 1 if progress == slot.at_death else 1
        slot.at_death = progress
        if slot.deaths == MAX_DEATHS:
            at = f"the last {MAX_DEATHS} workers died at the same place ({self._item_of(lane)})"
            raise WorkerDied(f"{death}; {at}")
        _log.warning("%s; another worker takes its place", death)
        self._loading = self._loading._replace(verify=False)  # checked once, if at all
        self._launch(slot)

    def _stop(self) -> None:
        if self._running:
            self._running = False
            _running.discard(self)
            self._at_exit.cancel()
            stop_workers(self._slots, self._pool.timeout, self._pid)

    # ------------------------------------------------------------------ node
    def given(self, failed: bool = False) -> int:
        received = sum(lane.at_mark + lane.since for lane in self._lanes)
        return min(received, self._before + self._ticks.given()) if failed else received

    def state(self, failed: bool = False) -> dict[str, Any]:
        at, undelivered = self._at, None
        if self.given(failed) < self.given():  # an error (Ctrl-C, say) came between an item and its consumer
            at = (at or len(self._order)) - 1
            undelivered = self._order[at]
        for slot in self._slots:
            if slot.no_state is not None:
                raise StateError(*slot.no_state.args)
        index, count = merged(self._shards)
        return {
            "kind": self.kind,
            "version": self.version,
            "given": self.given(failed),
            "lanes": [
                {
                    "lane": index + count * lane.number,
                    "mark": lane.mark,
                    "since": lane.since - (lane is undelivered),
                    "ended": lane.ended,
                }
                for lane in self._lanes
            ],
            "of": count * len(self._lanes),
            "turn": self._order[at].number if self._order else 0,
        }

    def restore(self, saved: Saved) -> None:
        lanes = self._lanes_of(saved)
        turn = saved.count("turn", most=len(lanes) - 1)
        self._loading = saved.loading  # also of a worker that is replaced before its first mark
        self._merged.close()
        self._set_lanes(lanes, turn)
        if saved.count("given") != self.given():
            raise saved.wrong("given", f"the items of its lanes ({self.given()})")
        if not self._order:
            return
        self._start()
        for slot in self._slots:
            for lane in slot.lanes:
                if not lane.ended:
                    self._await_ready(slot, lane)
                    break
        self._loading = self._loading._replace(verify=False, grown=False, reweighted=False)

    def _lanes_of(self, state: Saved) -> list[Lane]:
        """The lanes of a state."""
        index, count = merged(self._shards)
        saved, n_lanes = state.each("lanes", 1, _MOST_LANES), self._pool.n_lanes
        if n_lanes is not None and n_lanes != len(saved):
            raise StateError(
                f"the state was taken with n_lanes={len(saved)}, but this stream has n_lanes={n_lanes}; only the "
                f"number of workers may change: give n_lanes={len(saved)}, or None, to a ZMQStreamer"
            )
        of = count * len(saved)
        lanes = []
        for number, entry in enumerate(saved):
            if entry is None:
                raise state.wrong("lanes", "a list of dicts")
            if entry.count("lane") != index + count * number or state.count("of") != of:
                raise StateError("the state was taken from another part of the stream; load it into the same part")
            mark = entry.below("mark")
            if mark is not None:
                mark.count("given")
            since, ended = entry.count("since"), entry.flag("ended")
            if not ended:
                entry.check_redrawn(since, f"lane {number}")
            lanes.append(Lane(number, entry.value("mark"), since, ended))
        if self._pool.n_workers > len(saved):
            warn_of_idle(self._pool.n_workers, len(saved))
        return lanes

    def _await_ready(self, slot: WorkerSlot, lane: Lane) -> None:
        """Wait until a worker has loaded the states of its lanes, so that a wrong state raises now."""
        while True:
            record = self._received(slot, lane)
            if record is None:
                self._replace(slot, lane)
            elif record[0] == ERROR:
                self._raise(record)
            elif record[0] == MARK:
                self._take_mark(slot, record[1])
            elif record[0] == READY:
                return

    def where(self) -> list[str]:
        return [self._label, *self._path]

    def next_epoch(self, epoch: int) -> bool:
        if not self._running or self._order:
            return False
        self._key = self._key.at_epoch(epoch)
        self._set_lanes([Lane(number) for number in range(len(self._lanes))], 0)
        self._divide()
        for slot in self._slots:
            if slot.worker is None:  # its lanes had ended when a state was loaded
                self._launch(slot)
            else:
                slot.worker.request_epoch(epoch)
        return True

    def close(self) -> None:
        self._stop()
        for slot in self._slots:
            slot.lanes = []  # each lane refers to its slot
        with contextlib.suppress(ValueError):  # it is running: the caller is further up the stack
            self._merged.close()
        self.items = iter(())


#: The nodes whose workers are running.
_running: WeakSet[BackgroundNode] = WeakSet()


def _forked() -> None:
    """In a forked child: leave the workers to the parent, or both processes would receive from one channel."""
    for node in list(_running):
        for slot in node._slots:
            slot.worker = WorkerElsewhere(slot.worker)


at_fork(in_child=_forked)
