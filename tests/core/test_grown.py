"""States loaded into a tree that has got more members: what is open goes on, and the new ones are in the draw."""

import json
from itertools import islice

import pytest

import streamflow as sf
from streamflow.mux import BaseMux


def rows(path, n=40, rng=None):
    """Items that say which activation they are of, and their place in it."""
    token = int(rng.integers(2**60))
    for place in range(n):
        yield path, token, place


def one_each(path, n=5):
    for place in range(n):
        yield path, place


class Turns(BaseMux):
    """The live slots in turn."""

    def choose(self, step, live, u):
        return live[step % len(live)]

    def ended(self, slot, given):
        return True


def paths(n):
    return [f"{place:03d}.npy" for place in range(n)]


def files(names, fn=rows):
    return sf.StreamerList(fn, names)


def named(names, fn=rows):
    return {name: sf.Streamer(fn, name) for name in names}


def mapped(names):
    return [sf.Streamer(rows, name).pipe(sf.maps.map_items, tuple) for name in names]


def after(tree, n):
    """What a pass has given, its state, and the pass itself."""
    live = tree.open()
    head = list(islice(live, n))
    return head, json.loads(json.dumps(live.state_dict())), live


def grown(tree, state, **how):
    live = tree.open()
    live.load_state_dict(state, strict=False, **how)
    return live


def drawn(pool, mode="with_replacement", **how):
    return sf.StochasticMux(pool, n_active=4, rate=16, mode=mode, random_state=0, **how)


def left_of(head, slots):
    """The items that the activations in slots have not given yet, by their token."""
    seen = {}
    for _, token, place in head:
        seen[token] = place + 1
    wanted = {}
    for slot in slots:
        given = slot["node"]["given"] if "node" in slot else slot["given"]
        if given:
            (token,) = [token for token, count in seen.items() if count == given and _is(head, token, slot)]
            wanted[token] = list(range(given, min(40, slot["budget"])))
    return wanted


def _is(head, token, slot):
    return any(one[1] == token and repr(one[0]) in json.dumps(slot) for one in head[-200:])


OLD = paths(50)
LATER = {
    "at the end": [*OLD, *(f"late{i}" for i in range(10))],
    "in between": sorted([*OLD, *(f"{i:03d}b.npy" for i in range(0, 50, 5))]),
    "before": [*(f"early{i}" for i in range(10)), *OLD],
}


@pytest.mark.parametrize("mode", ["with_replacement", "single_active"])
@pytest.mark.parametrize("make", [files, named, mapped])
@pytest.mark.parametrize("where", LATER)
def test_open_members_go_on_exactly_and_new_ones_are_in_the_draw(where, make, mode):
    head, state, _ = after(drawn(make(OLD), mode), 300)
    slots = state["node"]["slots"]
    wanted = left_of(head, slots)
    assert len(wanted) >= 3, "or this tests nothing"
    live = grown(drawn(make(LATER[where]), mode), state)
    assert live.position == 300
    tail = list(islice(live, 12_000))
    for token, places in wanted.items():
        assert [place for _, one, place in tail if one == token] == places
    share = sum(path not in OLD for path, _, _ in tail) / len(tail)
    assert abs(share - 1 / 6) < 5 * (16 * 5 / 36 / len(tail)) ** 0.5


@pytest.mark.parametrize("where", LATER)
@pytest.mark.parametrize("cut", [0, 3, 30, 500])
def test_a_state_of_the_grown_pass_resumes_exactly(where, cut):
    _, state, _ = after(drawn(files(OLD)), 300)
    tree = drawn(files(LATER[where]))
    live = grown(tree, state)
    list(islice(live, cut))
    again, wanted = tree.open(), json.loads(json.dumps(live.state_dict()))
    again.load_state_dict(wanted)
    assert again.state_dict() == wanted
    assert list(islice(again, 500)) == list(islice(live, 500))


@pytest.mark.parametrize("cut", [1, 5, 20])
def test_members_that_were_not_open_yet_are_opened_as_later_states_say(cut):
    _, state, _ = after(drawn(files(OLD)), 1)
    assert sum("node" not in slot for slot in state["node"]["slots"]) == 3, "or this tests nothing"
    tree = drawn(files(LATER["before"]))
    live, again = grown(tree, state), tree.open()
    list(islice(live, cut))
    again.load_state_dict(live.state_dict())
    assert list(islice(again, 100)) == list(islice(live, 100))


def test_members_that_were_found_empty_bar_nobody_who_stands_there_now():
    def some(path):
        yield from () if path.startswith("empty") else [path] * 10

    old = [*(f"empty{i}" for i in range(8)), *"abcd"]
    _, state, _ = after(drawn(files(old, some)), 500)
    assert state["node"]["aside"], "or this tests nothing"
    later = [*(f"new{i}" for i in range(8)), *old]
    assert {*islice(grown(drawn(files(later, some)), state), 2000)} == {*"abcd", *later[:8]}


def test_weights_of_new_members_count():
    weights = dict.fromkeys(OLD, 1.0)
    _, state, _ = after(drawn(named(OLD), weights=weights), 300)
    tree = drawn(named([*OLD, "late"]), weights=weights | {"late": 50.0})
    tail = list(islice(grown(tree, state), 10_000))
    share = sum(path == "late" for path, _, _ in tail) / len(tail)
    assert abs(share - 0.5) < 0.1


def test_members_repeated_in_an_activation_go_on_too():
    def short(names):
        pool = sf.StreamerList(rows, names, n=5)
        return sf.StochasticMux(pool, 4, 16, random_state=0, short="repeat")

    head, state, _ = after(short(OLD), 203)
    tail = list(islice(grown(short(LATER["before"]), state), 2000))
    counts = {}
    for path, token, place in head:
        counts[path, token] = place + 1
    n_checked = 0
    for slot in state["node"]["slots"]:
        given, budget = slot["node"]["given"], slot["budget"]
        open_now = [token for (path, token), count in counts.items()
                    if f"rows({path!r}, n=5)" == slot["node"]["call"] and count == given < budget]  # fmt: skip
        if len(open_now) == 1 and given < 5:
            n_checked += 1
            assert [place for _, one, place in tail if one == open_now[0]] == list(range(given, min(5, budget)))
    assert n_checked >= 2


ALL_ACTIVE = {
    "shuffled": lambda pool: sf.ShuffledMux(pool, random_state=0),
    "all active": lambda pool: sf.StochasticMux(pool, None, 8, random_state=0),
    "in turn": lambda pool: sf.RoundRobinMux(pool, mode="cycle", random_state=0),
    "permuted": lambda pool: sf.RoundRobinMux(pool, mode="permuted_cycle", random_state=0),
    "of one's own": lambda pool: Turns(pool, random_state=0),
    "chain": lambda pool: sf.ChainMux(pool, mode="cycle", random_state=0),
    "exhaustive": lambda pool: sf.StochasticMux(pool, 3, None, mode="exhaustive", random_state=0),
}


@pytest.mark.parametrize("make", [files, named])
@pytest.mark.parametrize("name", ALL_ACTIVE)
def test_muxes_with_a_slot_for_each_member_take_members_at_the_end_only(name, make):
    mux = ALL_ACTIVE[name]
    old, new = paths(6), paths(9)
    head, state, before = after(mux(make(old)), 45)
    live = grown(mux(make(new)), state)
    tail = list(islice(live, 400))
    assert {path for path, _, _ in tail} >= set(new[6:])
    seen = {token: place for _, token, place in head}
    for token, place in seen.items():  # what was open goes on where it was
        rest = [at for _, one, at in tail if one == token]
        assert rest == list(range(place + 1, place + 1 + len(rest)))
    tokens = {token for _, token, _ in islice(before, 6)}
    assert tokens & {token for _, token, _ in tail}
    for other in (["0", *old], [*old[:3], "x", *old[3:]]):
        with pytest.raises(sf.StateError, match="at the end"):
            grown(mux(make(other)), state)


@pytest.mark.parametrize("name", ALL_ACTIVE)
@pytest.mark.parametrize("cut", [0, 2, 50])
def test_a_state_of_such_a_mux_resumes_exactly_after_it_has_grown(name, cut):
    mux = ALL_ACTIVE[name]
    _, state, _ = after(mux(files(paths(6))), 45)
    tree = mux(files(paths(9)))
    live = grown(tree, state)
    list(islice(live, cut))
    again = tree.open()
    again.load_state_dict(json.loads(json.dumps(live.state_dict())))
    assert list(islice(again, 200)) == list(islice(live, 200))


FINITE = {
    "exhaustive": lambda pool: sf.StochasticMux(pool, 3, None, mode="exhaustive", random_state=0),
    "exhaustive, all open": lambda pool: sf.StochasticMux(pool, None, None, mode="exhaustive", random_state=0),
    "chain": sf.ChainMux,
    "in turn": sf.RoundRobinMux,
}


@pytest.mark.parametrize("name", FINITE)
@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("cut", [0, 1, 7, 14, 20])
def test_each_member_is_given_once_however_often_the_pool_has_grown(name, count, cut):
    def part(n, index):
        tree = FINITE[name](files(paths(n), one_each))
        return tree.shard(index, count) if count > 1 else tree

    found = []
    for index in range(count):
        head, state, _ = after(part(6, index), cut // count)
        live = grown(part(9, index), state)
        middle = list(islice(live, 4))
        last = grown(part(12, index), json.loads(json.dumps(live.state_dict())))
        again = part(12, index).open()
        again.load_state_dict(json.loads(json.dumps(last.state_dict())))
        tail = list(last)
        assert list(again) == tail
        found += [*head, *middle, *tail]
    assert sorted(found) == sorted((path, place) for path in paths(12) for place in range(5))


@pytest.mark.parametrize("cut", [2, 5])
@pytest.mark.parametrize("name", FINITE)
def test_members_that_were_divided_are_not_dealt_out_later(name, cut):
    def part(n):
        return FINITE[name](files(paths(n), one_each)).shard(1, 4)

    _, state, _ = after(part(3), min(cut, 3))
    with pytest.raises(sf.StateError, match="had 3 members, fewer than parts"):
        grown(part(8), state)


@pytest.mark.parametrize("name", [name for name in ALL_ACTIVE if name != "chain"])
def test_a_state_of_fewer_slots_than_there_were_is_damaged(name):
    mux = ALL_ACTIVE[name]
    _, state, _ = after(mux(files(paths(6))), 7)
    state["node"]["slots"].pop()
    with pytest.raises(sf.StateError, match="slots must be a list of"):
        grown(mux(files(paths(9))), state)


def test_what_had_ended_stays_at_its_end():
    head, state, _ = after(sf.ChainMux(files(paths(2), one_each)), 11)
    assert len(head) == 10
    assert list(grown(sf.ChainMux(files(paths(3), one_each)), state)) == []


def test_a_zip_takes_no_further_members():
    _, state, _ = after(sf.ZipMux(files(paths(2))), 3)
    with pytest.raises(sf.StateError, match="ZipMux"):
        grown(sf.ZipMux(files(paths(3))), state)


def nested(cats, dogs, wrapped=lambda tree: tree):
    muxes = {"cat": drawn(files(cats)), "dog": drawn(named(dogs))}
    return wrapped(sf.ShuffledMux(muxes, random_state=1).pipe(sf.maps.map_items, tuple))


@pytest.mark.parametrize(
    "wrapped", [lambda tree: tree, sf.ThreadStreamer, lambda tree: sf.ZMQStreamer(tree, n_lanes=1)]
)
def test_a_pool_inside_a_tree_may_grow(wrapped):
    _, state, live = after(nested(OLD, paths(20), wrapped), 200)
    following = list(islice(live, 5))
    live.close()
    if "lanes" in state["node"]:  # as it is where a worker has just written a mark
        state["node"] |= {"lanes": [{"lane": 0, "mark": after(nested(OLD, paths(20)), 200)[1]["node"], "since": 0}]}
        state["node"]["lanes"][0]["ended"] = False
    again = grown(nested(LATER["before"], LATER["in between"], wrapped), state)
    at_once = json.loads(json.dumps(again.state_dict()))
    tail = list(islice(again, 3000))
    with nested(LATER["before"], LATER["in between"], wrapped).open() as second:
        second.load_state_dict(at_once)
        assert list(islice(second, 30)) == tail[:30]
    assert {token for _, token, _ in following[:1]} <= {token for _, token, _ in tail}
    assert {path for path, _, _ in tail} > {*OLD}
    after_all = json.loads(json.dumps(again.state_dict()))
    rest = list(islice(again, 20))
    again.close()
    with nested(LATER["before"], LATER["in between"], wrapped).open() as third:
        third.load_state_dict(after_all)
        assert list(islice(third, 20)) == rest


def test_items_cannot_be_made_again_from_more_members():
    for make in (
        lambda names: sf.ThreadStreamer(drawn(files(names))),
        lambda names: drawn(files(names)).pipe(sf.cache, 5),
        lambda names: drawn(files(names)).pipe(pairs),
    ):
        _, state, live = after(make(OLD), 31)
        live.close()
        with make(LATER["at the end"]).open() as live, pytest.raises(sf.StateError, match="again"):
            live.load_state_dict(state, strict=False)


def test_a_state_that_is_some_items_back_makes_none_again_from_more_members():
    with drawn(files(OLD)).open() as live:
        head = list(islice(live, 31))
        state = live.state_dict(behind=3)
    assert state["draw"]
    with drawn(files(LATER["at the end"])).open() as live:
        with pytest.raises(sf.StateError, match="again"):
            live.load_state_dict(state, strict=False)
        assert live.active
    with drawn(files(OLD)).open() as live:
        live.load_state_dict(state, strict=False)
        assert list(islice(live, 3)) == head[28:]


def weighted(weights):
    return sf.ShuffledMux(files(OLD[:4]), weights, 0)


MADE_AGAIN = {
    "some items back": (weighted, 3),
    "in the background": (lambda weights: sf.ThreadStreamer(weighted(weights)), 0),
    "in a list": (lambda weights: weighted(weights).pipe(pairs), 0),
}


@pytest.mark.parametrize("name", MADE_AGAIN)
def test_items_made_again_with_other_weights_are_told_of(name):
    make, behind = MADE_AGAIN[name]
    with make([1, 1, 1, 1]).open() as live:
        list(islice(live, 31))
        state = live.state_dict(behind=behind)
    with make([1, 1, 1, 1]).open() as live:
        live.load_state_dict(state, strict=False)
    with make([9, 1, 1, 1]).open() as live, pytest.warns(UserWarning, match="items again .* other weights"):
        live.load_state_dict(state, strict=False)
    with weighted([1, 1, 1, 1]).open() as live:
        list(islice(live, 31))
        state = live.state_dict()
    with weighted([9, 1, 1, 1]).open() as live:  # none is made again
        live.load_state_dict(state, strict=False)


@sf.maps.stream_map(kind="windowed")
def pairs(items):
    for item in items:
        yield [item, item]


OTHERS = {
    "an open member is gone": lambda: drawn(files([*LATER["at the end"]][25:])),
    "all are others": lambda: drawn(files([f"other{i}" for i in range(60)])),
    "fewer": lambda: drawn(files(OLD[:40])),
    "another setting": lambda: sf.StochasticMux(files(LATER["at the end"]), 5, 16, random_state=0),
    "another kind": lambda: sf.ShuffledMux(files(LATER["at the end"]), random_state=0),
    "another seed": lambda: sf.StochasticMux(files(LATER["at the end"]), 4, 16, random_state=1),
    "a map above": lambda: drawn(files(LATER["at the end"])).pipe(sf.maps.map_items, tuple),
    "names instead of none": lambda: drawn(named(LATER["at the end"])),
    "two that look alike": lambda: drawn(files([*["x"] * 5, *OLD[::-1], *OLD])),
}


@pytest.mark.parametrize("name", OTHERS)
def test_everything_else_is_refused_in_words(name):
    _, state, _ = after(drawn(files(OLD)), 300)
    with pytest.raises(sf.StateError) as caught:
        grown(OTHERS[name](), state)
    assert len(str(caught.value).split()) > 4
    with drawn(files(LATER["at the end"])).open() as live, pytest.raises(sf.StateError, match="strict=False"):
        live.load_state_dict(state)


def test_looking_for_members_costs_nothing_where_they_stand_as_before(monkeypatch):
    built = []
    take = sf.StreamerList.__getitem__
    monkeypatch.setattr(sf.StreamerList, "__getitem__", lambda self, index: built.append(index) or take(self, index))
    _, state, _ = after(drawn(files(range(100_000))), 300)
    built.clear()
    live = grown(drawn(files(range(100_100))), state)
    next(live)
    assert len(built) < 50


def test_a_weight_that_has_become_zero_closes_its_member():
    weights = dict.fromkeys(OLD, 1.0)
    for mux in (lambda w: drawn(named(OLD), "single_active", weights=w), lambda w: sf.ShuffledMux(named(OLD), w, 0)):
        _, state, _ = after(mux(weights), 60)
        open_now = [slot["name"].strip("'") for slot in state["node"]["slots"] if slot and "node" in slot]
        live = grown(mux(weights | dict.fromkeys(open_now, 0.0)), state)
        assert not {path for path, _, _ in islice(live, 500)} & {*open_now}
