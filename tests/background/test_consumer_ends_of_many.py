"""However the consumer of several workers ends: no process of its session, no shared memory, no folder is left."""

import os
import signal
from pathlib import Path

import pytest

from ..processes import alive, of_session

SCRIPT = Path(__file__).with_name("many_consumer.py")
METHODS = ["fork", "forkserver", "spawn"]
SIGNALS = {"KILL": signal.SIGKILL, "TERM": signal.SIGTERM, "INT": signal.SIGINT}


class Consumer:
    """A consumer in a session of its own, and its workers."""

    def __init__(self, script, *arguments):
        self.process = script(SCRIPT, *arguments)
        self.workers = [int(word) for word in self.process.stdout.readline().split()]

    def until_ready(self):
        assert self.process.stdout.readline() == "ready\n"
        assert [alive(pid) for pid in self.workers] == [True, True]

    def ended(self):
        """Its exit code."""
        return self.process.wait(timeout=60)

    def errors(self):
        """What it and its workers wrote to stderr, once all have ended."""
        return self.process.communicate(timeout=60)[1]

    def left(self, sockets):
        """All that should be gone."""
        folders = [str(path) for path in Path(sockets).iterdir() if not path.name.startswith("pymp-")]
        memory = [path.name for path in Path("/dev/shm").glob(f"*-of-{self.process.pid}-*")]
        return [*of_session(self.process.pid), *memory, *folders]


@pytest.fixture(name="consumer")
def consumer_fixture(script):
    started = []

    def start(*arguments):
        started.append(Consumer(script, *arguments))
        assert len(started[-1].workers) == 2, started[-1].errors()
        return started[-1]

    yield start
    for one in started:
        for pid in of_session(one.process.pid):  # only if a test has failed
            os.kill(pid, signal.SIGKILL)
        one.process.communicate()


def gone(consumer, sockets, within):
    within(20, lambda: not consumer.left(sockets))
    assert consumer.left(sockets) == []


@pytest.mark.parametrize(
    ("method", "number", "transport"),
    [*((method, number, "shm") for method in METHODS for number in SIGNALS), *((m, "KILL", "ipc") for m in METHODS)],
)
def test_a_signal(consumer, within, sockets, number, method, transport):
    one = consumer("asleep", method, transport, "signal")
    one.until_ready()
    one.process.send_signal(SIGNALS[number])
    assert one.ended() == -SIGNALS[number]
    gone(one, sockets, within)
    assert ("KeyboardInterrupt" in one.errors()) == (number == "INT")


@pytest.mark.parametrize("transport", ["shm", "ipc"])
@pytest.mark.parametrize("value", ["blocked", "in C"])
@pytest.mark.parametrize("number", ["KILL", "INT"])
def test_a_signal_whatever_the_workers_do(consumer, within, sockets, number, value, transport):
    one = consumer(value, "fork", transport, "signal")
    one.until_ready()
    one.process.send_signal(SIGNALS[number])
    assert one.ended() == -SIGNALS[number]
    gone(one, sockets, within)


@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_workers_of_other_methods_in_one_long_call(consumer, within, sockets, method):
    one = consumer("in C", method, "shm", "signal")
    one.until_ready()
    one.process.kill()
    one.ended()
    gone(one, sockets, within)


@pytest.mark.parametrize(("number", "transport"), [("KILL", "shm"), ("KILL", "ipc"), ("INT", "shm"), ("TERM", "ipc")])
def test_a_signal_while_it_waits_for_an_item(consumer, within, sockets, number, transport):
    one = consumer("asleep", "fork", transport, "waiting")
    one.until_ready()
    one.process.send_signal(SIGNALS[number])
    assert one.ended() == -SIGNALS[number]
    gone(one, sockets, within)


@pytest.mark.parametrize(
    ("method", "transport"), [("fork", "shm"), ("fork", "ipc"), ("forkserver", "shm"), ("spawn", "shm")]
)
def test_a_pass_that_a_thread_began(consumer, within, sockets, method, transport):
    one = consumer("asleep", method, transport, "thread")
    one.until_ready()
    one.process.kill()
    one.ended()
    gone(one, sockets, within)


CODES = {"exit": 0, "generator": 0, "error": 1, "sys.exit": 3, "os._exit": 4}


@pytest.mark.parametrize(
    ("method", "transport", "ending"),
    [
        *(("fork", "shm", ending) for ending in CODES),
        *(("fork", "ipc", ending) for ending in ("exit", "os._exit")),
        *((method, "shm", ending) for method in ("forkserver", "spawn") for ending in ("exit", "error", "os._exit")),
    ],
)
def test_the_program_ends(consumer, within, sockets, method, ending, transport):
    one = consumer("in C" if method == "fork" else "blocked", method, transport, ending)
    assert one.ended() == CODES[ending]
    gone(one, sockets, within)
    errors = one.errors()
    assert ("ZeroDivisionError" in errors) == (ending == "error")
    assert errors == "" or ending == "error"


def test_ctrl_c_for_the_whole_session(consumer, within, sockets):
    """As a terminal sends it: to everybody."""
    one = consumer("asleep", "fork", "shm", "signal")
    one.until_ready()
    os.killpg(one.process.pid, signal.SIGINT)
    gone(one, sockets, within)
    assert one.errors().count("KeyboardInterrupt") == 1


def test_a_kill_while_a_worker_is_dead(consumer, within, sockets):
    one = consumer("asleep", "fork", "shm", "signal")
    one.until_ready()
    os.kill(one.workers[0], signal.SIGKILL)
    one.process.kill()
    one.ended()
    gone(one, sockets, within)
