"""What is said of a folder that cannot be used: one line that names it, and no traceback."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from streamflow.cli import main
from streamflow.cli.arrays import CorpusError
from streamflow.cli.corpus import held_out, read_corpus


@pytest.fixture
def complaint(monkeypatch, capsys):
    """What the command prints on stderr about its options, which must be one line and exit code 2."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["streamflow", "demo", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        out, err = capsys.readouterr()
        assert (end.value.code, out, err.count("\n")) == (2, "", 1)
        assert err.startswith("streamflow demo: ")
        return err.removeprefix("streamflow demo: ").strip()

    return run


def test_a_missing_folder(complaint, tmp_path):
    assert complaint("--corpus", tmp_path / "none") == f"{tmp_path / 'none'}: there is no such folder"


def test_a_file_instead_of_a_folder(complaint, corpus):
    file = corpus / "README.txt"
    assert complaint("--corpus", file) == f"{file}: this is not a folder"


def test_an_empty_folder(complaint, tmp_path):
    assert complaint("--corpus", tmp_path) == (
        f"{tmp_path}: the folder is empty; it must hold one folder per class, with .npy or .npz files in each"
    )


def test_files_without_class_folders(complaint, corpus):
    assert "holds array files, but no class folders" in complaint("--corpus", corpus / "cat")


def test_a_folder_of_other_things(complaint, corpus):
    for name in ("cat", "dog"):
        shutil.rmtree(corpus / name)
    assert "holds no class folders" in complaint("--corpus", corpus)


def test_one_class_only(complaint, corpus):
    shutil.rmtree(corpus / "dog")
    assert complaint("--corpus", corpus) == (
        f"{corpus}: there is only one class, 'cat'; a classifier needs at least two"
    )


def test_an_empty_class_folder(complaint, corpus):
    (corpus / "mouse").mkdir()
    assert complaint("--corpus", corpus) == f"{corpus / 'mouse'}: there is no .npy or .npz file in this class folder"


def test_a_class_without_samples(complaint, corpus):
    for path in (corpus / "dog").iterdir():
        path.unlink()
    np.save(corpus / "dog" / "0.npy", np.zeros((0, 3, 2), np.float32))
    assert complaint("--corpus", corpus) == f"{corpus / 'dog'}: the files of this class hold no samples"


def test_too_few_samples_to_hold_any_out(complaint, tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / "0.npy", np.ones((4, 2)))
    assert "nothing can be held out to test on; one file at least must have 5 samples" in complaint(
        "--corpus", tmp_path
    )


@pytest.mark.parametrize("folder", ["", "dog"])
def test_an_unreadable_folder(monkeypatch, complaint, corpus, folder):
    listed = Path.iterdir

    def refuse(path):  # who runs the tests may be allowed to read everything
        if path == corpus / folder:
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(Path, "iterdir", refuse)
    assert complaint("--corpus", corpus) == f"{corpus / folder}: the folder cannot be read: Permission denied"


ARRAYS = {
    "another shape": (np.zeros((5, 3, 3), np.float32), "its samples have shape (3, 3), those of"),
    "another number of axes": (np.zeros((5, 6), np.float32), "its samples have shape (6,), those of"),
    "another dtype": (np.zeros((5, 3, 2), np.float64), "its samples are float64, those of"),
    "text": (np.array(["a", "b"]), "samples must be real numbers, its dtype is <U1"),
    "complex numbers": (np.zeros((5, 3, 2), complex), "samples must be real numbers, its dtype is complex128"),
    "objects": (np.array([{}, {}], object), "samples must be real numbers, its dtype is object"),
    "a single number": (np.float32(3), "samples must lie along axis 0, it holds a single number"),
}


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
@pytest.mark.parametrize("what", ARRAYS)
def test_a_file_of_another_kind(complaint, corpus, what, suffix):
    array, told = ARRAYS[what]
    path = corpus / "dog" / f"odd{suffix}"
    if suffix == ".npy":
        np.save(path, array)
    else:
        np.savez(path, array)
    assert complaint("--corpus", corpus).startswith(f"{path}: {told}")


def whole(corpus, suffix):
    return next(path for path in sorted((corpus / "dog").iterdir()) if path.suffix == suffix)


@pytest.mark.parametrize(
    ("suffix", "content", "told"),
    [
        (".npy", lambda data: b"", "cannot be read as an array"),
        (".npy", lambda data: b"These are not the arrays you are looking for.\n" * 9, "magic"),
        (".npy", lambda data: data[:50], "cannot be read as an array"),
        (".npy", lambda data: data[:-7], "it is cut short: "),
        (".npz", lambda data: b"", "cannot be read as an array"),
        (".npz", lambda data: data[: len(data) // 2], "cannot be read as an array"),
        (".npz", lambda data: b"PK\x05\x06" + bytes(18), "there is no array in it"),
    ],
)
def test_a_broken_file(complaint, corpus, suffix, content, told):
    path = whole(corpus, suffix)
    path.write_bytes(content(path.read_bytes()))
    said = complaint("--corpus", corpus)
    assert said.startswith(f"{path}: cannot be read as an array: ")
    assert told in said


def test_a_broken_file_that_only_reading_shows(complaint, corpus):
    path = whole(corpus, ".npz")
    data = bytearray(path.read_bytes())
    middle = data.index(b"X.npy") + 200  # inside the compressed array, behind its head
    data[middle : middle + 20] = bytes(20)
    path.write_bytes(data)
    assert complaint("--corpus", corpus).startswith(f"{path}: cannot be read as an array: ")


def test_numbers_that_are_none(complaint, corpus):
    path = whole(corpus, ".npy")
    array = np.load(path)
    array[4, 1, 0] = np.nan  # sample 4 is held out, so it is read before the training begins
    np.save(path, array)
    assert complaint("--corpus", corpus) == f"{path}: sample 4 holds NaN or infinite values"


@pytest.mark.parametrize("text", ["8", "8=", "8=x", "8=-1", "8=nan", "8=inf", "=3"])
def test_a_weight_that_is_none(complaint, text):
    assert complaint("--weight", text).startswith(f"--weight {text}: ")


def test_weights_of_nothing(complaint):
    assert complaint("--weight", "ten=2") == "--weight ten: there is no class of this name"
    everything = [word for digit in range(10) for word in ("--weight", f"{digit}=0")]
    assert complaint(*everything) == "--weight: at least one class must have a weight above 0"


def test_a_folder_to_keep_that_is_in_use(complaint, corpus):
    before = sorted(corpus.rglob("*"))
    assert "the folder must be new or empty" in complaint("--keep", corpus)
    assert "this is inside the corpus, which is only read" in complaint("--corpus", corpus, "--keep", corpus / "new")
    file = corpus / "README.txt"
    assert "the folder cannot be made" in complaint("--keep", file)
    assert sorted(corpus.rglob("*")) == before


def test_a_good_corpus(corpus):
    found = read_corpus(corpus)
    assert list(found.classes) == ["cat", "dog"]
    assert [part.size for part in found.classes["cat"]] == [10, 25, 0, 15]
    assert (found.n_files, found.size("dog")) == (8, 40)
    held = held_out(found)
    assert held.x.shape == (20, 6)
    assert held.y.tolist() == [0] * 10 + [1] * 10
    first = np.load(corpus / "cat" / "0.npy")
    assert held.x[:2].tolist() == first[[4, 9]].reshape(2, 6).tolist()


def test_what_is_held_out_is_bounded(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        for i in range(3):
            np.save(tmp_path / name / f"{i}.npy", np.ones((4000, 1), np.int8))
    held = held_out(read_corpus(tmp_path))
    assert np.bincount(held.y).tolist() == [1000, 1000]


def test_links_and_capitals(corpus):
    (corpus / "dog" / "1.npz").rename(corpus / "dog" / "1.NPZ")
    (corpus / "wolf").symlink_to(corpus / "dog")
    found = read_corpus(corpus)
    assert list(found.classes) == ["cat", "dog", "wolf"]
    assert found.size("wolf") == found.size("dog") == 40


def test_errors_can_be_sent_from_a_worker():
    import pickle

    error = pickle.loads(pickle.dumps(CorpusError("x.npy: cut short")))
    assert (type(error), str(error)) == (CorpusError, "x.npy: cut short")
