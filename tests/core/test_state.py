"""State: resume at every cut, in this and in a fresh process, at the ends of a pass and after errors."""

import itertools
import json
import subprocess
import sys

import numpy as np
import pytest

import streamflow as sf

LIMIT = 26


def draws(n, name="", rng=None):
    """A leaf that is a function of its arguments and `rng`."""
    for i in range(n):
        yield {"x": int(rng.integers(10**9)), "name": name, "i": i}


def noisy(stream, key, rng):
    for item in stream:
        yield {**item, key: item[key] + rng.random()}


def pairs(stream):
    for item in stream:
        yield [item["i"], [again["i"] for again in stream.iterate(2)]]


def counting(n, start):
    """A leaf that can begin anywhere."""
    for i in range(start, n):
        yield {"x": i * i, "i": i}


class Counter:
    """A leaf object that keeps its own state."""

    def __init__(self, n, step=1):
        self.n, self.step, self.i = n, step, 0

    def __iter__(self):
        return self

    def __next__(self):
        if self.i >= self.n:
            raise StopIteration
        self.i += 1
        return {"x": self.i * self.step, "i": self.i}

    def state_dict(self):
        return {"i": self.i}

    def load_state_dict(self, state):
        self.i = state["i"]


def pool(n=4, length=5):
    return [sf.Streamer(draws, length, chr(97 + i)) for i in range(n)]


def ragged():
    return [sf.Streamer(draws, n, chr(97 + n)) for n in (4, 0, 1, 7, 0, 2)]


def lazily():
    for n in itertools.count(1):
        yield sf.Streamer(draws, n % 4, str(n))


TREES = {
    "list": lambda: sf.Streamer(list(range(7))),
    "leaf": lambda: sf.Streamer(draws, 9).with_seed(1),
    "empty": lambda: sf.Streamer(()),
    "start": lambda: sf.Streamer(counting, 9),
    "leaf object": lambda: sf.Streamer(Counter, 9, step=3),
    "Streamer of a Streamer": lambda: sf.Streamer(sf.Streamer(draws, 6)).with_seed(1),
    "chain": lambda: sf.ChainMux(ragged(), random_state=1),
    "endless chain": lambda: sf.ChainMux(ragged(), mode="cycle", random_state=1),
    "lazy chain": lambda: sf.ChainMux(lazily, random_state=1),
    "round robin": lambda: sf.RoundRobinMux(ragged(), random_state=1),
    "endless round robin": lambda: sf.RoundRobinMux(ragged(), mode="cycle", random_state=1),
    "permuted": lambda: sf.RoundRobinMux(ragged(), mode="permuted_cycle", random_state=1),
    "shuffled": lambda: sf.ShuffledMux(ragged(), weights=[1, 5, 2, 3, 1, 0.5], random_state=1),
    "with replacement": lambda: sf.StochasticMux(ragged(), 3, 2, random_state=1),
    "weighted": lambda: sf.StochasticMux(pool(), 3, 2.5, [4, 3, 2, 1], dist="poisson", random_state=1),
    "constant": lambda: sf.StochasticMux(pool(), 1, 3, dist="constant", random_state=1),
    "no rate": lambda: sf.StochasticMux(ragged(), 2, None, random_state=1),
    "no pruning": lambda: sf.StochasticMux(ragged(), 2, 3, prune_empty_streams=False, random_state=1),
    "single active": lambda: sf.StochasticMux(ragged(), 3, 2, mode="single_active", random_state=1),
    "exhaustive": lambda: sf.StochasticMux(ragged(), 2, None, mode="exhaustive", random_state=1),
    "all active": lambda: sf.StochasticMux(pool(3), None, None, random_state=1),
    "names": lambda: sf.ShuffledMux(dict(zip("wxyz", pool(), strict=True)), {"w": 1, "x": 2, "y": 1, "z": 1}, 1),
    "zip": lambda: sf.ZipMux([sf.Streamer(draws, 5).with_seed(1), sf.Streamer(counting, 7).pipe(as_y)]),
    "cycling zip": lambda: sf.ZipMux([sf.Streamer(counting, 3), sf.Streamer(counting, 7).pipe(as_y)], mode="cycle"),
    "bound": lambda: sf.Streamer(noisy, sf.ShuffledMux(pool()), "x").with_seed(1),
    "bound twice": lambda: sf.Streamer(pairs, sf.StochasticMux(pool(), 2, 2)).with_seed(1),
    "tuples": lambda: sf.ChainMux(ragged(), random_state=1).pipe(sf.tuples, "i", "x"),
    "buffer": lambda: sf.RoundRobinMux(ragged(), random_state=1).pipe(sf.buffer_stream, 3, partial=True),
    "buffers": lambda: sf.ShuffledMux([s.pipe(sf.buffer_stream, 2) for s in pool()], random_state=1).pipe(
        sf.buffer_stream, 2, axis=0
    ),
    "buffered objects": lambda: sf.RoundRobinMux([sf.Streamer(Counter, 9), sf.Streamer(counting, 9)]).pipe(
        sf.buffer_stream, 4
    ),
    "cache": lambda: sf.ChainMux(ragged()).pipe(sf.cache, 4, prob=0.5).with_seed(1),
    "member maps": lambda: sf.StochasticMux(
        [s.pipe(sf.cache, 2).pipe(sf.tuples, "x", "i") for s in pool()], 2, 4, random_state=1
    ),
    "three levels": lambda: sf.ShuffledMux(
        [sf.StochasticMux([sf.RoundRobinMux(pool(2)), sf.ChainMux(pool(3))], 2, 3), *pool(2)], random_state=1
    ),
}


def as_y(stream):
    for item in stream:
        yield {"y": item["x"]}


def plain(item):
    """An item in a form that JSON keeps and `==` compares."""
    if isinstance(item, dict):
        return {k: plain(v) for k, v in item.items()}
    if isinstance(item, list | tuple):
        return [plain(v) for v in item]
    return item.tolist() if isinstance(item, np.ndarray | np.generic) else item


def take(live, n):
    return [plain(item) for item in itertools.islice(live, n)]


def through_json(state):
    return json.loads(json.dumps(state))


def resumed(name, state, **kwargs):
    live = TREES[name]().open(**kwargs)
    live.load_state_dict(through_json(state))
    return live


@pytest.mark.parametrize("name", TREES)
def test_resume_at_every_cut(name):
    with TREES[name]().open() as live:
        wanted = take(live, LIMIT)
    for cut in range(len(wanted) + 1):
        with TREES[name]().open() as live:
            assert take(live, cut) == wanted[:cut]
            state = live.state_dict()
            assert live.state_dict() == state
            assert take(live, LIMIT - cut) == wanted[cut:]  # asking changes nothing
        with resumed(name, state) as again:
            assert (again.epoch, again.position) == (0, cut)
            assert take(again, LIMIT - cut) == wanted[cut:]


@pytest.mark.parametrize("name", TREES)
def test_resume_of_a_resume_across_epochs(name):
    kwargs = {"epoch": 3, "cycle": True}
    with TREES[name]().open(**kwargs) as live:
        wanted = take(live, LIMIT)
    seen, state = [], None
    while len(seen) < len(wanted):
        live = TREES[name]().open(**kwargs)
        if state is not None:
            live.load_state_dict(state)
        seen += take(live, 3)
        state = through_json(live.state_dict())
        live.close()
    assert seen[: len(wanted)] == wanted


def ask_fresh_process():
    """Run in a new interpreter: load each state and print the items that follow."""
    states = json.load(sys.stdin)
    json.dump({name: take(resumed(name, state), 9) for name, state in states.items()}, sys.stdout)


def test_resume_in_a_fresh_process():
    states, wanted = {}, {}
    for name, make in TREES.items():
        with make().open() as live:
            take(live, 3)
            states[name] = live.state_dict()
            wanted[name] = take(live, 9)
    program = "import runpy, sys; runpy.run_path(sys.argv[1])['ask_fresh_process']()"
    done = subprocess.run(
        [sys.executable, "-c", program, __file__],
        input=json.dumps(states), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == through_json(wanted)


@pytest.mark.parametrize("name", ["leaf", "chain", "round robin", "exhaustive", "tuples", "buffer", "cache", "zip"])
def test_the_end_of_a_pass(name):
    tree = TREES[name]()
    first, second = ([plain(i) for i in tree.iterate(epoch=e)] for e in (0, 1))
    live = tree.open()
    take(live, len(first))
    before = live.state_dict()
    assert next(live, "end") == "end"
    after = live.state_dict()

    with resumed(name, before) as at_the_end:
        assert (at_the_end.epoch, at_the_end.position) == (0, len(first))
        assert list(at_the_end) == []
    with resumed(name, after) as ended:
        assert (ended.epoch, ended.position) == (0, len(first))
        assert list(ended) == []
        assert ended.state_dict() == after
    with resumed(name, after, cycle=True) as next_epoch:
        assert (next_epoch.epoch, next_epoch.position) == (1, 0)
        assert take(next_epoch, len(second)) == second
    with resumed(name, before, cycle=True) as cycling:
        assert take(cycling, len(second)) == second


def test_the_state_names_the_epoch():
    with TREES["exhaustive"]().open(epoch=4) as live:
        wanted = take(live, 12)
    with TREES["exhaustive"]().open(epoch=4) as live:
        take(live, 5)
        state = live.state_dict()
    with resumed("exhaustive", state) as again:
        assert (again.epoch, again.position) == (4, 5)
        assert take(again, 7) == wanted[5:]


def test_a_state_of_the_start_loaded_after_some_epochs():
    """What the pass did before is forgotten."""
    with TREES["exhaustive"]().open(cycle=True) as live:
        start = live.state_dict()
        first = take(live, 200)
        assert live.epoch
        live.load_state_dict(start)
        assert (live.epoch, live.position) == (0, 0)
        assert take(live, 200) == first


def test_no_state_while_one_is_loaded():
    """A signal handler that saves a state must not save half of one."""
    asked = []

    def leaf(n):
        for i in range(n):
            if i == 5 and asked:
                with pytest.raises(sf.StateError, match="loaded"):
                    asked.pop().state_dict()
                asked.append("refused")
            yield i

    tree = sf.Streamer(leaf, 20)
    with tree.open() as live:
        take(live, 10)
        state = live.state_dict()
    with tree.open() as live:
        asked.append(live)
        live.load_state_dict(state)
        assert asked == ["refused"]
        assert live.state_dict() == state
        assert list(live) == [*range(10, 20)]


@pytest.mark.parametrize("cut", [0, 1, 6])
def test_the_state_holds_the_entropy_of_a_tree_without_a_seed(cut):
    def tree():
        return sf.StochasticMux(pool(), 2, 3)

    live = tree().open()
    take(live, cut)
    state = through_json(live.state_dict())
    wanted = take(live, 20)
    np.random.seed(99)
    again = tree().open()
    again.load_state_dict(state)
    assert take(again, 20) == wanted


@pytest.mark.parametrize("name", ["with replacement", "buffer", "cache", "leaf object"])
def test_loading_changes_neither_the_state_nor_itself(name):
    with TREES[name]().open() as live:
        take(live, 4)
        state = through_json(live.state_dict())
    text = json.dumps(state, sort_keys=True)
    with resumed(name, state) as one:
        assert json.dumps(one.state_dict(), sort_keys=True) == text
        wanted = take(one, 5)
    live = TREES[name]().open()
    live.load_state_dict(state)
    assert take(live, 5) == wanted
    assert json.dumps(state, sort_keys=True) == text


def other_releases():
    """A state in which one thing is that of another release, and what is said of it."""
    live = sf.Streamer("abc").open()
    next(live)
    state = live.state_dict()
    for version in (1, 3):
        yield {**state, "version": version}, f"version {version}"
    yield {**state, "format": "0" * 16}, "other items"
    yield {**state, "node": {**state["node"], "version": 9}}, "version 9"


def test_a_state_of_another_release_is_refused_with_advice():
    for state, what in other_releases():
        with pytest.raises(sf.StateError, match=f"{what}.*: resume with the release that saved it"):
            sf.Streamer("abc").open().load_state_dict(state)


# ---- after an error in a leaf


class Fault:
    """Breaks a leaf while `armed`."""

    armed = True


def fragile(fault, n, name, at, rng):
    if at == "opening" and fault.armed:
        raise OSError("disk")
    for i in range(n):
        if at == i and fault.armed:
            raise OSError("disk")
        yield {"x": int(rng.integers(10**9)), "name": name}


def fragile_opening(fault, n, name, at, rng):
    """The same, but the error comes from the call and not from the first `next`."""
    if at == "opening" and fault.armed:
        raise OSError("disk")
    return fragile(fault, n, name, at, rng)


FRAGILE = {
    "leaf": lambda s: s("a", 3).with_seed(0),
    "round robin": lambda s: sf.RoundRobinMux([s("a"), s("b", 3), s("c")], random_state=0),
    "chain": lambda s: sf.ChainMux([s("a"), s("b", 2), s("c")], random_state=0),
    "stochastic": lambda s: sf.StochasticMux([s("a"), s("b", 1), s("c")], 2, 3, random_state=0),
    "opening": lambda s: sf.StochasticMux([s("a"), s("b", "opening"), s("c")], 1, 3, random_state=3),
    "opening all": lambda s: sf.StochasticMux([s("a"), s("b", "opening")], 2, None, mode="exhaustive", random_state=0),
    "opening in a chain": lambda s: sf.ChainMux([s("a"), s("b", "opening")], random_state=0),
    "opening at once": lambda s: sf.ShuffledMux([s("a", "opening"), s("b", "opening")], random_state=0),
    "window": lambda s: sf.ChainMux([s("a"), s("b", 2), s("c")], random_state=0).pipe(sf.buffer_stream, 4),
    "window of a leaf": lambda s: s("a", 5).with_seed(1).pipe(sf.buffer_stream, 3, partial=True),
    "windows of members": lambda s: sf.RoundRobinMux(
        [s("a").pipe(sf.buffer_stream, 2), s("b", 3).pipe(sf.buffer_stream, 2)], random_state=0
    ),
    "cache": lambda s: sf.ChainMux([s("a"), s("b", 2)]).pipe(sf.cache, 3).with_seed(0),
    "below a function": lambda s: sf.Streamer(noisy, sf.ChainMux([s("a"), s("b", 2)]), "x").with_seed(0),
}


@pytest.mark.parametrize("source", [fragile, fragile_opening])
@pytest.mark.parametrize("name", FRAGILE)
def test_after_an_error_the_state_continues_once_the_leaf_is_repaired(name, source):
    fault = Fault()

    def tree():
        return FRAGILE[name](lambda letter, at=None: sf.Streamer(source, fault, 6, letter, at))

    fault.armed = False
    wanted = take(tree().open(), LIMIT)
    fault.armed = True
    live, delivered = tree().open(), 0
    with pytest.raises(OSError, match="disk"):
        while True:
            assert plain(next(live)) == wanted[delivered]
            delivered += 1
    assert live.position == delivered
    state = through_json(live.state_dict())
    with pytest.raises(sf.StreamflowError):
        next(live)
    assert through_json(live.state_dict()) == state
    fault.armed = False
    again = tree().open()
    again.load_state_dict(state)
    assert again.position == delivered
    assert take(again, LIMIT - delivered) == wanted[delivered:]
