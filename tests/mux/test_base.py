"""A user's own mux: two answers, and order, keys, state, sharding and errors come from BaseMux."""

import json
from collections import Counter
from itertools import islice

import pytest

from streamflow import BaseMux, StochasticMux, Streamer
from streamflow.exceptions import ParameterError

from .chance import RARE, p_of_independence, p_value
from .members import Ledger, drawing, numbered


class Pingpong(BaseMux):
    """Slots 0, 1, ..., n - 1, ..., 1, 0, 1, ...; a member that ends is gone."""

    def choose(self, step, live, u):
        if len(live) == 1:
            return live[0]
        place = step % (2 * len(live) - 2)
        return live[min(place, 2 * len(live) - 2 - place)]

    def ended(self, slot, given):
        return False


class Coin(BaseMux):
    """Any live slot, equally likely; a member that gave something starts again."""

    def choose(self, step, live, u):
        return live[int(u * len(live))]

    def ended(self, slot, given):
        return given > 0


def members(lengths, fn=numbered):
    return [Streamer(fn, i, n) for i, n in enumerate(lengths)]


def finite():
    return Pingpong(members([4, 2, 7, 0, 3], drawing), random_state=0)


def test_the_order_is_the_one_asked_for():
    items = [i for i, _ in Pingpong(members([99, 99, 99])).iterate(10)]
    assert items == [0, 1, 2, 1, 0, 1, 2, 1, 0, 1]


def test_choose_is_given_the_step_the_live_slots_and_a_uniform_double():
    calls = []

    class Spy(Coin):
        def choose(self, step, live, u):
            calls.append((step, tuple(live), u))
            return super().choose(step, live, u)

        def ended(self, slot, given):
            return False

    assert len(list(Spy(members([30, 5]), random_state=0))) == 35
    assert [step for step, _, _ in calls] == list(range(len(calls)))
    assert {live for _, live, _ in calls} == {(0, 1), (0,)} or {live for _, live, _ in calls} == {(0, 1), (1,)}
    assert all(0 <= u < 1 for _, _, u in calls)


def test_ended_is_told_the_slot_and_what_it_gave():
    calls = []

    class Spy(Pingpong):
        def ended(self, slot, given):
            calls.append((slot, given))
            return False

    list(Spy(members([2, 0, 3])))
    assert sorted(calls) == [(0, 2), (1, 0), (2, 3)]


def test_the_doubles_are_uniform_independent_and_keyed():
    mux = Coin(members([10] * 4), random_state=0)
    items = [i for i, _ in mux.iterate(20_000)]
    assert p_value(items, dict.fromkeys(range(4), 1)) > RARE
    assert p_of_independence(zip(items[::2], items[1::2], strict=True)) > RARE
    assert items == [i for i, _ in mux.iterate(20_000)]
    assert items != [i for i, _ in mux.iterate(20_000, epoch=1)]
    assert items != [i for i, _ in mux.with_seed(1).iterate(20_000)]


def test_activations_have_keys_of_their_own():
    items = list(Coin(members([3, 3], drawing), random_state=0).iterate(300))
    assert len(set(items)) == 300
    assert items == list(Coin(members([3, 3], drawing), random_state=0).iterate(300))


def test_it_ends_when_no_slot_is_live_and_when_all_are_empty():
    assert Counter(Pingpong(members([2, 0, 3]))) == {(0, 0): 1, (0, 1): 1, (2, 0): 1, (2, 1): 1, (2, 2): 1}
    assert list(Pingpong(members([0, 0]))) == []

    class Stubborn(Coin):
        def ended(self, slot, given):
            return True

    assert list(Stubborn(members([0, 0]), random_state=0)) == []
    assert len(list(Stubborn(members([0, 1]), random_state=0).iterate(50))) == 50


@pytest.mark.parametrize("cut", range(17))
def test_state_continues_at_every_cut(cut):
    whole = list(finite())
    assert len(whole) == 16
    live = finite().open()
    assert list(islice(live, cut)) == whole[:cut]
    state = json.loads(json.dumps(live.state_dict()))
    again = finite().open()
    again.load_state_dict(state)
    assert list(again) == whole[cut:]


@pytest.mark.parametrize("cut", [0, 1, 7, 100, 600, 1100])
def test_state_continues_a_random_one(cut):
    mux = Coin(members([3, 1, 8], drawing), random_state=0)
    whole = list(mux.iterate(1300))
    live = mux.open()
    list(islice(live, cut))
    again = mux.open()
    again.load_state_dict(json.loads(json.dumps(live.state_dict())))
    assert list(islice(again, 1300 - cut)) == whole[cut:]


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_parts_are_the_tree(count):
    parts = [list(finite().shard(index, count)) for index in range(count)]
    assert Counter(item for part in parts for item in part) == Counter(finite())


def test_parts_make_choices_of_their_own():
    parts = [Coin(members([9] * 4), random_state=0).shard(index, 3).iterate(3000) for index in range(3)]
    first, second, third = ([i for i, _ in part] for part in parts)
    assert p_of_independence(zip(first, second, strict=True)) > RARE
    assert p_of_independence(zip(second, third, strict=True)) > RARE


def test_it_nests_and_is_a_streamer():
    ledger = Ledger()
    tree = StochasticMux([Pingpong(ledger.short_pool([5, 5])), Coin(ledger.short_pool([2]))], 1, 3, random_state=0)
    stream = tree.iterate(50)
    assert len(list(stream)) == 50
    assert ledger.most <= 2
    assert ledger.held == 0
    assert len(list(finite().cycle(max_iter=40))) == 40


def test_errors_name_the_member():
    def broken():
        yield 1
        raise KeyError("lost")

    mux = Pingpong({"good": Streamer(numbered, "good", 9), "bad": Streamer(broken)})
    with pytest.raises(KeyError) as caught:
        list(mux)
    assert any("bad" in note for note in caught.value.__notes__)


def test_a_slot_that_is_not_live_is_refused():
    class Wrong(Pingpong):
        def choose(self, step, live, u):
            return 7

    with pytest.raises((ParameterError, IndexError, LookupError)) as caught:
        list(Wrong(members([2, 2])))
    assert "7" in str(caught.value)


def test_the_base_checks_what_it_is_given():
    with pytest.raises(ParameterError, match="streamers"):
        Pingpong([])
    with pytest.raises(ParameterError, match="random_state"):
        Pingpong(members([1]), random_state=True)


def test_the_base_alone_chooses_nothing():
    with pytest.raises(TypeError, match="choose"):
        BaseMux(members([1]))


def test_a_mux_may_leave_the_second_question_to_the_base():
    """Then a slot whose member has ended is closed."""

    class First(BaseMux):
        def choose(self, step, live, u):
            return live[0]

    assert list(First(members([2, 0, 1]))) == [(0, 0), (0, 1), (2, 0)]
