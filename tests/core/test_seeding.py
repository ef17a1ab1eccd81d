"""Seeding: equal passes, epochs, inherited and own roots, kinds of seeds, the global state."""

import itertools
import random

import numpy as np
import pytest

import streamflow as sf
from streamflow import seeding


def draws(rng, n=6, name=""):
    """A leaf that is a function of its arguments and `rng`."""
    for i in range(n):
        yield (name, i, int(rng.integers(10**9)))


def members(n=5, length=6):
    return [sf.Streamer(draws, n=length, name=chr(97 + i)) for i in range(n)]


def samples(rng, n=6, name=""):
    for item in draws(rng, n, name):
        yield {"x": item[2], "name": name, "i": item[1]}


def take(streamer, n=40, **kwargs):
    return list(itertools.islice(streamer.iterate(**kwargs), n))


TREES = {
    "leaf": lambda seed: sf.Streamer(draws).with_seed(seed),
    "chain": lambda seed: sf.ChainMux(members(), random_state=seed),
    "round robin": lambda seed: sf.RoundRobinMux(members(), random_state=seed),
    "permuted": lambda seed: sf.RoundRobinMux(members(), mode="permuted_cycle", random_state=seed),
    "shuffled": lambda seed: sf.ShuffledMux(members(), weights=[1, 2, 3, 4, 5], random_state=seed),
    "with replacement": lambda seed: sf.StochasticMux(members(), 3, 2, random_state=seed),
    "single active": lambda seed: sf.StochasticMux(members(), 3, 2, mode="single_active", random_state=seed),
    "exhaustive": lambda seed: sf.StochasticMux(members(), 3, None, mode="exhaustive", random_state=seed),
    "nested": lambda seed: sf.ShuffledMux([sf.StochasticMux(members(), 2, 2), *members(2)], random_state=seed),
    "cache": lambda seed: sf.ChainMux(members()).pipe(sf.cache, 4).with_seed(seed),
}


@pytest.mark.parametrize("name", TREES)
def test_two_passes_over_a_seeded_tree_are_equal_and_epochs_differ(name):
    tree = TREES[name](7)
    first = take(tree)
    assert len(first) > 5
    assert take(tree) == first
    assert list(itertools.islice(tree.open(), 40)) == first
    assert take(TREES[name](7)) == first
    assert take(tree, epoch=1) != first
    assert take(tree, epoch=1) == take(tree, epoch=1) == list(itertools.islice(tree.open(epoch=1), 40))
    assert list(itertools.islice(tree(epoch=1), 40)) == take(tree, epoch=1)
    assert take(TREES[name](8)) != first


@pytest.mark.parametrize("name", ["leaf", "chain", "round robin", "exhaustive"])
def test_cycle_numbers_its_epochs(name):
    tree = TREES[name](7)
    epochs = [list(tree.iterate(epoch=e)) for e in range(3)]
    wanted = list(itertools.chain(*epochs))
    assert list(tree.cycle(max_iter=len(wanted))) == wanted
    assert len({str(e) for e in epochs}) == 3
    assert sorted(i[:2] for i in epochs[0]) == sorted(i[:2] for i in epochs[2])


def test_a_child_without_a_seed_inherits_and_one_with_a_seed_has_its_own_root():
    def tree(seed, child_seed=None):
        child = sf.ShuffledMux(members(), random_state=child_seed)
        return sf.ChainMux([child], random_state=seed)

    assert take(tree(1)) != take(tree(2))
    assert take(tree(1, 5)) == take(tree(2, 5))
    assert take(tree(1, 5)) != take(tree(1, 6))
    assert take(tree(1, 5)) != take(tree(1, 5), epoch=1)


def test_siblings_draw_different_numbers():
    twin = sf.Streamer(draws)
    items = list(sf.ChainMux([twin, twin, twin], random_state=0))
    assert len({i[2] for i in items}) == 18


@pytest.mark.parametrize("mode", ["with_replacement", "single_active"])
def test_a_member_activated_again_gets_a_new_key(mode):
    mux = sf.StochasticMux(members(1), 1, 3, mode=mode, dist="constant", random_state=0)
    items = take(mux, 60)
    assert [i[1] for i in items] == [0, 1, 2] * 20
    assert len({i[2] for i in items}) == 60


def test_a_member_restarted_in_an_endless_mux_gets_a_new_key():
    for mux in (
        sf.ShuffledMux(members(2), random_state=0),
        sf.RoundRobinMux(members(2), mode="cycle", random_state=0),
        sf.ChainMux(members(2), mode="cycle", random_state=0),
    ):
        assert len({i[2] for i in take(mux, 60)}) == 60


def test_a_nested_mux_activated_again_does_not_replay_its_head():
    inner = sf.StochasticMux(members(4), 2, None, mode="exhaustive", random_state=3)
    items = take(sf.ChainMux([inner], mode="cycle", random_state=0), 72)
    assert items[:24] != items[24:48]
    assert [i[:2] for i in items[:24]] != [i[:2] for i in items[24:48]]


# ---- what may be a seed


def first_items(random_state):
    return take(sf.ShuffledMux(members(), random_state=random_state), 20)


@pytest.mark.parametrize(
    "make",
    [
        lambda: 0,
        lambda: -3,
        lambda: 2**200,
        lambda: np.int64(5),
        lambda: np.uint8(5),
        lambda: np.random.SeedSequence(4),
        lambda: np.random.SeedSequence(4).spawn(3)[2],
        lambda: np.random.default_rng(4),
        lambda: np.random.Generator(np.random.MT19937(4)),
        lambda: np.random.RandomState(4),
    ],
)
def test_seeds_of_every_kind_repeat(make):
    assert first_items(make()) == first_items(make())
    assert first_items(make()) != first_items(987)
    assert list(sf.Streamer(draws).with_seed(make())) == list(sf.Streamer(draws).with_seed(make()))


def test_different_seeds_give_different_streams():
    children = np.random.SeedSequence(1).spawn(2)
    seeds = [0, 1, -1, 2**64, 2**64 + 1, -(2**64), np.random.SeedSequence(1).spawn(1)[0], children[1]]
    assert len({str(first_items(s)) for s in seeds}) == len(seeds)
    assert first_items(np.int64(5)) == first_items(5) == first_items(np.uint8(5))


@pytest.mark.parametrize("random_state", [True, False, np.True_, "0", 1.0, [1, 2], object(), np.random])
def test_anything_else_is_refused(random_state):
    for call in (
        lambda: sf.ShuffledMux(["a", "b"], random_state=random_state),
        lambda: sf.StochasticMux(["a", "b"], 1, 1, random_state=random_state),
        lambda: sf.RoundRobinMux(["a", "b"], random_state=random_state),
        lambda: sf.ChainMux(["a", "b"], random_state=random_state),
        lambda: sf.Streamer("ab").with_seed(random_state),
        lambda: sf.cache(iter("ab"), 2, random_state=random_state),
    ):
        with pytest.raises(sf.exceptions.ParameterError, match="random_state"):
            call()


@pytest.mark.parametrize("make", [np.random.default_rng, np.random.RandomState])
def test_a_generator_is_read_once_at_construction(make):
    generator = make(0)
    mux = sf.ShuffledMux(members(), random_state=generator)
    after = make(0)
    sf.ShuffledMux(members(), random_state=after)
    first = take(mux)
    assert generator.random(4).tolist() == after.random(4).tolist()  # passes read nothing more
    assert take(mux) == first
    second = sf.ShuffledMux(members(), random_state=generator)
    assert take(second) != first


# ---- NumPy's global state


def global_states():
    kind, keys, *rest = np.random.get_state()
    return kind, keys.tolist(), rest, random.getstate()


QUIET = {
    "list": lambda: sf.Streamer("abc"),
    "function": lambda: sf.Streamer(lambda: iter("abc")),
    "chain": lambda: sf.ChainMux(["ab", "c"]),
    "endless chain": lambda: sf.ChainMux(["ab", "c"], mode="cycle"),
    "round robin": lambda: sf.RoundRobinMux(["ab", "c"]),
    "endless round robin": lambda: sf.RoundRobinMux(["ab", "c"], mode="cycle"),
    "zip": lambda: sf.ZipMux([[{"x": 1}], [{"y": 1}]]),
    "maps": lambda: sf.Streamer([{"x": i} for i in range(9)]).pipe(sf.buffer_stream, 2).pipe(sf.tuples, "x"),
    "seeded": lambda: TREES["nested"](3),
    "seeded leaf": lambda: TREES["leaf"](3),
    "rng bound": lambda: sf.Streamer(draws, np.random.default_rng(0)),
}


@pytest.mark.parametrize("name", QUIET)
def test_a_tree_that_needs_no_entropy_never_touches_the_global_state(name):
    before = global_states()
    tree = QUIET[name]()
    list(itertools.islice(tree.cycle(), 12))
    if name != "rng bound":  # a Generator among the arguments moves on, so the leaf does not repeat
        with tree.open(cycle=True) as live:
            next(live)
            state = live.state_dict()
        with tree.open(cycle=True) as live:
            live.load_state_dict(state)
            next(live)
    list(itertools.islice(tree.shard(0, 2).iterate(), 5))
    assert global_states() == before


def test_constructing_and_opening_a_random_tree_draws_nothing():
    before = global_states()
    for tree in (TREES[name](None) for name in TREES):
        tree.open().close()
        tree.iterate().close()
    assert global_states() == before


@pytest.mark.parametrize("name", TREES)
def test_np_random_seed_makes_an_unseeded_script_repeatable(name):
    def script():
        tree = TREES[name](None)
        return take(tree), take(tree), take(TREES[name](None), epoch=2)

    np.random.seed(0)
    first = script()
    np.random.seed(0)
    assert script() == first
    assert first[0] != first[1]
    np.random.seed(1)
    assert script()[0] != first[0]


@pytest.mark.parametrize("name", TREES)
def test_the_entropy_of_a_pass_is_drawn_once(name):
    live = TREES[name](None).open()
    next(live)
    before = global_states()
    list(itertools.islice(live, 30))
    live.close()
    assert global_states() == before


# ---- keys do not depend on what is around or on the order of reading


def flat(batches):
    for batch in batches:
        yield from zip(batch["x"].tolist(), batch["i"].tolist(), strict=True)


@pytest.mark.parametrize("name", ["chain", "shuffled", "with replacement", "exhaustive", "nested"])
def test_adding_a_map_on_top_never_changes_which_items_come(name):
    tree = TREES[name](3).pipe(lambda items: ({"x": i[2], "i": i[1]} for i in items))
    wanted = [(s["x"], s["i"]) for s in take(tree, 24)]
    assert take(tree.pipe(sf.tuples, "x", "i"), 24) == wanted
    assert take(tree.pipe(sf.keras_tuples, "x", "i"), 24) == wanted
    batched = tree.pipe(sf.buffer_stream, 4)
    assert list(itertools.islice(flat(batched.iterate(6)), 24)) == wanted
    cached = tree.pipe(sf.cache, 5, prob=1.0)
    assert [(s["x"], s["i"]) for s in take(cached, 24)] == wanted
    assert take(cached.pipe(sf.tuples, "x", "i"), 24) == wanted


def test_adding_a_map_to_the_members_never_changes_which_items_come():
    plain = [sf.Streamer(samples, name=c) for c in "abcd"]
    piped = [s.pipe(sf.tuples, "name", "i", "x") for s in plain]
    for make in (
        lambda pool: sf.ShuffledMux(pool, random_state=2),
        lambda pool: sf.StochasticMux(pool, 2, 3, random_state=2),
        lambda pool: sf.StochasticMux(pool, 2, 3, mode="single_active", random_state=2),
        lambda pool: sf.StochasticMux(pool, 2, None, mode="exhaustive", random_state=2),
        lambda pool: sf.ChainMux([sf.ShuffledMux(pool[:2]), *pool[2:]], mode="cycle", random_state=2),
    ):
        wanted = [(s["name"], s["i"], s["x"]) for s in take(make(plain))]
        assert take(make(piped)) == wanted


def test_what_a_member_draws_does_not_depend_on_when_it_is_read():
    def by_member(mux):
        items = take(mux, 400)
        return [[i for i in items if i[0] == c][:30] for c in "abc"]

    one = by_member(sf.ShuffledMux(members(3), weights=[1, 1, 1], random_state=4))
    assert one == by_member(sf.ShuffledMux(members(3), weights=[3, 2, 1], random_state=4))
    assert one == by_member(sf.RoundRobinMux(members(3), mode="cycle", random_state=4))
    first = [items[:6] for items in one]
    exhaustive = take(sf.StochasticMux(members(3), 2, None, mode="exhaustive", random_state=4))
    assert [[i for i in exhaustive if i[0] == c] for c in "abc"] == first
    assert take(sf.ChainMux(members(3), random_state=4)) == [i for k in range(3) for i in first[k]]


def test_interleaved_streams_do_not_disturb_each_other():
    tree = TREES["nested"](5)
    wanted = take(tree, 20)
    one, two = tree.open(), tree.open()
    pairs = [(next(one), next(two)) for _ in range(20)]
    assert [p[0] for p in pairs] == [p[1] for p in pairs] == wanted


# ---------------------------------------------------------------------- numbers
def test_uniforms_are_functions_of_their_positions():
    key = seeding.Key(seeding.Root(3), (0,))
    whole = seeding.uniforms(key, seeding.CROP, np.arange(1000))
    assert 0 <= whole.min() < 0.01
    assert 0.99 < whole.max() < 1
    for some in ([0], [999], [5, 6, 900]):
        assert seeding.uniforms(key, seeding.CROP, np.array(some)).tolist() == whole[some].tolist()
    assert seeding.uniforms(key, seeding.CROP, np.array([], int)).shape == (0,)
    assert not np.array_equal(seeding.uniforms(key, seeding.ORDER, np.arange(1000)), whole)
