"""`ragged`, `fill` and `crop`: samples of different shapes in one batch."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamflow import DataError, ParameterError
from streamflow.sources import ArraySource, concatenate, random_crop

ENTRIES = [np.arange(2 * n).reshape(n, 2) for n in (3, 1, 2)]
SOURCE = ArraySource({"x": ENTRIES, "y": [0, 1, 2]})


def test_different_shapes_are_an_error():
    with pytest.raises(
        DataError, match=r"the values of 'x' cannot be stacked: .*\(1, 2\), \(2, 2\), \(3, 2\).*ragged='pad'"
    ):
        SOURCE.read(slice(None))
    with pytest.raises(DataError, match="ragged='pad'"):
        list(SOURCE.batches(3))


def test_pad():
    got = SOURCE.read(slice(None), ragged="pad", fill=9)
    assert got["x"].dtype == int
    assert got["x"].tolist() == [[[0, 1], [2, 3], [4, 5]], [[0, 1], [9, 9], [9, 9]], [[0, 1], [2, 3], [9, 9]]]
    assert got["y"].tolist() == [0, 1, 2]
    assert SOURCE[1:].read([0, 1], ragged="pad")["x"].tolist() == [[[0, 1], [0, 0]], [[0, 1], [2, 3]]]


def test_pad_keeps_the_dtype():
    floats = ArraySource({"x": [np.ones(1, np.float32), np.ones(2, np.float32)]})
    got = floats.read([0, 1], ragged="pad", fill=np.nan)["x"]
    assert got.dtype == np.float32
    assert np.isnan(got[0, 1])
    for fill in (np.nan, 0.5, 1e300):
        with pytest.raises(DataError, match="cannot be padded with"):
            SOURCE.read([0, 1], ragged="pad", fill=fill)


@pytest.mark.parametrize(
    ("dtype", "fill"),
    [
        (np.uint8, 300),
        (np.uint8, np.int64(300)),
        (np.uint8, np.uint64(256)),
        (np.int64, np.uint64(2**63)),
        (np.int8, np.int64(-129)),
        (np.uint8, -1),
        (int, np.nan),
        (int, 0.5),
        (np.float32, 1e300),
        (np.float32, np.float64(-1e300)),
        (np.float16, 70000),
        (np.complex64, 1e300),
        (bool, 2),
        ("U3", 7),
        ("S3", True),
        ("M8[s]", 1.5),
    ],
)
def test_a_fill_that_does_not_fit(dtype, fill):
    source = ArraySource({"x": [np.zeros(1, dtype), np.zeros(2, dtype)]})
    with pytest.raises(DataError, match=r"the values of 'x' cannot be stacked: .* cannot be padded with"):
        source.read([0, 1], ragged="pad", fill=fill)
    with pytest.raises(DataError, match="cannot be padded with"):
        list(source.batches(2, ragged="pad", fill=fill))


@pytest.mark.parametrize(
    ("dtype", "fill"),
    [
        (np.uint8, 255),
        (np.uint8, np.int64(255)),
        (np.int8, np.uint64(127)),
        (int, True),
        (np.float16, 0.1),
        (np.float32, np.inf),
        (np.float32, -np.inf),
        (np.float32, np.nan),
        (np.float64, 2**60 + 1),
        (np.complex64, 1j),
        ("M8[s]", np.datetime64("NaT", "s")),
        ("m8[s]", 5),
        (object, 7),
    ],
)
def test_a_fill_that_fits(dtype, fill):
    got = ArraySource({"x": [np.zeros(1, dtype), np.zeros(2, dtype)]}).read([0, 1], ragged="pad", fill=fill)["x"]
    assert got.dtype == dtype
    wanted = np.array([fill]).astype(dtype)
    assert np.array_equal(got[0, 1:], wanted, equal_nan=wanted.dtype.kind in "fcmM")


def test_crop_keeps_the_head():
    assert SOURCE.read([0, 2], ragged="crop")["x"].tolist() == [[[0, 1], [2, 3]]] * 2


def test_list():
    got = SOURCE.read([2, 1], ragged="list")
    assert [value.tolist() for value in got["x"]] == [[[0, 1], [2, 3]], [[0, 1]]]
    assert got["y"] == [2, 1]
    assert ArraySource(np.arange(3)).read([2, 1], ragged="list") == [2, 1]


@pytest.mark.parametrize(
    "source",
    [
        SOURCE,
        SOURCE[::-1],
        concatenate([SOURCE, SOURCE]),
        SOURCE.map(dict),
        ArraySource({"x": [[[1, 2]], [[3, 4], [5, 6]]]}),
        ArraySource({"x": [np.ma.masked_array([1, 2], [0, 1]), np.ma.masked_array([1], [1])]}),
    ],
    ids=["plain", "view", "concatenate", "map", "lists", "masked"],
)
def test_a_list_holds_copies(source):
    before = [np.ma.filled(source[k]["x"], -1).tolist() for k in (0, 1)]
    for batch in (source.read([0, 1, 0], ragged="list"), *source.batches(2, ragged="list")):
        held = [np.ma.filled(value, -1).tolist() for value in batch["x"]]
        for place, value in enumerate(batch["x"]):
            value[0] = [9] * len(value[0]) if isinstance(value, list) else 9
            held[place] = np.ma.filled(value, -1).tolist()
            assert [np.ma.filled(other, -1).tolist() for other in batch["x"]] == held
    assert [np.ma.filled(source[k]["x"], -1).tolist() for k in (0, 1)] == before


def test_views_and_maps_take_them_too():
    doubled = SOURCE[::-1].map(lambda sample: {"x": sample["x"] * 2})
    assert doubled.read([0, 1], ragged="crop")["x"].tolist() == [[[0, 2]], [[0, 2]]]
    [batch] = doubled.batches(3, ragged="pad", fill=7)
    assert batch["x"][1].tolist() == [[0, 2], [7, 7], [7, 7]]


# ---------------------------------------------------------------------- random crops
LONG = ArraySource({"x": [np.arange(100 * n, 100 * n + 6 + n) for n in range(8)], "y": range(8)})


def starts(batches):
    return [(int(y), int(x[0] - 100 * y)) for batch in batches for x, y in zip(batch["x"], batch["y"], strict=True)]


@given(
    size=st.integers(0, 20),
    length=st.integers(1, 20),
    start=st.none() | st.integers(-25, 25),
    stop=st.none() | st.integers(-25, 25),
    u=st.floats(0, 1, exclude_max=True),
)
def test_a_crop_is_a_stretch_of_what_the_bounds_leave(size, length, start, stop, u):
    left = list(range(size))[start:stop]
    crop = random_crop(length, start, stop)
    if len(left) < length:
        with pytest.raises(DataError, match=f"does not fit into an axis of length {size}"):
            crop.stretch(size, u)
    else:
        got = list(range(size))[crop.stretch(size, u)]
        assert len(got) == length
        assert set(got) <= set(left)


def test_every_place_is_as_likely():
    places = [random_crop(2, start=1).stretch(6, (k + 0.5) / 400).start for k in range(400)]
    assert np.bincount(places, minlength=6).tolist() == [0, 100, 100, 100, 100, 0]


def test_crops_outside_streams_draw_from_their_own_state_or_the_global_one():
    def by_hand(seed):
        crop = random_crop(3, random_state=seed)
        return LONG.read([7] * 20, ragged="crop", crop=crop)["x"][:, 0].tolist()

    assert by_hand(0) == by_hand(0) != by_hand(1)
    np.random.seed(5)
    first = by_hand(None)
    np.random.seed(5)
    assert by_hand(None) == first
    assert len(set(first)) > 3


def test_crops_in_batches_follow_the_seed_the_epoch_and_the_position():
    def drawn(size=3, seed=0, epochs=2, **how):
        return starts(LONG.batches(size, ragged="crop", crop=random_crop(3), random_state=seed, epochs=epochs, **how))

    np.random.seed(0)
    before = str(np.random.get_state())
    assert drawn() == drawn(size=5) == drawn(size=1) != drawn(seed=1)
    assert drawn()[:8] != drawn()[8:]
    assert str(np.random.get_state()) == before
    parts = [starts(LONG.batches(2, ragged="crop", crop=random_crop(3), random_state=0).shard(k, 3)) for k in range(3)]
    assert sorted(parts[0] + parts[1] + parts[2]) == sorted(drawn(epochs=1))


def test_keys_of_one_sample_are_cropped_alike():
    source = ArraySource({"a": np.arange(40).reshape(4, 10), "b": [np.arange(10) * 2] * 4, "n": range(4)})
    for batch in source.batches(2, ragged="crop", crop=random_crop(3), random_state=0):
        assert (2 * (batch["a"] % 10)).tolist() == batch["b"].tolist()
        assert batch["n"].shape == (2,)


def test_only_the_stretch_is_read():
    big = np.lib.stride_tricks.as_strided(np.zeros(1), (2, 1 << 40), (0, 0))  # more than any memory holds
    assert ArraySource(big).read([0, 1], ragged="crop", crop=random_crop(5)).shape == (2, 5)


def test_parameters():
    for how, text in (
        ({"crop": random_crop(2)}, "`crop` must be None unless ragged='crop'"),
        ({"crop": 2, "ragged": "crop"}, "`crop` must be None or a random_crop, got 2"),
        ({"ragged": None}, "`ragged` must be one of"),
        ({"ragged": "pad", "fill": [1]}, "`fill` must be a number"),
    ):
        with pytest.raises(ParameterError, match=text):
            SOURCE.read([0], **how)
        with pytest.raises(ParameterError, match=text):
            SOURCE.batches(2, **how)
    for how, text in (
        ({"length": 0}, "`length` must be a positive integer, got 0"),
        ({"length": 2, "start": 1.5}, "`start` must be None or an integer"),
        ({"length": 2, "random_state": "a"}, "`random_state`"),
    ):
        with pytest.raises(ParameterError, match=text):
            random_crop(**how)
    assert repr(random_crop(3, stop=9)) == "random_crop(3, stop=9)"


def test_padded_in_the_dtype_of_the_batch():
    long, short = np.array([300, 1]), np.array([7], np.uint8)
    found = ArraySource({"x": [long, short]}).read([0, 1], ragged="pad", fill=-1)["x"]
    assert found.dtype == np.int64
    assert found.tolist() == [[300, 1], [7, -1]]
    found = ArraySource({"x": [[1, 2], [], [3]]}).read([0, 1, 2], ragged="pad", fill=9)["x"]
    assert found.dtype == np.int64
    assert found.tolist() == [[1, 2], [9, 9], [3, 9]]
    assert ArraySource({"x": [[], []]}).read([0, 1], ragged="pad")["x"].shape == (2, 0)
    with pytest.raises(DataError, match="text is mixed with other values"):
        ArraySource({"x": [np.array(["a"]), np.array([1, 2])]}).read([0, 1], ragged="pad")
