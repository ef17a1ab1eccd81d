"""A pass leaves no shared memory behind but what views show when it is closed, even if others map it."""

import gc
import multiprocessing
import os
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

import streamflow as sf
from streamflow.background.shm.segment import DATA

from ..amount import amount
from .views import MIB, filled, full, is_lent

pytestmark = [pytest.mark.usefixtures("channel"), pytest.mark.parametrize("channel", ["shm"], indirect=True)]


@pytest.mark.parametrize("collecting", [True, False])
@pytest.mark.parametrize("ending", ["to the end", "closed", "dropped", "held"])
def test_forty_passes(segments, collecting, ending):
    z = sf.ZMQStreamer(sf.Streamer(filled, 50_000, 10), buffer_bytes=200_000)
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    gc.collect()
    if not collecting:
        gc.disable()
    try:
        for _ in range(amount(12, 40)):
            stream = z.open()
            kept = [next(stream) for _ in range(3)]
            assert len(segments()) > 0
            if ending == "to the end":
                assert len(list(stream)) == 7
            elif ending != "dropped":
                stream.close()
            if ending == "held":
                del stream
                assert all((x == i).all() for i, x in enumerate(kept))
                assert len(segments()) > 0
            stream = kept = None
            assert segments() == []
    finally:
        gc.enable()
    assert len(list(Path("/proc/self/fd").iterdir())) <= descriptors


def test_nothing_is_left_of_one_that_failed(segments):
    def failing():
        yield full(1)
        raise ValueError("bad")

    def dying():
        yield full(1)
        time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGKILL)

    for leaf, error in ((failing, ValueError), (dying, sf.WorkerDied)):
        with pytest.raises(error) as caught:
            list(sf.ZMQStreamer(leaf))
        del caught
        gc.collect()  # a traceback is a reference cycle
        assert segments() == []


@pytest.mark.parametrize("n_held", [0, 1, 3])
def test_a_process_forked_meanwhile_keeps_no_memory(touched, bystander, n_held):
    """It keeps the segment mapped; what no view shows is given back to the system when the pass is closed."""
    with sf.ZMQStreamer(sf.Streamer(filled, MIB), buffer_bytes=20 * MIB).open() as stream:
        held = [next(stream) for _ in range(10)][::3][:n_held]
        bystander()
        for i in range(10, 20):
            assert (next(stream) == i).all()
        assert touched() > 5 * MIB
    stream = None
    assert all(map(is_lent, held))
    assert touched() <= DATA + n_held * (MIB + 8192)
    for i, array in enumerate(held):
        assert (array == 3 * i).all()
        array += 100
    assert all((array == 3 * i + 100).all() for i, array in enumerate(held))


def test_views_of_all_sizes_survive_the_close(touched):
    """Blocks begin and end in the middle of pages."""
    rng = np.random.default_rng(0)
    sizes = rng.integers(33_000, 90_000, 400)

    def items():
        for i, size in enumerate(sizes):
            yield {"x": full(i, size), "y": full(i + 1, size // 2 + 17_000)}

    held = []
    with sf.ZMQStreamer(items, buffer_bytes=20 * MIB).open() as stream:
        for i, item in enumerate(stream):
            if rng.random() < 0.2:
                held.append((i, item))
        del item
    assert all(is_lent(item["x"]) for _, item in held)
    seen = sum(array.nbytes + 8192 for _, item in held for array in item.values())
    assert touched() <= DATA + seen
    while held:
        for i, item in held:
            assert (item["x"] == i % 251).all()
            assert (item["y"] == (i + 1) % 251).all()
            assert (item["x"].size, item["y"].size) == (sizes[i], sizes[i] // 2 + 17_000)
        del held[::2]


def test_the_worker_and_its_siblings_hold_nothing_of_ours(segments):
    """A worker has its own segment and, if forked, those of earlier workers; all are freed with the consumer's."""

    def held():
        yield os.getpid()
        time.sleep(3600)

    members = [sf.ZMQStreamer(held) for _ in range(3)]
    with sf.RoundRobinMux(members).open() as stream:
        pids = [next(stream) for _ in range(3)]
        assert len({line.split()[4] for line in segments() if "memfd" in line}) == 3
    assert segments() == []
    for pid in pids:
        assert not Path(f"/proc/{pid}").exists()


def test_programs_that_we_start_inherit_nothing():
    with sf.ZMQStreamer(sf.Streamer(filled, 50_000)).open() as stream:
        next(stream)
        seen = subprocess.run(
            ["ls", "-l", "/proc/self/fd"], close_fds=False, capture_output=True, text=True, check=True
        )
    assert "/dev/null" in seen.stdout or "pipe:" in seen.stdout
    assert "memfd" not in seen.stdout


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_semaphores_have_no_names_once_the_worker_has_spoken(method, monkeypatch):
    ours = f"mp-of-{os.getpid()}"  # others on this machine have some too
    monkeypatch.setitem(multiprocessing.current_process()._config, "semprefix", f"/{ours}")

    def names():
        return {path.name for path in Path("/dev/shm").glob(f"sem.{ours}-*")}

    def pids():
        while True:
            yield os.getpid()

    before = names()
    with sf.ZMQStreamer(pids, start_method=method).open() as stream:
        next(stream)
        assert names() <= before
        assert next(stream) > 0


LIMITED = """
import resource, sys
import streamflow as sf
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
print(list(sf.ZMQStreamer([1, 2, 3])))
try:
    list(sf.ZMQStreamer([1], transport="shm"))
except sf.BackgroundError as error:
    print(error)
"""


def test_where_address_space_is_limited_a_socket_serves(script):
    """A segment is as large as the machine's memory; clusters limit what a process may map (ulimit -v)."""
    if os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGESIZE") < 4 << 30:
        pytest.skip("there is less memory than the limit")
    out, errors = script("-c", LIMITED).communicate(timeout=60)
    assert errors == ""
    assert out.startswith("[1, 2, 3]\nshared memory is not available: ")
