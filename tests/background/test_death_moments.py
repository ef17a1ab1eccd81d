"""Workers that die at certain moments: at the end, between epochs, all at once; or are only stopped for a while."""

import multiprocessing
import os
import signal
import time

import pytest

import streamflow as sf

from ..processes import workers
from .leaves import digest, drawing_tree, expected_items, finite_tree, merged, taken

TRANSPORTS = pytest.mark.parametrize("transport", ["shm", "ipc"])


@TRANSPORTS
@pytest.mark.parametrize(("n_lanes", "n_workers"), [(1, 1), (2, 2), (3, 2), (4, 1)])
def test_at_the_very_end(n_lanes, n_workers, transport):
    """After each lane's last item and before its end: the deaths of different lanes are not at the same place."""
    deaths = multiprocessing.Array("l", 4, lock=False)

    def ending(shard):
        yield from range(shard[0], 31, shard[1])
        deaths[shard[0]] += 1
        if deaths[shard[0]] == 1:
            time.sleep(0.05)
            os._exit(9)

    z = sf.ZMQStreamer(ending, n_lanes=n_lanes, n_workers=n_workers, transport=transport, on_worker_death="restart")
    assert list(z) == list(range(31))
    assert list(deaths[:n_lanes]) == [2] * n_lanes


@TRANSPORTS
@pytest.mark.parametrize("n_lanes", [1, 2, 3])
@pytest.mark.parametrize("reading", ["little", "some", "all"])
def test_when_all_has_been_sent(reading, n_lanes, transport, within):
    """Whether or not the end had been received before the death."""
    ended = multiprocessing.Value("l")

    def noting(shard):
        yield from range(shard[0], 31, shard[1])
        with ended.get_lock():
            ended.value += 1

    z = sf.ZMQStreamer(
        noting, n_lanes=n_lanes, n_workers=min(2, n_lanes), transport=transport, on_worker_death="restart"
    )
    with z.open() as stream:
        got = [next(stream) for _ in range({"little": n_lanes, "some": 17, "all": 31}[reading])]
        assert within(20, lambda: ended.value == n_lanes)
        time.sleep(0.05)
        for pid in workers():
            os.kill(pid, signal.SIGKILL)
        assert got + list(stream) == list(range(31))


@TRANSPORTS
@pytest.mark.parametrize("death", ["restart", "raise"])
def test_between_the_epochs_of_cycle(transport, death):
    """A worker that has sent everything is not missed; the next epoch gets new workers."""
    epochs = [[digest(item) for item in merged(finite_tree(), 3, epoch)] for epoch in range(4)]
    size = len(epochs[0])
    z = sf.ZMQStreamer(finite_tree(), n_lanes=3, n_workers=2, transport=transport, on_worker_death=death)
    with z.open(cycle=True) as stream:
        got = taken(stream, size)
        for epoch in range(3):
            time.sleep(0.15)  # until the ends are on their way, too
            there = workers()
            for pid in there if epoch % 2 == 0 else there[:1]:
                os.kill(pid, signal.SIGKILL)
            try:
                got += taken(stream, size)
            except sf.WorkerDied:
                assert death == "raise"
                return
            assert stream.epoch == epoch + 1
            assert got == [item for one in epochs[: epoch + 2] for item in one]
    assert death == "restart"


@TRANSPORTS
def test_all_at_once_again_and_again(transport):
    settings = {"n_lanes": 5, "n_workers": 3, "transport": transport, "buffer_bytes": 1}
    z = sf.ZMQStreamer(drawing_tree(), on_worker_death="restart", **settings)
    got, seen = [], set()
    with z.open() as stream:
        for _ in range(6):
            got += taken(stream, 20)
            there = workers()
            assert len(there) == 3
            seen.update(there)
            for pid in there:
                os.kill(pid, signal.SIGKILL)
    assert got == expected_items(drawing_tree, 5, 120)
    assert len(seen) >= 9


@TRANSPORTS
def test_stopped_and_continued(transport):
    """A worker stopped by SIGSTOP is not dead: the consumer waits for it."""
    z = sf.ZMQStreamer(drawing_tree(), n_lanes=2, n_workers=2, transport=transport, buffer_bytes=1)
    got = []
    with z.open() as stream:
        for _ in range(5):
            got += taken(stream, 20)
            pid = workers()[len(got) // 20 % 2]
            os.kill(pid, signal.SIGSTOP)
            bystander = os.fork()
            if not bystander:
                time.sleep(0.2)
                os.kill(pid, signal.SIGCONT)
                os._exit(0)
            got += taken(stream, 20)
            os.waitpid(bystander, 0)
    assert got == expected_items(drawing_tree, 2, 200)


@TRANSPORTS
def test_closing_with_stopped_workers(transport):
    stream = sf.ZMQStreamer(drawing_tree(), n_workers=3, transport=transport, timeout=1).open()
    next(stream)
    for pid in workers():
        os.kill(pid, signal.SIGSTOP)
    stream.close()
    assert workers() == []
