"""Stores and views without samples, and what all sources promise: an LMDB store is a source like any other."""

import lmdb
import msgpack
import numpy as np
import pytest

from streamflow.core.equal import same
from streamflow.exceptions import DataError
from streamflow.sources import ArraySource, LMDBStore, LMDBWriter
from streamflow.testing import check_source

DATA = {"X": np.arange(24, dtype=np.float32).reshape(4, 3, 2), "t": list("abcd"), "s": np.array(["x", "yy", "z", ""])}
NOTHING = [[], slice(0, 0), slice(9, None), np.zeros(0, int)]


@pytest.fixture
def store(tmp_path):
    with LMDBWriter(tmp_path / "full") as db:
        db.extend_columns(DATA)
    return LMDBStore(tmp_path / "full")


@pytest.fixture
def empty(tmp_path):
    LMDBWriter(tmp_path / "empty").close()
    return LMDBStore(tmp_path / "empty")


@pytest.mark.parametrize("ragged", ["error", "pad", "crop", "list"])
@pytest.mark.parametrize("index", NOTHING)
def test_nothing_of_a_store_reads_as_nothing_of_arrays(store, index, ragged):
    arrays = ArraySource(DATA)
    assert same(store.read(index, ragged=ragged), arrays.read(index, ragged=ragged))
    assert same(store[index].read(slice(None), ragged=ragged), arrays[index].read(slice(None), ragged=ragged))
    assert store[index].keys() == arrays[index].keys()
    assert list(store[index].batches(2, keys="X")) == []
    assert same(store[index].fetch(np.zeros(0, int))["X"], np.zeros((0, 3, 2), np.float32))
    assert store[index].batches(2, keys=("t", "X")).source.read([])[1].shape == (0, 3, 2)


@pytest.mark.parametrize("index", NOTHING)
def test_a_store_without_samples_is_a_source_without_samples(empty, index):
    arrays = ArraySource([])
    assert len(empty) == 0
    assert empty.keys() == arrays.keys()
    assert same(empty.read(index), arrays.read(index))
    assert same(empty[index].read(slice(None)), arrays[index].read(slice(None)))
    assert list(empty.batches(3)) == list(empty.samples()) == list(empty) == []
    with pytest.raises(IndexError):
        empty[0]


def test_a_store_whose_samples_have_gone(store):
    held, closed = store[:2], LMDBStore(store._path)
    closed.close()
    LMDBWriter(store._path, mode="w").close()
    for use in (closed.keys, lambda: closed[0], lambda: closed.read([]), lambda: closed[:0].read([]), lambda: held[0]):
        with pytest.raises(DataError, match="have been replaced"):
            use()
    assert LMDBStore(store._path).keys() is None


def test_nothing_of_a_store_of_ml_pyxis(tmp_path):
    with lmdb.open(str(tmp_path), map_size=1 << 20, max_dbs=2) as environment:
        data = environment.open_db(b"data_db")
        environment.open_db(b"meta_db")
        with environment.begin(write=True, db=data) as transaction:
            transaction.put(b"0000000000", msgpack.packb({"x": msgpack.packb(3)}))
    store = LMDBStore(tmp_path)
    assert store.read([])["x"].shape == (0,)
    assert store[:0].read(slice(None)).shape == (0,)
    assert store[:0].keys() == ("x",)


# ---------------------------------------------------------------------- as any source
@pytest.mark.parametrize(
    "data",
    [
        DATA,
        (np.arange(12).reshape(6, 2), [b"a", b"bcd", b"", b"e", b"f", b"g"]),
        np.arange(5.0),
        {"x": [np.arange(2 * n).reshape(2, n) for n in (3, 1, 4, 0, 3)], "n": np.arange(5)},
        [{"a": k, "b": (f"text {k}", np.full(k, k))} for k in range(4)],
    ],
)
def test_a_store_keeps_what_sources_promise(tmp_path, data):
    with LMDBWriter(tmp_path) as db:
        if isinstance(data, list):
            for sample in data:
                db.append(sample)
        else:
            db.extend_columns(data)
    check_source(LMDBStore(tmp_path), data, n_samples=6, pickles=True, fresh_process=False)


@pytest.mark.parametrize(
    "values", [[b"a\0", b"bcd", b"\0\0"], ["a\0", "bcd", "\0"], [b"ab", b"cd\0", b"\0a"], ["", "\0", "a"]]
)
def test_values_that_end_in_nulls_are_read_whole(tmp_path, values):
    with LMDBWriter(tmp_path) as db:
        db.extend_columns({"v": values, "n": np.arange(len(values))})
    store = LMDBStore(tmp_path)
    assert [store[k]["v"] for k in range(len(values))] == values
    batch = store.read(slice(None))["v"]
    assert batch.tolist() == values
    assert [batch.tolist() for batch in store.batches(len(values), keys="v")] == [values]
    assert same(batch, ArraySource({"v": values}).read(slice(None))["v"])
