"""A worker that dies is reported with all that is known, or replaced, unless workers keep dying at one item."""

import faulthandler
import multiprocessing
import os
import re
import signal
import time

import pytest

import streamflow as sf
from streamflow.background import process

from ..processes import alive, workers
from .leaves import expected_items, finite_tree, taken

TRANSPORTS = pytest.mark.parametrize("transport", ["shm", "ipc"])


#: The item at which leaves die.  Not an argument, since those are part of a state; forked workers inherit it.
fatal = [17]


def dying(how, shard, n=40):
    """The leaf of one lane dies at an item."""
    index, count = shard
    for i in range(index, n, count):
        if i == fatal[0]:
            faulthandler.disable()  # which pytest has switched on
            time.sleep(0.1)
            how()
        yield i, os.getpid()


WAYS = {
    "os._exit": (lambda: os._exit(7), "exit code 7"),
    "SIGSEGV": (lambda: os.kill(os.getpid(), signal.SIGSEGV), "SIGSEGV"),
    "SIGKILL": (lambda: os.kill(os.getpid(), signal.SIGKILL), "SIGKILL"),
    "SIGABRT": (os.abort, "SIGABRT"),
}


# --- on_worker_death="raise" ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("n_workers", "n_lanes", "transport"), [(1, 1, "shm"), (2, 3, "shm"), (2, 2, "ipc")])
def test_a_death_is_reported_with_worker_and_items(n_workers, n_lanes, way, transport, monkeypatch):
    how, word = WAYS[way]
    got = []
    z = sf.ZMQStreamer(sf.Streamer(dying, how), n_workers=n_workers, n_lanes=n_lanes, transport=transport)
    stream = z.open()
    with pytest.raises(sf.WorkerDied) as caught:
        got.extend(stream)
    assert [i for i, _ in got] == list(range(17))
    text = str(caught.value)
    assert word in text
    assert "after 17 items" in text
    assert int(re.search(r"worker process (\d+)", text)[1]) == got[17 - n_lanes][1]
    assert workers() == []
    state = stream.state_dict()
    monkeypatch.setitem(globals(), "fatal", [-1])
    with sf.ZMQStreamer(sf.Streamer(dying, how), n_workers=1, n_lanes=n_lanes).open() as again:
        again.load_state_dict(state, verify=False)  # items hold their process id
        assert [i for i, _ in again] == list(range(17, 40))


@TRANSPORTS
def test_what_had_been_sent_before_a_death_is_delivered(transport):
    """The worker is dead before the consumer reads; nothing that it had sent is lost."""

    def burst():
        yield from range(500)
        time.sleep(0.3)  # until it is on its way
        os._exit(1)

    with sf.ZMQStreamer(burst, transport=transport).open() as stream:
        got = [next(stream)]
        [pid] = workers()
        end = time.monotonic() + 20
        while alive(pid):
            assert time.monotonic() < end
            time.sleep(0.01)
        with pytest.raises(sf.WorkerDied, match="after 500 items"):
            got.extend(iter(stream))  # (extend keeps what came)
    assert got == list(range(500))


@TRANSPORTS
def test_what_is_sent_while_somebody_looks_whether_the_worker_lives(transport, monkeypatch):
    """The consumer has waited in vain; before it checks the worker, that sends everything and dies."""
    look = process.ProcessWorker.alive

    def late(self):
        while look(self):
            time.sleep(0.01)
        return False

    def burst():
        yield 0
        time.sleep(0.2)
        yield from range(1, 50)
        time.sleep(0.2)
        os._exit(1)

    stream = sf.ZMQStreamer(burst, transport=transport).open()
    got = [next(stream)]
    with monkeypatch.context() as patched, pytest.raises(sf.WorkerDied, match="after 50 items"):
        patched.setattr(process.ProcessWorker, "alive", late)
        got.extend(stream)
    assert got == list(range(50))


@TRANSPORTS
@pytest.mark.parametrize("which", [0, 1, 2])
def test_whichever_worker_dies(which, transport):
    def who(shard):
        for _ in range(10_000):
            yield shard[0], os.getpid()
            time.sleep(0.001)

    stream = sf.ZMQStreamer(who, n_workers=3, transport=transport).open()
    pids = dict(next(stream) for _ in range(3))
    os.kill(pids[which], signal.SIGKILL)
    with pytest.raises(sf.WorkerDied, match=f"{pids[which]} .*SIGKILL"):
        for _ in stream:
            pass
    assert workers() == []


@TRANSPORTS
def test_a_death_is_reported_while_a_process_forked_meanwhile_lives(bystander, transport):
    """That process has inherited all our descriptors."""

    def slow():
        while True:
            yield os.getpid()
            time.sleep(0.02)

    stream = sf.ZMQStreamer(slow, transport=transport).open()
    pid = next(stream)
    other = bystander()
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(sf.WorkerDied, match="SIGKILL"):
        for _ in stream:
            pass
    assert alive(other)


# --- on_worker_death="restart" ----------------------------------------------------------------------------------------


@TRANSPORTS
@pytest.mark.parametrize("n_workers", [1, 2])
def test_three_deaths_at_one_item_are_too_many(n_workers, transport):
    opened = multiprocessing.Value("l")

    def stubborn(shard):
        with opened.get_lock():
            opened.value += shard[0] == 1 % shard[1]
        for i in range(shard[0], 40, shard[1]):
            if i == 21:
                time.sleep(0.05)  # a socket takes a moment
                os._exit(9)
            yield i

    got = []
    z = sf.ZMQStreamer(stubborn, n_workers=n_workers, n_lanes=n_workers, transport=transport, on_worker_death="restart")
    stream = z.open()
    with pytest.raises(sf.WorkerDied, match=r"exit code 9.*after 21 items.*3 .*same place.*item") as caught:
        got.extend(stream)
    assert got == list(range(21))
    assert opened.value == 3
    assert (f"item {21 // n_workers} of lane 1" if n_workers > 1 else "item 21") in str(caught.value)
    assert stream.state_dict()["given"] == 21


@TRANSPORTS
@pytest.mark.parametrize("n_lanes", [1, 3])
def test_deaths_at_different_items_are_survived(n_lanes, transport):
    deaths = multiprocessing.Array("l", 30, lock=False)

    def dangerous(shard):
        for i in range(shard[0], 30, shard[1]):
            if i % 4 == 3 and deaths[i] < 2:
                deaths[i] += 1
                time.sleep(0.05)
                os._exit(9)
            yield i

    z = sf.ZMQStreamer(
        dangerous, n_workers=min(2, n_lanes), n_lanes=n_lanes, transport=transport, on_worker_death="restart"
    )
    assert list(z) == list(range(30))
    assert sum(deaths) == 14


@TRANSPORTS
def test_a_worker_that_dies_before_it_has_begun(monkeypatch, transport):
    """The first two do, and the third runs."""
    started = multiprocessing.Value("l")
    main = process.main

    def faltering(start):
        started.value += 1
        if started.value < 3:
            os.kill(os.getpid(), signal.SIGKILL)
        main(start)

    monkeypatch.setattr(process, "main", faltering)
    z = sf.ZMQStreamer(finite_tree(), transport=transport, on_worker_death="restart")
    assert taken(z) == expected_items(finite_tree, 1)
    started.value = -100
    with pytest.raises(sf.WorkerDied, match="after 0 items; the last 3"):
        list(z)
    assert started.value == -97


@TRANSPORTS
@pytest.mark.parametrize("loading", [False, True])
def test_a_death_during_replay(loading, transport):
    """The replacement dies before it reaches the place where the first one died."""
    opened = multiprocessing.Value("l")
    dies_at = [-1, 12, 25] if loading else [30, 12]

    def fragile():
        opened.value += 1
        for i in range(50):
            if opened.value <= len(dies_at) and i == dies_at[opened.value - 1]:
                time.sleep(0.05)
                os._exit(9)
            yield i

    z = sf.ZMQStreamer(fragile, transport=transport, on_worker_death="restart")
    if not loading:
        assert list(z) == list(range(50))
        return
    with z.open() as stream:
        got = [next(stream) for _ in range(30)]
        state = stream.state_dict()
    with z.open() as stream:
        stream.load_state_dict(state, verify=False)
        assert got + list(stream) == list(range(50))
    assert opened.value == 4


def slowly_stateless(pause):
    class Iterator:
        i = 0

        def __iter__(self):
            return self

        def __next__(self):
            self.i += 1
            if self.i == 30:
                time.sleep(0.1)
                os._exit(9)
            return self.i

        def state_dict(self):
            raise OSError("no state today")

        def load_state_dict(self, state):
            raise AssertionError

    return Iterator()


@TRANSPORTS
@pytest.mark.usefixtures("every_item_marked")
def test_a_tree_without_a_state_says_why_no_worker_takes_over(transport):
    got = []
    z = sf.ZMQStreamer(sf.Streamer(slowly_stateless, 0), transport=transport, on_worker_death="restart")
    with pytest.raises(sf.WorkerDied, match="exit code 9.*after 29 items; it cannot be replaced: .*no state today"):
        got.extend(z)
    assert got == list(range(1, 30))


def test_a_leaf_that_gives_less_the_second_time_is_reported():
    opened = multiprocessing.Value("l")

    def shrinking():
        opened.value += 1
        yield from range(20 if opened.value == 1 else 5)
        if opened.value == 1:
            os._exit(9)

    with pytest.raises(sf.StateError, match="had given 20 items and now ends earlier"):
        list(sf.ZMQStreamer(shrinking, on_worker_death="restart"))


@TRANSPORTS
def test_an_error_of_the_tree_is_no_death(transport):
    opened = multiprocessing.Value("l")

    def failing():
        opened.value += 1
        yield 1
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(sf.ZMQStreamer(failing, transport=transport, on_worker_death="restart"))
    assert opened.value == 1
