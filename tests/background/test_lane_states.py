"""A state of a stream of lanes: for any number of workers, at any place, however often."""

import json
import random
from itertools import islice

import pytest

import streamflow as sf

from .leaves import (
    ENDLESS,
    batch_tree,
    digest,
    drawing_tree,
    expected_items,
    finite_tree,
    knowing_tree,
    merged,
    plain,
    starting_tree,
    taken,
)


def moved(make, cuts, ways, end=None):
    """The items of passes that end at each cut, each resumed with other settings."""
    got, state = [], None
    for cut, way in zip([*cuts, end], ways, strict=True):
        with sf.ZMQStreamer(make(), **way).open() as stream:
            if state is not None:
                stream.load_state_dict(json.loads(state))
                assert stream.position == len(got)
            got += taken(stream, None if cut is None else cut - len(got))
            state = json.dumps(stream.state_dict())
    return got


def ways_for(dice, n_lanes, count):
    return [
        {"n_lanes": n_lanes, "n_workers": dice.randint(1, n_lanes), "transport": dice.choice(["shm", "ipc"])}
        for _ in range(count)
    ]


@pytest.mark.parametrize("often", [False, True], ids=["as it comes", "after each item"])
@pytest.mark.parametrize("tree", [*ENDLESS, "finite"])
@pytest.mark.parametrize("n_lanes", [1, 2, 3, 5])
def test_cut_twice_at_random_places_under_other_workers(n_lanes, tree, often, request):
    if often:
        request.getfixturevalue("every_item_marked")
    make = {**ENDLESS, "finite": finite_tree}[tree]
    size = len(expected_items(make, n_lanes)) if tree == "finite" else 60
    expected = expected_items(make, n_lanes, size)
    dice = random.Random(f"{n_lanes} {tree} {often}")
    for _ in range(2):
        cuts = sorted(dice.randint(0, size) for _ in range(2))
        assert moved(make, cuts, ways_for(dice, n_lanes, 3), size) == expected, cuts


@pytest.mark.parametrize("cut", [1, 2, 3, 4, 6, 8, 9, 11, 14, 15])
@pytest.mark.usefixtures("every_item_marked")
def test_some_lanes_have_ended_and_others_not(cut):
    """Lanes of 9, 1 and 5 items, and an empty one."""

    def make():
        members = [sf.Streamer(plain, k, n) for k, n in enumerate([9, 1, 0, 5])]
        return sf.ChainMux(members)

    expected = [digest(item) for item in merged(make(), 4)]
    assert len(expected) == 15
    for n_workers in (1, 2, 4):
        ways = [{"n_lanes": 4, "n_workers": n} for n in (n_workers, 3, 1)]
        assert moved(make, [cut // 2, cut], ways) == expected
    with sf.ZMQStreamer(make(), n_lanes=4).open() as stream:
        got = taken(stream, cut)
        ended = [entry["ended"] for entry in stream.state_dict()["node"]["lanes"]]
    assert (got, ended[0]) == (expected[:cut], False)
    assert ended[2] or cut < 4
    assert ended[1] or cut < 7, "or this tests nothing"


@pytest.mark.parametrize("n_lanes", [1, 2, 3])
def test_at_the_end_and_after_it(n_lanes):
    def make(n_workers=1):
        return sf.ZMQStreamer(finite_tree(), n_lanes=n_lanes, n_workers=min(n_workers, n_lanes))

    expected = expected_items(finite_tree, n_lanes)
    with make().open() as stream:
        assert taken(stream, len(expected)) == expected
        at_end = json.dumps(stream.state_dict())
        assert list(stream) == []
        after = json.dumps(stream.state_dict())
    with make(3).open() as stream:
        stream.load_state_dict(json.loads(at_end))
        assert list(stream) == []
        assert json.loads(json.dumps(stream.state_dict())) == json.loads(after)
    with make(2).open() as stream:
        stream.load_state_dict(json.loads(after))
        assert (stream.epoch, stream.position, list(stream)) == (0, len(expected), [])
    following = [digest(item) for item in merged(finite_tree(), n_lanes, 1)]
    with make(2).open(cycle=True) as stream:
        stream.load_state_dict(json.loads(after))
        assert (stream.epoch, stream.position) == (1, 0)
        assert taken(stream, len(following)) == following


@pytest.mark.parametrize("n_lanes", [1, 2, 5])
def test_states_of_cycle(n_lanes):
    """Within an epoch, at its end, and in the next one."""
    epochs = [[digest(item) for item in merged(finite_tree(), n_lanes, epoch)] for epoch in range(3)]
    size, every = len(epochs[0]), [item for epoch in epochs for item in epoch]
    dice = random.Random(n_lanes)
    for cut in (0, size - 1, size, size + 1, 2 * size, dice.randrange(3 * size)):
        ways = ways_for(dice, n_lanes, 2)
        with sf.ZMQStreamer(finite_tree(), **ways[0]).open(cycle=True) as stream:
            got = taken(stream, cut)
            state = json.dumps(stream.state_dict())
        with sf.ZMQStreamer(finite_tree(), **ways[1]).open(cycle=True) as stream:
            stream.load_state_dict(json.loads(state))
            got += taken(stream, len(every) - cut)
        assert got == every, cut


@pytest.mark.usefixtures("every_item_marked")
def test_before_the_first_item():
    np_tree = drawing_tree().with_seed(None)
    with sf.ZMQStreamer(np_tree, n_workers=2, n_lanes=3).open() as stream:
        state = json.dumps(stream.state_dict())
        expected = taken(stream, 30)
    with sf.ZMQStreamer(np_tree, n_workers=3, n_lanes=3).open() as stream:
        stream.load_state_dict(json.loads(state))
        assert taken(stream, 30) == expected


def test_a_state_right_after_loading_is_the_state_that_was_loaded():
    with sf.ZMQStreamer(knowing_tree(), n_workers=2, n_lanes=3).open() as stream:
        taken(stream, 40)
        state = stream.state_dict()
    with sf.ZMQStreamer(knowing_tree(), n_workers=3, n_lanes=3).open() as stream:
        stream.load_state_dict(json.loads(json.dumps(state)))
        assert json.loads(json.dumps(stream.state_dict())) == json.loads(json.dumps(state))


# --- the number of lanes ----------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:.*are not started")
@pytest.mark.parametrize("n_workers", [1, 2, 3, 5])
def test_a_stream_that_names_no_number_takes_that_of_the_state(n_workers):
    with sf.ZMQStreamer(starting_tree(), n_workers=1, n_lanes=3).open() as stream:
        got = taken(stream, 20)
        state = json.dumps(stream.state_dict())
    with sf.ZMQStreamer(starting_tree(), n_workers=n_workers).open() as stream:
        stream.load_state_dict(json.loads(state))
        got += taken(stream, 20)
    assert got == expected_items(starting_tree, 3, 40)


def test_workers_without_a_lane_warn():
    with sf.ZMQStreamer(starting_tree(), n_lanes=2).open() as stream:
        got = taken(stream, 7)
        state = stream.state_dict()
    with sf.ZMQStreamer(starting_tree(), n_workers=5).open() as stream:
        with pytest.warns(UserWarning, match="5 workers for 2 lanes: 3 of them"):
            stream.load_state_dict(state)
        assert got + taken(stream, 7) == expected_items(starting_tree, 2, 14)


@pytest.mark.parametrize(("before", "after"), [(3, 2), (1, 2), (2, 1)])
def test_another_number_of_lanes_is_refused_with_advice(before, after, processes):
    with sf.ZMQStreamer(starting_tree(), n_lanes=before).open() as stream:
        taken(stream, 7)
        state = stream.state_dict()
    refused = pytest.raises(sf.StateError, match=rf"n_lanes={before}, .*n_lanes={after}; .*give n_lanes={before}")
    with sf.ZMQStreamer(starting_tree(), n_lanes=after).open() as stream, refused:
        stream.load_state_dict(state)
    assert processes() == {}


def test_states_below_a_map_and_inside_a_mux():
    def make(n_workers):
        def inside(tree):
            return sf.ZMQStreamer(tree, n_lanes=2, n_workers=n_workers)

        plain_members = [sf.Streamer(plain, k, 30) for k in range(3)]
        mux = sf.ShuffledMux([inside(sf.RoundRobinMux(plain_members)), inside(starting_tree())], random_state=6)
        return mux.pipe(_pairs)

    whole = taken(make(1), 50)
    for cut in (1, 13, 30):
        with make(1).open() as stream:
            got = taken(stream, cut)
            state = json.dumps(stream.state_dict())
        with make(2).open() as stream:
            stream.load_state_dict(json.loads(state))
            got += taken(stream, 50 - cut)
        assert got == whole


def _pairs(stream):
    stream = iter(stream)
    while len(pair := list(islice(stream, 2))) == 2:
        yield pair


def test_a_batch_tree_goes_on_within_its_epoch_over_other_workers():
    assert moved(batch_tree, [5, 31], [{"n_lanes": 4, "n_workers": n} for n in (4, 1, 3)], 50) == expected_items(
        batch_tree, 4, 50
    )
