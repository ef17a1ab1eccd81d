"""Background streams of ours keep their promises; and what the check itself does."""

import functools
import random
import signal
import threading
import time

import numpy as np
import pytest

from streamflow import ParameterError, Streamer, StreamflowError, ThreadStreamer, ZMQStreamer
from streamflow.testing import check_background
from streamflow.testing.case import Case, takes_lanes
from streamflow.testing.crossing import CROSSING
from streamflow.testing.guard import within


# ---------------------------------------------------------------------- ours
def test_threads():
    check_background(ThreadStreamer)


@pytest.mark.parametrize("transport", ["shm", "ipc", "tcp"])
def test_processes(transport):
    check_background(functools.partial(ZMQStreamer, transport=transport))


@pytest.mark.timeout(1200)  # each of some 150 workers is a new interpreter
def test_processes_by_spawn():
    check_background(functools.partial(ZMQStreamer, start_method="spawn"), timeout=300)


def test_copies_and_restarts():
    check_background(functools.partial(ZMQStreamer, copy=True, on_worker_death="restart"))


def test_small_buffers():
    check_background(functools.partial(ZMQStreamer, buffer_bytes=1), ahead=2)
    check_background(functools.partial(ThreadStreamer, buffer=1), ahead=1)


def test_who_takes_lanes():
    assert takes_lanes(ZMQStreamer)
    assert takes_lanes(functools.partial(ZMQStreamer, transport="ipc"))
    assert takes_lanes(lambda streamer, **how: streamer)
    assert not takes_lanes(ThreadStreamer)
    assert not takes_lanes(lambda streamer, n_workers=1: streamer)


def test_lanes_are_checked_where_there_are_some():
    told = "^a stream of one lane is the stream itself: .*TypeError"

    def make(streamer, **how):
        return ThreadStreamer(streamer, **how)

    with pytest.raises(AssertionError, match=told):
        check_background(make)
    check_background(make, lanes=False)
    with pytest.raises(AssertionError, match=told):
        check_background(ThreadStreamer, lanes=True)


# ---------------------------------------------------------------------- the check itself
@pytest.mark.parametrize(
    "how", [{"timeout": 0}, {"timeout": True}, {"ahead": 0}, {"ahead": 1.5}, {"lanes": 1}, {"timeout": float("inf")}]
)
def test_wrong_parameters(how):
    with pytest.raises(ParameterError, match=next(iter(how))):
        check_background(ThreadStreamer, **how)


def test_what_is_no_function():
    with pytest.raises(ParameterError, match="make"):
        check_background(Streamer([]))


def test_what_gives_no_streamer():
    with pytest.raises(AssertionError, match="`make` gave generator, not a Streamer"):
        check_background(iter_of)


def iter_of(streamer):
    return iter(streamer)


def hangs():
    threading.Event().wait()


def test_what_hangs_is_named():
    with pytest.raises(AssertionError, match=r"it hangs \(for 0.1 seconds\) in .*hangs"):
        within(0.1, hangs)


def test_what_hangs_in_another_thread_is_named():
    told = []

    def run():
        with pytest.raises(AssertionError, match=r"it hangs \(for 0.1 seconds\) in .*hangs") as raised:
            within(0.1, hangs)
        told.append(raised.value)

    runner = threading.Thread(target=run)
    runner.start()
    runner.join()
    assert told


def test_errors_go_through_in_either_thread():
    def fails():
        raise StreamflowError("as it is")

    told = []

    def run():
        with pytest.raises(StreamflowError, match="as it is"):
            within(5, fails)
        told.append(1)

    run()
    runner = threading.Thread(target=run)
    runner.start()
    runner.join()
    assert told == [1, 1]


def test_an_alarm_of_somebody_else_is_kept():
    rang = []
    before = signal.signal(signal.SIGALRM, lambda *_: rang.append(1))
    delay = signal.setitimer(signal.ITIMER_REAL, 0.3)
    try:
        within(0.1, lambda: None)
        assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] <= 0.3
        within(60, lambda: None)  # it comes first
        end = time.monotonic() + 30
        while not rang and time.monotonic() < end:
            time.sleep(0.01)
        assert rang
    finally:
        signal.setitimer(signal.ITIMER_REAL, *delay)
        signal.signal(signal.SIGALRM, before)


def test_the_global_state_is_as_it_was():
    np.random.seed(3)
    random.seed(3)
    before = repr(np.random.get_state())
    CROSSING["after np.random.seed a stream without a seed repeats"](Case(ThreadStreamer, None, 5, 5))
    assert repr(np.random.get_state()) == before
