"""Samplers compute only what is read of an order."""

import numpy as np
import pytest

from streamflow.core.permutation import Permutation
from streamflow.samplers import BlockShuffledSampler, ShuffledSampler, SubsetSampler
from streamflow.seeding import Key, Root
from streamflow.sources import ArraySource, ChoiceSource, CompositeSource

ROWS = 20_000
SAMPLERS = {
    "shuffled": ShuffledSampler(),
    "subset": SubsetSampler(range(0, ROWS, 2), shuffle=True),
    "large blocks": BlockShuffledSampler(1000, window=8),
    "small blocks": BlockShuffledSampler(2, window=1000),
}


@pytest.fixture
def asked(monkeypatch):
    """How many numbers of long orders have been computed, call by call."""
    counts = []
    permuted, place = Permutation._permuted, Permutation.place

    def many(self, positions):
        counts.append(len(positions))
        return permuted(self, positions)

    def one(self, position):
        counts.append(1)
        return place(self, position)

    monkeypatch.setattr(Permutation, "_permuted", many)
    monkeypatch.setattr(Permutation, "place", one)
    return counts


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_few_positions_of_a_long_order(name, asked):
    order = SAMPLERS[name].order(ROWS, Key(Root(0), (0,)))
    found = order[np.arange(100, 164)]
    assert len(set(found.tolist())) == 64
    assert 64 <= sum(asked) <= 140  # blocks have two orders; few numbers are computed twice


KINDS = {
    "array": ArraySource,
    "choice": lambda rows: ChoiceSource([rows]),
    "composite": lambda rows: CompositeSource([rows]),
}


# a choice takes no subset, and in a composition one selects samples of the composition
PAIRS = [(kind, name) for kind in KINDS for name in SAMPLERS if kind == "array" or name != "subset"]


@pytest.mark.parametrize(("kind", "name"), PAIRS)
def test_the_first_batches_of_a_long_source(kind, name, asked):
    batches = KINDS[kind](np.arange(ROWS)).batches(32, sampler=SAMPLERS[name], random_state=0)
    assert len(list(batches(max_iter=2))) == 2
    assert sum(asked) <= 500
