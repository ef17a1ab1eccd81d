"""However the consumer ends, its worker ends too, within a second, and no folder is left."""

import os
import signal
import time
from pathlib import Path

import pytest

from ..processes import alive

pytestmark = pytest.mark.usefixtures("channel")

SCRIPT = """
import os, sys, time, threading
import numpy as np
import streamflow as sf

def tree(value):
    print(os.getpid(), flush=True)
    if value == "slow to open":
        time.sleep(3600)
    while True:
        yield np.zeros(1 << 20) if value == "blocked" else 1
        if value == "asleep":
            time.sleep(3600)
        if value == "in C":
            time.sleep(0.3)
            sum(range(1 << 40))  # one call that never releases the GIL

def main(value, method, ending, transport):
    if value == "slow to start":
        from streamflow.background import process
        after = process.main
        process.main = lambda start: (print(os.getpid(), flush=True), time.sleep(1), after(start))
    stream = sf.ZMQStreamer(sf.Streamer(tree, value), start_method=method, transport=transport, timeout=1).open()
    if ending == "thread":
        thread = threading.Thread(target=next, args=(stream,))
        thread.start()
        thread.join()
    elif value == "slow to open":
        next(stream)
    else:
        print(next(stream) is None, flush=True)
    if ending == "exit":
        global kept
        kept = stream
        return
    if ending == "error":
        raise ZeroDivisionError
    if ending == "sys.exit":
        sys.exit(3)
    if ending == "os._exit":
        os._exit(4)
    time.sleep(0.4)
    print("ready", flush=True)
    time.sleep(3600)

if __name__ == "__main__":
    main(*sys.argv[1:])
"""


@pytest.fixture(name="consumer")
def consumer_fixture(tmp_path, script, channel):
    """Start a consumer in another process; gives that process and the process id of its worker."""
    yield from consumers(tmp_path, script, channel)


@pytest.fixture(name="new_consumer")
def new_consumer_fixture(tmp_path, interpreter, channel):
    """The same in a new interpreter."""
    yield from consumers(tmp_path, interpreter, channel)


def consumers(tmp_path, script, channel):
    path = tmp_path / "consumer.py"
    path.write_text(SCRIPT)

    workers = []

    def start(value, method, ending):
        process = script(path, value, method, ending, channel)
        workers.append(int(process.stdout.readline()))
        return process, workers[-1]

    yield start
    for worker in filter(alive, workers):  # only if a test has failed
        os.kill(worker, signal.SIGKILL)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=["KILL", "TERM", "INT"])
@pytest.mark.parametrize("value", ["quick", "asleep", "blocked"])
def test_a_signal_ends_the_consumer(consumer, within, number, value):
    process, worker = consumer(value, "fork", "signal")
    while process.stdout.readline() != "ready\n":
        pass
    assert alive(worker)
    process.send_signal(number)
    assert within(10, lambda: not alive(worker))
    _, errors = process.communicate(timeout=10)
    assert process.returncode == -number or number == signal.SIGINT
    assert ("KeyboardInterrupt" in errors) == (number == signal.SIGINT)
    assert "streamflow-watch" not in errors


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_of_a_new_interpreter_by_each_method(new_consumer, within, method):
    process, worker = new_consumer("asleep", method, "signal")
    while process.stdout.readline() != "ready\n":
        pass
    process.kill()
    assert within(10, lambda: not alive(worker))


def test_while_the_worker_opens_the_tree(consumer, within):
    process, worker = consumer("slow to open", "fork", "signal")
    time.sleep(0.2)
    assert alive(worker)
    process.kill()
    assert within(10, lambda: not alive(worker))


@pytest.mark.parametrize("channel", ["ipc"], indirect=True)
def test_before_the_worker_is_connected(consumer, within, sockets):
    """Then the worker removes the folder of the socket."""
    process, worker = consumer("slow to start", "fork", "signal")
    assert list(Path(sockets).glob("streamflow-*"))
    process.kill()
    assert within(10, lambda: not alive(worker))
    assert not list(Path(sockets).glob("streamflow-*"))


def test_while_the_worker_holds_the_interpreter(consumer, within):
    """No thread can watch the consumer then; the kernel ends the worker."""
    process, worker = consumer("in C", "fork", "signal")
    while process.stdout.readline() != "ready\n":
        pass
    process.kill()
    assert within(10, lambda: not alive(worker))


def test_started_from_a_thread(consumer, within):
    process, worker = consumer("asleep", "fork", "thread")
    while process.stdout.readline() != "ready\n":
        pass
    assert alive(worker)  # although the thread that started it has ended
    process.kill()
    assert within(10, lambda: not alive(worker))


@pytest.mark.parametrize(("ending", "code"), [("exit", 0), ("error", 1), ("sys.exit", 3), ("os._exit", 4)])
@pytest.mark.parametrize("value", ["quick", "asleep"])
def test_the_interpreter_ends_with_a_live_pass(consumer, within, ending, code, value):
    process, worker = consumer(value, "fork", ending)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == code
    assert within(10, lambda: not alive(worker))
    assert ("ZeroDivisionError" in errors) == (ending == "error")
    assert errors == "" or ending == "error"


def test_ctrl_c_reaches_consumer_and_worker_alike(consumer, within):
    """The terminal sends it to both: the worker leaves it to the consumer."""
    process, worker = consumer("asleep", "fork", "signal")
    while process.stdout.readline() != "ready\n":
        pass
    os.kill(worker, signal.SIGINT)
    time.sleep(0.2)
    assert alive(worker)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert errors.count("KeyboardInterrupt") == 1
    assert within(10, lambda: not alive(worker))
