"""LMDB stores that are damaged: one line that names the store, and nothing is created beside them."""

import json

import lmdb
import msgpack
import numpy as np
import pytest

from streamflow.exceptions import DataError
from streamflow.sources import LMDBStore, LMDBWriter

LAYOUT = {"kind": "array", "dtype": "'<f8'", "shape": []}


def put(path, key, change):
    """Change an entry about a store."""
    with lmdb.open(str(path), max_dbs=2) as environment:
        about = environment.open_db(b"about", create=False)
        with environment.begin(write=True) as transaction:
            known = json.loads(transaction.get(key, b"{}", about))
            transaction.put(key, json.dumps(change(known)).encode(), db=about)


def complaint(use):
    with pytest.raises(DataError) as caught:
        use()
    return str(caught.value)


@pytest.fixture
def path(tmp_path):
    with LMDBWriter(tmp_path / "store") as db:
        db.append(1.0)
        db.metadata["made"] = "2026"
    return tmp_path / "store"


@pytest.mark.parametrize(
    "changed",
    [
        lambda known: [],
        lambda known: {"format": 1},
        lambda known: {**known, "format": "1"},
        lambda known: {**known, "format": None},
        lambda known: {**known, "count": "many"},
        lambda known: {**known, "count": -1},
        lambda known: {**known, "count": 1.5},
        lambda known: {**known, "generation": 1 << 40},
        lambda known: {**known, "writers": []},
        lambda known: {**known, "layout": 7},
        lambda known: {**known, "layout": {"dict": [[["a"], LAYOUT]]}},
        lambda known: {**known, "layout": {"tuple": 5}},
        lambda known: {**known, "layout": {**LAYOUT, "kind": "image"}},
        lambda known: {**known, "layout": {**LAYOUT, "dtype": "(2,"}},
        lambda known: {**known, "layout": {**LAYOUT, "dtype": "'|O'"}},
        lambda known: {**known, "layout": {**LAYOUT, "shape": [-1]}},
        lambda known: {**known, "layout": {**LAYOUT, "shape": ["a"]}},
        lambda known: {**known, "layout": {**LAYOUT, "shape": 3}},
    ],
)
def test_what_a_store_says_of_itself(path, changed):
    put(path, b"store", changed)
    for use in (LMDBStore, LMDBWriter):
        message = complaint(lambda use=use: use(path))
        assert message.startswith(f"{str(path)!r} is damaged (")
        assert "\n" not in message


@pytest.mark.parametrize("metadata", [5, ["a"], {"a": 1}])
def test_metadata(path, metadata):
    put(path, b"metadata", lambda known: metadata)
    assert complaint(lambda: LMDBStore(path).metadata).startswith(f"{str(path)!r} is damaged (")
    assert complaint(lambda: LMDBWriter(path)).startswith(f"{str(path)!r} is damaged (")
    assert LMDBStore(path)[0] == 1.0


@pytest.mark.parametrize("value", [{b"type": 2, b"dtype": "(2,", b"shape": [1], b"data": b"1234"}, {("a",): 1}])
def test_values_of_ml_pyxis(tmp_path, value):
    with lmdb.open(str(tmp_path), max_dbs=2) as environment:
        data, about = environment.open_db(b"data_db"), environment.open_db(b"meta_db")
        with environment.begin(write=True) as transaction:
            transaction.put(b"0000000000", msgpack.packb({"x": msgpack.packb(value)}), db=data)
            transaction.put(b"nb_samples", b"1", db=about)
    assert complaint(lambda: LMDBStore(tmp_path)[0]).startswith(f"{str(tmp_path)!r}: a sample is damaged: ")


@pytest.mark.parametrize("data", [b"x", b"no database " * 1000, bytes(8192)])
def test_another_file_gets_nothing_beside_it(tmp_path, data):
    (tmp_path / "data.mdb").write_bytes(data)
    for use in (LMDBStore, LMDBWriter):
        message = complaint(lambda use=use: use(tmp_path))
        assert message.startswith(f"{str(tmp_path)!r} holds a data.mdb that is not an LMDB file, expected a store")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("data.mdb", data)]


# ---------------------------------------------------------------------- text of any length
def test_text_of_any_length_is_stored_as_text_of_one(tmp_path):
    words = np.array([["a", "bcd"], ["", "ü"]], np.dtypes.StringDType())
    with LMDBWriter(tmp_path) as db:
        db.append({"words": words})
        db.append({"words": words[:, :1]})
        db.extend_columns({"words": np.array([["longer than those before"]], np.dtypes.StringDType())[None]})
    found = [sample["words"] for sample in LMDBStore(tmp_path)]
    assert [array.tolist() for array in found] == [
        [["a", "bcd"], ["", "ü"]],
        [["a"], [""]],
        [["longer than those before"]],
    ]
    assert {array.dtype.kind for array in found} == {"U"}


@pytest.mark.parametrize("text", ["ends in NUL\0", None])
def test_text_of_any_length_that_would_come_back_otherwise_is_refused(tmp_path, text):
    words = np.array(["a", text], np.dtypes.StringDType(na_object=None))
    assert "'words' cannot be stored: " in complaint(lambda: LMDBWriter(tmp_path).append({"words": words}))
