"""BlockShuffledSampler: every sample once, and neighbours near each other."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from streamflow import ParameterError
from streamflow.samplers import BlockShuffledSampler
from streamflow.seeding import Key, Root
from streamflow.sources import ArraySource


def order_of(n, size, window, seed=0):
    return BlockShuffledSampler(size, window).order(n, Key(Root(seed), (0,)))


SIZES = {"n": st.integers(0, 80), "size": st.integers(1, 12), "window": st.integers(1, 5), "seed": st.integers(0, 20)}


@given(**SIZES)
def test_every_sample_once_and_few_blocks_at_a_time(n, size, window, seed):
    order = order_of(n, size, window, seed)
    found = order[np.arange(n)].tolist()
    assert len(order) == n
    assert sorted(found) == list(range(n))
    # windows are stretches of the order, each of as many whole blocks as fit into it
    lengths = [min(size, n - first) for first in range(0, n, size)]
    begin = blocks_seen = 0
    while begin < n:
        blocks = list(dict.fromkeys(i // size for i in found[begin:]))[: min(window, len(lengths) - blocks_seen)]
        end = begin + sum(lengths[block] for block in blocks)
        assert {i // size for i in found[begin:end]} == set(blocks)
        begin, blocks_seen = end, blocks_seen + len(blocks)


@given(**SIZES, at=st.lists(st.floats(0, 1, exclude_max=True), max_size=10))
def test_any_positions(n, size, window, seed, at):
    positions = np.array(sorted({int(place * n) for place in at} if n else set()), np.intp)
    whole = order_of(n, size, window, seed)[np.arange(n)]
    assert order_of(n, size, window, seed)[positions].tolist() == whole[positions].tolist()


def test_each_sample_may_stand_anywhere():
    places = Counter(order_of(7, 3, 2, seed)[np.arange(7)].tolist().index(6) for seed in range(3000))
    # the short block (6) is in the first window, of 4 samples, in two of three orders, and anywhere in it
    assert chisquare([places[k] for k in (0, 1, 2, 3, 6)], [500, 500, 500, 500, 1000]).pvalue > 1e-5
    first_block = [order_of(9, 3, 1, seed)[np.arange(9)][0] // 3 for seed in range(3000)]
    assert chisquare(np.bincount(first_block)).pvalue > 1e-5


def test_orders_differ_from_epoch_to_epoch():
    source = ArraySource(np.arange(100))
    stream = source.samples(sampler=BlockShuffledSampler(10, 3), epochs=5, random_state=0)
    items = np.array(list(stream)).reshape(5, 100)
    assert len({tuple(row) for row in items.tolist()}) == 5
    assert (np.sort(items) == np.arange(100)).all()


def test_memory_is_that_of_a_window():
    order = order_of(10**12 + 1, 1000, 4)
    found = order[np.arange(5 * 10**11, 5 * 10**11 + 100)]
    assert len(set((found // 1000).tolist())) <= 8
    assert len(set(found.tolist())) == 100


@pytest.mark.parametrize(
    ("how", "text"), [({"block_size": 0}, "`block_size`"), ({"block_size": 2, "window": 1.5}, "`window`")]
)
def test_wrong_parameters(how, text):
    with pytest.raises(ParameterError, match=f"{text} must be a positive integer"):
        BlockShuffledSampler(**how)
