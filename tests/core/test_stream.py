"""Stream: one live pass. Opening, every way a child is closed, threads, position, `with streamer as live`."""

import contextlib
import gc
import inspect
import itertools
import sys
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest

import streamflow as sf


class Members:
    """Leaves that note when they are opened and closed, and how many are open at once."""

    def __init__(self, length=10**9):
        self.length, self.open, self.most, self.closed = length, 0, 0, 0

    def leaf(self, name="x"):
        self.open += 1
        self.most = max(self.most, self.open)
        try:
            for i in range(self.length):
                yield f"{name}{i}"
        finally:
            self.open -= 1
            self.closed += 1

    def streamers(self, n):
        return [sf.Streamer(self.leaf, chr(97 + i)) for i in range(n)]


def trees(members):
    """Trees over infinite members, by name."""
    of = members.streamers
    return {
        "leaf": of(1)[0],
        "round robin": sf.RoundRobinMux(of(3)),
        "chain": sf.ChainMux(of(2)),
        "shuffled": sf.ShuffledMux(of(3), random_state=0),
        "stochastic": sf.StochasticMux(of(4), 2, 3, random_state=0),
        "zip": sf.ZipMux([s.pipe(as_samples, str(i)) for i, s in enumerate(of(2))]),
        "nested": sf.ShuffledMux([sf.StochasticMux(of(3), 2, 2), sf.RoundRobinMux(of(2))], random_state=0),
        "map": of(1)[0].pipe(as_samples, "x").pipe(sf.buffer_stream, 2).pipe(sf.tuples, "x"),
    }


def as_samples(stream, key):
    for item in stream:
        yield {key: item}


TREES = list(trees(Members()))


def test_open_gives_an_iterator_that_is_a_context_manager():
    streamer = sf.Streamer("abc")
    with streamer.open() as live:
        assert isinstance(live, sf.Stream)
        assert iter(live) is live
        assert next(live) == "a"
        assert list(live) == ["b", "c"]
        assert next(live, "end") == "end"
    assert list(streamer) == ["a", "b", "c"]


def test_close_is_idempotent_and_a_closed_stream_raises():
    live = sf.Streamer("abc").open()
    next(live)
    live.close()
    live.close()
    with pytest.raises(sf.StreamflowError, match="closed"):
        next(live)
    with pytest.raises(sf.StreamflowError, match="closed"):
        list(live)


def test_a_stream_closed_before_its_first_item_raises_too():
    live = sf.Streamer("abc").open()
    live.close()
    with pytest.raises(sf.StreamflowError, match="closed"):
        next(live)


def test_streams_of_one_streamer_are_independent():
    streamer = sf.Streamer("abc")
    first, second = streamer.open(), streamer.open()
    assert [next(first), next(first), next(second), next(first), next(second)] == ["a", "b", "a", "c", "b"]
    first.close()
    assert next(second) == "c"


@pytest.mark.parametrize("name", TREES)
@pytest.mark.parametrize("how", ["close", "context manager", "error in the block", "generator", "break"])
def test_children_are_closed_when_a_pass_stops_early(name, how):
    members = Members()
    tree = trees(members)[name]
    if how == "close":
        live = tree.open()
        list(itertools.islice(live, 5))
        live.close()
    elif how == "context manager":
        with tree.open() as live:
            list(itertools.islice(live, 5))
    elif how == "error in the block":
        with contextlib.suppress(KeyError), tree.open() as live:
            next(live)
            raise KeyError
    elif how == "generator":
        items = tree.iterate()
        next(items)
        items.close()
    else:
        for _ in tree:
            break
    assert members.most > 0
    assert members.open == 0


@pytest.mark.parametrize("name", TREES)
@pytest.mark.parametrize("make", ["open", "iterate", "iter", "call", "cycle"])
def test_children_are_closed_when_the_handle_is_dropped(name, make):
    members = Members()
    tree = trees(members)[name]
    makers = {"open": tree.open, "iterate": tree.iterate, "iter": tree.__iter__, "call": tree, "cycle": tree.cycle}
    gc.collect()
    gc.disable()
    try:
        handle = makers[make]()
        next(handle)
        assert members.open > 0
        del handle
        assert members.open == 0
    finally:
        gc.enable()


@pytest.mark.parametrize("name", TREES)
def test_max_iter_closes_the_children(name):
    members = Members()
    list(trees(members)[name].iterate(3))
    assert (members.open, members.closed > 0) == (0, True)


def test_children_are_closed_explicitly_even_if_somebody_holds_them():
    held = []

    def leaf(name):
        held.append(name * i for i in range(1, 10**9))
        return held[-1]

    def states():
        return [inspect.getgeneratorstate(g) for g in held]

    mux = sf.StochasticMux([sf.Streamer(leaf, c) for c in "abc"], 1, 2, dist="constant", random_state=0)
    live = mux.open()
    list(itertools.islice(live, 9))  # five activations of two items
    assert states() == ["GEN_CLOSED"] * 4 + ["GEN_SUSPENDED"]
    live.close()
    assert states() == ["GEN_CLOSED"] * 5


@pytest.mark.parametrize("n_active", [1, 2, 5])
@pytest.mark.parametrize("mode", ["with_replacement", "single_active", "exhaustive"])
def test_never_more_than_n_active_members_are_open(n_active, mode):
    members = Members(length=4)
    mux = sf.StochasticMux(members.streamers(6), n_active, 2, mode=mode, random_state=1)
    items = list(mux.iterate(60))
    assert items
    assert members.most <= n_active
    assert members.open == 0


def test_an_error_in_one_member_closes_the_others():
    members = Members()

    def broken():
        yield "b"
        raise OSError("disk")

    mux = sf.RoundRobinMux([*members.streamers(2), sf.RoundRobinMux([sf.Streamer(broken), *members.streamers(1)])])
    live = mux.open()
    with pytest.raises(OSError, match="disk"):
        list(live)
    assert (members.open, members.closed) == (0, 3)
    with pytest.raises(sf.StreamflowError):
        next(live)


def numbered_pairs():
    for i in range(2 * N_SHARED):
        yield {"x": i // 2}


N_SHARED = 20_000
SHARED = {
    "leaf": sf.Streamer(range(N_SHARED)),
    "stochastic": sf.StochasticMux([range(i, N_SHARED, 8) for i in range(8)], 4, None, mode="exhaustive"),
    "nested": sf.ChainMux([sf.RoundRobinMux([range(i, N_SHARED, 4) for i in (j, j + 2)]) for j in range(2)]),
    "map": sf.Streamer(numbered_pairs).pipe(sf.buffer_stream, 2).pipe(lambda batches: (b["x"][0] for b in batches)),
}


@pytest.mark.parametrize("name", SHARED)
def test_threads_that_share_a_stream_get_each_item_once(name):
    live, results, errors = SHARED[name].open(), [[] for _ in range(4)], []

    def work(mine):
        try:
            mine.extend(live)
        except BaseException as error:  # reported by the test itself
            errors.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=work, args=(mine,)) for mine in results]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    finally:
        sys.setswitchinterval(interval)
    assert errors == []
    assert sorted(int(i) for mine in results for i in mine) == list(range(N_SHARED))


def test_a_state_taken_while_threads_draw_is_that_of_its_position():
    def tree():
        members = [range(k, 30_000, 9) for k in range(9)]
        return (
            sf.StochasticMux(members, 4, 3, random_state=0)
            .pipe(sf.map_items, lambda i: {"x": i})
            .pipe(sf.buffer_stream, 2)
        )

    live, states = tree().open(), []
    wanted = [b["x"].tolist() for b in itertools.islice(tree(), 1500)]
    drawers = [threading.Thread(target=lambda: [next(live) for _ in range(400)]) for _ in range(3)]
    for thread in drawers:
        thread.start()
    while any(thread.is_alive() for thread in drawers):
        states.append(live.state_dict())
    for state in states[:: len(states) // 12 + 1]:
        with tree().open() as again:
            again.load_state_dict(state)
            at = again.position
            assert next(again)["x"].tolist() == wanted[at]
    assert live.position == 1200


def test_position_counts_the_items_of_this_epoch():
    live = sf.Streamer("abc").open()
    seen = [(live.epoch, live.position)]
    for _ in live:
        seen.append((live.epoch, live.position))
    assert seen == [(0, 0), (0, 1), (0, 2), (0, 3)]
    assert sf.Streamer("abc").open(epoch=7).epoch == 7


def test_a_cycling_stream_counts_its_epochs():
    live = sf.Streamer("abc").open(epoch=2, cycle=True)
    seen = [(next(live), live.epoch, live.position) for _ in range(7)]
    epochs = [(2, 1), (2, 2), (2, 3), (3, 1), (3, 2), (3, 3), (4, 1)]
    assert [s[1:] for s in seen] == epochs
    assert "".join(s[0] for s in seen) == "abcabca"
    live.close()


def test_a_cycling_stream_gives_each_epoch_its_own_order():
    mux = sf.StochasticMux(list("abcdefgh"), 3, None, mode="exhaustive", random_state=0)
    live = mux.open(cycle=True)
    epochs = ["".join(itertools.islice(live, 8)) for _ in range(3)]
    live.close()
    assert epochs == ["".join(mux.open(epoch=e)) for e in range(3)]
    assert len(set(epochs)) == 3


class Item:
    """Something a weak reference can watch."""


def fresh_items(n):
    for _ in range(n):
        yield Item()


@pytest.mark.parametrize(
    "tree",
    [
        sf.Streamer(fresh_items, 5),
        sf.RoundRobinMux([sf.Streamer(fresh_items, 5)] * 2),
        sf.StochasticMux([sf.Streamer(fresh_items, 5)] * 3, 2, 2, random_state=0),
        sf.ChainMux([sf.ShuffledMux([sf.Streamer(fresh_items, 5)] * 2, random_state=0)]),
    ],
)
def test_a_delivered_item_is_not_held(tree):
    with tree.open() as live:
        watched = [weakref.ref(next(live)) for _ in range(4)]
        assert [ref() for ref in watched] == [None] * 4


# ---- pescador's way: `with streamer as live`


def test_with_streamer_gives_one_pass_that_answers_as_a_streamer():
    drawn = []

    def letters():
        for c in "abcdefghij":
            drawn.append(c)
            yield c

    streamer = sf.Streamer(letters)
    with streamer as live:
        assert isinstance(live, sf.Stream)
        assert (live.active, live.is_activated_copy) == (1, True)
        assert (streamer.active, streamer.is_activated_copy) == (1, False)
        assert list(live.iterate(2)) == ["a", "b"]
        assert list(live(max_iter=3)) == ["c", "d", "e"]
        assert list(live(0)) == []
        assert next(live) == "f"
        assert drawn == list("abcdef")
        for item in live:
            assert item == "g"
            break
        assert list(live.iterate()) == ["h", "i", "j"]
    assert (live.active, streamer.active) == (0, 0)
    with pytest.raises(sf.StreamflowError):
        next(live)


def test_with_streamer_does_not_swallow_errors_and_can_be_entered_again():
    members = Members()
    streamer = members.streamers(1)[0]
    with pytest.raises(KeyError), streamer as live:
        next(live)
        raise KeyError
    assert (members.open, streamer.active) == (0, 0)
    with streamer as live:
        assert next(live) == "a0"


def test_with_statements_nest():
    streamer = sf.Streamer("abc")
    with streamer as outer:
        assert next(outer) == "a"
        with streamer as inner:
            assert streamer.active == 2
            assert list(inner) == ["a", "b", "c"]
        assert list(outer) == ["b", "c"]
        assert streamer.active == 1
    assert streamer.active == 0


def inside(streamer):
    """A generator with a block of its own; blocks in generators need not end in the order in which they began."""
    with streamer as live:
        yield from live


def test_blocks_that_do_not_nest_close_their_own_stream():
    streamer = sf.Streamer("abc")
    first, second = inside(streamer), inside(streamer)
    assert next(first) == next(second) == "a"
    first.close()
    assert streamer.active == 1
    assert list(second) == ["b", "c"]
    assert streamer.active == 0


def test_a_block_may_end_in_another_thread():
    streamer = sf.Streamer("abc")
    abandoned = inside(streamer)
    assert next(abandoned) == "a"
    with ThreadPoolExecutor(1) as pool, streamer as other:
        pool.submit(abandoned.close).result()
        assert streamer.active == 1
        assert list(other) == ["a", "b", "c"]
    assert streamer.active == 0


def test_a_block_in_a_generator_that_is_dropped_is_left():
    streamer = sf.Streamer("abc")
    abandoned = inside(streamer)
    assert (next(abandoned), streamer.active) == ("a", 1)
    del abandoned
    assert streamer.active == 0


def test_an_exit_stack_closes_the_innermost_stream_first():
    streamer, between = sf.Streamer("abc"), []
    with contextlib.ExitStack() as stack:
        outer = stack.enter_context(streamer)
        stack.callback(lambda: between.append((outer.active, inner.active)))
        inner = stack.enter_context(streamer)
    assert between == [(1, 0)]
    assert streamer.active == 0


@pytest.mark.parametrize("max_iter", [True, float("nan"), "3"])
def test_a_live_pass_checks_max_iter_at_the_call(max_iter):
    with sf.Streamer("abc") as live:
        for call in (live.iterate, live):
            with pytest.raises(sf.exceptions.ParameterError, match="max_iter"):
                call(max_iter)


def test_maps_accept_a_stream_and_leave_its_state_to_be_asked():
    samples = sf.Streamer([{"x": i, "y": -i} for i in range(8)])
    with samples.open() as live:
        rows = sf.tuples(live, "x", "y")
        assert [next(rows), next(rows)] == [(0, 0), (1, -1)]
        state = live.state_dict()
        assert live.position == 2
        assert next(rows) == (2, -2)
    with samples.open() as again:
        again.load_state_dict(state)
        assert next(again) == {"x": 2, "y": -2}
