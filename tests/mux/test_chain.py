"""ChainMux: one member after the other, one open at a time; lazy pools and endless ones."""

from itertools import count, islice

import pytest

from streamflow import ChainMux, Streamer, StreamerList
from streamflow.exceptions import ParameterError, StreamflowError

from .members import Ledger, drawing, endless, every_other, numbered

pytestmark = pytest.mark.timeout(60)
MODES = pytest.mark.parametrize("mode", ["exhaustive", "cycle"])


def text(items):
    return "".join(items)


def test_members_come_one_after_the_other():
    assert text(ChainMux(["abc", "", "d", "ef"])) == "abcdef"
    assert text(ChainMux(["abc", "", "d", "ef"], mode="cycle").iterate(14)) == "abcdefabcdefab"
    assert text(ChainMux({"z": "ab", "y": "c"})) == "abc"


def test_one_member_is_open_at_a_time():
    ledger = Ledger()
    list(ChainMux(ledger.short_pool([3, 0, 2, 4])))
    assert ledger.opened == [0, 1, 2, 3]
    assert ledger.most == 1
    stream = ChainMux(ledger.short_pool([3, 3]), mode="cycle").iterate()
    list(islice(stream, 10))
    stream.close()
    assert ledger.most == 1
    assert ledger.held == 0


@MODES
def test_empties_and_nothing_end(mode):
    for streamers in (["", []], [""], lambda: iter([]), lambda: iter(["", ""])):
        mux = ChainMux(streamers, mode=mode)
        assert list(mux) == []
        assert list(mux.cycle()) == []


@pytest.mark.parametrize("streamers", [[], (), {}, StreamerList(numbered, [], [])], ids=str)
def test_a_collection_of_no_streamers_is_refused(streamers):
    with pytest.raises(ParameterError, match="`streamers` must be a collection of at least one streamer, got"):
        ChainMux(streamers)


def test_cycle_with_members_that_are_empty_every_other_time_goes_on():
    members = [Streamer(Ledger().flaky, i, every_other(i == 0), 2) for i in range(2)]
    assert list(ChainMux(members, mode="cycle").iterate(8)) == [0, 0, 1, 1, 0, 0, 1, 1]


def test_cycle_ends_after_a_round_in_which_nothing_came():
    gives = iter([True, True, False, False])
    assert list(ChainMux([Streamer(Ledger().flaky, "a", gives, 2)], mode="cycle")) == ["a"] * 4


def test_each_round_is_a_new_activation():
    items = list(ChainMux([Streamer(drawing, 0, 3), Streamer(drawing, 0, 3)], mode="cycle", random_state=0).iterate(60))
    assert len(set(items)) == 60


# --- lazy pools -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrap", [lambda letters: letters, Streamer], ids=["bare", "Streamer"])
def test_a_callable_is_lazy_and_run_again_by_each_pass(wrap):
    asked = []

    def members():
        for letters in ("ab", "c", "def"):
            asked.append(letters)
            yield wrap(letters)

    mux = ChainMux(members)
    assert asked == [], "nothing is asked at construction"
    stream = mux.iterate()
    assert next(stream) == "a"
    assert asked == ["ab"], "no member is asked for before it is needed"
    assert text(stream) == "bcdef"
    assert text(mux) == "abcdef"
    assert text(ChainMux(members, mode="cycle").iterate(15)) == "abcdefabcdefabc"
    assert text(mux.cycle(max_iter=15)) == "abcdefabcdefabc"


def test_a_plain_callable_may_return_any_iterator():
    assert text(ChainMux(lambda: iter(["ab", "c"]))) == "abc"
    assert text(ChainMux(lambda: map(str.upper, ["ab", "c"]))) == "ABC"


def test_an_endless_callable_is_fine():
    mux = ChainMux(lambda: (Streamer(numbered, i, 2) for i in count()))
    assert list(mux.iterate(5)) == [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0)]
    assert list(mux.iterate(1)) == [(0, 0)]


@MODES
def test_an_endless_generator_object_is_lazy_for_one_pass(mode):
    mux = ChainMux((range(i, i + 2) for i in count()), mode=mode)
    assert list(mux.iterate(5)) == [0, 1, 1, 2, 2]
    with pytest.raises(StreamflowError):
        list(mux.iterate(1))


def test_a_finite_generator_object_gives_one_pass():
    mux = ChainMux(letters for letters in ("ab", "c"))
    assert text(mux) == "abc"
    with pytest.raises(StreamflowError):
        list(mux)


def test_an_endless_callable_of_empties_goes_on_until_something_comes():
    mux = ChainMux(lambda: ("x" if i == 5000 else "" for i in count()))
    assert next(mux.iterate(1)) == "x"


def test_a_lazy_list_is_not_read_ahead():
    opened = []

    class Names:
        def __len__(self):
            return 10**6

        def __getitem__(self, i):
            if not 0 <= i < 10**6:
                raise IndexError(i)
            opened.append(i)
            return i

    assert list(ChainMux(StreamerList(numbered, Names(), [2] * 10**6)).iterate(3)) == [(0, 0), (0, 1), (1, 0)]
    assert set(opened) <= {0, 1, 2}


# --- edges ------------------------------------------------------------------------------------------------------------


def test_parameters_are_checked_where_they_are_given():
    for mode in ("with_replacement", None, "permuted_cycle"):
        with pytest.raises(ParameterError, match="mode"):
            ChainMux(["a"], mode=mode)
    with pytest.raises(ParameterError, match="streamers"):
        ChainMux(3)
    with pytest.raises(ParameterError, match="random_state"):
        ChainMux(["a"], random_state=True)


def test_what_is_no_stream_is_named():
    with pytest.raises((StreamflowError, TypeError)):
        list(ChainMux(["a", 3]))
    with pytest.raises((StreamflowError, TypeError)):
        list(ChainMux(lambda: iter([3])))


def test_a_long_chain_of_empties_does_not_recurse():
    assert text(ChainMux([""] * 30_000 + ["z"])) == "z"


def test_validation_recipe_an_endless_member_never_lets_the_next_in():
    assert set(ChainMux([Streamer(endless, 0), Streamer(endless, 1)], mode="cycle").iterate(50)) == {0}
