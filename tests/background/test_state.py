"""A background stream is a stream like any other: keys, states, epochs, parts, under maps and in muxes."""

import itertools
import json
import random
import time

import numpy as np
import pytest

import streamflow as sf

pytestmark = pytest.mark.usefixtures("channel")


def noisy(k, rng, n=30, pause=0.0):
    for i in range(n):
        if pause:
            time.sleep(pause)
        yield {"k": k, "i": i, "x": rng.integers(1 << 30, size=3).tolist()}


def tree(pause=0.0, seed=1):
    pool = [sf.Streamer(noisy, k, n=20 + k, pause=pause) for k in range(7)]
    return sf.StochasticMux(pool, n_active=3, rate=6, weights=range(1, 8), random_state=seed)


def resumed(make, cuts, total=300):
    """The items of passes that end at each cut, each resumed from a state in JSON."""
    got, state = [], None
    for cut in [*cuts, total]:
        with make().open() as stream:
            if state is not None:
                stream.load_state_dict(json.loads(state))
                assert stream.position == len(got)
            got += itertools.islice(stream, cut - len(got))
            state = json.dumps(stream.state_dict())
    return got


def test_it_is_the_serial_stream():
    assert list(sf.ZMQStreamer(tree())(max_iter=500)) == list(tree()(max_iter=500))


def test_without_a_seed_it_follows_numpy():
    np.random.seed(5)
    serial = list(tree(seed=None)(max_iter=100))
    np.random.seed(5)
    assert list(sf.ZMQStreamer(tree(seed=None))(max_iter=100)) == serial
    assert list(sf.ZMQStreamer(tree(seed=None))(max_iter=100)) != serial


@pytest.mark.parametrize("epoch", [0, 3])
def test_epochs(epoch):
    assert list(sf.ZMQStreamer(tree())(max_iter=50, epoch=epoch)) == list(tree()(max_iter=50, epoch=epoch))


def test_cycle():
    finite = sf.RoundRobinMux([sf.Streamer(noisy, k, n=5) for k in range(3)], random_state=3)
    assert list(sf.ZMQStreamer(finite).cycle(40)) == list(finite.cycle(40))

    def make():
        return sf.ZMQStreamer(finite)

    with make().open(cycle=True) as stream:
        got = list(itertools.islice(stream, 22))
        state = stream.state_dict()
    with make().open(cycle=True) as stream:
        stream.load_state_dict(state)
        assert stream.epoch == 1
        got += itertools.islice(stream, 18)
    assert got == list(finite.cycle(40))


def test_with_seed():
    z = sf.ZMQStreamer(tree(seed=None)).with_seed(9)
    assert list(z(max_iter=60)) == list(tree(seed=None).with_seed(9)(max_iter=60))


@pytest.mark.parametrize("count", [2, 3])
def test_a_part_of_it_is_the_part_of_the_tree(count):
    finite = sf.RoundRobinMux([sf.Streamer(noisy, k, n=5) for k in range(7)], random_state=3)
    for index in range(count):
        assert list(sf.ZMQStreamer(finite).shard(index, count)) == list(finite.shard(index, count))
        assert list(sf.ZMQStreamer(finite.shard(index, count))) == list(finite.shard(index, count))


def test_a_state_before_the_first_item():
    with sf.ZMQStreamer(tree(seed=None)).open() as stream:
        state = stream.state_dict()
        first = next(stream)
    with sf.ZMQStreamer(tree(seed=None)).open() as stream:
        stream.load_state_dict(state)
        assert next(stream) == first


def test_cuts_with_items_in_flight():
    serial = list(tree()(max_iter=300))
    assert resumed(lambda: sf.ZMQStreamer(tree()), [1, 2, 10, 11, 100, 101, 299]) == serial


@pytest.mark.usefixtures("every_item_marked")
def test_cuts_among_many_marks():
    """A mark after each item: each cut starts from another one."""
    serial = list(tree()(max_iter=300))
    assert resumed(lambda: sf.ZMQStreamer(tree()), [1, 2, 3, 50, 51, 180]) == serial
    with sf.ZMQStreamer(tree()).open() as stream:
        for i in range(40):
            next(stream)
            [lane] = stream.state_dict()["node"]["lanes"]
            given = lane["mark"]["given"] if i else 0
            assert (lane["lane"], given + lane["since"], lane["ended"]) == (0, i + 1, False)
            assert lane["since"] == 1  # the mark behind the last item has not been read yet
            assert (lane["mark"] is None) == (i == 0)


def test_marks_come_by_themselves_and_are_rare():
    with sf.ZMQStreamer(tree(pause=0.002)).open() as stream:
        givens = set()
        for _ in range(60):
            next(stream)
            mark = stream.state_dict()["node"]["lanes"][0]["mark"]
            givens.add(mark and mark["given"])
    assert 1 < len(givens) < 30


@pytest.mark.parametrize("cut", [0, 1, 7, 8, 30])
def test_under_a_map(cut):
    def make():
        return sf.ZMQStreamer(tree()).pipe(sf.buffer_stream, 4).pipe(sf.tuples, "k", "x")

    plain = tree().pipe(sf.buffer_stream, 4).pipe(sf.tuples, "k", "x")
    got = [(k.tolist(), x.tolist()) for k, x in resumed(make, [cut], 40)]
    assert got == [(k.tolist(), x.tolist()) for k, x in plain(max_iter=40)]


def test_over_a_map():
    plain = tree().pipe(sf.buffer_stream, 4)
    got = resumed(lambda: sf.ZMQStreamer(tree().pipe(sf.buffer_stream, 4)), [3, 9], 20)
    assert [b["x"].tolist() for b in got] == [b["x"].tolist() for b in plain(max_iter=20)]


@pytest.mark.parametrize("cut", [0, 1, 5, 23, 59])
def test_several_in_a_mux(cut):
    def mux(wrap):
        members = {name: wrap(sf.Streamer(noisy, k, n=20)) for k, name in enumerate("abc")}
        return sf.ShuffledMux(members, weights=[1, 2, 3], random_state=4)

    assert resumed(lambda: mux(sf.ZMQStreamer), [cut], 60) == list(mux(lambda member: member)(max_iter=60))


def test_activations_in_a_mux_are_passes_of_their_own(processes):
    def mux(wrap):
        pool = [wrap(sf.Streamer(noisy, k, n=4)) for k in range(4)]
        return sf.StochasticMux(pool, n_active=1, rate=3, random_state=2)

    most = 0
    got = []
    for item in mux(sf.ZMQStreamer)(max_iter=25):
        got.append(item)
        most = max(most, len(processes()))
    assert got == list(mux(lambda member: member)(max_iter=25))
    assert most == 1


def test_the_end():
    with sf.ZMQStreamer([1, 2, 3]).open() as stream:
        assert [next(stream) for _ in range(3)] == [1, 2, 3]
        state = stream.state_dict()
        assert list(stream) == []
        after = stream.state_dict()
    assert (after["epoch"], after["given"], after["ended"]) == (0, 3, True)
    for at_the_end in (state, after):
        with sf.ZMQStreamer([1, 2, 3]).open() as stream:
            stream.load_state_dict(at_the_end)
            assert list(stream) == []
    with sf.RoundRobinMux([sf.ZMQStreamer([1]), sf.ZMQStreamer([2, 3, 4])]).open() as stream:
        assert [next(stream) for _ in range(3)] == [1, 2, 3]
        state = stream.state_dict()
    with sf.RoundRobinMux([sf.ZMQStreamer([1]), sf.ZMQStreamer([2, 3, 4])]).open() as stream:
        stream.load_state_dict(state)
        assert list(stream) == [4]


def test_a_state_is_there_while_the_worker_hangs():
    def hanging():
        yield from range(5)
        time.sleep(3600)

    with sf.ZMQStreamer(hanging).open() as stream:
        assert [next(stream) for _ in range(5)] == list(range(5))
        assert stream.state_dict()["given"] == 5


@pytest.mark.usefixtures("every_item_marked")
def test_a_leaf_without_a_state_is_reported_when_it_matters():
    """A mark that cannot be taken disturbs nothing."""

    class Stateless:
        def __iter__(self):
            return iter(Iterator())

    class Iterator:
        def __init__(self):
            self.left = 5

        def __iter__(self):
            return self

        def __next__(self):
            if not self.left:
                raise StopIteration
            self.left -= 1
            return self.left

        def state_dict(self):
            raise OSError("no state today")

        def load_state_dict(self, state):
            raise AssertionError

    with sf.ZMQStreamer(Stateless()).open() as stream:
        assert list(itertools.islice(stream, 4)) == [4, 3, 2, 1]
        with pytest.raises(sf.StateError, match="no state today"):
            stream.state_dict()
        assert list(stream) == [0]


@pytest.mark.usefixtures("every_item_marked")
def test_what_is_wrong_with_a_state_is_reported_at_loading():
    def words(name):
        yield from name

    def make(name):
        return sf.ZMQStreamer(sf.RoundRobinMux({"a": sf.Streamer(words, name)}))

    with make("0017.npz").open() as stream:
        for _ in range(3):
            next(stream)
        state = stream.state_dict()
    with make("0170.npz").open() as stream, pytest.raises(sf.StateError, match=r"member a: was .*0017.*0170"):
        stream.load_state_dict(state)
    with sf.ZMQStreamer([1, 2]).open() as stream:
        state = stream.state_dict()
        lane = {"lane": 0, "mark": None, "since": 3, "ended": False}
        state["node"] = {"kind": "background", "version": 1, "given": 3, "turn": 0, "of": 1, "lanes": [lane]}
        state["given"] = 3
    with sf.ZMQStreamer([1, 2]).open() as stream, pytest.raises(sf.StateError, match="ends earlier"):
        stream.load_state_dict(state)
    state["node"]["lanes"] *= 2
    with sf.ZMQStreamer([1, 2]).open() as stream, pytest.raises(sf.StateError, match="another part"):
        stream.load_state_dict(state)
    with sf.ZMQStreamer([1, 2], n_lanes=1).open() as stream, pytest.raises(sf.StateError, match="n_lanes=2"):
        stream.load_state_dict(state)


def test_a_fresh_process_goes_on(tmp_path, script):
    with sf.ZMQStreamer(tree()).open() as stream:
        got = list(itertools.islice(stream, 33))
        (tmp_path / "state").write_text(json.dumps(stream.state_dict()))
    out, errors = script(
        "-c",
        f"""
import itertools, json
import streamflow as sf
from test_state import tree
with sf.ZMQStreamer(tree()).open() as stream:
    stream.load_state_dict(json.load(open({str(tmp_path / "state")!r})))
    print(json.dumps(list(itertools.islice(stream, 40))))
""",
    ).communicate(timeout=60)
    assert errors == ""
    assert got + json.loads(out) == list(tree()(max_iter=73))


@pytest.mark.usefixtures("every_item_marked")
def test_a_leaf_that_does_not_repeat_its_items_is_refused_at_loading(tmp_path):
    def unsteady():
        with open(tmp_path / "openings", "a+") as file:
            file.write("x")
            yield from (file.tell() * 10 + i for i in range(5))

    with sf.ZMQStreamer(unsteady).open() as stream:
        assert [next(stream) for _ in range(3)] == [10, 11, 12]
        state = stream.state_dict()
    with sf.ZMQStreamer(unsteady).open() as stream, pytest.raises(sf.StateError, match="unsteady.*gives other items"):
        stream.load_state_dict(state)
    with sf.ZMQStreamer(unsteady).open() as stream:
        stream.load_state_dict(state, verify=False)
        assert len(list(stream)) == 2


def drawn(n=3):
    for _ in range(n):
        yield [random.random(), float(np.random.random())]


def test_global_random_states_of_workers_are_their_own():
    """They differ between workers and activations, and repeat under a seed; the consumer's are not touched."""

    def once():
        np.random.seed(0)
        mux = sf.RoundRobinMux([sf.ZMQStreamer(sf.Streamer(drawn)) for _ in range(3)])
        return list(mux)

    numbers = once()
    assert once() == numbers
    for drawn_from in zip(*numbers, strict=True):  # `random`, then NumPy
        assert len(set(drawn_from)) == 9
    z = sf.ZMQStreamer(sf.Streamer(drawn)).with_seed(3)
    parts = [list(z), list(z.shard(0, 2)), list(z.shard(1, 2)), list(z(epoch=1))]
    for drawn_from in zip(*itertools.chain(*parts), strict=True):
        assert len(set(drawn_from)) == sum(map(len, parts))
    before = random.getstate()
    list(z)
    assert random.getstate() == before


def test_a_background_stream_made_in_a_source_belongs_to_its_activation(processes):
    def batches(stream, size):
        for batch in sf.buffer_stream(sf.ZMQStreamer(stream), size):
            yield batch["x"].tolist()

    def plain(stream, size):
        for batch in sf.buffer_stream(stream, size):
            yield batch["x"].tolist()

    below = sf.Streamer(noisy, 1, n=12)
    got = sf.Streamer(batches, below, 4).with_seed(3)
    assert list(got) == list(sf.Streamer(plain, below, 4).with_seed(3))
    for _ in got:
        break
    assert processes() == {}
