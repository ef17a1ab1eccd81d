"""ArraySource: forms, lengths, what is copied and what is not."""

import pickle

import numpy as np
import pytest

from streamflow import ParameterError
from streamflow.sources import ArraySource

X, Y = np.arange(12.0).reshape(6, 2), np.arange(6)


@pytest.mark.parametrize(
    ("data", "sample", "batch"),
    [
        ({"X": X, "y": Y}, {"X": [2, 3], "y": 1}, {"X": [[2, 3], [0, 1]], "y": [1, 0]}),
        ((X, Y), ([2, 3], 1), ([[2, 3], [0, 1]], [1, 0])),
        ([X, Y], ([2, 3], 1), ([[2, 3], [0, 1]], [1, 0])),
        (X, [2, 3], [[2, 3], [0, 1]]),
        ([5, 6, 7], 6, [6, 5]),
        (["a", "b"], "b", ["b", "a"]),
        (range(3), 1, [1, 0]),
        ("abc", "b", ["b", "a"]),
        ((Y[:3], "abc"), (1, "b"), ([1, 0], ["b", "a"])),
    ],
)
def test_a_batch_has_the_form_of_the_data(data, sample, batch):
    source = ArraySource(data)
    assert plain(source[1]) == sample
    assert plain(source.read([1, 0])) == batch


def plain(data):
    if isinstance(data, dict):
        return {key: plain(value) for key, value in data.items()}
    return tuple(map(plain, data)) if isinstance(data, tuple) else getattr(data, "tolist", lambda: data)()


def test_batches_are_fresh_and_writeable():
    source = ArraySource({"X": X.copy()})
    for batch in source.batches(3):
        batch["X"][:] = -1
    assert source.read(slice(None))["X"].tolist() == X.tolist()


def test_samples_are_read_only_views():
    own = X.copy()
    sample = ArraySource(own)[2]
    assert np.shares_memory(sample, own)
    with pytest.raises(ValueError, match="read-only"):
        sample += 1
    own[0] = 7  # the user's array stays his
    assert own.flags.writeable


def test_nothing_is_copied():
    source = ArraySource({"X": X, "y": Y})
    assert np.shares_memory(source[0]["X"], X)
    assert np.shares_memory(source[1:][::-1][0]["X"], X)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (
            {"X": X, "y": Y[:5]},
            "must be arrays of equal length, got 6 for data\\['X'\\] and 5 for data\\['y'\\]$",
        ),
        ((X, Y[:5]), r"got 6 for data\[0\] and 5 for data\[1\]; pass a list of samples as one column"),
        ([X] * 9000 + [Y[:5]], r"got 6 for data\[0\] and 5 for data\[9000\]; pass"),
        ({}, "at least one array"),
        (5, "`data` must be an array or anything with a length"),
        (np.array(5), "at least one axis"),
        ({"X": iter([1])}, "data\\['X'\\]"),
        ({"X": {1: 2}}, "data\\['X'\\]"),
        (None, "got None"),
        ((X, 5), r"`data\[1\]` must be an array or anything with a length and \[\], got 5"),
        ([None, X, 5], r"data\[0\]"),
        ((X, {"a": X}), r"data\[1\]"),
        ((X, np.array(5)), r"data\[1\]"),
    ],
)
def test_bad_data(data, text):
    with pytest.raises(ParameterError, match=text):
        ArraySource(data)


def test_dtypes_stay():
    arrays = {
        "big": np.arange(4, dtype=">f4"),
        "dates": np.arange(4).astype("M8[s]"),
        "text": np.array(["a", "bcd", "", "e"]),
        "bytes": np.array([b"a", b"bcd", b"", b"e"]),
        "struct": np.array([(1, 2.0)] * 4, [("a", "i1"), ("b", "f8")]),
        "object": np.array([None, "a", 1, [2]], object),
        "empty": np.empty((4, 0)),
        "bool": np.array([True, False, True, False]),
    }
    got = ArraySource(arrays).read([3, 0, 3])
    for name, array in arrays.items():
        assert got[name].dtype == array.dtype, name
        assert got[name].tolist() == array[[3, 0, 3]].tolist(), name


def test_masks_stay():
    masked = np.ma.masked_array(np.arange(4), [0, 1, 0, 0])
    got = ArraySource(masked).read([1, 2])
    assert isinstance(got, np.ma.MaskedArray)
    assert got.mask.tolist() == [True, False]


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("step", [1, -1, 2])
def test_any_layout(order, step):
    array = np.array(np.arange(60).reshape(10, 2, 3), order=order)[::step]
    assert np.array_equal(ArraySource(array).read([3, 0, -1]), array[[3, 0, -1]])


def test_an_array_that_is_not_aligned():
    memory = bytearray(8 * 10 + 1)
    array = np.frombuffer(memory, np.float64, 10, 1)
    array[:] = np.arange(10)
    assert not array.flags.aligned
    got = ArraySource(array).read([9, 0])
    assert got.tolist() == [9, 0]
    assert got.flags.aligned


def test_no_samples():
    source = ArraySource({"X": np.empty((0, 3)), "y": []})
    assert len(source) == 0
    assert list(source.batches(4, epochs=None)) == []
    assert list(source.samples(shuffle=True)) == []
    assert source.read(slice(None))["X"].shape == (0, 3)


def test_an_empty_batch_has_the_form_of_the_others():
    source = ArraySource({"X": X, "y": list(range(6))})
    got = source.read([])
    assert got["X"].shape == (0, 2)
    assert got["X"].dtype == float
    assert got["y"].shape == (0,)


def test_nested_sources():
    inner = ArraySource({"a": X, "b": Y})
    outer = ArraySource({"in": inner[::-1], "y": Y})
    got = outer.read([0, 1])
    assert got["in"]["b"].tolist() == [5, 4]
    assert got["y"].tolist() == [0, 1]


def test_pickled():
    source = ArraySource({"X": X, "y": list("abcdef")})[1:4]
    again = pickle.loads(pickle.dumps(source))
    assert again[0]["y"] == "b"
    assert again.read([0, 2])["X"].tolist() == X[[1, 3]].tolist()
    assert repr(again) == repr(source)


def test_repr_shows_types_and_shapes():
    assert repr(ArraySource({"X": X, "y": [1] * 6})) == "ArraySource(X: ndarray(float64, (6, 2)), y: list of 6)"
    assert repr(ArraySource((X, Y))[2:]) == "ArraySource(ndarray(float64, (6, 2)), ndarray(int64, (6,)))[2:6:1]"
