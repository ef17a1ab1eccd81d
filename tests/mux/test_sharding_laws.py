"""Parts: of a finite tree they are together the tree, each item once; of an endless one each alone has the weights."""

from collections import Counter
from itertools import combinations, islice, zip_longest

import numpy as np
import pytest

from streamflow import ChainMux, RoundRobinMux, ShuffledMux, StochasticMux, Streamer, ZipMux
from streamflow.exceptions import ParameterError

from ..amount import amount
from .chance import RARE, p_of_columns, p_of_independence, p_of_shares, p_value, share, table, uniform_order
from .members import Ledger, drawing, numbered, pool

COUNTS = pytest.mark.parametrize("count", [1, 2, 3, 5])
WEIGHTS = (0.7, 0.2, 0.1)
LENGTHS = [3, 0, 7, 1, 12, 5, 2, 9]


def members(lengths=LENGTHS, fn=drawing):
    return [Streamer(fn, i, n) for i, n in enumerate(lengths)]


FINITE = {
    "exhaustive, one slot": lambda: StochasticMux(members(), 1, None, mode="exhaustive", random_state=0),
    "exhaustive, three slots": lambda: StochasticMux(members(), 3, None, mode="exhaustive", random_state=0),
    "exhaustive, all": lambda: StochasticMux(members(), None, None, mode="exhaustive", random_state=0),
    "exhaustive, rate": lambda: StochasticMux(members(), 3, 2.5, mode="exhaustive", random_state=0),
    "exhaustive, a zero": lambda: StochasticMux(members(), 2, None, [1, 1, 0, 5, 1, 0, 1, 2], "exhaustive",
                                                random_state=0),
    "exhaustive, two members": lambda: StochasticMux(members([7, 5]), 2, None, mode="exhaustive", random_state=0),
    "chain": lambda: ChainMux(members(), random_state=0),
    "chain of two": lambda: ChainMux(members([7, 5]), random_state=0),
    "lazy chain": lambda: ChainMux(lambda: iter(members()), random_state=0),
    "round robin": lambda: RoundRobinMux(members(), random_state=0),
    "round robin of two": lambda: RoundRobinMux(members([7, 5]), random_state=0),
    "zip": lambda: ZipMux(members([9, 11], numbered), flatten=False),
    "zip, cycle": lambda: ZipMux(members([3, 11], numbered), mode="cycle", flatten=False),
    "chain of muxes": lambda: ChainMux([FINITE["exhaustive, three slots"](), FINITE["round robin"]()]).with_seed(0),
    "exhaustive of muxes": lambda: StochasticMux([FINITE["chain"](), FINITE["zip"](), FINITE["round robin of two"]()],
                                                 2, None, mode="exhaustive", random_state=1),
}  # fmt: skip
KINDS = pytest.mark.parametrize("kind", FINITE)


def part_items(tree, count, epoch=0):
    return [list(tree.shard(index, count).iterate(epoch=epoch)) for index in range(count)]


# --- finite trees -----------------------------------------------------------------------------------------------------


@KINDS
@COUNTS
def test_parts_of_a_finite_tree_are_the_tree(kind, count):
    """Item for item: members have the random numbers that they have in the whole tree, in each epoch."""
    for epoch in (0, 1):
        parts = part_items(FINITE[kind](), count, epoch)
        assert Counter(item for part in parts for item in part) == Counter(FINITE[kind]().iterate(epoch=epoch))


@KINDS
def test_parts_of_parts_are_the_tree(kind):
    tree = FINITE[kind]()
    items = Counter(item for i in range(2) for k in range(3) for item in tree.shard(i, 2).shard(k, 3))
    assert items == Counter(tree)


@KINDS
def test_the_only_part_is_the_tree(kind):
    assert list(FINITE[kind]().shard(0, 1)) == list(FINITE[kind]())


@COUNTS
def test_parts_of_a_chain_and_a_rotation_hold_every_so_many_a_member(count):
    full = members([2, 3, 1, 4, 2, 3, 5], numbered)
    for mux in (ChainMux, RoundRobinMux):
        for index in range(count):
            assert list(mux(full).shard(index, count)) == list(mux(full[index::count]))


@COUNTS
def test_parts_of_an_exhaustive_mux_share_out_whole_members_evenly(count):
    parts = part_items(StochasticMux(members([4] * 11), 5, None, mode="exhaustive", random_state=0), count)
    owners = [{i for i, _ in part} for part in parts]
    assert sum(map(len, owners)) == 11
    assert [len(owner) for owner in owners] == [len(range(index, 11, count)) for index in range(count)]


def test_which_members_an_exhaustive_part_holds_is_uniform():
    mux = StochasticMux(members([1] * 4, numbered), 1, None, mode="exhaustive", random_state=0)
    orders = []
    for epoch in range(amount(500, 1500)):
        even, odd = ([i for i, _ in part] for part in part_items(mux, 2, epoch))
        orders.append((even[0], odd[0], even[1], odd[1]))
    assert p_value(orders, uniform_order(4)) > RARE


def test_caps_of_an_exhaustive_mux_are_the_same_in_its_parts():
    mux = StochasticMux(pool(30), 4, 6.5, mode="exhaustive", dist="poisson", random_state=0)
    whole = Counter(mux)
    for count in (2, 3, 5):
        assert Counter(item for part in part_items(mux, count) for item in part) == whole


@pytest.mark.parametrize("n_active", [1, 2, 5, None])
def test_exhaustive_parts_work_whatever_the_number_of_slots(n_active):
    parts = part_items(StochasticMux(members(), n_active, None, mode="exhaustive", random_state=0), 5)
    assert sum(map(len, parts)) == sum(LENGTHS)


@COUNTS
def test_a_leaf_is_dealt_by_stride(count):
    parts = part_items(Streamer(numbered, "a", 11), count)
    assert parts == [[("a", k) for k in range(index, 11, count)] for index in range(count)]
    merged = [item for row in zip_longest(*parts) for item in row if item is not None]
    assert merged == list(Streamer(numbered, "a", 11))


def test_a_leaf_with_shard_divides_itself():
    def member(name, shard):
        index, count = shard
        yield from ((name, k) for k in range(index, 10, count))

    asked = []
    tree = ChainMux([Streamer(member, "only")])
    for index in range(3):
        asked += tree.shard(index, 3)
    assert Counter(asked) == {("only", k): 1 for k in range(10)}


# --- endless trees: replicate -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mode", "n_active", "rate"), [
    ("with_replacement", 4, 1), ("with_replacement", 5, 7.5), ("with_replacement", 3, 64),
    ("single_active", 3, 1), ("single_active", 3, 5),
])  # fmt: skip
def test_each_part_alone_has_the_weights(mode, n_active, rate):
    weights = (0.5, 0.3, 0.15, 0.05)
    for index in range(3):
        parts = (
            StochasticMux(pool(4), n_active, rate, weights, mode, random_state=seed).shard(index, 3).iterate(1200)
            for seed in range(50)
        )
        assert p_of_shares((list(part)[200:] for part in parts), weights) > RARE


@pytest.mark.parametrize("index", [0, 1, 2])
def test_each_of_a_parts_first_items_has_the_weights(index):
    def part(seed):
        return StochasticMux(pool(3), 4, 8, WEIGHTS, random_state=seed).shard(index, 3).iterate(20)

    assert p_of_columns(table(part, 1200), share(WEIGHTS)) > RARE


@pytest.mark.parametrize("mode", ["with_replacement", "single_active"])
@pytest.mark.parametrize(("n_active", "count"), [(4, 2), (5, 2), (5, 3), (3, 3), (7, 5)])
def test_slots_are_shared_out(mode, n_active, count):
    slots = []
    for index in range(count):
        ledger = Ledger()
        list(StochasticMux(ledger.pool(9), n_active, 20, mode=mode, random_state=0).shard(index, count).iterate(1500))
        slots.append(ledger.most)
        assert not ledger.twice or mode == "with_replacement"
    assert slots == [n_active // count + (index < n_active % count) for index in range(count)]


def test_slots_are_shared_out_to_parts_of_parts():
    slots = []
    for i in range(2):
        for k in range(2):
            ledger = Ledger()
            list(StochasticMux(ledger.pool(9), 7, 20, random_state=0).shard(i, 2).shard(k, 2).iterate(1500))
            slots.append(ledger.most)
    assert sum(slots) == 7
    assert set(slots) == {1, 2}


@pytest.mark.parametrize("mode", ["with_replacement", "single_active"])
@pytest.mark.parametrize("rate", [3, None])
def test_fewer_slots_than_parts_raise(mode, rate):
    mux = StochasticMux(pool(4), 2, rate, mode=mode)
    with pytest.raises(ParameterError, match="n_active"):
        list(mux.shard(0, 3).iterate(1))


def test_parts_of_parts_need_slots_too():
    with pytest.raises(ParameterError, match="n_active"):
        list(StochasticMux(pool(4), 3, 8).shard(1, 2).shard(0, 2).iterate(1))


@pytest.mark.parametrize(("make", "and_whole"), [
    (lambda seed: StochasticMux(pool(3), 4, 8, WEIGHTS, random_state=seed), True),
    (lambda seed: StochasticMux(pool(3), 3, 8, WEIGHTS, "single_active", random_state=seed), True),
    (lambda seed: StochasticMux(pool(3), None, None, WEIGHTS, random_state=seed), False),
    (lambda seed: ShuffledMux(pool(3), WEIGHTS, random_state=seed), False),
], ids=["with_replacement", "single_active", "all active", "shuffled"])  # fmt: skip
def test_parts_are_independent_of_each_other(make, and_whole):
    """Parts that have their own keys are independent of the whole tree, too."""
    rows = []
    for seed in range(amount(200, 600)):
        tree = make(seed)
        parts = [tree.shard(index, 3) for index in range(3)] + [tree] * and_whole
        rows.append([next(part.iterate(1)) for part in parts])
    for a, b in combinations(range(3 + and_whole), 2):
        assert p_of_independence((row[a], row[b]) for row in rows) > RARE


def test_members_of_replicated_parts_have_random_numbers_of_their_own():
    tree = StochasticMux(members([6] * 4), 4, 3, random_state=0)
    seen = Counter(item for part in (tree, tree.shard(0, 2), tree.shard(1, 2), tree.shard(0, 4)) for item in part(200))
    assert max(seen.values()) == 1


def test_an_all_active_mux_has_the_weights_in_each_part():
    for n_active, rate in ((None, None), (3, None), (None, 5)):
        for index in range(2):
            part = StochasticMux(pool(3), n_active, rate, WEIGHTS, random_state=0).shard(index, 2)
            assert p_value(part.iterate(6000), share(WEIGHTS)) > RARE


# --- endless trees: recurse -------------------------------------------------------------------------------------------


@COUNTS
def test_parts_of_a_shuffled_mux_deal_out_each_member(count):
    for index in range(count):
        part = ShuffledMux(members([11, 5, 20], numbered), WEIGHTS, random_state=0).shard(index, count)
        items = list(part.iterate(3000))
        assert p_value((i for i, _ in items), share(WEIGHTS)) > RARE
        assert {k % count for _, k in items} == {index}
        for i, length in enumerate([11, 5, 20]):
            assert {k for member, k in items if member == i} == set(range(index, length, count))


@pytest.mark.parametrize("make", [
    lambda: ChainMux(members([5, 8], numbered), mode="cycle"),
    lambda: RoundRobinMux(members([5, 8], numbered), mode="cycle"),
    lambda: RoundRobinMux(members([5, 8], numbered), mode="permuted_cycle", random_state=0),
], ids=["chain", "round robin", "permuted"])  # fmt: skip
@COUNTS
def test_a_round_of_the_parts_of_a_cycle_is_a_round_of_the_tree(make, count):
    """Each part goes through its share of every member in each of its rounds, and the parts change places."""
    whole = Counter((i, k) for i, n in enumerate((5, 8)) for k in range(n))
    together = [Counter() for _ in range(2 * count)]
    for index in range(count):
        items = make().shard(index, count).iterate()
        for number, one in enumerate(together):
            place = (index + number) % count
            expected = [(i, k) for i, n in enumerate((5, 8)) for k in range(place, n, count)]
            assert sorted(islice(items, len(expected))) == expected
            one.update(expected)
    assert together == [whole] * (2 * count)


# --- edges ------------------------------------------------------------------------------------------------------------


@KINDS
@pytest.mark.parametrize(("index", "count"), [(0, 0), (2, 2), (-1, 2), (0, -1), (0, 1.5), ("0", 2)])
def test_parts_that_do_not_exist_raise(kind, index, count):
    with pytest.raises(ParameterError):
        FINITE[kind]().shard(index, count)


def test_sharding_changes_neither_the_tree_nor_its_parts():
    tree = FINITE["exhaustive, three slots"]()
    before = list(tree)
    part = tree.shard(0, 2)
    assert list(part) == list(part)
    assert list(tree) == before


def test_parts_see_the_epochs():
    tree = FINITE["exhaustive, three slots"]().shard(0, 2)
    assert list(tree.iterate(epoch=0)) != list(tree.iterate(epoch=1))
    assert list(tree.cycle(max_iter=1)) == list(tree.iterate(1))


def test_parts_of_an_unseeded_tree_are_refused_even_under_one_state_of_numpy():
    tree = StochasticMux(members([1] * 6, numbered), 1, None, mode="exhaustive")
    for index in range(2):
        np.random.seed(0)
        with pytest.raises(ParameterError, match="np.random.seed does not count"):
            list(tree.shard(index, 2))
