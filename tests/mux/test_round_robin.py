"""RoundRobinMux: strict rotation; the modes differ in what happens when all members have ended."""

import copy

import numpy as np
import pytest

from streamflow import RoundRobinMux, Streamer
from streamflow.exceptions import ParameterError, StateError

from .chance import RARE, p_of_independence, p_value, uniform_order
from .members import Ledger, drawing, every_other, numbered

pytestmark = pytest.mark.timeout(60)
LETTERS = ["abc", "d", "ef"]
MODES = pytest.mark.parametrize("mode", ["exhaustive", "cycle", "permuted_cycle"])
CYCLES = pytest.mark.parametrize("mode", ["cycle", "permuted_cycle"])


def text(items):
    return "".join(items)


def test_exhaustive_takes_turns_and_skips_what_has_ended():
    assert text(RoundRobinMux(LETTERS)) == "adebfc"
    assert text(RoundRobinMux([*LETTERS, "", "ghij"])) == "adegbfhcij"


def test_cycle_starts_all_again_after_all_have_ended():
    assert text(RoundRobinMux(LETTERS, mode="cycle").iterate(15)) == "adebfcadebfcade"


def test_permuted_cycle_begins_in_the_given_order_then_permutes():
    items = text(RoundRobinMux(list("abcd"), mode="permuted_cycle", random_state=0).iterate(4 * 3000))
    passes = [items[k : k + 4] for k in range(0, len(items), 4)]
    assert passes[0] == "abcd"
    law = {text("abcd"[i] for i in order): 1.0 for order in uniform_order(4)}
    assert p_value(passes[1:], law) > RARE
    assert p_of_independence((a[0], b[0]) for a, b in zip(passes[1::2], passes[2::2], strict=False)) > RARE


def test_permuted_cycle_keeps_the_order_within_a_pass():
    items = text(RoundRobinMux(LETTERS, mode="permuted_cycle", random_state=1).iterate(6 * 50))
    for k in range(0, 300, 6):
        one = items[k : k + 6]
        assert sorted(one) == sorted("abcdef")
        order = [next(i for i, letters in enumerate(LETTERS) if letters[0] == letter) for letter in one[:3]]
        assert one == text(RoundRobinMux([LETTERS[i] for i in order]))


def test_permutations_hang_on_the_seed_and_the_epoch():
    def take(seed, epoch=0):
        return text(RoundRobinMux(list("abcdefgh"), "permuted_cycle", seed).iterate(80, epoch=epoch))

    assert take(0) == take(0)
    assert len({take(0), take(1), take(0, epoch=1)}) == 3


@CYCLES
def test_each_round_is_a_new_activation(mode):
    items = list(RoundRobinMux([Streamer(drawing, i, 2) for i in range(3)], mode, random_state=0).iterate(60))
    assert len(set(items)) == 60


@MODES
def test_empties_end(mode):
    mux = RoundRobinMux(["", [], ()], mode=mode)
    assert list(mux) == []
    assert list(mux.cycle()) == []


@CYCLES
def test_an_empty_among_others_is_skipped(mode):
    assert set(RoundRobinMux(["", "a"], mode=mode).iterate(20)) == {"a"}


@CYCLES
def test_members_that_are_empty_every_other_time_do_not_end_it(mode):
    members = [Streamer(Ledger().flaky, i, every_other(i == 0), 2) for i in range(2)]
    assert len(list(RoundRobinMux(members, mode=mode, random_state=0).iterate(200))) == 200


@CYCLES
def test_it_ends_when_all_have_dried_up(mode):
    once = [iter([True, False, False, False]), iter([True, True, False, False])]
    members = [Streamer(Ledger().flaky, i, gives, 1) for i, gives in enumerate(once)]
    assert list(RoundRobinMux(members, mode=mode, random_state=0)) == [0, 1, 1]


@MODES
def test_everything_that_was_opened_is_closed(mode):
    ledger = Ledger()
    stream = RoundRobinMux(ledger.short_pool([3, 1, 2]), mode=mode, random_state=0).iterate()
    for _ in range(5):
        next(stream)
    assert ledger.most == 3
    stream.close()
    assert ledger.held == 0


def test_parameters_are_checked_where_they_are_given():
    for mode in ("exhausted", None, "with_replacement"):
        with pytest.raises(ParameterError, match="mode"):
            RoundRobinMux(LETTERS, mode=mode)
    with pytest.raises(ParameterError, match="streamers"):
        RoundRobinMux([])
    with pytest.raises(ParameterError, match="random_state"):
        RoundRobinMux(LETTERS, random_state="x")


def test_a_mapping_of_members_is_taken_in_its_order():
    assert text(RoundRobinMux({"z": "abc", "y": "d", "x": "ef"})) == "adebfc"


def test_nothing_random_is_touched_where_nothing_is_random():
    """An unseeded rotation leaves NumPy's global state alone."""
    np.random.seed(0)
    list(RoundRobinMux(LETTERS))
    list(RoundRobinMux(LETTERS, mode="cycle").iterate(30))
    after = np.random.random()
    np.random.seed(0)
    assert after == np.random.random()


def test_two_thousand_members_of_different_lengths():
    lengths = [1 + (i * 7) % 13 for i in range(2000)]
    items = list(RoundRobinMux([Streamer(numbered, i, n) for i, n in enumerate(lengths)]))
    assert items == [(i, k) for k in range(13) for i in range(2000) if k < lengths[i]]


@pytest.mark.parametrize("mode", ["exhaustive", "cycle"])
def test_a_state_says_one_round_of_the_mux_and_of_its_members(mode):
    mux = RoundRobinMux([Streamer(drawing, name, 2) for name in "abc"], mode=mode, random_state=0)
    live = mux.open()
    drawn = [next(live) for _ in range(4)]
    assert len(drawn) == 4
    for change in ("round", "number"):
        state = copy.deepcopy(live.state_dict())
        (state["node"] if change == "round" else state["node"]["slots"][1])[change] += 1
        with pytest.raises(StateError, match="the state is damaged"):
            mux.open().load_state_dict(state)
