"""Streams over sources that are interrupted, or meet an error, while an item is made: none is lost or repeated."""

import json
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

import streamflow as sf
from streamflow.samplers import BlockShuffledSampler, WeightedSampler
from streamflow.sources import ArraySource, ChoiceSource, CompositeSource, Source, concatenate, random_crop

from ..amount import amount
from ..interrupting import PACKAGE, Interrupt

N = 11
#: Delivering an item that has been made is the handle's part, and tested with it.
HANDLE = str(Path(PACKAGE) / "core" / "stream.py")


def noisy(sample, rng):
    return {**sample, "noise": rng.random()}


PLAIN = ArraySource({"x": np.arange(N), "y": np.arange(2.0 * N).reshape(N, 2)})
NOISY = concatenate([PLAIN[:4], PLAIN[4:]]).map(noisy)
TRACKS = ArraySource({"x": [np.arange(9 + k) for k in range(N)]})
STREAMS = {
    "batches": lambda: PLAIN.batches(3, shuffle=True, epochs=2),
    "batches across": lambda: NOISY.batches(3, shuffle=True, epochs=2, across_epochs=True, with_indices=True),
    "full batches": lambda: NOISY[::-1].batches(4, sampler=BlockShuffledSampler(2), epochs=3, drop_last=True),
    "cropped": lambda: TRACKS.batches(2, ragged="crop", crop=random_crop(5), epochs=None),
    "part": lambda: NOISY.batches(2, shuffle=True, epochs=3).shard(1, 2),
    "composite": lambda: CompositeSource([NOISY, {"z": np.arange(4)}]).batches(2, shuffle=True, epochs=2),
    "choice": lambda: ChoiceSource([NOISY[:7], NOISY[7:]], stratified=True).batches(2, shuffle=True, drop_last=True),
    "samples": lambda: PLAIN.samples(shuffle=True),
    "random samples": lambda: NOISY.samples(sampler=WeightedSampler(None), epochs=None, with_indices=True),
}


def plain(item):
    return json.dumps(item, default=lambda array: array.tolist(), sort_keys=True)


def resumed(make, state, count):
    with make().with_seed(3).open() as again:
        again.load_state_dict(json.loads(json.dumps(state)))
        return [plain(item) for item, _ in zip(again, range(count), strict=False)]


def of_sources(code):
    """The package outside of the handle."""
    return code.co_filename.startswith(PACKAGE) and code.co_filename != HANDLE


def given_before(stream, interrupt, count):
    """The items that came before the interrupt, and whether it came."""
    got = []
    try:
        with interrupt:
            for _ in range(count):
                item = next(stream, None)
                if item is None:
                    break
                got.append(plain(item))
    except KeyboardInterrupt:
        return got, True
    return got, False


@pytest.mark.parametrize("event", ["line", "opcode"])
@pytest.mark.parametrize("name", STREAMS)
def test_an_interrupt_at_any_moment_loses_and_repeats_nothing(name, event):
    make, count = STREAMS[name], 7
    with make().with_seed(3).open() as whole:
        wanted = [plain(item) for item, _ in zip(whole, range(count + 2), strict=False)]
    assert len(set(wanted)) == len(wanted) > 3
    passing = Interrupt(None, of_sources, event)
    given_before(make().with_seed(3).open(), passing, count)
    for moment in range(0, passing.moments - 1, 1 + passing.moments // amount(25, 400)):
        with make().with_seed(3).open() as stream:
            got, came = given_before(stream, Interrupt(moment, of_sources, event), count)
            state = stream.state_dict()
        assert came
        assert got == wanted[: len(got)]
        assert state["given"] + state.get("draw", 0) == len(got)
        assert got + resumed(make, state, len(wanted) - len(got)) == wanted, f"after {moment} {event}s"


# ---------------------------------------------------------------------- errors
class Fragile(Source):
    """Has samples that cannot be read until they are mended."""

    broken: ClassVar[set[int]] = set()

    def __len__(self):
        return N

    def sample(self, index):
        if index in self.broken:
            raise OSError("no disk")
        return {"x": index}


WAYS = {
    "samples": lambda: Fragile().samples(shuffle=True, epochs=2),
    "batches": lambda: Fragile().batches(3, shuffle=True, epochs=2),
    "mapped": lambda: concatenate([PLAIN, Fragile().map(noisy)])[::-1].samples(shuffle=True),
    "a mux": lambda: sf.ShuffledMux([Fragile().samples(), Fragile().batches(2, shuffle=True)]),
    "a map": lambda: Fragile().samples(epochs=2).pipe(sf.buffer_stream, 4, partial=True),
}


@pytest.mark.parametrize("broken", range(0, N, 3))
@pytest.mark.parametrize("way", WAYS)
def test_a_sample_that_could_not_be_read_comes_first_when_it_is_mended(way, broken, monkeypatch):
    wanted = [plain(item) for item, _ in zip(WAYS[way]().with_seed(3), range(20), strict=False)]
    monkeypatch.setattr(Fragile, "broken", {broken})
    got = []
    with WAYS[way]().with_seed(3).open() as stream, pytest.raises(OSError, match="no disk"):
        while True:
            got.append(plain(next(stream)))
    state = stream.state_dict()
    monkeypatch.setattr(Fragile, "broken", set())
    assert got + resumed(WAYS[way], state, len(wanted) - len(got)) == wanted
