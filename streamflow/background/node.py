"""The consumer's side: a background stream as a node of a tree.  Knows `core`, `records` and `sending`, but no process.

Where a lane stands is its last mark that came, and how many items came after it.  So a state needs no request, is right
with items on their way, and is there even when a worker hangs or has died; and a worker that takes over from a dead one
starts from the same place.

Workers give one item of each of their lanes in turn, and the consumer asks the lanes of all workers in turn: what each
sends comes in the order in which it is wanted, so nothing is ever put aside.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing.util
import os
import signal
import warnings
from collections.abc import Generator
from typing import Any, NoReturn
from weakref import WeakSet

from ..core.call import Shards, merged
from ..core.node import Node, Ticks
from ..core.signals import later
from ..core.streamer import Streamer
from ..exceptions import BackgroundError, StateError, StreamflowError, WorkerDied
from ..seeding import Key
from .pool import Crew, Elsewhere, Handle, Lane, Place, finish
from .records import END, ERROR, ITEM, MARK, READY, Failure, Quiet, Record
from .task import Job, LaneJob

__all__ = ["BackgroundNode", "warn_of_idle"]

#: Deaths in a row without an item between them after which a worker is not replaced any more.
GIVE_UP = 3
#: Records that are for one lane.
_FOR_LANES = (ITEM, END)
_log = logging.getLogger("streamflow")


class BackgroundNode(Node):
    """A stream that is made by workers, who start with the first item, or when a state is loaded.

    Parameters
    ----------
    words : str
        What it is called in errors.
    tree : Streamer
    key : Key
    shards : Shards
    crew : Crew
    """

    def __init__(self, words: str, tree: Streamer, key: Key, shards: Shards, crew: Crew) -> None:
        self._label, self._tree, self._key, self._shards, self._crew = words, tree, key, shards, crew
        self._path: list[str] = [tree._label()]
        self._places: list[Place] = []
        self._running = False
        self._set_lanes([Lane(number) for number in range(crew.n_lanes or crew.n_workers)], 0)

    def _set_lanes(self, lanes: list[Lane], turn: int) -> None:
        self._lanes = lanes
        self._order = [lane for lane in lanes[turn:] + lanes[:turn] if not lane.ended]  # who has not ended
        self._at = 0  # whose item is next, in this order
        self._before = self.given()  # items up to here, and those given since
        self._made = self._run()
        self._ticks = Ticks(self._made)
        self.items = self._ticks.items

    # ------------------------------------------------------------------ items
    def _run(self) -> Generator[Any, None, None]:
        order = self._order
        try:
            if order and not self._running:
                self._start(verify=False)
            while order:
                at = self._at
                lane = order[at]
                record = self._next(lane)
                if record[0] == ITEM:
                    lane.since += 1
                    self._at = at + 1 if at + 1 < len(order) else 0
                    yield record.pop()  # a name would hold the item while this waits
                else:
                    lane.ended = True
                    del order[at]
                    self._at = at if at < len(order) else 0
        except BaseException:
            self._stop()  # at a natural end the workers wait: there may be another epoch
            raise

    def _next(self, lane: Lane) -> Record:
        """The next item of a lane, or its end."""
        place = lane.place
        while True:
            record = self._taken(place, lane)
            if record is None:
                self._died(place, lane)
                continue
            kind = record[0]
            if kind in _FOR_LANES:
                return record
            if kind == MARK:
                self._marked(place, record[1])
            elif kind == ERROR:
                self._raise(record)

    def _taken(self, place: Place, lane: Lane) -> Record | None:
        """What the worker sends next, None if it has died."""
        handle = place.handle
        assert handle is not None
        try:
            record = handle.take()
        except Quiet:
            self._hangs(handle, lane)
        except Exception:
            if place.handle is handle:
                raise
            record = None
        if record is None and place.handle is None:  # by a signal handler, or by the end of the program
            raise StreamflowError("the stream was closed while an item was waited for")
        return record

    def _marked(self, place: Place, mark: Any) -> None:
        if isinstance(mark, StateError):
            place.no_state = mark
            return
        for number, given, state in mark:
            lane = self._lanes[number]
            lane.at_mark, lane.mark, lane.since = given, state, 0

    def _raise(self, record: Record) -> NoReturn:
        failure: Failure = record.pop()  # the error's traceback holds the frames that hold the record
        self._path, error = failure.path or self._path, failure.error
        del failure
        try:
            raise error
        finally:
            del error

    def _hangs(self, handle: Handle, lane: Lane) -> NoReturn:
        stack = handle.stack()
        raise BackgroundError(
            f"{handle} has given nothing for {self._crew.item_timeout} seconds ({self._at_item(lane)}); "
            + (f"it is here:\n{stack}" if stack else "it does not say where it is")
        ) from None

    def _at_item(self, lane: Lane) -> str:
        here = f"item {lane.at_mark + lane.since} of lane {lane.number}"
        return here if len(self._lanes) > 1 else f"item {self.given()}"

    # ------------------------------------------------------------------ workers
    def _start(self, *, verify: bool) -> None:
        """Take on workers for all lanes that have not ended."""
        count = min(self._crew.n_workers, len(self._lanes))
        self._places = [Place() for _ in range(count)]
        self._divide()
        self._pid = os.getpid()
        # Before Python waits for its child processes at the end, whoever may still hold this stream.
        self._at_exit = multiprocessing.util.Finalize(
            None, finish, args=(self._places, self._crew.timeout, self._pid), exitpriority=100
        )
        self._running = True
        _running.add(self)
        for place in self._places:
            self._launch(place, verify=verify)

    def _divide(self) -> None:
        """Divide the lanes among the places."""
        for number, place in enumerate(self._places):
            place.take_on(self._lanes[number :: len(self._places)])

    def _launch(self, place: Place, *, verify: bool) -> None:
        """Start a worker where the lanes of a place stand, if one has not ended."""
        wanted = self._order[self._at :] + self._order[: self._at]
        lanes = tuple(
            LaneJob(lane.number, lane.at_mark, lane.mark, lane.since) for lane in wanted if lane.place is place
        )
        if lanes:
            numbers = tuple(lane.number for lane in place.lanes)
            job = Job(self._tree, self._key, self._shards, len(self._lanes), numbers, lanes, verify)
            with later(signal.SIGINT):  # a worker that is started is also kept, or nobody would end it
                place.handle = self._crew.start(job, len(self._places))

    def _died(self, place: Place, lane: Lane) -> None:
        """Replace a worker, or say how it died."""
        assert place.handle is not None
        death = f"{place.handle.death()}, after {self.given()} items"
        handle, place.handle = place.handle, None
        handle.stop()
        handle.join(0.0)
        if not self._crew.restart:
            raise WorkerDied(death)
        if place.no_state is not None:
            raise WorkerDied(f"{death}; it cannot be replaced: {place.no_state}")
        progress = place.progress()
        place.deaths = place.deaths + 1 if progress == place.at_death else 1
        place.at_death = progress
        if place.deaths == GIVE_UP:
            raise WorkerDied(f"{death}; the last {GIVE_UP} that tried died at the same place ({self._at_item(lane)})")
        _log.warning("%s; another takes its place", death)
        self._launch(place, verify=False)

    def _stop(self) -> None:
        if self._running:
            self._running = False
            _running.discard(self)
            self._at_exit.cancel()
            finish(self._places, self._crew.timeout, self._pid)

    # ------------------------------------------------------------------ node
    def given(self, failed: bool = False) -> int:
        come = sum(lane.at_mark + lane.since for lane in self._lanes)
        return min(come, self._before + self._ticks.given()) if failed else come

    def state(self, failed: bool = False) -> Any:
        at, undelivered = self._at, None
        if self.given(failed) < self.given():  # an error (Ctrl-C, say) has come between an item and who waited for it
            at = (at or len(self._order)) - 1
            undelivered = self._order[at]
        for place in self._places:
            if place.no_state is not None:
                raise StateError(*place.no_state.args)
        index, count = merged(self._shards)
        return {
            "lanes": [
                [index + count * lane.number, lane.at_mark, lane.mark, lane.since - (lane is undelivered), lane.ended]
                for lane in self._lanes
            ],
            "of": count * len(self._lanes),
            "turn": self._order[at].number if self._order else 0,
        }

    def restore(self, state: Any, given: int, verify: bool) -> None:
        if state is None:
            return
        self._made.close()
        lanes = self._lanes_of(state)
        self._set_lanes(lanes, state["turn"])
        if not self._order:
            return
        self._start(verify=verify)
        for place in self._places:
            for lane in place.lanes:
                if not lane.ended:
                    self._await_ready(place, lane)
                    break

    def _lanes_of(self, state: Any) -> list[Lane]:
        """The lanes of a state."""
        index, count = merged(self._shards)
        saved, n_lanes = state["lanes"], self._crew.n_lanes
        if n_lanes is not None and n_lanes != len(saved):
            raise StateError(
                f"the state is of {len(saved)} lanes, this stream has {n_lanes}; the number of lanes may not change "
                f"(that of workers may): give n_lanes={len(saved)}, or None"
            )
        if [entry[0] for entry in saved] != [index + count * place for place in range(len(saved))] or (
            state["of"] != count * len(saved)
        ):
            raise StateError("the state is of another part of the stream")
        if self._crew.n_workers > len(saved):
            warn_of_idle(self._crew.n_workers, len(saved))
        return [Lane(place, *entry[1:]) for place, entry in enumerate(saved)]

    def _await_ready(self, place: Place, lane: Lane) -> None:
        """Wait until a worker has taken up its lanes: what is wrong with the state shall be told now."""
        while True:
            record = self._taken(place, lane)
            if record is None:
                self._died(place, lane)
            elif record[0] == ERROR:
                self._raise(record)
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
        for place in self._places:
            if place.handle is None:  # its lanes had ended when a state was loaded
                self._launch(place, verify=False)
            else:
                place.handle.want(epoch)
        return True

    def close(self) -> None:
        self._stop()
        for place in self._places:
            place.lanes = []  # each lane knows its place
        with contextlib.suppress(ValueError):  # it is running: the caller is further up
            self._made.close()
        self.items = iter(())


def warn_of_idle(n_workers: int, n_lanes: int) -> None:
    """Say that there is not work for all."""
    warnings.warn(
        f"{n_workers} workers for {n_lanes} lanes: {n_workers - n_lanes} of them are not started", stacklevel=3
    )


#: Those whose workers run.
_running: WeakSet[BackgroundNode] = WeakSet()


def _forked() -> None:
    """Two processes that take from one channel would both get wrong items."""
    for node in list(_running):
        for place in node._places:
            place.handle = Elsewhere(place.handle)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
