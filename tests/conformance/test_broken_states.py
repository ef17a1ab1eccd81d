"""Background streams that run too far ahead, leave something open, lose their place or mix up lanes are rejected."""

import copy
import functools
import os
import signal
import threading
import time

from streamflow import StateError, Streamer, ThreadStreamer, ZMQStreamer, thread_stream
from streamflow.background import local
from streamflow.background.node import BackgroundNode
from streamflow.core import leaf

from .breaking import bent, in_node
from .case import threads_left


# ---------------------------------------------------------------------- ahead, and closed
def test_nothing_is_made_ahead(rejected):
    rejected("made before they are asked for", Streamer, "the second item is not made", timeout=0.4)


def test_everything_is_made_ahead(rejected):
    make = functools.partial(ThreadStreamer, buffer=10_000)
    rejected("what is made ahead is bounded", make, "items of 4 MiB were made when 2 had been taken", ahead=4)
    rejected("what is made ahead is bounded", functools.partial(ThreadStreamer, buffer=8), r"\d+ items", ahead=4)


def test_closing_that_forgets_the_thread(rejected, monkeypatch):
    real, channels = local.ThreadChannel.stop, []
    monkeypatch.setattr(local.ThreadChannel, "stop", lambda channel: channels.append(channel))  # noqa: PLW0108  (it is to be bound)
    monkeypatch.setattr(thread_stream, "_CLOSE_TIMEOUT", 0.05)
    rejected("closes all that it opened", ThreadStreamer, "when its Stream is closed: `finally` has not run in 1")
    for channel in channels:
        real(channel)


def test_closing_that_does_not_wake_the_thread(rejected, monkeypatch):
    channels = []

    def stop(channel):
        channel.stopped = True
        channels.append(channel)

    monkeypatch.setattr(local.ThreadChannel, "stop", stop)
    monkeypatch.setattr(thread_stream, "_CLOSE_TIMEOUT", 0.05)
    rejected("while it waits for room", ThreadStreamer, "it is as far ahead as it may be: `finally` has not run")
    for channel in channels:
        channel.room.put(None)


def test_closing_that_does_not_wait(rejected, monkeypatch):
    monkeypatch.setattr(thread_stream, "_CLOSE_TIMEOUT", 0.0)
    rejected("while a leaf takes its time", ThreadStreamer, "the leaf is asleep: `finally` has not run in 1")


def test_processes_that_stay(rejected, monkeypatch):
    kept = []

    class Staying(ThreadStreamer):
        """Its leaves run in a process that it leaves behind."""

        def _run(self, limit, cycle, epoch):
            for item in super()._run(limit, cycle, epoch):
                yield item
                if not kept:
                    [path] = [arg for arg in self.streamer.args if hasattr(arg, "open")]
                    kept.append(os.spawnlp(os.P_NOWAIT, "sleep", "sleep", "60"))
                    with path.open("a") as journal:
                        journal.write(f"open {kept[0]} 0\nclosed\n")

    try:
        rejected("a stream ends where the tree does", Staying, "processes in which leaves ran are alive", timeout=1)
    finally:
        for process in kept:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)


def test_threads_that_stay():
    go, before = threading.Event(), set(threading.enumerate())
    staying = threading.Thread(target=go.wait, name="staying", daemon=True)
    staying.start()
    assert threads_left(before, 0.05) == ["staying"]
    go.set()
    assert threads_left(before, 20) == []


def test_a_make_that_makes_no_background_stream(rejected):
    rejected("a stream ends where the tree does", iter, "`make` gave .*iterator, not a Streamer|gave generator")
    rejected("a stream ends where the tree does", lambda streamer: streamer, "`make` gave back the stream itself")


# ---------------------------------------------------------------------- states
def in_state(change):
    """A background stream whose states are changed."""

    def state(node, failed=False):
        return change(copy.deepcopy(BackgroundNode.state(node, failed)), node)

    return in_node(state=state)


def one_more(state, node):
    state["lanes"][0]["since"] += 1
    state["given"] += 1
    return state


def no_mark(state, node):
    lane = state["lanes"][0]
    lane["since"] += lane["mark"]["given"] if lane["mark"] else 0
    lane["mark"] = None
    return state


def made(state, node):
    """Count the items that have been made, not those that have been delivered."""
    made = node._slots[0].worker._channel.records.qsize() if node._slots else 0
    state["lanes"][0]["since"] += made
    state["given"] += made
    return state


def test_states_of_another_place(rejected):
    rejected("a pass resumes where a state was taken", in_state(one_more), "after 0 items: |after 1 items: ")


def test_states_of_what_is_made(rejected):
    rejected("while items are on their way", in_state(made), "after 3 items: the resumed pass gave the places")


def test_states_that_disturb(rejected):
    def state(node, failed=False):
        next(node.items, None)
        return BackgroundNode.state(node, failed)

    rejected("while items are on their way", in_node(state=state), "states disturbed the pass")


def test_states_that_know_no_arguments(rejected):
    rejected("the state of another tree", in_state(no_mark), "Streamer.*'b'.* accepted the state of another tree")


def test_states_that_follow_the_source(rejected, monkeypatch):
    monkeypatch.setattr(leaf, "_copied", lambda state, label: state)
    rejected("the state of a leaf is a snapshot", ThreadStreamer, "the resumed pass (differs|has)|it raised")


def test_states_that_forget_the_end(rejected):
    class Forgetful(ThreadStreamer):
        def open(self, epoch=0, cycle=False):
            stream = super().open(epoch, cycle)
            stream._passes.__class__ = Endless
            return stream

    class Endless(type(Streamer([]).open()._passes)):
        def state(self, failed):
            return {**super().state(failed), "epoch": 0, "ended": False}

    rejected("to the next epoch", Forgetful, "what came after the end|it raised StateError")
    rejected("of a later epoch", Forgetful, "`epoch` is 0 in the state")


def test_states_that_need_an_answer(rejected, monkeypatch):
    monkeypatch.setattr(thread_stream, "_CLOSE_TIMEOUT", 0.05)

    def state(node, failed=False):
        until = time.monotonic() + 0.3
        while any(slot.worker is not None for slot in node._slots):  # a worker that hangs does not answer
            if time.monotonic() > until:
                raise StateError("nobody answers")
            time.sleep(0.01)
        return BackgroundNode.state(node, failed)

    rejected("while the leaf hangs", in_node(state=state), "it raised StateError: nobody answers")


def test_states_that_are_lost_by_an_error(rejected):
    def state(node, failed=False):
        if failed:
            raise StateError("it has failed")
        return BackgroundNode.state(node, failed)

    rejected("after an error there is the state", in_node(state=state), "it raised StateError: it has failed")
    rejected("after an error there is the state", in_state(one_more), "the resumed pass differs at item 0")


def test_parts_that_are_the_whole(rejected):
    class Whole(ThreadStreamer):
        def _node(self, key, shards):
            return super()._node(key, ())

    rejected("its parts are the parts of the tree", Whole, "part 0 of 2: the part differs at item 1")


# ---------------------------------------------------------------------- lanes
def test_lanes_that_follow_the_workers(rejected):
    def make(streamer, n_workers=1, n_lanes=None):
        return ZMQStreamer(streamer, n_workers=n_workers)

    rejected("merged one item each", make, "the stream of 2 lanes by 1 workers")


def test_states_that_stay_with_their_workers(rejected):
    def make(streamer, n_workers=1, n_lanes=None):
        return ZMQStreamer(streamer, n_workers=n_workers, n_lanes=n_workers)

    rejected("moves between numbers of workers", make, "after 4 items: .*StateError")


def test_lanes_in_another_order(rejected):
    def make(streamer, **how):
        swapped = bent(lambda items: iter(sorted(items, key=lambda item: item["name"])), ZMQStreamer)
        return swapped(streamer, **how)

    rejected("merged one item each", make, "the stream of 2 lanes by 1 workers differs")


def test_one_lane_that_is_a_part(rejected):
    def make(streamer, n_workers=1, n_lanes=None):
        return ZMQStreamer(streamer.shard(0, 2))

    rejected("one lane is the stream itself", make, "the stream (differs|has)")


def test_states_of_any_number_of_lanes(rejected):
    def make(streamer, n_workers=1, n_lanes=None):
        return ZMQStreamer(streamer, n_workers=n_workers)

    rejected("another number of lanes is refused", make, "a stream of 2 lanes accepted the state of 3")
