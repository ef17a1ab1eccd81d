"""Stores that ml-pyxis wrote, made here byte by byte, sound and with the damage that it left behind."""

import pickle
import sys

import lmdb
import msgpack
import numpy as np
import pytest

from streamflow import MissingDependencyError
from streamflow.core.equal import same
from streamflow.exceptions import DataError
from streamflow.sources import LMDBStore, LMDBWriter

X = np.arange(24, dtype=np.float32).reshape(6, 2, 2)
Y = np.arange(6, dtype=np.uint8)


def packed(value):
    """A value as ml-pyxis packs it."""
    if isinstance(value, str):
        return msgpack.packb({b"type": 1, b"data": value}, use_bin_type=True)
    described = {b"type": 2, b"dtype": value.dtype.str, b"shape": value.shape, b"data": value.tobytes()}
    return msgpack.packb(described, use_bin_type=True)


def packed_by_numpy_variant(value):
    """A value as msgpack-numpy packs it."""
    kind = b"V" if value.dtype.kind == "V" else b""
    descr = [list(field) for field in value.dtype.descr] if kind else value.dtype.str
    described = {b"nd": True, b"type": descr, b"kind": kind, b"shape": value.shape, b"data": value.tobytes()}
    return msgpack.packb(described, use_bin_type=True)


def write(path, samples, count, pack=packed, metadata=None):
    with lmdb.open(str(path), map_size=1 << 24, max_dbs=2) as environment:
        data, about = environment.open_db(b"data_db"), environment.open_db(b"meta_db")
        with environment.begin(write=True) as transaction:
            for number, sample in enumerate(samples):
                values = {key: pack(value) for key, value in sample.items()}
                record = msgpack.packb(values, use_bin_type=True)
                transaction.put(f"{number:010}".encode(), record, db=data)
            for key, text in {**(metadata or {}), **({} if count is None else {"nb_samples": str(count)})}.items():
                transaction.put(key.encode(), text.encode(), db=about)


def samples(n=6):
    return [{"X": X[k], "y": np.array(Y[k])} for k in range(n)]


@pytest.mark.parametrize("pack", [packed, packed_by_numpy_variant])
def test_an_old_store_reads_as_one_of_ours(tmp_path, pack):
    write(tmp_path, samples(), 6, pack, {"made": "2019"})
    store = LMDBStore(tmp_path)
    assert len(store) == 6
    assert store.keys() == ("X", "y")
    assert same(store[-1], {"X": X[5], "y": Y[5]})
    assert same(store.read([4, 0]), {"X": X[[4, 0]], "y": Y[[4, 0]]})
    assert same(list(store.batches(4, keys=("y", "X"))), [(Y[:4], X[:4]), (Y[4:], X[4:])])
    assert same(list(store[::-2].batches(4, keys="y")), [Y[::-2]])
    assert dict(store.metadata) == {"made": "2019"}
    assert same(pickle.loads(pickle.dumps(store))[2], store[2])
    store[0]["X"][:] = 9
    assert same(store[0]["X"], X[0])


def test_text_and_structures(tmp_path):
    both = np.array([(1, 2.5), (3, 4.5)], [("a", "<i4"), ("b", "<f8")])
    write(tmp_path / "a", [{"t": "grün", "x": X[0]}], 1)
    write(tmp_path / "b", [{"x": both}], 1, packed_by_numpy_variant)
    assert same(LMDBStore(tmp_path / "a")[0], {"t": "grün", "x": X[0]})
    assert same(LMDBStore(tmp_path / "b")[0], {"x": both})


def test_keys_and_shapes_that_differ(tmp_path):
    write(tmp_path, [{"x": X[0]}, {"x": X[0][:1]}, {"z": X[0]}], 3)
    store = LMDBStore(tmp_path)
    assert store.read([0, 1], ragged="pad")["x"].shape == (2, 2, 2)
    assert list(store[2]) == ["z"]
    with pytest.raises(DataError, match="the same form"):
        store.read([0, 2])
    with pytest.raises(DataError, match="has no 'x'"):
        list(store.batches(3, keys="x"))


@pytest.mark.parametrize(
    ("count", "length"),
    [
        (6, 6),
        (2, 2),  # a second writer began again at 0
        (14, 6),  # a transaction failed and the number had gone up
        (0, 6),  # a second writer wrote nothing
        (None, 6),  # the writer died before it wrote the number
        ("None", 6),
    ],
)
def test_numbers_of_samples_that_are_wrong(tmp_path, count, length):
    write(tmp_path, samples(), count)
    assert len(LMDBStore(tmp_path)) == length
    assert len(list(LMDBStore(tmp_path))) == length


def test_a_store_without_samples(tmp_path):
    write(tmp_path, [], None)
    assert list(LMDBStore(tmp_path).batches(3)) == []


@pytest.mark.parametrize(
    "described",
    [
        {b"nd": True, b"type": "|O", b"kind": b"O", b"shape": [1], b"data": pickle.dumps(print)},
        {b"type": 2, b"dtype": "|O", b"shape": [1], b"data": b"12345678"},
        {b"type": 2, b"dtype": "<f4", b"shape": [3], b"data": b"1234"},
        {b"type": 2, b"dtype": "nonsense", b"shape": [1], b"data": b"1234"},
        {b"type": 2, b"shape": [1], b"data": b"1234"},
    ],
)
def test_nothing_is_unpickled_and_damage_is_reported(tmp_path, described):
    write(tmp_path, [{"x": described}], 1, lambda value: msgpack.packb(value, use_bin_type=True))
    with pytest.raises(DataError) as caught:
        LMDBStore(tmp_path)[0]
    assert repr(str(tmp_path)) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_record_that_is_not_msgpack(tmp_path):
    write(tmp_path, samples(1), 1)
    with lmdb.open(str(tmp_path), max_dbs=2) as environment:
        data = environment.open_db(b"data_db")
        with environment.begin(write=True, db=data) as transaction:
            transaction.put(b"0000000000", b"\xc1\xff\xff")
    with pytest.raises(DataError, match="damaged"):
        LMDBStore(tmp_path)[0]


def test_writers_leave_old_stores_alone(tmp_path):
    write(tmp_path, samples(), 6)
    for mode in "aw":
        with pytest.raises(DataError, match="written by ml-pyxis"):
            LMDBWriter(tmp_path, mode=mode)
    assert len(LMDBStore(tmp_path)) == 6
    with LMDBWriter(tmp_path / "new") as db:
        db.extend(LMDBStore(tmp_path))
    assert same(LMDBStore(tmp_path / "new").read(slice(None)), {"X": X, "y": Y})


def test_a_missing_library_is_named(tmp_path, monkeypatch):
    write(tmp_path, samples(), 6)
    monkeypatch.setitem(sys.modules, "msgpack", None)
    with pytest.raises(MissingDependencyError, match=r"needs msgpack: pip install .*\[lmdb\]"):
        LMDBStore(tmp_path)[0]
