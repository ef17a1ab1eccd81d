"""State: what loading checks, what it warns of, what resuming costs."""

import copy
import itertools
import json
import random

import numpy as np
import pytest

import streamflow as sf


def numbers(n=50, name=""):
    for i in range(n):
        yield (name, i)


def other_numbers(n=50, name=""):
    for i in range(n):
        yield (name, -i)


def file(path):
    for i in range(100):
        yield (path, i)


def state_after(tree, n):
    with tree.open() as live:
        for _ in itertools.islice(live, n):
            pass
        return json.loads(json.dumps(live.state_dict()))


def load(tree, state, **kwargs):
    live = tree.open()
    live.load_state_dict(state, **kwargs)
    return live


def pool(n=4):
    return [sf.Streamer(numbers, 50, chr(97 + i)) for i in range(n)]


def named(names):
    return {name: sf.Streamer(numbers, 50, name) for name in names}


def _weighted(*weights):
    return sf.ShuffledMux(pool(2), weights=weights, random_state=0)


BASE = {
    "shuffled": lambda: sf.ShuffledMux(pool(), random_state=0),
    "weighted both": lambda: sf.ChainMux([_weighted(1, 4), _weighted(4, 1)]),
    "weights": lambda: sf.ShuffledMux(pool(), weights=[1, 2, 3, 4], random_state=0),
    "stochastic": lambda: sf.StochasticMux(pool(), 2, 8, random_state=0),
    "stochastic weights": lambda: sf.StochasticMux(pool(), 2, 8, weights=[1, 2, 3, 4], random_state=0),
    "names": lambda: sf.ShuffledMux(named("abcd"), random_state=0),
    "buffer": lambda: sf.Streamer(lambda: ({"x": i} for i in range(50))).pipe(sf.buffer_stream, 4),
    "nested": lambda: sf.ChainMux([sf.ShuffledMux(pool(2)), sf.RoundRobinMux(pool(2))], random_state=0),
}

OTHERS = {
    "another type": ("shuffled", lambda: sf.RoundRobinMux(pool(), random_state=0)),
    "a leaf instead of a mux": ("shuffled", lambda: sf.Streamer(numbers)),
    "another size": ("shuffled", lambda: sf.ShuffledMux(pool(5), random_state=0)),
    "a smaller size": ("stochastic", lambda: sf.StochasticMux(pool(3), 2, 8, random_state=0)),
    "another n_active": ("stochastic", lambda: sf.StochasticMux(pool(), 3, 8, random_state=0)),
    "other names": ("names", lambda: sf.ShuffledMux(named("abce"), random_state=0)),
    "names in another order": ("names", lambda: sf.ShuffledMux(named("abdc"), random_state=0)),
    "other weights": ("weights", lambda: sf.ShuffledMux(pool(), weights=[4, 3, 2, 1], random_state=0)),
    "weights that changed places": ("weighted both", lambda: sf.ChainMux([_weighted(4, 1), _weighted(1, 4)])),
    "weights instead of none": ("shuffled", lambda: sf.ShuffledMux(pool(), weights=[4, 3, 2, 1], random_state=0)),
    "another map": ("buffer", lambda: sf.Streamer(lambda: ({"x": i} for i in range(50))).pipe(sf.tuples, "x")),
    "no map": ("buffer", lambda: sf.Streamer(lambda: ({"x": i} for i in range(50)))),
    "another inner mux": (
        "nested",
        lambda: sf.ChainMux([sf.ShuffledMux(pool(2)), sf.ShuffledMux(pool(2))], random_state=0),
    ),
    "another inner size": (
        "nested",
        lambda: sf.ChainMux([sf.ShuffledMux(pool(3)), sf.RoundRobinMux(pool(2))], random_state=0),
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_the_state_of_another_tree_is_refused(name):
    base, other = OTHERS[name]
    state = state_after(BASE[base](), 9)
    with pytest.raises(sf.exceptions.StateError) as caught:
        load(other(), state)
    assert len(str(caught.value).split()) > 4  # words, not a bare key


def test_the_words_name_what_differs():
    with pytest.raises(sf.exceptions.StateError, match="weights"):
        load(OTHERS["other weights"][1](), state_after(BASE["weights"](), 9))
    with pytest.raises(sf.exceptions.StateError, match="ShuffledMux") as caught:
        load(OTHERS["another type"][1](), state_after(BASE["shuffled"](), 9))
    assert "RoundRobinMux" in str(caught.value)


@pytest.mark.parametrize("name", ["weights", "stochastic weights"])
def test_strict_false_allows_changed_weights(name):
    def changed():
        if name == "weights":
            return sf.ShuffledMux(pool(), weights=[9, 1, 1, 1], random_state=0)
        return sf.StochasticMux(pool(), 2, 8, weights=[9, 1, 1, 1], random_state=0)

    state = state_after(BASE[name](), 9)
    with pytest.raises(sf.exceptions.StateError, match="weights"):
        load(changed(), state)
    live = load(changed(), state, strict=False)
    assert live.position == 9
    following = list(itertools.islice(live, 15))
    assert len(following) == 15
    if name == "weights":  # endless members go on where they were
        seen = state_items(BASE[name](), 9)
        for letter in {item[0] for item in following}:
            assert next(i for c, i in following if c == letter) == sum(c == letter for c, _ in seen)


def state_items(tree, n):
    return list(itertools.islice(tree.iterate(), n))


@pytest.mark.parametrize("state", [None, [], {}, {"version": 10**6}, "text", 3])
def test_what_is_no_state_is_refused_in_words(state):
    with pytest.raises(sf.StreamflowError):
        load(sf.Streamer("abc"), state)


def test_a_state_of_another_version_is_refused():
    state = state_after(sf.Streamer("abc"), 1)
    state["version"] = 10**6
    with pytest.raises(sf.exceptions.StateError, match="version"):
        load(sf.Streamer("abc"), state)


# ---- arguments of open members


def chain_of_files(paths):
    return sf.ChainMux([sf.Streamer(file, p) for p in paths], random_state=0)


PATHS = [f"a/{i:04d}.npz" for i in range(20)]


def test_a_changed_argument_in_an_open_slot_is_named():
    state = state_after(chain_of_files(PATHS), 1705)  # in the middle of member 17
    changed = [p.replace("0017", "0170") for p in PATHS]
    with pytest.raises(sf.exceptions.StateError) as caught:
        load(chain_of_files(changed), state)
    text = str(caught.value)
    assert "17" in text
    assert "'a/0017.npz'" in text
    assert "'a/0170.npz'" in text


@pytest.mark.parametrize("before_after", [(3, 4), ("a", "b"), (1.5, 2.5), (None, "a"), (b"a", b"b"), ((1, 2), (1, 3))])
def test_simple_arguments_of_other_kinds_are_compared_too(before_after):
    def leaf(argument):
        yield from range(10)

    before, after = (sf.ChainMux([sf.Streamer(leaf, argument=a)], random_state=0) for a in before_after)
    state = state_after(before, 4)
    assert next(load(before, state)) == 4
    with pytest.raises(sf.exceptions.StateError):
        load(after, state)


def test_a_changed_argument_elsewhere_is_no_matter():
    state = state_after(chain_of_files(PATHS), 1705)
    changed = [p.replace("0003", "0300").replace("0019", "0190") for p in PATHS]
    assert next(load(chain_of_files(changed), state)) == ("a/0017.npz", 5)


# ---- leaves that differ from themselves


def unsteady():
    """Its items depend on how often it was opened."""
    opened = itertools.count()

    def leaf():
        first = 1000 * next(opened)
        yield from range(first, first + 50)

    return sf.RoundRobinMux({"steady": range(50), "shaky": sf.Streamer(leaf)}, random_state=0)


def test_a_leaf_that_differs_from_itself_is_refused():
    tree = unsteady()
    state = state_after(tree, 9)
    with pytest.raises(sf.exceptions.StateError, match="shaky|leaf"):
        load(tree, state)


def test_verify_false_skips_the_comparison():
    tree = unsteady()
    state = state_after(tree, 9)
    live = load(tree, state, verify=False)
    assert live.position == 9
    assert next(live) % 1000 == 4


def test_verification_does_not_mind_arrays_and_odd_items():
    class Odd:
        pass

    def leaf(rng):
        while True:
            yield {"x": rng.random(4), "nan": np.array([np.nan, 1.0]), "list": [rng.random(2), "t"], "nested": {"y": 1}}

    tree = sf.RoundRobinMux([sf.Streamer(leaf), sf.Streamer(lambda: iter([np.nan, None, 2**70, "s"]))], random_state=0)
    live = tree.open()
    state = state_after(tree, 4)
    wanted = next(itertools.islice(live, 4, None))
    again = next(load(tree, state))
    assert np.array_equal(again["x"], wanted["x"])
    odd = sf.Streamer(lambda: iter([Odd(), Odd(), Odd()]))
    assert isinstance(next(load(odd, state_after(odd, 2), verify=False)), Odd)


def numpy_noise():
    while True:
        yield float(np.random.random())


def python_noise():
    while True:
        yield random.random()


@pytest.mark.parametrize("leaf", [numpy_noise, python_noise])
def test_a_leaf_on_a_global_random_state_warns_and_goes_on(leaf):
    tree = sf.RoundRobinMux([sf.Streamer(leaf), range(50)], random_state=0)
    state = state_after(tree, 9)
    with pytest.warns(UserWarning, match=leaf.__name__) as caught:
        live = load(tree, state)
    assert len([w for w in caught if leaf.__name__ in str(w.message)]) == 1
    assert live.position == 9
    assert next(live) == 4
    assert isinstance(next(live), float)


def test_a_function_on_a_global_random_state_warns_once_whatever_its_arguments():
    def noise(place):
        while True:
            yield place, float(np.random.random())

    tree = sf.RoundRobinMux([sf.Streamer(noise, place) for place in range(5)])
    with pytest.warns(UserWarning, match="noise") as caught:
        load(tree, state_after(tree, 9))
    assert len(caught) == 1


# ---- resuming without replay


class Counted:
    """Leaves that count the items drawn from them."""

    def __init__(self):
        self.drawn = 0

    def plain(self, n, name):
        for i in range(n):
            self.drawn += 1
            yield (name, i)

    def with_start(self, n, name, start):
        for i in range(start, n):
            self.drawn += 1
            yield (name, i)

    def with_optional_start(self, n, name, start=None):
        return self.with_start(n, name, start or 0)

    def own_start(self, n, name, start=0):
        """`start` has a default of its own: it is the user's, and is not injected."""
        assert start == 0
        return self.plain(n, name)


class Position:
    """A leaf object with a state."""

    def __init__(self, counted, n, name):
        self.counted, self.n, self.name, self.i = counted, n, name, 0

    def __iter__(self):
        return self

    def __next__(self):
        if self.i >= self.n:
            raise StopIteration
        self.counted.drawn += 1
        self.i += 1
        return (self.name, self.i - 1)

    def state_dict(self):
        return {"i": self.i}

    def load_state_dict(self, state):
        self.i = state["i"]


@pytest.mark.parametrize(
    ("kind", "replayed"),
    [("with_start", False), ("with_optional_start", False), ("object", False), ("plain", True), ("own_start", True)],
)
def test_start_and_leaf_objects_resume_without_replay(kind, replayed):
    counted = Counted()

    def leaf(name):
        if kind == "object":
            return sf.Streamer(Position, counted, 400, name)
        return sf.Streamer(getattr(counted, kind), 400, name)

    tree = sf.ShuffledMux([leaf("a"), leaf("b")], random_state=0)
    live = tree.open()
    list(itertools.islice(live, 300))
    state = json.loads(json.dumps(live.state_dict()))
    wanted = list(itertools.islice(live, 300))
    counted.drawn = 0
    again = load(tree, state)
    first = next(again)
    # without replay: two items of each leaf and its double for the comparison, and the item asked for
    assert (counted.drawn > 200) if replayed else (counted.drawn <= 2 * 4 + 1)
    assert [first, *itertools.islice(again, 299)] == wanted


def test_start_is_the_number_of_items_of_this_activation():
    seen = []

    def leaf(start):
        seen.append(start)
        yield from range(start, 5)

    tree = sf.ChainMux([sf.Streamer(leaf)], mode="cycle", random_state=0)
    live = tree.open()
    assert list(itertools.islice(live, 13)) == [0, 1, 2, 3, 4] * 2 + [0, 1, 2]
    assert seen == [0, 0, 0]
    assert list(itertools.islice(load(tree, live.state_dict()), 4)) == [3, 4, 0, 1]
    assert 3 in seen


# ---- what a state costs


def test_a_state_is_small_and_resuming_replays_the_open_activations_only():
    counted = Counted()
    members = [sf.Streamer(counted.plain, 10**9, f"member {i}") for i in range(1000)]
    mux = sf.StochasticMux(members, n_active=16, rate=64, dist="constant", random_state=0)
    live = mux.open()
    for _ in itertools.islice(live, 100_000):
        pass
    state = live.state_dict()
    assert len(json.dumps(state)) < 64 * 1024
    wanted = list(itertools.islice(live, 50))
    counted.drawn = 0
    again = load(mux, state)
    assert counted.drawn <= 16 * 64 + 16 * 2  # the open activations, and two items each for the comparison
    assert list(itertools.islice(again, 50)) == wanted


def test_the_size_of_a_state_does_not_follow_the_pool():
    def size(n):
        mux = sf.StochasticMux(sf.StreamerList(numbers, range(n)), 8, 4, random_state=0)
        return len(json.dumps(state_after(mux, 100)))

    assert size(20_000) < size(200) + 1000


def test_another_numpy_version_warns():
    tree = sf.ShuffledMux(pool(), random_state=0)
    state = state_after(tree, 9)
    text = json.dumps(state)
    assert json.dumps(np.__version__) in text
    changed = json.loads(text.replace(json.dumps(np.__version__), '"1.0.0"'))
    with pytest.warns(UserWarning, match="NumPy"):
        live = load(tree, changed)
    assert list(itertools.islice(live, 5)) == state_items(tree, 14)[9:]


def test_a_state_is_a_snapshot():
    live = sf.StochasticMux(pool(), 2, 3, random_state=0).open()
    next(live)
    state = live.state_dict()
    kept = copy.deepcopy(state)
    list(itertools.islice(live, 20))
    assert state == kept
