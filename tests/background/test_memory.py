"""Several workers: their read-ahead together is bounded by `buffer_bytes` and one item each."""

import mmap
import os
from multiprocessing import Array
from pathlib import Path

import numpy as np
import pytest

import streamflow as sf

from ..processes import settled, workers

TRANSPORTS = pytest.mark.parametrize("transport", ["shm", "ipc"])


def counting(made, size, shard):
    """Endless; each item says how many its lane has made."""
    i = shard[0]
    while True:
        made[shard[0]] += 1
        yield {"x": np.full(size, i % 251, np.uint8)}
        i += shard[1]


@TRANSPORTS
@pytest.mark.parametrize(
    ("limit", "size", "n_workers", "n_lanes"),
    [
        (4 << 20, 100_000, 3, 3),
        (4 << 20, 100_000, 2, 5),
        (1 << 20, 200, 2, 2),
        (1 << 20, 3 << 20, 3, 3),
        (1, 1000, 3, 4),
        (12 << 20, 1 << 20, 2, 4),
    ],
)
def test_a_sleeping_consumer(limit, size, n_workers, n_lanes, transport):
    made = Array("l", n_lanes, lock=False)
    z = sf.ZMQStreamer(
        sf.Streamer(counting, made, size), n_workers=n_workers, n_lanes=n_lanes, buffer_bytes=limit, transport=transport
    )
    with z.open() as stream:
        taken = 2 * n_lanes  # so that every worker has begun
        for i in range(taken):
            assert (next(stream)["x"] == i % 251).all()
        for more in (0, n_lanes, 20):
            for i in range(taken, taken + more):
                assert (next(stream)["x"] == i % 251).all()
            taken += more
            ahead = (settled(lambda: sum(made)) - taken) * size
            assert ahead <= limit + n_workers * size
        # It is used, too (what is counted beside the bytes of an item is little).
        assert (sum(made) - taken + 2 * n_workers) * (size + 500) >= 0.9 * limit
        for i in range(taken, taken + 100):
            assert (next(stream)["x"] == i % 251).all()


@TRANSPORTS
def test_the_bound_holds_after_a_worker_was_replaced(transport):
    """The replacement has the same share, and makes again what the first worker was ahead."""
    made = Array("l", 2, lock=False)
    limit, size = 1 << 20, 50_000
    z = sf.ZMQStreamer(
        sf.Streamer(counting, made, size),
        n_workers=2,
        buffer_bytes=limit,
        transport=transport,
        on_worker_death="restart",
    )
    with z.open() as stream:
        for _ in range(10):
            next(stream)
        settled(lambda: sum(made))
        for pid in workers():
            os.kill(pid, 9)
        for _ in range(60):  # all that had come, and more
            next(stream)
        for lane in range(2):
            made[lane] = 0
        for _ in range(4):
            next(stream)
        assert settled(lambda: sum(made)) * size <= limit + 2 * size + 4 * size
        assert sum(made) > 0


def blocks(pid="self"):
    """Bytes of our segments that are in memory, by the file behind each map."""
    return {
        link.stat().st_ino: link.stat().st_blocks * 512
        for link in Path(f"/proc/{pid}/fd").iterdir()
        if "memfd:streamflow" in _target(link)
    }


def _target(link):
    try:
        return str(link.readlink())
    except OSError:
        return ""


@pytest.mark.parametrize("n_workers", [1, 3])
def test_segments_are_no_larger_than_what_is_ahead_and_held(n_workers, monkeypatch):
    # From Python 3.13 on our maps keep no descriptor, by which `blocks` finds them.
    monkeypatch.setattr("streamflow.background.shm.channel.mapped", lambda fd: mmap.mmap(fd, os.fstat(fd).st_size))
    made = Array("l", n_workers, lock=False)
    limit, size = 12 << 20, 1 << 20
    with sf.ZMQStreamer(sf.Streamer(counting, made, size), n_workers=n_workers, buffer_bytes=limit).open() as stream:
        for _ in range(100):
            next(stream)
        settled(lambda: sum(made))
        found = blocks()
        assert len(found) == n_workers
        # An item is held beside those that are ahead, and sizes are rounded up; rings and pages that were touched.
        assert sum(found.values()) <= 1.3 * (limit + 3 * n_workers * size) + n_workers * (1 << 20)
        assert sum(found.values()) >= limit / 2


def test_a_hoard_does_not_stop_the_stream():
    made = Array("l", 2, lock=False)
    with sf.ZMQStreamer(sf.Streamer(counting, made, 300_000), n_workers=2, buffer_bytes=1 << 20).open() as stream:
        held = [next(stream)["x"] for _ in range(60)]
    assert all((x == i % 251).all() for i, x in enumerate(held))
    held[3][:] = 7
    assert (held[5] == 5).all()
