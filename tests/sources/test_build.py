"""What both builders do alike, because one engine does it: files, stamps, progress, bad files, the lock, resuming."""

import os
import warnings

import numpy as np
import pytest

from streamflow import DataError
from streamflow.sources import LMDBStore, MemmapStore, build_memmap_store
from streamflow.sources.build.lmdb import build_lmdb_store

NAMES = ["a.npy", "b/c.npy", "b/d.npy", "e.npy"]


@pytest.fixture
def corpus(tmp_path):
    for number, name in enumerate(NAMES):
        path = tmp_path / "corpus" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, np.full((number + 1, 2), number))
    (tmp_path / "corpus/.hidden.npy").write_text("not a file to convert")
    return tmp_path / "corpus"


@pytest.fixture(params=["memmap", "lmdb"])
def build(request, corpus, tmp_path):
    """Build a store; gives its names in order, and what was left out."""
    target = tmp_path / "store"

    def memmap(load=np.load, **options):
        store = build_memmap_store(corpus, target, load, **options)
        return list(store.names), dict(store.skipped)

    def lmdb(load=np.load, **options):
        _, skipped = build_lmdb_store(
            corpus,
            target,
            lambda file: {"x": load(file.path), "name": file.name},
            kind=load.__name__,
            patterns=["*.npy"],
            **options,
        )
        return [sample["name"] for sample in LMDBStore(target)], skipped

    builder = {"memmap": memmap, "lmdb": lmdb}[request.param]
    builder.target, builder.store = target, {"memmap": MemmapStore, "lmdb": LMDBStore}[request.param]
    return builder


def test_files_are_in_the_order_of_their_paths_without_hidden_ones(build):
    assert build() == (NAMES, {})


def test_progress_sees_each_result(build):
    seen = []

    def wrapped(results, total):
        for result in results:
            seen.append((result.name, result.nbytes, total))
            yield result

    build(progress=wrapped)
    assert seen == [(name, 16 * (number + 1), 4) for number, name in enumerate(NAMES)]


def test_a_file_that_changes_before_its_turn_is_stamped_at_its_turn(build, corpus):
    def load(path):
        if path.endswith("a.npy"):
            np.save(corpus / "e.npy", np.full((9, 2), 3))
        return np.load(path)

    build(load)

    def load(path):
        raise AssertionError("nothing has changed since")

    assert build(load)[0] == NAMES
    assert len(build.store(build.target)) == 4


def stopped(build, after, **options):
    """Stop a build by Ctrl-C when some results have been kept."""

    def progress(results, total):
        for place, result in enumerate(results):
            if place == after:
                raise KeyboardInterrupt
            yield result

    with pytest.raises(KeyboardInterrupt):
        build(progress=progress, **options)


@pytest.mark.parametrize("after", range(4))
@pytest.mark.parametrize("overwrite", [False, True])
def test_the_same_call_resumes(build, after, overwrite, monkeypatch):
    monkeypatch.setattr("streamflow.sources.build.lmdb._MOST_BYTES", 0)
    if overwrite:
        build()
    stopped(build, after, overwrite=overwrite)
    done = []

    def load(path):
        done.append(path)
        return np.load(path)

    assert build(load, overwrite=overwrite) == (NAMES, {})
    assert len(done) == 4 - after


def test_a_bad_file_ends_the_build_or_is_left_out(build, corpus):
    (corpus / "b/d.npy").write_text("no array")
    with pytest.raises(DataError, match=f"^'{corpus}/b/d.npy' cannot be loaded: ValueError: ") as caught:
        build()
    assert "in load_file" in "".join(caught.value.__notes__), "the traceback"
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        names, skipped = build(on_error="skip")
    assert len(warned) == (build.store is MemmapStore), "it sums them up"
    assert (names, list(skipped)) == ([name for name in NAMES if name != "b/d.npy"], ["b/d.npy"])
    with pytest.raises(DataError, match=r"' was built without .*d.npy.*; pass overwrite=True"):
        build()


def test_another_call_is_refused_and_told_what_to_do(build, corpus):
    advice = "; pass overwrite=True to build it again$"
    build()
    with pytest.raises(DataError, match=rf"^'{build.target}' was built with \w+='load', now '<lambda>'{advice}"):
        build(lambda path: np.load(path)[:1])
    os.utime(corpus / "e.npy", (1, 1))
    with pytest.raises(DataError, match=rf"^'{build.target}' was built from other files \(.*\){advice}"):
        build()
    assert build(overwrite=True) == (NAMES, {})


def test_one_build_at_a_time(build):
    def load(path):
        with pytest.raises(DataError, match=f"^'{build.target}' is being written by another writer; wait until"):
            build()
        return np.load(path)

    assert build(load)[0] == NAMES


def test_a_folder_of_something_else_is_not_touched(build):
    build.target.mkdir()
    (build.target / "mine.txt").write_text("x")
    with pytest.raises(
        DataError, match=r"holds 'mine.txt', which is not part of an? \w+ store; choose an empty folder$"
    ):
        build(overwrite=True)
    assert [path.name for path in build.target.iterdir()] == ["mine.txt"]
