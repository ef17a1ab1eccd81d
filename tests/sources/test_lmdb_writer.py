"""LMDBWriter when something goes wrong: whatever comes, each sample is in the store once, or the user gets an error."""

import json
import random
import resource
import shutil
import signal
import sys
import threading

import lmdb
import numpy as np
import pytest

from streamflow.core.equal import same
from streamflow.exceptions import DataError, StreamflowError
from streamflow.sources import LMDBStore, LMDBWriter
from streamflow.sources.lmdb.environment import Environment
from streamflow.sources.metadata import Metadata

from ..as_read import as_read

#: The timer of signals is the test's own.
on_the_thread = pytest.mark.timeout(30, method="thread")


class Stop(Exception):
    """What the handler of a signal raises."""


def interrupted(monkeypatch, times):
    """Let so many writings end with an error when all is in the file."""
    write, left = Environment.write, iter(range(times))

    def writing(self, work, size):
        result = write(self, work, size)
        if next(left, None) is not None:
            raise Stop
        return result

    monkeypatch.setattr(Environment, "write", writing)


# ---------------------------------------------------------------------- interrupted when all is in the file
@pytest.mark.parametrize("times", [1, 2, 3])
def test_what_is_in_the_file_is_not_written_again(tmp_path, monkeypatch, times):
    db = LMDBWriter(tmp_path)
    interrupted(monkeypatch, times)
    for k in range(times):
        db.append(k)
        db.metadata["k"] = str(k)
        with pytest.raises(Stop):
            db.flush()
        assert list(LMDBStore(tmp_path)) == list(range(k + 1))
    db.append(times)
    assert len(db) >= times + 1
    db.close()
    assert list(LMDBStore(tmp_path)) == list(range(times + 1))
    assert dict(LMDBStore(tmp_path).metadata) == {"k": str(times - 1)}


def test_an_interrupted_block_is_written_once(tmp_path, monkeypatch):
    db = LMDBWriter(tmp_path)
    interrupted(monkeypatch, 1)
    with pytest.raises(Stop), db:
        db.extend(range(5))
    assert list(LMDBStore(tmp_path)) == list(range(5))
    db.close()
    assert list(LMDBStore(tmp_path)) == list(range(5))


def test_other_writers_may_come_between(tmp_path, monkeypatch):
    one, others = LMDBWriter(tmp_path), [LMDBWriter(tmp_path) for _ in range(20)]
    one.append(-1)
    interrupted(monkeypatch, 1)
    with pytest.raises(Stop):
        one.flush()
    for k, other in enumerate(others):
        other.append(k)
        other.close()
    one.append(20)
    one.close()
    assert list(LMDBStore(tmp_path)) == list(range(-1, 21))


def test_a_writer_that_was_interrupted_and_replaced_continues(tmp_path, monkeypatch):
    db = LMDBWriter(tmp_path)
    db.append(0)
    db.flush()
    interrupted(monkeypatch, 1)
    db.extend([1, 2, 3])
    with pytest.raises(Stop):
        db.flush()
    LMDBWriter(tmp_path, mode="w").close()
    db.append(4)
    db.close()
    assert list(LMDBStore(tmp_path)) == [1, 2, 3, 4]  # what waited as far as the writer knew


def test_many_writers_leave_a_small_entry(tmp_path):
    for k in range(200):
        with LMDBWriter(tmp_path) as db:
            db.append(k)
    with lmdb.open(str(tmp_path), max_dbs=4) as environment, environment.begin() as transaction:
        entry = transaction.get(b"store", db=environment.open_db(b"about", txn=transaction))
    assert len(entry) < 2000
    assert list(LMDBStore(tmp_path)) == list(range(200))


def test_stores_from_before_writers_were_noted(tmp_path):
    with LMDBWriter(tmp_path) as db:
        db.append(1)
    with lmdb.open(str(tmp_path), max_dbs=4) as environment:
        about = environment.open_db(b"about")
        with environment.begin(write=True, db=about) as transaction:
            known = json.loads(transaction.get(b"store"))
            del known["writers"]
            transaction.put(b"store", json.dumps(known).encode())
    with LMDBWriter(tmp_path) as db:
        db.append(2)
    assert list(LMDBStore(tmp_path)) == [1, 2]


@pytest.fixture
def alarm():
    """Do something until the handler of a signal raises after a few seconds; says whether it did."""

    def stop(number, frame):
        raise Stop

    def until(seconds, work):
        try:
            try:
                signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)  # again where a finalizer swallows it
                work()
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        except Stop:
            return True
        return False

    before = signal.signal(signal.SIGALRM, stop)
    yield until
    signal.signal(signal.SIGALRM, before)


@on_the_thread
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # it may come in a finalizer
def test_a_handler_that_raises_at_any_moment_of_a_flush(tmp_path, alarm):
    rng, rows, stopped = random.Random(0), np.zeros((200, 5_000)), 0
    for trial in range(12):
        db = LMDBWriter(tmp_path / str(trial))
        db.extend(rows)
        stopped += alarm(rng.uniform(0.0005, 0.015), db.flush)
        db.close()
        assert len(LMDBStore(tmp_path / str(trial))) == 200
    assert stopped


@on_the_thread
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # it may come in a finalizer
@pytest.mark.parametrize("closing", [False, True])
def test_a_handler_that_raises_at_any_moment_of_reading(tmp_path, alarm, closing, in_child):
    """A reader that is interrupted blocks no other."""
    with LMDBWriter(tmp_path) as db:
        db.extend(range(50))
    rng, store = random.Random(0), LMDBStore(tmp_path)

    def read():
        for _ in range(200):
            store[1]
            if closing:
                store.close()

    assert sum(alarm(rng.uniform(1e-6, 3e-4 if closing else 6e-5), read) for _ in range(500)) > 100
    assert in_child(lambda: len(LMDBStore(tmp_path))) == 50  # it goes through alone, and so do these
    with LMDBWriter(tmp_path) as db:
        db.append(np.int64(50))
    store.close()
    assert store[49] == 49
    store.close()
    lmdb.open(str(tmp_path), readonly=True).close()  # it would refuse a database that is still open


# ---------------------------------------------------------------------- two writers on an empty store
@pytest.mark.parametrize(
    ("first", "second"),
    [
        (np.zeros(3), np.arange(8.0).reshape(2, 4)),
        ({"a": np.array("ab"), "t": "x"}, {"a": np.array("abcdef"), "t": "yz"}),
        ({"a": 1, "b": (b"c", np.int8(2))}, {"b": (b"dd", np.int8(3)), "a": 4}),
        (np.array([b"a"]), np.array([b"abc", b"d"])),
        (np.zeros((), [("x", "i4"), ("y", "f8")]), np.ones(2, [("x", "i4"), ("y", "f8")])),
        (np.datetime64("2020-01-01"), np.array(["2021-01-01", "NaT"], "M8[D]")),
    ],
)
def test_first_samples_of_two_writers_may_differ_in_shape(tmp_path, first, second):
    with LMDBWriter(tmp_path) as one, LMDBWriter(tmp_path) as two:
        one.append(first)
        two.append(second)
        one.flush()
        two.append(second)
        two.flush()
        two.append(second)
    found = list(LMDBStore(tmp_path))
    assert same(found[0], as_read(first))
    assert all(same(sample, as_read(second)) for sample in found[1:])
    assert len(found) == 4


@pytest.mark.parametrize("second", [np.zeros(3, np.float32), (np.zeros(3),), {"a": np.zeros(3)}, "text", b"bytes"])
def test_first_samples_of_two_writers_of_other_forms(tmp_path, second):
    one, two = LMDBWriter(tmp_path), LMDBWriter(tmp_path)
    one.append(np.zeros(3))
    two.append(second)
    one.close()
    for _ in range(2):
        with pytest.raises(DataError, match="another writer has added samples of another form") as caught:
            two.close()
        assert "\n" not in str(caught.value)
        assert len(two) == 1  # it waits
    assert same(list(LMDBStore(tmp_path)), [np.zeros(3)])
    LMDBWriter(tmp_path, mode="w").close()
    two.close()
    assert same(list(LMDBStore(tmp_path)), [as_read(second)])


def test_a_sample_that_cannot_be_stored_decides_nothing(tmp_path):
    with LMDBWriter(tmp_path) as db:
        with pytest.raises(DataError):
            db.append({"a": [0.5, 2**53 + 1]})
        with pytest.raises(DataError):
            db.extend_columns({"a": [[0.5, 2**53 + 1]]})
        db.append("another form")
    assert list(LMDBStore(tmp_path)) == ["another form"]


# ---------------------------------------------------------------------- processes and folders
def test_a_child_does_not_wait_for_a_lock_of_its_parent(tmp_path, monkeypatch, in_child):
    """A thread is in the middle of a flush when the process forks."""
    db = LMDBWriter(tmp_path)
    db.append(1)
    inside, done = threading.Event(), threading.Event()
    write = Environment.write

    def slowly(self, work, size):
        inside.set()
        done.wait()
        return write(self, work, size)

    monkeypatch.setattr(Environment, "write", slowly)
    thread = threading.Thread(target=db.flush)
    thread.start()
    inside.wait()

    def child():
        words = []
        for use in (lambda: db.append(2), lambda: db.extend([2]), db.flush):
            try:
                use()
            except StreamflowError as error:
                words.append("another process" in str(error))
        db.close()
        with db:
            pass
        return words

    try:
        assert in_child(child) == [True] * 3
    finally:
        done.set()
        thread.join()
    db.close()
    assert list(LMDBStore(tmp_path)) == [1]


def test_relative_paths_outlive_a_change_of_folder(tmp_path, monkeypatch, in_child):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    db = LMDBWriter("data")
    db.append(1)
    db.flush()
    store = LMDBStore("data")
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert in_child(lambda: int(store[0])) == 1  # what was open is opened again after a fork
    store.close()
    assert store.read([0]).tolist() == [1]
    db.append(2)
    db.close()
    assert list(LMDBStore(tmp_path / "data")) == [1, 2]
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert "'data'" in repr(store)


# ---------------------------------------------------------------------- closing
def test_close_from_two_threads(tmp_path, monkeypatch):
    db = LMDBWriter(tmp_path)
    db.extend(range(100))
    together, wrong = threading.Barrier(4), []

    def close():
        together.wait()
        try:
            db.close()
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=close) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert list(LMDBStore(tmp_path)) == list(range(100))
    db.close()
    for use in (lambda: db.append(1), lambda: db.extend([1]), db.flush):
        with pytest.raises(StreamflowError, match="closed"):
            use()


def test_a_close_that_fails_loses_nothing(tmp_path, in_child):
    """The system lets no file grow beyond a size, and then it does."""

    def child():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        db = LMDBWriter(tmp_path)
        db.append(np.zeros(1000))
        db.flush()
        db.extend(np.ones((50, 1000)))
        db.metadata["a"] = "b"
        _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, most))
        named = []
        for use in (db.flush, db.close, db.close):
            try:
                use()
            except DataError as error:
                named.append(str(tmp_path) in str(error))
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        readable = [len(LMDBStore(tmp_path)), dict(LMDBStore(tmp_path).metadata)]
        db.close()
        return [named, readable, [float(sample.mean()) for sample in LMDBStore(tmp_path)]]

    assert in_child(child) == [[True] * 3, [1, {}], [0.0] + [1.0] * 50]
    assert LMDBStore(tmp_path).metadata["a"] == "b"


def test_an_error_in_the_block_keeps_what_was_appended_and_set_before_it(tmp_path):
    with LMDBWriter(tmp_path) as db:
        db.metadata.update(a="old", b="old")
    with pytest.raises(ZeroDivisionError), LMDBWriter(tmp_path) as db:
        db.append(1)
        db.metadata["a"] = "new"
        del db.metadata["b"]
        1 / 0
    assert list(LMDBStore(tmp_path)) == [1]
    assert dict(LMDBStore(tmp_path).metadata) == {"a": "new"}


def test_metadata_that_were_written_are_not_written_again(tmp_path):
    with LMDBWriter(tmp_path) as one, LMDBWriter(tmp_path) as two:
        one.metadata["a"] = "one"
        one.flush()
        two.metadata["a"] = "two"
        two.flush()
        one.append(1)
    assert dict(LMDBStore(tmp_path).metadata) == {"a": "two"}


def test_what_is_set_while_it_is_written_is_written_next(tmp_path, monkeypatch):
    write = Environment.write

    def setting(self, work, size):
        result = write(self, work, size)
        db.metadata["b"] = "late"
        return result

    db = LMDBWriter(tmp_path)
    db.metadata["a"] = "early"
    monkeypatch.setattr(Environment, "write", setting)
    db.flush()
    monkeypatch.undo()
    assert dict(LMDBStore(tmp_path).metadata) == {"a": "early"}
    db.close()
    assert dict(LMDBStore(tmp_path).metadata) == {"a": "early", "b": "late"}


# ---------------------------------------------------------------------- the store is gone
@pytest.mark.parametrize("replaced", [True, False])
def test_a_store_that_was_removed_or_replaced_is_not_written_to(tmp_path, replaced):
    path = tmp_path / "store"
    db = LMDBWriter(path)
    db.extend(np.zeros((1000, 1000)))
    db.flush()
    shutil.rmtree(path)
    if replaced:
        with LMDBWriter(path) as other:
            other.append(5)
    size = (path / "data.mdb").stat().st_size if replaced else None
    db.append(np.ones(1000))
    for _ in range(2):
        with pytest.raises(DataError, match="'.*store' was removed or replaced while it was being written"):
            db.close()
    if replaced:
        assert list(LMDBStore(path)) == [5]
        assert (path / "data.mdb").stat().st_size == size
    else:
        assert not path.exists()


def test_a_store_that_is_replaced_during_a_transaction(tmp_path):
    path = tmp_path / "store"
    db = LMDBWriter(path)
    put = db._put

    def replacing(*args):
        shutil.rmtree(path)
        with LMDBWriter(path) as other:
            other.append(5)
        return put(*args)

    db._put = replacing
    db.append(np.ones(1 << 20))
    with pytest.raises(DataError, match="was removed or replaced while it was being written"):
        db.flush()
    assert list(LMDBStore(path)) == [5]


def test_a_file_that_another_has_replaced_is_not_made_longer(tmp_path):
    path = tmp_path / "store"
    db = LMDBWriter(path)
    db.extend(np.zeros((1000, 100)))
    db.flush()
    (path / "data.mdb").unlink()
    (path / "data.mdb").write_bytes(b"another's")
    db._lease.environment._complete()
    assert (path / "data.mdb").read_bytes() == b"another's"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says how much memory is mapped")
def test_a_map_that_cannot_grow_leaves_the_store_usable(tmp_path):
    db = LMDBWriter(tmp_path)
    db.append(np.zeros(10))
    db.flush()
    store = LMDBStore(tmp_path)
    db.append(np.zeros(1 << 20))
    with open("/proc/self/statm") as statm:
        used = int(statm.read().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 20), hard))
    try:
        with pytest.raises(DataError, match="cannot be mapped"):
            db.flush()
        assert len(store[0]) == 10
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    db.close()
    assert [len(sample) for sample in LMDBStore(tmp_path)] == [10, 1 << 20]


def test_metadata_of_a_closed_writer_are_only_read(tmp_path):
    with LMDBWriter(tmp_path) as db:
        db.append(1)
        db.metadata["made"] = "2026"
    with pytest.raises(StreamflowError, match="the writer is closed"):
        db.metadata["made"] = "2027"
    with pytest.raises(StreamflowError, match="the writer is closed"):
        del db.metadata["made"]
    assert dict(db.metadata) == dict(LMDBStore(tmp_path).metadata) == {"made": "2026"}


def test_changes_of_metadata_are_kept_one_by_one_only_where_they_are_asked_for():
    for log, expected in [(True, [("a", "b"), ("a", None)]), (False, [])]:
        metadata = Metadata({}, log=log)
        metadata["a"] = "b"
        del metadata["a"]
        assert metadata.changes == expected
