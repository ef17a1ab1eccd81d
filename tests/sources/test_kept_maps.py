"""The maps that a process keeps for all of its sources together: how many, until when, across threads and forks."""

import contextlib
import gc
import os
import pickle
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import streamflow as sf
from streamflow import samplers
from streamflow.sources import MemmapStore, MemmapWriter, NpySource, concatenate
from streamflow.sources.mmap import kept as mapping

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs Linux's list of descriptors")

MOST = 20


@pytest.fixture(autouse=True)
def _few(monkeypatch):
    """As many as can be counted quickly."""
    gc.collect()
    monkeypatch.setattr(mapping, "_MOST", MOST)


def held(folder):
    """How many descriptors of files in a folder this process holds."""
    found = 0
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # that of the list itself
            found += descriptor.readlink().is_relative_to(folder)
    return found


def store_of(path, n, first=0):
    with MemmapWriter(path) as out:
        out.extend(np.full(3, first + k) for k in range(n))
    return MemmapStore(path)


def files_of(folder, n):
    for k in range(n):
        np.savez(folder / f"{k}.npz", X=np.full((4, 2), k), y=np.arange(4))
    return [folder / f"{k}.npz" for k in range(n)]


def test_stores_and_sources_share_what_is_kept(tmp_path):
    stores = [store_of(tmp_path / f"s{k}", 12, 100 * k) for k in range(4)]
    sources = [NpySource(path) for path in files_of(tmp_path, 12)]
    for _ in range(2):
        for k, store in enumerate(stores):
            assert [int(entry[0]) for entry in store] == [100 * k + place for place in range(12)]
            assert len(list(store.batches(5, shuffle=True))) == 3
        assert [int(source[1]["X"][0]) for source in sources] == list(range(12))
        assert held(tmp_path) == MOST
    del stores, store
    assert held(tmp_path) == 12, "with a store its maps go"
    for source in sources:
        source.close()
    assert held(tmp_path) == 0


def test_what_is_held_stays_valid_and_counts_no_more(tmp_path):
    store = store_of(tmp_path, 3 * MOST)
    views = list(store)
    assert [int(view[0]) for view in views] == list(range(3 * MOST))
    assert held(tmp_path) == 3 * MOST
    del views
    assert held(tmp_path) == MOST


def test_describing_a_stream_keeps_nothing(tmp_path):
    paths = files_of(tmp_path, 6)
    members = [NpySource(path).samples(sampler=samplers.WeightedSampler(np.ones(4))) for path in paths]
    members += [NpySource(path).batches(2, with_indices=True, keys="y") for path in paths]
    joined = concatenate([NpySource(path) for path in paths])
    assert len(joined) == 24
    assert [len(NpySource(path)[1:]) for path in paths] == [3] * 6
    assert held(tmp_path) == 0
    with sf.StochasticMux(members[:6], 2, 3, random_state=0).open() as stream:
        for _ in range(30):
            next(stream)
            assert held(tmp_path) <= 2
    assert held(tmp_path) == 0


def test_streams_over_many_files_keep_as_few(tmp_path):
    joined = concatenate([NpySource(path) for path in files_of(tmp_path, 3 * MOST)])
    with joined.batches(6, shuffle=True, random_state=0).open() as stream:
        found = []
        for batch in stream:
            assert held(tmp_path) <= MOST
            found.extend(batch["X"][:, 0].tolist())
    assert sorted(found) == sorted(list(range(3 * MOST)) * 4)


def test_threads_read_all_of_them(tmp_path):
    stores = [store_of(tmp_path / f"s{k}", 15, 100 * k) for k in range(3)]
    sources = [NpySource({"X": path}) for path in files_of(tmp_path, 15)]
    wrong = []

    def reads(seed):
        for number, place in np.random.default_rng(seed).integers(0, (4, 15), (1500, 2)).tolist():
            found = sources[place][0]["X"] if number == 3 else stores[number][place]
            if found[0] != (place if number == 3 else 100 * number + place):
                wrong.append((number, place))

    threads = [threading.Thread(target=reads, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []
    assert held(tmp_path) <= MOST


def test_a_fork_while_a_thread_maps(tmp_path):
    store, source = store_of(tmp_path / "s", 2 * MOST), NpySource(files_of(tmp_path, 1)[0])
    list(store)
    with mapping._lock:  # as another thread would hold it
        pid = os.fork()
        if pid == 0:
            signal.alarm(10)
            code = 1
            try:
                right = [int(entry[0]) for entry in store] == list(range(2 * MOST)) and source[3]["y"] == 3
                again = [int(entry[0]) for entry in pickle.loads(pickle.dumps(store))]
                code = 7 if right and len(again) == 2 * MOST and held(tmp_path) <= 2 * MOST else 2
            finally:
                os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7


READ = """
import sys
from streamflow.sources import MemmapStore
print(sum(int(entry[0]) for _ in range(2) for entry in MemmapStore(sys.argv[1])))
"""


def test_where_a_process_may_have_few_descriptors(tmp_path):
    store_of(tmp_path / "s", 100)
    command = ["sh", "-c", 'ulimit -n 64; exec "$@"', "sh", sys.executable, "-c", READ, str(tmp_path / "s")]
    found = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert found.stdout == f"{99 * 100}\n", found.stderr
