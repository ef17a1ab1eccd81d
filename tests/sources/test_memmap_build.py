"""Memmap stores built from folders: what becomes an entry, what is skipped, what is gone on with."""

import os
import signal
import time
from pathlib import Path

import joblib
import numpy as np
import pytest

from streamflow import DataError, ParameterError, WorkerDied
from streamflow.sources import MemmapStore, MemmapWriter, build_memmap_store

from ..amount import amount

NAMES = ["a.npy", "a-b/x.npy", "a/b/c.npy", "a/x.npy", "b.npy", "B.npy", "10.npy", "9.npy", "ä ö.npy"]


@pytest.fixture
def corpus(tmp_path):
    root = tmp_path / "corpus"
    for number, name in enumerate(NAMES):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        np.save(root / name, np.full((number + 1, 2), number))
    (root / "notes.txt").write_text("1 2 3")
    (root / "folder.npy").mkdir()
    return root


@pytest.fixture
def target(tmp_path):
    return tmp_path / "parsed"


@pytest.fixture(scope="module", autouse=True)
def _no_workers_stay():
    yield
    fresh_workers()


def fresh_workers():
    """End the workers that joblib keeps, which know the environment of the time when they began."""
    joblib.externals.loky.get_reusable_executor().shutdown(wait=True, kill_workers=True)


def load(path):
    """An array with metadata; a line in a log for each call, where there is one."""
    if "LOADED" in os.environ:
        with open(os.environ["LOADED"], "a") as log:
            log.write(f"{path}\n")
    return np.load(path) * 2, {"stem": Path(path).stem}


@pytest.fixture
def loaded(tmp_path, monkeypatch):
    """The names of the files that `load` was called for since it was last asked."""
    log = tmp_path / "log"
    log.touch()
    monkeypatch.setenv("LOADED", str(log))

    def names():
        lines = log.read_text().splitlines()
        log.write_text("")
        return [os.path.relpath(line, tmp_path / "corpus") for line in lines]

    return names


def check(store, names, *, factor=2):
    assert list(store.names) == names
    for array, name in zip(store, names, strict=True):
        number = NAMES.index(name)
        assert array.tolist() == [[number * factor] * 2] * (number + 1)


def version(store):
    """Which file the index of a store is, and when it was written; whether it has been read does not matter."""
    found = (store / "index.json").stat()
    return found.st_ino, found.st_mtime_ns, found.st_size


def in_order(root):
    return [path.relative_to(root).as_posix() for path in sorted(root.rglob("*.npy")) if path.is_file()]


@pytest.mark.parametrize("n_workers", [1, 3])
@pytest.mark.parametrize("shard_bytes", [None, 300])
def test_entries_are_the_files_in_the_order_of_their_paths(corpus, target, n_workers, shard_bytes):
    store = build_memmap_store(corpus, target, load, n_workers=n_workers, shard_bytes=shard_bytes)
    assert sorted(NAMES) == sorted(in_order(corpus))
    check(store, in_order(corpus))
    assert store.entry_metadata(0) == {"stem": Path(in_order(corpus)[0]).stem}
    assert sorted(path.name for path in target.iterdir()) == ["arrays", "index.json"]
    assert dict(store.skipped) == dict(store.metadata) == {}


def test_without_load_files_are_npy(corpus, target):
    check(build_memmap_store(str(corpus), str(target)), in_order(corpus), factor=1)


def test_patterns(corpus, target, tmp_path):
    texts = build_memmap_store(corpus, target, load=np.loadtxt, pattern="*.txt")
    assert texts.names == ("notes.txt",)
    assert texts[0].tolist() == [1, 2, 3]
    check(build_memmap_store(corpus, tmp_path / "1", load, pattern="[ab].npy"), ["a.npy", "b.npy"])
    check(
        build_memmap_store(corpus, tmp_path / "2", load, pattern=["9*", "a.*", "[0-9]*"]), ["10.npy", "9.npy", "a.npy"]
    )
    for wrong in ("", [], [3], "/x"):
        with pytest.raises(ParameterError, match="`pattern` must be"):
            build_memmap_store(corpus, tmp_path / "3", load, pattern=wrong)


def test_a_target_inside_is_not_part_of_it(corpus):
    first = build_memmap_store(corpus, corpus / "parsed", load)
    assert sorted(first.names) == sorted(NAMES)
    assert build_memmap_store(corpus, corpus / "parsed", load).names == first.names


def test_where_there_is_nothing_to_build_from(corpus, target, tmp_path):
    (tmp_path / "empty").mkdir()
    for root, message in [
        (tmp_path / "missing", "does not exist, expected a folder of files to build a store from"),
        (corpus / "a.npy", "is a file, expected a folder of files to build a store from"),
        (tmp_path / "empty", r"has no file that matches '\*.npy'"),
    ]:
        with pytest.raises(DataError, match=f"^{str(root)!r} {message}$"):
            build_memmap_store(root, target)
    assert not target.exists()


@pytest.mark.parametrize(
    "wrong",
    [
        {"root": 3},
        {"target": None},
        {"load": 3},
        {"n_workers": 0},
        {"n_workers": True},
        {"n_workers": 1.0},
        {"on_error": "x"},
        {"on_error": ["skip"]},
        {"on_error": np.array(["skip", "skip"])},
        {"shard_bytes": 0},
        {"progress": 3},
        {"progress": "no"},
        {"overwrite": "false"},
        {"overwrite": 0},
        {"overwrite": None},
        {"pattern": None},
        {"pattern": 3},
        {"pattern": b"*.npy"},
        {"pattern": {"*.npy": 1}},
    ],
)
def test_parameters(corpus, target, wrong):
    [name] = wrong
    with pytest.raises(ParameterError, match=f"`{name}` must be"):
        build_memmap_store(**{"root": corpus, "target": target, **wrong})
    assert not target.exists()


def test_flags_of_numpy(corpus, target, capsys):
    build_memmap_store(corpus, target, progress=np.False_)
    assert capsys.readouterr().err == ""
    build_memmap_store(corpus, target, load, progress=np.True_, overwrite=np.True_)
    assert "100%" in capsys.readouterr().err


def test_relative_paths(corpus, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fresh_workers()
    check(build_memmap_store("corpus", "one", load, n_workers=2), in_order(corpus))  # its workers stay
    (tmp_path / "deep").mkdir()
    monkeypatch.chdir(tmp_path / "deep")
    check(build_memmap_store("../corpus", "two", load, n_workers=2), in_order(corpus))

    def moves(path):
        os.chdir(tmp_path)
        return load(path)

    store = build_memmap_store("../corpus", "three", moves)
    check(store, in_order(corpus))
    assert sorted(path.name for path in (tmp_path / "deep").iterdir()) == ["three", "two"]


def test_progress(corpus, target, tmp_path, capsys):
    seen = []

    def wraps(files, total):
        for file in files:
            seen.append(total)
            yield file

    build_memmap_store(corpus, target, load, progress=wraps)
    assert seen == [len(NAMES)] * len(NAMES)
    build_memmap_store(corpus, tmp_path / "2", load, progress=True, n_workers=2)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.split("\r")[-1] == f"{'#' * 20} 100% {len(NAMES)} of {len(NAMES)} files\n"
    build_memmap_store(corpus, tmp_path / "3", load)
    assert capsys.readouterr() == ("", "")


# ---------------------------------------------------------------------- finished
def test_a_finished_store_is_opened(corpus, target, loaded):
    build_memmap_store(corpus, target, load)
    assert len(loaded()) == len(NAMES)
    before = version(target)
    check(build_memmap_store(corpus, target, load), in_order(corpus))
    assert loaded() == []
    assert version(target) == before


def _add(root):
    np.save(root / "new.npy", 1)


def _touch(root):
    os.utime(root / "b.npy", ns=(1, 1))


@pytest.mark.parametrize(
    ("change", "settings", "message"),
    [
        (
            _add,
            {},
            r"was built from other files \('new.npy' is new\); pass overwrite=True",
        ),
        (lambda root: (root / "b.npy").unlink(), {}, r"was built from other files \('b.npy' is gone\)"),
        (_touch, {}, r"was built from other files \('b.npy' has changed\)"),
        (lambda root: [_add(root / name) for name in ("a", "a/b")], {}, r"\('a/b/new.npy' is new, and 1 more\)"),
        (lambda root: None, {"load": None}, "was built with load='load', now None; pass overwrite=True"),
        (lambda root: None, {"pattern": "*.np?"}, r"was built with pattern=\['\*.npy'\], now \['\*.np\?'\]"),
    ],
)
def test_a_finished_store_of_something_else_raises(corpus, target, change, settings, message):
    build_memmap_store(corpus, target, load)
    change(corpus)
    settings = {"load": load, **settings}
    with pytest.raises(DataError, match=f"^{str(target)!r} .*{message}"):
        build_memmap_store(corpus, target, **settings)
    assert len(MemmapStore(target)) == len(NAMES)
    store = build_memmap_store(corpus, target, **settings, overwrite=True)
    assert list(store.names) == in_order(corpus)


def test_a_store_that_was_not_built_raises(corpus, target):
    with MemmapWriter(target) as out:
        out.append(1)
    with pytest.raises(DataError, match="holds entries that were not built from a folder of files; pass overwrite"):
        build_memmap_store(corpus, target)
    check(build_memmap_store(corpus, target, load, overwrite=True), in_order(corpus))
    with MemmapWriter(target) as out:
        out.metadata["made"] = "2026"
    assert build_memmap_store(corpus, target, load).metadata["made"] == "2026"
    with MemmapWriter(target) as out:
        out.append(1)
    with pytest.raises(DataError, match="holds entries that were not built"):
        build_memmap_store(corpus, target, load)


def test_overwriting_shows_the_old_store_until_the_new_one_is_whole(corpus, target):
    build_memmap_store(corpus, target, load)

    def other(path):
        check(MemmapStore(target), in_order(corpus))
        return np.load(path) * 3

    store = build_memmap_store(corpus, target, other, overwrite=True)
    check(store, in_order(corpus), factor=3)
    assert len([path for path in (target / "arrays").rglob("*") if path.is_file()]) == len(NAMES)


# ---------------------------------------------------------------------- files that cannot be loaded
def fails(path):
    if Path(path).name in {"b.npy", "9.npy"}:
        raise KeyError("no\nsuch thing")
    return load(path)


# A thread of joblib may stumble over the end of its pool.
@pytest.mark.filterwarnings(
    "ignore:Exception in thread ExecutorManagerThread:pytest.PytestUnhandledThreadExceptionWarning"
)
@pytest.mark.parametrize("n_workers", [1, 2])
def test_an_error_names_the_file_and_the_same_call_resumes(corpus, target, n_workers, loaded, monkeypatch):
    with pytest.raises(DataError, match="npy' cannot be loaded: KeyError: 'no") as caught:
        build_memmap_store(corpus, target, fails, n_workers=n_workers)
    assert "\n" not in str(caught.value)
    assert "in fails" in "".join(caught.value.__notes__)
    with pytest.raises(DataError, match="is not finished"):
        MemmapStore(target)
    first = loaded()
    monkeypatch.setattr(load, "__name__", "fails")  # as if it had been mended
    check(build_memmap_store(corpus, target, load, n_workers=n_workers), in_order(corpus))
    if n_workers == 1:
        assert sorted(first + loaded()) == sorted(NAMES), "each is loaded once"


@pytest.mark.parametrize("n_workers", [1, 2])
def test_files_can_be_skipped_and_are_listed(corpus, target, n_workers):
    left_out = ["9.npy", "b.npy"]
    message = (
        rf"^2 of 9 files were left out of {str(target)!r} \(`skipped` lists them\): '9.npy': KeyError: .*; 'b.npy': Key"
    )
    with pytest.warns(UserWarning, match=message) as warned:
        store = build_memmap_store(corpus, target, fails, n_workers=n_workers, on_error="skip")
    assert warned[0].filename == __file__
    check(store, [name for name in in_order(corpus) if name not in left_out])
    assert list(store.skipped) == left_out
    assert store.skipped["b.npy"] == r"KeyError: 'no\nsuch thing'"
    assert MemmapStore(target).skipped == store.skipped
    assert len(build_memmap_store(corpus, target, fails, on_error="skip")) == 7
    with pytest.raises(DataError, match=r"was built without '9.npy' \(KeyError.*\); pass overwrite=True"):
        build_memmap_store(corpus, target, fails)
    _touch(corpus)
    with pytest.raises(DataError, match=r"\('b.npy' has changed\)"):
        build_memmap_store(corpus, target, fails, on_error="skip")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: os.truncate(path, 130), r"b.npy' is truncated: "),
        (lambda path: path.write_bytes(b""), r"b.npy' is empty, not a file written by NumPy"),
        (lambda path: path.write_bytes(b"text"), r"b.npy' is not a .npy file or is damaged"),
        (
            lambda path: np.save(path, np.array([None]), allow_pickle=True),
            r"b.npy' holds Python objects; NpySource with allow_pickle=True",
        ),
        (lambda path: (path.unlink(), path.symlink_to("nowhere")), r"b.npy' cannot be read: no such file"),
    ],
)
def test_bad_npy_files(corpus, target, spoil, message):
    spoil(corpus / "b.npy")
    with pytest.raises(DataError, match=message) as caught:
        build_memmap_store(corpus, target)
    assert str(corpus / "b.npy") in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.warns(UserWarning, match="1 of 9 files were left out"):
        store = build_memmap_store(corpus, target, on_error="skip")
    check(store, [name for name in in_order(corpus) if name != "b.npy"], factor=1)


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ((1, 2, 3), "`load` returned a tuple of 3, expected an array and a mapping"),
        ((np.zeros(1), 3), "`load` returned a tuple of 2, expected an array and a mapping"),
        (None, "what `load` returned for .* which holds Python objects"),
        ((np.zeros(1), {"a": object()}), r"ParameterError: `metadata\['a'\]` must be a str, a number"),
        ([[1], [1, 2]], "what `load` returned for .* is list of 2, expected an array"),
    ],
)
def test_what_load_must_give(corpus, target, result, message):
    with pytest.raises(DataError, match=message) as caught:
        build_memmap_store(corpus, target, lambda path: result)
    assert str(corpus) in str(caught.value)


def test_all_files_bad(corpus, target):
    with pytest.raises(DataError, match="cannot be loaded: ZeroDivisionError"):
        build_memmap_store(corpus, target, lambda path: 1 / 0, on_error="skip")


def test_a_full_disk_is_no_reason_to_skip(corpus, target, monkeypatch):
    def full(file, data):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("streamflow.sources.memmap.arrays._write", full)
        with pytest.raises(OSError, match="No space left"):
            build_memmap_store(corpus, target, load, on_error="skip")
    check(build_memmap_store(corpus, target, load), in_order(corpus))


# ---------------------------------------------------------------------- interrupted
def deadly(path):
    if Path(path).name == "a.npy" and os.environ.get("DEADLY"):
        os.kill(os.getpid(), signal.SIGKILL)
    return load(path)


def test_a_worker_that_dies(corpus, target, monkeypatch):
    monkeypatch.setenv("DEADLY", "1")
    fresh_workers()
    with pytest.raises(WorkerDied, match=f"^a worker that built {str(target)!r} died; the same call resumes: "):
        build_memmap_store(corpus, target, deadly, n_workers=2)
    with pytest.raises(DataError, match="is not finished"):
        MemmapStore(target)
    monkeypatch.delenv("DEADLY")
    fresh_workers()
    check(build_memmap_store(corpus, target, deadly, n_workers=2), in_order(corpus))


def interrupted(corpus, target, **settings):
    """Stop after some files."""

    def stops(files, total):
        for place, file in enumerate(files):
            if place == 4:
                raise KeyboardInterrupt
            yield file

    with pytest.raises(KeyboardInterrupt):
        build_memmap_store(corpus, target, load, progress=stops, **settings)


def test_what_changed_meanwhile_is_loaded_again(corpus, target, loaded):
    interrupted(corpus, target)
    done = loaded()
    assert done == in_order(corpus)[:5], "the fifth was loaded, but not noted"
    (corpus / done[0]).unlink()
    os.utime(corpus / done[1], ns=(1, 1))
    np.save(corpus / "new.npy", np.load(corpus / "b.npy"))
    store = build_memmap_store(corpus, target, load)
    assert list(store.names) == in_order(corpus)
    assert sorted(loaded()) == sorted({*in_order(corpus)} - {done[2], done[3]})


def test_another_call_does_not_resume(corpus, target, loaded):
    interrupted(corpus, target)
    loaded()
    message = (
        r"was left unfinished by another call \(load='load', .*, now load=None, .*; make that call again to resume"
    )
    with pytest.raises(DataError, match=message):
        build_memmap_store(corpus, target)
    with pytest.raises(DataError, match=r"left unfinished by another call \(load=.* now a MemmapWriter\)"):
        MemmapWriter(target)
    check(build_memmap_store(corpus, target, overwrite=True), in_order(corpus), factor=1)
    assert loaded() == []


def test_overwriting_that_was_interrupted_resumes(corpus, target, loaded):
    build_memmap_store(corpus, target)
    interrupted(corpus, target, overwrite=True)
    check(MemmapStore(target), in_order(corpus), factor=1)
    assert len(loaded()) == 5
    check(build_memmap_store(corpus, target, load, overwrite=True), in_order(corpus))
    assert len(loaded()) == 5
    build_memmap_store(corpus, target, load, overwrite=True)
    assert len(loaded()) == 9, "a finished one is built again"


def test_one_builder_at_a_time(corpus, target):
    def meanwhile(path):
        with pytest.raises(DataError, match="is being written by another writer"):
            build_memmap_store(corpus, target, meanwhile)
        return load(path)

    check(build_memmap_store(corpus, target, meanwhile), in_order(corpus))


BUILD = """
import sys, time
import numpy as np
from streamflow.sources import build_memmap_store
def load(path):
    time.sleep(0.002)
    with open(sys.argv[3], "a") as log:
        log.write(path + "\\n")
    return np.load(path), {"path": path}
root, target, _, n_workers, shard_bytes = sys.argv[1:]
print("begun", flush=True)
build_memmap_store(root, target, load, n_workers=int(n_workers), shard_bytes=int(shard_bytes) or None)
print("finished", flush=True)
"""


@pytest.mark.parametrize(("n_workers", "shard_bytes"), [(1, 0), (2, 0), (2, 3000)])
def test_killed_at_random_moments(tmp_path, n_workers, shard_bytes, zygote):
    root, target, log = tmp_path / "root", tmp_path / "target", tmp_path / "log"
    root.mkdir()
    log.touch()
    for number in range(150):
        np.save(root / f"{number:03d}.npy", np.full((number, 3), number))
    rng = np.random.default_rng(n_workers + shard_bytes)
    script = tmp_path / "build.py"
    script.write_text(BUILD)
    kills = 0
    while True:
        with zygote.start(script, root, target, log, n_workers, shard_bytes, stderr=None) as builder:
            assert builder.stdout.readline() == "begun\n"
            if kills < amount(3, 5):
                time.sleep(rng.uniform(0, 0.15 if n_workers == 1 else 0.6))
                builder.send_signal(signal.SIGKILL)
            finished = "finished" in builder.stdout.read()  # also waits for the end of its workers
        if finished:
            break
        assert kills < amount(3, 5), "it has failed"
        kills += 1
        if not (target / "index.json").exists():
            with pytest.raises(DataError, match="does not exist|is not finished|holds no memmap store"):
                MemmapStore(target)
    assert kills > 1
    store = MemmapStore(target)
    assert store.names == tuple(f"{number:03d}.npy" for number in range(150))
    for number, array in enumerate(store):
        assert array.shape == (number, 3)
        assert (array == number).all()
        assert store.entry_metadata(number) == {"path": str(root / f"{number:03d}.npy")}
    lines = len(log.read_text().splitlines())
    assert 150 <= lines < 150 + (kills + 1) * 3 * 32, "what was finished is not loaded again"
