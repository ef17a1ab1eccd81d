"""What is said of a folder that cannot be used: one line that names it, and no traceback."""

import shutil
import sys

import numpy as np
import pytest

from streamflow.cli import main
from streamflow.cli.demo import find_classes, held_out


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


def test_a_folder_that_is_none(complaint, corpus):
    assert complaint("--corpus", corpus / "none") == f"{corpus / 'none'}: does not exist"
    assert complaint("--corpus", corpus / "README.txt") == f"{corpus / 'README.txt'}: is not a folder"


def test_too_few_class_folders(complaint, corpus):
    rule = f"{corpus}: must hold one folder for each class, two at least, each with .npy or .npz files"
    shutil.rmtree(corpus / "dog")
    assert complaint("--corpus", corpus) == rule
    shutil.rmtree(corpus / "cat")
    assert complaint("--corpus", corpus) == rule


@pytest.mark.parametrize("size", [None, 0, 1])
def test_a_class_folder_without_samples(complaint, corpus, size):
    (corpus / "mouse").mkdir()
    if size is not None:
        np.save(corpus / "mouse" / "0.npy", np.zeros((size, 3, 2), np.float32))
    rule = "holds no .npy or .npz file with at least two samples"
    assert complaint("--corpus", corpus) == f"{corpus / 'mouse'}: {rule}"


ARRAYS = {
    "another shape": (np.zeros((5, 3, 3), np.float32), "its samples have shape (3, 3), those before it (3, 2)"),
    "another number of axes": (np.zeros((5, 6), np.float32), "its samples have shape (6,), those before it (3, 2)"),
    "text": (np.array(["a", "b"]), "samples must be real numbers, their dtype is <U1"),
    "complex numbers": (np.zeros((5, 3, 2), complex), "samples must be real numbers, their dtype is complex128"),
    "NaN": (np.full((5, 3, 2), np.nan), "holds NaN or infinite values"),
}


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".NPY"])
@pytest.mark.parametrize("what", ARRAYS)
def test_a_file_of_another_kind(complaint, corpus, what, suffix):
    array, rule = ARRAYS[what]
    path = corpus / "dog" / f"odd{suffix}"
    with path.open("wb") as file:
        np.savez(file, X=array) if suffix == ".npz" else np.save(file, array)
    assert complaint("--corpus", corpus) == f"{path}: {rule}"


@pytest.mark.parametrize(
    "content",
    [lambda data: b"", lambda data: b"These are not the arrays you are looking for.\n" * 9, lambda data: data[:-7]],
)
def test_a_broken_file(complaint, corpus, content):
    path = corpus / "dog" / "3.npy"
    path.write_bytes(content(path.read_bytes()))
    assert str(path) in complaint("--corpus", corpus)


def test_a_compressed_archive(complaint, corpus):
    path = corpus / "dog" / "9.npz"
    np.savez_compressed(path, X=np.zeros((5, 3, 2), np.float32))
    assert "compressed" in complaint("--corpus", corpus)


@pytest.mark.parametrize("text", ["8", "8=", "8=x", "8=-1", "8=nan", "8=inf", "=3"])
def test_a_weight_that_is_none(complaint, text):
    assert complaint("--weight", text).startswith(f"--weight {text}: ")


def test_weights_of_nothing(complaint):
    assert complaint("--weight", "ten=2") == "--weight ten: there is no class of this name"
    everything = [word for digit in range(10) for word in ("--weight", f"{digit}=0")]
    assert complaint(*everything) == "--weight: at least one class must have a weight above 0"


def test_a_folder_to_keep_that_is_in_use(complaint, corpus):
    before = sorted(corpus.rglob("*"))
    assert "must be a new or empty folder" in complaint("--keep", corpus)
    assert "this is inside the corpus, which is only read" in complaint("--corpus", corpus, "--keep", corpus / "new")
    file = corpus / "README.txt"
    assert "must be a new or empty folder" in complaint("--keep", file)
    assert sorted(corpus.rglob("*")) == before


def test_a_good_corpus(corpus):
    classes = find_classes(corpus)
    assert list(classes) == ["cat", "dog"]
    assert [size for _, size in classes["cat"]] == [10, 25, 15]
    held, labels = held_out(classes)
    assert held.shape == (20, 3, 2)
    assert labels.tolist() == [0] * 10 + [1] * 10
    first = np.load(corpus / "cat" / "0.npy")
    assert held[:2].tolist() == first[[0, 5]].tolist()


def test_what_is_held_out_is_bounded(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        for i in range(3):
            np.save(tmp_path / name / f"{i}.npy", np.ones((4000, 1), np.int8))
    _, labels = held_out(find_classes(tmp_path))
    assert np.bincount(labels).tolist() == [1000, 1000]
