"""Several workers by every start method and channel, for all that is sent and beside other threads and processes."""

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import numpy as np
import pytest
import zmq

import streamflow as sf

from ..processes import alive, workers

WAYS = pytest.mark.parametrize(
    ("method", "transport"), [(m, t) for m in ("fork", "forkserver", "spawn") for t in ("shm", "ipc")]
)
TRANSPORTS = pytest.mark.parametrize("transport", ["shm", "ipc"])


@WAYS
def test_closures_lambdas_and_classes(method, transport):
    offset = 10

    class Point:
        def __init__(self, x):
            self.x = x

        def __eq__(self, other):
            return self.x == other.x

        __hash__ = None

    def points(n, shard, rng):
        for i in range(shard[0], n, shard[1]):
            yield {"p": Point(i + offset), "x": np.full(20_000, i), "r": int(rng.integers(1000))}

    tree = sf.ShuffledMux([sf.Streamer(points, 6), sf.Streamer(lambda: ({"p": Point(k)} for k in range(4)))])
    tree = tree.with_seed(1)
    settings = {"n_workers": 2, "start_method": method, "transport": transport}
    expected = list(sf.ZMQStreamer(tree, n_workers=1, n_lanes=2)(max_iter=8))
    got = list(sf.ZMQStreamer(tree, **settings)(max_iter=8))
    assert [item["p"].x for item in got] == [item["p"].x for item in expected]
    assert [item.get("r") for item in got] == [item.get("r") for item in expected]
    assert all((item["x"] == item["p"].x - offset).all() for item in got if "x" in item)


@WAYS
def test_a_worker_is_replaced(method, transport):
    def who(shard):
        for i in range(shard[0], 40, shard[1]):
            yield i, os.getpid(), bytes(10_000)

    # Each is at most a few items ahead, so that none has finished when it is killed.
    settings = {"n_workers": 2, "start_method": method, "transport": transport, "buffer_bytes": 20_000}
    got = []
    for item in sf.ZMQStreamer(who, on_worker_death="restart", **settings):
        got.append(item[:2])
        if item[0] in (5, 20):
            os.kill(item[1], signal.SIGKILL)
    assert [i for i, _ in got] == list(range(40))
    assert len({pid for _, pid in got}) == 4


@WAYS
def test_a_death_and_a_state(tmp_path, method, transport):
    fatal = tmp_path / "fatal"
    fatal.touch()

    def dying(shard):
        for i in range(shard[0], 12, shard[1]):
            if i == 7 and fatal.exists():
                time.sleep(0.1)
                os._exit(3)
            yield i

    z = sf.ZMQStreamer(dying, n_workers=2, start_method=method, transport=transport)
    got = []
    with z.open() as stream:
        with pytest.raises(sf.WorkerDied, match="exit code 3"):
            got.extend(stream)
        state = stream.state_dict()
    assert got == list(range(7))
    fatal.unlink()
    with z.open() as stream:
        stream.load_state_dict(state)
        assert got + list(stream) == list(range(12))


# --- scripts ----------------------------------------------------------------------------------------------------------

BODY = """
import sys
import numpy as np
import streamflow as sf

class Point:
    def __init__(self, x):
        self.x = x

def points(n, shard):
    for i in range(shard[0], n, shard[1]):
        yield Point(np.full(30_000, i))

def main(method, transport):
    z = sf.ZMQStreamer(sf.Streamer(points, 6), n_workers=2, start_method=method, transport=transport)
    got = list(z)
    assert all(type(p) is Point for p in got)
    print([int(p.x[0]) for p in got])

"""


@WAYS
def test_functions_and_classes_of_a_script(tmp_path, interpreter, method, transport):
    path = tmp_path / "guarded.py"
    path.write_text(BODY + "if __name__ == '__main__':\n    main(*sys.argv[1:])\n")
    out, errors = interpreter(path, method, transport).communicate(timeout=60)
    assert (out, errors) == ("[0, 1, 2, 3, 4, 5]\n", "")


@WAYS
def test_a_script_without_a_guard_gets_advice(tmp_path, script, method, transport):
    path = tmp_path / "bare.py"
    path.write_text(BODY + "main(*sys.argv[1:])\n")
    out, errors = script(path, method, transport).communicate(timeout=60)
    if method == "fork":
        assert (out, errors) == ("[0, 1, 2, 3, 4, 5]\n", "")
    else:
        assert out == ""
        assert "WorkerDied" in errors
        assert '`if __name__ == "__main__":`' in errors


@WAYS
def test_code_of_a_notebook(script, method, transport):
    """A module `__main__` without a file, whose code is executed cell by cell."""
    cells = [BODY, f"main({method!r}, {transport!r})"]
    runner = f"for cell in {cells!r}:\n    exec(compile(cell, '<cell>', 'exec'), globals())\n"
    out, errors = script("-c", runner).communicate(timeout=60)
    assert (out, errors) == ("[0, 1, 2, 3, 4, 5]\n", "")


# --- beside others ----------------------------------------------------------------------------------------------------


@TRANSPORTS
def test_fork_beside_traffic_threads_and_locks(transport):
    """A ZMQ context with messages on their way, a pool of threads at work, and a thread that holds a lock."""
    stop, held, lock = threading.Event(), threading.Event(), threading.Lock()
    context = zmq.Context()
    push, pull = context.socket(zmq.PUSH), context.socket(zmq.PULL)
    port = pull.bind_to_random_port("tcp://127.0.0.1")
    push.connect(f"tcp://127.0.0.1:{port}")

    def send():
        while not stop.is_set():
            push.send(b"x" * 1000)
            pull.recv()

    def hold():
        with lock:
            held.set()
            stop.wait()

    def calculate():
        while not stop.is_set():
            np.random.default_rng(0).random(10_000).sum()

    threads = [threading.Thread(target=target) for target in (send, hold)]
    for thread in threads:
        thread.start()
    held.wait()
    try:
        with ThreadPoolExecutor(2) as executor:
            busy = executor.submit(calculate)
            for n in range(8):
                z = sf.ZMQStreamer(range(30), n_workers=3, transport=transport, on_worker_death="restart")
                got = []
                for item in z:
                    got.append(item)
                    if n % 2 and item == 10:
                        os.kill(workers()[0], signal.SIGKILL)
                assert got == list(range(30))
            stop.set()
            busy.result()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        context.destroy(linger=0)


@TRANSPORTS
def test_several_passes_in_several_threads(transport):
    z = sf.ZMQStreamer(range(200), n_workers=2, transport=transport)
    with ThreadPoolExecutor(3) as executor:
        assert all(got == list(range(200)) for got in executor.map(list, [z] * 6))


@TRANSPORTS
def test_a_bystander_does_not_delay_the_end(bystander, transport):
    with sf.ZMQStreamer(range(300), n_workers=2, transport=transport).open() as stream:
        got = list(islice(stream, 50))
        there, pid = workers(), bystander()
        got += stream
    assert got == list(range(300))
    assert not any(map(alive, there))
    assert alive(pid)


@TRANSPORTS
def test_a_bystander_does_not_delay_closing(bystander, transport):
    def asleep(shard):
        yield from range(shard[0], 4, shard[1])
        time.sleep(3600)

    stream = sf.ZMQStreamer(asleep, n_workers=2, transport=transport, timeout=20).open()
    for _ in range(4):
        next(stream)
    there, pid = workers(), bystander()
    began = time.monotonic()
    stream.close()
    assert time.monotonic() - began < 10, "nobody waited for the bystander (nor for SIGKILL)"
    assert not any(map(alive, there))
    assert alive(pid)


@TRANSPORTS
@pytest.mark.parametrize("death", ["raise", "restart"])
def test_a_bystander_does_not_hide_a_death(bystander, transport, death):
    def slow(shard):
        for i in range(shard[0], 60, shard[1]):
            yield i
            time.sleep(0.005)

    # No worker is far ahead, so that the one that is killed has items left to send.
    z = sf.ZMQStreamer(slow, n_workers=2, transport=transport, on_worker_death=death, buffer_bytes=1)
    with z.open() as stream:
        got = list(islice(stream, 6))
        bystander()
        os.kill(workers()[0], signal.SIGKILL)
        if death == "raise":
            with pytest.raises(sf.WorkerDied, match="SIGKILL"):
                list(stream)
        else:
            assert got + list(stream) == list(range(60))
