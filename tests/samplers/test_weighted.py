"""Draws with replacement: shares equal the weights."""

import numpy as np
import pytest
from scipy.stats import chisquare

from streamflow import ParameterError, StateError
from streamflow.samplers import WeightedSampler, weighted
from streamflow.seeding import Key, Root
from streamflow.sources import ArraySource, CompositeSource

RARE = 1e-5
WEIGHTS = np.array([1, 0, 3, 0.5, 2, 0, 8, 1])


def drawn(sampler, n, draws, count=1, **how):
    source = ArraySource(np.arange(n))
    parts = [
        source.samples(sampler=sampler, epochs=None, **how).shard(part, count)(draws // count) for part in range(count)
    ]
    return np.concatenate([np.array(list(part)) for part in parts])


def expect_shares(found, weights):
    counts = np.bincount(found, minlength=len(weights))
    assert counts[weights == 0].tolist() == [0] * np.sum(weights == 0)
    expected = weights[weights > 0] / weights.sum() * len(found)
    assert chisquare(counts[weights > 0], expected).pvalue > RARE


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("seed", [0, 1])
def test_shares_are_the_weights(seed, count):
    expect_shares(drawn(WeightedSampler(WEIGHTS), 8, 9000, count, random_state=seed), WEIGHTS)


def test_the_very_first_draw_has_the_weights_too():
    source = ArraySource(np.arange(8))
    sampler = WeightedSampler(WEIGHTS)
    first = [next(iter(source.samples(sampler=sampler, random_state=seed))) for seed in range(4000)]
    expect_shares(np.array(first), WEIGHTS)


def test_a_weight_of_zero_is_never_drawn_not_even_on_the_border(monkeypatch):
    monkeypatch.setattr(weighted, "uniforms", lambda key, purpose, positions: np.array([0, 0.5, 1 - 2**-53]))
    order = WeightedSampler([0, 1, 0, 1, 0]).order(5, Key(Root(0), (0,)))
    assert order[np.arange(3)].tolist() == [1, 3, 3]


def test_draws_are_independent():
    found = drawn(WeightedSampler(None), 4, 16_000, random_state=0)
    pairs = found[:-1:2] * 4 + found[1::2]
    expect_shares(pairs, np.ones(16))


def test_no_weights_are_alike():
    expect_shares(drawn(WeightedSampler(None), 50, 20_000, random_state=0), np.ones(50))
    assert WeightedSampler(None).weights is None


def test_a_subset():
    chosen = [6, 1, -1]
    found = drawn(WeightedSampler([1, 2, 5], indices=chosen), 9, 8000, random_state=0)
    weights = np.zeros(9)
    weights[chosen] = [1, 2, 5]
    expect_shares(found, weights)


def test_a_subset_without_weights_is_drawn_uniformly():
    chosen = [6, 1, -1]
    sampler = WeightedSampler(None, indices=chosen)
    found = drawn(sampler, 9, 8000, random_state=0)
    weights = np.zeros(9)
    weights[chosen] = 1
    expect_shares(found, weights)
    assert sampler.weights is None
    both = CompositeSource([np.arange(9), np.arange(10, 19)])  # its samples are drawn, not those of each member
    assert {(x, y) for x, y in both.samples(sampler=sampler, epochs=20)} == {(6, 16), (1, 11), (8, 18)}


def test_a_subset_must_have_indices():
    with pytest.raises(ParameterError, match="`indices` must be at least one index, got "):
        WeightedSampler(None, indices=[])


def test_subsets_of_other_weights_or_indices_are_other_samplers():
    def streams(*how, **also):
        return ArraySource(np.arange(9)).samples(sampler=WeightedSampler(*how, **also), epochs=None, random_state=0)

    alike = {"indices": [0, 4]}
    others = [([1, 2], {"indices": [0, 5]}), ([2, 1], {"indices": [0, 4]}), ([1] * 9, {})]
    with streams([1, 2], **alike).open() as stream:
        next(stream)
        state = stream.state_dict()
    for weights, also in others:
        with (
            streams(weights, **also).open() as stream,
            pytest.raises(StateError, match="other (tree|weights)"),
        ):
            stream.load_state_dict(state)
    with streams([1, 2], **alike).open() as stream:
        stream.load_state_dict(state)


def test_classes_are_balanced():
    y = np.repeat([0, 1, 2], [500, 30, 2])
    found = y[drawn(WeightedSampler.class_balanced(y), len(y), 9000, random_state=0)]
    expect_shares(found, np.ones(3))


def test_class_weights():
    weights = WeightedSampler.class_balanced(["a", "b", "a", "a"]).weights
    assert np.allclose(weights, [1 / 6, 1 / 2, 1 / 6, 1 / 6])
    # a class without samples takes nothing from the others
    assert np.allclose(WeightedSampler.class_balanced([0, 2, 0, 0], n_classes=4).weights, weights)
    assert WeightedSampler.class_balanced([0, 1], random_state=3)._root.entropy == 3


@pytest.mark.parametrize(
    ("y", "n_classes", "text"),
    [
        ([0, 1, 2], 2, "`y` must be integers from 0 to 1, given `n_classes`"),
        ([-1, 0], 2, "`y` must be integers"),
        ([0.0, 1.0], 2, "`y` must be integers"),
        ([0, 1], 0, "`n_classes` must be None or a positive integer, got 0"),
        ([], None, "`y` must be a non-empty array of classes along one axis"),
        ([[0, 1]], None, "`y` must be a non-empty array of classes"),
    ],
)
def test_wrong_classes(y, n_classes, text):
    with pytest.raises(ParameterError, match=text):
        WeightedSampler.class_balanced(y, n_classes)


def test_weights_are_a_normalised_copy():
    own = [2, 0, 6]
    sampler = WeightedSampler(own)
    assert sampler.weights.tolist() == [0.25, 0, 0.75]
    sampler.weights[:] = 0
    assert sampler.weights.sum() == 1
    assert own == [2, 0, 6]
    subset = WeightedSampler([1, 3], indices=[4, 5])
    assert subset.weights.tolist() == [0.25, 0.75]
    assert subset.indices.tolist() == [4, 5]


@pytest.mark.parametrize("weights", [[1e308, 1e308], [5e-324, 5e-324]])
def test_extreme_weights(weights):
    assert WeightedSampler(weights).weights.tolist() == [0.5, 0.5]


@pytest.mark.parametrize(
    ("weights", "text"),
    [
        ([1, -1], "finite and not negative"),
        ([1, np.nan], "finite and not negative"),
        ([1, np.inf], "finite and not negative"),
        ([0, 0], "above zero for at least one"),
    ],
)
@pytest.mark.parametrize("indices", [None, [0, 1]])
def test_wrong_weights(weights, text, indices):
    with pytest.raises(ParameterError, match=f"`weights` must be {text}"):
        WeightedSampler(weights, indices=indices)


@pytest.mark.parametrize("weights", [[[1, 2]], ["a"], 5])
def test_weights_that_are_not_a_list_of_numbers(weights):
    with pytest.raises(ParameterError, match="`weights` must be numbers along one axis, got "):
        WeightedSampler(weights)
    with pytest.raises(ParameterError, match="`weights` must be 2 numbers, one for each index, got "):
        WeightedSampler(weights, indices=[0, 1])


def test_no_weights_at_all():
    with pytest.raises(ParameterError, match="`weights` must be above zero for at least one, got "):
        WeightedSampler([])


def test_lengths_are_checked():
    source = ArraySource(np.arange(5))
    with pytest.raises(ParameterError, match="`weights` must be 5 numbers, one for each sample, got 4"):
        source.samples(sampler=WeightedSampler([1] * 4))
    with pytest.raises(ParameterError, match="`weights` must be 2 numbers, one for each index, got "):
        WeightedSampler([1] * 3, indices=[0, 1])
    with pytest.raises(ParameterError, match="`indices` must be from -5 to 4"):
        source.samples(sampler=WeightedSampler([1], indices=[5]))


def test_batches_know_no_epochs():
    source = ArraySource(np.arange(5))
    sampler = WeightedSampler(None, random_state=0)
    endless = source.batches(3, sampler=sampler, epochs=None)
    assert {len(batch) for batch in endless(50)} == {3}
    assert [len(batch) for batch in source.batches(3, sampler=sampler, epochs=2)] == [3, 3, 3, 1]
    assert [len(batch) for batch in source.batches(3, sampler=sampler, epochs=2, drop_last=True)] == [3, 3, 3]
    subset = WeightedSampler([1, 1], indices=[0, 1])
    assert sum(len(batch) for batch in source.batches(3, sampler=subset, epochs=2)) == 10


def test_a_draw_is_a_function_of_its_position():
    order = WeightedSampler(WEIGHTS).order(8, Key(Root(0), (0,)))
    whole = order[np.arange(8)]
    assert order[np.array([2, 5, 7])].tolist() == whole[[2, 5, 7]].tolist()
    assert order[np.array([], int)].tolist() == []


def test_classes_may_be_true_and_false():
    weights = WeightedSampler.class_balanced([False, False, True], n_classes=2).weights
    assert weights.tolist() == [0.25, 0.25, 0.5]
    with pytest.raises(ParameterError, match="integers from 0 to 0"):
        WeightedSampler.class_balanced([False, True], n_classes=1)
