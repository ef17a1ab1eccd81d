"""FileSource: one file for each sample; images and audio."""

import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from streamflow import DataError, MissingDependencyError, ParameterError
from streamflow.sources import (
    ArraySource,
    CompositeSource,
    FileSource,
    NpySource,
    concatenate,
    read_audio,
    read_image,
)
from streamflow.testing import check_streamer

PIXELS = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3) * 10


@pytest.fixture
def images(tmp_path):
    for k in range(4):
        Image.fromarray(PIXELS + k).save(tmp_path / f"{k}.png")
    return sorted(tmp_path.glob("*.png"))


def test_images(images):
    source = FileSource(images, read_image)
    assert np.array_equal(source[1], PIXELS + 1)
    assert np.array_equal(source.read([3, 0]), np.stack([PIXELS + 3, PIXELS]))
    assert source[1:].read([0]).dtype == np.uint8
    assert read_image(images[0], "L").shape == (2, 3)
    assert np.array_equal(read_image(images[0], None), PIXELS)
    source.read([0])[:] = 0  # fresh
    source[0][:] = 0


def test_images_of_other_kinds_become_what_is_asked_for(tmp_path):
    Image.fromarray(PIXELS[..., 0]).save(tmp_path / "grey.png")
    assert read_image(tmp_path / "grey.png").shape == (2, 3, 3)
    assert read_image(tmp_path / "grey.png", None).shape == (2, 3)


@pytest.mark.parametrize("kind", ["I;16", "I", "F"])
def test_images_of_more_than_8_bits_are_not_cut_to_them(tmp_path, kind):
    path, pixels = str(tmp_path / "deep.tif"), np.array([[0, 300], [65535, 40000]])
    Image.fromarray(pixels.astype({"I;16": np.uint16, "I": np.int32, "F": np.float32}[kind])).save(path)
    with Image.open(path) as image:
        assert image.mode == kind
    assert np.array_equal(read_image(path, None), pixels)
    assert np.array_equal(read_image(path, "F"), pixels)
    for mode in ("RGB", "L"):
        with pytest.raises(DataError, match=f"deep.tif' has more than 8 bits per channel .*'{kind}'.*; pass mode=None"):
            read_image(path, mode)


def test_an_image_that_is_too_large_for_pillow_is_reported(images, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2)
    with pytest.raises(DataError, match=r"0.png' cannot be read as an image file: .*bomb"):
        read_image(str(images[0]))


def test_audio(tmp_path):
    signal = np.linspace(-0.5, 0.5, 40).reshape(20, 2)
    soundfile.write(tmp_path / "a.wav", signal, 8000, subtype="FLOAT")
    soundfile.write(tmp_path / "b.flac", signal[:5, 0], 8000)
    got = FileSource([tmp_path / "a.wav", str(tmp_path / "b.flac")], read_audio)
    assert got[0].dtype == np.float32
    assert np.allclose(got[0], signal)
    assert got[1].shape == (5, 1)
    assert read_audio(tmp_path / "b.flac", "int16").dtype == np.int16
    assert len(got.read([0, 1], ragged="list")) == 2


@pytest.mark.parametrize("cut", [lambda size: size // 2, lambda size: size - 100], ids=["half", "end"])
@pytest.mark.parametrize("suffix", ["wav", "aiff", "au", "flac", "w64", "caf"])
def test_a_truncated_recording_is_reported(tmp_path, suffix, cut):
    path = tmp_path / f"cut.{suffix}"
    soundfile.write(path, np.random.default_rng(0).uniform(-0.5, 0.5, 20000), 8000)
    assert len(read_audio(path)) == 20000
    whole = path.read_bytes()
    path.write_bytes(whole[: cut(len(whole))])
    with pytest.raises(DataError, match=rf"cut.{suffix}' cannot be read as an audio file: ") as caught:
        read_audio(str(path))
    assert "\n" not in str(caught.value)


def test_a_truncated_ogg_is_reported(tmp_path):
    path = tmp_path / "cut.ogg"
    soundfile.write(path, np.random.default_rng(0).uniform(-0.5, 0.5, 20000), 8000)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match="it ends after 0 frames, fewer than its header says"):
        read_audio(path)


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000])
def test_a_recording_of_no_known_length_is_read_to_its_end(tmp_path, size):
    """As a program writes it that cannot go back to the header: ffmpeg or sox into a pipe."""
    path = tmp_path / "piped.wav"
    soundfile.write(path, np.zeros(100), 8000)
    whole = bytearray(path.read_bytes())
    at = whole.index(b"data") + 4
    whole[4:8] = whole[at : at + 4] = size.to_bytes(4, "little")
    path.write_bytes(whole)
    assert len(read_audio(path)) == 100


def test_samples_of_different_shapes_are_reported_with_their_files(tmp_path):
    for name, shape in (("a", 2), ("b", 2), ("c", 3)):
        np.save(tmp_path / f"{name}.npy", np.zeros(shape))
    files = FileSource(sorted(tmp_path.glob("*.npy")), np.load)
    for source in (files, files[::-1][::-1], files.map(np.negative), ArraySource({"x": files, "y": range(3)})):
        with pytest.raises(DataError, match=r"; the first that differ come from '.*a.npy' and '.*c.npy'$"):
            source.read([0, 1, 2])
    wide, wider = tmp_path / "wide.npy", tmp_path / "wider.npy"
    np.save(wide, np.zeros((3, 2)))
    np.save(wider, np.zeros((3, 4)))
    x, y = NpySource(wide), NpySource(wider)
    with pytest.raises(
        DataError, match=r"; the first that differ come from NpySource\(.*wide.npy'\) and .*wider.npy'\)$"
    ):
        concatenate([x, y]).read([0, 1, 3])
    with pytest.raises(DataError, match="different shapes\nin"):
        next(iter(CompositeSource([files, np.arange(3)]).batches(3, shuffle=True)))
    with pytest.raises(DataError, match=r"cannot be stacked: .*allows different shapes$"):
        ArraySource({"x": [np.zeros(2), np.zeros(3)]}).read([0, 1])


def test_members_of_different_keys_are_reported(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.zeros(3))
    np.savez(tmp_path / "b.npz", y=np.zeros(3))
    both = concatenate([NpySource(tmp_path / "a.npz"), NpySource(tmp_path / "b.npz")])
    with pytest.raises(DataError, match=r"the same form, .*; they come from NpySource\(.*a.npz'\) and .*b.npz'\)$"):
        both.read([0, 1, 4])


def test_any_function(tmp_path):
    (tmp_path / "a.txt").write_text("one two")
    source = FileSource([tmp_path / "a.txt"], lambda path: {"words": len(Path(path).read_text().split())})
    assert source.read([0, 0])["words"].tolist() == [2, 2]


def test_nothing_is_opened_before_a_sample_is_read(tmp_path):
    source = FileSource([tmp_path / "missing.png"] * 3, read_image)
    assert len(source[1:]) == 2
    source.batches(2, shuffle=True)
    with pytest.raises(DataError, match=r"missing.png' cannot be read as an image"):
        source[0]


@pytest.mark.parametrize(("read", "suffix"), [(read_image, ".png"), (read_audio, ".wav")])
def test_damaged_files_are_named_in_one_line(tmp_path, read, suffix, images):
    whole = images[0].read_bytes()
    for name, content in (("text", b"hello"), ("empty", b""), ("cut", whole[: len(whole) // 2])):
        path = tmp_path / f"{name}{suffix}"
        path.write_bytes(content)
        with pytest.raises(DataError, match=f"{name}{suffix}' cannot be read as an ") as caught:
            read(str(path))
        assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match="cannot be read"):
        read(str(tmp_path))


def test_an_error_in_decode_carries_the_path(tmp_path):
    def decode(path):
        raise KeyError("x")

    stream = FileSource([tmp_path / "a", tmp_path / "b"], decode).samples()
    with pytest.raises(KeyError) as caught:
        next(iter(stream))
    assert f"while reading '{tmp_path / 'a'}'" in caught.value.__notes__


def test_streams_keep_their_promises(images):
    source = FileSource(images, read_image)
    check_streamer(source.samples(shuffle=True, epochs=2), pickles=True)


@pytest.mark.parametrize(
    ("library", "read", "extra"), [("PIL", read_image, "image"), ("soundfile", read_audio, "audio")]
)
def test_a_missing_library_says_what_to_install(monkeypatch, library, read, extra):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(
        MissingDependencyError, match=rf'{read.__name__} needs .*: pip install "streamflow-mux\[{extra}\]"'
    ):
        read("a")


@pytest.mark.parametrize(
    ("paths", "decode", "text"),
    [
        ("abc", len, "`paths`"),
        (5, len, "`paths`"),
        ({"a", "b"}, len, "`paths` must be an ordered collection of paths, got .*; sort it"),
        ([1], len, "`paths`"),
        (["a"], None, "`decode`"),
        ([], len, r"`paths` must be at least one path, got \[\]; does a pattern match nothing\?"),
        (iter(()), len, "`paths` must be at least one path"),
    ],
)
def test_wrong_parameters(paths, decode, text):
    with pytest.raises(ParameterError, match=text):
        FileSource(paths, decode)


def test_relative_paths_are_of_the_folder_where_it_was_made(tmp_path, monkeypatch):
    np.save(tmp_path / "a.npy", np.arange(3))
    monkeypatch.chdir(tmp_path)
    source = FileSource(["a.npy"], np.load)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert source.paths == ("a.npy",)
    assert source[0].tolist() == pickle.loads(pickle.dumps(source))[0].tolist() == [0, 1, 2]
