"""NpySource: arrays mapped in place, and every way in which a file can be wrong."""

import contextlib
import os
import pickle
import struct
import zipfile
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import streamflow as sf
from streamflow import DataError, ParameterError
from streamflow.sources import NpySource
from streamflow.sources.mmap import npy_files
from streamflow.testing import check_streamer, rows

X, Y = np.arange(60.0).reshape(20, 3), np.arange(20)


@pytest.fixture
def files(tmp_path):
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "y.npy", Y)
    np.savez(tmp_path / "both.npz", X=X, y=Y)
    np.savez(tmp_path / "one.npz", X=X)
    return tmp_path


def test_forms(files):
    both, one, x, y = (files / name for name in ("both.npz", "one.npz", "x.npy", str(files / "y.npy")))
    assert NpySource(x)[3].tolist() == X[3].tolist()
    assert NpySource(both).read([1])["X"].tolist() == X[[1]].tolist()
    assert NpySource({"X": both, "labels": (both, "y")})[2]["labels"] == 2
    assert NpySource({"X": x, "y": y}).read([-1])["y"].tolist() == [19]
    assert [value.tolist() for value in NpySource((x, y)).read([4])] == [X[[4]].tolist(), [4]]
    assert NpySource([one, (both, "y")])[5][1] == 5
    assert NpySource(both).keys() == ("X", "y")


def test_keys(files):
    both = NpySource(files / "both.npz")
    assert next(iter(both.batches(3, keys="y"))).tolist() == [0, 1, 2]
    assert [part.shape for part in next(iter(both[2:].batches(3, keys=("y", "X"))))] == [(3,), (3, 3)]
    assert next(iter(NpySource({"X": files / "x.npy", "y": files / "y.npy"}).samples(keys="y"))) == 0
    with pytest.raises(ParameterError, match="`keys` must be one of 'X', 'y', got 'z'"):
        both.batches(3, keys="z")


def test_mapped_in_place(files):
    for source in (NpySource(files / "x.npy"), NpySource((files / "one.npz",))[:]):
        base = source[0] if isinstance(source[0], np.ndarray) else source[0][0]
        assert not base.flags.owndata
        with pytest.raises(ValueError, match="read-only"):
            base[0] = 1


@pytest.mark.parametrize("dtype", ["<f4", ">i8", "M8[s]", "U3", "S2", "?", "c16", [("a", "<i2"), ("b", "<f8", (2,))]])
@pytest.mark.parametrize("order", ["C", "F"])
def test_dtypes_and_layouts(tmp_path, dtype, order):
    array = np.zeros((7, 2, 3), dtype, order=order)
    if array.dtype.kind != "V":
        array.flat[:] = np.arange(42).astype(array.dtype)
    np.save(tmp_path / "a.npy", array)
    np.savez(tmp_path / "a.npz", odd_name=array, a=array)
    for file in (tmp_path / "a.npy", (tmp_path / "a.npz", "odd_name"), (tmp_path / "a.npz", "a")):
        got = NpySource([file]).read([6, 0, 6])[0]
        assert got.dtype == array.dtype
        assert got.tobytes() == array[[6, 0, 6]].tobytes()


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_versions_of_the_format(tmp_path, version):
    with (tmp_path / "v.npy").open("wb") as file:
        np.lib.format.write_array(file, X, version)
    assert NpySource(tmp_path / "v.npy").read([2]).tolist() == X[[2]].tolist()


def test_a_shape_that_python_2_wrote(tmp_path):
    np.save(tmp_path / "old.npy", np.arange(3))
    data = (tmp_path / "old.npy").read_bytes()
    (tmp_path / "old.npy").write_bytes(data.replace(b"(3,), } ", b"(3L,), }"))
    with pytest.warns(UserWarning, match="Python 2"):
        loaded = np.load(tmp_path / "old.npy")
    assert loaded.tolist() == NpySource(tmp_path / "old.npy").read([0, 1, 2]).tolist()


def test_no_rows(tmp_path):
    np.save(tmp_path / "e.npy", np.empty((0, 4), np.float32))
    source = NpySource(tmp_path / "e.npy")
    assert (len(source), source.read(slice(None)).shape) == (0, (0, 4))


def test_pickled_before_and_after_it_is_opened(files):
    source = NpySource(files / "both.npz")
    for again in (pickle.loads(pickle.dumps(source)), source[1:].batches(2) and pickle.loads(pickle.dumps(source))):
        assert again[1]["y"] == 1
    assert len(pickle.dumps(source)) < 500


def test_relative_paths_survive_a_change_of_folder(files, monkeypatch):
    monkeypatch.chdir(files)
    (files / "deep").mkdir()
    both, pair, part = (
        NpySource("both.npz"),
        NpySource({"X": "x.npy", "y": ("both.npz", "y")}),
        NpySource("both.npz")[1:],
    )
    keyed = both.samples(keys="y")
    kept = pickle.dumps(pair)
    with pair.samples().open() as stream:
        state = (next(stream), stream.state_dict())[1]
    both[0], pair[0]
    pair.close()
    monkeypatch.chdir(files / "deep")
    assert both[3]["y"] == pair[3]["y"] == pickle.loads(kept)[3]["y"] == part[2]["y"] == list(keyed)[3] == 3
    # a state does not know where the files lie
    for name in ("x.npy", "both.npz"):
        (files / name).rename(files / "deep" / name)
    with NpySource({"X": "x.npy", "y": ("both.npz", "y")}).samples().open() as stream:
        stream.load_state_dict(state)
        assert next(stream)["y"] == 1


def test_streams_keep_their_promises(files):
    source = NpySource(files / "both.npz")
    check_streamer(source.batches(6, shuffle=True, epochs=2), samples_of=rows, pickles=True)


# ---------------------------------------------------------------------- muxes over many files
def open_maps(folder):
    return {
        Path(line.split()[-1]).name for line in Path("/proc/self/maps").read_text().splitlines() if str(folder) in line
    }


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs Linux's list of maps")
def test_a_mux_maps_only_what_is_active(tmp_path):
    for k in range(12):
        np.savez(tmp_path / f"{k}.npz", X=np.full((4, 2), k))
    pool = [NpySource({"X": tmp_path / f"{k}.npz"}).samples(shuffle=True, epochs=None) for k in range(12)]
    assert open_maps(tmp_path) == set()
    with sf.StochasticMux(pool, 3, 2, random_state=0).open() as stream:
        seen = {int(sample["X"][0]) for sample in islice(stream, 200)}
        assert 1 <= len(open_maps(tmp_path)) <= 4
    assert seen == set(range(12))
    assert open_maps(tmp_path) == set()


@pytest.fixture
def opened(monkeypatch):
    """The paths of files, each time they are mapped."""
    paths = []
    kept = npy_files.map_file
    monkeypatch.setattr(npy_files, "map_file", lambda path: (paths.append(path), kept(path))[1])
    return paths


def test_the_length_and_the_keys_are_asked_for_once(files, opened):
    source = NpySource(files / "both.npz")
    for _ in range(3):
        assert (len(source), source.keys()) == (20, ("X", "y"))
    assert len(opened) == 1
    assert len(pickle.loads(pickle.dumps(source))) == 20
    assert len(opened) == 1, "a copy that is sent knows its length"
    assert len(source[:5]) == 5
    assert len(opened) == 1
    source.read([0, 19])
    source.read([1])
    assert (len(source), len(opened)) == (20, 2), "mapped for a read, and kept"
    source.close()
    assert (len(source), len(opened)) == (20, 3)


def test_a_file_whose_length_has_changed_is_refused(tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, np.arange(20))
    source = NpySource(path)
    assert len(source) == 20
    np.save(tmp_path / "new.npy", np.arange(5))
    (tmp_path / "new.npy").replace(path)
    for read in (lambda: source[0], lambda: source.read([19]), lambda: source.read([0])):
        with pytest.raises(DataError, match=rf"NpySource\('{path}'\) had 20 samples, now has 5; call close\(\)"):
            read()
    source.close()
    assert (len(source), source.read([4]).tolist()) == (5, [4])


def test_a_state_opens_no_member_that_is_not_active(files):
    pool = [NpySource(files / "x.npy").samples(), NpySource(files / "missing.npy").samples()]
    with sf.ChainMux(pool).open() as stream:
        next(stream)
        stream.state_dict()


def test_another_file_in_an_open_slot_is_refused(files):
    def tree(name):
        return sf.StochasticMux([NpySource(files / name).samples(epochs=None)], 1, None, random_state=0)

    with tree("x.npy").open() as stream:
        next(stream)
        state = stream.state_dict()
    with (
        tree("y.npy").open() as stream,
        pytest.raises(sf.StateError, match=r"was .*x\.npy.*, is now .*y\.npy"),
    ):
        stream.load_state_dict(state)


# ---------------------------------------------------------------------- bad files
def one_line(caught, path):
    text = str(caught.value)
    assert "\n" not in text
    assert path.name in text
    return text


def refused(path, message, **how):
    source = NpySource(path, **how)  # tells nothing yet
    with pytest.raises(DataError, match=message) as caught:
        len(source)
    one_line(caught, path)


def test_not_there(tmp_path):
    refused(tmp_path / "a.npy", "cannot be read: no such file or directory")
    refused(tmp_path / "a.npz", "no such file")
    refused(tmp_path, "is a directory")


def test_of_another_kind(tmp_path):
    (tmp_path / "a.npy").write_text("hello, this is no array at all")
    refused(tmp_path / "a.npy", "is not a .npy file or is damaged")
    (tmp_path / "a.npz").write_text("hello, this is no archive at all")
    refused(tmp_path / "a.npz", "is not an archive of arrays or is damaged")
    (tmp_path / "empty.npy").touch()
    refused(tmp_path / "empty.npy", "is empty")


@given(cut=st.floats(0, 1, exclude_max=True), kind=st.sampled_from(["x.npy", "both.npz"]))
def test_truncated_anywhere(tmp_path_factory, cut, kind):
    folder = tmp_path_factory.mktemp("cut")
    np.save(folder / "x.npy", X)
    np.savez(folder / "both.npz", X=X, y=Y)
    whole = (folder / kind).read_bytes()
    (folder / kind).write_bytes(whole[: int(cut * len(whole))])
    with pytest.raises(DataError) as caught:
        len(NpySource(folder / kind))
    one_line(caught, folder / kind)


def test_truncated_says_how_much_is_missing(files):
    path = files / "x.npy"
    os.truncate(path, path.stat().st_size - 8)
    refused(path, r"is truncated: float64 of shape \(20, 3\) takes 608 bytes, got 600")


@given(place=st.integers(0, 127), byte=st.integers(0, 255))
def test_a_damaged_header_never_does_harm(tmp_path_factory, place, byte):
    path = tmp_path_factory.mktemp("damaged") / "x.npy"
    np.save(path, X)
    content = bytearray(path.read_bytes())
    content[place] = byte
    path.write_bytes(content)
    with contextlib.suppress(DataError):  # most bytes matter
        NpySource(path).read(slice(None))


#: What may stand in a header where something else should.
ODD = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-3, 3),
        st.sampled_from(
            [2**31, 2**63 - 1, 2**64, 10**40, 1.5, 1j, b"<f8", "<f8", "|V0", "<U0", "|O", "S9999999999", ..., ""]
        ),
        st.text(max_size=4),
    ),
    lambda some: st.one_of(
        st.lists(some, max_size=3),
        st.lists(some, max_size=3).map(tuple),
        st.tuples(st.sampled_from(["a", "b", 3]), some, some),
        st.tuples(st.sampled_from(["a", "b"]), st.sampled_from(["<f8", "|V0"])).map(lambda field: [field]),
        st.dictionaries(st.sampled_from(["descr", "fortran_order", "shape", "x"]), some, max_size=4),
    ),
    max_leaves=6,
)


@st.composite
def odd_headers(draw):
    """The text of a header of which one thing or another is odd."""
    header = {"descr": "<f8", "fortran_order": False, "shape": (2,)}
    for key in draw(st.sets(st.sampled_from([*header, "more"]), min_size=1)):
        if draw(st.integers(0, 3)):
            header[key] = draw(ODD)
        else:
            header.pop(key, None)
    return repr(header) if draw(st.integers(0, 5)) else draw(st.one_of(ODD.map(repr), st.text(max_size=20)))


def npy_of(text, data=bytes(64), version=3):
    head = text.encode("utf-8" if version == 3 else "latin1", "replace")
    length = struct.pack("<H" if version == 1 else "<I", len(head))
    return b"\x93NUMPY" + bytes([version, 0]) + length + head + data


def read_or_told(path, **how):
    """Read all of a file: None, or what the error said; only one that says which file may come."""
    message = None
    try:
        source = NpySource(path, **how)
        source.read(slice(None), ragged="list")
        source.keys()
    except DataError as error:
        message = str(error)
    assert message is None or (str(path) in message and "\n" not in message)
    return message


@given(text=odd_headers(), version=st.sampled_from([1, 2, 3, 3, 3, 9]), pickles=st.booleans())
def test_an_unusual_header_is_reported(tmp_path_factory, text, version, pickles):
    folder = tmp_path_factory.mktemp("odd")
    content = npy_of(text, version=version)
    (folder / "x.npy").write_bytes(content)
    with zipfile.ZipFile(folder / "x.npz", "w") as archive:
        archive.writestr("x.npy", content)
    found = [read_or_told(folder / name, allow_pickle=pickles) for name in ("x.npy", "x.npz")]
    if version == 9:
        assert all("it has version 9" in message for message in found)


@pytest.mark.parametrize(
    "text",
    [
        "{'descr': '<f8', 'fortran_order': False, 'shape': (0, 2**70)}".replace("2**70", str(2**70)),
        f"{{'descr': '<f8', 'fortran_order': False, 'shape': (0, {2**62})}}",
        f"{{'descr': '|V0', 'fortran_order': False, 'shape': ({2**63},)}}",
        f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({2**62},)}}",
        f"{{'descr': '<f8', 'fortran_order': False, 'shape': {(1,) * 65}}}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (-1,)}",
        "{'descr': '<f8', 'fortran_order': 'no', 'shape': (2,)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': ()}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': [2]}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (True,)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (2,), 'more': 1}",
        "{'descr': '<f8', 'shape': (2,)}",
        "['descr']",
        "(" * 5000,
        "-" * 100_000 + "1",
        "\0",
        "{'descr': 'f8\\d', 'fortran_order': 00, 'shape': (2,)}",
        "",
    ],
)
def test_headers_that_numpy_would_not_write(tmp_path, text):
    path = tmp_path / "x.npy"
    path.write_bytes(npy_of(text))
    assert read_or_told(path) is not None


@given(place=st.integers(0, 10**6), byte=st.integers(0, 255))
def test_a_damaged_archive_never_does_harm(tmp_path_factory, place, byte):
    path = tmp_path_factory.mktemp("damaged") / "x.npz"
    np.savez(path, X=X[:2], y=Y[:2])
    content = bytearray(path.read_bytes())
    kept = [*range(60), *range(len(content) - 200, len(content))]  # what says where the members are
    content[kept[place % len(kept)]] = byte
    path.write_bytes(content)
    read_or_told(path)


def test_what_cannot_be_unpickled_is_reported(tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, np.array([{"a": 1}] * 3, object), allow_pickle=True)
    whole = path.read_bytes()
    for content in (whole[:-5], whole[:128] + b"\x80\x04\x95" + bytes(40)):
        path.write_bytes(content)
        assert "cannot be unpickled" in read_or_told(path, allow_pickle=True)


def test_a_missing_file_is_reported_when_it_is_opened(files):
    """Nothing is looked up before: a tree may describe more files than anyone would wait for."""
    trees = [
        NpySource(files / "missing.npy").samples(shuffle=True),
        NpySource({"X": files / "missing.npz"}).batches(2, keys="X"),
        sf.StochasticMux([NpySource(files / "missing.npy").samples()], 1, None, random_state=0),
    ]
    for tree in trees:
        with pytest.raises(DataError, match=rf"^'{files}/missing.np.' cannot be read: no such file or directory"):
            next(iter(tree))


def test_compressed(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", X=X)
    refused(
        tmp_path / "a.npz",
        "is compressed, so it cannot be mapped; write it with numpy.savez instead of",
    )


def test_members(files):
    refused_place = NpySource({"Z": files / "both.npz"})
    with pytest.raises(DataError, match="must have a member 'Z', got 'X', 'y'"):
        len(refused_place)
    with pytest.raises(DataError, match="must have one member, got 'X', 'y'"):
        len(NpySource((files / "both.npz",)))


def test_lengths_that_differ(files, tmp_path):
    np.save(tmp_path / "short.npy", Y[:5])
    with pytest.raises(
        DataError, match="do not fit together: `files` must be arrays of equal length, got 20 for files.'X'. and 5 for"
    ):
        len(NpySource({"X": files / "x.npy", "y": tmp_path / "short.npy"}))


def test_a_member_that_is_not_an_array(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("notes.txt", "hello, this is no array at all")
    refused(tmp_path / "a.npz", "'notes.txt' of .* is not a .npy file")


class Bomb:
    went_off = False

    def __reduce__(self):
        return _go_off, ()


def _go_off():
    Bomb.went_off = True


def test_objects_are_unpickled_only_on_demand(tmp_path):
    np.save(tmp_path / "o.npy", np.array([Bomb(), 1], object), allow_pickle=True)
    np.savez(tmp_path / "o.npz", o=np.array([{"a": 1}, None], object))
    refused(tmp_path / "o.npy", "holds Python objects; NpySource with allow_pickle=True reads them")
    refused(tmp_path / "o.npz", "holds Python objects")
    assert not Bomb.went_off
    assert NpySource(tmp_path / "o.npz", allow_pickle=True).read([0])["o"].tolist() == [{"a": 1}]


@pytest.mark.parametrize("wrong", ["no", 1, None, [True]])
def test_allow_pickle_is_a_flag(files, wrong):
    with pytest.raises(ParameterError, match="`allow_pickle` must be True or False, got"):
        NpySource(files / "x.npy", allow_pickle=wrong)


def test_a_name_is_of_a_member_of_an_archive(files):
    with pytest.raises(ParameterError, match=r"`files` must be pairs of an archive \(.npz\) and a name, got .*/x"):
        NpySource({"X": (files / "x.npy", str(files / "y.npy"))})


@pytest.mark.parametrize("wrong", [5, {"X": 5}, [None], {}, [], ("a.npz", "X", 3)])
def test_wrong_parameters(wrong):
    with pytest.raises(ParameterError, match="`files` must be"):
        NpySource(wrong)
