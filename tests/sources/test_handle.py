"""Handle: opened once in each process, and never the parent's in a child."""

import os
import pickle
import signal
import threading

import pytest

from streamflow.sources.handle import Handle


class Thing:
    opened = 0

    def __init__(self, name):
        type(self).opened += 1
        self.name, self.pid, self.closed = name, os.getpid(), False

    def close(self):
        self.closed = True


@pytest.fixture(autouse=True)
def _fresh_count():
    Thing.opened = 0


def test_opened_once_when_it_is_needed():
    handle = Handle(Thing, "a")
    assert Thing.opened == 0
    assert handle.get() is handle.get()
    assert Thing.opened == 1


def test_opened_once_by_many_threads():
    handle, gate, got = Handle(Thing, "a"), threading.Barrier(8), []

    def ask():
        gate.wait()
        got.append(handle.get())

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Thing.opened == 1
    assert len(set(map(id, got))) == 1


def test_closed_and_opened_again():
    handle = Handle(Thing, "a")
    first = handle.get()
    handle.close()
    handle.close()
    assert first.closed
    assert not handle.get().closed


def test_what_the_user_has_opened_is_left_to_him():
    thing = Thing("mine")
    handle = Handle(Thing, "a", opened=thing)
    assert handle.get() is thing
    handle.close()
    assert not thing.closed
    assert handle.get() is thing


def test_pickled_as_a_description():
    handle = Handle(Thing, "a", opened=Thing("mine"))
    again = pickle.loads(pickle.dumps(handle))
    assert again.get().name == "a"


@pytest.mark.parametrize("given", [False, True])
def test_a_child_opens_its_own(given):
    handle = Handle(Thing, "a", opened=Thing("mine") if given else None)
    thing = handle.get()
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        signal.alarm(30)
        own = handle.get()
        handle.close()
        os.write(writing, b"ok" if own.pid == os.getpid() and own.closed and not thing.closed else b"no")
        os._exit(0)
    os.waitpid(pid, 0)
    assert os.read(reading, 2) == b"ok"
    assert handle.get() is thing
    assert not thing.closed


def test_a_lock_that_is_held_at_a_fork_is_free_in_the_child():
    started, done = threading.Event(), threading.Event()

    def slow():
        started.set()
        done.wait(30)
        return Thing("a")

    handle = Handle(slow)
    thread = threading.Thread(target=handle.get)
    thread.start()
    started.wait(30)
    pid = os.fork()
    if not pid:
        signal.alarm(30)
        done.set()
        handle.get()
        os._exit(7)
    done.set()
    thread.join()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
