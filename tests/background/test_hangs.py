"""`item_timeout`: a worker that hangs is reported with its stack and ended; a slow one is not taken for one."""

import json
import os
import re
import signal
import time
import zlib
from pathlib import Path

import pytest

import streamflow as sf

from ..processes import alive, workers

TRANSPORTS = pytest.mark.parametrize("transport", ["shm", "ipc"])


def sleeps_for_ever():
    time.sleep(3600)


def spins_for_ever():
    n = 0
    while True:
        n += 1


def sums_in_one_call():
    sum(range(1 << 50))  # never releases the GIL


def matches_in_one_call():
    re.match("(a*)*b", "a" * 60)


def blocks_all_signals():
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGUSR1})
    time.sleep(3600)


WAYS = [sleeps_for_ever, spins_for_ever, sums_in_one_call, matches_in_one_call]


#: The item at which leaves hang.  Not an argument, since those are part of a state; forked workers inherit it.
place = [0]


def hanging(way, shard, n=30):
    """The leaf of one lane hangs at an item."""
    for i in range(shard[0], n, shard[1]):
        if i == place[0]:
            way()
        yield i, os.getpid()


@pytest.fixture(name="at")
def at_fixture():
    """Set `place`."""

    def at(item):
        place[0] = item

    yield at
    at(0)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("n_workers", "n_lanes", "transport"), [(1, 1, "shm"), (2, 3, "shm"), (2, 3, "ipc")])
def test_a_hang_is_reported_with_worker_lane_and_stack(n_workers, n_lanes, transport, way, at):
    where = 14 if n_lanes > 1 else 11  # of lane 2, whose worker runs lane 0 too
    at(where)
    settings = {"n_workers": n_workers, "n_lanes": n_lanes, "transport": transport, "timeout": 1}
    stream = sf.ZMQStreamer(sf.Streamer(hanging, way), item_timeout=0.4, **settings).open()
    got = []
    with pytest.raises(sf.BackgroundError) as caught:
        got.extend(stream)
    text = str(caught.value)
    assert not isinstance(caught.value, sf.WorkerDied)
    assert [i for i, _ in got] == list(range(len(got)))
    assert where - n_lanes < len(got) <= where
    assert int(re.search(r"worker process (\d+)", text)[1]) == got[0][1]
    assert "0.4 seconds" in text
    assert way.__name__ in text
    assert "hanging" in text, "who called it"
    if n_lanes > 1:
        assert re.search(r"item \d+ of lane [02]\b", text)
    assert workers() == []
    assert not alive(got[0][1])
    state = json.dumps(stream.state_dict())
    assert json.loads(state)["given"] == len(got)
    at(-1)
    with sf.ZMQStreamer(sf.Streamer(hanging, way), n_workers=n_lanes, n_lanes=n_lanes).open() as again:
        again.load_state_dict(json.loads(state), verify=False)  # items hold their process id
        assert [i for i, _ in [*got, *again]] == list(range(30))


@TRANSPORTS
def test_while_it_opens_its_source(transport):
    stream = sf.ZMQStreamer(sf.Streamer(hanging, sleeps_for_ever), item_timeout=0.4, transport=transport).open()
    with pytest.raises(sf.BackgroundError, match=r"(?s)item 0\b.*sleeps_for_ever"):
        next(stream)
    assert workers() == []
    assert stream.state_dict()["given"] == 0


@TRANSPORTS
def test_while_a_state_is_loaded(transport, at):
    """The replay hangs."""
    z = sf.ZMQStreamer(sf.Streamer(hanging, sleeps_for_ever), item_timeout=0.5, transport=transport)
    at(-1)
    with z.open() as stream:
        got = [next(stream) for _ in range(10)]
        state = stream.state_dict()
    at(3)
    with z.open() as stream:
        with pytest.raises(sf.BackgroundError, match=r"(?s)sleeps_for_ever"):
            stream.load_state_dict(state, verify=False)
        assert workers() == []
    assert len(got) == 10


@TRANSPORTS
def test_a_worker_that_blocks_signals_is_gone_too(transport, at):
    at(3)
    tree = sf.Streamer(hanging, blocks_all_signals)
    stream = sf.ZMQStreamer(tree, item_timeout=0.3, timeout=1, transport=transport).open()
    with pytest.raises(sf.BackgroundError, match="nothing for 0.3 seconds"):
        for _ in stream:
            pass
    assert workers() == []
    assert stream.state_dict()["given"] == 3


@TRANSPORTS
def test_a_stopped_worker_hangs(transport):
    def who():
        while True:
            yield os.getpid()

    stream = sf.ZMQStreamer(who, item_timeout=0.5, timeout=1, buffer_bytes=1, transport=transport).open()
    os.kill(next(stream), signal.SIGSTOP)
    with pytest.raises(sf.BackgroundError, match="nothing for 0.5 seconds"):
        for _ in stream:
            pass
    assert workers() == []


@TRANSPORTS
def test_a_worker_that_hangs_is_not_replaced(transport, at):
    """What hangs once hangs again: `on_worker_death` is about deaths only."""
    at(3)
    tree = sf.Streamer(hanging, sleeps_for_ever)
    z = sf.ZMQStreamer(tree, item_timeout=0.4, on_worker_death="restart", transport=transport)
    with pytest.raises(sf.BackgroundError, match="sleeps_for_ever") as caught:
        list(z)
    assert type(caught.value) is sf.BackgroundError


@TRANSPORTS
def test_a_death_is_a_death_under_a_limit(transport):
    def dying():
        yield 1
        time.sleep(0.1)
        os._exit(7)

    with pytest.raises(sf.WorkerDied, match="exit code 7"):
        list(sf.ZMQStreamer(dying, item_timeout=30, transport=transport))


# --- no false alarm ---------------------------------------------------------------------------------------------------


@TRANSPORTS
@pytest.mark.parametrize("buffer_bytes", [1, 1 << 20])
def test_a_consumer_may_take_its_time(buffer_bytes, transport):
    z = sf.ZMQStreamer(range(12), n_workers=2, item_timeout=1, buffer_bytes=buffer_bytes, transport=transport)
    got = []
    for item in z:
        got.append(item)
        if item in (0, 5):
            time.sleep(1.3)
    assert got == list(range(12))


@TRANSPORTS
def test_a_worker_may_be_slow(transport):
    """No item takes as long as the limit; together they take longer."""

    def slow(shard):
        for i in range(shard[0], 8, shard[1]):
            time.sleep(0.25)
            yield i

    z = sf.ZMQStreamer(slow, n_workers=2, item_timeout=2, transport=transport)
    assert list(z) == list(range(8))


@TRANSPORTS
def test_a_worker_that_computes_is_no_hang(transport):
    def busy():
        data = bytes(1 << 20)
        for _ in range(20):
            for _ in range(50):
                zlib.crc32(data)
            yield 1

    assert len(list(sf.ZMQStreamer(busy, item_timeout=5, transport=transport))) == 20


@TRANSPORTS
def test_waiting_between_the_epochs_is_no_hang(transport):
    with sf.ZMQStreamer(range(4), item_timeout=1, n_workers=2, transport=transport).open(cycle=True) as stream:
        got = []
        for _ in range(3):
            got += [next(stream) for _ in range(4)]
            time.sleep(1.3)
    assert got == [0, 1, 2, 3] * 3


def test_nothing_is_left_of_the_files_for_stacks(sockets):
    def files():
        return sorted(Path(sockets).iterdir())

    before, descriptors = files(), len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        assert list(sf.ZMQStreamer(range(4), item_timeout=5, n_workers=2)) == [0, 1, 2, 3]
    assert files() == before
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors
