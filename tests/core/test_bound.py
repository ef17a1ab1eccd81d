"""Streamers among the arguments of a leaf function: handed over bound to the activation."""

import itertools
import json

import pytest

import streamflow as sf


def draws(rng, n=4):
    for _ in range(n):
        yield int(rng.integers(10**9))


def take(items, n=30):
    return list(itertools.islice(items, n))


def forward(stream):
    yield from stream


def twice(stream):
    yield (list(stream), list(stream))


def side_by_side(stream):
    yield from zip(stream, stream, strict=True)


def add_noise(stream, scale=1.0, *, rng):
    for item in stream:
        yield (item, item + scale * rng.random())


def two(first, second):
    yield (list(first), list(second))


def test_a_function_over_a_streamer_is_a_streamer():
    base = sf.Streamer(range(3))
    plus = sf.Streamer(lambda stream, by: (i + by for i in stream), base, by=10)
    assert list(plus) == list(plus) == [10, 11, 12]
    assert list(sf.Streamer(lambda by, stream: (i + by for i in stream), 10, stream=base)) == [10, 11, 12]
    assert list(sf.ChainMux([base, plus])) == [0, 1, 2, 10, 11, 12]


def test_iterating_twice_in_one_activation_gives_the_same_items():
    one, other = next(iter(sf.Streamer(twice, sf.Streamer(draws)).with_seed(1)))
    assert one == other
    assert len(set(one)) == 4
    assert all(a == b for a, b in sf.Streamer(side_by_side, sf.Streamer(draws)).with_seed(1))
    mux = sf.StochasticMux([sf.Streamer(draws)] * 3, 2, None, mode="exhaustive")
    one, other = next(iter(sf.Streamer(twice, mux).with_seed(1)))
    assert one == other
    assert len(set(one)) == 12


def test_each_epoch_and_each_activation_has_its_own_items():
    tree = sf.Streamer(forward, sf.Streamer(draws)).with_seed(1)
    epochs = [list(tree.iterate(epoch=e)) for e in range(3)]
    assert list(tree.iterate(epoch=1)) == epochs[1]
    assert len({i for e in epochs for i in e}) == 12
    assert list(tree.cycle(max_iter=12)) == list(itertools.chain(*epochs))
    again = take(sf.ChainMux([sf.Streamer(forward, sf.Streamer(draws))], mode="cycle", random_state=0), 40)
    assert len(set(again)) == 40


def test_a_bound_streamer_follows_the_epoch_of_the_pass():
    inner = sf.StochasticMux(list("abcdefgh"), 3, None, mode="exhaustive")
    tree = sf.Streamer(forward, inner).with_seed(0)
    orders = ["".join(tree.iterate(epoch=e)) for e in range(3)]
    assert len(set(orders)) == 3
    assert {"".join(sorted(o)) for o in orders} == {"abcdefgh"}


def test_the_number_of_the_argument_is_part_of_the_key():
    stream = sf.Streamer(draws)
    first, second = next(iter(sf.Streamer(two, stream, stream).with_seed(1)))
    assert not set(first) & set(second)
    first, second = next(iter(sf.Streamer(two, first=stream, second=stream).with_seed(1)))
    assert not set(first) & set(second)


def test_seeds_are_inherited_or_own():
    def items(seed, inner_seed=None):
        stream = sf.Streamer(draws)
        stream = stream if inner_seed is None else stream.with_seed(inner_seed)
        return list(sf.Streamer(forward, stream).with_seed(seed))

    assert items(1) == items(1) != items(2)
    assert items(1, 5) == items(2, 5) != items(2, 6)


def test_the_function_draws_from_a_key_of_its_own():
    seeded = sf.Streamer(draws).with_seed(7)
    one = list(sf.Streamer(add_noise, seeded).with_seed(1))
    other = list(sf.Streamer(add_noise, seeded).with_seed(2))
    assert [i for i, _ in one] == [i for i, _ in other]
    assert [x for _, x in one] != [x for _, x in other]
    assert len({x - i for i, x in one}) == 4


def test_every_way_to_read_a_bound_streamer():
    def ways(stream):
        yield list(stream)
        yield list(stream.iterate(2))
        yield list(stream(max_iter=3))
        yield take(stream.cycle(), 6)
        with stream as live:
            yield [next(live), next(live)]
        with stream.open() as live:
            yield [next(live), live.position]
        yield list(sf.Streamer(forward, stream))
        yield isinstance(stream, sf.Streamer)

    wanted = [[5, 6, 7, 8], [5, 6], [5, 6, 7], [5, 6, 7, 8, 5, 6], [5, 6], [5, 1], [5, 6, 7, 8], True]
    assert list(sf.Streamer(ways, sf.Streamer(range(5, 9)))) == wanted


def test_a_bound_streamer_is_not_opened_before_it_is_read():
    opened = []

    def base():
        opened.append(1)
        yield 1

    def lazy(stream):
        yield "first"
        yield from stream

    items = iter(sf.Streamer(lazy, sf.Streamer(base)))
    assert next(items) == "first"
    assert opened == []
    assert next(items) == 1


def test_bound_streamers_are_closed_with_the_activation():
    held, log = [], []

    def base(name):
        try:
            for i in itertools.count():
                yield f"{name}{i}"
        finally:
            log.append(name)

    def keeper(stream):
        held.append(iter(stream))  # a reference that outlives the activation
        for item in held[-1]:  # noqa: UP028 - `yield from` would close it by itself
            yield item

    members = [sf.Streamer(keeper, sf.Streamer(base, c)) for c in "abc"]
    live = sf.StochasticMux(members, 1, 2, dist="constant", random_state=0).open()
    take(live, 9)
    assert len(log) == 4
    assert [next(g, "closed") for g in held[:-1]] == ["closed"] * 4
    live.close()
    assert len(log) == 5
    assert next(held[-1], "closed") == "closed"


@pytest.mark.parametrize("end", ["close", "error", "exhausted"])
def test_bound_streamers_are_closed_however_the_activation_ends(end):
    held, log = [], []

    def base():
        try:
            yield from range(100)
        finally:
            log.append("closed")

    def keeper(stream):
        held.append(iter(stream))
        for item in itertools.islice(held[-1], 3):  # noqa: UP028
            yield item
        if end == "error":
            raise OSError("disk")

    live = sf.Streamer(keeper, sf.Streamer(base)).open()
    next(live)
    assert log == []
    if end == "close":
        live.close()
    elif end == "error":
        with pytest.raises(OSError, match="disk"):
            list(live)
    else:
        assert list(live) == [1, 2]
    assert log == ["closed"]


@pytest.mark.parametrize(
    "make",
    [
        lambda members: sf.ShuffledMux(members, random_state=0),
        lambda members: sf.RoundRobinMux(members, mode="cycle"),
        lambda members: sf.ChainMux(members, mode="cycle"),
        lambda members: sf.StochasticMux(members, 2, None, random_state=0),
        lambda members: sf.ZipMux(members, mode="cycle"),
    ],
)
def test_bound_streamers_are_closed_when_a_member_starts_again(make):
    held, reading = [], [0]

    def base():
        reading[0] += 1
        try:
            yield from range(100)
        finally:
            reading[0] -= 1

    def three(stream, key):
        held.append(iter(stream))
        for item in itertools.islice(held[-1], 3):
            yield {key: item}

    members = [sf.Streamer(three, sf.Streamer(base), "x"), sf.Streamer(three, sf.Streamer(base), "y")]
    live = make(members).open(cycle=True)
    for _ in itertools.islice(live, 40):
        assert reading[0] <= 2
    assert len(held) > 4
    live.close()
    assert reading[0] == 0


def test_the_bound_streamer_itself_is_not_changed():
    base = sf.Streamer(range(3))
    tree = sf.Streamer(forward, base)
    items = iter(tree)
    next(items)
    assert tree.args == (base,)
    assert list(base) == [0, 1, 2]


@pytest.mark.parametrize(
    "make",
    [
        lambda: sf.Streamer(forward, sf.Streamer(draws, n=9)).with_seed(1),
        lambda: sf.Streamer(side_by_side, sf.ShuffledMux([sf.Streamer(draws)] * 3)).with_seed(1),
        lambda: sf.Streamer(add_noise, sf.Streamer(forward, sf.Streamer(draws, n=9)), 2.0).with_seed(1),
        lambda: sf.StochasticMux([sf.Streamer(add_noise, sf.Streamer(draws, n=7))] * 3, 2, 3, random_state=1),
    ],
)
def test_resume_at_every_cut(make):
    wanted = take(make(), 12)
    for cut in range(len(wanted) + 1):
        live = make().open()
        take(live, cut)
        state = json.loads(json.dumps(live.state_dict()))
        live.close()
        again = make().open()
        again.load_state_dict(state)
        assert take(again, 12 - cut) == wanted[cut:]


def test_one_shot_arguments_serve_one_pass():
    tree = sf.Streamer(forward, sf.Streamer(iter([1, 2])))
    assert list(tree) == [1, 2]
    with pytest.raises(sf.StreamflowError, match="(?i)function|list|callable"):
        list(tree)


def test_keywords_reach_a_function_in_order_of_their_names():
    """Whatever order they were given in, and whether a Streamer is among them or not: streams depend on it."""

    def names(**columns):
        yield from columns

    for extra in (1, sf.Streamer([1])):
        assert list(sf.Streamer(names, b=extra, c=2, a=3)) == ["a", "b", "c"]
