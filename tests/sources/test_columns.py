"""ArraySource over all kinds of array-likes: memory maps, HDF5, zarr, sequences, arrays of other libraries."""

import multiprocessing
import os
import pickle

import h5py
import numpy as np
import pytest
import zarr

from streamflow import DataError, ParameterError
from streamflow.sources import ArraySource
from streamflow.testing import check_streamer, rows

X = np.arange(60.0).reshape(20, 3)


def npy(folder, array=X):
    np.save(folder / "x.npy", array)
    return np.load(folder / "x.npy", mmap_mode="r")


def hdf5(folder):
    with h5py.File(folder / "x.h5", "w") as file:
        file["group/x"] = X
    return h5py.File(folder / "x.h5", "r")["group/x"]


def zarr_array(folder):
    array = zarr.create_array(store=str(folder / "x.zarr"), shape=X.shape, chunks=(4, 2), dtype=X.dtype)
    array[:] = X
    return zarr.open_array(str(folder / "x.zarr"), mode="r")


class OneByOne:
    """Takes integers only."""

    def __init__(self, folder=None):
        pass

    def __len__(self):
        return len(X)

    def __getitem__(self, index):
        assert type(index) is int
        return X[index]


class LikeATensor:
    """An array of another library."""

    shape, dtype = X.shape, X.dtype

    def __init__(self, folder=None):
        pass

    def __len__(self):
        return len(X)

    def __getitem__(self, index):
        return X[index]


KINDS = {
    "memmap": npy,
    "part of a memmap": lambda folder: npy(folder, np.vstack([X[:3] - 1, X, X]))[3:23],
    "hdf5": hdf5,
    "zarr": zarr_array,
    "list": lambda folder: X.tolist(),
    "list of arrays": lambda folder: list(X),
    "one by one": OneByOne,
    "like a tensor": LikeATensor,
}


@pytest.fixture(params=KINDS)
def column(request, tmp_path):
    return KINDS[request.param](tmp_path)


def test_any_kind_agrees_with_memory(column):
    source, memory = ArraySource({"x": column}), ArraySource({"x": X})
    assert len(source) == 20
    assert np.array_equal(source[-1]["x"], X[-1])
    for index in ([5, 0, 19, 5, 5], slice(3, 9), slice(None, None, -3), np.arange(20) % 2 == 0, [7], slice(0, 0)):
        got = source.read(index)["x"]
        assert got.dtype == X.dtype
        assert np.array_equal(got, X[index])
    got, wanted = (list(one[::2].batches(3, shuffle=True, random_state=0)) for one in (source, memory))
    assert all(np.array_equal(a["x"], b["x"]) for a, b in zip(got, wanted, strict=True))


def test_any_kind_is_pickled(column):
    source = pickle.loads(pickle.dumps(ArraySource((column,))[2:]))
    assert np.array_equal(source.read([0, -1])[0], X[[2, -1]])


def test_any_kind_survives_a_fork(column):
    source = ArraySource((column, np.arange(20)))
    source.read([1])
    with multiprocessing.get_context("fork").Pool(2) as pool:
        results = [pool.apply_async(_read, (source, [k, 0])) for k in range(20)]
        for k, result in enumerate(results):
            assert np.array_equal(result.get(30), X[[k, 0]])
    assert np.array_equal(source.read([3])[0], X[[3]])


def _read(source, indices):
    return source.read(indices)[0]


def test_any_kind_keeps_the_promises_of_streams(column):
    source = ArraySource({"x": column})
    check_streamer(source.batches(6, shuffle=True, epochs=2), samples_of=rows, fresh_process=False)


def test_a_memory_map_is_pickled_by_its_path(tmp_path):
    mapped = npy(tmp_path, np.zeros((1000, 100)))
    assert len(pickle.dumps(ArraySource({"x": mapped[100:], "y": mapped[::-1][:900]}))) < 2000


@pytest.mark.parametrize("index", [(slice(None, None, -2),), (slice(5, None), slice(None, None, 2)), (..., 1)])
def test_views_of_memory_maps_are_pickled_by_their_place(tmp_path, index):
    part = npy(tmp_path)[index]
    source = pickle.loads(pickle.dumps(ArraySource(part)))
    assert np.array_equal(source.read(slice(None)), X[index])


def test_a_memory_map_with_an_offset(tmp_path):
    path = tmp_path / "raw"
    np.arange(10_000, dtype=np.int16).tofile(path)
    mapped = np.memmap(path, np.int16, "r", offset=9002, shape=(100, 2))
    source = pickle.loads(pickle.dumps(ArraySource(mapped[10:])))
    assert source.read([0, 89]).tolist() == [[4521, 4522], [4699, 4700]]


def test_a_private_memory_map_is_pickled_by_value(tmp_path):
    npy(tmp_path)
    private = np.load(tmp_path / "x.npy", mmap_mode="c")
    private[0] = -1
    assert pickle.loads(pickle.dumps(ArraySource(private)))[0].tolist() == [-1, -1, -1]


def test_a_memory_map_that_is_written_is_seen(tmp_path):
    npy(tmp_path)
    shared = np.load(tmp_path / "x.npy", mmap_mode="r+")
    source = pickle.loads(pickle.dumps(ArraySource(shared)))
    shared[0] = -1
    assert source[0].tolist() == [-1, -1, -1]


def test_hdf5_is_opened_again_where_it_was_closed(tmp_path):
    source = pickle.loads(pickle.dumps(ArraySource(hdf5(tmp_path))))
    assert source[1].tolist() == [3, 4, 5]
    source.close()
    assert source[1].tolist() == [3, 4, 5]


def test_hdf5_that_the_user_closed_is_opened_again(tmp_path):
    dataset = hdf5(tmp_path)
    source = ArraySource(dataset)
    dataset.file.close()
    assert source[1].tolist() == [3, 4, 5]
    assert source.read([2, 0])[:, 0].tolist() == [6, 0]
    source.close()


def test_a_file_that_is_no_longer_hdf5_is_reported(tmp_path):
    source = pickle.loads(pickle.dumps(ArraySource(hdf5(tmp_path))))
    (path,) = tmp_path.iterdir()
    with h5py.File(path, "w"):
        pass
    with pytest.raises(DataError, match=f"{path.name}' cannot be read"):
        source[0]
    path.write_bytes(b"junk")
    with pytest.raises(DataError, match=f"{path.name}' cannot be read"):
        source[0]


def test_a_memory_map_whose_file_was_truncated_is_reported(tmp_path):
    np.save(tmp_path / "x.npy", np.arange(1000))
    pickled = pickle.dumps(ArraySource(np.load(tmp_path / "x.npy", mmap_mode="r")))
    for size in (200, 0):
        os.truncate(tmp_path / "x.npy", size)
        with pytest.raises(DataError, match=r"x.npy' is truncated: there is no int64 of shape \(1000,\) at byte 128"):
            pickle.loads(pickled)


def test_a_group_or_an_array_without_axes_is_not_a_column(tmp_path):
    with h5py.File(tmp_path / "g.h5", "w") as file:
        file["scalar"] = 5
        for data in (file, file["scalar"], zarr.create_group({}), zarr.array(np.array(5))):
            with pytest.raises(ParameterError, match=r"`data\['x'\]` must be an array with at least one axis"):
                ArraySource({"x": data})


def test_text_of_hdf5(tmp_path):
    with h5py.File(tmp_path / "t.h5", "w") as file:
        file["t"] = ["a", "bcd", "e"]
    assert ArraySource(h5py.File(tmp_path / "t.h5")["t"]).read([2, 1]).tolist() == [b"e", b"bcd"]


def test_labels_of_a_series_are_not_its_positions():
    class Series:
        __module__ = "pandas.core.series"
        shape, dtype = (3,), np.dtype(int)

        def __len__(self):
            return 3

        def __getitem__(self, label):
            raise AssertionError("was asked for a label")

        def to_numpy(self):
            return np.array([7, 8, 9])

    assert ArraySource({"y": Series()}).read([2, 0])["y"].tolist() == [9, 7]
