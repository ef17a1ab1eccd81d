"""Memmap stores as they are written: what is accepted, what is seen when, what is left after an end of any kind."""

import json
import multiprocessing
import os
import signal
import threading

import numpy as np
import pytest

from streamflow import DataError, ParameterError
from streamflow.sources import MemmapStore, MemmapWriter, build_memmap_store


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def version(store):
    """Which file the index of a store is, and when it was written; whether it has been read does not matter."""
    found = (store / "index.json").stat()
    return found.st_ino, found.st_mtime_ns, found.st_size


def test_all_is_seen_at_once_when_it_is_closed(tmp_path):
    path = tmp_path / "deep" / "store"
    out = MemmapWriter(path)
    out.append(np.arange(3))
    out.flush()
    with pytest.raises(DataError, match=f"^{str(path)!r} is not finished: it is being written"):
        MemmapStore(path)
    out.close()
    out.close()
    assert MemmapStore(path)[0].tolist() == [0, 1, 2]
    assert names_in(path) == ["arrays", "index.json"]
    for call in (out.flush, lambda: out.append(1), lambda: out.add(1)):
        with pytest.raises(DataError, match=f"^the writer of {str(path)!r} is closed; open another$"):
            call()


def test_it_appends_by_default(tmp_path):
    with MemmapWriter(tmp_path) as out:
        out.add(1, {"x": 1}, name="a")
        out.metadata["made"] = "2025"
    with MemmapWriter(tmp_path) as out:
        assert len(out) == 1
        assert dict(out.metadata) == {"made": "2025"}
        out.metadata["by"] = "us"
        out.append(2)
        assert len(MemmapStore(tmp_path)) == 1, "readers see the store that was there"
    store = MemmapStore(tmp_path)
    assert [value.item() for value in store] == [1, 2]
    assert store.names == ("a", "00000001")
    assert store.entry_metadata(0) == {"x": 1}
    assert dict(store.metadata) == {"made": "2025", "by": "us"}
    with MemmapWriter(tmp_path, mode="w") as out:
        assert len(out) == 0
        assert dict(out.metadata) == {}
        out.append(3)
        assert [value.item() for value in MemmapStore(tmp_path)] == [1, 2]
    assert [value.item() for value in MemmapStore(tmp_path)] == [3]
    assert len(list((tmp_path / "arrays").rglob("*.npy"))) == 1, "the files of the old store are removed"
    assert [value.item() for value in store[:1].read(0, ragged="list")] == [1], "what is mapped stays"


def test_metadata_alone_can_be_changed(tmp_path):
    with MemmapWriter(tmp_path) as out:
        out.append(1)
        out.metadata.update(a="1", b="2")
    with MemmapWriter(tmp_path) as out:
        del out.metadata["a"]
    assert dict(MemmapStore(tmp_path).metadata) == {"b": "2"}
    before = version(tmp_path)
    with MemmapWriter(tmp_path):
        pass
    assert version(tmp_path) == before, "nothing has changed"
    assert names_in(tmp_path) == ["arrays", "index.json"]


def test_a_store_may_be_empty(tmp_path):
    with MemmapWriter(tmp_path):
        pass
    store = MemmapStore(tmp_path)
    assert len(store) == len(store[:, 3]) == len(store.scatter(0)) == 0
    assert list(store.batches(3)) == []


def test_extend_takes_rows_and_any_collection(tmp_path):
    with MemmapWriter(tmp_path) as out:
        out.extend(np.arange(6).reshape(2, 3))
        out.extend([1.5, "text"])
        out.extend(np.full(n, n) for n in range(2))
        for wrong in ({"x": [1]}, "text", 3, None):
            with pytest.raises(ParameterError, match="`arrays` must be an iterable of arrays"):
                out.extend(wrong)
    assert [value.tolist() for value in MemmapStore(tmp_path)] == [[0, 1, 2], [3, 4, 5], 1.5, "text", [], [1]]


@pytest.mark.parametrize(
    ("array", "message"),
    [
        ([[1], [1, 2]], r"entry '00000001' of .* is list of 2, expected an array: "),
        (
            np.array([None]),
            r"entry '00000001' of .* is ndarray\(object, \(1,\)\), which holds Python objects; expected",
        ),
        (np.zeros(2, [("a", "O")]), "which holds Python objects; expected"),
        ({"x": 1}, "entry '00000001' of .* is dict of 1, expected one array without a mask"),
        (np.ma.masked_equal([1, 2], 2), r"entry '00000001' of .* is MaskedArray\(int64, \(2,\)\), expected one array"),
        (None, "which holds Python objects; expected"),
        (object(), "which holds Python objects; expected"),
        (np.array(["a"], np.dtypes.StringDType()), "which holds Python objects; expected"),
    ],
)
def test_arrays_that_cannot_be_stored(tmp_path, array, message):
    with MemmapWriter(tmp_path, shard_bytes=1000) as out:
        out.append(1)
        with pytest.raises(DataError, match=message) as caught:
            out.append(array)
        assert "\n" not in str(caught.value)
        out.append(2)
    assert [value.item() for value in MemmapStore(tmp_path)] == [1, 2]


def test_names_differ(tmp_path):
    with MemmapWriter(tmp_path) as out:
        out.add(1, name="a")
        with pytest.raises(DataError, match=f"^{str(tmp_path)!r} has an entry 'a' already; choose another name$"):
            out.add(2, name="a")
        with pytest.raises(ParameterError, match="`name` must be None or a str"):
            out.add(2, name=3)
        for name in ("../up", "/root", "a/b", "", "a" * 300, "\0", "A", "\udcff"):
            out.add(2, name=name)
    with MemmapWriter(tmp_path) as out, pytest.raises(DataError, match="has an entry 'a' already"):
        out.add(2, name="a")
    assert MemmapStore(tmp_path).names[1:] == ("../up", "/root", "a/b", "", "a" * 300, "\0", "A", "\udcff")


def test_an_unnamed_entry_takes_the_next_free_number(tmp_path):
    with MemmapWriter(tmp_path) as out:
        out.add(0, name="00000001")
        out.append(1)
        out.add(2, name="00000003")
        out.append(3)
        out.append(4)
    with MemmapWriter(tmp_path) as out:
        out.append(5)
    store = MemmapStore(tmp_path)
    assert [value.item() for value in store] == list(range(6))
    assert store.names == tuple(f"{number:08d}" for number in range(1, 7))


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ([1], "`metadata` must be a mapping, got"),
        ({1: 2}, "`metadata` must be a mapping with str keys, got 1"),
        ({"a": {"b": object()}}, r"`metadata\['a'\]\['b'\]` must be a str, a number, None, or lists and mappings"),
        ({"a": [1, b"x"]}, r"`metadata\['a'\]\[1\]` must be a str"),
    ],
)
def test_metadata_are_what_json_has(tmp_path, metadata, message):
    with MemmapWriter(tmp_path) as out:
        with pytest.raises(ParameterError, match=message):
            out.add(1, metadata)
        assert len(out) == 0


def test_metadata_of_the_store_are_text(tmp_path):
    with MemmapWriter(tmp_path) as out:
        for key, value in [("a", 1), (1, "a"), ("a", None)]:
            with pytest.raises(ParameterError, match="`metadata"):
                out.metadata[key] = value
        assert repr(out.metadata) == "{}"


@pytest.mark.parametrize(
    "wrong",
    [
        {"mode": "r"},
        {"mode": ["a"]},
        {"mode": None},
        {"shard_bytes": 0},
        {"shard_bytes": True},
        {"shard_bytes": 1e6},
        {"path": 3},
        {"path": b"x"},
    ],
)
def test_parameters(tmp_path, wrong):
    [name] = wrong
    with pytest.raises(ParameterError, match=f"`{name}` must be"):
        MemmapWriter(**{"path": tmp_path / "new", **wrong})
    assert names_in(tmp_path) == []


def test_a_relative_path_stays_what_it_was(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "deep").mkdir()
    out = MemmapWriter("store", shard_bytes=10)
    out.append(np.arange(3))
    monkeypatch.chdir(tmp_path / "deep")
    out.append(np.arange(4))
    out.close()
    assert names_in(tmp_path / "deep") == []
    assert [len(array) for array in MemmapStore("../store")] == [3, 4]


def test_what_was_added_before_an_error_can_be_continued(tmp_path):
    with pytest.raises(KeyError), MemmapWriter(tmp_path) as out:
        out.add(1, name="a")
        out.metadata["x"] = "kept"
        raise KeyError
    with pytest.raises(DataError, match="is not finished"):
        MemmapStore(tmp_path)
    with MemmapWriter(tmp_path) as out:
        assert len(out) == 1
        assert dict(out.metadata) == {"x": "kept"}, "as entries are"
        out.add(2, name="b")
    store = MemmapStore(tmp_path)
    assert store.names == ("a", "b")
    assert dict(store.metadata) == {"x": "kept"}


def test_metadata_go_with_the_entries_that_follow(tmp_path):
    def writes():
        out = MemmapWriter(tmp_path)
        out.metadata["x"] = "1"
        out.append(1)
        out.metadata["x"] = "2"  # nothing follows
        os.kill(os.getpid(), signal.SIGKILL)

    worker = multiprocessing.get_context("fork").Process(target=writes)
    worker.start()
    worker.join(60)
    with MemmapWriter(tmp_path) as out:
        assert dict(out.metadata) == {"x": "1"}
        assert len(out) == 1
        lines = (tmp_path / "journal.jsonl").read_text().splitlines()
        assert sum('"metadata": {"x"' in line for line in lines) == 1, "once, as long as it is the same"


def test_an_error_with_nothing_written_leaves_a_store_as_it_was(tmp_path):
    with MemmapWriter(tmp_path) as out:
        out.append(1)
    before = version(tmp_path)
    with pytest.raises(KeyError), MemmapWriter(tmp_path):
        raise KeyError
    with MemmapWriter(tmp_path):
        pass
    assert version(tmp_path) == before
    assert names_in(tmp_path) == ["arrays", "index.json"]


def test_what_was_flushed_is_continued_with_its_metadata(tmp_path):
    with pytest.raises(KeyError), MemmapWriter(tmp_path, shard_bytes=10**6) as out:
        out.append(1)
        out.metadata["x"] = "kept"
        out.flush()
        out.append(2)
        raise KeyError
    with MemmapWriter(tmp_path) as out:
        assert dict(out.metadata) == {"x": "kept"}
    assert [value.item() for value in MemmapStore(tmp_path)] == [1, 2]
    assert dict(MemmapStore(tmp_path).metadata) == {"x": "kept"}


def test_mode_w_drops_what_was_left(tmp_path):
    for _ in range(2):
        with pytest.raises(KeyError), MemmapWriter(tmp_path, mode="w") as out:
            out.append(1)
            raise KeyError
    with MemmapWriter(tmp_path, mode="w") as out:
        out.append(3)
    assert [value.item() for value in MemmapStore(tmp_path)] == [3]
    assert len(list((tmp_path / "arrays").rglob("*.npy"))) == 1


def test_one_writer_at_a_time(tmp_path):
    with MemmapWriter(tmp_path) as out:
        out.append(1)
        for again in (lambda: MemmapWriter(tmp_path), lambda: MemmapWriter(tmp_path, mode="w")):
            with pytest.raises(DataError, match=f"^{str(tmp_path)!r} is being written by another writer; wait"):
                again()
    MemmapWriter(tmp_path).close()
    assert len(MemmapStore(tmp_path)) == 1


def test_threads_may_share_a_writer(tmp_path):
    with MemmapWriter(tmp_path, shard_bytes=5000) as out:
        threads = [threading.Thread(target=lambda n=n: out.extend([np.full(n, n)] * 50)) for n in range(1, 9)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    lengths = [len(array) for array in MemmapStore(tmp_path) if (array == len(array)).all()]
    assert sorted(lengths) == sorted(list(range(1, 9)) * 50)


def test_threads_may_all_close_it(tmp_path):
    for trial in range(5):
        out, wrong, gate = MemmapWriter(tmp_path / str(trial)), [], threading.Barrier(6)
        out.extend(range(20))

        def closes(out=out, wrong=wrong, gate=gate):
            gate.wait()
            try:
                out.close()
            except Exception as error:
                wrong.append(error)

        threads = [threading.Thread(target=closes) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert wrong == []
        assert len(MemmapStore(tmp_path / str(trial))) == 20


def test_nothing_of_others_is_touched(tmp_path):
    (tmp_path / "thesis.txt").write_text("x")
    (tmp_path / "source").mkdir()
    np.save(tmp_path / "source" / "a.npy", np.arange(3))
    for call in (
        lambda: MemmapWriter(tmp_path),
        lambda: MemmapWriter(tmp_path, mode="w"),
        lambda: build_memmap_store(tmp_path / "source", tmp_path, overwrite=True),
    ):
        with pytest.raises(
            DataError, match="holds 'source', which is not part of a memmap store; choose an empty folder"
        ):
            call()
    with pytest.raises(DataError, match=r"thesis.txt' is a file, expected a folder for a memmap store"):
        MemmapWriter(tmp_path / "thesis.txt")
    assert names_in(tmp_path) == ["source", "thesis.txt"]


def test_a_damaged_store_can_be_replaced_but_not_joined(tmp_path):
    with MemmapWriter(tmp_path) as out:
        out.append(1)
    (tmp_path / "index.json").write_text("{")
    with pytest.raises(DataError, match="is damaged"):
        MemmapWriter(tmp_path)
    with MemmapWriter(tmp_path, mode="w") as out:
        out.append(2)
    assert [value.item() for value in MemmapStore(tmp_path)] == [2]


def test_a_full_disk_spoils_nothing(tmp_path, monkeypatch):
    with MemmapWriter(tmp_path, shard_bytes=10**6) as out:
        out.append(np.arange(3))
        with monkeypatch.context() as patch:
            patch.setattr("streamflow.sources.memmap.arrays._write", full)
            with pytest.raises(OSError, match="No space left"):
                out.append(np.arange(4))
        out.append(np.arange(5))
    assert [len(array) for array in MemmapStore(tmp_path)] == [3, 5]
    assert len(list((tmp_path / "arrays").rglob("*.shard"))) == 2, "nothing follows what is not whole"


def test_what_was_added_before_a_disk_was_full_can_be_continued(tmp_path, monkeypatch):
    def fails(store, index):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("streamflow.sources.memmap.journal.write_index", fails)
        with pytest.raises(OSError, match="No space left") as kept, MemmapWriter(tmp_path) as out:
            out.append(np.arange(3))
            out.metadata["x"] = "kept"
    with MemmapWriter(tmp_path) as again:
        again.append(np.arange(4))
    assert kept.value.errno == 28
    assert [len(array) for array in MemmapStore(tmp_path)] == [3, 4]
    assert dict(MemmapStore(tmp_path).metadata) == {"x": "kept"}


def full(file, data):
    file.write(data[:3])
    raise OSError(28, "No space left on device")


# ---------------------------------------------------------------------- interrupted
def left_behind(tmp_path, *notes, cut=0):
    """A store that was left with these notes in its journal."""
    with pytest.raises(KeyError), MemmapWriter(tmp_path) as out:
        out.extend([np.arange(3), np.arange(4)])
        raise KeyError
    journal = tmp_path / "journal.jsonl"
    text = journal.read_bytes()
    journal.write_bytes(text[: len(text) - cut] + b"".join(notes))


@pytest.mark.parametrize("cut", [1, 5, 100])
def test_a_line_that_was_not_finished_is_not_there(tmp_path, cut):
    left_behind(tmp_path, cut=cut)
    with pytest.raises(KeyError), MemmapWriter(tmp_path) as out:
        assert len(out) == 1
        out.append(np.arange(5))
        raise KeyError
    MemmapWriter(tmp_path).close()
    assert [len(array) for array in MemmapStore(tmp_path)] == [3, 5]


def test_an_entry_whose_file_is_not_whole_is_not_there(tmp_path):
    left_behind(tmp_path)
    last = max((tmp_path / "arrays").rglob("*.npy"))
    os.truncate(last, last.stat().st_size - 1)
    with MemmapWriter(tmp_path) as out:
        assert len(out) == 1


def test_a_journal_that_is_damaged(tmp_path):
    left_behind(tmp_path, b"{}\n")
    with pytest.raises(DataError, match=r"journal.jsonl' is damaged, expected the journal of a memmap store$"):
        MemmapWriter(tmp_path)
    MemmapWriter(tmp_path, mode="w").close()
    assert len(MemmapStore(tmp_path)) == 0


def test_a_journal_that_is_in_the_index_counts_once(tmp_path):
    left_behind(tmp_path)
    journal = (tmp_path / "journal.jsonl").read_bytes()
    MemmapWriter(tmp_path).close()
    assert len(MemmapStore(tmp_path)) == 2
    (tmp_path / "journal.jsonl").write_bytes(journal)  # as if killed between the new index and the end
    with MemmapWriter(tmp_path) as out:
        assert len(out) == 2
        out.append(np.arange(5))
    assert [len(array) for array in MemmapStore(tmp_path)] == [3, 4, 5]


def test_files_that_nothing_refers_to_are_removed_by_the_next_writer(tmp_path):
    with MemmapWriter(tmp_path) as out:
        out.append(1)
    for folder in ("of-another", next((tmp_path / "arrays").iterdir()).name):  # as if killed before they were noted
        (tmp_path / "arrays" / folder).mkdir(exist_ok=True)
        (tmp_path / "arrays" / folder / "x.npy").write_text("x")
    MemmapWriter(tmp_path).close()
    assert len(list((tmp_path / "arrays").rglob("*"))) == 2
    assert MemmapStore(tmp_path)[0] == 1


WRITE = """
import sys
import numpy as np
from streamflow.sources import MemmapWriter
path, seed, shard_bytes = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]) or None
rng = np.random.default_rng(seed)
out = MemmapWriter(path, shard_bytes=shard_bytes)
print("open", flush=True)
while True:
    n = len(out)
    out.add(np.full((n % 50, 7), n), {"n": n})
    print(n, flush=True)
    if rng.random() < 0.02:
        out.metadata["flushed"] = str(n)
        out.flush()
    if rng.random() < 0.005:
        out.close()
        print("closed", n, flush=True)
        out = MemmapWriter(path, shard_bytes=shard_bytes)
"""


@pytest.mark.parametrize("shard_bytes", [None, 20_000])
def test_killed_at_random_moments(tmp_path, shard_bytes, zygote):
    rng = np.random.default_rng(0)
    closed = written = 0
    for seed in range(6):
        with zygote.start("-c", WRITE, tmp_path, seed, shard_bytes or 0, stderr=None) as writer:
            for _ in range(int(rng.integers(1, 200))):
                line = writer.stdout.readline()
                assert line, "it has failed"
            writer.send_signal(signal.SIGKILL)
            lines = [line, *writer.stdout.read().splitlines()]
        words = " ".join(lines).split()
        numbers = [int(word) for word in words if word.isdigit()]
        if closed == 0 and "index.json" not in names_in(tmp_path):
            with pytest.raises(DataError, match="is not finished|holds no memmap store"):
                MemmapStore(tmp_path)
        else:
            store = MemmapStore(tmp_path)
            assert len(store) >= closed
            check_numbers(store)
            closed = len(store)
        out = MemmapWriter(tmp_path)
        assert len(out) >= max([written, *[number + 1 for number in numbers]])
        written = len(out)
        out._session.close()  # as if killed too
    MemmapWriter(tmp_path).close()
    store = MemmapStore(tmp_path)
    assert len(store) == written > 100
    check_numbers(store)
    files = {str(path.relative_to(tmp_path)) for path in (tmp_path / "arrays").rglob("*") if path.is_file()}
    listed = json.loads((tmp_path / "index.json").read_text())["entries"]
    assert files == {entry["file"] for entry in listed}


def check_numbers(store):
    for place, array in enumerate(store):
        assert array.shape == (place % 50, 7)
        assert (array == place).all()
        assert store.entry_metadata(place) == {"n": place}
