"""LMDBStore and LMDBWriter in one process: what is written is what is read, one by one and in batches."""

import os
import pickle
import shutil
import threading
from collections import Counter

import lmdb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from streamflow import MissingDependencyError
from streamflow.core.equal import same
from streamflow.exceptions import DataError, ParameterError, StreamflowError
from streamflow.samplers import WeightedSampler
from streamflow.sources import ArraySource, LMDBStore, LMDBWriter
from streamflow.sources.lmdb import lease
from streamflow.sources.lmdb import writer as lmdb_writer
from streamflow.sources.lmdb.codec import RecordLayout
from streamflow.testing import check_streamer, rows

from ..as_read import as_read

X = np.arange(60, dtype=np.float32).reshape(20, 3)
Y = np.arange(20)


@pytest.fixture
def path(tmp_path):
    with LMDBWriter(tmp_path / "data") as db:
        db.extend_columns({"X": X, "y": Y})
    return tmp_path / "data"


# ---------------------------------------------------------------------- values
SCALARS = st.one_of(st.integers(-(2**62), 2**62), st.floats(allow_nan=False), st.booleans(), st.text(), st.binary())
DTYPES = st.one_of(
    hnp.integer_dtypes(endianness="?"),
    hnp.floating_dtypes(),
    hnp.boolean_dtypes(),
    hnp.complex_number_dtypes(),
    hnp.datetime64_dtypes(),
    hnp.unicode_string_dtypes(),
    hnp.byte_string_dtypes(),
    st.just(np.dtype([("a", "<f4", (2,)), ("b", ">i2")])),
)
ARRAYS = hnp.arrays(DTYPES, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
FORMS = st.recursive(
    st.one_of(SCALARS, ARRAYS),
    lambda inside: st.one_of(
        st.dictionaries(st.text(max_size=5), inside, max_size=3), st.lists(inside, max_size=3).map(tuple)
    ),
    max_leaves=5,
)


def identical(a, b):
    if isinstance(a, dict):
        return list(a) == list(b) and all(identical(a[key], b[key]) for key in a)
    if isinstance(a, tuple):
        return isinstance(b, tuple) and len(a) == len(b) and all(map(identical, a, b))
    if isinstance(a, (np.ndarray, np.generic)):
        return type(a) is type(b) and a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    return type(a) is type(b) and a == b


@given(FORMS)
def test_a_sample_of_any_form_comes_back_as_it_was(sample):
    layout = RecordLayout.of(sample)
    again = RecordLayout.from_json(layout.to_json())
    assert identical(again.one(memoryview(layout.record(sample)), None), as_read(sample))


@given(st.data())
def test_arrays_of_any_shapes_share_a_layout(data):
    dtype = data.draw(DTYPES)
    shapes = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
    samples = [
        {"a": data.draw(hnp.arrays(dtype, shapes)), "text": data.draw(st.text()), "b": k}
        for k in range(data.draw(st.integers(1, 4)))
    ]
    layout = RecordLayout.of(samples[0])
    records = [memoryview(layout.record(sample)) for sample in samples]
    assert all(map(identical, (layout.one(record, None) for record in records), map(as_read, samples)))
    many = layout.many(records, ("b", "a"))
    assert many[0].tolist() == list(range(len(samples)))
    assert all(
        map(identical, (np.asarray(value)[()] for value in many[1]), (as_read(sample["a"]) for sample in samples))
    )


@given(st.lists(hnp.arrays(np.int16, hnp.array_shapes(min_dims=2, max_dims=2, max_side=3)), min_size=2, max_size=5))
def test_ragged_arrays_are_padded_as_those_in_memory(arrays):
    layout = RecordLayout.of({"x": arrays[0]})
    many = layout.many([memoryview(layout.record({"x": array})) for array in arrays], None)
    assert same(list(many["x"]), arrays)


def test_records_of_one_length_and_two_kinds():
    arrays = [np.arange(27, dtype=np.uint8), np.arange(3, dtype=np.uint8)]  # three numbers of 8 bytes, and 3 bytes
    layout = RecordLayout.of(arrays[0])
    records = [memoryview(layout.record(array)) for array in arrays]
    assert len(records[0]) == len(records[1])
    assert same(layout.many(records, None), arrays)
    assert same([layout.one(record, None) for record in records], arrays)


@given(FORMS, st.integers(0, 500), st.binary(max_size=20))
def test_a_damaged_record_is_an_error_and_nothing_else(sample, cut, garbage):
    layout = RecordLayout.of(sample)
    for record in (layout.record(sample)[:cut], layout.record(sample)[:cut] + garbage, garbage):
        try:
            layout.one(memoryview(record), None)
        except DataError:
            continue


@pytest.mark.parametrize(
    "data",
    [
        X,
        (X, Y),
        {"X": X, "name": list("abcdefghijklmnopqrst")},
        {"text": np.array([f"n{k}" for k in range(20)]), "raw": [bytes([k + 1]) for k in range(20)]},
        {"both": np.array([(k, k / 2) for k in range(20)], [("a", "i4"), ("b", "f8")])},
        {"day": np.arange("2020-01-01", "2020-01-21", dtype="M8[D]"), "big": Y.astype(">i8"), "yes": Y % 2 == 0},
        np.zeros((20, 0, 3), np.int8),
    ],
)
def test_a_store_reads_as_the_arrays_in_memory(tmp_path, data):
    with LMDBWriter(tmp_path) as db:
        db.extend_columns(data)
    store, arrays = LMDBStore(tmp_path), ArraySource(data)
    assert len(store) == 20
    assert store.keys() == arrays.keys()
    for index in (slice(None), [3, 3, -1, 0], slice(15, 2, -4), Y > 16):
        assert identical(store.read(index), arrays.read(index))
        assert identical(store[index].read(slice(None)), arrays.read(index))
    assert all(map(identical, map(as_read, store), map(as_read, arrays)))


def test_ragged_samples(tmp_path):
    arrays = [np.arange(2 * k).reshape(2, k) for k in (3, 1, 4, 3)]
    with LMDBWriter(tmp_path) as db:
        db.extend_columns({"x": arrays[:2], "n": [3, 1]})
        db.append({"x": arrays[2], "n": 4})
        db.extend_columns({"x": np.array([arrays[3]]), "n": np.array([3])})
    store, memory = LMDBStore(tmp_path), ArraySource({"x": arrays, "n": [3, 1, 4, 3]})
    assert same([sample["x"] for sample in store], arrays)
    for how in ({"ragged": "pad", "fill": -1}, {"ragged": "crop"}, {"ragged": "list"}):
        assert same(store.read(slice(None), **how)["x"], memory.read(slice(None), **how)["x"])
    assert store.read([0, 3])["x"].shape == (2, 2, 3)
    with pytest.raises(DataError, match="ragged='pad'"):
        store.read(slice(None))


@pytest.mark.parametrize("keys", ["y", "X", ("y", "X"), ("X",)])
def test_keys_in_their_order_and_one_alone(path, keys):
    whole = {"X": X[6:12], "y": Y[6:12]}
    expected = tuple(whole[key] for key in keys) if isinstance(keys, tuple) else whole[keys]
    assert same(list(LMDBStore(path).batches(6, keys=keys))[1], expected)
    assert same(next(iter(LMDBStore(path)[6:].batches(6, keys=keys))), expected)


def test_places_of_tuples_are_keys(tmp_path):
    with LMDBWriter(tmp_path) as db:
        db.extend_columns((X, Y, list("abcdefghijklmnopqrst")))
    store = LMDBStore(tmp_path)
    assert same(next(iter(store.batches(2, keys=(2, 0)))), (np.array(["a", "b"]), X[:2]))
    assert same(next(iter(store.samples(keys=1))), Y[0])
    assert same(next(iter(store.batches(2, keys=1, with_indices=True))), (np.arange(2), Y[:2]))
    assert store.batches(2, keys=(2, 0)).source.keys() == (0, 1)


def test_a_damaged_value_does_not_matter_to_those_that_do_not_read_it(tmp_path):
    with LMDBWriter(tmp_path) as db:
        db.append({"text": "abc", "y": 1})
    environment = lmdb.open(str(tmp_path), max_dbs=4)
    base = environment.open_db(b"samples")
    with environment.begin(write=True, db=base) as transaction:
        ((key, record),) = transaction.cursor()
        transaction.put(key, record.replace(b"abc", b"\xff\xfe\xfd"))
    environment.close()
    assert [batch.tolist() for batch in LMDBStore(tmp_path).batches(1, keys="y")] == [[1]]
    with pytest.raises(DataError, match="damaged"):
        LMDBStore(tmp_path)[0]


def test_what_is_read_belongs_to_the_reader(path):
    store = LMDBStore(path)
    sample, batch = store[3], store.read([3, 4])
    sample["X"][:] = batch["X"][:] = batch["y"][:] = -1
    assert store[3]["X"].tolist() == X[3].tolist()
    batches = list(store.batches(4, shuffle=True, random_state=0))
    assert len({batch["X"].__array_interface__["data"][0] for batch in batches}) == 5


def test_published_batches(path):
    store = LMDBStore(path)
    simple = store.batches(3, epochs=None).open()
    sizes = [(len(next(simple)["y"]), simple.epoch) for _ in range(8)]
    assert sizes == [(3, 0)] * 6 + [(2, 0), (3, 1)]
    shuffled = list(store.batches(5, keys="y", shuffle=True, random_state=1234, epochs=2))
    first, second = np.concatenate(shuffled[:4]), np.concatenate(shuffled[4:])
    assert sorted(first) == sorted(second) == list(range(20))
    assert first.tolist() != second.tolist()
    draws = store.batches(5, keys="y", sampler=WeightedSampler(np.ones(20)), epochs=None, random_state=0)
    assert all(len(batch) == 5 for batch in draws.iterate(30))
    assert [batch.tolist() for batch in store.batches(8, keys="y")] == [[*range(8)], [*range(8, 16)], [*range(16, 20)]]
    squares = store.map(lambda sample: {**sample, "y": sample["y"] ** 2}).batches(2)
    assert next(iter(squares))["y"].tolist() == [0, 1]


def test_streams_keep_what_streams_promise(path):
    store = LMDBStore(path)
    check_streamer(store.batches(3, shuffle=True, random_state=0), samples_of=rows, pickles=True)
    check_streamer(store.samples(shuffle=True, random_state=0, keys=("y", "X")), pickles=True)


# ---------------------------------------------------------------------- appending and replacing
def test_a_writer_appends(path):
    with LMDBWriter(path) as db:
        assert len(db) == 20
        db.append({"X": X[0], "y": 20})
        assert len(db) == 21
    with LMDBWriter(path):
        pass
    assert LMDBStore(path).read(slice(None))["y"].tolist() == list(range(21))


def test_mode_w_replaces(path):
    with LMDBWriter(path) as db:
        db.metadata["a"] = "b"
    before = LMDBStore(path)
    assert before[0]["y"] == 0
    with LMDBWriter(path, mode="w") as db:
        assert len(db) == 0
        db.append("another form")
    assert list(LMDBStore(path)) == ["another form"]
    assert dict(LMDBStore(path).metadata) == {}
    with pytest.raises(DataError, match="have been replaced"):
        before[0]
    before.close()
    with pytest.raises(DataError, match="have been replaced"):
        before.read([0])


def test_a_store_is_as_long_as_it_was_everywhere(path):
    store = LMDBStore(path)
    sent = pickle.dumps(store)
    with LMDBWriter(path) as db:
        db.append({"X": X[0], "y": 20})
    store.close()
    assert len(store) == len(pickle.loads(sent)) == 20
    assert pickle.loads(sent)[-1]["y"] == store[-1]["y"] == 19
    assert len(LMDBStore(path)) == 21


def test_what_is_flushed_can_be_read_beside_the_writer(tmp_path):
    with LMDBWriter(tmp_path) as db:
        assert len(LMDBStore(tmp_path)) == 0
        assert list(LMDBStore(tmp_path).batches(3)) == []
        db.append(1)
        db.metadata["k"] = "v"
        assert len(LMDBStore(tmp_path)) == 0
        assert dict(LMDBStore(tmp_path).metadata) == {}
        db.flush()
        store = LMDBStore(tmp_path)
        assert list(store) == [1]
        assert dict(store.metadata) == {"k": "v"}
        del db.metadata["k"]
        db.append(2)
    assert list(LMDBStore(tmp_path)) == [1, 2]
    assert dict(store.metadata) == {}
    with pytest.raises(TypeError):
        store.metadata["k"] = "w"


def test_many_writers_append(tmp_path):
    with LMDBWriter(tmp_path) as one, LMDBWriter(tmp_path) as two:
        for k in range(50):
            (one, two)[k % 2].append(k)
            if k % 7 == 0:
                one.flush()
            if k % 5 == 0:
                two.flush()
    assert sorted(LMDBStore(tmp_path)) == list(range(50))


def test_the_map_grows(tmp_path, monkeypatch):
    monkeypatch.setattr(lmdb_writer, "_KEPT", 1 << 18)
    big = np.random.default_rng(0).integers(0, 256, (300, 40000), np.uint8)
    store = None
    with LMDBWriter(tmp_path) as db:
        for k in range(0, 300, 50):
            db.extend(big[k : k + 50])
            db.flush()
            store = store or LMDBStore(tmp_path)
            assert np.array_equal(store.read([0, -1]), big[[0, 49]])
        db.extend(big[:1])
    assert np.array_equal(LMDBStore(tmp_path).read(slice(None)), np.concatenate([big, big[:1]]))


def test_a_sample_larger_than_all_before(tmp_path):
    with LMDBWriter(tmp_path) as db:
        db.append(np.zeros(1, np.uint8))
        db.flush()
        db.append(np.ones(50 << 20, np.uint8))
    assert LMDBStore(tmp_path)[1].sum() == 50 << 20


def test_sources_as_columns_and_as_a_whole(path, tmp_path):
    store = LMDBStore(path)
    with LMDBWriter(tmp_path / "b") as db:
        db.extend(store[::2])
        db.extend_columns({"X": store.map(lambda sample: sample["X"])[1::2], "y": Y[1::2]})
    expected = np.concatenate([Y[::2], Y[1::2]])
    assert LMDBStore(tmp_path / "b").read(slice(None))["y"].tolist() == expected.tolist()
    with LMDBWriter(path) as db:
        db.extend(store)
    assert len(LMDBStore(path)) == 40


def test_threads_may_share_a_writer(tmp_path):
    with LMDBWriter(tmp_path) as db:
        threads = [threading.Thread(target=lambda k=k: [db.append(100 * k + j) for j in range(100)]) for k in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(LMDBStore(tmp_path)) == list(range(500))


def test_an_error_in_the_block_keeps_the_samples_before_it(tmp_path):
    with pytest.raises(ZeroDivisionError), LMDBWriter(tmp_path) as db:
        db.append(1)
        1 / 0
    assert list(LMDBStore(tmp_path)) == [1]


# ---------------------------------------------------------------------- handles
def environments():
    return lease._registry.environments


def test_handles_are_shared_and_released_at_once(path):
    stores = [LMDBStore(path) for _ in range(5)] + [LMDBStore(os.path.relpath(path))]
    link = path.parent / "link"
    link.symlink_to(path)
    stores.append(LMDBStore(link))
    assert len(environments()) == 1
    for store in stores:
        assert environments()
        store.close()
    assert not environments()
    lmdb.open(str(path), readonly=True).close()  # it would refuse a database that is open
    with stores[0] as store:
        assert store[0]["y"] == 0
        assert environments()
    assert not environments()


def test_forgotten_stores_are_closed(path):
    store = LMDBStore(path)
    writer = LMDBWriter(path)
    del store, writer
    assert not environments()


def test_a_folder_that_was_made_anew_is_another_store(path):
    old = LMDBStore(path)
    shutil.rmtree(path)
    with LMDBWriter(path) as db:
        db.append(5)
    assert list(LMDBStore(path)) == [5]
    assert old[1]["y"] == 1


def test_threads_read_close_and_grow_together(tmp_path, monkeypatch):
    monkeypatch.setattr(lmdb_writer, "_KEPT", 1 << 16)
    rng = np.random.default_rng(0)
    data = rng.integers(0, 256, (600, 5000), np.uint8)
    with LMDBWriter(tmp_path) as db:
        db.extend(data[:50])
    store, done, wrong = LMDBStore(tmp_path), threading.Event(), []

    def read(seed):
        own = np.random.default_rng(seed)
        try:
            while not done.is_set():
                at = own.integers(0, 50, 8)
                if not np.array_equal(store.read(at), data[at]):
                    wrong.append(at)
                if seed == 0:
                    store.close()
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    with LMDBWriter(tmp_path) as db:
        for k in range(50, 600, 10):
            db.extend(data[k : k + 10])
    done.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert np.array_equal(LMDBStore(tmp_path).read(slice(None)), data)


def test_a_store_that_another_thread_closes_before_it_reads(path):
    store = LMDBStore(path)
    handle, times = store._handle, iter([True])

    class Closing:
        def get(self):
            opened = handle.get()
            if next(times, False):
                handle.close()
            return opened

    store._handle = Closing()
    assert store[3]["y"] == 3
    assert next(times, None) is None


def test_one_stream_in_many_threads(path):
    live = LMDBStore(path).batches(1, keys="y", epochs=50, shuffle=True, random_state=0).open()
    seen, lock = Counter(), threading.Lock()

    def take():
        for batch in live:
            with lock:
                seen[int(batch[0])] += 1

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == dict.fromkeys(range(20), 50)


# ---------------------------------------------------------------------- bad input
def test_no_store_no_trace(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to("nowhere")
    before = sorted(tmp_path.rglob("*"))
    for name, why in {
        "none": "does not exist, expected the folder of an LMDB store",
        "file": "is a file, expected the folder of an LMDB store",
        "link": "is a broken link, expected the folder of an LMDB store",
        "empty": "holds no data.mdb, expected a store that LMDBWriter or ml-pyxis has written",
    }.items():
        with pytest.raises(DataError) as caught:
            LMDBStore(tmp_path / name)
        assert str(caught.value) == f"{str(tmp_path / name)!r} {why}"
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("content", [b"", b"x", b"hello" * 5000])
def test_another_file(tmp_path, content):
    (tmp_path / "data.mdb").write_bytes(content)
    for kind in (LMDBStore, LMDBWriter):
        with pytest.raises(DataError) as caught:
            kind(tmp_path)
        assert repr(str(tmp_path)) in str(caught.value)
        assert "\n" not in str(caught.value)
    assert (tmp_path / "data.mdb").read_bytes() == content


def test_another_database(tmp_path):
    with lmdb.open(str(tmp_path)) as environment, environment.begin(write=True) as transaction:
        transaction.put(b"a", b"b")
    for kind in (LMDBStore, LMDBWriter, lambda path: LMDBWriter(path, mode="w")):
        with pytest.raises(DataError, match="holds another LMDB database"):
            kind(tmp_path)
    with lmdb.open(str(tmp_path)) as environment, environment.begin() as transaction:
        assert transaction.get(b"a") == b"b"


def test_truncated_stores(tmp_path):
    with LMDBWriter(tmp_path / "a") as db:
        db.extend(np.random.default_rng(0).random((50, 300)))
    whole = (tmp_path / "a" / "data.mdb").read_bytes()
    (tmp_path / "b").mkdir()
    for length in (1, 100, 4096, 8192, len(whole) // 2, len(whole) - 1):
        (tmp_path / "b" / "data.mdb").write_bytes(whole[:length])
        for kind in (LMDBStore, LMDBWriter):
            with pytest.raises(DataError, match=r"truncated|cannot be used"):
                kind(tmp_path / "b")
        shutil.rmtree(tmp_path / "b")
        (tmp_path / "b").mkdir()


def test_a_newer_version(path):
    with lmdb.open(str(path), max_dbs=4) as environment:
        base = environment.open_db(b"about")
        with environment.begin(write=True, db=base) as transaction:
            transaction.put(b"store", transaction.get(b"store").replace(b'"format": 1', b'"format": 2'))
    for kind in (LMDBStore, LMDBWriter):
        with pytest.raises(DataError, match="has format 2, written by a newer streamflow; this one reads up to 1"):
            kind(path)


def test_writers_name_a_file_in_the_way(tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to("nowhere")
    for name, why in {
        "file": "is a file, expected a folder for an LMDB store",
        "link": "is a broken link, expected a folder for an LMDB store",
        "file/below": r"cannot be written to \(.*Not a directory.*\)",
    }.items():
        with pytest.raises(DataError, match=f"^{str(tmp_path / name)!r} {why}$"):
            LMDBWriter(tmp_path / name)


@pytest.mark.parametrize(
    ("sample", "words"),
    [
        ({"X": X[0]}, "expected keys 'X', 'y'"),
        ({"X": X[0], "y": 1, "z": 2}, "expected keys 'X', 'y'"),
        ((X[0], 1), "expected keys 'X', 'y'"),
        ({"X": X[0].astype(float), "y": 1}, "'X' must have dtype float32"),
        ({"X": X[0], "y": 1.5}, "'y' must have dtype int64"),
        ({"X": X[0], "y": 2**70}, "'y' must have dtype int64"),
        ({"X": X[0], "y": None}, "'y' cannot be stored"),
        ({"X": X[0], "y": "text"}, "'y' must have dtype int64"),
        ({"X": [[1], [2, 3]], "y": 1}, "'X' cannot be stored"),
        ({"X": np.ma.masked_equal(X[0], 1), "y": 1}, "'X' cannot be stored"),
    ],
)
def test_a_wrong_sample_harms_nothing(path, sample, words):
    with LMDBWriter(path) as db:
        db.append({"X": X[0], "y": 20})
        with pytest.raises(DataError, match=words) as caught:
            db.append(sample)
        assert f"{str(path)!r}, sample 21: " in str(caught.value)
        assert "\n" not in str(caught.value)
        db.append({"X": X[1], "y": 21})
    assert LMDBStore(path).read(slice(None))["y"].tolist() == list(range(22))


@pytest.mark.parametrize("value", [object(), None, {1: 2}, np.array([object()]), [print], 2**70])
def test_nothing_is_pickled(tmp_path, value):
    with LMDBWriter(tmp_path) as db, pytest.raises(DataError):
        db.append({"a": value})
    assert len(LMDBStore(tmp_path)) == 0


def test_numbers_of_python_take_the_dtype_that_is_there(tmp_path):
    with LMDBWriter(tmp_path) as db:
        db.extend_columns({"a": np.zeros(1, np.float32), "b": [[0.5, 1.0]]})
        db.append({"a": 2, "b": [1, 2]})
    batch = LMDBStore(tmp_path).read(slice(None))
    assert batch["a"].dtype == np.float32
    assert batch["b"].tolist() == [[0.5, 1.0], [1.0, 2.0]]


def test_unequal_arrays(tmp_path):
    with LMDBWriter(tmp_path) as db, pytest.raises(ParameterError, match="equal length"):
        db.extend_columns({"X": X, "y": Y[:3]})


def test_parameters(tmp_path):
    with pytest.raises(ParameterError, match="`mode` must be one of 'a', 'w'"):
        LMDBWriter(tmp_path, mode="r")
    for kind in (LMDBStore, LMDBWriter):
        with pytest.raises(ParameterError, match="`path` must be"):
            kind(5)
    with LMDBWriter(tmp_path) as db:
        with pytest.raises(ParameterError, match=r"`metadata\['a'\]` must be a str"):
            db.metadata["a"] = 5
        with pytest.raises(TypeError, match="another process"):
            pickle.dumps(db)
    db.close()
    with pytest.raises(StreamflowError, match="closed"):
        db.append(1)


def test_indices_outside(path):
    store = LMDBStore(path)
    for index in (20, -21):
        with pytest.raises(IndexError):
            store[index]
    with pytest.raises(ParameterError, match="one of 'X', 'y'"):
        store.batches(2, keys="z")


def test_a_missing_library_is_named(path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "lmdb", None)
    for kind in (LMDBStore, LMDBWriter):
        with pytest.raises(MissingDependencyError, match=r"needs lmdb: pip install .*\[lmdb\]"):
            kind(path)
