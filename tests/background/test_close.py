"""A pass ends quickly, with `finally` run and nothing left, however it ends."""

import contextlib
import gc
import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import streamflow as sf

pytestmark = pytest.mark.usefixtures("channel")


def noting(path, pause=0.0, value=None):
    """Endless; notes in a file that its `finally` has run."""
    try:
        while True:
            yield os.getpid() if value is None else value
            time.sleep(pause)
    finally:
        with open(path, "a") as file:
            file.write("closed")


@pytest.fixture(name="note")
def note_fixture(tmp_path):
    return tmp_path / "note"


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


ENDINGS = {
    "close": lambda stream: stream.close(),
    "close twice": lambda stream: (stream.close(), stream.close()),
    "drop": lambda stream: None,
    "with": lambda stream: stream.__exit__(),
}


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize(
    ("pause", "value"), [(0.0, None), (3600, None), (0.0, np.zeros(1 << 20))], ids=["quick", "asleep", "blocked"]
)
def test_a_live_pass_is_closed(note, ending, pause, value):
    stream = sf.ZMQStreamer(sf.Streamer(noting, note, pause, value)).open()
    next(stream)
    if value is not None:
        time.sleep(0.3)  # until it has read ahead as far as it may
    ENDINGS[ending](stream)
    del stream
    gc.collect()
    assert note.read_text() == "closed"


def test_the_worker_is_gone_when_close_returns(note):
    stream = sf.ZMQStreamer(sf.Streamer(noting, note, 3600)).open()
    pid = next(stream)
    assert alive(pid)
    stream.close()
    assert not alive(pid)


def test_a_loop_that_is_left(note):
    for number, _ in enumerate(sf.ZMQStreamer(sf.Streamer(noting, note))):
        if number == 5:
            break
    assert note.read_text() == "closed"


def test_an_error_in_the_loop(note):
    with pytest.raises(ZeroDivisionError):
        for _ in sf.ZMQStreamer(sf.Streamer(noting, note)):
            1 / 0
    gc.collect()
    assert note.read_text() == "closed"


def test_max_iter_ends_the_worker(note):
    assert len(list(sf.ZMQStreamer(sf.Streamer(noting, note))(max_iter=7))) == 7
    assert note.read_text() == "closed"


def test_user_code_that_holds_on_is_killed(note):
    def stubborn():
        yield os.getpid()
        while True:
            with contextlib.suppress(BaseException):
                time.sleep(3600)

    stream = sf.ZMQStreamer(stubborn, timeout=0.5).open()
    pid = next(stream)
    stream.close()
    assert not alive(pid)


def test_timeout_none_waits_for_cleaning_up(note):
    def thorough():
        try:
            yield 1
            time.sleep(3600)
        finally:
            time.sleep(0.4)
            note.write_text("closed")

    stream = sf.ZMQStreamer(thorough, timeout=None).open()
    next(stream)
    stream.close()
    assert note.read_text() == "closed"


def test_cleaning_up_is_not_interrupted(note):
    """A worker that cleans up after the stop message is not interrupted by the SIGTERM that follows."""

    def thorough():
        try:
            while True:
                yield 1
                time.sleep(0.001)
        finally:
            time.sleep(0.4)
            note.write_text("closed")

    stream = sf.ZMQStreamer(thorough).open()
    for _ in range(50):
        next(stream)
    stream.close()
    assert note.read_text() == "closed"


def test_timeout_zero_does_not_wait():
    stream = sf.ZMQStreamer(sf.Streamer(noting, "/dev/null", 3600), timeout=0).open()
    pid = next(stream)
    stream.close()
    assert not alive(pid)


def test_a_worker_with_a_child_that_holds_its_pipes(tmp_path):
    """A process that the tree has started inherits the pipe by which Python notices the worker's end."""

    def parent():
        child = os.fork()
        if not child:
            time.sleep(20)
            os._exit(0)
        yield child
        time.sleep(0.3)
        os._exit(3)

    stream = sf.ZMQStreamer(parent).open()
    child = next(stream)
    try:
        with pytest.raises(sf.WorkerDied, match="exit code 3"):
            next(stream)
        assert alive(child)
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_pass_that_was_never_begun_starts_nothing(processes):
    stream = sf.ZMQStreamer(sf.Streamer(noting, "/dev/null")).open()
    assert processes() == {}
    stream.close()
    sf.ZMQStreamer([1]).iterate().close()


def test_closing_before_the_worker_has_begun(note):
    def slow_to_open():
        time.sleep(3600)
        yield 1

    stream = sf.ZMQStreamer(slow_to_open).open()

    def interrupt(number, frame):
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    try:
        with pytest.raises(TimeoutError):
            next(stream)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert stream.active == 0


def test_a_pass_started_and_closed_by_threads(note):
    """The thread that started a worker may end: the worker keeps running."""
    stream = sf.ZMQStreamer(sf.Streamer(noting, note, 0.001)).open()
    got = []
    thread = threading.Thread(target=lambda: got.append(next(stream)))
    thread.start()
    thread.join()
    time.sleep(0.2)
    for _ in range(50):
        assert next(stream) == got[0]
    thread = threading.Thread(target=stream.close)
    thread.start()
    thread.join()
    assert note.read_text() == "closed"


def test_nothing_piles_up():
    """There are as many descriptors and threads after many passes as after a few."""

    def counted():
        gc.collect()
        return len(list(Path("/proc/self/fd").iterdir())), len(list(Path("/proc/self/task").iterdir()))

    z = sf.ZMQStreamer([{"x": np.zeros(3)}] * 20)
    for _ in range(3):
        list(z)
    before = counted()
    for number in range(10):
        list(z(max_iter=number))
    assert counted() == before
    assert z.active == 0


def test_a_forked_copy_of_a_live_pass_has_no_worker(note):
    """A process that the user forks meanwhile closes its copy of the pass without touching our worker."""
    stream = sf.ZMQStreamer(sf.Streamer(noting, note, 0.001)).open()
    pid = next(stream)
    child = os.fork()
    if not child:
        try:
            stream.close()
            gc.collect()
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert status == 0
    assert next(stream) == pid
    assert not note.exists()
    stream.close()
    assert note.read_text() == "closed"


def test_ctrl_c_while_a_worker_is_started_leaves_none(channel, processes, monkeypatch):
    def interrupted(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        receiver = "shm.channel.ShmReceiver" if channel == "shm" else "zmq.channel.ZmqReceiver"
        patched.setattr(f"streamflow.background.{receiver}", interrupted)
        with pytest.raises(KeyboardInterrupt):
            next(sf.ZMQStreamer(sf.Streamer(range(5))).open())
    assert processes() == {}


def test_ctrl_c_just_after_a_worker_was_started_ends_it(processes, monkeypatch):
    from streamflow.background.process import ProcessWorker

    class Pressed(ProcessWorker):
        def __init__(self, *args):
            super().__init__(*args)
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patched:
        patched.setattr("streamflow.background.process.ProcessWorker", Pressed)
        stream = sf.ZMQStreamer(sf.Streamer(range(5))).open()
        with pytest.raises(KeyboardInterrupt):
            next(stream)
    assert processes() == {}
