"""Large pools and small ones held open: nothing is read ahead, everything ends, and what is evicted is closed first."""

from collections import Counter
from itertools import islice

import pytest

from streamflow import ChainMux, RoundRobinMux, ShuffledMux, StochasticMux, Streamer, StreamerList, ZipMux
from streamflow.seeding import Key, Root

from ..amount import amount
from .members import Ledger, numbered

pytestmark = pytest.mark.timeout(60)
MODES = ["with_replacement", "single_active", "exhaustive"]


class Names:
    """This many file names; notes which were read."""

    def __init__(self, n):
        self.n, self.read = n, set()

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        if not 0 <= i < self.n:
            raise IndexError(i)
        self.read.add(i)
        return i


# --- lazy pools -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("make", "n"), [
    *((lambda members, mode=mode: StochasticMux(members, 4, 8, mode=mode, random_state=0), 10**6) for mode in MODES),
    (lambda members: ShuffledMux(members, random_state=0), 10**5),  # (it has a slot for each)
    (ChainMux, 10**6),
    (lambda members: ChainMux(members, mode="cycle"), 10**6),
], ids=[*MODES, "shuffled", "chain", "chain cycle"])  # fmt: skip
def test_a_mux_over_a_million_arguments_reads_those_it_opens(make, n):
    names, opened = Names(n), []

    def leaf(i):
        opened.append(i)
        yield from numbered(i, 3)

    members = StreamerList(leaf, names)
    assert len(members) == n
    mux = make(members)
    stream = mux.iterate()
    assert names.read == set()
    next(stream)
    assert len(opened) == 1
    assert opened[0] in names.read
    assert len(names.read) <= 4, "no more than has a slot"
    list(islice(stream, 40))
    assert set(opened) <= names.read
    assert len(names.read) <= 41 + 4


def test_a_part_of_a_million_reads_no_more():
    names = Names(10**6)
    mux = StochasticMux(StreamerList(numbered, names, [3] * 10**6), 4, 8, mode="exhaustive", random_state=0)
    next(mux.shard(1, 3).iterate())
    assert len(names.read) <= 4


@pytest.mark.parametrize("make", [
    RoundRobinMux,
    ShuffledMux,
    ChainMux,
    *(lambda members, mode=mode: StochasticMux(members, 2, 8, mode=mode) for mode in MODES),
])  # fmt: skip
def test_attributes_of_a_live_mux_are_looked_up_quickly(make):
    """CPython shares the layout of dicts of up to 29 attributes; with more, all muxes are some percent slower."""
    mux = make([Streamer(numbered, i, 3) for i in range(5)])
    node = mux._node(Key(Root(0), (0,)), ())
    next(node.items)
    assert len(vars(node)) < 30


# --- 30,000 members ---------------------------------------------------------------------------------------------------

#: Where one kind of mux has been seen to bear 30,000.
MANY = amount(6000, 30_000)


@pytest.mark.parametrize("n_active", [1, 100, 30_000, None])
@pytest.mark.parametrize("rate", [None, 4])
def test_thousands_of_members_of_one_item_end(n_active, rate):
    n = 30_000 if n_active == rate is None else MANY
    members = [Streamer(numbered, i, 1) for i in range(n)]
    n_active = n_active and min(n_active, n)
    items = [i for i, _ in StochasticMux(members, n_active, rate, mode="exhaustive", random_state=0)]
    assert sorted(items) == list(range(n))
    assert items != list(range(n))


def test_thirty_thousand_weighted_members_of_one_item_end():
    members = [Streamer(numbered, i, 1) for i in range(30_000)]
    weights = [1 + i % 10 for i in range(30_000)]
    items = [i for i, _ in StochasticMux(members, None, None, weights, "exhaustive", random_state=0)]
    assert sorted(items) == list(range(30_000))


def test_thirty_thousand_members_take_turns():
    members = [Streamer(numbered, i, 1 + (i % 3 == 0)) for i in range(30_000)]
    items = list(RoundRobinMux(members))
    assert items == [(i, 0) for i in range(30_000)] + [(i, 1) for i in range(0, 30_000, 3)]


def empties_end(n, mode, prune, rate):
    ledger = Ledger()
    mux = StochasticMux(ledger.short_pool([0] * n), 100, rate, None, mode, prune, random_state=0)
    assert list(mux) == []
    assert set(ledger.opened) == set(range(n)), "all were tried"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("prune", [True, False])
@pytest.mark.parametrize("rate", [None, 4])
def test_empties_end(mode, prune, rate):
    empties_end(amount(1000, 3000), mode, prune, rate)


@pytest.mark.parametrize(("mode", "n"), [("with_replacement", MANY), ("single_active", MANY), ("exhaustive", 30_000)])
def test_many_thousand_empties_end(mode, n):
    empties_end(n, mode, prune=True, rate=4)


@pytest.mark.parametrize("make", [
    lambda members: ShuffledMux(members, random_state=0),
    lambda members: RoundRobinMux(members, mode="cycle"),
    lambda members: ChainMux(members, mode="cycle"),
    lambda members: StochasticMux(members, None, 4, random_state=0),
], ids=["shuffled", "round robin", "chain", "all active"])  # fmt: skip
def test_thousands_of_empties_end_in_every_mux(make):
    assert list(make(Ledger().short_pool([0] * MANY))) == []


def test_one_good_member_among_ten_thousand_is_found():
    lengths = [0] * 10_000
    lengths[1234] = 5
    mux = StochasticMux(Ledger().short_pool(lengths), 10, 2, random_state=0)
    assert Counter(mux.iterate(100)) == {1234: 100}


# --- the working set --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("rate", [None, 1, 3.5])
@pytest.mark.parametrize("n_active", [1, 2, 5])
def test_no_more_members_are_open_than_n_active(mode, rate, n_active):
    """The ledger counts from inside the members: one that is evicted is closed before the next is opened."""
    ledger = Ledger()
    members = ledger.short_pool([1 + i % 4 for i in range(200)])
    stream = StochasticMux(members, n_active, rate, mode=mode, random_state=0).iterate()
    taken = sum(1 for _ in islice(stream, 3000))
    assert taken == 3000 or mode == "exhaustive"
    assert ledger.most == n_active or rate == 1  # (a spent member may be closed at once)
    stream.close()
    assert ledger.held == 0


def kept(ledger, n):
    """Endless members whose generators are held on to: only an explicit close() ends them."""
    held = []

    def member(i):
        held.append(ledger.endless(i))
        return held[-1]

    return [Streamer(member, i) for i in range(n)]


@pytest.mark.parametrize("mode", MODES)
def test_eviction_closes_a_member_that_somebody_refers_to(mode):
    ledger = Ledger()
    list(StochasticMux(kept(ledger, 9), 2, 3, mode=mode, random_state=0).iterate(200))
    assert len(ledger.opened) >= 9
    assert ledger.most == 2


@pytest.mark.parametrize(
    "make",
    [
        lambda members: StochasticMux(members, 2, 3, random_state=0),
        lambda members: StochasticMux(members, None, 3, random_state=0),
        lambda members: StochasticMux(members, 2, None, mode="exhaustive", random_state=0),
        lambda members: ShuffledMux(members, random_state=0),
        lambda members: RoundRobinMux(members, mode="permuted_cycle", random_state=0),
        lambda members: ChainMux(members, mode="cycle"),
        lambda members: ChainMux(lambda: iter(members)),
        lambda members: ZipMux(members, flatten=False),
        lambda members: ShuffledMux([RoundRobinMux(members[:2]), ChainMux(members[2:])], random_state=0),
    ],
    ids=[
        "slots",
        "all active",
        "exhaustive",
        "shuffled",
        "round robin",
        "chain",
        "lazy chain",
        "zip",
        "nested",
    ],
)
@pytest.mark.parametrize("how", ["closed", "max_iter"])
def test_the_end_of_a_pass_closes_members_that_somebody_refers_to(make, how):
    ledger = Ledger()
    stream = make(kept(ledger, 5)).iterate(40)
    if how == "closed":
        next(stream)
        stream.close()
    else:
        assert len(list(stream)) == 40
    assert ledger.opened
    assert ledger.held == 0


class Handle:
    """Two items from something that knows how many of its kind are open, and has to be closed at its end, too."""

    now, most = 0, 0

    def __init__(self):
        self.left = 2
        Handle.now += 1
        Handle.most = max(Handle.most, Handle.now)

    def __iter__(self):
        return self

    def __next__(self):
        self.left -= 1
        if self.left < 0:
            raise StopIteration
        return self.left

    def close(self):
        Handle.now -= self.left is not None
        self.left = None


@pytest.mark.parametrize(("make", "most"), [
    (lambda members: StochasticMux(members, 2, None, mode="exhaustive", random_state=0), 2),
    (lambda members: StochasticMux(members, 2, None, random_state=0), 2),
    (lambda members: StochasticMux(members, None, None, random_state=0), 5),
    (lambda members: ShuffledMux(members, random_state=0), 5),
    (lambda members: RoundRobinMux(members, mode="cycle"), 5),
    (lambda members: ChainMux(members, mode="cycle"), 1),
    (lambda members: ChainMux(lambda: iter(members)), 1),
    (lambda members: ZipMux(members, mode="cycle", flatten=False), 5),
], ids=["exhaustive", "slots", "all active", "shuffled", "rotation", "chain", "lazy chain", "zip"])  # fmt: skip
def test_a_member_that_has_ended_is_closed_before_the_next_is_opened(make, most):
    Handle.now = Handle.most = 0
    taken = len(list(make([Streamer(Handle) for _ in range(5)]).iterate(60)))
    assert taken in {2, 10, 60}
    assert (Handle.now, Handle.most) == (0, most)


@pytest.mark.parametrize("fail", [False, True])
def test_a_member_that_fails_closes_all_others(fail):
    ledger = Ledger()

    def broken():
        yield from range(20)
        if fail:
            raise OSError("gone")

    mux = StochasticMux([*ledger.pool(5), Streamer(broken)], None, None, random_state=0)
    stream = mux.iterate(1000)
    if fail:
        with pytest.raises(OSError, match="gone"):
            list(stream)
    else:
        list(stream)
    assert ledger.most == 5
    assert ledger.held == 0


def test_thirty_thousand_evictions_leave_nothing_open():
    ledger = Ledger()
    members = [Streamer(ledger.endless, i) for i in range(1000)]
    stream = StochasticMux(members, 16, 1, random_state=0).iterate()
    assert len(list(islice(stream, 30_000))) == 30_000
    assert ledger.most <= 16
    assert ledger.held <= 16
    stream.close()
    assert ledger.held == 0


def test_nested_muxes_hold_the_product():
    ledger = Ledger()
    inner = [StochasticMux([Streamer(ledger.endless, (g, i)) for i in range(9)], 3, 2) for g in range(6)]
    list(StochasticMux(inner, 2, 40, random_state=0).iterate(5000))
    assert ledger.most == 6
    assert ledger.held == 0
