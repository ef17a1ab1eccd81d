"""`ThreadStreamer`: what only a thread does; tests/conformance holds it to what all background streams promise."""

import _thread
import gc
import os
import pickle
import signal
import threading
import time
import weakref

import numpy as np
import pytest

import streamflow as sf


def counting(n, made=None, closed=None):
    try:
        for place in range(n):
            if made is not None:
                made.append(place)
            yield place
    finally:
        if closed is not None:
            closed.append(threading.current_thread().name)


def dice(n, rng):
    for _ in range(n):
        yield {"x": int(rng.integers(1 << 40))}


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "streamflow-thread"]


@pytest.fixture(autouse=True)
def _no_thread_left():
    yield
    assert threads() == []


# ---------------------------------------------------------------------- where it runs, and how far ahead
def test_the_tree_runs_in_one_thread_from_beginning_to_end():
    closed = []
    with sf.ThreadStreamer(sf.Streamer(counting, 5, None, closed)).open() as stream:
        assert next(stream) == 0
        [thread] = threads()
        assert thread.daemon
    assert closed == ["streamflow-thread"]


@pytest.mark.parametrize("buffer", [1, 2, 5])
def test_so_many_items_are_ahead_and_no_more(within, buffer):
    made = []
    with sf.ThreadStreamer(sf.Streamer(counting, 100, made), buffer).open() as stream:
        for taken in range(1, 20):
            next(stream)
            assert within(20, lambda: len(made) == taken + buffer)  # noqa: B023  (it is called here)
            assert len(made) <= taken + buffer
        time.sleep(0.05)
        assert len(made) == 19 + buffer


def test_items_are_handed_over_as_they_are():
    items = [{"x": np.zeros(3)}, np.zeros(100_000), object(), lambda: None]
    assert all(got is sent for got, sent in zip(sf.ThreadStreamer(items), items, strict=True))


def test_no_item_is_held_when_the_consumer_has_let_go():
    def fresh():
        for _ in range(20):
            yield np.zeros(3)

    with sf.ThreadStreamer(sf.Streamer(fresh)).open() as stream:
        for _ in range(9):
            item = weakref.ref(next(stream))
            assert item() is None


def test_items_that_nobody_took_are_let_go():
    sent = []

    def fresh():
        for _ in range(20):
            item = np.zeros(3)
            sent.append(weakref.ref(item))
            yield item

    stream = sf.ThreadStreamer(sf.Streamer(fresh), 5).open()
    next(stream)
    stream.close()
    assert [item for item in sent if item() is not None] == []


def test_cycle_keeps_its_thread():
    seen = []

    def who():
        seen.append(threading.get_ident())
        yield 1

    assert list(sf.ThreadStreamer(sf.Streamer(who)).cycle(4)) == [1] * 4
    assert len(seen) >= 4
    assert len(set(seen)) == 1


@pytest.mark.parametrize("buffer", [0, -1, 1.0, True, "2", None])
def test_an_invalid_buffer(buffer):
    with pytest.raises(sf.ParameterError, match="`buffer` must be a positive integer"):
        sf.ThreadStreamer([1], buffer)


def test_repr_and_parameters():
    streamer = sf.ThreadStreamer(range(3), np.int64(3))
    assert repr(streamer) == "ThreadStreamer(Streamer(range), buffer=3)"
    assert list(pickle.loads(pickle.dumps(streamer))) == [0, 1, 2]
    assert list(sf.Streamer(range(4)).pipe(sf.ThreadStreamer, buffer=1)) == [0, 1, 2, 3]


# ---------------------------------------------------------------------- randomness
def test_a_tree_without_randomness_leaves_numpy_alone():
    before = np.random.get_state()[1:3]
    assert len(list(sf.ThreadStreamer(sf.Streamer(counting, 50)))) == 50
    assert len(list(sf.ThreadStreamer(sf.Streamer(dice, 5).with_seed(1)))) == 5
    after = np.random.get_state()[1:3]
    assert (before[0].tolist(), before[1]) == (after[0].tolist(), after[1])


def test_entropy_is_drawn_in_the_thread_of_the_consumer(monkeypatch):
    drawn = []
    real = np.random.randint
    monkeypatch.setattr(
        np.random, "randint", lambda *args, **how: drawn.append(threading.current_thread()) or real(*args, **how)
    )
    assert len(list(sf.ThreadStreamer(sf.Streamer(dice, 3)))) == 3
    assert drawn == [threading.current_thread()]


# ---------------------------------------------------------------------- errors
@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
def test_what_would_mean_something_else_is_an_error(error):
    class Leaf:
        def __iter__(self):
            return self

        def __next__(self):
            self.n = getattr(self, "n", 0) + 1
            if self.n < 3:
                return self.n
            raise error

    stream = sf.ThreadStreamer(Leaf).open()
    assert [next(stream), next(stream)] == [1, 2]
    cause = "the tree called sys.exit(3)" if isinstance(error, SystemExit) else type(error).__name__
    with pytest.raises(sf.BackgroundError) as raised:
        next(stream)
    assert cause in str(raised.value)
    assert raised.value.__cause__ is error
    assert "in ThreadStreamer > Leaf(), after 2 items" in raised.value.__notes__


def test_the_traceback_is_the_original_one():
    sent = ValueError("x")

    def fails():
        yield 1
        raise sent

    with pytest.raises(ValueError, match="x") as raised:
        list(sf.ThreadStreamer(sf.Streamer(fails)))
    assert raised.value is sent
    assert "fails" in [entry.name for entry in raised.traceback]


def test_an_error_of_finally_is_raised_where_the_stream_is_closed():
    def careless():
        try:
            yield from range(9)
        finally:
            raise OSError("cannot be closed")

    stream = sf.ThreadStreamer(sf.Streamer(careless)).open()
    next(stream)
    with pytest.raises(OSError, match="cannot be closed"):
        stream.close()


def test_a_thread_that_cannot_be_started(monkeypatch):
    def fails(*args, **kwargs):
        raise RuntimeError("can't start new thread")

    # From Python 3.13 on threading starts joinable threads.
    for name in ("start_new_thread", "start_joinable_thread"):
        monkeypatch.setattr(_thread, name, fails, raising=False)
        monkeypatch.setattr(threading, f"_{name}", fails, raising=False)
    with pytest.raises(sf.BackgroundError, match="a thread could not be started: can't start new thread"):
        list(sf.ThreadStreamer([1]))


# ---------------------------------------------------------------------- closing
def test_user_code_that_does_not_let_go_is_left_to_close_the_tree(monkeypatch, within):
    monkeypatch.setattr("streamflow.thread_stream._CLOSE_TIMEOUT", 0.05)
    go, closed = threading.Event(), []

    def waits():
        try:
            yield 1
            go.wait()
            yield 2
        finally:
            closed.append(1)

    stream = sf.ThreadStreamer(sf.Streamer(waits)).open()
    next(stream)
    stream.close()
    assert closed == []
    assert len(threads()) == 1
    go.set()
    assert within(20, lambda: closed == [1] and not threads())


def test_a_stream_that_its_own_thread_collects(within):
    go, closed = threading.Event(), []

    def collects():
        try:
            yield 1
            go.wait(50)
            gc.collect()
            yield from range(100)
        finally:
            closed.append(1)

    stream = sf.ThreadStreamer(sf.Streamer(collects)).open()
    next(stream)
    circle = [stream]
    circle.append(circle)
    gc.disable()
    try:
        del stream, circle
        go.set()
        assert within(50, lambda: closed == [1] and not threads())
    finally:
        gc.enable()


def test_a_forked_copy_does_not_hang():
    go = threading.Event()

    def waits():
        yield from range(5)
        go.wait()
        yield 5

    with sf.ThreadStreamer(sf.Streamer(waits), 3).open() as stream:
        assert next(stream) == 0
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                for _ in range(9):
                    next(stream)
            except sf.WorkerDied as error:
                code = 0 if "was forked" in str(error) else 2
            finally:
                os._exit(code)
        _, status = os.waitpid(pid, 0)
        assert status == 0
        go.set()
        assert list(stream) == [1, 2, 3, 4, 5]


def test_a_worker_says_where_its_thread_is(within):
    go = threading.Event()

    def waiting():
        yield 1
        go.wait(50)

    with sf.ThreadStreamer(sf.Streamer(waiting)).open() as stream:
        next(stream)
        worker = stream._passes.node._slots[0].worker
        assert within(20, lambda: "in waiting" in worker.stack())
        go.set()


# ---------------------------------------------------------------------- with others
def test_in_a_worker_and_around_one():
    tree = sf.Streamer(dice, 20).with_seed(1)
    inside = sf.ZMQStreamer(sf.ThreadStreamer(tree))
    around = sf.ThreadStreamer(sf.ZMQStreamer(tree))
    twice = sf.ThreadStreamer(sf.ThreadStreamer(tree, 1), 3)
    for stream in (inside, around, twice):
        assert list(stream) == list(tree)
        assert list(stream(3)) == list(tree)[:3]
        with stream.open() as live:
            for _ in range(7):
                next(live)
            state = live.state_dict()
        with stream.open() as live:
            live.load_state_dict(state)
            assert list(live) == list(tree)[7:]


def test_inside_a_source_function():
    closed = []

    def over(stream, make):
        yield from make(stream)

    def tree(make):
        return sf.Streamer(over, sf.Streamer(dice, 5), make).with_seed(3)

    assert list(tree(sf.ThreadStreamer)) == list(tree(iter))
    kept = []

    def careless(stream):
        kept.append(sf.ThreadStreamer(stream).open())
        for item in kept[0]:  # noqa: UP028  (which would close it)
            yield item

    stream = sf.Streamer(careless, sf.Streamer(counting, 9, None, closed)).open()
    next(stream)
    stream.close()
    assert closed == ["streamflow-thread"]


def test_what_cannot_be_divided():
    with pytest.raises(sf.ParameterError, match="iterated only once and cannot be sharded"):
        sf.ThreadStreamer(iter("abc")).shard(0, 2)


def test_many_at_once():
    members = [sf.ThreadStreamer(sf.Streamer(counting, 20)) for _ in range(20)]
    got = list(sf.RoundRobinMux(members).pipe(sf.ThreadStreamer))
    assert sorted(got) == sorted([*range(20)] * 20)


def test_two_threads_share_a_stream():
    got = []
    stream = sf.ThreadStreamer(range(2000), 8).open()

    def take():
        got.extend(stream)

    takers = [threading.Thread(target=take) for _ in range(3)]
    for taker in takers:
        taker.start()
    for taker in takers:
        taker.join()
    stream.close()
    assert sorted(got) == list(range(2000))


# ---------------------------------------------------------------------- the end of the interpreter
PROGRAM = """
import sys, time, os
import streamflow as sf

def leaf(path, pause):
    try:
        for place in range(10**9):
            yield place
            time.sleep(pause)
    finally:
        with open(path, "a") as file:
            file.write("closed")

def around(path, stream):
    try:
        yield from stream
    finally:
        with open(path, "a") as file:
            file.write("around")

def main(path, pause, how):
    global stream
    if float(pause):
        sf.thread_stream._CLOSE_TIMEOUT = 0.5
    tree = sf.Streamer(leaf, path, float(pause))
    if how.startswith("nested"):
        tree = sf.ThreadStreamer(sf.RoundRobinMux([sf.ThreadStreamer(tree)]))
    if how == "around":
        tree = sf.Streamer(around, path, sf.ThreadStreamer(tree))
    if how.endswith("process"):
        tree = sf.ZMQStreamer(tree)
    stream = sf.ThreadStreamer(tree).open()
    next(stream)
    time.sleep(0.2)
    if how == "error":
        raise SystemExit("as it should be")
    if how == "iterator":
        stream = iter(sf.ThreadStreamer(tree))
        next(stream)

main(*sys.argv[1:])
"""


@pytest.mark.parametrize("how", ["live", "error", "iterator", "nested", "process", "nested process"])
def test_the_interpreter_ends_with_a_stream_open(tmp_path, script, how):
    program, note = tmp_path / "program.py", tmp_path / "note"
    program.write_text(PROGRAM)
    process = script(program, note, 0, how)
    _, errors = process.communicate(timeout=60)
    assert errors == ("as it should be\n" if how == "error" else "")
    assert process.returncode == (1 if how == "error" else 0)
    assert note.read_text() == "closed" * (2 if how == "iterator" else 1)


def test_the_interpreter_ends_while_user_code_is_asleep(tmp_path, script):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    process = script(program, tmp_path / "note", 3600, "live")
    _, errors = process.communicate(timeout=60)
    assert (errors, process.returncode) == ("", 0)


def test_the_interpreter_ends_while_user_code_is_asleep_in_a_thread_below(tmp_path, script):
    program, note = tmp_path / "program.py", tmp_path / "note"
    program.write_text(PROGRAM)
    process = script(program, note, 3600, "around")
    _, errors = process.communicate(timeout=60)
    assert (errors, process.returncode) == ("", 0)
    assert note.read_text() == "around"


INTERRUPTED = """
import threading, time
import streamflow as sf

def leaf():
    yield 1
    time.sleep(3600)

sf.thread_stream._CLOSE_TIMEOUT = 3600
try:
    for _ in sf.ThreadStreamer(sf.Streamer(leaf)):
        print("waiting", flush=True)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


def test_ctrl_c_comes_through_while_it_waits(tmp_path, script):
    program = tmp_path / "program.py"
    program.write_text(INTERRUPTED)
    process = script(program)
    assert process.stdout.readline() == "waiting\n"
    time.sleep(0.3)  # until it waits
    process.send_signal(signal.SIGINT)
    said, errors = process.communicate(timeout=60)
    assert (said, errors, process.returncode) == ("interrupted\n", "", 0)
