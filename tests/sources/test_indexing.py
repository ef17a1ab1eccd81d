"""`source[...]` and `source.read(...)` against NumPy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamflow.sources import ArraySource, Source
from streamflow.sources.reading.indexing import positions

LENGTHS = st.integers(0, 12)
BORDERS = st.none() | st.integers(-15, 15)
SLICES = st.builds(slice, BORDERS, BORDERS, st.none() | st.integers(-4, 4).filter(bool))


class Slow(Source):
    """Samples one by one, with everything else as it comes from the base."""

    def __init__(self, array):
        self.array = array

    def __len__(self):
        return len(self.array)

    def sample(self, index):
        assert type(index) is int
        assert 0 <= index < len(self.array)
        return self.array[index]


def selections(n):
    indices = st.lists(st.integers(-n, n - 1), max_size=8) if n else st.just([])
    masks = st.lists(st.booleans(), min_size=n, max_size=n).map(lambda mask: np.array(mask, bool))
    arrays = indices.map(lambda found: np.array(found, np.int16))
    return SLICES | indices | arrays | masks


def data_of(n):
    return np.arange(10, 10 + 3 * n).reshape(n, 3)


@pytest.mark.parametrize("kind", [ArraySource, Slow])
@given(data=st.data())
def test_views_are_numpys(kind, data):
    array = data_of(data.draw(LENGTHS))
    source = kind(array)
    for _ in range(3):
        index = data.draw(selections(len(array)))
        array, source = array[index], source[index]
        assert len(source) == len(array)
        assert np.array_equal(np.array(list(source)).reshape(-1, 3), array)
        if len(array):
            at = data.draw(st.integers(-len(array), len(array) - 1))
            assert np.array_equal(source[at], array[at])
        again = data.draw(selections(len(array)))
        got = source.read(again)
        assert np.array_equal(got.reshape(-1, 3), array[again])


@given(data=st.data())
def test_read_is_fancy_indexing(data):
    n = data.draw(st.integers(1, 12))
    array = data_of(n)
    index = data.draw(selections(n))
    got = ArraySource({"X": array, "y": list(range(n))}).read(index)
    assert got["X"].dtype == array.dtype
    assert np.array_equal(got["X"], array[index])
    assert got["y"].tolist() == np.arange(n)[index].tolist()


@pytest.mark.parametrize(
    "index",
    [
        5,
        -6,
        np.int64(5),
        [0, 5],
        np.array([-6]),
        [2**40],
        np.uint64(2**64 - 1),
        [2**64 - 1],
        np.array([0, 2**63], np.uint64),
    ],
)
def test_out_of_range(index):
    source = ArraySource(np.arange(5))
    with pytest.raises(IndexError, match="out of range for 5 samples"):
        source[index]
    with pytest.raises(IndexError, match="out of range for 5 samples"):
        source.read(index)


@pytest.mark.parametrize(
    ("index", "text"),
    [
        (True, "must be an integer, a slice, an array of integers or a mask, got True"),
        (1.0, "got 1.0"),
        ("a", "got 'a'"),
        (None, "got None"),
        ([0.5], "must hold integers or be a mask, got float64"),
        ([[0, 1]], "must have one axis, got 2"),
        ([True, False], r"one value per sample \(5\), got 2"),
        ((1, 2), "has one axis, got an index with 2"),
    ],
)
def test_wrong_indices(index, text):
    with pytest.raises(IndexError, match=text):
        ArraySource(np.arange(5))[index]


def test_scalars_of_numpy_are_integers():
    source = ArraySource(np.arange(5))
    assert source[np.int8(-1)] == source[np.array(4)] == 4
    assert source.read(3).tolist() == [3]


def test_views_of_views_keep_one_selection():
    view = ArraySource(np.arange(100))[10:90][::-2][[3, 0]][::-1]
    assert view._source.__class__ is ArraySource
    assert list(view) == np.arange(100)[10:90][::-2][[3, 0]][::-1].tolist()


def test_a_view_is_not_changed_with_the_array_that_selected_it():
    chosen = np.array([1, 2])
    view = ArraySource(np.arange(5))[chosen]
    chosen[:] = 0
    assert list(view) == [1, 2]


def test_indexing_reads_nothing():
    class Unread(Slow):
        def sample(self, index):
            raise AssertionError("was read")

    source = Unread(np.arange(6))
    assert len(source[::2][[1, 0]].map(str)) == 2
    source.batches(2, shuffle=True)
    source[1:].samples(epochs=None)


@pytest.mark.parametrize("index", [range(2, 9, 3), range(9, -1, -2), range(4, 4), range(-3, 3), range(-1, -5, -1)])
def test_a_range_stays_a_range(index):
    found = positions(index, 10)
    assert list(found) == positions(list(index), 10).tolist()
    assert isinstance(found, range) == (not index or min(index) >= 0)
    with pytest.raises(IndexError, match="index 10 is out of range for 10 samples"):
        positions(range(5, 11), 10)
