"""The golden trees over sources: every kind of source and sampler, batches and samples, parts and epochs."""

import numpy as np

from streamflow import StochasticMux, ZipMux, ZMQStreamer
from streamflow.samplers import (
    BlockShuffledSampler,
    SequentialSampler,
    SubsetSampler,
    WeightedSampler,
)
from streamflow.sources import (
    ArraySource,
    ChoiceSource,
    CompositeSource,
    MemmapStore,
    MemmapWriter,
    NpySource,
    concatenate,
    random_crop,
)

from .leaves import Rotated, Wide
from .registry import parts, tree


def arrays(length, first=0):
    return ArraySource({"x": np.arange(first, first + length), "y": np.arange(length, dtype=np.float32) / 4})


def pages():
    """Arrays of different lengths in files."""
    with MemmapWriter("pages", "w") as out:
        for length in range(20, 50):
            out.add(np.arange(length * 3, dtype=np.int16).reshape(length, 3), {"y": length}, name=f"page {length}")
    return MemmapStore("pages")


def side_by_side(streams, seed):
    return ZipMux(streams, "cycle", flatten=False).with_seed(seed)


# ---------------------------------------------------------------------- samplers
@tree(200)
def source_in_order():
    data = arrays(70)
    return side_by_side([data.batches(9, epochs=3), data.samples(sampler=SequentialSampler(), epochs=None)], 100)


@tree(500)
def source_shuffled():
    data = arrays(700)
    streams = [
        data.samples(shuffle=True, epochs=2, with_indices=True),
        data.batches(16, shuffle=True, epochs=None, drop_last=True, keys=("x", "y")),
        data.batches(16, shuffle=True, epochs=None, across_epochs=True, random_state=1),
        data.samples(sampler=Rotated(), epochs=None, keys="y"),
    ]
    return side_by_side(streams, 101)


@tree(150)
def source_shuffled_about_1024():
    lengths = (300, 1024, 1025, 20_000, 65_537, 3 << 20)
    streams = [arrays(length).batches(11, shuffle=True, keys="x") for length in lengths]
    streams += [arrays(length).samples(shuffle=True, keys="x") for length in lengths]
    return side_by_side(streams, 102)


@tree(400)
def source_block_shuffled():
    streams = [
        arrays(1000).samples(sampler=BlockShuffledSampler(7, window=4), epochs=None, keys="x"),
        arrays(600).batches(10, sampler=BlockShuffledSampler(32, random_state=2), epochs=None),
        arrays(70_000).batches(40, sampler=BlockShuffledSampler(1, window=3), keys="x"),
        arrays(64 * 9).batches(10, sampler=BlockShuffledSampler(64, window=2), epochs=None, keys="x"),
    ]
    return side_by_side(streams, 103)


@tree(300)
def source_subset():
    mask = np.arange(90) % 4 == 1
    streams = [
        arrays(90).samples(sampler=SubsetSampler([5, -1, 7, 5, 80]), epochs=None),
        arrays(90).samples(sampler=SubsetSampler(mask, shuffle=True), epochs=None, keys="x"),
        arrays(90).batches(4, sampler=SubsetSampler(range(3, 60), shuffle=True, random_state=3), epochs=None),
    ]
    return side_by_side(streams, 104)


@tree(400)
def source_weighted():
    # The largest, and the number of samples in a class, are powers of two: so all sums are exact.
    weights = [1 << place % 5 for place in range(32)] + [0, 0]
    classes = np.repeat([0, 1, 2], [16, 16, 2])
    streams = [
        arrays(34).samples(sampler=WeightedSampler(weights), epochs=None, keys="x"),
        arrays(34).samples(sampler=WeightedSampler(None), epochs=9, keys="x"),
        arrays(34).batches(6, sampler=WeightedSampler.class_balanced(classes, 3, random_state=4), epochs=None),
        arrays(34).batches(6, sampler=WeightedSampler([1, 2, 1, 4], indices=[0, -1, 5, 9]), epochs=None),
    ]
    return side_by_side(streams, 105)


@tree(200)
def source_as_wide_as_random_numbers():
    samplers = WeightedSampler(None), WeightedSampler([1, 2, 4], indices=[0, 3, -1]), BlockShuffledSampler(3, window=5)
    streams = [Wide().samples(sampler=sampler, epochs=None) for sampler in samplers]
    return side_by_side([Wide().samples(shuffle=True), Wide().batches(5, shuffle=True), *streams], 116)


# ---------------------------------------------------------------------- kinds of sources
@tree(200)
def source_npy():
    np.save("x.npy", np.arange(400, dtype=np.uint8).reshape(200, 2))
    np.savez("more.npz", y=np.linspace(0, 1, 201)[:200] > 0.5)
    source = NpySource({"x": "x.npy", "y": "more.npz"})
    return side_by_side(
        [source.batches(8, shuffle=True, epochs=None), NpySource("x.npy")[50:].samples(shuffle=True)], 106
    )


@tree(200)
def source_memmap():
    store = pages()
    streams = [
        store.samples(shuffle=True, epochs=None, with_indices=True),
        store.batches(4, shuffle=True, epochs=None, ragged="pad", fill=-1),
        store.batches(4, shuffle=True, epochs=None, ragged="crop", crop=random_crop(6)),
    ]
    return side_by_side(streams, 107)


@tree(300)
def source_cropped():
    lists = [np.arange(length) for length in range(10, 60)]
    source = ArraySource({"x": lists, "z": lists})
    streams = [
        source.map(cut).samples(shuffle=True, epochs=None),
        source.map(cut).batches(3, sampler=BlockShuffledSampler(5), epochs=None, keys="x"),
        source.batches(5, shuffle=True, epochs=None, ragged="crop", crop=random_crop(4, 2)),
    ]
    return side_by_side(streams, 108)


def cut(sample, rng, window=random_crop(5)):  # noqa: B008
    """Two crops of one sample, apart."""
    return {key: sample[key][window.within(len(sample[key]), rng)] for key in ("x", "z")}


@tree(300)
def source_composite():
    composite = CompositeSource([arrays(40), ArraySource(np.arange(9) * 100), ArraySource(["a", "b", "c"])], False)
    trimmed = CompositeSource([arrays(40), ArraySource({"z": np.arange(25)})], trim=True)
    streams = [
        composite.samples(shuffle=True, epochs=None),
        composite.batches(7, shuffle=True, epochs=None),
        composite.batches(7, sampler=BlockShuffledSampler(4, window=2)),
        trimmed.batches(6, shuffle=True, epochs=None),
    ]
    return side_by_side(streams, 109)


@tree(300)
def source_choice():
    members = [arrays(40), arrays(13, 100), arrays(90, 200)]
    streams = [
        ChoiceSource(members, stratified).batches(5, sampler=sampler, shuffle=shuffle, epochs=epochs)
        for stratified in (False, True)
        for sampler, shuffle, epochs in (
            (None, False, 2),
            (None, True, None),
            (BlockShuffledSampler(6, window=2), False, None),
        )
    ]
    return side_by_side([*streams, ChoiceSource(members).samples(shuffle=True)], 110)


@tree(200)
def source_concatenated():
    both = concatenate([arrays(50), arrays(30, 1000), arrays(3, 5000)])
    streams = [both.batches(7, shuffle=True, epochs=None, with_indices=True), both[::-3].samples(shuffle=True)]
    return side_by_side(streams, 111)


# ---------------------------------------------------------------------- in larger trees
@tree(100)
def source_parts():
    weighted = arrays(50).samples(sampler=WeightedSampler(None), epochs=6, keys="x")
    choice = ChoiceSource([arrays(40), arrays(13, 100)], stratified=True).batches(5, shuffle=True, epochs=2)
    cropped = ArraySource({"x": [np.arange(60)] * 50, "z": [np.arange(70)] * 50}).map(cut).batches(4, shuffle=True)
    large = arrays(70_000).batches(11, shuffle=True)
    composite = CompositeSource([arrays(40), ArraySource(np.arange(9) * 100)], False).batches(7, shuffle=True)
    several = [weighted, choice, cropped, large, composite, arrays(300).batches(8, shuffle=True).shard(1, 2)]
    return side_by_side([parts(one) for one in several], 112)


@tree(400, 250, epoch=2, cycle=True)
def source_epochs():
    streams = [arrays(60).batches(7, shuffle=True, epochs=2), arrays(25, 100).batches(7, shuffle=True, drop_last=True)]
    return StochasticMux(streams, 1, None, mode="exhaustive", random_state=113)


@tree(300)
def source_members():
    members = [arrays(40, 100 * name).samples(shuffle=True, keys="x") for name in range(12)]
    return StochasticMux(members, 4, 5.5, [1, 2, 1] * 4, random_state=114)


@tree(80, 50)
def source_lanes():
    batches = arrays(500).batches(4, shuffle=True)
    return ZMQStreamer(batches, n_lanes=3, n_workers=2, start_method="fork").with_seed(115)


@tree(40, cycle=True)
def source_parts_of_one_length():
    samples = arrays(10).samples(shuffle=True)
    members = [samples.shard(k, 3, equal=equal) for equal in ("repeat", "drop") for k in range(3)]
    return ZipMux(members, flatten=False).with_seed(130)
