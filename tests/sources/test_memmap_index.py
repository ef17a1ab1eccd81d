"""Indices of memmap stores, against NumPy's on a list of arrays."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamflow import DataError
from streamflow.core.equal import same
from streamflow.sources import MemmapStore, MemmapWriter, random_crop
from streamflow.testing import check_streamer

RNG = np.random.default_rng(0)
ARRAYS = [
    [RNG.integers(0, 99, shape) for shape in [(6, 5, 7, 4), (3, 5, 2, 4), (1, 9, 7, 1), (6, 0, 2, 3)]],
    [np.asfortranarray(RNG.random(shape)) for shape in [(4, 5), (7, 2), (1, 1)]],
    [RNG.integers(0, 99, (n, 2, 3)).astype(">i2") for n in (3, 0, 5)],
    [np.array(list("hello")), np.array(["ab", "cdefg"])],
    [np.array(3.5), np.array(2.5)],
]


@pytest.fixture(scope="module", params=[None, 200], ids=["files", "shards"])
def stores(request, tmp_path_factory):
    made = []
    for arrays in ARRAYS:
        path = tmp_path_factory.mktemp("store")
        with MemmapWriter(path, shard_bytes=request.param) as out:
            out.extend(arrays)
        made.append(MemmapStore(path))
    return made


def indices(length: int):
    """Arrays of indices, some of them outside."""
    return st.lists(st.integers(-length - 1, length) if length else st.integers(0, 0), max_size=4)


#: Many indices of an axis, in every form that NumPy takes.
MANY = {
    "list": list,
    "tuple": tuple,
    "range": lambda two: range(min(two), max(two) + 1),
    "array": np.array,
    "small": lambda two: np.array(two, np.int16),
    "2d": lambda two: np.array(two).reshape(-1, 1),
    "nested": lambda two: (tuple(two), two[::-1]),
}


@st.composite
def elements(draw, shape: tuple[int, ...]):
    """Indices inside an array, most of which are valid, of every kind that NumPy takes."""
    found, left = [], list(shape)
    while left and draw(st.integers(0, 5)):
        length = left.pop(0)
        kind = draw(st.sampled_from(["int", "int", "slice", "slice", "mask", "none", "flag", *MANY]))
        if kind in {"none", "flag"}:
            found.append(None if kind == "none" else draw(st.booleans()))
            left.insert(0, length)
        elif kind == "int":
            number = draw(st.integers(-length - (not draw(st.integers(0, 9))), max(length - 1, 0)))
            found.append(draw(st.sampled_from([int, np.int64, np.int8, np.array]))(number))
        elif kind == "slice":
            found.append(draw(st.slices(length + 2)))
        elif kind == "mask":
            more = draw(st.integers(0, len(left)))
            mask = np.random.default_rng(draw(st.integers(0, 9))).random((length, *left[:more])) < 0.5
            del left[:more]
            found.append(draw(st.sampled_from([mask, mask.tolist(), tuple(mask.tolist())])))
        else:
            some = draw(indices(length))
            two = draw(st.lists(st.integers(0, max(length - 1, 0)), min_size=2, max_size=2))
            found.append(MANY[kind](some if kind in {"list", "tuple"} else two))
    for _ in range(draw(st.sampled_from([0, 0, 1, 1, 1, 2]))):
        found.insert(draw(st.integers(0, len(found))), ...)
    if draw(st.integers(0, 9)) == 0:
        found += [0] * (len(shape) + 1)
    return tuple(found)


@st.composite
def selections(draw, n: int):
    """What selects entries."""
    return draw(
        st.one_of(
            st.slices(n + 2),
            st.lists(st.integers(-n, n - 1), max_size=5),
            st.lists(st.integers(-n, n - 1), max_size=5).map(tuple),
            st.lists(st.integers(-n, n - 1), max_size=5).map(lambda many: np.array(many, np.int32)),
            st.lists(st.booleans(), min_size=n, max_size=n).map(np.array),
        )
    )


def chosen(arrays, many):
    """The arrays that a selection selects."""
    return [
        arrays[place]
        for place in np.arange(len(arrays))[np.array(many, int) if isinstance(many, (list, tuple)) else many]
    ]


def outcome(function):
    """What a function gives, or the error that an index is."""
    try:
        return function()
    except (IndexError, TypeError) as error:  # text has its own indices
        return type(error)


def check_same(found, wanted):
    if isinstance(wanted, type) or isinstance(found, type):
        assert found is wanted
        return
    assert type(found) is type(wanted)
    assert found.dtype == wanted.dtype
    assert found.shape == wanted.shape
    np.testing.assert_array_equal(found, wanted)


@given(data=st.data())
def test_one_entry_is_indexed_as_numpy_does(stores, data):
    number = data.draw(st.integers(0, len(ARRAYS) - 1))
    store, arrays = stores[number], ARRAYS[number]
    entry = data.draw(st.integers(-len(arrays), len(arrays) - 1))
    inside = data.draw(elements(arrays[entry].shape))
    if not inside:
        wanted = arrays[entry]
    else:
        wanted = outcome(lambda: arrays[entry][inside])
    found = outcome(lambda: store[(np.int16(entry), *inside)])
    check_same(found, wanted)
    if isinstance(found, np.ndarray) and np.shares_memory(found, store[entry]):
        assert not found.flags.writeable


@given(data=st.data())
def test_many_entries_are_indexed_each_as_numpy_does(stores, data):
    number = data.draw(st.integers(0, len(ARRAYS) - 1))
    store, arrays = stores[number], ARRAYS[number]
    many = data.draw(selections(len(arrays)))
    inside = data.draw(elements(data.draw(st.sampled_from([array.shape for array in arrays]))))
    wanted = [outcome(lambda array=array: array[inside] if inside else array) for array in chosen(arrays, many)]
    view = store[(many, *inside)]
    assert len(view) == len(wanted)
    for place, value in enumerate(wanted):
        check_same(outcome(lambda place=place: view[place]), value)
    assert view.names == tuple(chosen([f"{place:08d}" for place in range(len(arrays))], many))


@given(data=st.data())
def test_views_of_views_are_indexed_as_numpy_does(stores, data):
    number = data.draw(st.integers(0, len(ARRAYS) - 1))
    view, wanted = stores[number], list(ARRAYS[number])
    for _ in range(3):
        many = data.draw(selections(len(wanted)))
        wanted = chosen(wanted, many)
        if not wanted:
            return
        inside = data.draw(elements(wanted[0].shape))
        sliced = not isinstance(many, tuple) and data.draw(st.booleans())
        view = view[many][(slice(None), *inside)] if sliced else view[(many, *inside)]
        try:
            wanted = [array[inside] if inside else array for array in wanted]
        except (IndexError, TypeError):
            return
    view = pickle.loads(pickle.dumps(view))
    for place, value in enumerate(wanted):
        check_same(view[place], value)
    inside = data.draw(elements(wanted[-1].shape))
    check_same(outcome(lambda: view[(-1, *inside)]), outcome(lambda: wanted[-1][inside] if inside else wanted[-1]))


@given(data=st.data(), axis=st.integers(-3, 2))
def test_scatter_gives_each_index_of_an_axis(stores, data, axis):
    store, arrays = stores[2], ARRAYS[2]
    many = data.draw(selections(len(arrays)))
    wanted = [part for array in chosen(arrays, many) for part in np.moveaxis(array, axis, 0)]
    view = store[many,].scatter(axis)
    assert len(view) == len(wanted)
    for found, value in zip(view, wanted, strict=True):
        check_same(found, value)
    assert len({view._label(), store[many,]._label()}) == 2
    for found, value in zip(view.samples(), wanted, strict=True):
        check_same(found, value)
    shuffled = list(view.batches(4, shuffle=True, ragged="list", with_indices=True, random_state=0))
    assert sorted(np.concatenate([[], *[indices for indices, _ in shuffled]])) == list(range(len(wanted)))


def test_scatter_keeps_names_and_metadata(tmp_path):
    with MemmapWriter(tmp_path) as out:
        out.add(np.arange(6).reshape(2, 3), {"speaker": 3}, name="a")
        out.add(np.arange(3).reshape(1, 3), {"speaker": 4}, name="b")
    view = MemmapStore(tmp_path).scatter(-2)
    assert view.names == ("a", "a", "b")
    assert [view.entry_metadata(place)["speaker"] for place in range(-3, 0)] == [3, 3, 4]
    assert view[1:, ::2].read(slice(None)).tolist() == [[3, 5], [0, 2]]
    assert view[1:].scatter(0).read(slice(None)).tolist() == [3, 4, 5, 0, 1, 2]
    with pytest.raises(DataError, match=r"^entry 'a' has shape \(2, 3\), expected an axis 2 to scatter$"):
        MemmapStore(tmp_path).scatter(2)


def test_a_tuple_inside_an_index_is_a_list(stores):
    store, array = stores[0], ARRAYS[0][0]
    for one in (store[0, (0, 1)], store[:, (0, 1)][0], store[(0, 2), (0, 1)][0], store[0, [0, 1]]):
        check_same(one, array[(0, 1),])
    check_same(store[0, ()], array[(),])
    check_same(store[0, (0, 1), 2], array[(0, 1), 2])
    assert [entry.shape for entry in store[(2, 1), 0]] == [array[0].shape for array in (ARRAYS[0][2], ARRAYS[0][1])]


def test_the_first_index_selects_entries(stores):
    store, arrays = stores[0], ARRAYS[0]
    assert len(store[()]) == len(arrays)
    assert store[(0,)].shape == arrays[0].shape
    assert [value.shape for value in store[..., 0]] == [array[..., 0].shape for array in arrays]
    for wrong in [(None, 0), (random_crop(1), 0), (True, 0), (1.5, 0), ("a", 0), (np.zeros((1, 1), int), 0), (9, 0)]:
        with pytest.raises(IndexError):
            store[wrong]


def test_an_index_that_is_wrong_names_the_entry(stores):
    with pytest.raises(IndexError, match=r"^entry '00000001' of shape \(7, 2\): too many indices"):
        stores[1][1, 0, 0, 0]
    with pytest.raises(IndexError, match=r"^entry '00000002' of shape \(1, 1\): index 3 is out of bounds"):
        stores[1][:, 3].read(slice(None))


def test_an_index_of_a_view_is_frozen(stores):
    rows = np.array([0, 0])
    view = stores[0][:3, rows]
    words = view._label()
    rows[:] = 99
    assert view[0].shape == (2, 5, 7, 4)
    assert view._label() == words != stores[0][:3, np.array([0, 1])]._label()


def test_structured_entries_by_field(tmp_path):
    array = np.array([(1, 2.5), (3, 4.5)], [("a", "i4"), ("b", "f8")])
    with MemmapWriter(tmp_path) as out:
        out.add(array)
    store = MemmapStore(tmp_path)
    assert store[0, "a"].tolist() == [1, 3]
    fields = ["b"]
    view = store[:, fields]
    fields[0] = "a"
    assert view.read(0)["b"].tolist() == [[2.5, 4.5]]
    for inside in ((("a", "b"),), (["b"], 0)):
        with pytest.raises(IndexError, match="entry '00000000'"):
            store[(0, *inside)]


# ---------------------------------------------------------------------- random crops
def test_the_example(tmp_path):
    with MemmapWriter(tmp_path) as out:
        out.add(np.arange(6 * 60 * 7 * 4).reshape(6, 60, 7, 4))
    store = MemmapStore(tmp_path)
    assert store[0, 5, 0:2, -1:, ..., ::2].shape == (2, 1, 2)
    np.random.seed(0)
    seen = set()
    for _ in range(400):
        found = store[0, 5, random_crop(10, start=10, stop=50), 1:2, 0]
        assert found.shape == (10, 1)
        seen.add(int(found[0, 0] - store[0, 5, 0, 1, 0]) // 28)
    assert seen == set(range(10, 41))


@pytest.mark.parametrize(
    ("inside", "axis"),
    [
        ((random_crop(2),), 0),
        ((0, random_crop(2)), 1),
        ((None, True, 0, random_crop(2)), 1),
        ((..., random_crop(2)), 3),
        ((..., random_crop(2), 0, None), 2),
        ((np.ones((6, 5), bool), random_crop(2)), 2),
        ((..., random_crop(2), np.ones((7, 4), bool)), 1),
        (([0, 1], random_crop(2), [0, 1]), 1),
    ],
)
def test_a_crop_is_of_the_axis_where_it_stands(stores, inside, axis):
    array, starts = ARRAYS[0][0], set()
    plain = [
        tuple(slice(s, s + 2) if type(item).__name__ == "RandomCrop" else item for item in inside) for s in range(9)
    ]
    size = array.shape[axis]
    for _ in range(300):
        found = stores[0][(0, *inside)]
        [start] = [s for s in range(size - 1) if np.array_equal(found, array[plain[s]])] or [None]
        starts.add(start)
    assert starts == set(range(size - 1))


def test_a_crop_that_does_not_fit_says_how_long_the_axis_is(stores):
    with pytest.raises(
        DataError, match=r"^entry '00000001' of shape \(3, 5, 2, 4\): random_crop\(4\) does not fit .* length 3$"
    ):
        stores[0][1, random_crop(4)]
    with pytest.raises(IndexError, match="too many"):
        stores[1][0, 0, 0, random_crop(1)]


def test_a_crop_draws_from_its_own_state_or_the_global_one(stores):
    entry = stores[0][0]
    own = random_crop(1, random_state=3)
    before = str(np.random.get_state())
    first = [stores[0][0, own, 0, 0, 0].item() for _ in range(20)]
    assert str(np.random.get_state()) == before
    own = random_crop(1, random_state=3)
    assert [stores[0][0, own, 0, 0, 0].item() for _ in range(20)] == first
    np.random.seed(5)
    second = [stores[0][0, random_crop(1), 0, 0, 0].item() for _ in range(20)]
    np.random.seed(5)
    assert [entry[random_crop(1).within(6), 0, 0, 0].item() for _ in range(20)] == second


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize(
    "view", [lambda s: s, lambda s: s[1:], lambda s: s.map(np.negative), lambda s: s.map(abs)[::-1]]
)
def test_in_streams_crops_are_keyed(tmp_path, shuffle, view):
    with MemmapWriter(tmp_path) as out:
        out.extend(np.arange(n * 20).reshape(20, n) for n in range(50, 61))
    source = view(MemmapStore(tmp_path)[:, random_crop(3), ..., random_crop(5)])
    batches = source.batches(3, shuffle=shuffle, random_state=1)
    for stream, samples_of in [(batches, list), (source.samples(shuffle=shuffle, random_state=1, epochs=2), None)]:
        state = str(np.random.get_state())
        items = list(stream)
        assert all(same(a, b) for a, b in zip(items, stream, strict=True))
        assert str(np.random.get_state()) == state
        check_streamer(stream, samples_of=samples_of, fresh_process=False)
    first, second = (np.concatenate([batch[:, 0, 0] for batch in source.batches(3).iterate(epoch=e)]) for e in (0, 1))
    assert (first != second).any(), "each epoch has its own crops"
    assert source.batches(3).fingerprint().random, "workers are sent the entropy of the pass"
    unseeded, resumed = source.batches(3).open(), source.batches(3).open()
    item = next(unseeded)
    resumed.load_state_dict(unseeded.state_dict())
    assert np.array_equal(next(resumed), next(unseeded))
    assert item.shape == (3, 3, 5)


def test_crops_of_one_sample_are_independent(tmp_path):
    with MemmapWriter(tmp_path) as out:
        out.add(np.arange(100).reshape(10, 10))
    view = MemmapStore(tmp_path)[[0] * 2000, random_crop(1), random_crop(1)]
    [batch] = view.batches(2000, random_state=0)
    counts = np.bincount(batch.ravel(), minlength=100)
    assert ((counts - 20) ** 2 / 20).sum() < 170, "chi square, 99 degrees of freedom"
    [other] = view.batches(2000, random_state=0, with_indices=True)
    assert np.array_equal(other[1], batch)
    assert other[0].tolist() == [0] * 2000
