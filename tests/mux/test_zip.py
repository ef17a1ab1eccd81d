"""ZipMux: one item of each child per step, put together."""

import pytest

from streamflow import Streamer, ZipMux
from streamflow.exceptions import DataError, ParameterError

from .members import Ledger, drawing

pytestmark = pytest.mark.timeout(60)
MODES = pytest.mark.parametrize("mode", ["shortest", "cycle"])


def field(key, n):
    """n dicts with one field."""
    for k in range(n):
        yield {key: k}


def test_dicts_are_merged():
    mux = ZipMux([Streamer(field, "x", 3), Streamer(field, "y", 3)])
    assert list(mux) == [{"x": k, "y": k} for k in range(3)]


def test_the_shortest_ends_it():
    ledger = Ledger()
    assert len(list(ZipMux([Streamer(field, "x", 3), Streamer(field, "y", 5)]))) == 3
    assert len(list(ZipMux([Streamer(field, "x", 5), Streamer(field, "y", 3)]))) == 3
    assert list(ZipMux([Streamer(field, "x", 5), Streamer(field, "y", 0)])) == []
    list(ZipMux(ledger.short_pool([2, 7]), flatten=False))
    assert ledger.held == 0


def test_cycle_starts_short_children_again_until_the_longest_ends():
    mux = ZipMux([Streamer(field, "x", 2), Streamer(field, "y", 5), Streamer(field, "z", 1)], mode="cycle")
    assert list(mux) == [{"x": k % 2, "y": k, "z": 0} for k in range(5)]


def test_a_child_that_starts_again_is_a_new_activation():
    mux = ZipMux([Streamer(drawing, "a", 2), range(9)], mode="cycle", flatten=False).with_seed(0)
    items = list(mux)
    assert len({item[0] for item in items}) == 9


def test_without_flatten_items_stay_side_by_side():
    assert list(ZipMux(["ab", range(2)], flatten=False)) == [("a", 0), ("b", 1)]


@MODES
def test_nothing_ends_it(mode):
    assert list(ZipMux([Streamer(field, "x", 0), Streamer(field, "y", 0)], mode=mode)) == []
    assert list(ZipMux([Streamer(field, "x", 0), Streamer(field, "y", 0)], mode=mode).cycle()) == []


def test_cycle_with_one_empty_child_ends():
    """An empty child has nothing to repeat."""
    assert list(ZipMux([Streamer(field, "x", 3), Streamer(field, "y", 0)], mode="cycle")) == []


def test_items_are_new_dicts_and_the_children_are_not_changed():
    item = {"x": 1}
    (merged,) = ZipMux([[item], [{"y": 2}]])
    assert merged == {"x": 1, "y": 2}
    merged["z"] = 3
    assert item == {"x": 1}


def test_two_children_with_one_key_are_refused():
    with pytest.raises(DataError, match="x"):
        list(ZipMux([Streamer(field, "x", 3), Streamer(field, "x", 3)]))


def test_parameters_are_checked_where_they_are_given():
    with pytest.raises(ParameterError, match="streamers"):
        ZipMux([])
    for mode in ("longest", None):
        with pytest.raises(ParameterError, match="mode"):
            ZipMux(["ab"], mode=mode)
    with pytest.raises(ParameterError, match="flatten"):
        ZipMux(["ab"], flatten="no")
    with pytest.raises(ParameterError, match="random_state"):
        ZipMux(["ab"], random_state="x")


def test_a_seed_is_that_of_the_members():
    def dice(rng):
        while True:
            yield int(rng.integers(1 << 30))

    def rolls(**how):
        return list(ZipMux([Streamer(dice), Streamer(dice)], **how)(max_iter=3))

    assert rolls(random_state=7) == rolls(random_state=7) == list(ZipMux([Streamer(dice)] * 2).with_seed(7)(max_iter=3))
    assert rolls(random_state=7) != rolls(random_state=8)
    assert rolls() != rolls()
    assert all(a != b for a, b in rolls(random_state=7))


@MODES
def test_everything_that_was_opened_is_closed(mode):
    ledger = Ledger()
    stream = ZipMux(ledger.short_pool([3, 50]), mode=mode, flatten=False).iterate()
    next(stream)
    assert ledger.held == 2
    stream.close()
    assert ledger.held == 0
