"""Memmap stores as they are read: arrays of every kind, metadata, batches, files that are not what they should be."""

import ctypes
import json
import multiprocessing
import os
import pickle
import struct
import threading
from pathlib import Path

import numpy as np
import pytest

from streamflow import DataError, ParameterError, StateError
from streamflow.sources import MemmapStore, MemmapWriter, concatenate, random_crop, zip_sources
from streamflow.sources.memmap.format import npy_header
from streamflow.sources.mmap import kept as mapping
from streamflow.sources.mmap.kept import Ahead
from streamflow.testing import check_source, check_streamer

STRUCTURED = np.array([(1, "ab"), (2, "c")], [("number", ">i4"), ("text", "U2")])
KINDS = [
    np.arange(6, dtype="<f4").reshape(2, 3),
    np.arange(6, dtype=">i8").reshape(2, 3),
    np.asfortranarray(np.arange(24.0).reshape(2, 3, 4)),
    np.arange(24)[::-3],
    np.array(3.5),
    np.empty((0, 3), "u1"),
    np.empty((2, 0, 3), "<c16"),
    np.array(["2026-01-01", "NaT"], "M8[D]"),
    np.array([True, False]),
    np.array([b"ab", b"c"]),
    np.array(["äß", "c"]),
    np.array(["", ""], "U"),
    STRUCTURED,
    STRUCTURED[["text"]],
    np.zeros(3, np.longdouble),
    np.zeros((1,) * 12),
]


def written(path, arrays, **settings):
    with MemmapWriter(path, **settings) as out:
        out.extend(arrays)
    return MemmapStore(path)


def files(store):
    """The files with the arrays of a store, in the order of their names."""
    return sorted((path for path in (store / "arrays").rglob("*") if path.is_file()), key=lambda path: path.name)


@pytest.fixture(params=[None, 1, 300, 10**6], ids=lambda size: f"shard_bytes={size}")
def shard_bytes(request):
    return request.param


def test_arrays_of_every_kind_come_back(tmp_path, shard_bytes):
    store = written(tmp_path, KINDS, shard_bytes=shard_bytes)
    assert len(store) == len(KINDS)
    for found, array in zip(store, KINDS, strict=True):
        assert type(found) is np.ndarray
        assert (found.dtype, found.shape) == (array.dtype, array.shape)
        assert found.tobytes() == array.tobytes()
        assert found.flags.f_contiguous or not array.flags.f_contiguous
        assert not found.flags.writeable
        assert found.flags.aligned


def test_each_entry_is_a_file_that_numpy_loads(tmp_path):
    written(tmp_path, KINDS)
    assert len(files(tmp_path)) == len(KINDS)
    for file, array in zip(files(tmp_path), KINDS, strict=True):
        loaded = np.load(file)
        assert (loaded.dtype, loaded.shape) == (array.dtype, array.shape)
        assert loaded.tobytes() == array.tobytes()


def test_a_shard_is_such_files_one_after_the_other(tmp_path):
    store = written(tmp_path, KINDS, shard_bytes=10**6)
    [file] = files(tmp_path)
    with file.open("rb") as shard:
        for array in KINDS:
            assert np.load(shard).tobytes() == array.tobytes()
        assert shard.read() == b""
    begins = [store._about(place).begin for place in range(len(store))]
    assert [begin % 64 for begin in begins] == [0] * len(KINDS)


def test_shards_are_about_as_large_as_asked_for(tmp_path):
    written(tmp_path, [np.zeros(100, "u1")] * 50, shard_bytes=1000)
    sizes = [path.stat().st_size for path in files(tmp_path)]
    assert len(sizes) > 5
    assert all(1000 <= size < 1300 for size in sizes[:-1])


def test_the_index_is_json_with_a_line_for_each_entry(tmp_path):
    written(tmp_path, KINDS[:3])
    text = (tmp_path / "index.json").read_text("ascii")
    document = json.loads(text)
    assert document["format"] == "streamflow memmap store"
    assert document["version"] == 1
    assert [entry["shape"] for entry in document["entries"]] == [[2, 3], [2, 3], [2, 3, 4]]
    assert sum('"name"' in line for line in text.splitlines()) == 3


def test_names_and_metadata(tmp_path):
    known = {
        "speaker": np.int64(3),
        "path": "ä",
        "parts": [(1, 2.5), np.arange(2)],
        "more": {"deep": None, "yes": True},
    }
    with MemmapWriter(tmp_path) as out:
        out.metadata["made"] = "2026"
        out.add([1, 2], known, name="a/b\n.npy")
        out.add(3, None)
        known["speaker"] = 99
    store = MemmapStore(tmp_path)
    assert store.names == ("a/b\n.npy", "00000001")
    assert dict(store.metadata) == {"made": "2026"}
    with pytest.raises(TypeError):
        store.metadata["made"] = "2027"
    wanted = {"speaker": 3, "path": "ä", "parts": [[1, 2.5], [0, 1]], "more": {"deep": None, "yes": True}}
    assert store.entry_metadata(0) == store.entry_metadata(-2) == wanted
    store.entry_metadata(0)["more"]["deep"] = "changed"
    assert store.entry_metadata(np.int8(0)) == wanted
    assert store[::-1].entry_metadata(0) == {}
    assert store[[1, 0]][1:][:, 0].entry_metadata(0) == wanted
    assert store[[1, 0]].names == ("00000001", "a/b\n.npy")
    with pytest.raises(IndexError):
        store.entry_metadata(2)


# ---------------------------------------------------------------------- as a source
def test_ragged(tmp_path):
    store = written(tmp_path, [np.ones((2, 3)), np.full((3, 2), 5.0)])
    assert store.read(slice(None), ragged="pad", fill=2).tolist() == [
        [[1, 1, 1], [1, 1, 1], [2, 2, 2]],
        [[5, 5, 2], [5, 5, 2], [5, 5, 2]],
    ]
    assert store.read([1, 0], ragged="crop").tolist() == [[[5, 5], [5, 5]], [[1, 1], [1, 1]]]
    assert [value.shape for value in store.read([0, 1, 0], ragged="list")] == [(2, 3), (3, 2), (2, 3)]
    assert store[:, :2, :2].read(slice(None)).shape == (2, 2, 2)
    with pytest.raises(DataError, match=r"shapes \(2, 3\), \(3, 2\)"):
        store.read(slice(None))
    batch = store.read([0])
    batch[:] = 9
    assert store[0].max() == 1


def test_batches_of_random_crops(tmp_path):
    lengths = (20, 9, 30, 8)
    store = written(tmp_path, [np.arange(n) + 100 * n for n in lengths])
    stream = store.batches(3, ragged="crop", crop=random_crop(8), random_state=0, epochs=40)
    starts = {n: set() for n in lengths}
    for row in (row for batch in stream for row in batch):
        assert (np.diff(row) == 1).all()
        starts[row[0] // 100].add(int(row[0] % 100))
    assert starts[8] == {0}
    assert starts[9] == {0, 1}
    assert len(starts[20]) > 8
    check_streamer(store.batches(3, ragged="crop", crop=random_crop(8)), samples_of=list, fresh_process=False)


def test_streams(tmp_path, shard_bytes):
    store = written(tmp_path, np.arange(60).reshape(20, 3), shard_bytes=shard_bytes)
    check_streamer(store.batches(6, shuffle=True, epochs=2), samples_of=list, pickles=True)
    check_streamer(store[::2, 1:].samples(shuffle=True), pickles=True, fresh_process=False)
    check_streamer(store.scatter(0).batches(7, shuffle=True), samples_of=list, pickles=True, fresh_process=False)
    [batch] = store[[7, 3], ::2].batches(9, with_indices=True)
    assert batch[0].tolist() == [7, 3]
    assert batch[1].tolist() == [[21, 23], [9, 11]]


ROWS = np.arange(13 * 6 * 4, dtype=np.float32).reshape(13, 6, 4)
VIEWS = {
    "all": (lambda store: store, ROWS),
    "some": (lambda store: store[2:], ROWS[2:]),
    "slices": (lambda store: store[:, 0:2], ROWS[:, 0:2]),
    "places": (lambda store: store[::-1, (3, -1), ..., ::-1], ROWS[::-1, (3, -1), ..., ::-1]),
    "scattered": (lambda store: store.scatter(0), ROWS.reshape(-1, 4)),
    "scattered views": (
        lambda store: store[1:, :, 1:].scatter(-1)[::2],
        ROWS[1:, :, 1:].swapaxes(1, 2).reshape(-1, 6)[::2],
    ),
}


@pytest.mark.parametrize("shards", [None, 500], ids=["files", "shards"])
@pytest.mark.parametrize("view", VIEWS)
def test_it_keeps_the_promises_of_sources(tmp_path, shards, view):
    of, data = VIEWS[view]
    store = written(tmp_path, ROWS, shard_bytes=shards)
    check_source(of(store), data, fresh_process=view == "slices" and shards is None)


def test_a_state_belongs_to_the_store(tmp_path):
    first = written(tmp_path, np.arange(60).reshape(20, 3), mode="w").batches(4).open()
    next(first)
    state = first.state_dict()
    again = written(tmp_path, np.arange(60).reshape(20, 3), mode="w").batches(4).open()
    again.load_state_dict(state)
    assert next(again)[0, 0] == 12
    other = written(tmp_path, np.arange(40).reshape(20, 2), mode="w").batches(4).open()
    with pytest.raises(StateError, match="was .*, is now "):
        other.load_state_dict(state)


def test_pickled_it_is_the_path(tmp_path):
    store = written(tmp_path, [np.arange(n) for n in range(2000)], shard_bytes=1000)
    store.read([3])
    for source in (store, store[5:], store[5:, -1], store[5:].scatter(0)):
        assert len(pickle.dumps(source)) < 1000 + 8 * len(store)
        again = pickle.loads(pickle.dumps(source))
        assert again._label() == source._label()
        assert np.array_equal(again[7], source[7])
        assert len(again) == len(source)
    kept = pickle.dumps(store)
    written(tmp_path, [np.arange(3)], mode="w")
    with pytest.raises(DataError, match="has been replaced since it was opened"):
        len(pickle.loads(kept))


def test_a_relative_path_stays_what_it_was(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "deep").mkdir()
    written(tmp_path / "store", [np.arange(3), np.arange(4)])
    store, twin = MemmapStore("store"), MemmapStore("store")
    kept = pickle.dumps(twin)
    words = store._label()
    with store.samples().open() as stream:
        state = (next(stream), stream.state_dict())[1]
    store.close()
    monkeypatch.chdir(tmp_path / "deep")
    for again in (store, twin, pickle.loads(kept), pickle.loads(pickle.dumps(store))):
        assert [len(entry) for entry in again] == [3, 4]
        assert again._label() == words
    # a state does not know where the folder lies
    (tmp_path / "store").rename(tmp_path / "deep" / "store")
    with MemmapStore("store").samples().open() as stream:
        stream.load_state_dict(state)
        assert next(stream).tolist() == [0, 1, 2, 3]


def _sums(store, queue):
    queue.put([float(array.sum()) for array in store])


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_in_other_processes(tmp_path, method):
    store = written(tmp_path, [np.arange(n) for n in range(10)])
    store.read([4])
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    worker = context.Process(target=_sums, args=(store, queue))
    worker.start()
    assert queue.get(timeout=60) == [float(np.arange(n).sum()) for n in range(10)]
    worker.join(60)
    assert worker.exitcode == 0


def test_threads_may_read_more_files_than_are_kept_open(tmp_path, monkeypatch):
    monkeypatch.setattr(mapping, "_MOST", 256)
    store = written(tmp_path, [np.full(3, n) for n in range(700)])
    wrong = []

    def reads(seed):
        for place in np.random.default_rng(seed).integers(0, 700, 3000).tolist():
            if store[place].tolist() != [place] * 3:
                wrong.append(place)

    threads = [threading.Thread(target=reads, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert 200 < maps_below(tmp_path) <= 256


def maps_below(folder):
    """How many files in a folder are mapped."""
    return sum(str(folder) in line for line in Path("/proc/self/maps").read_text().splitlines())


def test_closing_releases_the_files(tmp_path):
    with written(tmp_path, [np.arange(4), np.arange(5)]) as store:
        held = store[1]
        store.read(0)
        store.prefetch(np.array([0, 1]))
    assert maps_below(tmp_path) == 1
    assert held.tolist() == [0, 1, 2, 3, 4]
    assert store[0].tolist() == [0, 1, 2, 3]


def test_only_what_is_needed_is_read(tmp_path):
    store = written(tmp_path, [np.zeros((64, 1 << 20), "u1")])
    drop(files(tmp_path)[0])
    if resident(store) > PAGES // 8:
        pytest.skip("files cannot be dropped from memory here")
    assert store[0, 5, 7:9].tolist() == [0, 0]
    assert len(list(store[:, random_crop(2, stop=8)].batches(1, epochs=3))) == 3
    assert len(list(store.batches(1, ragged="crop", crop=random_crop(2, stop=8), epochs=3))) == 3
    assert resident(store) < PAGES // 2  # the system reads some MiB around each page


def test_the_system_is_asked_for_what_is_needed(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(
        Ahead, "ask", lambda self, stretches: asked.append(sum(end - first for _, first, end in stretches()))
    )
    store = written(tmp_path, [np.zeros((64, 1 << 20), "u1"), np.zeros((2, 4096), "u1"), np.array(1, "u1")])
    for source, wanted in [
        (store, 64 << 20),
        (store[:, 60:], 4 << 20),
        (store[:, ::-1], 64 << 20),
        (store[:, 63], 1 << 20),
        (store[:, -8:, 5000:5010], 8 * 10),
        (store[:, ::32, 5000:5010], 2 * 10),
        (store[:, random_crop(2)], None),
        (store[:, [1, 2]], None),
        (store[:1].scatter(0), 1 << 20),
        (store[2:], 1),
        (store[2:, ...], 1),
        (store[2:, None, ...], 1),
    ]:
        source.prefetch(np.array([0]))
        assert asked == ([] if wanted is None else [wanted])
        asked.clear()
    list(store[[0, 0]].batches(1, ragged="crop", crop=random_crop(2)))
    assert asked == []
    crops = store[[0, 0, 0], random_crop(2)]
    for source in (crops, zip_sources([crops, range(3)]), concatenate([crops[:1], crops[1:]]).map(np.copy)):
        list(source.batches(1))
        assert asked == [2 << 20] * 3
        asked.clear()


PAGES = 64 * 256


def drop(file):
    """Let the system forget what it has read of a file."""
    descriptor = os.open(file, os.O_RDONLY)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(descriptor)


def resident(store):
    """How many pages of the first entry are in memory."""
    array = store[0]
    length = array.nbytes + store._about(0).begin
    pages = (ctypes.c_ubyte * (length // 4096 + 1))()
    begin = array.ctypes.data - store._about(0).begin
    assert ctypes.CDLL(None, use_errno=True).mincore(ctypes.c_void_p(begin), ctypes.c_size_t(length), pages) == 0
    return sum(page & 1 for page in pages)


# ---------------------------------------------------------------------- what is not a store
def test_where_there_is_no_store(tmp_path):
    wrong = {
        tmp_path / "missing": "does not exist, expected the folder of a memmap store",
        tmp_path / "empty": r"holds no memmap store: it has no 'index\.json'",
        tmp_path / "file": "is a file, expected the folder of a memmap store",
    }
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("x")
    for path, message in wrong.items():
        with pytest.raises(DataError, match=f"^{str(path)!r} {message}$"):
            MemmapStore(path)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["empty", "file"]
    with pytest.raises(ParameterError, match="`path` must be a path"):
        MemmapStore(3)


def change(path, **changes):
    document = json.loads(path.read_text())
    document.update(changes)
    path.write_text(json.dumps(document))


def entry(**changes):
    plain = {"name": "a", "file": "arrays/a.npy", "offset": 0, "header": 128, "dtype": "<i8", "shape": [3]}
    return [{**plain, **changes}]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: change(path, version=2), "has format 2, written by a newer streamflow; this one reads up to 1"),
        (lambda path: change(path, format="other"), r"is damaged \(ValueError: it is another kind of file\), expected"),
        (lambda path: path.write_text("{"), "is damaged .* expected the index of a memmap store"),
        (lambda path: path.write_bytes(b"\xff\x00"), "is damaged .* expected the index"),
        (lambda path: path.write_bytes(pickle.dumps(os.getcwd)), "is damaged .* expected the index"),
        (lambda path: path.write_text("[" * 10**6), "is damaged .* expected the index"),
        (lambda path: path.write_text("[]"), "is damaged .* expected the index"),
        (lambda path: change(path, entries=[{}]), "is damaged .* expected the index"),
        (lambda path: change(path, entries=entry(shape=[-1])), "is damaged .* expected the index"),
        (lambda path: change(path, entries=entry(offset=True)), "is damaged .* expected the index"),
        (lambda path: change(path, entries=entry(dtype="|O")), "is damaged .* expected the index"),
        (lambda path: change(path, entries=entry(dtype="[('a', '|O')]")), "is damaged .* expected the index"),
        (lambda path: change(path, entries=entry(dtype="[open('x')]")), "is damaged .* expected the index"),
        (lambda path: change(path, entries=entry(file="/etc/passwd")), "is damaged .* expected the index"),
        (lambda path: change(path, entries=entry(file="arrays/../../x")), "is damaged .* expected the index"),
        (lambda path: change(path, entries=entry(file="")), "is damaged .* expected the index"),
        (lambda path: change(path, entries=entry(file=3)), "is damaged .* expected the index"),
        (lambda path: change(path, entries=entry(name=3)), "is damaged .* expected the index"),
        (lambda path: change(path, metadata={"a": 1}), "is damaged .* expected the index"),
        (lambda path: change(path, build=5), "is damaged .* expected the index"),
        (lambda path: change(path, build={"skipped": {"a": 3}}), "is damaged .* expected the index"),
        (lambda path: change(path, entries=entry(dtype="[(")), "is damaged .* expected the index"),
        (lambda path: change(path, metadata=None), "is damaged .* expected the index"),
        (lambda path: (path.unlink(), path.mkdir()), r"cannot be read \(is a directory\), expected the index"),
    ],
)
def test_an_index_that_is_damaged(tmp_path, damage, message):
    written(tmp_path, [np.arange(3)])
    damage(tmp_path / "index.json")
    with pytest.raises(DataError, match=message) as caught:
        MemmapStore(tmp_path)
    assert str(caught.value).startswith(repr(str(tmp_path / "index.json")))
    assert "\n" not in str(caught.value)


def _cut(path, length):
    os.truncate(path, length)


def _replaced(path, array):
    path.unlink()
    np.save(path, array, allow_pickle=True)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: _cut(path, 150), r"is truncated: int64 of shape \(3,\) takes 152 bytes, got 150"),
        (lambda path: _cut(path, 50), "is not a .npy file or is damaged"),
        (lambda path: _cut(path, 0), "is empty, not a file written by NumPy"),
        (lambda path: path.unlink(), r"cannot be read: no such file or directory"),
        (lambda path: (path.unlink(), path.mkdir()), r"cannot be read: is a directory"),
        (lambda path: path.write_bytes(b"x" * 200), "is not a .npy file or is damaged"),
        (lambda path: _replaced(path, np.arange(4)), r"is int64 of shape \(4,\), expected int64 of shape \(3,\)"),
        (lambda path: _replaced(path, np.arange(3.0)), r"is float64 of shape \(3,\), expected int64 of shape \(3,\)"),
        (lambda path: _replaced(path, np.array([{}, 1, 2])), "holds Python objects"),
    ],
)
def test_a_file_that_is_damaged(tmp_path, damage, message):
    written(tmp_path, [np.arange(3), np.arange(4)])
    file = files(tmp_path)[0]
    damage(file)
    store = MemmapStore(tmp_path)
    with pytest.raises(DataError, match=message) as caught:
        store.read(0)
    assert repr(str(file)) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert store[1].tolist() == [0, 1, 2, 3]


def test_a_shape_that_no_array_can_have(tmp_path):
    written(tmp_path, [np.empty((0, 3))])
    header = npy_header(np.dtype("f8"), (0, 2**62), fortran=False)
    files(tmp_path)[0].write_bytes(header)
    name = files(tmp_path)[0].relative_to(tmp_path).as_posix()
    change(tmp_path / "index.json", entries=entry(file=name, header=len(header), dtype="<f8", shape=[0, 2**62]))
    with pytest.raises(DataError, match="^entry 'a' in .*npy' is not a .npy file or is damaged"):
        MemmapStore(tmp_path)[0]


def test_a_shard_that_is_cut_off_keeps_what_is_whole(tmp_path):
    written(tmp_path, [np.arange(30), np.arange(40), np.arange(50)], shard_bytes=10**6)
    store = MemmapStore(tmp_path)
    [file] = files(tmp_path)
    os.truncate(file, store._about(1).end - 1)
    assert store[0].tolist() == list(range(30))
    for place, message in [
        (1, "entry '00000001' in .* is truncated"),
        (2, "entry '00000002' in .* is not a .npy file"),
    ]:
        with pytest.raises(DataError, match=message):
            store[place]
        store.prefetch(np.array([place]))


def test_a_header_of_another_length_is_seen(tmp_path):
    written(tmp_path, [np.arange(3)])
    file = files(tmp_path)[0]
    text = file.read_bytes()
    (length,) = struct.unpack("<H", text[8:10])
    file.write_bytes(
        text[:8] + struct.pack("<H", length + 64) + text[10 : 10 + length - 1] + b" " * 64 + text[9 + length :]
    )
    assert np.load(file).tolist() == [0, 1, 2]
    with pytest.raises(DataError, match="as 'index.json' says"):
        MemmapStore(tmp_path)[0]
