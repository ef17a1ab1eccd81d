"""An error inside a mapped function says which function and which sample."""

import fnmatch

import numpy as np
import pytest

from streamflow.sources import (
    ArraySource,
    ChoiceSource,
    CompositeSource,
    FileSource,
    Source,
    concatenate,
    map_sources,
    zip_sources,
)


def no_seven(value):
    if np.any(np.asarray(value) == 7):
        raise ValueError("a seven")
    return value


def no_seven_random(value, rng):
    return no_seven(value + 0 * rng.random())


TEN = ArraySource(np.arange(10))
SOURCES = {
    "plain": (TEN.map(no_seven), 7, "in map(no_seven), sample 7"),
    "random": (TEN.map(no_seven_random), 7, "in map(no_seven_random), sample 7"),
    "a view": (TEN.map(no_seven)[::-1], 2, "in map(no_seven), sample 7"),
    "of a view": (TEN[4:].map(no_seven)[1:], 2, "in map(no_seven), sample 7"),
    "arguments": (TEN.map(np.add, 1).map(no_seven), 6, "in map(no_seven), sample 6"),
    "several": (map_sources(lambda a, b: no_seven(b), TEN, TEN), 7, "in map(<lambda>), sample 7"),
    "zipped": (zip_sources([TEN, TEN.map(no_seven)]), 7, "in map(no_seven), sample 7"),
    "concatenated": (concatenate([TEN[:3], TEN.map(no_seven)]), 10, "in map(no_seven), sample 7"),
    "of a concatenation": (
        concatenate([TEN[:3], TEN]).map(no_seven),
        10,
        r"in map(no_seven), sample 10 (ArraySource(*))",
    ),
    "composite": (CompositeSource([TEN[:3], TEN.map(no_seven)]), 7, "in map(no_seven), sample 7"),
    "of a composite": (CompositeSource([TEN[:3], TEN]).map(no_seven), 7, "in map(no_seven), sample [[]?, 7]"),
    "choice": (ChoiceSource([TEN[:3], TEN[3:].map(no_seven)], stratified=True), 7, "in map(no_seven), sample 7"),
}


def notes_of(error):
    return [note for note in getattr(error, "__notes__", ()) if note.startswith("in map")]


@pytest.mark.parametrize("kind", SOURCES)
def test_the_note_names_the_function_and_the_sample(kind):
    source, index, wanted = SOURCES[kind]
    reads = [
        lambda: source[index],
        lambda: source.read([0, index, 1]),
        lambda: list(source.samples()),
        lambda: list(source.samples(shuffle=True, random_state=2)),
        lambda: list(source.batches(3)),
        lambda: list(source.batches(4, shuffle=True, random_state=2)),
        lambda: list(source.batches(4, ragged="list")),
    ]
    for read in reads:
        with pytest.raises(ValueError, match="a seven") as caught:
            read()
        [note] = notes_of(caught.value)
        assert fnmatch.fnmatchcase(note, wanted), note


def test_the_file_is_named_where_there_is_one(tmp_path):
    paths = [tmp_path / f"{k}.npy" for k in range(9)]
    for k, path in enumerate(paths):
        np.save(path, np.arange(k))
    for source in (
        FileSource(paths, np.load).map(lambda x: no_seven(len(x))),
        zip_sources([FileSource(paths, np.load), range(9)])[2:].map(lambda pair: no_seven(len(pair[0]))),
    ):
        with pytest.raises(ValueError, match="a seven") as caught:
            list(source.samples())
        assert notes_of(caught.value) == [f"in map(<lambda>), sample 7 ({str(paths[7])!r})"]


def test_only_the_map_that_failed_is_named():
    source = TEN.map(np.negative).map(no_seven).map(np.negative)[2:].map(np.abs)
    with pytest.raises(ValueError, match="a seven") as caught:
        concatenate([source, TEN.map(lambda x: x + 6).map(no_seven)]).read([9])
    assert notes_of(caught.value) == ["in map(no_seven), sample 1"]


def test_an_error_of_the_source_is_not_the_maps():
    class Broken(Source):
        def __len__(self):
            return 5

        def sample(self, index):
            raise OSError("no disk")

    with pytest.raises(OSError, match="no disk") as caught:
        list(Broken().map(no_seven).batches(2))
    assert notes_of(caught.value) == []


@pytest.mark.parametrize("kind", ["of the source", "of a function"])
def test_stop_iteration_ends_no_stream(kind):
    def stops(index):
        if index == 5:
            raise StopIteration
        return index

    class Stops(Source):
        def __len__(self):
            return 20

        def sample(self, index):
            return stops(index)

    source = Stops() if kind == "of the source" else ArraySource(np.arange(20)).map(stops)
    for stream in (source.samples(), source.samples(with_indices=True), source.batches(1)):
        live = stream.open()
        with pytest.raises(RuntimeError, match="StopIteration"):
            list(live)
        assert live.state_dict()["given"] == live.position == 5
