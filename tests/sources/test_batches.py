"""`Source.batches` and `Source.samples`: which samples come in which batch, epochs, indices, keys, bad parameters."""

import itertools
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamflow import ParameterError
from streamflow.samplers import ShuffledSampler, WeightedSampler
from streamflow.sources import ArraySource, concatenate, random_crop

N = 10
ONE = ArraySource(np.arange(N))
DICT = ArraySource({"X": np.arange(2 * N).reshape(N, 2), "y": np.arange(N)})
PAIR = ArraySource((np.arange(2 * N).reshape(N, 2), np.arange(N)))


def lists(batches, n=None):
    return [batch.tolist() for batch in itertools.islice(batches, n)]


# ---------------------------------------------------------------------- order and borders
def test_in_order():
    assert lists(ONE.batches(4)) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert list(ONE.samples()) == list(range(N))


def test_a_short_last_batch_can_be_dropped():
    assert lists(ONE.batches(4, drop_last=True)) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert lists(ONE.batches(5, drop_last=True)) == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]
    assert lists(ONE.batches(11, drop_last=True)) == []


def test_epochs_end_in_short_batches():
    assert lists(ONE[:5].batches(3, epochs=2)) == [[0, 1, 2], [3, 4], [0, 1, 2], [3, 4]]
    assert lists(ONE[:5].batches(3, epochs=2, drop_last=True)) == [[0, 1, 2], [0, 1, 2]]


def test_batches_may_cross_epochs():
    assert lists(ONE[:5].batches(3, epochs=2, across_epochs=True)) == [[0, 1, 2], [3, 4, 0], [1, 2, 3], [4]]
    assert lists(ONE[:5].batches(12, epochs=2, across_epochs=True)) == [[*range(5), *range(5)]]
    crossing = ONE[:5].batches(4, epochs=2, across_epochs=True, drop_last=True)
    assert lists(crossing) == [[0, 1, 2, 3], [4, 0, 1, 2]]


@given(
    n=st.integers(0, 9),
    size=st.integers(1, 12),
    epochs=st.integers(1, 3),
    drop_last=st.booleans(),
    across=st.booleans(),
    part=st.integers(1, 4).flatmap(lambda count: st.tuples(st.integers(0, count - 1), st.just(count))),
)
def test_batches_against_a_loop(n, size, epochs, drop_last, across, part):
    index, count = part
    numbered = [(epoch, i) for epoch in range(epochs) for i in range(n)][index::count]
    runs = [numbered] if across else [list(run) for _, run in itertools.groupby(numbered, key=lambda pair: pair[0])]
    wanted = [
        [i for _, i in run[first : first + size]]
        for run in runs
        for first in range(0, len(run), size)
        if not drop_last or len(run) >= first + size
    ]
    stream = ArraySource(np.arange(n)).batches(size, epochs=epochs, drop_last=drop_last, across_epochs=across)
    assert lists(stream.shard(index, count)) == wanted


def test_what_gives_no_batch_ends():
    assert lists(ONE.batches(11, drop_last=True, epochs=None)) == []
    assert lists(ONE.batches(6, drop_last=True, epochs=None).shard(0, 2)) == []
    assert lists(ONE.batches(5, drop_last=True, epochs=None).shard(1, 2), 2) == [[1, 3, 5, 7, 9]] * 2
    assert lists(ONE[:0].batches(1, epochs=None, across_epochs=True)) == []
    assert list(ONE[:0].samples(epochs=None, sampler=WeightedSampler(None))) == []


# ---------------------------------------------------------------------- shuffling
def test_each_epoch_has_its_own_order():
    stream = ONE.batches(N, shuffle=True, epochs=None, random_state=0)
    epochs = lists(stream(), 20)
    assert all(sorted(epoch) == list(range(N)) for epoch in epochs)
    assert len(set(map(tuple, epochs))) == 20


def test_passes_continue_the_epochs():
    endless = lists(ONE.batches(4, shuffle=True, epochs=None, random_state=0), 18)
    once = ONE.batches(4, shuffle=True, random_state=0)
    twice = ONE.batches(4, shuffle=True, random_state=0, epochs=2)
    assert [batch for epoch in range(6) for batch in lists(once(epoch=epoch))] == endless
    assert [batch for epoch in range(3) for batch in lists(twice(epoch=epoch))] == endless
    assert lists(twice.cycle(), 18) == endless


def test_the_samplers_seed_wins():
    own = ONE.batches(4, sampler=ShuffledSampler(5), random_state=1)
    assert lists(own) == lists(ONE.batches(4, shuffle=True, random_state=5))
    assert lists(own) != lists(ONE.batches(4, shuffle=True, random_state=1))
    assert lists(own(epoch=1)) == lists(ONE.batches(4, shuffle=True, random_state=5)(epoch=1))


def test_without_a_seed_the_global_state_decides():
    def drawn(seed):
        np.random.seed(seed)
        return lists(ONE.batches(4, shuffle=True))

    assert drawn(0) == drawn(0) != drawn(1)


def test_in_order_the_global_state_is_left_alone():
    np.random.seed(0)
    before = str(np.random.get_state())
    lists(ONE.batches(4, epochs=3))
    list(ONE.samples(sampler=ShuffledSampler(0)))
    ONE.batches(4).open().state_dict()
    assert str(np.random.get_state()) == before


def test_batches_of_any_size_read_one_order():
    orders = [list(itertools.chain(*lists(ONE.batches(size, shuffle=True, random_state=3)))) for size in (1, 3, N, 99)]
    assert orders == [[int(i) for i in ONE.samples(shuffle=True, random_state=3)]] * 4


# ---------------------------------------------------------------------- where it is
def test_epoch_and_position_are_those_of_the_last_batch():
    with ONE.batches(4, epochs=None).open() as stream:
        assert (stream.epoch, stream.position) == (0, 0)
        seen = [(stream.epoch, stream.position) for _ in itertools.islice(stream, 7)]
    assert seen == [(0, 1), (0, 2), (0, 3), (1, 1), (1, 2), (1, 3), (2, 1)]


def test_a_batch_that_crosses_belongs_to_the_epoch_it_begins_in():
    with ONE.batches(4, epochs=None, across_epochs=True).open() as stream:
        seen = [(stream.epoch, stream.position) for _ in itertools.islice(stream, 6)]
    assert seen == [(0, 1), (0, 2), (0, 3), (1, 1), (1, 2), (2, 1)]


def test_epoch_and_position_of_samples_and_passes():
    with ONE[:3].samples(epochs=2).open(epoch=4) as stream:
        seen = [(stream.epoch, stream.position) for _ in stream]
        assert seen == [(8, 1), (8, 2), (8, 3), (9, 1), (9, 2), (9, 3)]
        assert (stream.epoch, stream.position) == (9, 3)  # after the end too


# ---------------------------------------------------------------------- indices and keys
def test_indices_join_the_batch():
    part = slice(6, None, -2)
    assert [b["index"].tolist() for b in DICT[part].batches(3, with_indices=True)] == [[6, 4, 2], [0]]
    assert list(next(iter(DICT.batches(3, with_indices=True)))) == ["index", "X", "y"]
    index, x, y = next(iter(PAIR[part].batches(2, with_indices=True)))
    assert index.tolist() == y.tolist() == (x[:, 0] // 2).tolist() == [6, 4]
    index, values = next(iter(ONE[part].batches(2, with_indices=True)))
    assert index.tolist() == values.tolist() == [6, 4]
    assert [(i, int(y)) for i, _, y in PAIR[part].samples(with_indices=True)] == [(6, 6), (4, 4), (2, 2), (0, 0)]


def test_indices_may_not_hide_a_key():
    clash = ArraySource({"index": [1, 2]})
    with pytest.raises(ParameterError, match="`with_indices` must be False for samples that have a key 'index'"):
        clash.batches(2, with_indices=True)
    with pytest.raises(ParameterError, match="`with_indices` must be False"):
        clash.map(dict).samples(with_indices=True)
    [(index, values)] = clash.batches(2, with_indices=True, keys="index")
    assert (index.tolist(), values.tolist()) == ([0, 1], [1, 2])


def test_keys():
    assert lists(DICT.batches(4, keys="y")) == lists(ONE.batches(4))
    for keys in (("y", "X"), ["y", "X"]):
        y, x = next(iter(DICT.batches(2, keys=keys)))
        assert (y.tolist(), x.tolist()) == ([0, 1], [[0, 1], [2, 3]])
    (only,) = next(iter(DICT.batches(2, keys=("y",))))
    assert only.tolist() == [0, 1]
    assert lists(PAIR[2:].map(tuple).batches(4, keys=1))[0] == [2, 3, 4, 5]
    index, y = next(iter(DICT[::-1].batches(2, keys="y", with_indices=True)))
    assert index.tolist() == y.tolist() == [9, 8]
    assert list(DICT.samples(keys="y")) == list(range(N))


@pytest.mark.parametrize("source", [DICT, DICT[1:], DICT.map(dict)])
def test_unknown_keys_raise_at_once(source):
    for keys in ("z", ("X", "z")):
        with pytest.raises(ParameterError, match="`keys` must be one of 'X', 'y', got 'z'"):
            source.batches(4, keys=keys)
    with pytest.raises(ParameterError, match="`keys` must be a key or a tuple of at least one key"):
        source.samples(keys=())
    with pytest.raises(ParameterError, match="`keys` must be None, because the samples of"):
        ONE.batches(4, keys="y")


def test_keys_leave_the_other_columns_alone():
    class Unread(list):
        def __getitem__(self, index):
            raise AssertionError("was read")

    source = ArraySource({"X": Unread(range(4)), "y": np.arange(4)})
    assert lists(source[1:].batches(2, keys="y")) == [[1, 2], [3]]


# ---------------------------------------------------------------------- parameters
@pytest.mark.parametrize(
    ("how", "text"),
    [
        ({"batch_size": 0}, "`batch_size` must be a positive integer, got 0"),
        ({"batch_size": -1}, "`batch_size`"),
        ({"batch_size": 2.0}, "`batch_size`"),
        ({"batch_size": True}, "`batch_size`"),
        ({"shuffle": 12345}, "`shuffle` must be True or False, got 12345; `random_state` takes the seed"),
        ({"shuffle": True, "sampler": ShuffledSampler()}, "`shuffle` must be False if a sampler is given"),
        ({"sampler": [1, 2]}, "`sampler` must be a Sampler"),
        ({"sampler": WeightedSampler([1, 2])}, "`weights` must be 10 numbers, one for each sample, got 2"),
        ({"random_state": "a"}, "`random_state`"),
        ({"epochs": 0}, "`epochs` must be None or a positive integer, got 0"),
        ({"epochs": -1}, "`epochs`"),
        ({"epochs": 1.5}, "`epochs`"),
        ({"ragged": "cut"}, "`ragged` must be one of 'error', 'pad', 'crop', 'list', got 'cut'"),
        ({"shuffle": "False"}, "`shuffle` must be True or False, got 'False'"),
        ({"shuffle": None}, "`shuffle` must be True or False, got None"),
        ({"drop_last": "no"}, "`drop_last` must be True or False, got 'no'"),
        ({"across_epochs": 0}, "`across_epochs` must be True or False, got 0"),
        ({"with_indices": "index"}, "`with_indices` must be True or False, got 'index'"),
        ({"fill": "x"}, "`fill` must be a number"),
        ({"crop": 3}, "`crop` must be None or a random_crop"),
    ],
)
def test_parameters_are_checked_at_once(how, text):
    with pytest.raises(ParameterError, match=text):
        ONE.batches(**{"batch_size": 4, **how})
    if how.keys() <= {"shuffle", "sampler", "random_state", "epochs", "with_indices"}:
        with pytest.raises(ParameterError, match=text):
            ONE.samples(**how)


def test_repr_says_what_it_is():
    stream = DICT.batches(4, shuffle=True, epochs=None, across_epochs=True, ragged="pad", fill=2)
    assert repr(stream) == (
        "Batches(ArraySource(X: ndarray(int64, (10, 2)), y: ndarray(int64, (10,))), 4, ShuffledSampler(), epochs=None, "
        "across_epochs=True, ragged='pad', fill=2)"
    )


class Pair(NamedTuple):
    x: Any
    y: Any


def test_named_tuples_keep_their_names():
    named = ArraySource({"i": np.arange(4)}).map(lambda sample: Pair(sample["i"], Pair(-sample["i"], 0)))
    for source in (named, concatenate([named, named])):
        for how in ({}, {"ragged": "list"}, {"ragged": "crop", "crop": random_crop(1)}):
            batch = source.read([1, len(source) - 1], **how)
            assert type(batch) is type(batch.y) is Pair
            assert list(batch.x) == [1, 3]
            assert list(batch.y.x) == [-1, -3]
    assert next(iter(named.batches(2))).x.tolist() == [0, 1]
    assert named.read([]).y.x.shape == (0,)
