"""Random maps in a stream: keyed by seed, epoch and position, wherever in a composition they stand."""

import functools
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


def cropped(entry, rng, length=3):
    return entry[random_crop(length).within(len(entry), rng)]


def noisy(sample, rng=None):
    """Five random digits, whatever the sample is."""
    return sample, rng.integers(10, size=5)


def differing(one, other, *, rng):
    return one[0] - other[0], rng.integers(1000)


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
    "rng": lambda s: s.map(cropped),
    "rng of a view": lambda s: s.map(cropped, length=4)[::-1][2:][[0, 3, 0, 1]],
    "rng below and above": lambda s: zip_sources([s[:, random_crop(2)].map(noisy), s]).map(lambda p: p[0]).map(noisy),
    "rng in members": lambda s: CompositeSource([s.map(cropped), s[:4].map(cropped)], flatten=False),
    "rng over several": lambda s: map_sources(differing, s.map(cropped), s),
    "rng of somebody's": lambda s: Wrapped(s).map(lambda sample, rng: {"w": cropped(sample["w"], rng)}),
    "rng in part": lambda s: concatenate([s[:4, random_crop(3)], s[4:].map(cropped)]).map(noisy),
    "rng in a choice": lambda s: ChoiceSource([s[:7].map(cropped), s[7:].map(cropped)], stratified=True),
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


CHOICES = ("choice", "rng in a choice")
REFUSED = set(itertools.product(CHOICES, ("with replacement", "across")))
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
    if kind in CHOICES:  # whose order hangs on the length of batches
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


@pytest.mark.parametrize(
    "kind", ["zip_sources", "columns", "map", "composite", "concatenate", "rng", "rng below and above"]
)
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
    source = zip_sources(
        [store[:, random_crop(3)], store.map(cropped), map_sources(differing, store.map(noisy), store)]
    )
    stream = source.batches(2, shuffle=True, random_state=3)
    wanted = samples_of(stream)
    with ZMQStreamer(stream, n_workers=2, n_lanes=2).open() as live:
        assert sorted(samples_of(live)) == sorted(wanted)
    with ThreadStreamer(stream).open() as live:
        assert samples_of(live) == wanted


# ---------------------------------------------------------------------- independence
def uniform(sample, rng):
    """A random number in place of what the sample was, or behind what was drawn before."""
    return (*sample, rng.random()) if isinstance(sample, tuple) else (rng.random(),)


def numbers(source, n=2000, **how):
    """What is drawn for the first samples of a stream, a column for each map."""
    return np.array([np.ravel(sample) for sample in itertools.islice(source.samples(epochs=None, **how), n)])


def assert_unrelated(*columns):
    for one, other in itertools.combinations(columns, 2):
        assert abs(np.corrcoef(one, other)[0, 1]) * np.sqrt(len(one)) < 4


ROWS = ArraySource(np.zeros(2000))


def test_maps_one_after_the_other_draw_independently():
    drawn = numbers(ROWS.map(uniform).map(uniform).map(uniform), random_state=0)
    assert_unrelated(*drawn.T, *np.roll(drawn, 1, axis=0).T)


def test_members_draw_independently():
    one = ROWS.map(uniform)
    zipped = numbers(zip_sources([one, one, zip_sources([one, one])]).map(lambda d: (*d[0], *d[1], *np.ravel(d[2]))))
    assert_unrelated(*zipped.T)
    composite = numbers(CompositeSource([one, one, ROWS[:7].map(uniform)]).map(uniform), shuffle=True, random_state=0)
    assert_unrelated(*composite.T)
    joined = numbers(concatenate([one[:1000], one[1000:]]).map(uniform), random_state=0)
    assert_unrelated(*joined.T, np.roll(joined[:, 0], 1000))


def test_epochs_seeds_and_neighbours_draw_independently():
    drawn = numbers(ROWS.map(uniform), 6000, random_state=0)[:, 0]
    first, second, third = drawn.reshape(3, 2000)
    assert_unrelated(first, second, third, numbers(ROWS.map(uniform), random_state=1)[:, 0])
    assert_unrelated(drawn[1:], drawn[:-1])
    assert_unrelated(drawn[16:], drawn[:-16])
    again = [value for (value,) in ROWS.map(uniform).samples(random_state=0).iterate(epoch=2)]
    assert again == third.tolist(), "an epoch draws the same in whichever pass"


def test_a_sample_drawn_twice_in_a_batch_draws_anew():
    [batch] = ROWS[[0] * 50].map(uniform).batches(50, random_state=0)
    assert len(set(batch[0].tolist())) == 50


def test_a_map_on_top_changes_nothing_below():
    below = numbers(ROWS.map(uniform), 50, random_state=0)
    assert np.array_equal(numbers(ROWS.map(uniform).map(uniform), 50, random_state=0)[:, :1], below)
    crops = ROWS.map(lambda x: np.arange(90)).map(cropped)
    above = crops.map(noisy).batches(5, random_state=0)
    assert all(np.array_equal(a, b) for (a, _), b in zip(above, crops.batches(5, random_state=0), strict=True))


def test_what_keys_are_read_changes_nothing():
    one = ROWS.map(uniform)
    for source, key in (
        (ArraySource({"a": one, "b": one, "c": range(2000)}), "b"),
        (zip_sources([one, one]), 1),
        (CompositeSource([{"x": np.arange(9)}, ArraySource({"a": one, "b": one})]), "b"),
    ):
        whole = [sample[key] for sample in source.samples(random_state=0)]
        assert list(source.samples(random_state=0, keys=key)) == whole
        assert [b for (b,) in source.samples(random_state=0, keys=(key,))] == whole
        [batch] = source.batches(2000, random_state=0, keys=key)
        assert batch[0].tolist() == [value for (value,) in whole]


# ---------------------------------------------------------------------- who draws
def test_outside_of_streams_numpy_seeds_the_draws():
    source = ROWS.map(uniform)
    np.random.seed(3)
    first = source[0], source.read([0, 0, 5])[0].tolist(), list(source[:3])
    assert len({first[0][0], *first[1], *np.ravel(first[2])}) == 7
    np.random.seed(3)
    assert (source[0], source.read([0, 0, 5])[0].tolist(), list(source[:3])) == first


class Callable:
    def __call__(self, sample, rng):
        return rng.random()


@pytest.mark.parametrize(
    ("fn", "args", "kwargs", "draws"),
    [
        (uniform, (), {}, True),
        (noisy, (), {}, True),
        (lambda sample, *, rng: 0, (), {}, True),
        (functools.partial(cropped, length=2), (), {}, True),
        (Callable(), (), {}, True),
        (cropped, (), {"length": 2}, True),
        (abs, (), {}, False),
        (lambda sample, **more: 0, (), {}, False),
        (lambda sample, rng=5: rng, (), {}, False),
        (noisy, (np.random.default_rng(0),), {}, False),
        (noisy, (), {"rng": np.random.default_rng(0)}, False),
        (functools.partial(noisy, rng=np.random.default_rng(0)), (), {}, False),
        (lambda rng: 0, (), {}, False),  # which gets the sample
    ],
)
def test_a_function_that_asks_for_rng_draws_and_no_other(fn, args, kwargs, draws):
    source = ArraySource(np.arange(5.0)).map(fn, *args, **kwargs)
    for one in (source, source[1:], zip_sources([range(5), source]), concatenate([[1], source]), source.map(abs)):
        for stream in (one.samples(), one.batches(2)):
            assert stream.fingerprint().random == draws
    before = str(np.random.get_state())
    streams = [source.samples(), source.batches(2), source[::-1].batches(2)] if not draws else []
    for stream in streams:
        if fn is not noisy:
            list(stream)
    assert str(np.random.get_state()) == before


def test_map_sources_fills_in_rng_behind_its_samples():
    source = map_sources(lambda one, other, rng=None: rng.random(), ROWS, ROWS)
    assert len(set(source.samples(random_state=0))) == 2000
    given = map_sources(lambda one, rng: rng, [1, 2], [3, 4])
    assert list(given.samples()) == [3, 4]
    assert not given.samples().fingerprint().random


def test_somebodys_source_draws_as_outside_of_streams(store):
    """It hands no draws on: random maps belong on top of it."""
    source = Wrapped(store[:, random_crop(3)])
    for stream in (source.samples(random_state=0), zip_sources([source, range(N)]).batches(3, random_state=0)):
        assert not stream.fingerprint().random
        np.random.seed(0)
        first = samples_of(stream) if stream.batch_size else [*map(plain, stream)]
        np.random.seed(0)
        assert (samples_of(stream) if stream.batch_size else [*map(plain, stream)]) == first
        assert (samples_of(stream) if stream.batch_size else [*map(plain, stream)]) != first


def test_a_crop_without_rng_draws_as_any_numpy_code():
    crop = random_crop(3)
    tracks = ArraySource({"x": [np.arange(60) for _ in range(20)]}).map(lambda d: d["x"][crop.within(60)])
    np.random.seed(0)
    first = [x[0] for x in tracks.samples(random_state=0)]
    assert [x[0] for x in tracks.samples(random_state=0)] != first
    own = random_crop(3, random_state=5)
    handed_on = [own.within(60, np.random.default_rng(0)) for _ in range(2)]
    assert handed_on == [crop.within(60, np.random.default_rng(0))] * 2, "the rng that it is given"
    assert own.within(60) == random_crop(3, random_state=5).within(60)


def test_what_is_below_a_batch_crop_draws_apart():
    tracks = ArraySource(np.zeros(2000)).map(lambda _, rng: np.r_[np.arange(999), rng.random()])
    [batch] = tracks.batches(2000, random_state=0, ragged="crop", crop=random_crop(1, stop=999))
    assert_unrelated(batch[:, 0], np.array([sample[-1] for sample in tracks.samples(random_state=0)]))
