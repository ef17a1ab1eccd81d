"""The golden trees: all kinds of muxes and maps, and how they are seeded, divided, resumed and run."""

import numpy as np

from streamflow import (
    ChainMux,
    RoundRobinMux,
    ShuffledMux,
    StochasticMux,
    Streamer,
    StreamerList,
    ThreadStreamer,
    ZipMux,
    ZMQStreamer,
    buffer_stream,
    cache,
    filter_items,
    keras_tuples,
    map_items,
    tuples,
)

from .leaves import (
    Countdown,
    Wandering,
    choosing,
    counted,
    drawn,
    global_words,
    lucky,
    noisy,
    own_part,
    paired,
    rows,
    skipping,
    summed,
    twice,
    worded,
)
from .registry import TREES, Tree, parts, tree

#: The largest is a power of two, so that their sum is exact in whichever order NumPy adds them.
WEIGHTS = [1, 2, 4, 8, 16, 1, 2, 4, 8, 16, 1, 0, 0, 1, 0, 0]


def forever(count=16):
    return [Streamer(drawn, name) for name in range(count)]


def ending(count=16, shortest=1, step=3):
    return [Streamer(drawn, name, shortest + step * name % 17) for name in range(count)]


def some_empty(count=16):
    """Two of three give nothing."""
    return [Streamer(drawn, name, 0 if name % 3 else 1 + name % 5) for name in range(count)]


# ---------------------------------------------------------------------- StochasticMux, with_replacement
@tree(2000)
def replacement_binomial():
    return StochasticMux(forever(), 6, 3.7, WEIGHTS, random_state=0)


@tree(2000)
def replacement_poisson_named():
    members = {f"member {name}": Streamer(drawn, name) for name in range(8)}
    weights = {f"member {name}": 1 << name % 4 for name in range(8)}
    return StochasticMux(members, 5, 2.5, weights, dist="poisson", random_state=1)


@tree(2000)
def replacement_constant_uniform():
    return StochasticMux(forever(20), 7, 2, dist="constant", random_state=2)


@tree(2000)
def replacement_constant_fraction_more_slots_than_members():
    return StochasticMux(forever(3), 7, 1.5, dist="constant", random_state=3)


@tree(500)
def replacement_large_rates():
    members = [
        StochasticMux(forever(4), 2, rate, dist=dist) for rate in (60, 400.5) for dist in ("binomial", "poisson")
    ]
    return ZipMux(members).with_seed(4)


@tree(2000)
def replacement_until_they_end():
    return StochasticMux(ending(), 5, None, WEIGHTS, random_state=5)


@tree(2000)
def replacement_until_they_end_uniform():
    return StochasticMux(ending(), 5, None, random_state=6)


@tree(2000)
def replacement_empty_members():
    return StochasticMux(some_empty(40), 6, 3, random_state=7)


@tree(1000)
def replacement_empty_members_not_pruned():
    return StochasticMux(some_empty(), 6, 1.7, prune_empty_streams=False, random_state=8)


@tree(1000)
def replacement_empty_members_weighted_not_pruned():
    weights = [1, 16, 4, 8, 16, 1, 2, 4, 8, 16, 1, 8, 8, 1, 8, 16]
    return StochasticMux(some_empty(), 4, None, weights, prune_empty_streams=False, random_state=9)


# ---------------------------------------------------------------------- StochasticMux, single_active
@tree(2000)
def single_binomial():
    return StochasticMux(forever(), 6, 4, WEIGHTS, "single_active", random_state=10)


@tree(2000)
def single_poisson_uniform():
    return StochasticMux(forever(), 14, 2.2, mode="single_active", dist="poisson", random_state=11)


@tree(2000)
def single_until_they_end():
    return StochasticMux(ending(12), 11, None, [1] * 8 + [2] * 4, "single_active", random_state=12)


@tree(1000)
def single_empty_members_not_pruned():
    return StochasticMux(
        some_empty(30), 5, 2, mode="single_active", prune_empty_streams=False, dist="constant", random_state=13
    )


@tree(1000)
def single_empty_members():
    return StochasticMux(some_empty(30), 9, None, mode="single_active", random_state=14)


# ---------------------------------------------------------------------- StochasticMux, short members repeated
@tree(2000)
def repeated_replacement():
    return StochasticMux(ending(), 6, 23.5, WEIGHTS, random_state=50, short="repeat")


@tree(2000, 1111)
def repeated_single():
    return StochasticMux(ending(), 5, 9.5, WEIGHTS, "single_active", dist="poisson", random_state=51, short="repeat")


@tree(1500)
def repeated_all_active():
    return StochasticMux(ending(), None, 21, WEIGHTS, dist="constant", random_state=52, short="repeat")


@tree(1500)
def repeated_some_empty():
    return StochasticMux(some_empty(30), 4, 7, prune_empty_streams=False, random_state=53, short="repeat")


@tree(1500)
def repeated_trees():
    inner = [StochasticMux(ending(4), 2, 3.5, random_state=54, short="repeat").pipe(paired), *ending(3)]
    chains = [ChainMux(ending(2)), RoundRobinMux([Streamer(skipping, "skips", 7), *ending(2)])]
    return StochasticMux([*inner, *chains], 3, 40, random_state=55, short="repeat")


@tree(400)
def repeated_parts():
    return parts(StochasticMux(ending(), 7, 12.5, WEIGHTS, short="repeat"))


# ---------------------------------------------------------------------- StochasticMux, exhaustive
@tree(700, 400)
def exhaustive_all_open():
    return StochasticMux(StreamerList(drawn, range(600), [1] * 600), None, None, mode="exhaustive", random_state=15)


@tree(1600, 1300)
def exhaustive_many_slots_weighted():
    weights = [1 << name % 6 for name in range(500)] + [0] * 12
    return StochasticMux(StreamerList(drawn, range(512), [3] * 512), 300, None, weights, "exhaustive", random_state=16)


@tree(2000, 1200)
def exhaustive_capped():
    return StochasticMux(forever(400), 40, 4.5, mode="exhaustive", random_state=17)


# ---------------------------------------------------------------------- all active
@tree(2600, 1500)
def all_active():
    return StochasticMux(forever(), None, None, WEIGHTS, random_state=18)


@tree(2000)
def all_active_with_a_rate():
    return StochasticMux(ending(), None, 5.5, WEIGHTS, random_state=19)


@tree(1000)
def all_active_empty_members_not_pruned():
    return StochasticMux(some_empty(), 16, None, prune_empty_streams=False, random_state=20)


@tree(2600, 1500)
def shuffled():
    return ShuffledMux(forever(5), random_state=21)


@tree(1500)
def shuffled_weighted_ending():
    return ShuffledMux(ending(), WEIGHTS, random_state=22)


@tree(1200, 500)
def shuffled_empty_members():
    return ShuffledMux([*some_empty(120), *some_empty(120)], [1, 3] * 120, random_state=23)


# ---------------------------------------------------------------------- other muxes
@tree(1500, 1400)
def round_robin():
    return RoundRobinMux([Streamer(counted, name, name % 13) for name in range(240)])


@tree(1000)
def round_robin_cycle():
    return RoundRobinMux(ending(), "cycle", random_state=24)


@tree(1500)
def round_robin_permuted():
    return RoundRobinMux(ending(), "permuted_cycle", random_state=25)


@tree(150)
def chain():
    return ChainMux({name: Streamer(drawn, name, 5 * name % 17) for name in range(24)}, random_state=26)


@tree(300)
def chain_of_a_function_cycle():
    def members():
        return (Streamer(drawn, name, 3) for name in range(7))

    return ChainMux(members, "cycle", random_state=27)


@tree(100, 5)
def zipped():
    members = [Streamer(drawn, "a", 11), Streamer([(place, "b") for place in range(20)])]
    return ZipMux(members).with_seed(28)


@tree(100, 12)
def zipped_cycle():
    return ZipMux([Streamer(drawn, name, 5 + 9 * name) for name in range(3)], "cycle", False).with_seed(29)


@tree(1000)
def a_mux_of_ones_own():
    return Wandering(ending(7), random_state=30)


@tree(1500)
def three_levels():
    lists = [ShuffledMux([Streamer(drawn, (name, part), 9) for part in range(3)]) for name in range(6)]
    chains = [ChainMux([Streamer(drawn, (name, part), 4) for part in range(5)]) for name in range(6)]
    middle = [StochasticMux(lists, 3, 5.5), StochasticMux(chains, 2, 3, mode="single_active"), Wandering(chains)]
    return StochasticMux([*middle, Streamer(drawn, "leaf")], 3, 20, random_state=31)


# ---------------------------------------------------------------------- parts
@tree(400)
def parts_drawn():
    return parts(StochasticMux(forever(), 7, 2.5, WEIGHTS))


@tree(400)
def parts_single():
    return parts(StochasticMux(ending(), 7, None, mode="single_active"))


@tree(300)
def parts_exhaustive():
    return parts(StochasticMux(forever(200), 20, 5, [1, 2] * 100, "exhaustive"))


@tree(400)
def parts_all_active():
    return parts(ShuffledMux([*forever(4), Streamer(own_part, "own", 50), *ending(4)]))


@tree(200)
def parts_of_ones_own():
    return parts(Wandering(ending(5)))


@tree(100, 40)
def parts_of_the_rest():
    chains = ChainMux(ending(9)), ChainMux(lambda: iter(ending(9))), ChainMux(ending(3), "cycle")
    rounds = [RoundRobinMux(ending(9), mode) for mode in ("exhaustive", "cycle", "permuted_cycle")]
    zips = [ZipMux([forever(2)[1], rounds[0]])]
    return ZipMux([parts(one) for one in (*chains, *rounds, *zips)], "cycle").with_seed(33)


@tree(400)
def parts_with_fewer_items_than_parts():
    members = [*ending(3), Streamer(own_part, "own", 2), Streamer(rows, 5).pipe(buffer_stream, 3)]
    few = [ShuffledMux(members), ChainMux(ending(2), "cycle"), RoundRobinMux(ending(3), "permuted_cycle")]
    several = [ShuffledMux([*few, *ending(2)], [1, 2, 3, 4, 5]), StochasticMux(members, None, 5, short="repeat")]
    return ZipMux([parts(mux, 7) for mux in several], flatten=False).with_seed(56)


@tree(400)
def parts_of_ones_own_with_fewer_items_than_parts():
    return parts(Wandering([Streamer(drawn, name, 2) for name in range(4)]), 5)


@tree(400)
def parts_of_parts():
    mux = StochasticMux([ShuffledMux(forever(3)), *forever(12)], 12, 3.5)
    whole = StochasticMux([ShuffledMux(forever(3)), *ending(4)], None, None)
    few = StochasticMux(forever(3), 2, 90, mode="exhaustive")
    several = [mux.shard(1, 3).shard(0, 2), whole.shard(2, 3).shard(1, 2), few.shard(1, 2).shard(1, 2)]
    return ZipMux(several, "cycle").with_seed(34)


# ---------------------------------------------------------------------- maps
@tree(600)
def maps():
    mux = StochasticMux(forever(), 4, 2.5)
    batches = StochasticMux([Streamer(rows, 30) for _ in range(9)], 3, 4.5).pipe(buffer_stream, 4)
    members = [mux.pipe(paired), mux.pipe(summed), mux.pipe(noisy), batches]
    return ZipMux(members, flatten=False).with_seed(35)


@tree(300)
def map_items_in_a_row():
    mux = StochasticMux(forever(), 4, 2.5)
    return mux.pipe(map_items, worded).pipe(filter_items, lucky).pipe(map_items, worded).with_seed(49)


@tree(1500)
def map_cache():
    return Streamer(drawn, "kept").pipe(cache, 12, 0.3).with_seed(36)


@tree(1000)
def map_cache_with_a_seed():
    cached = [Streamer(drawn, name, 40).pipe(cache, 5, 0.5, random_state=37) for name in range(5)]
    return StochasticMux(cached, 2, 30, random_state=38)


@tree(100, 7)
def map_columns():
    batches = Streamer(rows, 50).pipe(buffer_stream, 4, partial=True)
    return ZipMux([batches.pipe(tuples, "y", "x"), batches.pipe(keras_tuples, "x", "y")]).with_seed(39)


# ---------------------------------------------------------------------- leaves
@tree(300)
def leaves():
    members = [Streamer(skipping, "skips", 40), Streamer(own_part, "own", 30), Streamer(Countdown, 25), [1, "b", None]]
    return ShuffledMux([*members, Streamer(np.arange(6)), Streamer(drawn, name="named")], random_state=40)


@tree(300)
def bound_streamers():
    inner = StochasticMux(forever(), 3, 2.5)
    small = ShuffledMux(ending(3))
    members = [
        Streamer(twice, inner.pipe(paired).shard(0, 2), again=small),
        Streamer(choosing, None, small),
        Streamer(choosing, Streamer(drawn, "bound", 20), named=None),
    ]
    return StochasticMux([Streamer(twice, Streamer(drawn, "first", 4), small), *members], 2, 15, random_state=41)


@tree(400)
def seeds_of_many_kinds():
    seeds = [
        *(0, 1 << 32, -1, -5, (1 << 200) + 3),
        np.random.SeedSequence(7, spawn_key=(3, 4)),
        np.random.SeedSequence([1, 2, 3]),
        np.random.default_rng(8),
        np.random.RandomState(9),
    ]
    seeded = [Streamer(drawn, "seeded").with_seed(seed) for seed in seeds]
    return ZipMux([*seeded, StochasticMux(seeded, 3, 2.5)], flatten=False)


@tree(100)
def seeded_by_the_global_state():
    return StochasticMux(forever(), 3, 2.5)


# ---------------------------------------------------------------------- epochs
def one_epoch():
    mux = StochasticMux(forever(20), 4, 3.3, mode="exhaustive")
    return RoundRobinMux([mux, Streamer(skipping, "skips", 30).pipe(noisy)]).pipe(paired).with_seed(42)


TREES["epoch_3"] = Tree(one_epoch, 50, 20, 3, cycle=False, resumes=True)
TREES["epochs"] = Tree(one_epoch, 300, 140, 2, cycle=True, resumes=True)


# ---------------------------------------------------------------------- lanes
def lanes_of(mux, **settings):
    return ZMQStreamer(mux, start_method="fork", **settings)


@tree(200)
def lanes_1():
    return lanes_of(StochasticMux(forever(), 6, 2.5, random_state=43)).with_seed(44)


@tree(300)
def lanes_2():
    return lanes_of(StochasticMux(ending(), 6, None), n_workers=2).with_seed(45)


@tree(300, 70, cycle=True)
def lanes_3():
    tree = StochasticMux([Streamer(drawn, name, 1 + name) for name in range(20)], 9, None, mode="exhaustive")
    return lanes_of(tree, n_lanes=3).with_seed(46)


@tree(60, resumes=False)
def lanes_global_states():
    return lanes_of(Streamer(global_words, 60), n_lanes=2).with_seed(47)


@tree(300)
def lanes_thread():
    threads = [ThreadStreamer(StochasticMux(ending(), 6, 2.5)).shard(index, 3) for index in range(3)]
    return StochasticMux([*threads, ThreadStreamer(Streamer(rows, 20))], 4, 7, random_state=48)
