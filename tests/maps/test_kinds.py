"""What each kind of map may do, what is refused, and that its states are right wherever they are taken."""

import gc
import json
import weakref
from itertools import islice

import numpy as np
import pytest

import streamflow as sf
from streamflow.core import checkpoint
from streamflow.exceptions import DataError, ParameterError, StateError
from streamflow.maps import stream_map
from streamflow.testing import check_streamer


# ---------------------------------------------------------------------- maps as others may write them
@stream_map()
def kept(stream, divisor):
    """The multiples."""
    for item in stream:
        if item % divisor == 0:
            yield item


@stream_map(kind="windowed")
def shuffle_buffer(stream, buffer_size, rng):
    """Items in a random order within buffers of this size."""
    while buffer := list(islice(stream, buffer_size)):
        rng.shuffle(buffer)
        yield buffer


@stream_map(kind="windowed")
def unbatch(stream):
    """The samples of batches."""
    for batch in stream:
        n = len(next(iter(batch.values())))
        yield [{key: column[row] for key, column in batch.items()} for row in range(n)]


@stream_map(kind="windowed")
def packed(stream, capacity):
    """Lists of numbers whose sum is at most the capacity; a window ends with the number that is too large."""
    packs, pack = [], []
    for item in stream:
        if sum(pack) + item > capacity:
            packs.append(pack)
            pack = []
        pack.append(item)
        if item > 2:
            yield [*packs, pack]
            packs, pack = [], []
    if pack:
        yield [*packs, pack]


@stream_map(kind="replayed")
def differences(stream):
    """Each item less the one before."""
    last = None
    for item in stream:
        if last is not None:
            yield item - last
        last = item


@stream_map()
def one_to_many(stream, times, every=1):
    """Holds an output back, which a stateless map must not."""
    for item in stream:
        for _ in range(times if item % every == 0 else 1):
            yield item


@stream_map()
def by_keyword(stream, *, step):
    for item in stream:
        yield item * step


def samples(n):
    for i in range(n):
        yield {"x": np.full(2, i), "y": i}


def numbers(n, rng):
    for _ in range(n):
        yield int(rng.integers(6))


TREES = {
    "kept": lambda: sf.Streamer(numbers, 40).pipe(kept, 2),
    "shuffle_buffer": lambda: sf.Streamer(range(23)).pipe(shuffle_buffer, 5),
    "shuffle_buffer twice": lambda: sf.Streamer(range(23)).pipe(shuffle_buffer, 5).pipe(shuffle_buffer, 4),
    "shuffle_buffer in a mux": lambda: sf.StochasticMux(
        [sf.Streamer(range(k)).pipe(shuffle_buffer, 3) for k in range(6)], 3, 4
    ),
    "unbatch": lambda: sf.Streamer(samples, 11).pipe(sf.buffer_stream, 4, partial=True).pipe(unbatch),
    "unbatch and filter": lambda: (
        sf.Streamer(samples, 30)
        .pipe(sf.buffer_stream, 4)
        .pipe(unbatch)
        .pipe(sf.filter_items, lambda sample: sample["y"] % 3)
    ),
    "packed": lambda: sf.Streamer(numbers, 40).pipe(packed, 9),
    "differences": lambda: sf.Streamer(numbers, 20).pipe(differences),
    "map_items": lambda: sf.Streamer(range(20)).pipe(sf.map_items, lambda item, rng: (item, rng.random())),
    "numbered": lambda: sf.Streamer(range(20)).pipe(kept, 2).pipe(sf.map_items, lambda item, index: (item, index)),
    "filter_items": lambda: sf.Streamer(range(40)).pipe(sf.filter_items, lambda item, rng: rng.random() < 0.5),
    "zipped": lambda: sf.ZipMux([sf.Streamer(range(13)).pipe(shuffle_buffer, 5), sf.Streamer(numbers, 15)]),
    "a part of zipped": lambda: sf.ZipMux([sf.Streamer(range(23)).pipe(shuffle_buffer, 5), range(31)]).shard(1, 3),
}


@pytest.mark.parametrize("always", [True, False], ids=["noted always", "noted rarely"])
@pytest.mark.parametrize("name", TREES)
def test_they_keep_the_promises(name, always, monkeypatch):
    if always:
        monkeypatch.setattr(checkpoint, "BETWEEN", 0.0)
        monkeypatch.setattr(checkpoint, "SHARE", 0)
    check_streamer(TREES[name](), 30, shards="parts", fresh_process=False)


def test_a_windowed_map_gives_its_outputs_one_by_one():
    assert list(unbatch([{"x": [1, 2]}, {"x": []}, {"x": [3]}])) == [{"x": 1}, {"x": 2}, {"x": 3}]
    items = list(sf.Streamer(range(20)).pipe(shuffle_buffer, 7).with_seed(0))
    assert sorted(items[:7]) == list(range(7)) and sorted(items) == list(range(20)) != items


def test_it_draws_no_window_before_it_is_asked_for():
    drawn = []

    def counted():
        for number in range(20):
            drawn.append(number)
            yield number

    with sf.Streamer(counted).pipe(shuffle_buffer, 5).open() as stream:
        for _ in range(5):
            next(stream)
            assert len(drawn) == 5
        next(stream)
        assert len(drawn) == 10


def _same(item):
    return item


class Thing:
    """An item that can be watched."""


@pytest.mark.parametrize("direct", [True, False])
def test_no_output_is_held_once_it_is_given(direct):
    @stream_map(kind="windowed")
    def windows(stream):
        for _ in stream:
            window = [Thing(), Thing(), Thing()]
            yield window

    @stream_map()
    def through(stream):
        yield from map(_same, stream)

    tree = sf.Streamer(range(3)).pipe(windows).pipe(through).pipe(sf.map_items, lambda item: item)
    items = sf.map_items(through(windows(range(3))), lambda item: item) if direct else tree.open()
    for _ in range(9):
        item = weakref.ref(next(items))
        assert item() is None
    gc.collect()


# ---------------------------------------------------------------------- what is refused
@pytest.mark.parametrize("kind", ["stateful", None, True])
def test_other_kinds_are_refused(kind):
    with pytest.raises(ParameterError, match="`kind` must be"):
        stream_map(kind=kind)


@pytest.mark.parametrize("name", ["rng", "random_state"])
def test_a_stateless_map_cannot_be_random(name):
    scope: dict = {}
    exec(f"def noisy(stream, {name}=None):\n    yield from stream", scope)
    with pytest.raises(ParameterError, match=f"`kind` must be 'windowed' or 'replayed'.*{name}.*map_items"):
        stream_map()(scope["noisy"])


def test_rng_comes_after_what_must_be_given():
    def noisy(stream, rng, scale):
        yield from stream

    with pytest.raises(ParameterError, match="`rng` must be the last parameter"):
        stream_map(kind="windowed")(noisy)


def test_a_check_gets_all_but_rng():
    seen = []

    @stream_map(lambda size, *, more: seen.append((size, more)), kind="windowed")
    def checked(stream, size, rng, *, more=3):
        yield from ()

    checked([], 5)
    sf.Streamer([]).pipe(checked, size=6, more=4)
    checked([], 7, rng=0)
    assert seen == [(5, 3), (6, 4), (7, 3)]


@pytest.mark.parametrize("window", [(1, 2), None, 3, {"x": 1}, "ab"])
@pytest.mark.parametrize("direct", [True, False])
def test_a_windowed_map_yields_lists(window, direct):
    @stream_map(kind="windowed")
    def careless(stream):
        for _ in stream:
            yield window

    with pytest.raises(DataError, match="careless is declared as windowed, so it must yield lists of outputs, got "):
        list(careless([1]) if direct else sf.Streamer([1]).pipe(careless))


@pytest.mark.parametrize("always", [True, False])
@pytest.mark.parametrize(("times", "every", "given"), [(2, 1, 1), (3, 5, 1), (2, 4, 5)])
def test_one_to_many_must_not_be_stateless(times, every, given, always, monkeypatch):
    """The first output for which nothing was drawn is refused, however few there were before."""
    if always:
        monkeypatch.setattr(checkpoint, "BETWEEN", 0.0)
        monkeypatch.setattr(checkpoint, "SHARE", 0)
    first = 0 if given == 1 else 1
    stream = sf.Streamer(range(first, 2000)).pipe(one_to_many, times, every).open()
    if first:
        given = 4
    assert [next(stream) for _ in range(given)] == list(range(first, first + given))
    with pytest.raises(StateError, match=r"one_to_many gave an output for which it drew no item.*kind='windowed'"):
        next(stream)
    with pytest.raises(StateError, match="drew no item"):
        stream.state_dict()


def test_an_output_after_many_items_without_one_is_noticed():
    """Counting outputs and items would not do."""

    @stream_map()
    def rarely(stream):
        for item in stream:
            if item % 100 == 99:
                yield item
                yield item

    stream = sf.Streamer(range(1000)).pipe(rarely).open()
    assert next(stream) == 99
    with pytest.raises(StateError, match="drew no item"):
        next(stream)


@pytest.mark.parametrize(("when", "given"), [("start", 0), ("between", 2), ("held", 2), ("end", 3)])
def test_windows_for_which_nothing_was_drawn_are_noticed(when, given):
    @stream_map(kind="windowed")
    def framed(stream):
        if when == "start":
            yield ["begin"]
        yield []
        for item in stream:
            yield [item]
            yield []
            if when == "between" and item == 1:
                yield [item]
            if when == "held" and item == 1:
                held = next(stream)
                yield []
                yield [held]
        if when == "end":
            yield ["end"]

    stream = sf.Streamer(range(3)).pipe(framed).open()
    assert list(islice(stream, given)) == list(range(given))
    with pytest.raises(StateError, match=r"framed gave outputs for which it drew no item.*kind='replayed'"):
        next(stream)
    with pytest.raises(StateError, match="drew no item"):
        stream.state_dict()


@pytest.mark.parametrize("when", ["start", "end"])
def test_outputs_before_and_after_the_items_are_noticed(when):
    @stream_map()
    def framed(stream):
        if when == "start":
            yield "begin"
        yield from stream
        if when == "end":
            yield "end"

    with pytest.raises(StateError, match="drew no item"):
        list(sf.Streamer(range(3)).pipe(framed))
    assert len(list(framed(range(3)))) == 4  # nothing to resume


def test_the_output_of_a_last_item_is_none_of_these():
    """The stream is asked once more than it has items, and so is what pairs them."""

    @stream_map()
    def paired(stream):
        for item in stream:
            yield item, next(stream, None)

    assert list(sf.Streamer(range(3)).pipe(paired)) == [(0, 1), (2, None)]


# ---------------------------------------------------------------------- states
def test_a_state_says_what_kind_of_map_wrote_it():
    tree = sf.Streamer(range(9))
    state = resumable(tree.pipe(kept, 1), 3)["node"]
    assert state["kind"] == "stateless map" and state["after"] == state["given"] == state["stream"]["given"] == 3
    state = resumable(tree.pipe(shuffle_buffer, 2), 4)["node"]
    assert state["kind"] == "windowed map" and state["windows"] == 2 and state["after"] == state["stream"]["given"] == 4
    assert resumable(tree.pipe(shuffle_buffer, 2), 5)["node"]["after"] < 5
    state = resumable(tree.pipe(differences), 4)["node"]
    assert state["kind"] == "replayed map" and state["after"] == 0 and state["stream"] is None


def resumable(tree, after):
    with tree.open() as stream:
        for _ in range(after):
            next(stream)
        return json.loads(json.dumps(stream.state_dict()))


def test_a_state_of_another_kind_is_refused():
    """As after the map was declared otherwise."""
    state = resumable(sf.Streamer(range(9)).pipe(kept, 1), 3)
    state["node"]["kind"] = "windowed map"
    with pytest.raises(StateError, match="another kind of node: 'windowed map', not 'stateless map'"):
        sf.Streamer(range(9)).pipe(kept, 1).open().load_state_dict(state)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((sf.cache, {"n_cache": 2, "random_state": 0}), (sf.cache, {"n_cache": 2, "random_state": 1})),
        ((shuffle_buffer, {"buffer_size": 2, "rng": 0}), (shuffle_buffer, {"buffer_size": 2})),
        ((by_keyword, {"step": 1}), (by_keyword, {"step": 2})),
    ],
    ids=["seed", "no seed", "keyword"],
)
def test_a_state_with_other_settings_is_refused(one, other):
    tree, another = (sf.Streamer(range(9)).pipe(map_, **settings) for map_, settings in (one, other))
    with pytest.raises(StateError, match="another tree"):
        another.open().load_state_dict(resumable(tree, 3))
    tree.open().load_state_dict(resumable(tree, 3))


def test_a_leaf_may_go_on_changing_the_object_that_it_gave_as_its_state(monkeypatch):
    monkeypatch.setattr(checkpoint, "BETWEEN", 0.0)
    monkeypatch.setattr(checkpoint, "SHARE", 0)

    class Leaf:
        def __init__(self):
            self.state = {"at": 0}

        def __iter__(self):
            return self

        def __next__(self):
            self.state["at"] += 1
            return self.state["at"]

        def state_dict(self):
            return self.state

        def load_state_dict(self, state):
            self.state = dict(state)

    tree = sf.Streamer(Leaf).pipe(shuffle_buffer, 4).with_seed(0)
    with tree.open() as stream, tree.open() as again:
        head = [next(stream) for _ in range(10)]
        again.load_state_dict(json.loads(json.dumps(stream.state_dict())))
        assert sorted(head + [next(again) for _ in range(10)]) == list(range(1, 21))


def damaged(state):
    """The state with each value replaced by others, and the place of each."""
    others = [None, True, -1, 0, 1, 7, 10**6, 2**70, 1.5, float("nan"), "text", "", [], [1], [[]], {}, {"kind": "leaf"}]

    def walk(value, path):
        for name in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
            for other in others:
                changed = json.loads(json.dumps(state))
                at = changed
                for step in path:
                    at = at[step]
                at[name] = other
                yield [*path, name], other, changed
            changed = json.loads(json.dumps(state))
            at = changed
            for step in path:
                at = at[step]
            del at[name]
            yield [*path, name], "nothing", changed
            yield from walk(value[name], [*path, name])

    yield from walk(state, [])


STRANGE = {
    "stateless": lambda: sf.Streamer(range(20)).pipe(kept, 2),
    "windowed": lambda: sf.Streamer(range(20)).pipe(shuffle_buffer, 3),
    "replayed": lambda: sf.Streamer(range(20)).pipe(differences),
    "map_items": lambda: sf.Streamer(range(20)).pipe(sf.map_items, lambda item, rng, index: (item, index)),
    "zip": lambda: sf.ZipMux([range(20), sf.Streamer(numbers, 20)]),
    "part of zip": lambda: sf.ZipMux([range(20), sf.Streamer(numbers, 20)]).shard(1, 2),
}


@pytest.mark.parametrize("name", STRANGE)
def test_a_damaged_state_raises_a_state_error_or_resumes(name):
    """What may raise, raises at loading, and in words."""
    tree = STRANGE[name]().with_seed(0)
    state = resumable(tree, 5)
    refused = 0
    for path, other, changed in damaged(state):
        if path[0] != "node":
            continue
        with tree.open() as stream:
            said = _refusal(stream, changed)
            if said is not None:
                refused += 1
                assert "Error(" not in said, (path, other)
                continue
            try:
                for _ in stream:
                    pass
            except BaseException as error:
                raise AssertionError(f"{path} as {other}") from error
    assert refused > 60


def _refusal(stream, state):
    """What loading it says; None if it is taken."""
    try:
        stream.load_state_dict(state)
    except StateError as error:
        return str(error)
    return None
