"""Parts of endless trees whose members have fewer items than there are parts: each part has the weights."""

import json
from collections import Counter
from itertools import islice

import pytest

from streamflow import (
    BaseMux,
    ChainMux,
    RoundRobinMux,
    ShuffledMux,
    StochasticMux,
    Streamer,
    StreamerList,
    ZipMux,
    ZMQStreamer,
    buffer_stream,
)

from ..amount import amount
from .chance import RARE, p_of_columns, p_of_independence, p_value, share, table
from .members import Ledger, drawing, numbered

pytestmark = pytest.mark.timeout(60)
WEIGHTS = (0.7, 0.2, 0.1)
PARTS = [(1, 2), (2, 3), (0, 8), (7, 8)]


def members(lengths, fn=drawing):
    return [Streamer(fn, i, n) for i, n in enumerate(lengths)]


def named(stream, name):
    """A user's map."""
    for _ in stream:
        yield name


class Coin(BaseMux):
    """By the weights 7, 2, 1; a member that ends is opened again."""

    def choose(self, step, live, u):
        return live[0 if u < 0.7 else 1 if u < 0.9 else 2] if len(live) == 3 else live[0]

    def ended(self, slot, given):
        return True


def dicts(name, n):
    for k in range(n):
        yield {"name": name, "k": k}


def first(items):
    """The number of the member that an item comes from."""
    for item in items:
        while not isinstance(item, int):
            item = item["name"].tolist() if isinstance(item, dict) else item[0]
        yield item


#: Three members of the weights, of which the second and the third are empty in some part.
ENDLESS = {
    "lists": lambda seed: ShuffledMux([[0] * 99, [1], [2] * 5], WEIGHTS, random_state=seed),
    "all active": lambda seed: StochasticMux(members([99, 1, 5]), None, None, WEIGHTS, random_state=seed),
    "all active, rate": lambda seed: StochasticMux(members([99, 1, 5]), None, 3, WEIGHTS, random_state=seed),
    "all active, repeated": lambda seed: StochasticMux(
        members([99, 1, 5]), None, 3, WEIGHTS, random_state=seed, short="repeat"),
    "not pruned": lambda seed: StochasticMux(
        members([99, 1, 5]), 3, None, WEIGHTS, prune_empty_streams=False, random_state=seed),
    "single_active": lambda seed: StochasticMux(
        members([99, 1, 5]), 3, None, WEIGHTS, "single_active", random_state=seed),
    "list of streamers": lambda seed: ShuffledMux(
        StreamerList(drawing, [0, 1, 2], [99, 1, 5]), WEIGHTS, random_state=seed),
    "batches": lambda seed: ShuffledMux(
        [Streamer(dicts, i, n).pipe(buffer_stream, 4) for i, n in enumerate([99, 4, 5])], WEIGHTS, random_state=seed),
    "user's maps": lambda seed: ShuffledMux([Streamer([0] * n).pipe(named, i) for i, n in enumerate([99, 1, 5])],
                                            WEIGHTS, random_state=seed),
    "a user's mux": lambda seed: Coin(members([99, 1, 5]), random_state=seed),
    "finite muxes": lambda seed: ShuffledMux(
        [StochasticMux([[0]] * 9, 2, None, mode="exhaustive"), ChainMux([[1], []]), RoundRobinMux([[2], [2], [2]])],
        WEIGHTS, random_state=seed),
    "endless muxes": lambda seed: ShuffledMux(
        [ShuffledMux([[0], [0] * 3]), ChainMux([[1]], "cycle"), RoundRobinMux([[], [2]], "permuted_cycle")],
        WEIGHTS, random_state=seed),
    "zip": lambda seed: ShuffledMux(
        [ZipMux([[(i,)] * n, ["a"] * n]) for i, n in enumerate([50, 1, 2])], WEIGHTS, random_state=seed),
    "part of a part": lambda seed: ShuffledMux([[0] * 99, [1], [2] * 5], WEIGHTS, random_state=seed).shard(1, 2),
}  # fmt: skip
KINDS = pytest.mark.parametrize("kind", ENDLESS)


@KINDS
@pytest.mark.parametrize(("index", "count"), PARTS)
def test_each_part_has_the_weights_from_its_first_item_on(kind, index, count):
    def stream(seed):
        return first(ENDLESS[kind](seed).shard(index, count).iterate(12))

    assert p_of_columns(table(stream, amount(120, 600)), share(WEIGHTS)) > RARE
    assert p_value(first(ENDLESS[kind](0).shard(index, count).iterate(3000)), share(WEIGHTS)) > RARE


def test_one_rare_item_beside_a_hundred_has_half_in_each_of_four_workers():
    tree = ShuffledMux({"rare": ["r"], "common": ["c"] * 99}, random_state=0)
    for index in range(4):
        assert p_value(tree.shard(index, 4).iterate(6000), {"r": 1, "c": 1}) > RARE
    assert set(ShuffledMux([["a"], ["b"]], random_state=0).shard(1, 2).iterate(50)) == {"a", "b"}


def test_classes_of_five_images_are_in_each_of_32_lanes():
    """Eight ranks of four workers; each class is a list of images, of which a lane has one or none."""
    classes = [Streamer(drawing, i, 5) for i in range(6)]
    weights = (3, 2, 1, 1, 1, 1)
    for rank in range(8):
        for worker in range(4):
            tree = ShuffledMux(classes, weights, random_state=0).shard(rank, 8)
            assert p_value(first(tree.shard(worker, 4).iterate(1500)), share(weights)) > RARE


@KINDS
def test_parts_are_independent_of_each_other(kind):
    rows = []
    for seed in range(amount(150, 600)):
        rows.append([next(first(ENDLESS[kind](seed).shard(index, 8).iterate(1))) for index in (3, 7)])
    assert p_of_independence((a, b) for a, b in rows) > RARE


def test_parts_that_open_a_member_whole_have_random_numbers_of_their_own():
    """No number comes twice, in whichever part, where members are drawn from again and again."""
    tree = ShuffledMux(members([40, 1, 5]), random_state=0)
    for count in (8, 16):
        seen = Counter(item for index in range(count) for item in tree.shard(index, count).iterate(300))
        assert max(seen.values()) == 1


def test_a_whole_member_shares_no_random_numbers_with_what_is_below_another():
    """Members of a mux that is a member are two steps below, as those that a part opens whole."""

    def one(rng, shard):
        yield "inner", int(rng.integers(1 << 62))

    for count in (2, 4):
        tree = ShuffledMux([*members([1]), RoundRobinMux([Streamer(one)])], random_state=0)
        for index in range(count):
            numbers = Counter(number for _, number in tree.shard(index, count).iterate(500))
            assert max(numbers.values()) == 1


@pytest.mark.parametrize("count", [2, 5])
def test_a_member_that_every_part_has_is_never_opened_whole(count):
    for index in range(count):
        tree = ShuffledMux(members([5, 9], numbered), random_state=0)
        assert {k % count for _, k in tree.shard(index, count).iterate(500)} == {index}


def test_a_member_is_opened_whole_once_it_was_empty_and_not_before():
    """It gives one item at first, then eight: a part that has had nothing takes all of them from then on."""
    opened = []

    def growing():
        opened.append(None)
        yield from range(1 if len(opened) == 1 else 8)

    items = ShuffledMux([Streamer(growing)], random_state=0).shard(1, 2).iterate()
    assert list(islice(items, 20)) == [*range(8), *range(8), 0, 1, 2, 3]
    items.close()
    assert len(opened) == 4


def test_a_member_whose_later_pass_is_empty_is_not_opened_whole():
    opened = []

    def flaky(shard):
        opened.append(shard)
        yield from [len(opened)] * (len(opened) % 2)

    mux = StochasticMux([Streamer(flaky)], None, 4, dist="constant", random_state=0, short="repeat")
    list(mux.shard(1, 2).iterate(30))
    assert set(opened) == {(1, 2)}
    assert len(opened) == 59


def test_a_member_that_has_been_given_up_is_tried_in_the_part_again():
    opened = []

    def empty(shard):
        opened.append(shard)
        yield from ()

    mux = StochasticMux([Streamer(empty), [0] * 9], None, None, prune_empty_streams=False, random_state=0)
    list(mux.shard(1, 2).iterate(50))
    assert len(opened) > 20
    assert opened == [(1, 2), (0, 1)] * (len(opened) // 2)


@pytest.mark.parametrize("prune", [True, False])
@pytest.mark.parametrize("count", [1, 3])
def test_an_empty_member_is_tried_in_the_part_and_whole_and_then_skipped(prune, count):
    ledger = Ledger()
    mux = StochasticMux(
        ledger.short_pool([0, 50, 50]), None, None, (5, 1, 2), prune_empty_streams=prune, random_state=0
    )
    items = list(mux.shard(0, count).iterate(3000))
    assert p_value(items, {1: 1, 2: 2}) > RARE
    assert not ledger.twice
    if prune:
        assert Counter(ledger.opened)[0] == (1 if count == 1 else 2)


@pytest.mark.parametrize("make", [
    lambda: ShuffledMux([[]], random_state=0), lambda: ShuffledMux([[], [], []], random_state=0),
    lambda: Coin([[], [], []], random_state=0),
    lambda: StochasticMux([[], []], None, 3, random_state=0, short="repeat"),
    lambda: ShuffledMux(
        [ShuffledMux([[], []]), ChainMux([[]], "cycle"), RoundRobinMux([[], []], "cycle")], random_state=0),
], ids=["one", "three", "a user's mux", "repeated", "nested"])  # fmt: skip
def test_a_mux_of_empties_ends_in_each_part(make):
    assert [list(make().shard(index, 3)) for index in range(3)] == [[], [], []]


@KINDS
def test_the_only_part_is_the_tree(kind):
    def plain(item):
        return {k: v.tolist() for k, v in item.items()} if isinstance(item, dict) else item

    whole = list(map(plain, ENDLESS[kind](0).iterate(300)))
    assert list(map(plain, ENDLESS[kind](0).shard(0, 1).iterate(300))) == whole


# --- states and lanes -------------------------------------------------------------------------------------------------


@KINDS
@pytest.mark.parametrize("part", [(1, 2), (7, 8)], ids=str)
def test_a_resume_of_a_part_is_exact(kind, part):
    def plain(item):
        return {k: v.tolist() for k, v in item.items()} if isinstance(item, dict) else item

    for cut in [1, 2, 3, 5, 8, 13, 40, 77, *amount([], range(100))]:
        live = ENDLESS[kind](0).shard(*part).open()
        for _ in range(cut):
            next(live)
        state = json.loads(json.dumps(live.state_dict()))
        expected = [plain(next(live)) for _ in range(50)]
        live.close()
        again = ENDLESS[kind](0).shard(*part).open()
        again.load_state_dict(state)
        assert [plain(next(again)) for _ in range(50)] == expected, f"after {cut}"
        again.close()


def test_a_state_says_which_members_are_opened_whole():
    live = ShuffledMux([[0] * 9, [1]], random_state=0).shard(1, 2).open()
    while next(live) != 1:
        pass
    next(live)
    slots = live.state_dict()["node"]["slots"]
    live.close()
    assert [slot.get("whole", False) for slot in slots] == [False, True]


def test_any_number_of_workers_gives_the_same_lanes():
    def tree():
        return ShuffledMux([Streamer(drawing, i, n) for i, n in enumerate([50, 1, 3])], WEIGHTS, random_state=0)

    def items(workers):
        return list(ZMQStreamer(tree(), n_workers=workers, n_lanes=4, start_method="fork").shard(1, 2).iterate(200))

    lanes = [tree().shard(1, 2).shard(lane, 4).iterate(50) for lane in range(4)]
    expected = [item for row in zip(*lanes, strict=True) for item in row]
    assert items(1) == expected
    assert items(3) == expected


# --- muxes that go round ----------------------------------------------------------------------------------------------

ROUNDS = {
    "chain": lambda members: ChainMux(members, mode="cycle", random_state=0),
    "chain of a function": lambda members: ChainMux(lambda: iter(members), mode="cycle", random_state=0),
    "round robin": lambda members: RoundRobinMux(members, mode="cycle", random_state=0),
    "permuted": lambda members: RoundRobinMux(members, mode="permuted_cycle", random_state=0),
}
GOING_ROUND = pytest.mark.parametrize("make", ROUNDS.values(), ids=ROUNDS)


@GOING_ROUND
@pytest.mark.parametrize("shards", [((0, 4),), ((3, 4),), ((1, 2), (2, 3))], ids=str)
def test_in_as_many_rounds_as_there_are_parts_a_part_has_each_item_once(make, shards):
    """So its shares are those of the tree, whatever the lengths."""
    lengths = [1, 7, 0, 2, 30]
    part, count = make(members(lengths, numbered)), 1
    for index, of in shards:
        part, count = part.shard(index, of), count * of
    whole = Counter((i, k) for i, n in enumerate(lengths) for k in range(n))
    items = part.iterate()
    for _ in range(3):
        assert Counter(islice(items, whole.total())) == whole
    items.close()


@GOING_ROUND
def test_a_round_that_is_empty_in_a_part_does_not_end_it(make):
    assert list(make(["a"]).shard(2, 3).iterate(4)) == ["a"] * 4
    assert list(make(["", []]).shard(2, 3)) == []


@GOING_ROUND
def test_parts_that_go_round_resume_exactly(make):
    for cut in (*range(12), 30, 50):
        live = make(members([1, 2, 9])).shard(1, 4).open()
        for _ in range(cut):
            next(live)
        state = json.loads(json.dumps(live.state_dict()))
        expected = [next(live) for _ in range(40)]
        live.close()
        again = make(members([1, 2, 9])).shard(1, 4).open()
        again.load_state_dict(state)
        assert [next(again) for _ in range(40)] == expected, f"after {cut}"
        again.close()
