"""Views over several sequences are what NumPy makes of the arrays, and copy nothing."""

import operator
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamflow import DataError, ParameterError
from streamflow.core.equal import same
from streamflow.sources import ArraySource, Source, concatenate, map_sources, split, take, zip_sources
from streamflow.testing import check_streamer, rows

lengths = st.lists(st.integers(0, 6), min_size=1, max_size=6).filter(any)


@st.composite
def members(draw):
    """Arrays of which some are sources, lists, or views."""
    begin, found = 0, []
    for length in draw(lengths):
        array = np.arange(begin, begin + length)[:, np.newaxis] * [1, 100]
        kinds = [
            array,
            ArraySource(array),
            ArraySource(array[::-1])[::-1],
            [list(row) for row in array.tolist()],
        ]
        found.append((array, draw(st.sampled_from(kinds))))
        begin += length
    return np.concatenate([array for array, _ in found]), [kind for _, kind in found]


def an_index(n):
    some = st.integers(-n, n - 1)
    border = st.none() | st.integers(-n - 2, n + 2)
    step = st.none() | st.integers(-3, 3).filter(bool)
    mask = st.lists(st.booleans(), min_size=n, max_size=n).map(lambda values: np.array(values, bool))
    return st.builds(slice, border, border, step) | st.lists(some).map(lambda at: np.array(at, int)) | mask


@given(st.data(), members())
def test_concatenate_indexes_as_numpy_does(data, made):
    whole, parts = made
    source = concatenate(parts)
    assert len(source) == len(whole)
    for _ in range(3):  # views of views
        index = data.draw(an_index(len(whole)))
        source, whole = source[index], whole[index]
        assert isinstance(source, Source)
        assert len(source) == len(whole)
        assert np.array_equal(np.array(list(source)).reshape(-1, 2), whole)
        if not len(whole):
            return
        at = data.draw(st.integers(-len(whole), len(whole) - 1))
        assert np.array_equal(source[at], whole[at])
        many = data.draw(st.lists(st.integers(-len(whole), len(whole) - 1), min_size=1))
        read = source.read(many)
        assert np.array_equal(read, whole[many])
        assert read.flags.writeable


def test_concatenate_merges_and_leaves_out():
    inner = concatenate([[1, 2], [], [3]])
    assert list(concatenate([[], inner, (), [4]])) == [1, 2, 3, 4]
    assert len(concatenate([inner, inner])._members) == 6
    assert list(concatenate(iter([range(2), np.arange(2, 4)]))) == [0, 1, 2, 3]
    assert len(concatenate([[], []])) == 0
    assert list(concatenate([[], []]).batches(2, epochs=None)) == []


def test_concatenate_dicts_and_tuples():
    dicts = concatenate([{"x": [1, 2], "y": ["a", "b"]}, {"x": np.array([3.5]), "y": ["ccc"]}])
    batch = dicts.read([2, 0])
    assert batch["x"].tolist() == [3.5, 1.0]
    assert batch["y"].tolist() == ["ccc", "a"]
    assert dicts.keys() == ("x", "y")
    assert [b.tolist() for b in dicts.batches(2, keys="x")] == [[1, 2], [3.5]]
    tuples = concatenate([zip_sources(["ab", [1, 2]]), zip_sources(["c", [3]])])
    assert [list(column) for column in tuples.read(slice(None))] == [["a", "b", "c"], [1, 2, 3]]


class Counted(Source):
    """Notes which keys are decoded."""

    def __init__(self, chosen=None):
        self.chosen, self.read_keys = chosen, []

    def __len__(self):
        return 3

    def sample(self, index):
        self.read_keys.append(self.chosen)
        return {"x": index, "y": -index} if self.chosen is None else index

    def _select(self, keys):
        return Counted(keys)


def test_one_key_is_read_alone():
    chosen = concatenate([Counted(), Counted()])._selection("x", False)
    assert chosen.read([5, 0]).tolist() == [2, 0]
    assert [member.read_keys for member in chosen._members] == [["x"], ["x"]]


def test_ragged_members():
    source = concatenate([[np.array([1]), np.array([2, 3])], np.array([[4, 5, 6]])])
    with pytest.raises(DataError, match="ragged='pad'"):
        source.read([2, 0])
    assert source.read([2, 0], ragged="pad", fill=9).tolist() == [[4, 5, 6], [1, 9, 9]]
    assert [value.tolist() for value in source.read([1, 2], ragged="list")] == [[2, 3], [4, 5, 6]]
    columns = concatenate([np.zeros((2, 1)), np.ones((2, 2))])  # arrays, but of different rows
    assert columns.read([3, 0], ragged="crop").tolist() == [[1], [0]]


@pytest.mark.parametrize(
    "parts", [[{"x": [1]}, {"y": [1]}], [{"x": [1]}, [1]], [zip_sources(["a"]), zip_sources(["a", "b"])]]
)
def test_members_of_different_forms(parts):
    with pytest.raises(DataError, match="must have the same form"):
        concatenate(parts).read(slice(None))


def test_masked_values_stay_masked():
    masked = np.ma.masked_array(np.arange(4), [0, 1, 0, 0])
    batch = concatenate([masked, np.arange(10, 12)]).read([1, 5, 0])
    assert batch.tolist() == [None, 11, 0]
    assert batch.dtype == int


def test_members_of_dtypes_with_nothing_in_common():
    source = concatenate([np.zeros(1, "M8[s]"), np.zeros(1)])
    with pytest.raises(DataError, match="a common dtype, got datetime64.s., float64"):
        source.read([0, 1])


# ---------------------------------------------------------------------- zip_sources, take, split, map_sources
def test_text_and_numbers_have_nothing_in_common():
    data = concatenate([np.arange(2), np.array(["a"])])
    assert data.read([0, 1]).tolist() == [0, 1]
    with pytest.raises(DataError, match="dtypes with a common dtype, got <U1, int64"):
        data.read([0, 2])
    assert concatenate([np.array(["a"]), np.array(["bcd"])]).read([1, 0]).tolist() == ["bcd", "a"]


def test_zip_sources():
    x = np.arange(12).reshape(6, 2)
    data = zip_sources([concatenate([x[:2], x[2:]]), [f"name {i}" for i in range(6)], {"z": x[:, 0]}])
    assert [len(part) for part in (data, data[:-2], data[-2:])] == [6, 4, 2]
    arrays, names, dicts = data[-2:].read([1, 0])
    assert np.array_equal(arrays, x[[5, 4]])
    assert names.tolist() == ["name 5", "name 4"]
    assert dicts["z"].tolist() == [10, 8]
    with pytest.raises(ParameterError, match=r"`sequences` must be of equal length, got \[6, 5\]"):
        zip_sources([x, x[1:]])


def test_a_list_is_a_sequence_of_its_elements():
    pair = [np.array([1, 2]), np.array([3])]
    assert [value.tolist() for value in take(pair, [1, 0, -1])] == [[3], [1, 2], [3]]
    assert list(map_sources(len, pair)) == [2, 1]
    assert len(concatenate([pair, pair])) == 4


@given(st.data(), st.lists(st.integers(-99, 99), max_size=8))
def test_take_and_split_index_as_numpy_does(data, values):
    array = np.array(values, int)
    index = data.draw(an_index(len(values)) if values else st.just(slice(None)))
    assert list(take(values, index)) == array[index].tolist()
    cuts = data.draw(st.lists(st.integers(-9, 9), max_size=4))
    edges = [slice(a, b) for a, b in zip([0, *cuts], [*cuts, None], strict=True)]
    assert [list(piece) for piece in split(values, cuts)] == [array[edge].tolist() for edge in edges]
    pairs = list(zip(cuts, cuts[::-1], strict=True)) or [(None, None)]
    assert [list(piece) for piece in split(array, pairs)] == [array[a:b].tolist() for a, b in pairs]


@pytest.mark.parametrize(("n", "edges"), [(6, 0), (6, 1), (6, 2), (6, 5), (0, 3)])
def test_split_by_a_number(n, edges):
    pieces = [list(piece) for piece in split(range(n), edges)]
    assert pieces == [piece.tolist() for piece in np.split(np.arange(n), edges + 1)]


@pytest.mark.parametrize(
    ("edges", "text"),
    [
        (3, "`edges` must be a number that cuts 6 samples into pieces of equal length, got 3"),
        (-1, "`edges` must be a non-negative integer"),
        (True, "`edges` must be a number, a list of positions"),
        ("ab", "`edges` must be a number, a list of positions"),
        ([(1, 2, 3)], "`edges` must be a number, a list of positions"),
        ([1.5], "`edges` must be a number, a list of positions"),
    ],
)
def test_edges(edges, text):
    with pytest.raises(ParameterError, match=text):
        split(range(6), edges)


def test_take_refuses_what_numpy_refuses():
    with pytest.raises(IndexError, match="out of range"):
        take("abc", [3])
    with pytest.raises(IndexError, match="one axis"):
        take("abc", 1)


def test_map_sources():
    calls = []

    def noted(*samples):
        calls.append(samples)
        return sum(samples)

    lazy = map_sources(noted, [1, 2, 3], np.array([10, 20, 30]))
    view = lazy[::-1]
    assert (len(lazy), calls) == (3, [])
    assert view[0] == 33
    assert calls == [(3, 30)]
    assert view.read([2, 1]).tolist() == [11, 22]
    with pytest.raises(ParameterError, match="of equal length"):
        map_sources(noted, [1], [])
    with pytest.raises(ParameterError, match="at least one"):
        map_sources(noted)
    with pytest.raises(ParameterError, match="`fn` must be a function"):
        map_sources("len", [1])


# ---------------------------------------------------------------------- all of them
X = np.arange(20).reshape(10, 2)
VIEWS = {
    "concatenate": concatenate([X[:3], X[3:3], {"a": X}["a"][3:]]),
    "zip_sources": zip_sources([X, list("abcdefghij")]),
    "take": take(X, [3, 3, -1, 0]),
    "split": split(X, [4])[1],
    "map_sources": map_sources(operator.add, X, X),
}


@pytest.mark.parametrize("name", VIEWS)
def test_streams(name):
    check_streamer(VIEWS[name].batches(3, shuffle=True), 10, samples_of=rows)
    check_streamer(VIEWS[name].samples(), 20, fresh_process=False)


@pytest.mark.parametrize("name", VIEWS)
def test_frozen_and_pickled(name):
    view = VIEWS[name]
    copy = pickle.loads(pickle.dumps(view))
    assert all(map(same, copy, view))
    assert repr(copy) == repr(view)
    with pytest.raises(TypeError):
        view[0] = 3


def test_samples_are_read_only():
    for view in (VIEWS["concatenate"], VIEWS["take"]):
        with pytest.raises(ValueError, match="read-only"):
            view[0][0] = 1


@pytest.mark.parametrize("make", [concatenate, zip_sources])
def test_parameters(make):
    for wrong in (3, "ab", {"x": [1]}, ArraySource([1])):
        with pytest.raises(ParameterError, match="`sequences` must be a list of sequences"):
            make(wrong)
    with pytest.raises(ParameterError, match="at least one sequence"):
        make([])
    with pytest.raises(ParameterError, match=r"`sequences\[1\]` must be an array or anything"):
        make([[1], 3])


def test_memory_is_not_copied():
    big = np.zeros((1000, 1000))
    view = concatenate([big, big])
    assert np.shares_memory(view[1999], big)
    big[999, 3] = 7
    assert view[-1][3] == 7


def test_the_system_is_asked_for_what_comes(monkeypatch):
    asked = []
    parts = [ArraySource(X), ArraySource(X)]
    for place, part in enumerate(parts):
        monkeypatch.setattr(part, "prefetch", lambda indices, place=place: asked.append((place, indices.tolist())))
    concatenate(parts).prefetch(np.array([12, 1, 11, 0]))
    assert asked == [(0, [1, 0]), (1, [2, 1])]


def test_files_are_opened_again_after_close(tmp_path):
    from streamflow.sources import NpySource

    np.save(tmp_path / "a.npy", X)
    source = concatenate([NpySource(tmp_path / "a.npy"), NpySource(tmp_path / "a.npy")])
    assert sum(1 for _ in source.samples()) == 20
    with source:
        assert source[19].tolist() == X[9].tolist()
    assert source[0].tolist() == X[0].tolist()


def test_a_view_of_map_sources_calls_with_all_arguments():
    powers = map_sources(pow, [2, 3, 4], [5, 2, 1])
    assert powers[1:].read(slice(None)).tolist() == [9, 4]
    assert list(powers[::-1]) == [4, 9, 32]
