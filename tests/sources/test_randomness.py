"""`random_crop` in a stream: keyed by seed, epoch and position, wherever in a composition it stands."""

import itertools

import numpy as np
import pytest

from streamflow import ThreadStreamer, ZMQStreamer
from streamflow.samplers import BlockShuffledSampler, WeightedSampler
from streamflow.sources import (
    ArraySource,
    ChoiceSource,
    CompositeSource,
    MemmapStore,
    MemmapWriter,
    Source,
    concatenate,
    map_sources,
    random_crop,
    take,
    zip_sources,
)
from streamflow.testing import check_source, check_streamer, rows

N = 11


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Entry k counts on from 1000 k."""
    path = tmp_path_factory.mktemp("chance") / "store"
    with MemmapWriter(path) as out:
        out.extend(np.arange(1000 * k, 1000 * k + 400) for k in range(N))
    return MemmapStore(path)


class Wrapped(Source):
    """Somebody's own source over another one, which it reads as a whole."""

    def __init__(self, source):
        self.source = source

    def __len__(self):
        return len(self.source)

    def sample(self, index):
        return {"w": -self.source.sample(index)}

    def fetch(self, indices):
        return {"w": [-value for value in self.source.fetch(indices)]}


class Pairs(Source):
    """Two stretches of each entry, cropped by hand; and the stretch of the one after it."""

    def __init__(self, store):
        self.store = store

    def __len__(self):
        return len(self.store)

    def sample(self, index):
        both = self.store[index, random_crop(2)], self.store[index, random_crop(2)]
        return *both, self.store[:, random_crop(2)].read([index, (index + 1) % N])


class Sequence:
    """No source: a length and []."""

    def __init__(self, store):
        self.store = store

    def __len__(self):
        return len(self.store)

    def __getitem__(self, index):
        return self.store[index, random_crop(3)]


COMPOSED = {
    "view": lambda s: s[:, random_crop(3)],
    "view of a view": lambda s: s[:, random_crop(9)][::-1][:, random_crop(3)][1:][[5, 0, 5, 2, 7]],
    "zip_sources": lambda s: zip_sources([s[:, random_crop(3)], range(N), s[:, random_crop(2)]]),
    "columns": lambda s: ArraySource({"x": s[:, random_crop(3)], "y": np.arange(N)}),
    "concatenate": lambda s: concatenate([s[:4, random_crop(3)], np.zeros((3, 3), int), s[4:, random_crop(3)][::2]]),
    "composite": lambda s: CompositeSource([ArraySource({"x": s[:5, random_crop(3)]}), {"y": np.arange(N)}]),
    "apart": lambda s: CompositeSource([s[:, random_crop(3)], s[:7, random_crop(2)]], flatten=False),
    "choice": lambda s: ChoiceSource([s[:7, random_crop(3)], s[7:, random_crop(3)]], stratified=True),
    "map": lambda s: zip_sources([s[:, random_crop(3)], range(N)]).map(lambda pair: {"x": pair[0], "y": pair[1]}),
    "map_sources": lambda s: map_sources(np.subtract, s[:, random_crop(3)], s[:, random_crop(3)])[::2],
    "take": lambda s: take(
        zip_sources([concatenate([s[:, random_crop(3)], s[:3, random_crop(3)]]), range(N + 3)]), [1, 0] * 5
    ),
    "somebody's": lambda s: zip_sources([Wrapped(s[:, random_crop(3)]), range(N)]),
    "by hand": lambda s: zip_sources([Pairs(s), range(N)]),
    "a function by hand": lambda s: zip_sources([map_sources(lambda k: s[k, random_crop(3)], range(N)), range(N)]),
    "a sequence by hand": lambda s: ArraySource({"x": Sequence(s), "y": np.arange(N)}),
}
ORDERS = {
    "in order": {},
    "shuffled": {"shuffle": True, "epochs": 2},
    "across": {"shuffle": True, "epochs": 2, "across_epochs": True},
    "with replacement": {"sampler": WeightedSampler(None), "epochs": 2},
    "blocks": {"sampler": BlockShuffledSampler(2, window=2)},
}


def plain(sample):
    if isinstance(sample, dict):
        return [[key, plain(value)] for key, value in sample.items()]
    return [plain(value) for value in sample] if isinstance(sample, tuple) else np.asarray(sample).tolist()


def samples_of(batches):
    return [plain(sample) for batch in batches for sample in rows(batch)]


REFUSED = {("choice", "with replacement"), ("choice", "across")}
TOGETHER = [pair for pair in itertools.product(COMPOSED, ORDERS) if pair not in REFUSED]


@pytest.mark.parametrize(("kind", "order"), TOGETHER)
def test_a_sample_depends_on_the_seed_the_epoch_and_the_position_alone(store, kind, order):
    source, how = COMPOSED[kind](store), {**ORDERS[order], "random_state": 7}
    before = str(np.random.get_state())
    stream = source.batches(3, **how)
    wanted = samples_of(stream)
    assert samples_of(stream) == wanted
    other_sizes = [samples_of(source.batches(size, **how)) for size in (1, 4, 30)]
    parts = [[samples_of(source.batches(2, **how).shard(k, count)) for k in range(count)] for count in (2, 3)]
    merged = [[one for turn in itertools.zip_longest(*part) for one in turn if one is not None] for part in parts]
    if kind == "choice":  # whose order hangs on the length of batches
        wanted, merged, other_sizes = (sorted(wanted), *([*map(sorted, lists)] for lists in (merged, other_sizes)))
    else:
        how.pop("across_epochs", None)
        assert [plain(sample) for sample in source.samples(**how)] == wanted
    assert other_sizes == [wanted] * 3
    assert merged == [wanted] * 2
    assert samples_of(source.batches(3, **{**how, "random_state": 8})) != wanted
    assert samples_of(stream.iterate(epoch=1)) != samples_of(stream)
    assert str(np.random.get_state()) == before


@pytest.mark.parametrize("kind", COMPOSED)
def test_streams_over_compositions_keep_their_promises(store, kind):
    source = COMPOSED[kind](store)
    stream = source.batches(3, shuffle=True, random_state=0)
    check_streamer(stream, 6, samples_of=rows, pickles=None, fresh_process=False)
    check_streamer(source.samples(shuffle=True, random_state=0), 12, pickles=None, fresh_process=False)


@pytest.mark.parametrize("kind", ["zip_sources", "columns", "map", "composite", "concatenate"])
def test_the_source_itself_is_drawn_by_hand(store, kind):
    source = COMPOSED[kind](store)
    stream = iter(source.batches(4, random_state=0))
    first = next(stream)
    np.random.seed(0)
    alone = plain(source[0]), plain(source.read([3, 4]))
    next(stream)
    np.random.seed(0)
    assert (plain(source[0]), plain(source.read([3, 4]))) == alone
    assert plain(source[0]) != alone[0], "each time anew"
    assert plain(next(iter(source.batches(4, random_state=0)))) == plain(first)


def test_after_an_error_crops_draw_as_outside_streams_again(store):
    def broken(pair):
        raise OSError("no disk")

    source = zip_sources([store[:, random_crop(3)], range(N)])
    for stream in (source.map(broken).batches(2), concatenate([source.map(broken), source]).samples(shuffle=True)):
        with pytest.raises(OSError, match="no disk"):
            list(stream)
        np.random.seed(0)
        alone = plain(source[0])
        np.random.seed(0)
        assert plain(source[0]) == alone


def test_columns_are_cropped_independently(store):
    both = zip_sources([store[[0] * 3000, random_crop(200)], store[[0] * 3000, random_crop(200)]])
    [(one, other)] = both.batches(3000, random_state=0)
    assert abs(np.corrcoef(one[:, 0], other[:, 0])[0, 1]) < 0.06
    assert abs(np.corrcoef(one[1:, 0], one[:-1, 0])[0, 1]) < 0.06


def test_a_stream_without_a_seed_resumes_with_the_same_crops(store):
    for source in (zip_sources([store[:, random_crop(3)], range(N)]), ArraySource({"x": store[:, random_crop(3)]})):
        with source.batches(2).open() as stream, source.batches(2).open() as again:
            again.load_state_dict(stream.state_dict())
            assert plain(next(again)) == plain(next(stream))


def test_a_source_over_crops_by_check_source(store):
    fixed = store[:, random_crop(400)]  # there is one place only, so it can be compared with data
    data = np.stack([store[k] for k in range(N)])
    check_source(zip_sources([fixed, range(N)]), (data, np.arange(N)), n_samples=5, fresh_process=False)
    check_source(concatenate([fixed[:3], fixed[3:]])[::-1], data[::-1], n_samples=5, fresh_process=False)


@pytest.mark.parametrize("kind", COMPOSED)
def test_probing_draws_nothing(store, kind):
    source = COMPOSED[kind](store)
    before = str(np.random.get_state())
    source.keys()
    source.read([])
    source.batches(2, with_indices=True)
    COMPOSED[kind](store)
    assert str(np.random.get_state()) == before


def test_in_other_processes(store):
    source = zip_sources([store[:, random_crop(3)], map_sources(lambda k: store[k, random_crop(2)], range(N))])
    stream = source.batches(2, shuffle=True, random_state=3)
    wanted = samples_of(stream)
    with ZMQStreamer(stream, n_workers=2, n_lanes=2).open() as live:
        assert sorted(samples_of(live)) == sorted(wanted)
    with ThreadStreamer(stream).open() as live:
        assert samples_of(live) == wanted
