"""`state_dict(behind=n)`: the state some items back, what it costs, and what is refused."""

import contextlib
import gc
import itertools
import json
import sys
import threading
import tracemalloc
import warnings

import numpy as np
import pytest

import streamflow as sf
from streamflow.core import checkpoint
from streamflow.core import history as history_file
from streamflow.core import stream as stream_file
from streamflow.core.history import MOST, Checkpoint, History, worth_keeping
from streamflow.core.leaf import Leaf

from ..amount import amount


@pytest.fixture
def each_item(monkeypatch):
    """A state is kept before each item."""
    monkeypatch.setattr(checkpoint, "BETWEEN", 0.0)
    monkeypatch.setattr(checkpoint, "SHARE", 0)


@pytest.fixture
def only_start(monkeypatch):
    """None but the start is kept."""
    monkeypatch.setattr(checkpoint, "BETWEEN", float("inf"))


def rows(name, n, rng):
    for i in range(n):
        yield name, i, int(rng.integers(1000))


def mux(rate=5):
    members = [sf.Streamer(rows, name, 7) for name in "abcdef"]
    return sf.StochasticMux(members, 3, rate, random_state=0)


def resumed(tree, state, cycle=False):
    live = tree.open(cycle=cycle)
    live.load_state_dict(json.loads(json.dumps(state)))
    return live


def after(tree, count, cycle=False):
    live = tree.open(cycle=cycle)
    assert len(list(itertools.islice(live, count))) == count
    return live


# ---------------------------------------------------------------------- places
@pytest.mark.usefixtures("each_item")
def test_each_number_of_items_back():
    tree = mux()
    expected = list(tree(max_iter=110))
    live = after(tree, 100)
    for behind in range(MOST + 1):
        state = live.state_dict(behind=behind)
        assert state.get("draw", 0) < max(behind, 1)
        again = resumed(tree, state)
        assert again.position == 100 - behind
        assert next(again) == expected[100 - behind]
    assert next(live) == expected[100]


@pytest.mark.usefixtures("only_start")
def test_from_the_start():
    state = after(mux(), 100).state_dict(behind=40)
    assert state["draw"] == 60
    assert state["given"] == 0
    assert next(resumed(mux(), state)) == list(mux()(max_iter=61))[60]


def test_nothing_back_is_the_plain_state():
    live = after(mux(), 30)
    assert live.state_dict(behind=0) == live.state_dict()
    assert "draw" not in live.state_dict()


@pytest.mark.parametrize("length", [1, 2, 3, 40])
def test_it_may_lie_in_an_earlier_epoch(length, request):
    tree = sf.Streamer(rows, "a", length).with_seed(0)
    expected = list(tree.cycle(120))
    for kept in ("each_item", "only_start"):
        request.getfixturevalue(kept)
        live = after(tree, 100, cycle=True)
        for behind in range(MOST + 1):
            place = 100 - behind
            again = resumed(tree, live.state_dict(behind=behind), cycle=True)
            # The place right after an epoch's last item is in that epoch.
            assert (again.epoch, again.position) == ((place - 1) // length, (place - 1) % length + 1)
            assert list(itertools.islice(again, 20)) == expected[place : place + 20]
            back = again.state_dict(behind=20)
            assert list(itertools.islice(resumed(tree, back, cycle=True), 20)) == expected[place : place + 20]


@pytest.mark.parametrize("kept", ["each_item", "only_start"])
def test_a_source_that_counts_its_own_epochs(kept, request):
    request.getfixturevalue(kept)
    rows_of = sf.sources.ArraySource(np.arange(23))
    for tree in (rows_of.batches(5, shuffle=True, random_state=0, epochs=None), rows_of.samples(epochs=None)):
        live, items, places = tree.open(), [], [(0, 0)]
        for item in itertools.islice(live, 80):
            items.append(item)
            places.append((live.epoch, live.position))
        for behind in range(MOST + 1):
            again = resumed(tree, live.state_dict(behind=behind))
            assert (again.epoch, again.position) == places[80 - behind]
            assert np.array_equal(next(again), items[80 - behind]) if behind else next(again) is not None


def test_a_pass_that_was_opened_at_a_later_epoch():
    tree = sf.Streamer(rows, "a", 3).with_seed(0)
    live = tree.open(epoch=4, cycle=True)
    expected = list(itertools.islice(live, 7))
    again = resumed(tree, live.state_dict(behind=6), cycle=True)
    assert (again.epoch, again.position) == (4, 1)
    assert list(itertools.islice(again, 6)) == expected[1:]
    with pytest.raises(sf.StateError, match="can go back 7 items"):
        live.state_dict(behind=8)


def test_after_the_end():
    tree = sf.Streamer("abcde")
    live = tree.open()
    assert list(live) == list("abcde")
    for behind in range(6):
        assert list(resumed(tree, live.state_dict(behind=behind))) == list("abcde")[5 - behind :]
    ended = resumed(tree, live.state_dict())
    with pytest.raises(sf.StateError, match="can go back 0 items"):
        ended.state_dict(behind=1)


class Disk:
    gone = False


def failing(n, at):
    for i in range(n):
        if i == at and Disk.gone:
            raise OSError("the disk is gone")
        yield i


@pytest.mark.parametrize("kept", ["each_item", "only_start"])
def test_after_an_error(kept, request, monkeypatch):
    request.getfixturevalue(kept)
    monkeypatch.setattr(Disk, "gone", True)
    members = [sf.Streamer(failing, 20, 9), sf.Streamer(range(100, 120))]
    tree = sf.RoundRobinMux(members, "cycle")
    live = tree.open()
    given = []
    with pytest.raises(OSError, match="the disk is gone"):
        given.extend(live)
    states = [live.state_dict(behind=behind) for behind in range(len(given) + 1)]
    assert states[3] == live.state_dict(behind=3)
    live.close()
    Disk.gone = False
    for behind, state in enumerate(states):
        assert list(itertools.islice(resumed(tree, state), behind)) == given[len(given) - behind :]
    with pytest.raises(sf.StateError, match=f"can go back {len(given)} items"):
        live.state_dict(behind=len(given) + 1)


def test_after_an_error_between_two_epochs(monkeypatch):
    def next_epoch(node, epoch):
        raise OSError("the disk is gone")

    tree = sf.Streamer(rows, "a", 4).with_seed(0)
    live = tree.open(cycle=True)
    with monkeypatch.context() as patched:
        patched.setattr(Leaf, "next_epoch", next_epoch)
        with pytest.raises(OSError, match="the disk is gone"):
            list(live)
    expected = list(tree.cycle(8))
    for behind in range(5):
        again = resumed(tree, live.state_dict(behind=behind), cycle=True)
        assert list(itertools.islice(again, 4)) == expected[4 - behind : 8 - behind]


@pytest.mark.usefixtures("only_start")
def test_a_stream_that_a_state_is_loaded_into_later():
    tree = sf.Streamer(rows, "a", 3).with_seed(0)
    live, state = after(tree, 8, cycle=True), after(tree, 1, cycle=True).state_dict()
    live.load_state_dict(state)
    items = list(itertools.islice(live, 7))
    for behind in range(8):
        again = resumed(tree, live.state_dict(behind=behind), cycle=True)
        assert list(itertools.islice(again, behind)) == items[7 - behind :]
    with pytest.raises(sf.StateError, match="can go back 7 items"):
        live.state_dict(behind=8)


# ---------------------------------------------------------------------- resumed streams
@pytest.mark.usefixtures("each_item")
def test_a_resumed_stream_goes_back_to_the_state_that_was_loaded():
    tree = mux()
    expected = list(tree(max_iter=60))
    live = after(tree, 40)
    again = resumed(tree, live.state_dict())
    with pytest.raises(
        sf.StateError, match="can go back 0 items, to where it was opened or to the state that was loaded"
    ):
        again.state_dict(behind=1)
    assert again.state_dict(behind=0) == live.state_dict()
    list(itertools.islice(again, 5))
    for behind in range(6):
        assert next(resumed(tree, again.state_dict(behind=behind))) == expected[45 - behind]
    with pytest.raises(sf.StateError, match="there is no state 6 items back: this stream can go back 5 items"):
        again.state_dict(behind=6)


@pytest.mark.usefixtures("only_start")
def test_it_goes_back_before_its_place_if_what_was_kept_lies_there():
    tree = mux()
    expected = list(tree(max_iter=60))
    again = resumed(tree, after(tree, 40).state_dict(behind=10))
    assert again.position == 30
    for behind in range(31):
        assert next(resumed(tree, again.state_dict(behind=behind))) == expected[30 - behind]


def test_a_trainer_that_is_resumed_again_and_again():
    tree = mux()
    state, trained = None, []
    for _ in range(30):
        live = tree.open()
        if state is not None:
            live.load_state_dict(state)
        ahead = list(itertools.islice(live, 5))  # the trainer has drawn five and trained on three of them
        trained += ahead[:3]
        state = json.loads(json.dumps(live.state_dict(behind=2)))
    assert trained == list(tree(max_iter=90))


# ---------------------------------------------------------------------- what is refused
@pytest.mark.parametrize("behind", [-1, MOST + 1, 1.0, True, None, "1"])
def test_numbers_that_are_refused(behind):
    with pytest.raises(sf.ParameterError, match="`behind` must be an integer from 0 to 64, got"):
        after(mux(), 70).state_dict(behind=behind)


def test_integers_of_numpy():
    json.dumps(after(mux(), 70).state_dict(behind=np.int64(3)))


def test_before_the_start():
    with pytest.raises(sf.StateError, match="there is no state 1 items back"):
        mux().open().state_dict(behind=1)
    for cycle in (False, True):
        with pytest.raises(sf.StateError, match="there is no state 5 items back: this stream can go back 4 items"):
            after(mux(), 4, cycle).state_dict(behind=5)


def test_a_closed_stream():
    live = after(mux(), 4)
    live.close()
    with pytest.raises(sf.StreamflowError, match="closed"):
        live.state_dict(behind=1)


@pytest.mark.parametrize("draw", [-1, 1.0, "1", None, True, [1]])
def test_a_damaged_count(draw):
    state = after(mux(), 9).state_dict(behind=1)
    with pytest.raises(sf.StateError, match="draw must be an integer"):
        mux().open().load_state_dict({**state, "draw": draw})


def test_more_to_draw_than_there_is():
    tree = sf.Streamer("abcde")
    for taken in (4, 6):  # within, and after the end
        live = tree.open()
        list(itertools.islice(live, taken))
        with pytest.raises(sf.StateError, match="2 items after the one that was kept, and this stream ends before"):
            tree.open().load_state_dict({**live.state_dict(), "draw": 2})


@pytest.mark.usefixtures("only_start")
def test_a_place_in_a_later_epoch_needs_a_pass_that_is_cycled():
    tree = sf.Streamer("abc")
    state = after(tree, 7, cycle=True).state_dict(behind=2)
    with pytest.raises(sf.StateError, match="cycle=True"):
        tree.open().load_state_dict(state)


# ---------------------------------------------------------------------- nobody asked
def over(stream):
    yield from stream


class Mute:
    """A leaf that cannot say its state."""

    asked = 0

    def __iter__(self):
        return self

    def __next__(self):
        return 1

    def state_dict(self):
        Mute.asked += 1
        raise RuntimeError("no idea")

    def load_state_dict(self, state):
        raise NotImplementedError


@pytest.mark.usefixtures("each_item")
def test_trees_without_a_state_do_not_mind():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        once = after(sf.Streamer(iter(range(2000))), 1500)
        replayed = after(mux().pipe(over), 1500)
        mute = after(sf.Streamer(Mute), 50)
    with pytest.raises(sf.StateError, match="one-shot|only once|iterat"):
        once.state_dict(behind=3)
    with pytest.warns(UserWarning, match="a resume from this state will draw 1,497 items again"):
        assert replayed.state_dict(behind=3)["draw"] == 0
    assert Mute.asked > 10
    with pytest.raises(RuntimeError, match="no idea"):
        mute.state_dict(behind=3)


def test_generators_keep_nothing(monkeypatch):
    def refuse(*args):
        raise AssertionError("a generator has no state")

    monkeypatch.setattr(History, "__init__", refuse)
    tree = mux()
    assert len(list(tree(max_iter=300))) == len(list(tree.cycle(max_iter=300))) == 300
    assert sum(1 for _ in itertools.islice(iter(tree), 300)) == 300
    with pytest.raises(AssertionError, match="no state"):
        next(tree.open())


class Drifting:
    """A leaf that goes on changing the object that it gave as its state, and the one that it was given."""

    def __init__(self, n):
        self.n, self.state = n, {"i": [0]}

    def __iter__(self):
        return self

    def __next__(self):
        i = self.state["i"]
        if i[0] == self.n:
            raise StopIteration
        i[0] += 1
        return i[0]

    def state_dict(self):
        return self.state

    def load_state_dict(self, state):
        self.state = state


@pytest.mark.usefixtures("each_item")
def test_what_is_kept_is_a_snapshot():
    def make():
        return sf.Streamer(Drifting, 500)

    live = after(make(), 20)
    plain, back = live.state_dict(), live.state_dict(behind=10)
    list(itertools.islice(live, 50))
    for _ in range(2):  # a leaf that takes the object that it is given as its own does not spoil the state
        for state, place in ((plain, 20), (back, 10), (live.state_dict(behind=33), 37)):
            again = make().open()
            again.load_state_dict(state)
            assert list(itertools.islice(again, 5)) == list(range(place + 1, place + 6))
    # What was given out may be changed.
    live.state_dict(behind=7)["node"]["source"]["i"][0] = 999
    assert list(itertools.islice(resumed(make(), live.state_dict(behind=7)), 3)) == [64, 65, 66]


def test_a_state_that_cannot_be_copied():
    live = after(sf.Streamer(Drifting, 9), 1)
    live._passes.node._source.state = {"i": [1], "lock": threading.Lock()}
    with pytest.raises(sf.StateError, match="the state of Drifting\\(9\\) cannot be copied"):
        live.state_dict()


# ---------------------------------------------------------------------- what it costs
@pytest.mark.parametrize("steps", [[1], [1, 1, 1, 50], [2, 7, 30], [40], [1, 100]])
def test_a_dozen_is_kept(steps):
    kept, count = [Checkpoint(0, b"")], 0
    every = [0]
    for step in itertools.islice(itertools.cycle(steps), 200):
        count += step
        kept = worth_keeping([*kept, Checkpoint(count, b"")])
        every.append(count)
        assert len(kept) <= 12
        assert kept[0].at <= max(count - MOST, 0)
        for behind in range(min(count, MOST) + 1):
            place = count - behind
            at, best = (max(one for one in those if one <= place) for those in ([one.at for one in kept], every))
            assert place - at < max(behind, 1) + place - best


@pytest.mark.usefixtures("each_item")
def test_what_is_kept_does_not_grow():
    live = after(mux(), 500)
    sizes = []
    for _ in range(4):
        list(itertools.islice(live, 1000))
        gc.collect()
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        list(itertools.islice(live, 300))
        gc.collect()
        sizes.append(tracemalloc.get_traced_memory()[0] - before)
        tracemalloc.stop()
    assert len(live._history._kept) <= 12
    assert sizes[-1] < 200_000


def test_the_clock_decides(monkeypatch):
    """What is kept costs at most a fiftieth of the time, in a time that the test makes up."""
    now = [0.0]
    monkeypatch.setattr(checkpoint, "perf_counter", lambda: now[0])
    monkeypatch.setattr(history_file, "perf_counter", lambda: now[0])
    live = mux(rate=None).open()
    spent = []
    real = live._passes.state

    def state(failed):
        now[0] += 0.01
        spent.append(now[0])
        return real(failed)

    monkeypatch.setattr(live._passes, "state", state)
    for _ in range(3000):
        now[0] += 0.003
        next(live)
    taken = len(spent)
    assert 0.9 * now[0] / (50 * 0.01) - 2 < taken < now[0] / (50 * 0.01) + 2
    # An item that takes long is followed by one that is kept.
    now[0] += 100
    next(live)
    next(live)
    for _ in range(5):
        now[0] += 10
        next(live)
    assert len(spent) - taken >= 5


# ---------------------------------------------------------------------- interrupts and threads
def lines_of_looking():
    """How many lines run in `history` and `Stream._look` in 30 items."""
    return interrupted_at(None)[0]


def interrupted_at(number):
    """Draw 30 items with an interrupt before that line; returns lines, items and the stream."""
    seen = 0

    def local(frame, event, arg):
        nonlocal seen
        if event == "line":
            seen += 1
            if seen == number:
                raise KeyboardInterrupt
        return local

    def trace(frame, event, arg):
        name = frame.f_code.co_filename
        looking = name == history_file.__file__ or (name == stream_file.__file__ and frame.f_code.co_name == "_look")
        return local if looking else None

    live, items = mux().open(cycle=True), []
    sys.settrace(trace)
    try:
        while len(items) < 30:
            with contextlib.suppress(KeyboardInterrupt):
                items.append(next(live))
    finally:
        sys.settrace(None)
    return seen, items, live


@pytest.mark.usefixtures("each_item")
def test_an_interrupt_while_a_state_is_kept():
    expected = list(mux().cycle(35))
    total = lines_of_looking()
    assert total > 300
    for number in range(1, total + 1, amount(41, 1)):
        _, items, live = interrupted_at(number)
        assert items == expected[:30]
        for behind in (0, 1, 2, 5, 11, 29, 30):
            again = resumed(mux(), live.state_dict(behind=behind), cycle=True)
            assert next(again) == expected[30 - behind]
        live.close()


@pytest.mark.usefixtures("each_item")
def test_threads_share_a_stream():
    live = sf.Streamer(range(10**6)).open()
    got, states, stop = [], [], threading.Event()

    def draw():
        while not stop.is_set():
            got.append(next(live))

    threads = [threading.Thread(target=draw) for _ in range(3)]
    list(itertools.islice(live, MOST))
    for thread in threads:
        thread.start()
    for behind in range(MOST):
        states.append(live.state_dict(behind=behind))
    stop.set()
    for thread in threads:
        thread.join()
    assert sorted(got) == list(range(MOST, MOST + len(got)))
    for state in states:
        again = resumed(sf.Streamer(range(10**6)), state)
        assert next(again) == again.position - 1
