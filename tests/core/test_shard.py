"""Sharding: every rule, parts that together are the whole, parts of parts, state and seeds of parts."""

import collections
import itertools
import json

import numpy as np
import pytest

import streamflow as sf

COUNTS = [1, 2, 3, 5]


def draws(n, name="", rng=None):
    for i in range(n):
        yield (name, i, int(rng.integers(10**9)))


def samples(n, name=""):
    for i in range(n):
        yield {"x": i, "name": name}


def pool(n=7, length=4):
    return [sf.Streamer(draws, length + i, chr(97 + i)) for i in range(n)]


def parts_of(tree, count, **kwargs):
    return [list(tree.shard(k, count).iterate(**kwargs)) for k in range(count)]


def merged(parts):
    """One item of each part in turn, skipping those that have ended."""
    gap = object()
    for row in itertools.zip_longest(*parts, fillvalue=gap):
        yield from (item for item in row if item is not gap)


STRIDED = {
    "list": lambda: sf.Streamer(list(range(11))),
    "function": lambda: sf.Streamer(draws, 11).with_seed(1),
    "iterator function": lambda: sf.Streamer(lambda: iter(range(11))),
    "iter over a list": lambda: sf.Streamer(iter, list(range(11))),
    "user's map": lambda: sf.Streamer(lambda items: (i[1] for i in items), sf.Streamer(draws, 11)).with_seed(1),
    "zip": lambda: sf.ZipMux([sf.Streamer(samples, 9), [{"y": i} for i in range(11)]]),
    "Streamer of a Streamer": lambda: sf.Streamer(sf.Streamer(draws, 11)).with_seed(1),
}


@pytest.mark.parametrize("name", STRIDED)
@pytest.mark.parametrize("count", COUNTS)
def test_stride(name, count):
    tree = STRIDED[name]()
    whole = list(tree)
    assert parts_of(tree, count) == [whole[k::count] for k in range(count)]
    assert list(merged(parts_of(tree, count))) == whole


FINITE = {
    **STRIDED,
    "chain": lambda: sf.ChainMux(pool(), random_state=1),
    "round robin": lambda: sf.RoundRobinMux(pool(), random_state=1),
    "exhaustive": lambda: sf.StochasticMux(pool(), 3, None, mode="exhaustive", random_state=1),
    "weighted": lambda: sf.StochasticMux(pool(), 3, None, [1, 2, 3, 4, 3, 2, 1], mode="exhaustive", random_state=1),
    "two members": lambda: sf.StochasticMux(pool(2), 2, None, mode="exhaustive", random_state=1),
    "one member": lambda: sf.ChainMux(pool(1, 12), random_state=1),
    "names": lambda: sf.RoundRobinMux(dict(zip("tuvwxyz", pool(), strict=True)), random_state=1),
    "nested": lambda: sf.ChainMux([sf.RoundRobinMux(pool(3)), *pool(2), sf.ChainMux(pool(2))], random_state=1),
    "tuples": lambda: sf.ChainMux([sf.Streamer(samples, 5, c) for c in "abc"]).pipe(sf.tuples, "name", "x"),
    "StreamerList": lambda: sf.ChainMux(sf.StreamerList(draws, [3, 4, 5, 6], "abcd"), random_state=1),
}


def counted(items):
    return collections.Counter(str(i) for i in items)


@pytest.mark.parametrize("name", FINITE)
@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("epoch", [0, 2])
def test_the_parts_of_a_finite_tree_together_are_the_tree(name, count, epoch):
    tree = FINITE[name]()
    parts = parts_of(tree, count, epoch=epoch)
    assert counted(itertools.chain(*parts)) == counted(tree.iterate(epoch=epoch))  # random numbers included
    assert parts == parts_of(tree, count, epoch=epoch)


@pytest.mark.parametrize("name", FINITE)
def test_parts_of_parts_are_parts_too(name):
    tree = FINITE[name]()
    smaller = [list(tree.shard(k, 2).shard(j, 3)) for k in range(2) for j in range(3)]
    assert counted(itertools.chain(*smaller)) == counted(tree)
    assert counted(tree.shard(0, 1).shard(0, 1)) == counted(tree)


@pytest.mark.parametrize("mux", [sf.ChainMux, sf.RoundRobinMux])
def test_members_are_dealt_in_turn_when_there_are_enough(mux):
    for count in (2, 3, 7):
        for k, part in enumerate(parts_of(mux(pool(), random_state=1), count)):
            assert {i[0] for i in part} == set("abcdefg"[k::count])


def test_an_exhaustive_mux_deals_whole_members_in_its_own_order():
    tree = sf.StochasticMux(pool(), 2, None, mode="exhaustive", random_state=1)
    letters = [{i[0] for i in part} for part in parts_of(tree, 3)]
    assert sorted(len(s) for s in letters) == [2, 2, 3]
    assert set().union(*letters) == set("abcdefg")
    other = [{i[0] for i in part} for part in parts_of(tree, 3, epoch=1)]
    assert letters != other


def test_too_few_members_are_sharded_themselves():
    for part in parts_of(sf.ChainMux([range(10), range(10, 20)]), 3):
        assert {i // 10 for i in part} == {0, 1}
    assert parts_of(sf.ChainMux([range(10)]), 3) == [list(range(k, 10, 3)) for k in range(3)]


def test_batches_are_made_inside_a_part():
    tree = sf.ChainMux([sf.Streamer(samples, 5, c) for c in "abcd"]).pipe(sf.buffer_stream, 3, partial=True)
    parts = parts_of(tree, 2)
    rows = [list(zip(b["name"].tolist(), b["x"].tolist(), strict=True)) for part in parts for b in part]
    assert sorted(itertools.chain(*rows)) == [(c, i) for c in "abcd" for i in range(5)]
    assert [[len(b["x"]) for b in part] for part in parts] == [[3, 3, 3, 1]] * 2


# ---- leaves that divide themselves


def dividing(n, shard):
    index, count = shard
    yield from range(index, n, count)


def dividing_optional(n, shard=None, start=None):
    index, count = shard
    yield from itertools.islice(range(index, n, count), start, None)


@pytest.mark.parametrize("leaf", [dividing, dividing_optional])
def test_shard_is_injected(leaf):
    tree = sf.Streamer(leaf, 11)
    assert list(tree) == list(range(11))
    assert parts_of(tree, 3) == [list(range(k, 11, 3)) for k in range(3)]
    assert parts_of(tree.shard(1, 2), 2) == [[1, 5, 9], [3, 7]]


def test_a_dividing_leaf_computes_its_own_items_only():
    drawn = []

    def leaf(shard):
        for i in range(shard[0], 100, shard[1]):
            drawn.append(i)
            yield i

    assert list(sf.Streamer(leaf).shard(3, 10)) == drawn == list(range(3, 100, 10))


def test_a_shard_parameter_that_is_bound_or_has_a_default_is_the_users():
    def leaf(shard=(0, 1)):
        yield from range(shard[0], 8, shard[1])

    assert parts_of(sf.Streamer(leaf), 2) == [[0, 2, 4, 6], [1, 3, 5, 7]]
    assert parts_of(sf.Streamer(dividing, 8, shard=(0, 2)), 2) == [[0, 4], [2, 6]]


def starting(n, start):
    yield from range(start, n)


@pytest.mark.parametrize("leaf", [starting, dividing, dividing_optional])
def test_parts_of_leaves_with_start_resume_at_every_cut(leaf):
    resumes_at_every_cut(lambda: sf.Streamer(leaf, 19).shard(1, 3), 7)


def test_a_dividing_leaf_with_start_is_not_replayed():
    starts = []

    def leaf(shard, start):
        starts.append(start)
        yield from itertools.islice(range(shard[0], 100, shard[1]), start, None)

    live = sf.Streamer(leaf).shard(1, 4).open()
    assert list(itertools.islice(live, 5)) == [1, 5, 9, 13, 17]
    again = sf.Streamer(leaf).shard(1, 4).open()
    again.load_state_dict(live.state_dict(), verify=False)
    assert next(again) == 21
    assert starts == [0, 5]


class Reader:
    """A leaf object with a state; item 3 cannot be read while it is `broken`."""

    broken = False

    def __init__(self, n):
        self.n, self.at = n, 0

    def __iter__(self):
        return self

    def __next__(self):
        if self.at == 3 and Reader.broken:
            raise OSError("disk")
        if self.at >= self.n:
            raise StopIteration
        self.at += 1
        return self.at - 1

    def state_dict(self):
        return {"at": self.at}

    def load_state_dict(self, state):
        self.at = state["at"]


@pytest.mark.parametrize("index", range(3))
def test_parts_of_leaf_objects_resume_at_every_cut(index):
    resumes_at_every_cut(lambda: sf.Streamer(Reader, 10).shard(index, 3), 4)


@pytest.mark.parametrize("index", range(3))
def test_a_part_of_a_leaf_object_resumes_after_an_error_in_an_item_of_another_part(index, monkeypatch):
    def part():
        return sf.Streamer(Reader, 20).shard(index, 3)

    monkeypatch.setattr(Reader, "broken", True)
    live, seen = part().open(), []
    with pytest.raises(OSError, match="disk"):
        while True:
            seen.append(next(live))
    monkeypatch.setattr(Reader, "broken", False)
    again = part().open()
    again.load_state_dict(json.loads(json.dumps(live.state_dict())))
    assert [*seen, *again] == list(range(index, 20, 3))


# ---- endless trees


def endless(name):
    for i in itertools.count():
        yield (name, i)


def first(tree, n):
    return list(itertools.islice(tree.iterate(), n))


def test_endless_calls_are_replicated():
    numbers = itertools.count()
    tree = sf.Streamer(iter, lambda: next(numbers) % 5, 4)
    assert parts_of(tree, 2) == [[0, 1, 2, 3], [0, 1, 2, 3]]


@pytest.mark.parametrize("mode", ["with_replacement", "single_active"])
def test_a_stochastic_mux_is_replicated_with_keys_of_its_own(mode):
    members = [sf.Streamer(endless, c) for c in "abcdefgh"]
    tree = sf.StochasticMux(members, 4, 3, mode=mode, random_state=0)
    one, two = first(tree.shard(0, 2), 400), first(tree.shard(1, 2), 400)
    assert one != two
    assert {i[0] for i in one} == {i[0] for i in two} == set("abcdefgh")
    assert first(tree.shard(0, 1), 50) == first(tree, 50)


@pytest.mark.parametrize(("n_active", "count", "slots"), [(5, 2, [3, 2]), (5, 3, [2, 2, 1]), (4, 4, [1] * 4)])
def test_the_slots_are_divided(n_active, count, slots):
    open_now, most = 0, 0

    def leaf():
        nonlocal open_now, most
        open_now += 1
        most = max(most, open_now)
        try:
            yield from range(50)
        finally:
            open_now -= 1

    tree = sf.StochasticMux([sf.Streamer(leaf)] * 9, n_active, 20, random_state=0)
    reached = []
    for k in range(count):
        most = 0
        list(tree.shard(k, count).iterate(200))
        reached.append(most)
    assert reached == slots


def test_fewer_slots_than_parts_raise():
    tree = sf.StochasticMux(pool(), 2, 4, random_state=0)
    with pytest.raises(sf.exceptions.ParameterError, match="n_active"):
        list(tree.shard(0, 3).iterate(1))


def test_a_shuffled_mux_recurses():
    tree = sf.ShuffledMux([range(10), range(10, 20)], weights=[3, 1], random_state=0)
    for k in range(3):
        seen = set(first(tree.shard(k, 3), 300))
        assert seen == set(range(10)[k::3]) | set(range(10, 20)[k::3])


@pytest.mark.parametrize(
    "make",
    [
        lambda members: sf.ChainMux(members, mode="cycle", random_state=0),
        lambda members: sf.RoundRobinMux(members, mode="cycle", random_state=0),
        lambda members: sf.RoundRobinMux(members, mode="permuted_cycle", random_state=0),
    ],
)
def test_muxes_that_go_round_recurse_and_their_parts_change_places(make):
    tree = make([range(10), range(10, 20)])
    for k in range(3):
        items = first(tree.shard(k, 3), 20)
        for place in (k, (k + 1) % 3, (k + 2) % 3):
            expected = {*range(10)[place::3], *range(10, 20)[place::3]}
            assert {items.pop(0) for _ in expected} == expected


def test_parts_of_a_shuffled_mux_make_their_own_picks_with_the_same_weights():
    tree = sf.ShuffledMux([sf.Streamer(endless, c) for c in "ab"], weights=[3, 1], random_state=0)
    letters = ["".join(i[0] for i in first(tree.shard(k, 2), 4000)) for k in range(2)]
    assert letters[0] != letters[1]
    for word in letters:
        assert abs(word.count("a") / 4000 - 0.75) < 5 * np.sqrt(0.75 * 0.25 / 4000)


# ---- parameters, seeds, state


WRONG_PARTS = [(2, 2), (-1, 2), (0, 0), (0, -1), (True, 2), (0, True), (0.5, 2), ("0", 2)]


@pytest.mark.parametrize(("index", "count"), WRONG_PARTS)
def test_index_and_count_are_checked_at_the_call(index, count):
    with pytest.raises(sf.exceptions.ParameterError, match="index|count"):
        sf.Streamer("abc").shard(index, count)


def test_shard_derives_and_changes_nothing():
    tree = FINITE["exhaustive"]()
    whole = list(tree)
    part = tree.shard(np.int64(1), 2)
    assert isinstance(part, sf.Streamer)
    assert list(part) == list(part)
    assert list(tree) == whole


def test_seeding_and_sharding_commute():
    tree = sf.StochasticMux(pool(), 3, None, mode="exhaustive")
    assert list(tree.with_seed(4).shard(1, 2)) == list(tree.shard(1, 2).with_seed(4))


def test_a_one_shot_source_refuses():
    with pytest.raises(sf.StreamflowError, match="(?i)function|list|callable"):
        list(sf.ChainMux([iter([1, 2])]).shard(0, 2))


def resumes_at_every_cut(make, n):
    wanted = [str(i) for i in itertools.islice(make().open(), n)]
    for cut in range(len(wanted) + 1):
        live = make().open()
        list(itertools.islice(live, cut))
        state = json.loads(json.dumps(live.state_dict()))
        again = make().open()
        again.load_state_dict(state)
        assert [str(i) for i in itertools.islice(again, n - cut)] == wanted[cut:]


@pytest.mark.parametrize("name", FINITE)
def test_parts_resume_at_every_cut(name):
    resumes_at_every_cut(lambda: FINITE[name]().shard(1, 3), 12)


@pytest.mark.parametrize("mode", ["with_replacement", "single_active"])
def test_parts_of_endless_muxes_resume_at_every_cut(mode):
    resumes_at_every_cut(lambda: sf.StochasticMux(pool(), 5, 2, mode=mode, random_state=1).shard(1, 2), 15)
