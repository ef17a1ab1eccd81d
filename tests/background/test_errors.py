"""Errors of a worker arrive with type, traceback and path; a worker that dies is reported."""

import os
import signal
import sys
import time

import numpy as np
import pytest

import streamflow as sf

pytestmark = pytest.mark.usefixtures("channel")


def failing(error, n=2):
    for i in range(n):
        yield {"x": np.full(3, i)}
    raise error


class Coded(Exception):
    def __init__(self, code, text):
        super().__init__(f"{text} ({code})")


class Locked(Exception):
    def __init__(self, *args):
        super().__init__(*args)
        self.lock = __import__("threading").Lock()


def drained(tree, **settings):
    """How many items came, and the error."""
    got = []
    with pytest.raises(BaseException) as caught:
        got.extend(0 for _ in sf.ZMQStreamer(tree, **settings) if got.append(1) or False)
    return len(got), caught.value


@pytest.mark.parametrize(
    "error", [ValueError("bad"), KeyError("k"), sf.DataError("d"), OSError(2, "no"), MemoryError()]
)
def test_an_error_keeps_its_type_and_says_where(error):
    tree = sf.RoundRobinMux({"a": sf.Streamer(failing, error)})
    n, caught = drained(tree)
    assert n == 2
    assert type(caught) is type(error)
    assert caught.args == error.args
    notes = "\n".join(caught.__notes__)
    assert "in ZMQStreamer > RoundRobinMux[a] > failing(" in notes
    assert "after 2 items" in notes
    assert "worker process" in notes
    assert "raise error" in notes


def test_notes_of_the_user_arrive():
    error = ValueError("bad")
    error.add_note("look here")
    _, caught = drained(sf.Streamer(failing, error))
    assert "look here" in caught.__notes__


class Changing(Exception):
    def __reduce__(self):
        return ValueError, ("something else",)


@pytest.mark.parametrize("error", [Coded(3, "text"), Locked("text"), Changing("text")])
def test_an_error_that_cannot_be_pickled_is_quoted(error):
    n, caught = drained(sf.Streamer(failing, error))
    assert n == 2
    assert type(caught) is sf.BackgroundError
    assert type(error).__name__ in str(caught)
    assert "text" in str(caught)
    assert any("raise error" in note for note in caught.__notes__)


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
def test_what_would_end_the_consumer_does_not(error):
    n, caught = drained(sf.Streamer(failing, error))
    assert n == 2
    assert type(caught) is sf.BackgroundError
    assert ("sys.exit(3)" if isinstance(error, SystemExit) else type(error).__name__) in str(caught)


def test_stop_iteration_is_an_error_in_a_generator_here_as_there():
    n, caught = drained(sf.Streamer(failing, StopIteration("x")))
    assert (n, type(caught)) == (2, RuntimeError)


def test_sys_exit_at_once():
    n, caught = drained(sf.Streamer(lambda: sys.exit("go")))
    assert (n, type(caught)) == (0, sf.BackgroundError)
    assert "'go'" in str(caught)


def test_an_error_while_opening():
    def opening():
        raise OSError("cannot open")

    n, caught = drained(sf.Streamer(opening))
    assert (n, type(caught)) == (0, OSError)


def test_an_error_in_finally_is_raised():
    def closing():
        try:
            yield 1
        finally:
            raise ValueError("in finally")

    n, caught = drained(sf.Streamer(closing))
    assert (n, type(caught)) == (1, ValueError)


def killing(how, n=3):
    for i in range(n):
        yield {"x": np.full(30_000, i)}
    time.sleep(0.05)
    how()
    yield None


@pytest.mark.parametrize(
    ("how", "cause"),
    [
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "SIGKILL"),
        (lambda: os.kill(os.getpid(), signal.SIGTERM), "SIGTERM"),
        (lambda: os.kill(os.getpid(), signal.SIGHUP), "SIGHUP"),
        (lambda: os._exit(7), "exit code 7"),
        (lambda: os._exit(0), "exit code 0"),
    ],
    ids=["SIGKILL", "SIGTERM", "SIGHUP", "exit 7", "exit 0"],
)
@pytest.mark.parametrize("channel", ["shm", "ipc", "tcp"], indirect=True)
def test_the_death_of_a_worker_is_reported(how, cause):
    n, caught = drained(sf.Streamer(killing, how))
    assert n == 3
    assert type(caught) is sf.WorkerDied
    assert cause in str(caught)
    assert "after 3 items" in str(caught)


def test_a_worker_that_dies_at_once():
    n, caught = drained(sf.Streamer(killing, lambda: os._exit(1), 0))
    assert (n, type(caught)) == (0, sf.WorkerDied)


def test_a_worker_killed_from_outside(processes, within):
    def endless():
        while True:
            yield os.getpid()
            time.sleep(0.01)

    stream = sf.ZMQStreamer(endless).open()
    os.kill(next(stream), signal.SIGKILL)
    with pytest.raises(sf.WorkerDied, match="SIGKILL"):
        for _ in stream:
            pass
    assert stream.state_dict()["given"] == stream.position > 0
    with pytest.raises(sf.StreamflowError, match="WorkerDied"):
        next(stream)


def test_a_death_where_child_processes_are_not_waited_for():
    """Where a program ignores SIGCHLD, the kernel keeps no exit code."""
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        n, caught = drained(sf.Streamer(killing, lambda: os.kill(os.getpid(), signal.SIGKILL)))
    finally:
        signal.signal(signal.SIGCHLD, before)
    assert (n, type(caught)) == (3, sf.WorkerDied)


def test_an_error_in_one_member_of_a_mux_closes_the_others():
    members = [sf.ZMQStreamer(sf.Streamer(failing, ValueError("bad"), n)) for n in (50, 2, 50)]
    mux = sf.RoundRobinMux(members)
    with pytest.raises(ValueError, match="bad") as caught:
        list(mux)
    assert "in RoundRobinMux[1] > ZMQStreamer > failing(" in "\n".join(caught.value.__notes__)


@pytest.mark.parametrize("after", ["error", "death"])
def test_the_state_is_that_of_the_last_item(after):
    def tree(stop):
        def slow():
            for i in range(40):
                time.sleep(0.004)
                if i == stop:
                    if after == "death":
                        os._exit(1)
                    raise ValueError
                yield i

        return sf.ZMQStreamer(sf.RoundRobinMux([sf.Streamer(slow)]))

    stream = tree(17).open()
    with pytest.raises((ValueError, sf.WorkerDied)):
        list(stream)
    again = tree(None).open()
    again.load_state_dict(stream.state_dict(), verify=False)
    assert list(again) == list(range(17, 40))
