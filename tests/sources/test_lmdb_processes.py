"""LMDB stores over processes: forks, growth beside readers, and writers that are killed at any moment."""

import functools
import multiprocessing
import os
import pickle
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import lmdb
import numpy as np
import pytest

from streamflow import StreamflowError, ZMQStreamer
from streamflow.core.equal import same
from streamflow.exceptions import DataError
from streamflow.sources import LMDBStore, LMDBWriter
from streamflow.sources.lmdb import environment as lmdb_environment
from streamflow.sources.lmdb import writer as lmdb_writer

from ..amount import amount

DATA = np.random.default_rng(0).integers(0, 256, (400, 3000), np.uint8)

linux = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")


@pytest.fixture
def path(tmp_path):
    with LMDBWriter(tmp_path / "data") as db:
        db.extend_columns({"X": DATA, "y": np.arange(len(DATA))})
    return tmp_path / "data"


def ys(store, indices):
    return store.read(indices)["y"].tolist()


@pytest.fixture
def started(zygote):
    """Start a program that runs some code."""
    return functools.partial(zygote.start, "-c", stdin=subprocess.PIPE, stderr=None)


@pytest.fixture
def killed_after(started):
    """Run some code, and kill it a few seconds after its first line."""

    def run(seconds, code, *args):
        with started(code, *args) as process:
            process.stdout.readline()
            time.sleep(seconds)
            process.kill()

    return run


# ---------------------------------------------------------------------- forks
@linux
def test_parent_and_child_read_after_a_fork(path, in_child):
    store = LMDBStore(path)
    assert store[5]["y"] == 5
    assert in_child(lambda: [int(store[7]["y"]), LMDBStore(path).read([1, 2])["y"].tolist()]) == [7, [1, 2]]
    assert store[6]["y"] == 6
    assert in_child(lambda: in_child(lambda: ys(store, [3]))) == [3]


@linux
def test_a_child_inherits_nothing_of_lmdb(path, in_child):
    store = LMDBStore(path)
    assert store[5]["y"] == 5

    def held():
        with open("/proc/self/maps") as maps:
            mapped = [line for line in maps if str(path) in line]
        opened = [str(link.resolve()) for link in Path("/proc/self/fd").iterdir()]
        return mapped + [name for name in opened if str(path) in name]

    if sys.platform == "linux":
        assert held()
        assert in_child(held) == []


@linux
def test_what_a_child_closes_stays_open_in_the_parent(path, in_child):
    store = LMDBStore(path)
    iterator = iter(store.batches(10))
    next(iterator)
    assert in_child(lambda: [store.close(), int(store[0]["y"]), store.close()]) == [None, 0, None]
    assert next(iterator)["y"].tolist() == list(range(10, 20))


@linux
def test_forks_while_threads_read(path, in_child):
    store, done, wrong = LMDBStore(path), threading.Event(), []

    def read(seed):
        rng = np.random.default_rng(seed)
        try:
            while not done.is_set():
                at = rng.integers(0, len(DATA), 16)
                if not np.array_equal(store.read(at)["X"], DATA[at]):
                    wrong.append(at)
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    answers = [in_child(lambda: ys(store, [0, -1])) for _ in range(40)]
    done.set()
    for thread in threads:
        thread.join()
    assert answers == [[0, len(DATA) - 1]] * 40
    assert wrong == []


def closed_at_a_fork():
    if not (child := os.fork()):
        os._exit(0)
    os.waitpid(child, 0)


@linux
def test_a_store_that_was_moved_is_used_where_it_is_now(path, tmp_path):
    store = LMDBStore(path)
    path.rename(tmp_path / "there")
    closed_at_a_fork()
    with pytest.raises(DataError, match="'.*data' was removed or replaced since it was opened"):
        store[0]
    with LMDBWriter(tmp_path / "there") as db:
        db.append({"X": DATA[0], "y": 400})
    new = LMDBStore(tmp_path / "there")
    closed_at_a_fork()
    assert (store[5]["y"], new[400]["y"]) == (5, 400)


@linux
def test_a_store_is_used_by_any_path_that_is_left(path, tmp_path):
    (tmp_path / "link").symlink_to(path)
    store, other = LMDBStore(path), LMDBStore(tmp_path / "link")
    (tmp_path / "link").unlink()
    closed_at_a_fork()
    assert store[5]["y"] == other[5]["y"] == 5


@linux
def test_a_store_that_was_made_anew_is_used_beside_a_reader_of_the_old_one(path):
    old = LMDBStore(path)
    shutil.rmtree(path)
    with LMDBWriter(path) as db:
        db.append(7)
    new = LMDBStore(path)
    for _ in range(2):
        closed_at_a_fork()
        with pytest.raises(DataError, match="'.*data' was removed or replaced since it was opened"):
            old[0]
        assert new[0] == 7
        with LMDBWriter(path) as db:
            db.append(8)
    assert list(LMDBStore(path)) == [7, 8, 8]


@linux
def test_a_writer_stays_with_its_process(tmp_path, in_child):
    db = LMDBWriter(tmp_path)
    db.append(1)

    def child():
        with LMDBWriter(tmp_path) as own:
            own.append(7)
        try:
            db.append(2)
        except StreamflowError as error:
            db.close()
            return [str(error), "closed"]

    message, last = in_child(child)
    assert "belongs to another process" in message
    assert last == "closed"
    db.append(3)
    db.close()
    assert list(LMDBStore(tmp_path)) == [7, 1, 3]


@linux
def test_a_fork_beside_a_writer_that_writes(tmp_path, monkeypatch, in_child):
    monkeypatch.setattr(lmdb_writer, "_KEPT", 1 << 14)
    with LMDBWriter(tmp_path) as db:
        thread = threading.Thread(target=lambda: [db.append(row) for row in DATA])
        thread.start()
        counts = [in_child(lambda: len(LMDBStore(tmp_path))) for _ in range(20)]
        thread.join()
    assert counts == sorted(counts)
    assert np.array_equal(LMDBStore(tmp_path).read(slice(None)), DATA)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_sent_to_other_processes(path, method):
    store = LMDBStore(path)
    assert len(pickle.dumps(store)) < 1000
    with multiprocessing.get_context(method).Pool(2) as pool:
        assert pool.map(store.__getitem__, [3, 300])[1]["y"] == 300


def test_background_workers_give_the_same_batches(path):
    tree = LMDBStore(path).batches(16, shuffle=True, random_state=0)
    assert same(list(ZMQStreamer(tree)), list(tree))


# ---------------------------------------------------------------------- growth
GROW = """
import sys, numpy as np
from streamflow.sources import LMDBWriter
from streamflow.sources.lmdb import writer as lmdb_writer
lmdb_writer._KEPT = 1 << 16
rng = np.random.default_rng(1)
with LMDBWriter(sys.argv[1]) as db:
    for _ in range(30):
        db.extend_columns({"X": rng.integers(0, 256, (200, 3000), np.uint8), "y": np.zeros(200, int)})
        print("more", flush=True)
"""


def test_readers_keep_reading_while_another_process_enlarges_the_map(path, started):
    store = LMDBStore(path)
    size = store._handle.get().environment._env.info()["map_size"]
    lengths = []
    with started(GROW, path) as writer:
        for _ in writer.stdout:
            assert np.array_equal(store.read([0, 399])["X"], DATA[[0, 399]])
            lengths.append(len(LMDBStore(path)))
    assert writer.returncode == 0
    assert lengths == sorted(lengths)
    last = LMDBStore(path)
    assert len(last) == 400 + 30 * 200
    rng = np.random.default_rng(1)
    expected = [rng.integers(0, 256, (200, 3000), np.uint8) for _ in range(30)]
    assert np.array_equal(last.read(slice(400, None))["X"], np.concatenate(expected))
    assert store._handle.get().environment._env.info()["map_size"] > size


def test_a_store_that_grows_while_it_is_opened(path, monkeypatch, started):
    opened = lmdb_environment.Environment._open

    def slowly(self, writeable):
        environment = opened(self, writeable)
        with started(GROW, path) as writer:
            writer.communicate()
        return environment

    monkeypatch.setattr(lmdb_environment.Environment, "_open", slowly)
    assert len(LMDBStore(path)) == 400 + 30 * 200


def test_writers_of_two_processes_append_and_grow(path, started):
    writers = [started(GROW, path) for _ in range(2)]
    assert [writer.communicate()[0].count("more") for writer in writers] == [30, 30]
    store = LMDBStore(path)
    assert len(store) == 400 + 2 * 30 * 200
    assert store.read(slice(0, 400))["y"].tolist() == list(range(400))


def test_a_full_table_of_readers_is_cleared_of_the_dead(path, started):
    code = """
import lmdb, os, signal, sys
environment = lmdb.open(sys.argv[1], readonly=True, max_readers=3)
reading = [environment.begin() for _ in range(int(sys.argv[2]))]
print("open", flush=True)
sys.stdin.read()
"""
    (path / "lock.mdb").unlink()
    with started(code, path, 1) as living:  # the first: the table has three places
        living.stdout.readline()
        store = LMDBStore(path)
        environment = store._handle.get().environment._env
        environment.set_mapsize(0)  # it gives up the place that it keeps
        with started(code, path, 2) as dead:
            dead.stdout.readline()
            with pytest.raises(lmdb.ReadersFullError):
                environment.begin()
            with pytest.raises(DataError, match="MDB_READERS_FULL"):
                store[3]
            dead.kill()
        with pytest.raises(lmdb.ReadersFullError):
            environment.begin()
        assert store[3]["y"] == 3
        living.stdin.close()


# ---------------------------------------------------------------------- kill -9
KILLED = """
import sys, numpy as np
from streamflow.sources import LMDBWriter
from streamflow.sources.lmdb import writer as lmdb_writer
lmdb_writer._KEPT = 1 << 15
rng = np.random.default_rng(int(sys.argv[2]))
print("go", flush=True)
with LMDBWriter(sys.argv[1]) as db:
    k = len(db)
    while True:
        db.metadata["k"] = str(k)
        db.append({"k": k, "x": np.full(rng.integers(0, 3000), k, np.int32), "t": str(k)})
        k += 1
        if rng.random() < 0.05:
            db.flush()
"""


def test_a_writer_killed_at_any_moment_leaves_a_readable_store(tmp_path, killed_after):
    rng, lengths = random.Random(0), []
    live = None
    for seed in range(amount(12, 50)):
        killed_after(rng.choice([0, 0.001, 0.01]) + rng.random() * 0.15, KILLED, tmp_path / "data", seed)
        if not (tmp_path / "data" / "data.mdb").exists():  # killed before there was a store
            with pytest.raises(DataError):
                LMDBStore(tmp_path / "data")
            continue
        store = LMDBStore(tmp_path / "data")
        lengths.append(len(store))
        for k in {0, len(store) // 2, len(store) - 1} & set(range(len(store))):
            sample = store[k]
            assert (sample["k"], sample["t"]) == (k, str(k))
            assert (sample["x"] == k).all()
        assert [sample["k"] for sample in store] == list(range(len(store)))
        if len(store):
            assert store.metadata["k"] == str(len(store) - 1)
        if seed % 2:
            live = store  # every other writer runs beside an open store
        elif live is not None:
            live.close()
        store.close()
    assert lengths == sorted(lengths)
    assert lengths[-1] > 0


def test_a_writer_killed_while_it_replaces(tmp_path, killed_after):
    code = """
import sys
from streamflow.sources import LMDBWriter
print("go", flush=True)
while True:
    with LMDBWriter(sys.argv[1], mode="w") as db:
        db.extend(list(range(500)))
"""
    with LMDBWriter(tmp_path) as db:
        db.extend(list(range(500)))
    rng = random.Random(1)
    for _ in range(amount(6, 20)):
        killed_after(rng.random() * 0.1, code, tmp_path)
        assert list(LMDBStore(tmp_path)) in ([], list(range(500)))


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can become somebody else")
def test_a_store_that_may_only_be_read(path, in_child):
    def as_nobody(folder):
        os.setuid(65534)
        try:
            LMDBWriter(folder)
        except DataError as error:
            return [LMDBStore(folder).read([4])["y"].tolist(), "Permission denied" in str(error)]

    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        shutil.copy(path / "data.mdb", folder)
        assert in_child(lambda: as_nobody(folder)) == [[4], True]
