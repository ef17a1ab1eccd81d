"""Parts of one length: `shard(..., equal=...)`, on any tree whose lengths are known, with lanes, states and epochs."""

import itertools
import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import streamflow as sf
from streamflow import ParameterError, StateError, sources
from streamflow.background import InlineWorker, WorkerPool
from streamflow.core import equalised

from ..amount import amount
from ..interrupting import Interrupt
from .test_lengths import TREES

MODES = pytest.mark.parametrize("equal", ["drop", "repeat"])


def rows(n):
    return [{"x": i} for i in range(n)]


def source(n):
    return sources.ArraySource({"x": np.arange(n)})


TREES_OF = {
    "list": lambda: sf.Streamer(list(range(11))),
    "shuffled": lambda: source(11).samples(shuffle=True, random_state=1),
    "batches": lambda: source(50).batches(4, shuffle=True, random_state=1),
    "epochs": lambda: source(11).batches(2, shuffle=True, random_state=1, epochs=3),
    "chain": lambda: sf.ChainMux([rows(5), rows(2), rows(9), rows(4), rows(7)]),
    "uneven chain": lambda: sf.ChainMux([rows(9), rows(2), rows(4)]),
    "round robin": lambda: sf.RoundRobinMux([rows(5), rows(2), rows(9), rows(4), rows(7)]),
    "one member": lambda: sf.StochasticMux([rows(9)], 1, None, mode="exhaustive", random_state=0),
    "many members": lambda: sf.StochasticMux([rows(5)] * 7, 2, None, mode="exhaustive", random_state=0),
    "zip": lambda: sf.ZipMux([rows(11), "abcdefghijklm"], flatten=False),
    "batches of a mux": lambda: sf.ChainMux([rows(5), rows(2), rows(9), rows(4)]).pipe(sf.buffer_stream, 2, True),
}


def told(item):
    return json.dumps(item, default=lambda value: value.tolist(), sort_keys=True)


def taken(tree, **how):
    return [told(item) for item in tree(**how)]


def parts_of(tree, count, equal, **how):
    return [taken(tree.shard(k, count, equal=equal), **how) for k in range(count)]


@MODES
@pytest.mark.parametrize("name", TREES_OF)
@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_parts_are_of_one_length_and_keep_their_items(name, equal, count):
    tree = TREES_OF[name]()
    for epoch in (0, 3):
        plain = [taken(tree.shard(k, count), epoch=epoch) for k in range(count)]
        parts = parts_of(tree, count, equal, epoch=epoch)
        lengths = [len(part) for part in plain]
        assert {len(part) for part in parts} == {min(lengths) if equal == "drop" else max(lengths)}
        for one, other in zip(parts, plain, strict=True):
            both = min(len(one), len(other))
            assert one[:both] == other[:both]
        described = {len(tree.shard(k, count, equal=equal)) for k in range(count)}
        assert described == {len(parts[0])}


def test_what_is_repeated_is_of_the_same_part_and_changes_with_the_epoch():
    tree = sf.Streamer(range(13))
    part = tree.shard(2, 4, equal="repeat")  # 2, 6, 10 and one more
    repeated = [list(part(epoch=epoch))[3:] for epoch in range(6)]
    assert repeated == [[2], [6], [10], [2], [6], [10]]
    part = sf.ChainMux([range(7), range(2)]).shard(1, 2, equal="repeat")
    extra = Counter(item for epoch in range(4) for item in list(part(epoch=epoch))[2:])
    assert extra == {0: 10, 1: 10}  # evenly


def test_what_a_random_part_repeats_is_drawn_anew():
    tree = source(41).samples(shuffle=True, random_state=0)
    part = tree.shard(1, 2, equal="repeat")  # 20 of 21
    own = [sorted(int(i["x"]) for i in tree.shard(1, 2)(epoch=epoch)) for epoch in range(30)]
    repeated = [int(list(part(epoch=epoch))[20]["x"]) for epoch in range(30)]
    assert len(set(repeated)) > 10
    # Under a key of its own the part takes its share of another order, so it may repeat any sample of the tree.
    assert any(one not in all_of for one, all_of in zip(repeated, own, strict=True))
    assert repeated == [int(list(part(epoch=epoch))[20]["x"]) for epoch in range(30)]


def test_a_repeated_pass_shares_no_randomness_with_a_member():
    """Pass r of a part and activation r of its first member are at different addresses."""

    def drawing(n, rng):
        yield from (float(rng.random()) for _ in range(n))

    class Draws(sf.Streamer):
        def _length(self, shards):
            return sf.Streamer(range(self.args[0]))._measured(shards)

    # The second activation of the left side and the second pass of the part, whose right side is the same subtree.
    left = sf.ChainMux([Draws(drawing, 1), sf.ChainMux([Draws(drawing, 2)])])
    tree = sf.ZipMux([left, sf.ChainMux([Draws(drawing, 7)])], "cycle", flatten=False, random_state=0)
    items = list(tree.shard(1, 2, equal="repeat"))
    assert len(items) == 4 and len({number for item in items for number in item}) == 8


@MODES
@pytest.mark.parametrize("name", TREES_OF)
def test_states_are_exact(name, equal):
    tree = TREES_OF[name]()
    for part, epoch in itertools.product((tree.shard(1, 3, equal=equal), tree.shard(2, 3, equal=equal)), (0, 1)):
        items = taken(part, epoch=epoch)
        for cut in range(0, len(items) + 1, max(1, len(items) // amount(6, 50))):
            with part.open(epoch) as live:
                assert [told(next(live)) for _ in range(cut)] == items[:cut]
                state = json.loads(json.dumps(live.state_dict()))
                assert live.position == cut or name == "epochs"
            with part.open(epoch) as again:
                again.load_state_dict(state)
                for _ in range(2):  # and a state of the resumed pass
                    state = json.loads(json.dumps(again.state_dict()))
                    with part.open(epoch) as third:
                        third.load_state_dict(state)
                        assert [told(item) for item in third] == items[cut:]
                    if cut < len(items):
                        assert told(next(again)) == items[cut]
                        cut += 1


@MODES
def test_cycles(equal):
    part = sf.Streamer(range(8)).shard(2, 3, equal=equal)
    one = [item for epoch in range(4) for item in part(epoch=epoch)]
    assert list(part.cycle(max_iter=len(one))) == one
    with part.open(cycle=True) as live:
        for _ in range(len(one) // 2):
            next(live)
        with part.open(cycle=True) as again:
            again.load_state_dict(live.state_dict())
            assert [next(again) for _ in range(5)] == [next(live) for _ in range(5)]
            assert (again.epoch, again.position) == (live.epoch, live.position)


class InPlace(sf.background.BackgroundStreamer):
    """Lanes in this thread, which are the same parts as in workers."""

    def __init__(self, streamer, lanes):
        super().__init__(streamer)
        self.lanes, self.started = lanes, []

    def worker_pool(self):
        def start(job, n_workers):
            self.started.append(job)
            return InlineWorker(job)

        return WorkerPool(start, n_lanes=self.lanes)

    def _lane_count(self):
        return self.lanes


@MODES
@pytest.mark.parametrize("name", TREES_OF)
@pytest.mark.parametrize("lanes", [2, 3])
def test_lanes_inside_and_outside(name, equal, lanes):
    for ranks in (2, 3):
        inside = [InPlace(TREES_OF[name]().shard(k, ranks, equal=equal), lanes) for k in range(ranks)]
        outside = [InPlace(TREES_OF[name](), lanes).shard(k, ranks, equal=equal) for k in range(ranks)]
        for parts in (inside, outside):
            lengths = {len(part) for part in parts}
            assert {len(taken(part)) for part in parts} == {len(taken(part, epoch=1)) for part in parts} == lengths
            assert len(lengths) == 1


class Noting(list):
    """A list that notes what is drawn from it."""

    def __init__(self, items, drawn):
        super().__init__(items)
        self.drawn = drawn

    def __iter__(self):
        for item in super().__iter__():
            self.drawn.append(item)
            yield item


def test_lanes_of_a_part_are_divided_and_not_drawn_whole():
    """Each worker makes its own share of a part, whatever `equal` adds to it."""
    drawn = []
    tree = sf.ChainMux([Noting(range(10 * k, 10 * k + 10), drawn) for k in range(4)])
    items = list(InPlace(tree.shard(0, 2, equal="drop"), 2))
    assert sorted(items) == sorted(drawn) == [*range(10), *range(20, 30)]


def test_workers_are_kept_from_epoch_to_epoch_where_nothing_is_cut():
    for n, started in ((8, 1), (9, 3)):
        part = InPlace(sf.Streamer(range(n)), 2).shard(0, 2, equal="drop")
        assert len(list(part.cycle(max_iter=12))) == 12
        assert len(part.started) == started


def test_what_is_dropped_is_not_drawn():
    drawn = []
    part = sf.ChainMux([Noting("abc", drawn), "de"]).shard(0, 2, equal="drop")
    assert "".join(part.cycle(max_iter=5)) == "ababa"
    assert "c" not in drawn


@MODES
def test_parts_of_parts(equal):
    tree = source(50).batches(3)
    for k, outer, inner in itertools.product(range(3), (None, "drop", "repeat"), (None, equal)):
        part = tree.shard(k, 3, equal=outer)
        nested = [part.shard(j, 2, equal=inner) for j in range(2)]
        assert [len(one) for one in nested] == [len(taken(one)) for one in nested]
        if inner:
            assert len({len(one) for one in nested}) == 1
    sums = [sum(len(tree.shard(k, 3, equal=equal).shard(j, 2)) for j in range(2)) for k in range(3)]
    assert len(set(sums)) == 1


@settings(max_examples=amount(60, 1000), suppress_health_check=list(HealthCheck), deadline=None)
@given(
    TREES, st.integers(2, 4), st.sampled_from(["drop", "repeat"]), st.sampled_from([None, 1, 2, 3]), st.integers(0, 3)
)
def test_parts_of_random_trees(tree, count, equal, lanes, epoch):
    tree = sf.Streamer(tree).with_seed(0)
    try:
        parts = [tree.shard(k, count, equal=equal) for k in range(count)]
        if lanes:
            parts = [InPlace(part, lanes) for part in parts]
            list(map(len, parts))
    except (ParameterError, TypeError):
        return
    lengths = [len(list(part(epoch=epoch))) for part in parts]
    assert len(set(lengths)) == 1
    assert lengths == [len(part) for part in parts]
    with parts[0].open(epoch) as live:
        items = [told(next(live)) for _ in range(lengths[0] // 2)]
        with parts[0].open(epoch) as again:
            again.load_state_dict(live.state_dict())
            assert items + [told(item) for item in again] == taken(parts[0], epoch=epoch)


def test_what_cannot_be_made_equal_is_refused_in_every_part():
    def endless():
        while True:
            yield 1

    uneven = sf.StochasticMux(["ab", "c"], 1, None, mode="exhaustive", random_state=0)  # dealt out anew in each epoch
    for tree in (sf.Streamer(endless), sf.ShuffledMux(["ab", "cd"], random_state=0), uneven):
        for k in range(2):
            with pytest.raises(ParameterError, match=r"max_iter=n.*n_batches=n"):
                tree.shard(k, 2, equal="drop")
    for k in range(3):
        with pytest.raises(ParameterError, match="none to repeat"):
            sf.Streamer("ab").shard(k, 3, equal="repeat")
        assert list(sf.Streamer("ab").shard(k, 3, equal="drop")) == []
    with pytest.raises(ParameterError, match="`equal` must be"):
        sf.Streamer("ab").shard(0, 2, equal="pad")
    assert list(sf.Streamer("").shard(0, 2, equal="repeat")) == []


def test_a_state_belongs_to_parts_made_equal_in_one_way():
    tree = sf.Streamer(range(7))
    with tree.shard(0, 2, equal="drop").open() as live:
        next(live)
        state = live.state_dict()
    assert "part 0 of 2 (equal: drop)" in tree.shard(0, 2, equal="drop").fingerprint().text
    for other in (tree.shard(0, 2), tree.shard(0, 2, equal="repeat"), tree.shard(1, 2, equal="drop")):
        with pytest.raises(StateError, match="another tree"):
            other.open().load_state_dict(state)


def test_broken_states_are_refused():
    part = sf.ChainMux([range(7), range(2)]).shard(1, 2, equal="repeat")
    with part.open() as live:
        for _ in range(5):
            next(live)
        state = live.state_dict()
    for name, value in itertools.product(state["node"], (None, -1, 99, "x", [], {}, True, 1.5, 0)):
        if state["node"][name] == value:
            continue
        broken = {**state, "node": {**state["node"], name: value}}
        with part.open() as again:
            try:
                again.load_state_dict(broken)
            except StateError:
                continue
            assert name == "part"  # None: at the beginning of that pass
            assert state["node"]["given"] == state["node"]["before"]


def test_with_seed_and_pickles_keep_it():
    import cloudpickle

    part = source(11).samples(shuffle=True).with_seed(3).shard(1, 2, equal="repeat").with_seed(0)
    assert len(part) == len(list(part)) == 6
    copy = cloudpickle.loads(cloudpickle.dumps(part))
    assert taken(copy) == taken(part) == taken(source(11).samples(shuffle=True).shard(1, 2, "repeat").with_seed(0))


def test_a_collection_that_has_become_empty_ends():
    data = list(range(7))
    part = sf.Streamer(data).shard(1, 2, equal="repeat")
    live = part.open()
    assert next(live) == 1
    data.clear()
    assert list(live) == []


def test_errors_name_what_is_inside():
    part = sf.ZipMux([[1, 2, 3], [{}, {}, {}]]).shard(0, 2, equal="repeat")
    with pytest.raises(sf.DataError) as caught:
        list(part)
    assert "in ZipMux" in caught.value.__notes__[0]


def of_equal_parts(code):
    return code.co_filename == equalised.__file__


@pytest.mark.parametrize("epoch", [0, 1])
def test_an_interrupt_loses_and_repeats_nothing(epoch):
    part = sf.ChainMux([rows(9), rows(2), rows(4)]).shard(2, 3, equal="repeat")
    items = taken(part, epoch=epoch)
    hit = 0
    for at in range(399):
        got, came = [], False
        with part.open(epoch) as live:
            try:
                with Interrupt(at, of_equal_parts):
                    for item in live:
                        got.append(told(item))
            except KeyboardInterrupt:
                hit, came = hit + 1, True
            if not came:
                break
            state = json.loads(json.dumps(live.state_dict()))
            assert state["given"] + state.get("draw", 0) == len(got)
        with part.open(epoch) as again:
            again.load_state_dict(state)
            assert got + [told(item) for item in again] == items
    assert hit > 50
