"""Values that are no plain arrays: arrays of arrays, mappings, masked values, arrays of other libraries, huge rows."""

from collections import UserDict

import numpy as np
import pytest

from streamflow import DataError, StateError
from streamflow.sources import (
    ArraySource,
    ChoiceSource,
    CompositeSource,
    FileSource,
    NpySource,
    concatenate,
    random_crop,
)
from streamflow.testing import check_source


def arrays_of(*lengths):
    """Arrays of different lengths, as NumPy holds them."""
    found = np.empty(len(lengths), object)
    for place, length in enumerate(lengths):
        found[place] = np.arange(length)
    return found


def test_an_array_of_arrays_is_ragged():
    source = ArraySource({"x": arrays_of(3, 5, 2)})
    with pytest.raises(DataError, match="different shapes"):
        source.read([0, 1])
    assert source.read([0, 2], ragged="pad", fill=-1)["x"].tolist() == [[0, 1, 2], [0, 1, -1]]
    held = source.read([0, 1], ragged="list")["x"]
    held[0][0] = 99
    assert source[0]["x"].tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match="read-only"):
        source[0]["x"][0] = 99
    check_source(source, fork=False, fresh_process=False)


def test_an_array_of_other_objects_stays_one():
    values = np.array([{1}, None, "a"], object)
    assert ArraySource(values).read([0, 1, 2]).tolist() == values.tolist()


@pytest.mark.parametrize("make", [dict, UserDict])
def test_any_mapping_is_a_sample_with_keys(make):
    source = ArraySource(np.arange(6)).map(lambda x: make(x=x, y=(2 * x, 3 * x)))
    batch = source.read([1, 5])
    assert batch["x"].tolist() == [1, 5]
    assert [values.tolist() for values in batch["y"]] == [[2, 10], [3, 15]]
    assert [found.tolist() for found in source.batches(4, keys="x")] == [[0, 1, 2, 3], [4, 5]]
    assert next(iter(source[4:].batches(2, with_indices=True)))["index"].tolist() == [4, 5]


def test_archives_that_numpy_loads(tmp_path):
    for name in "ab":
        np.savez(tmp_path / name, X=np.full(2, ord(name)), y=1)
    source = FileSource([tmp_path / "a.npz", tmp_path / "b.npz"], np.load)
    assert source.read([0, 1])["X"].tolist() == [[97, 97], [98, 98]]
    assert next(iter(source.batches(2, keys="y"))).tolist() == [1, 1]


def test_masks_are_kept_where_samples_are_stacked():
    y = np.ma.array([1, 2, 3], mask=[False, True, False])
    wanted = [1, None, 3]
    x = [np.arange(3)] * 3
    for source, how in (
        (ArraySource({"y": y}), {}),
        (ArraySource({"y": y}).map(dict), {}),
        (ArraySource({"x": x, "y": y}), {"ragged": "crop", "crop": random_crop(2)}),
    ):
        got = source.read(slice(None), **how)["y"]
        assert got.tolist() == wanted
        assert got.dtype == y.dtype
    assert ArraySource({"y": y}).map(dict).read([1, 1])["y"].tolist() == [None, None]


@pytest.mark.parametrize("make", [dict, lambda **values: tuple(values.values())])
def test_elements_of_a_list_are_read_only(make):
    data = [make(x=np.arange(3), y=place) for place in range(4)]
    source = ArraySource(data)
    inside = source[0]["x"] if isinstance(data[0], dict) else source[0][0]
    with pytest.raises(ValueError, match="read-only"):
        inside[0] = 77
    check_source(source, fork=False, fresh_process=False)


class Tensor:
    """An array of another library, as far as stacking is concerned."""

    ndim = 1

    def __init__(self, length):
        self.values = np.arange(length)

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype)


def test_arrays_of_other_libraries_can_be_padded():
    source = ArraySource({"x": [Tensor(2), Tensor(3)]})
    assert source.read([0, 1], ragged="pad")["x"].tolist() == [[0, 1, 0], [0, 1, 2]]


def test_rows_of_two_gib():
    huge = np.empty((2, 1 << 31), np.uint8)  # only addresses: nothing of it is touched
    assert ArraySource(huge)[0].shape == (1 << 31,)


def test_states_know_all_members(tmp_path):
    paths = [tmp_path / f"{k}.npy" for k in range(8)]
    for k, path in enumerate(paths):
        np.save(path, np.full(4, k))
    stream = concatenate(map(NpySource, paths)).samples().open()
    for _ in range(6):
        next(stream)
    state = stream.state_dict()
    again = concatenate(map(NpySource, paths)).samples().open()
    again.load_state_dict(state)
    assert next(again) == next(stream) == 1
    others = concatenate(map(NpySource, paths[:4] + paths[:3:-1])).samples().open()
    with pytest.raises(StateError, match="was .*, is now "):
        others.load_state_dict(state)


@pytest.mark.parametrize(
    "source", [FileSource([f"{k}.npy" for k in range(100)], np.load), ArraySource(range(9))[[1, 5, 3]]]
)
def test_digests_are_made_once(source, monkeypatch):
    stream = source.samples().open()
    first = stream.state_dict()
    monkeypatch.setattr(f"{type(source).__module__}.digest_of", None)
    assert stream.state_dict() == first


def test_states_know_the_arguments_of_a_mapped_function():
    source = ArraySource(np.arange(9))
    stream = source.map(pow, 2).samples().open()
    assert [next(stream) for _ in range(4)] == [0, 1, 4, 9]
    state = stream.state_dict()
    again = source.map(pow, 2).samples().open()
    again.load_state_dict(state)
    assert next(again) == 16
    with pytest.raises(StateError, match=r"was .*pow.*, is now .*pow"):
        source.map(pow, 3).samples().open().load_state_dict(state)


def test_mappings_are_combined_as_dicts_are():
    one, other = (ArraySource([1, 2]).map(lambda x, name=name: UserDict({name: x})) for name in "xy")
    assert list(CompositeSource([one, other])) == [{"x": 1, "y": 1}, {"x": 2, "y": 2}]
    assert list(ChoiceSource([one, one]).samples())[2:] == [{"member": 1, "x": 1}, {"member": 1, "x": 2}]
