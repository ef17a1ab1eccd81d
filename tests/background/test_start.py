"""Workers start by any method, from any process; what cannot be started is refused with advice."""

import multiprocessing as mp
import os
import threading
import time
import warnings

import numpy as np
import pytest
import zmq

import streamflow as sf
from streamflow import zmq_stream
from streamflow.background import task, transport

pytestmark = pytest.mark.usefixtures("channel")

METHODS = ["fork", "forkserver", "spawn"]


@pytest.mark.parametrize("method", METHODS)
def test_closures_by_every_method(method, processes):
    offset = 10

    class Local:
        def __init__(self, k):
            self.k = k

    class Odd(Exception):
        pass

    def numbers(n, rng):
        for i in range(n):
            yield {"x": np.full(3, i + offset), "r": int(rng.integers(1000)), "c": Local(i)}
        raise Odd("end")

    tree = sf.ShuffledMux([sf.Streamer(numbers, 5), sf.Streamer(numbers, 5)], random_state=0)
    serial = list(tree(max_iter=4))
    got = []
    with pytest.raises(Exception, match="end") as caught:
        got += sf.ZMQStreamer(tree, start_method=method)
    # A class that is in no module is known to both sides only if it was sent there first.
    assert type(got[0]["c"]) is Local or method == "fork"
    assert caught.type is Odd or (method == "fork" and caught.type.__name__ == "Odd")
    assert "numbers(5)" in caught.value.__notes__[-1]
    for a, b in zip(serial, got, strict=False):
        assert (a["x"].tolist(), a["r"], a["c"].k) == (b["x"].tolist(), b["r"], b["c"].k)


def test_state_by_spawn():
    def numbers(n):
        for i in range(n):
            time.sleep(0.005)
            yield i

    z = sf.ZMQStreamer(sf.Streamer(numbers, 20), start_method="spawn")
    with z.open() as stream:
        got = [next(stream) for _ in range(12)]
        state = stream.state_dict()
    with z.open() as stream:
        stream.load_state_dict(state)
        assert got + list(stream) == list(range(20))


def test_a_lambda_in_a_notebook_and_a_script_without_a_guard(tmp_path, script):
    """Spawn runs the main script again; the error says that the guard is missing."""
    lines = "import streamflow as sf\nz = sf.ZMQStreamer(sf.Streamer(lambda: iter([1, 2])), start_method='spawn')\n"
    (tmp_path / "bare.py").write_text(f"{lines}print(list(z))\n")
    (tmp_path / "good.py").write_text(f"{lines}if __name__ == '__main__': print(list(z))\n")
    notebook, good, bare = (
        script(*arguments).communicate(timeout=60)
        for arguments in (["-c", f"{lines}print(list(z))"], [tmp_path / "good.py"], [tmp_path / "bare.py"])
    )
    assert (notebook, good) == (("[1, 2]\n", ""), ("[1, 2]\n", ""))
    assert "WorkerDied" in bare[1]
    assert '`if __name__ == "__main__":`' in bare[1]


def test_what_cannot_be_pickled_needs_fork():
    lock = threading.Lock()

    def locked():
        with lock:
            yield 1

    assert list(sf.ZMQStreamer(locked, start_method="fork")) == [1]
    with pytest.raises(sf.BackgroundError, match="cannot be sent.*lock.*fork"):
        list(sf.ZMQStreamer(locked, start_method="spawn"))


def test_a_large_argument_warns_with_its_path(monkeypatch):
    monkeypatch.setattr(task, "_LARGE_ARGUMENT", 1 << 20)

    def rows(x):
        yield from x

    tree = sf.RoundRobinMux([sf.Streamer(rows, np.zeros((2, 1 << 18)))])
    assert len(list(sf.ZMQStreamer(tree))) == 2  # nothing is copied by fork
    with pytest.warns(UserWarning, match=r"argument of 4 MiB.*RoundRobinMux > 0: rows\(") as warned:
        assert len(list(sf.ZMQStreamer(tree, start_method="spawn"))) == 2
    assert len(warned) == 1


@pytest.mark.parametrize(
    "tree",
    [
        sf.Streamer,
        lambda one: sf.RoundRobinMux([sf.Streamer("ab"), sf.Streamer(one)]),
        lambda one: sf.Streamer(one).pipe(sf.buffer_stream, 2),
        lambda one: sf.Streamer(lambda stream: stream, sf.Streamer(one)),
        sf.ChainMux,
        lambda one: sf.ZMQStreamer(sf.Streamer(one)),
    ],
    ids=["leaf", "mux", "map", "argument", "lazy chain", "inside another"],
)
def test_one_shot_sources_are_refused(tree):
    one = iter([{"x": 1}, {"x": 2}])
    z = sf.ZMQStreamer(tree(one))
    with pytest.raises(sf.ParameterError, match="iterated only once and cannot run in the background.*give a function"):
        next(z())
    assert len(list(one)) == 2  # untouched


def test_fork_beside_a_live_zmq_and_threads():
    """A ZMQ context, other workers, and a lock that a thread holds do not break a worker."""
    context = zmq.Context()
    pair = context.socket(zmq.PAIR)
    pair.bind("inproc://here")
    lock = np.random.mtrand._rand._bit_generator.lock
    held, stop = threading.Event(), threading.Event()

    def draw():
        with lock:  # as in the middle of a large np.random.random(...)
            held.set()
            stop.wait()

    other = sf.ZMQStreamer(range(1000)).open()
    assert next(other) == 0
    thread = threading.Thread(target=draw)
    thread.start()
    held.wait()
    try:
        for _ in range(5):
            assert len(list(sf.ZMQStreamer([1, 2, 3]).with_seed(0))) == 3
        assert next(other) == 1
    finally:
        stop.set()
        thread.join()
        other.close()
        context.destroy(linger=0)


def nested(method):
    inner = sf.RoundRobinMux([sf.ZMQStreamer([1, 2], start_method=method), sf.ZMQStreamer(sf.ZMQStreamer([3, 4]))])
    return sf.ZMQStreamer(inner, start_method=method)


@pytest.mark.parametrize("method", METHODS)
def test_inside_a_worker_it_runs_in_place_and_says_so_once(method, capfd):
    def items():
        import streamflow as sf

        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            yield from sf.ZMQStreamer([1, 2])
            yield from sf.ZMQStreamer([3])
        yield [str(warning.message) for warning in warned]
        yield len(__import__("multiprocessing").active_children())

    *got, warned, children = sf.ZMQStreamer(items, start_method=method)
    assert (got, children) == ([1, 2, 3], 0)
    assert len(warned) == 1
    assert "runs in place" in warned[0]


def test_nested_trees_and_their_states(monkeypatch):
    monkeypatch.setattr(zmq_stream, "_warned", True)
    assert list(nested("fork")) == [1, 3, 2, 4]
    for cut in range(5):
        with nested("fork").open() as stream:
            got = [next(stream) for _ in range(cut)]
            state = stream.state_dict()
        with nested("fork").open() as stream:
            stream.load_state_dict(state)
            assert got + list(stream) == [1, 3, 2, 4]


def in_daemon(queue):
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        stream = sf.ZMQStreamer(range(6)).open()
        got = [next(stream) for _ in range(3)]
    queue.put((got, [str(warning.message) for warning in warned], stream.state_dict(), mp.active_children()))


def test_inside_a_daemonic_process():
    context = mp.get_context("fork")
    queue = context.SimpleQueue()
    process = context.Process(target=in_daemon, args=(queue,), daemon=True)
    process.start()
    got, warned, state, children = queue.get()
    process.join()
    process.close()
    assert (got, children) == ([0, 1, 2], [])
    assert len(warned) == 1
    assert "runs in place" in warned[0]
    with sf.ZMQStreamer(range(6)).open() as stream:  # the state is the same as a worker's
        stream.load_state_dict(state)
        assert list(stream) == [3, 4, 5]


def test_a_worker_may_have_children_of_its_own():
    def parallel():
        with mp.get_context("fork").Pool(1) as pool:
            yield from pool.map(abs, [-1, -2])

    assert list(sf.ZMQStreamer(parallel)) == [1, 2]


def test_an_event_loop_of_the_consumer_hears_nothing_of_our_signals():
    import signal
    import socket

    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    before = signal.set_wakeup_fd(theirs.fileno())
    try:

        def asleep():
            yield 1
            time.sleep(3600)

        with sf.ZMQStreamer(asleep).open() as stream:
            next(stream)
            time.sleep(0.1)  # until it sleeps, and only SIGTERM can end it
        with pytest.raises(BlockingIOError):
            while ours.recv(1) == bytes([signal.SIGCHLD]):
                pass
            pytest.fail("a signal of a worker woke the consumer's loop")
    finally:
        signal.set_wakeup_fd(before)
        ours.close()
        theirs.close()


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"min_port": 0}, "min_port"),
        ({"max_port": 70_000}, "max_port"),
        ({"min_port": 5000, "max_port": 4000}, "min_port"),
        ({"max_tries": 0}, "max_tries"),
        ({"timeout": -1}, "timeout"),
        ({"timeout": "5"}, "timeout"),
        ({"timeout": float("nan")}, "timeout"),
        ({"buffer_bytes": 0}, "buffer_bytes"),
        ({"buffer_bytes": 1e6}, "buffer_bytes"),
        ({"transport": "pipe"}, "transport"),
        ({"transport": None}, "transport"),
        ({"start_method": "thread"}, "start_method"),
        ({"copy": "yes"}, "copy"),
        ({"copy": 1}, "copy"),
        ({"item_timeout": 0}, "item_timeout"),
        ({"n_workers": True}, "n_workers"),
        ({"n_lanes": 0}, "n_lanes"),
        ({"on_worker_death": "ignore"}, "on_worker_death"),
    ],
)
def test_parameters_are_checked_at_once(settings, name):
    with pytest.raises(sf.ParameterError, match=f"`{name}` must be"):
        sf.ZMQStreamer([1], **settings)


@pytest.mark.parametrize("channel", ["auto"], indirect=True)
@pytest.mark.parametrize("lacking", ["nothing", "the call", "a descriptor", "the size"])
def test_where_memory_cannot_be_shared_a_socket_serves(monkeypatch, segments, lacking):
    def refused(*args):
        raise OSError(24, "Too many open files")

    channels = []
    for name in ("ShmChannel", "ZmqChannel"):
        make = getattr(transport, name)
        monkeypatch.setattr(transport, name, lambda *args, make=make: (make(*args), channels.append(make))[0])
    with monkeypatch.context() as patch:
        if lacking == "the call":
            patch.delattr(os, "memfd_create")
        elif lacking == "a descriptor":
            patch.setattr(os, "memfd_create", refused)
        elif lacking == "the size":
            patch.setattr(os, "ftruncate", refused)
        assert list(sf.ZMQStreamer([1, 2])) == [1, 2]
        assert [kind.__name__ for kind in channels] == ["ShmChannel" if lacking == "nothing" else "ZmqChannel"]
        if lacking != "nothing":  # asking for it is an error
            refusal = "shared memory is not available.*Too many|`transport` must be"
            with pytest.raises(sf.StreamflowError, match=refusal):
                list(sf.ZMQStreamer([1, 2], transport="shm"))
        assert segments() == []


def test_pescadors_forms():
    z = sf.ZMQStreamer(sf.Streamer("abc"), 49152, 65535, 100, True, 5)
    assert (z.active, z.is_activated_copy) == (0, False)
    assert "".join(z) == "".join(z.iterate()) == "".join(z()) == "abc"
    assert "".join(z.cycle(7)) == "".join(z(max_iter=7, cycle=True)) == "abcabca"
    with z as live:
        assert (z.active, live.active, live.is_activated_copy) == (1, 1, True)
        assert "".join(live(max_iter=2)) == "ab"
    assert z.active == 0
    assert os.getpid() > 0
    assert repr(z) == "ZMQStreamer(Streamer('abc'))"
