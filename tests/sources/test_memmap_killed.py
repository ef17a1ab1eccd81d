"""What a killed writing of a memmap store leaves behind, and who tidies it."""

import itertools
import json
import multiprocessing
import os
import pickle
import signal

import numpy as np
import pytest

from streamflow import DataError, ParameterError
from streamflow.sources import MemmapStore, MemmapWriter, build_memmap_store


@pytest.fixture
def corpus(tmp_path):
    (tmp_path / "corpus").mkdir()
    for number in range(3):
        np.save(tmp_path / "corpus" / f"{number}.npy", number)
    return tmp_path / "corpus"


@pytest.fixture
def target(tmp_path):
    return tmp_path / "target"


def load(path):
    return np.load(path) * 10


def values(store):
    return [array.item() for array in store]


def stray(store):
    """Everything in the folder of a store that a finished one does not have."""
    listed = {entry["file"] for entry in json.loads((store / "index.json").read_text())["entries"]}
    found = {path.relative_to(store).as_posix() for path in store.rglob("*") if path.is_file()}
    return sorted(found - listed - {"index.json"})


def killed_when(run, name):
    """Call a function in a process that is killed when it gets to another one, named by module and name."""

    def dies(*args, **kwargs):
        os.kill(os.getpid(), signal.SIGKILL)

    def child():
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(name, dies)
            run()

    worker = multiprocessing.get_context("fork").Process(target=child)
    worker.start()
    worker.join(60)
    assert worker.exitcode == -signal.SIGKILL


#: Where a finished writing may be killed: before the index is replaced, or after it.
MOMENTS = ["pathlib.Path.replace", "streamflow.sources.memmap.journal.Session._tidy", "pathlib.Path.unlink"]


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("mode", ["a", "w"])
def test_what_a_killed_writer_leaves_is_tidied_by_the_next(tmp_path, moment, mode):
    with MemmapWriter(tmp_path) as out:
        out.extend([np.arange(3), np.arange(4)])

    def writes():
        with MemmapWriter(tmp_path, mode=mode) as out:
            out.append(np.arange(5))

    killed_when(writes, moment)
    assert stray(tmp_path) != []
    seen = [len(array) for array in MemmapStore(tmp_path)]
    assert seen == ([3, 4] if moment == MOMENTS[0] else [3, 4, 5] if mode == "a" else [5])
    if mode == "w" and moment == MOMENTS[0]:
        with pytest.raises(DataError, match="an unfinished replacement of the finished store; reopen with mode='w'"):
            MemmapWriter(tmp_path)
        (tmp_path / "journal.jsonl").unlink()
    MemmapWriter(tmp_path).close()
    assert [len(array) for array in MemmapStore(tmp_path)] == (seen if mode == "w" else [3, 4, 5])
    assert stray(tmp_path) == []


@pytest.mark.parametrize("added", [0, 1])
def test_a_finished_store_is_never_lost_by_adding_to_it(tmp_path, added):
    """Whatever a writer that was to replace it has left."""
    with MemmapWriter(tmp_path) as out:
        out.extend([np.arange(3), np.arange(4)])
    with pytest.raises(KeyError), MemmapWriter(tmp_path, mode="w") as out:
        out.extend([np.arange(5)] * added)
        raise KeyError
    if added:
        for _ in range(2):
            with pytest.raises(
                DataError, match="an unfinished replacement of the finished store; reopen with mode='w'"
            ):
                MemmapWriter(tmp_path)
            assert len(MemmapStore(tmp_path)) == 2
        with MemmapWriter(tmp_path, mode="w") as out:
            assert len(out) == 0
            out.extend([np.arange(3), np.arange(4)])
    with MemmapWriter(tmp_path) as out:
        assert len(out) == 2
        out.append(np.arange(6))
    assert [len(array) for array in MemmapStore(tmp_path)] == [3, 4, 6]


def test_what_cannot_be_tidied_does_no_harm(tmp_path, monkeypatch):
    with MemmapWriter(tmp_path) as out:
        out.append(np.arange(3))
    (tmp_path / "arrays" / "strange").write_text("x")

    def fails(self, missing_ok=False):
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch, MemmapWriter(tmp_path, mode="w") as out:
        out.append(np.arange(4))
        patch.setattr("pathlib.Path.unlink", fails)
    assert len(MemmapStore(tmp_path)[0]) == 4
    assert len(stray(tmp_path)) == 3
    with MemmapWriter(tmp_path) as out:
        out.append(np.arange(5))
    assert [len(array) for array in MemmapStore(tmp_path)] == [4, 5]
    assert stray(tmp_path) == []


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("overwrite", [False, True])
def test_what_a_killed_building_leaves_is_tidied_by_the_same_call(corpus, target, moment, overwrite):
    if overwrite:
        build_memmap_store(corpus, target)
    killed_when(lambda: build_memmap_store(corpus, target, load, overwrite=overwrite), moment)
    assert stray(target) != [] if overwrite or moment != MOMENTS[0] else not (target / "index.json").exists()
    if moment == MOMENTS[0]:
        store = build_memmap_store(corpus, target, load, overwrite=overwrite)
    else:
        store = build_memmap_store(corpus, target, load)
    assert values(store) == [0, 10, 20]
    assert stray(target) == []


def test_a_finished_store_is_opened_beside_an_unfinished_one(corpus, target):
    """What another call has left stays for that."""
    build_memmap_store(corpus, target)
    for _ in range(2):
        with pytest.raises(KeyError), MemmapWriter(target, mode="w") as out:
            raise KeyError
        assert values(build_memmap_store(corpus, target)) == [0, 1, 2]
    with pytest.raises(KeyError), MemmapWriter(target, mode="w") as out:
        out.append(1)
        raise KeyError
    assert values(build_memmap_store(corpus, target)) == [0, 1, 2]
    with MemmapWriter(target, mode="w") as out:
        out.append(1)
        assert values(build_memmap_store(corpus, target)) == [0, 1, 2]
    assert len(MemmapStore(target)) == 1


def test_what_progress_does_not_give_back_is_not_finished(corpus, target):
    with pytest.raises(DataError, match="`progress` must pass on every result, got 2 of 3; the same call resumes"):
        build_memmap_store(corpus, target, progress=lambda results, total: itertools.islice(results, 2))
    with pytest.raises(DataError, match="is not finished"):
        MemmapStore(target)
    assert values(build_memmap_store(corpus, target)) == [0, 1, 2]


def test_a_store_that_was_pickled_is_the_same_or_is_refused(tmp_path):
    with MemmapWriter(tmp_path / "here") as out:
        out.extend([np.arange(3), np.arange(4)])
    store = MemmapStore(tmp_path / "here")
    kept = pickle.dumps(store)
    with MemmapWriter(tmp_path / "here") as out:
        out.append(np.arange(5))
        out.metadata["x"] = "y"
    again = pickle.loads(kept)
    assert [len(entry) for entry in again] == [3, 4], "what was added is not its own"
    assert again._label() == store._label() == repr(pickle.loads(kept))
    with MemmapWriter(tmp_path / "here", mode="w") as out:  # of the same names, dtypes and shapes
        out.extend([np.arange(3) * 10, np.arange(4) * 10])
    message = "here' has been replaced since it was opened; open it again$"
    with pytest.raises(DataError, match=message):
        len(pickle.loads(kept))
    with pytest.raises(DataError, match=message):
        store.read([0])
    assert MemmapStore(tmp_path / "here")._label() == store._label(), "states are taken"


def test_hidden_files_and_what_is_not_a_file_are_left_out(corpus, target):
    for name in (".git/objects/x.npy", "deep/.ipynb_checkpoints/y.npy", ".z.npy"):
        (corpus / name).parent.mkdir(parents=True, exist_ok=True)
        np.save(corpus / name, 5)
    os.mkfifo(corpus / "pipe.npy")
    assert build_memmap_store(corpus, target).names == ("0.npy", "1.npy", "2.npy")
    assert build_memmap_store(corpus, target, pattern=".*.npy", overwrite=True).names == (".z.npy",)


@pytest.mark.parametrize(
    "line",
    [
        '{"metadata": 5}',
        '{"metadata": {"a": 1}}',
        "[]",
        "5",
        '{"entry": {"name": "x", "file": "arrays/x", "offset": 0, "header": 128, "dtype": "[(", "shape": []}}',
        "[" * 5000,
    ],
)
def test_a_journal_with_an_odd_line_is_damaged(tmp_path, line):
    with pytest.raises(KeyError), MemmapWriter(tmp_path) as out:
        out.append(1)
        raise KeyError
    with (tmp_path / "journal.jsonl").open("a") as journal:
        journal.write(f"{line}\n")
    with pytest.raises(DataError, match="journal.jsonl' is damaged, expected the journal of a memmap store$"):
        MemmapWriter(tmp_path)


def test_wrong_arguments_are_reported_in_one_line(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(DataError, match="link' is a broken link, expected a folder for a memmap store$"):
        MemmapWriter(tmp_path / "link")
    for call in (MemmapWriter, MemmapStore):
        with pytest.raises(ParameterError, match="`path` must be a path, got"):
            call("a\0b")
    deep = {}
    for _ in range(100_000):
        deep = {"a": deep}
    with MemmapWriter(tmp_path / "store") as out:
        for metadata in (deep, {"i": 10**5000}):
            with pytest.raises(ParameterError, match="^`metadata` must be JSON-serializable, got dict of 1: "):
                out.add(1, metadata)
        with pytest.raises(ParameterError, match="`arrays` must be an iterable of arrays"):
            out.extend(np.array(5))
        with pytest.raises(DataError, match="entry '00000000' of '.*store' is "):
            out.add([object()])
    assert len(MemmapStore(tmp_path / "store")) == 0
