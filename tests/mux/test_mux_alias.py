"""The deprecated Mux: it warns, and its old parameters become those of StochasticMux."""

from collections import Counter

import pytest

from streamflow import Mux, StochasticMux, Streamer
from streamflow.exceptions import ParameterError

from .chance import RARE, p_value
from .members import Ledger, numbered, pool


def quiet(*args, **kwargs):
    """A Mux, its warning checked."""
    with pytest.warns(DeprecationWarning, match="StochasticMux"):
        return Mux(*args, **kwargs)


def test_it_warns_at_the_callers_line():
    with pytest.warns(DeprecationWarning, match="Mux") as caught:
        Mux(pool(2), 1)
    assert [warning.filename for warning in caught] == [__file__]


def test_it_is_a_stochastic_mux_with_the_same_items():
    ours = quiet(pool(4), k=2, rate=5, weights=[1, 2, 3, 4], random_state=3)
    assert isinstance(ours, StochasticMux)
    theirs = StochasticMux(pool(4), 2, 5, weights=[1, 2, 3, 4], random_state=3)
    assert list(ours.iterate(500)) == list(theirs.iterate(500))


def test_rate_is_256_by_default():
    lengths = Counter(quiet([Streamer(Ledger().activations, 0)], 1, random_state=0).iterate(256 * 400))
    assert len(lengths) == pytest.approx(400, abs=5)


@pytest.mark.parametrize(
    ("kwargs", "mode"),
    [
        ({}, "with_replacement"),
        ({"with_replacement": True, "revive": True}, "with_replacement"),
        ({"with_replacement": False}, "exhaustive"),
        ({"with_replacement": False, "revive": False}, "exhaustive"),
        ({"with_replacement": False, "revive": True}, "single_active"),
    ],
    ids=str,
)
def test_old_flags_become_modes(kwargs, mode):
    members = [Streamer(numbered, i, 3) for i in range(4)]
    ours = quiet(members, 2, rate=2, random_state=1, **kwargs)
    theirs = StochasticMux(members, 2, 2, mode=mode, random_state=1)
    assert list(ours.iterate(100)) == list(theirs.iterate(100))


def test_the_recipe_for_all_active_is_all_active():
    """`Mux(streams, k=len(streams), rate=None)`: every stream is seen, none is open twice."""
    ledger = Ledger()
    mux = quiet(ledger.pool(8), k=8, rate=None, random_state=0)
    assert p_value(mux.iterate(8000), dict.fromkeys(range(8), 1)) > RARE
    assert sorted(ledger.opened) == list(range(8))


def test_the_recipe_of_one_data_set_at_a_time():
    ledger = Ledger()
    items = list(quiet(ledger.pool(3), k=1, rate=1000, random_state=0).iterate(20_000))
    assert ledger.most == 1
    assert len(items) == 20_000
    assert 10 <= len(ledger.opened) <= 30


def test_parameters_are_checked():
    with pytest.warns(DeprecationWarning, match="Mux"), pytest.raises(ParameterError):
        Mux(pool(2), k=0)
    with pytest.warns(DeprecationWarning, match="Mux"), pytest.raises(ParameterError):
        Mux([], k=1)


def test_pruning_is_passed_on():
    ledger = Ledger()
    mux = quiet(ledger.short_pool([0, 9]), 1, rate=1, prune_empty_streams=False, random_state=0)
    list(mux.iterate(500))
    assert ledger.opened.count(0) > 100
