"""`streamflow convert`: what becomes of folders of files, and what is said of those that cannot be used."""

import json
import os
import re
import shutil
import sys

import numpy as np
import pytest
import soundfile
from PIL import Image

from streamflow.cli import inputs
from streamflow.sources import LMDBStore, LMDBWriter, MemmapStore, MemmapWriter, read_image

NAMES = ["cat/a b.png", "cat/ä ö.JPG", "dog/[x].png", "dog/deep/er/1.webp", "loose.bmp", "\udcff.png"]


@pytest.fixture
def complaint(convert):
    """What the command says of what cannot be used, in one line, with exit code 2."""

    def run(*arguments):
        code, out, err = convert(*arguments)
        assert (code, out, err.count("\n")) == (2, "", 1), err
        assert err.startswith("streamflow convert: ")
        return err.removeprefix("streamflow convert: ").strip()

    return run


@pytest.fixture
def images(tmp_path):
    """Images in nested folders with odd names, in the order of their paths; hidden and other files beside them."""
    root, rng = tmp_path / "images", np.random.default_rng(0)
    for number, name in enumerate(NAMES):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (5 + number, 7, 3), dtype=np.uint8)).save(root / name)
    (root / "cat/._a b.png").write_bytes(b"what another system leaves")
    (root / "dog/folder.png").mkdir()
    (root / "README.txt").write_text("what this is")
    return root


@pytest.fixture
def arrays(tmp_path):
    root = tmp_path / "arrays"
    for number in range(6):
        (root / "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
        np.save(root / "ab"[number % 2] / f"{number}.npy", np.full((number, 2), number, np.float32))
    return root


ARRAYS = ["a/0.npy", "a/2.npy", "a/4.npy", "b/1.npy", "b/3.npy", "b/5.npy"]


def everything(path):
    """All that a store holds, by name, and its own metadata."""
    if (path / "data.mdb").exists():
        with LMDBStore(path) as db:
            found = {sample["name"]: sample for sample in db}
            assert len(found) == len(db)
            return found, dict(db.metadata)
    with MemmapStore(path) as store:
        found = {name: (np.array(store[i]), store.entry_metadata(i)) for i, name in enumerate(store.names)}
        return found, {"skipped": dict(store.skipped)}


def in_order(root, names):
    return [path.relative_to(root).as_posix() for path in sorted(root / name for name in names)]


@pytest.mark.parametrize("workers", [[], ["--workers", 1], ["--workers", 3]])
def test_images_become_samples(convert, images, tmp_path, workers):
    code, out, err = convert(images, tmp_path / "store.lmdb", *workers)
    assert (code, err) == (0, "")
    size = sum(3 * 7 * (5 + number) for number in range(6))
    line = rf"'{tmp_path}/store.lmdb' is an LMDB store of 6 images: 6 converted, {size} bytes in \d+\.\d s\n"
    assert re.fullmatch(line, out)
    found, metadata = everything(tmp_path / "store.lmdb")
    assert list(found) == in_order(images, NAMES)
    for name, sample in found.items():
        assert set(sample) == {"x", "name"}
        assert sample["x"].dtype == np.uint8
        assert (sample["x"] == read_image(str(images / name))).all()
    assert json.loads(metadata["conversion"])["finished"] is True
    db = LMDBStore(tmp_path / "store.lmdb")
    x, name = next(iter(db.batches(6, keys=("x", "name"), shuffle=True, random_state=0, ragged="pad")))
    assert x.shape == (6, 10, 7, 3)
    assert sorted(name) == sorted(found)


@pytest.mark.parametrize("options", [[], ["--shard-mb", 1]])
def test_images_become_entries(convert, images, tmp_path, options):
    code, out, err = convert(images, tmp_path / "store", *options)
    assert (code, err) == (0, "")
    assert out.startswith(f"'{tmp_path}/store' is a memmap store of 6 images: 6 converted, ")
    found, _ = everything(tmp_path / "store")
    assert list(found) == in_order(images, NAMES)
    for name, (array, metadata) in found.items():
        assert (array == read_image(str(images / name))).all()
        assert metadata == {}
    files = [path.suffix for path in (tmp_path / "store/arrays").rglob("*.*")]
    assert files == ([".shard"] if options else [".npy"] * 6)


def test_in_several_processes(streamflow, arrays, tmp_path):
    done = streamflow("convert", arrays, tmp_path / "store", "--workers", 2)
    assert (done.returncode, done.stderr) == (0, "")
    assert list(everything(tmp_path / "store")[0]) == ARRAYS


def test_audio_has_its_rate(convert, tmp_path):
    root, rng = tmp_path / "audio", np.random.default_rng(0)
    root.mkdir()
    for name, rate, channels in [("a.wav", 8000, 1), ("b.flac", 44100, 2), ("c.OGG", 16000, 1)]:
        soundfile.write(root / name, rng.uniform(-1, 1, (500, channels)), rate, format=name[2:].upper())
    assert convert(root, tmp_path / "memmap")[0] == convert(root, tmp_path / "lmdb", "--to", "lmdb")[0] == 0
    entries, samples = everything(tmp_path / "memmap")[0], everything(tmp_path / "lmdb")[0]
    for name, rate, channels in [("a.wav", 8000, 1), ("b.flac", 44100, 2), ("c.OGG", 16000, 1)]:
        signal = soundfile.read(root / name, dtype="float32", always_2d=True)[0]
        assert signal.shape == (500, channels)
        assert (entries[name][0] == signal).all()
        assert entries[name][1] == {"rate": rate}
        assert (samples[name]["x"] == signal).all()
        assert (samples[name]["rate"], set(samples[name])) == (rate, {"x", "rate", "name"})


def test_arrays(convert, arrays, tmp_path):
    assert convert(arrays, tmp_path / "memmap")[0] == convert(arrays, tmp_path / "a.lmdb")[0] == 0
    entries, samples = everything(tmp_path / "memmap")[0], everything(tmp_path / "a.lmdb")[0]
    assert list(entries) == list(samples) == ARRAYS
    for name in ARRAYS:
        number = int(name[2])
        assert entries[name][0].tolist() == samples[name]["x"].tolist() == [[number] * 2] * number


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_archives(convert, complaint, tmp_path, save):
    root = tmp_path / "archives"
    root.mkdir()
    for number in range(3):
        save(root / f"{number}.npz", X=np.full(number, number), y=number)
    assert convert(root, tmp_path / "a.lmdb")[0] == 0
    samples = list(everything(tmp_path / "a.lmdb")[0].values())
    assert [(sample["X"].tolist(), sample["y"], sample["name"]) for sample in samples] == [
        ([], 0, "0.npz"),
        ([1], 1, "1.npz"),
        ([2, 2], 2, "2.npz"),
    ]
    assert complaint(root, tmp_path / "store") == (
        f"'{root}/0.npz' must have one array, got 'X', 'y'; --to lmdb takes several; "
        "--on-error skip leaves such files out"
    )
    for number in range(3):
        save(root / f"{number}.npz", X=np.full(number, number))
    assert convert(root, tmp_path / "store")[0] == 0
    assert [array.tolist() for array, _ in everything(tmp_path / "store")[0].values()] == [[], [1], [2, 2]]


def test_a_mixed_folder(convert, complaint, images, tmp_path):
    np.save(images / "z.npy", np.arange(3))
    store = tmp_path / "store"
    advice = "choose one kind with --kind"
    assert complaint(images, store) == f"'{images}' holds 6 images, 1 array; {advice} or --pattern"
    assert complaint(images, store, "--pattern", "z*", "--pattern", "*.png") == (
        f"'{images}' holds 3 images, 1 array; {advice}"
    )
    assert not store.exists()
    assert convert(images, store, "--kind", "array")[0] == 0
    assert list(everything(store)[0]) == ["z.npy"]
    assert convert(images, tmp_path / "2", "--pattern", "cat/*.[jJ]*", "--pattern", "dog/*.png")[0] == 0
    assert list(everything(tmp_path / "2")[0]) == ["cat/ä ö.JPG", "dog/[x].png"]


def test_endings_that_say_nothing(convert, complaint, images, tmp_path):
    shutil.copy(images / "cat/a b.png", images / "picture.dat")
    store = tmp_path / "store"
    assert complaint(images, store, "--pattern", "*.dat").endswith(
        "holds 1 with unknown extensions; choose one kind with --kind"
    )
    assert convert(images, store, "--pattern", "*.dat", "--kind", "image")[0] == 0
    assert everything(store)[0]["picture.dat"][0].shape == (5, 7, 3)


@pytest.mark.parametrize("to", ["memmap", "lmdb"])
def test_where_there_is_nothing_to_convert(complaint, images, tmp_path, to):
    (tmp_path / "empty").mkdir()
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts/a.txt").write_text("1 2 3")
    known = "arrays (.npy, .npz) or images (.png, .jpg, .jpeg, ...) or audio files (.wav, .flac, .ogg, ...)"
    for source, options, message in [
        ("none", [], "does not exist, expected a folder of files to convert"),
        ("texts/a.txt", [], "is a file, expected a folder of files to convert"),
        ("empty", [], "holds no files"),
        ("texts", [], f"holds no file with a known extension, expected {known}"),
        ("images", ["--kind", "audio"], "holds no audio files (.wav, .flac, .ogg, ...)"),
        ("images", ["--pattern", "*.gif"], "holds no file that matches '*.gif'"),
    ]:
        assert (
            complaint(tmp_path / source, tmp_path / "store", "--to", to, *options) == f"'{tmp_path / source}' {message}"
        )
    assert "--pattern /x: must be a pattern for names of files" in complaint(
        images, tmp_path / "store", "--pattern", "/x"
    )
    assert "is inside" in complaint(images, images / "cat/store", "--to", to)
    assert "is inside" in complaint(images, images, "--to", to)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "images", "texts"]


@pytest.mark.parametrize("to", ["memmap", "lmdb"])
def test_a_target_that_is_not_a_store(complaint, images, tmp_path, to):
    other = tmp_path / "other"
    other.mkdir()
    (other / "mine.txt").write_text("not to be touched")
    what = {"memmap": "a memmap store", "lmdb": "an LMDB store"}[to]
    assert complaint(images, other, "--to", to, "--overwrite") == (
        f"'{other}' holds 'mine.txt', which is not part of {what}; choose an empty folder"
    )
    assert complaint(images, other / "mine.txt", "--to", to) == (
        f"'{other}/mine.txt' is a file, expected a folder for {what}"
    )
    assert re.fullmatch(
        rf"'{other}/mine.txt/x' cannot be written \(not a directory; "
        r"[\d.]+ .B free\); the same command resumes",
        complaint(images, other / "mine.txt/x", "--to", to),
    )
    assert [path.name for path in other.iterdir()] == ["mine.txt"]


def test_stores_of_others(convert, complaint, images, tmp_path):
    with LMDBWriter(tmp_path / "lmdb") as db:
        db.append({"y": 1})
    with MemmapWriter(tmp_path / "memmap") as out:
        out.add(np.zeros(3))
    assert complaint(images, tmp_path / "lmdb", "--to", "lmdb") == (
        f"'{tmp_path}/lmdb' holds 1 samples that were not built from a folder of files; "
        "pass --overwrite to build it again"
    )
    assert complaint(images, tmp_path / "memmap") == (
        f"'{tmp_path}/memmap' holds entries that were not built from a folder of files; "
        "pass --overwrite to build it again"
    )
    assert "holds 'data.mdb', which is not part of a memmap store" in complaint(images, tmp_path / "lmdb")
    assert "holds 'arrays', which is not part of an LMDB store" in complaint(
        images, tmp_path / "memmap", "--to", "lmdb"
    )
    assert convert(images, tmp_path / "lmdb", "--to", "lmdb", "--overwrite")[0] == 0
    assert convert(images, tmp_path / "memmap", "--overwrite")[0] == 0
    assert len(everything(tmp_path / "lmdb")[0]) == len(everything(tmp_path / "memmap")[0]) == 6


def damage(root):
    """Damaged files of all sorts among the arrays; why each cannot be read."""
    (root / "a/1.npy").write_bytes(b"")
    (root / "a/3.npy").write_bytes((root / "b/5.npy").read_bytes()[:-3])
    np.save(root / "b/6.npy", np.array([{"runs": "code"}, None], object), allow_pickle=True)
    (root / "b/7.npz").write_bytes(b"PK\3\4 no archive")
    np.savez(root / "b/8.npz", a=np.array([{}], object))
    (root / "b/9.npy").symlink_to(root / "nowhere")
    return {
        "a/1.npy": "is empty, not a file written by NumPy",
        "a/3.npy": r"is truncated: float32 of shape \(5, 2\) takes 168 bytes, got 165",
        "b/6.npy": r"holds Python objects; NpySource with allow_pickle=True reads them, which can run code",
        "b/7.npz": "cannot be read as an archive of arrays: File is not a zip file",
        "b/8.npz": "cannot be read as an archive of arrays: Object arrays cannot be .*",
        "b/9.npy": r"cannot be read: no such file or directory",
    }


@pytest.mark.parametrize("to", ["memmap", "lmdb"])
def test_damaged_files(convert, complaint, arrays, tmp_path, to):
    store, damaged = tmp_path / "store", damage(arrays)
    advice = "; --on-error skip leaves such files out"
    assert re.fullmatch(f"'{arrays}/a/1.npy' {damaged['a/1.npy']}{advice}", complaint(arrays, store, "--to", to))
    for _ in range(2):  # the second time nothing is done, and the same is printed
        code, out, err = convert(arrays, store, "--to", to, "--on-error", "skip")
        assert (code, err) == (1, "")
        _, head, *lines = out.splitlines()
        assert head == "6 of 12 files were skipped:"
        for line, (name, why) in zip(lines, damaged.items(), strict=True):
            assert re.fullmatch(f"  '{name}': {why}", line)
        found, metadata = everything(store)
        assert list(found) == ARRAYS
        skipped = metadata.get("skipped") or [key[8:] for key in metadata if key.startswith("skipped ")]
        assert list(skipped) == list(damaged)
    assert "already finished; nothing to do" in out
    message = complaint(arrays, store, "--to", to)
    assert re.search(r"(without 'a/1.npy'|without some files) \('.*/a/1.npy' is empty, .*pass --overwrite", message)


@pytest.mark.parametrize("to", ["memmap", "lmdb"])
def test_nothing_but_damaged_files(complaint, arrays, tmp_path, to):
    damage(arrays)
    message = complaint(arrays, tmp_path / "store", "--to", to, "--on-error", "skip", "--pattern", "[67].np?")
    assert message.startswith(f"none of 2 files can be converted, the first: '{arrays}/b/6.npy' holds Python objects")


@pytest.mark.parametrize("to", ["memmap", "lmdb"])
def test_files_of_several_images_are_refused(convert, images, tmp_path, to):
    pages = [Image.new("RGB", (4, 3), (40 * number, 0, 0)) for number in range(3)]
    for name, count in [("p1.tif", 1), ("p3.tif", 3), ("q1.gif", 1), ("q2.gif", 2)]:
        pages[0].save(images / name, save_all=True, append_images=pages[1:count])
    pages[0].save(images / "r.jpg", "MPO", save_all=True, append_images=pages[1:])
    code, out, _ = convert(images, tmp_path / "store", "--to", to, "--on-error", "skip")
    assert (code, out.splitlines()[2:]) == (
        1,
        ["  'p3.tif': has 3 images, expected one", "  'q2.gif': has 2 images, expected one"],
    )
    assert list(everything(tmp_path / "store")[0]) == in_order(images, [*NAMES, "p1.tif", "q1.gif", "r.jpg"])


@pytest.mark.parametrize("to", ["memmap", "lmdb"])
def test_an_archive_of_nothing_is_refused(complaint, tmp_path, to):
    root = tmp_path / "archives"
    root.mkdir()
    np.savez(root / "0.npz")
    message = f"'{root}/0.npz' has no arrays; --on-error skip leaves such files out"
    assert complaint(root, tmp_path / "store", "--to", to) == message


def test_many_skipped_files_are_summed_up(convert, arrays, tmp_path):
    for number in range(30):
        (arrays / f"bad{number:02d}.npy").write_text("no array")
    _, out, _ = convert(arrays, tmp_path / "store", "--on-error", "skip")
    lines = out.splitlines()
    assert lines[1] == "30 of 36 files were skipped:"
    assert len(lines) == 23
    assert lines[-1] == "  and 10 more, which the store's `skipped` list"


def test_arrays_that_do_not_go_together(convert, complaint, arrays, tmp_path):
    np.save(arrays / "a/3.npy", np.zeros(3))
    np.savez(arrays / "b/2.npz", name=np.zeros(3))
    np.savez(arrays / "b/4.npz", z=np.zeros(3))
    store = tmp_path / "a.lmdb"
    wrong = "does not match the files before it: 'x' must have dtype float32, as in earlier samples, got float64"
    assert complaint(arrays, store).startswith(f"'{arrays}/a/3.npy' {wrong}; --on-error skip")
    code, out, _ = convert(arrays, store, "--on-error", "skip")
    keys = "does not match the files before it: expected keys 'x', 'name', as in earlier samples, got keys 'z', 'name'"
    assert (code, out.splitlines()[2:]) == (
        1,
        [
            f"  'a/3.npy': {wrong}",
            "  'b/2.npz': has an array 'name', but that key holds the name of the file; rename the array",
            f"  'b/4.npz': {keys}",
        ],
    )
    assert list(everything(store)[0]) == ARRAYS


@pytest.mark.parametrize("to", ["memmap", "lmdb"])
def test_a_finished_store_does_nothing_unless_the_files_changed(convert, complaint, arrays, tmp_path, to):
    store = tmp_path / "store"
    assert convert(arrays, store, "--to", to)[0] == 0
    before, what = (
        repr(everything(store)),
        "an LMDB store of 6 arrays" if to == "lmdb" else "a memmap store of 6 arrays",
    )
    written = {path: path.stat().st_mtime_ns for path in store.rglob("*.*") if path.name != "lock.mdb"}
    assert convert(arrays, store, "--to", to) == (
        0,
        f"'{store}' is {what}, already finished; nothing to do\n",
        "",
    )
    assert convert(arrays, store, "--to", to, "--quiet") == (0, "", "")
    assert {path: path.stat().st_mtime_ns for path in store.rglob("*.*") if path.name != "lock.mdb"} == written

    def refused(*options):
        message = complaint(arrays, store, "--to", to, *options)
        assert message.startswith(f"'{store}' was ")
        assert "; pass --overwrite " in message
        assert repr(everything(store)) == before

    np.save(arrays / "z.npy", np.zeros((1, 2), np.float32))  # behind all others
    refused()
    (arrays / "z.npy").unlink()
    os.utime(arrays / "b/3.npy", (1, 1))
    refused()
    (arrays / "b/3.npy").rename(tmp_path / "3.npy")
    refused()
    np.save(arrays / "c.npy", np.zeros((1, 2), np.float32))  # as many as before
    refused()
    shutil.move(tmp_path / "3.npy", arrays / "b/3.npy")
    refused()
    refused("--kind", "image", "--pattern", "*")
    code, out, err = convert(arrays, store, "--to", to, "--overwrite")
    assert (code, err) == (0, "")
    assert ": 7 converted, " in out
    assert list(everything(store)[0]) == [*ARRAYS, "c.npy"]


@pytest.mark.parametrize("to", ["memmap", "lmdb"])
def test_a_file_that_was_mended(convert, complaint, arrays, tmp_path, monkeypatch, to):
    monkeypatch.setattr("streamflow.sources.build.lmdb._MOST_BYTES", 0)
    array, store = np.load(arrays / "b/3.npy"), tmp_path / "store"
    (arrays / "b/3.npy").write_bytes(b"")
    assert "b/3.npy' is empty" in complaint(arrays, store, "--to", to)
    np.save(arrays / "b/3.npy", array)
    code, out, _ = convert(arrays, store, "--to", to)
    assert (code, out.count("2 converted, "), out.count("; 4 were there already")) == (0, 1, 1)
    assert list(everything(store)[0]) == ARRAYS


@pytest.mark.parametrize("to", ["memmap", "lmdb"])
def test_overwriting_that_was_stopped_resumes(convert, complaint, arrays, tmp_path, monkeypatch, to):
    monkeypatch.setattr("streamflow.sources.build.lmdb._MOST_BYTES", 0)
    array, store = np.load(arrays / "b/3.npy"), tmp_path / "store"
    assert convert(arrays, store, "--to", to, "--pattern", "1*")[0] == 0
    (arrays / "b/3.npy").write_bytes(b"")
    assert "b/3.npy' is empty" in complaint(arrays, store, "--to", to, "--overwrite")
    np.save(arrays / "b/3.npy", array)
    _, out, _ = convert(arrays, store, "--to", to, "--overwrite")
    assert ": 2 converted, " in out
    assert "; 4 were there already" in out
    assert list(everything(store)[0]) == ARRAYS
    assert ": 6 converted, " in convert(arrays, store, "--to", to, "--overwrite")[1]


def test_what_is_overwritten_stays_until_the_new_store_is_whole(convert, complaint, arrays, tmp_path, monkeypatch):
    monkeypatch.setattr("streamflow.sources.build.lmdb._MOST_BYTES", 0)
    array, store = np.load(arrays / "b/3.npy"), tmp_path / "a.lmdb"
    with LMDBWriter(store) as db:
        db.append({"mine": 1})
    reader = LMDBStore(store)
    (arrays / "b/3.npy").write_bytes(b"")
    for _ in range(2):
        assert "b/3.npy' is empty" in complaint(arrays, store, "--overwrite")
        assert [sample["mine"] for sample in LMDBStore(store)] == [1]
    os.utime(arrays / "a/0.npy", (1, 1))  # what has been converted of the new one is of no use then
    (arrays / "b/3.npy").unlink()
    assert ": 5 converted, " in convert(arrays, store, "--overwrite")[1]
    np.save(arrays / "b/3.npy", array)
    reader.close()
    assert list(everything(store)[0]) == [name for name in ARRAYS if name != "b/3.npy"]
    assert sorted(path.name for path in store.iterdir()) == ["data.mdb", "lock.mdb"]


@pytest.mark.parametrize("moved", [[], ["lock.mdb"]])
def test_overwriting_that_was_stopped_at_the_last_step(convert, arrays, tmp_path, monkeypatch, moved):
    store = tmp_path / "a.lmdb"
    with LMDBWriter(store) as db:
        db.append({"mine": 1})

    def killed(target, folder):
        for name in moved:
            (folder / name).replace(target / name)

    with monkeypatch.context() as patch:
        patch.setattr("streamflow.sources.build.lmdb._replace", killed)
        assert convert(arrays, store, "--overwrite")[0] == 0
    assert len(LMDBStore(store)) == 1
    assert "already finished" in convert(arrays, store, "--overwrite")[1]
    assert list(everything(store)[0]) == ARRAYS
    assert sorted(path.name for path in store.iterdir()) == ["data.mdb", "lock.mdb"]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_file_that_changes_while_it_is_converted_is_reported_next_time(
    convert, complaint, arrays, tmp_path, monkeypatch, workers
):
    store, kind = tmp_path / "a.lmdb", inputs.KINDS["array"]

    def changing(path):
        array = kind.load(path)
        if path.endswith("3.npy"):
            np.save(path, array[:1])
        return array

    with monkeypatch.context() as patch:
        patch.setitem(inputs.KINDS, "array", kind._replace(load=changing))
        assert convert(arrays, store, "--workers", workers)[0] == 0
    assert "(names, sizes or times of the first 6 have changed)" in complaint(arrays, store)


def test_a_disk_that_is_full(convert, complaint, arrays, tmp_path):
    resource = pytest.importorskip("resource")
    np.save(arrays / "big.npy", np.zeros((1 << 18, 2), np.float32))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for to in ("memmap", "lmdb"):
        store = tmp_path / to
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
        try:
            message = complaint(arrays, store, "--to", to)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        free = r"[\d.]+ .B free\); the same command resumes"
        assert re.fullmatch(rf"'{store}' cannot be written \(.*; {free}", message)
        assert convert(arrays, store, "--to", to)[0] == 0
        assert list(everything(store)[0]) == [*ARRAYS, "big.npy"]


def test_what_an_unfinished_lmdb_store_was_begun_with(convert, complaint, arrays, tmp_path, monkeypatch):
    monkeypatch.setattr("streamflow.sources.build.lmdb._MOST_BYTES", 0)
    store = tmp_path / "a.lmdb"
    (arrays / "b/3.npy").write_bytes(b"")
    complaint(arrays, store)
    assert len(LMDBStore(store)) == 4
    np.save(arrays / "a/1.npy", np.zeros((1, 2), np.float32))
    assert complaint(arrays, store) == (
        f"'{store}' was built from other files (names, sizes or times of the first 4 have changed); "
        "pass --overwrite to build it again"
    )
    (arrays / "a/1.npy").unlink()
    assert convert(arrays, store, "--on-error", "skip")[0] == 1
    assert list(everything(store)[0]) == [name for name in ARRAYS if name != "b/3.npy"]


def test_two_at_once(complaint, arrays, tmp_path):
    fcntl = pytest.importorskip("fcntl")
    (tmp_path / "store").mkdir()
    held = os.open(tmp_path / "store", os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    try:
        for to, message in [("lmdb", "is being written by another writer"), ("memmap", "is being written by")]:
            assert message in complaint(arrays, tmp_path / "store", "--to", to)
    finally:
        os.close(held)
    assert list((tmp_path / "store").iterdir()) == []


def test_usage(convert, complaint, arrays, tmp_path):
    message = complaint(arrays, tmp_path / "a.lmdb", "--shard-mb", 3)
    assert message == "--shard-mb: only memmap stores have shards"
    for options in (
        ["--kind", "video"],
        ["--to", "zip"],
        ["--on-error", "x"],
        ["--workers", 0],
        ["--shard-mb", 0],
        ["x"],
    ):
        code, out, err = convert(arrays, tmp_path / "store", *options)
        assert (code, out) == (2, "")
        assert options[0] in err
    assert not (tmp_path / "a.lmdb").exists()


def test_help(convert, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    code, out, err = convert("--help")
    assert (code, err) == (0, "")
    assert "Exit code: 0 all files are in the store, 1 some were skipped" in out
    assert max(map(len, out.splitlines())) <= 100
    options = set(re.findall(r"^  (?:-[hq], )?(--[a-z-]+)", out, re.MULTILINE))
    reading = {"--to", "--kind", "--pattern", "--workers", "--on-error"}
    assert options == reading | {"--shard-mb", "--overwrite", "--quiet", "--help"}


@pytest.mark.parametrize(
    ("module", "library", "extra", "source"),
    [
        ("PIL", "pillow", "image", "a.png"),
        ("soundfile", "soundfile", "audio", "a.wav"),
        ("lmdb", "lmdb", "lmdb", "a.npy"),
    ],
)
def test_a_missing_library(convert, tmp_path, monkeypatch, module, library, extra, source):
    root = tmp_path / "files"
    root.mkdir()
    (root / source).touch()
    monkeypatch.setitem(sys.modules, module, None)
    code, out, err = convert(root, tmp_path / "store", "--to", "lmdb")
    assert (code, out) == (2, "")
    assert err == f'streamflow convert needs {library}: pip install "streamflow-mux[{extra}]"\n'
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("to", ["memmap", "lmdb"])
def test_what_is_hidden_is_left_out(convert, arrays, tmp_path, to):
    names = list(ARRAYS)
    (arrays / ".hidden").mkdir()
    np.save(arrays / ".hidden/h.npy", np.zeros(3))
    np.save(arrays / ".h.npy", np.zeros(3))
    assert convert(arrays, tmp_path / to, "--to", to)[0] == 0
    assert list(everything(tmp_path / to)[0]) == names
