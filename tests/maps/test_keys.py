"""Where a map's random numbers come from: maps in series, parts, slots, epochs and activations share none."""

from itertools import combinations, islice

import numpy as np
import pytest

import streamflow as sf
from streamflow.background import InlineWorker, WorkerPool
from streamflow.maps import stream_map

N = 400


@stream_map(kind="windowed")
def windowed(stream, rng):
    """Pairs of an item and a number."""
    for item in stream:
        yield [(item, rng.random())]


@stream_map(kind="windowed")
def windowed_by_seed(stream, random_state=None):
    for item in stream:
        yield [(item, random_state.random())]


@stream_map(kind="replayed")
def replayed(stream, rng):
    for item in stream:
        yield item, rng.random()


@stream_map()
def stripped(stream):
    yield from stream


def by_item(item, rng):
    return item, rng.random()


def with_items(streamer):
    return streamer.pipe(sf.map_items, by_item)


MAPS = {
    "items": with_items,
    "windowed": lambda streamer: streamer.pipe(windowed),
    "random_state": lambda streamer: streamer.pipe(windowed_by_seed),
    "replayed": lambda streamer: streamer.pipe(replayed),
}
each_map = pytest.mark.parametrize("random", MAPS.values(), ids=MAPS)


def numbers(items):
    """The numbers that each map in a series has added, outermost first."""
    found = []
    for item in items:
        found.append([])
        while isinstance(item, tuple):
            item, number = item
            found[-1].append(number)
    return np.array(found).T


def assert_unrelated(*rows):
    """No two rows of uniform numbers are correlated, also if one lags behind the other, nor have a number in common."""
    for first, second in combinations(rows, 2):
        assert len(first) == len(second) >= N
        assert not set(first) & set(second)
        for lag in range(5):
            one, other = first[lag:], second[: len(second) - lag]
            assert abs(np.corrcoef(one, other)[0, 1]) < 5 / np.sqrt(len(one))
    for row in rows:
        assert len(set(row)) == len(row)
        assert abs(np.corrcoef(row[1:], row[:-1])[0, 1]) < 5 / np.sqrt(len(row))
        assert abs(np.mean(row) - 0.5) < 5 * np.sqrt(1 / 12 / len(row))


def of(streamer, n=N, **options):
    return numbers(islice(streamer(**options), n))


@each_map
def test_maps_in_series(random):
    tree = random(random(random(sf.Streamer(range(N)).with_seed(0)))).with_seed(0)
    assert_unrelated(*of(tree))


def test_maps_of_other_kinds_in_series():
    tree = sf.Streamer(range(N))
    for random in MAPS.values():
        tree = random(tree)
    assert_unrelated(*of(tree.with_seed(0)))


@each_map
@pytest.mark.parametrize("between", ["nothing", "map", "background", "wrapped"])
def test_levels_count_through_what_is_not_a_mux(random, between):
    below = random(sf.Streamer(range(N)))
    if between == "map":
        below = below.pipe(stripped)
    elif between == "background":
        below = sf.ThreadStreamer(below)
    elif between == "wrapped":
        below = sf.Streamer(sf.Streamer(below))
    assert_unrelated(*of(random(below).with_seed(0)))


@each_map
def test_the_parts_of_one(random):
    tree = random(sf.Streamer(range(4 * N))).with_seed(0)
    parts = [tree, *(tree.shard(part, 3) for part in range(3)), *(tree.shard(1, 2).shard(part, 2) for part in range(2))]
    assert_unrelated(*(of(part)[0] for part in parts))


class Lanes(sf.BackgroundStreamer):
    """Two lanes in this thread."""

    def worker_pool(self):
        return WorkerPool(lambda job, n_workers: InlineWorker(job), n_workers=1, n_lanes=2)


@each_map
def test_the_lanes_of_a_background(random):
    """They are the parts of the tree."""
    tree = random(sf.Streamer(range(2 * N)))
    items = list(Lanes(tree).with_seed(0))
    assert_unrelated(numbers(items[::2])[0], numbers(items[1::2])[0])
    assert items[::2] == list(tree.shard(0, 2).with_seed(0))


@each_map
def test_the_slots_of_a_mux(random):
    """The same map is in each of them."""
    member = random(sf.Streamer(range(N)))
    tree = sf.RoundRobinMux([member, member, random(sf.Streamer(range(N)))]).with_seed(0)
    items = list(tree)
    assert_unrelated(*(numbers(items[slot::3])[0] for slot in range(3)))


@each_map
def test_twins_with_one_seed_in_two_slots(random):
    """A seed of its own takes the place of the tree's; the address stays."""
    twin = random(sf.Streamer(range(N))).with_seed(0)
    items = list(sf.RoundRobinMux([twin, twin.with_seed(0)]))
    assert_unrelated(numbers(items[::2])[0], numbers(items[1::2])[0])


@each_map
def test_activations_of_one_member(random):
    tree = sf.StochasticMux([random(sf.Streamer(range(N)))], 1, None).with_seed(0)
    found = of(tree, 2 * N)[0]
    assert_unrelated(found[:N], found[N:])


@each_map
def test_epochs(random):
    tree = random(sf.Streamer(range(N))).with_seed(0)
    first, second = of(tree)[0], of(tree, epoch=1)[0]
    assert_unrelated(first, second)
    assert of(tree, n=2 * N, cycle=True)[0].tolist() == [*first, *second]


@each_map
def test_inside_a_mux_and_above_it(random):
    tree = random(sf.ShuffledMux([random(sf.Streamer(range(N)))])).with_seed(0)
    assert_unrelated(*of(tree))


@each_map
@pytest.mark.parametrize("above", ["nothing", "stripped", "random", "background"])
def test_a_map_above_changes_nothing_below(random, above):
    tree = random(sf.StochasticMux([sf.Streamer(range(9)), sf.Streamer(range(7))], 2, 3)).with_seed(0)
    expected = list(tree(max_iter=100))
    more = {
        "nothing": tree,
        "stripped": tree.pipe(stripped),
        "random": tree.pipe(windowed).pipe(sf.map_items, lambda pair: pair[0]),
        "background": sf.ThreadStreamer(tree),
    }[above]
    assert list(more(max_iter=100)) == expected


@each_map
def test_a_pass_repeats_and_other_seeds_differ(random):
    tree = random(sf.Streamer(range(N)))
    first, again, other = (of(tree.with_seed(seed))[0] for seed in (0, 0, 1))
    assert first.tolist() == again.tolist()
    assert_unrelated(first, other)


def test_a_seed_given_to_the_map_itself():
    tree = sf.Streamer(range(N)).pipe(windowed_by_seed, random_state=7)
    assert of(tree)[0].tolist() == of(tree)[0].tolist()
    assert_unrelated(of(tree)[0], of(tree, epoch=1)[0], of(sf.Streamer(range(N)).pipe(windowed_by_seed, 8))[0])
    assert list(tree) == list(windowed_by_seed(range(N), 7)) == list(windowed_by_seed(range(N), random_state=7))
    generators = [np.random.default_rng(7), np.random.default_rng(7)]
    first, again = (list(windowed(range(5), rng=rng)) for rng in generators)
    assert first == again


def test_a_direct_call_draws_its_seed_from_the_global_state_once():
    def called(seed):
        np.random.seed(seed)
        found = [list(sf.map_items(range(5), by_item)), list(windowed(range(5)))]
        return found, np.random.randint(1 << 30)

    assert called(0) == called(0) != called(1)
    np.random.seed(0)
    before = np.random.randint(1 << 30)
    np.random.seed(0)
    list(sf.map_items(range(5), lambda item: item))
    assert np.random.randint(1 << 30) == before


def test_a_window_s_numbers_depend_on_its_number_alone():
    """However many numbers the window before has drawn."""

    @stream_map(kind="windowed")
    def drawing(stream, count, rng):
        for number in stream:
            rng.random(number % count)
            yield [rng.random() if number % count == 0 else None]

    one, other = (list(sf.Streamer(range(60)).pipe(drawing, count).with_seed(0)) for count in (2, 3))
    assert one[::6] == other[::6]
    assert None not in one[::6]
