"""Samplers that give every sample once, and samplers of one's own."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamflow import ParameterError
from streamflow.samplers import Sampler, SequentialSampler, ShuffledSampler, SubsetSampler, WeightedSampler
from streamflow.seeding import ORDER, Key, Root, generator
from streamflow.sources import ArraySource, ChoiceSource, CompositeSource
from streamflow.testing import check_streamer


def key(seed=0, epoch=0):
    return Key(Root(seed), (epoch,))


def indices(sampler, n, at=None, seed=0, epoch=0):
    order = sampler.order(n, key(seed, epoch))
    assert len(order) == sampler.size(n)
    return order[np.arange(len(order)) if at is None else np.array(at)].tolist()


def test_sequential():
    assert indices(SequentialSampler(), 4) == [0, 1, 2, 3]
    order = SequentialSampler().order(10**15, key())  # takes no memory
    assert order[np.array([7, 10**14])].tolist() == [7, 10**14]


@pytest.mark.parametrize("n", [0, 1, 2, 1000, 1024, 1025, 65537])
def test_shuffled_gives_each_once(n):
    first, second = indices(ShuffledSampler(), n), indices(ShuffledSampler(), n, epoch=1)
    assert sorted(first) == sorted(second) == list(range(n))
    assert n < 1000 or first != second
    assert first == indices(ShuffledSampler(), n)


@pytest.mark.parametrize("epoch", range(3))
def test_shuffled_needs_no_memory_above_a_size(epoch):
    order = ShuffledSampler().order(10**15, key(epoch=epoch))
    some = order[np.arange(1000)]
    assert len(set(some.tolist())) == 1000
    assert 0 <= some.min() < some.max() < 10**15
    assert order[np.array([5, 999])].tolist() == some[[5, 999]].tolist()


def test_a_sampler_with_its_own_seed():
    def epochs(sampler, seed):
        stream = ArraySource(np.arange(30)).samples(sampler=sampler, random_state=seed)
        return [list(stream(epoch=epoch)) for epoch in range(3)]

    own = epochs(ShuffledSampler(5), 0)
    assert own == epochs(ShuffledSampler(5), 1) != epochs(ShuffledSampler(6), 0)
    assert own[0] != own[1] != own[2]
    assert epochs(ShuffledSampler(), 0) != epochs(ShuffledSampler(), 1)


def test_a_generator_is_read_once():
    rng = np.random.default_rng(0)
    sampler = ShuffledSampler(rng)
    stream = ArraySource(np.arange(30)).samples(sampler=sampler)
    assert list(stream) == list(stream)
    assert list(stream) != list(ArraySource(np.arange(30)).samples(sampler=ShuffledSampler(rng)))


@pytest.mark.parametrize(
    "chosen",
    [[4, 0, -1, 4], np.array([4, 0, 4, 4], np.uint8), (4, 0, 4, 4), np.array([True, False, True, False, False])],
)
def test_subset(chosen):
    wanted = np.arange(5)[np.array(chosen)].tolist()
    assert indices(SubsetSampler(chosen), 5) == wanted
    mixed = [indices(SubsetSampler(chosen, shuffle=True), 5, epoch=epoch) for epoch in range(8)]
    assert all(sorted(order) == sorted(wanted) for order in mixed)
    assert len(wanted) < 4 or len(set(map(tuple, mixed))) > 1
    assert list(ArraySource(np.arange(5)).samples(sampler=SubsetSampler(chosen), epochs=2)) == wanted * 2


def test_subset_keeps_a_copy():
    chosen = np.array([1, 2])
    sampler = SubsetSampler(chosen)
    chosen[0] = 4
    sampler.indices[0] = 3
    assert sampler.indices.tolist() == [1, 2]


@pytest.mark.parametrize("chosen", [[0.5], [[0, 1]], "ab", 5, None])
def test_wrong_indices(chosen):
    with pytest.raises(ParameterError, match="`indices` must be a list or array of integers"):
        SubsetSampler(chosen)


@pytest.mark.parametrize("make", [SubsetSampler, lambda chosen: WeightedSampler(None, indices=chosen)])
@pytest.mark.parametrize("chosen", [[], (), np.array([], int), [False, False]], ids=str)
def test_a_subset_of_nothing_is_refused(make, chosen):
    with pytest.raises(ParameterError, match="`indices` must be at least one index, got"):
        make(chosen)


@pytest.mark.parametrize("make", [SubsetSampler, lambda mask: WeightedSampler(np.ones(sum(mask)), indices=mask)])
@pytest.mark.parametrize("mask", [[True, False], [True] + [False] * 5])
def test_a_mask_fits_sources_of_its_length_alone(make, mask):
    sampler, source = make(mask), ArraySource(np.arange(5))
    text = f"`indices` must be a mask of 5 values for a source of 5 samples, got {len(mask)}"
    for one in (source, source[::-1], source.map(abs)):
        with pytest.raises(ParameterError, match=text):
            one.batches(2, sampler=sampler)
        with pytest.raises(ParameterError, match=text):
            one.samples(sampler=sampler)
    fits = ArraySource(np.arange(len(mask)))
    assert set(fits.samples(sampler=sampler)) == {0}


@pytest.mark.parametrize("shuffle", ["False", 0, None])
def test_shuffle_is_a_flag(shuffle):
    with pytest.raises(ParameterError, match="`shuffle` must be True or False"):
        SubsetSampler([0], shuffle=shuffle)


def test_a_large_unsigned_index_is_not_a_negative_one():
    large = np.array([2**64 - 1], np.uint64)
    with pytest.raises(ParameterError, match="must be from -5 to 4 for a source of 5 samples, got 9223372036854775807"):
        ArraySource(np.arange(5)).samples(sampler=SubsetSampler(large))


@pytest.mark.parametrize("chosen", [[5], [0, -6]])
def test_indices_are_checked_against_the_source(chosen):
    with pytest.raises(
        ParameterError, match=f"`indices` must be from -5 to 4 for a source of 5 samples, got {chosen[-1]}"
    ):
        ArraySource(np.arange(5)).batches(2, sampler=SubsetSampler(chosen))


@given(n=st.integers(0, 40), count=st.integers(1, 7), shuffle=st.booleans(), epoch=st.integers(0, 3))
def test_parts_divide_the_order(n, count, shuffle, epoch):
    stream = ArraySource(np.arange(n)).samples(shuffle=shuffle, random_state=1)
    order = list(stream(epoch=epoch))
    assert [list(stream.shard(part, count)(epoch=epoch)) for part in range(count)] == [
        order[part::count] for part in range(count)
    ]


# ---------------------------------------------------------------------- one's own
class Twice(Sampler):
    """Each sample twice in a row, in a random order."""

    def size(self, n):
        return 2 * n

    def order(self, n, key):
        return np.repeat(generator(key, ORDER).permutation(n), 2)


def test_a_custom_sampler_can_do_all_that_samplers_can():
    source = ArraySource(np.arange(9))
    order = [int(i) for i in source.samples(sampler=Twice(), random_state=0)]
    assert order[::2] == order[1::2]
    assert sorted(order[::2]) == list(range(9))
    check_streamer(source.samples(sampler=Twice(), epochs=2), fresh_process=False)
    check_streamer(source.batches(4, sampler=Twice(3), epochs=None), samples_of=list, fresh_process=False)


def test_a_custom_sampler_may_call_anything_its_weights():
    class Own(Sampler):
        weights = (3, 1)

        def order(self, n, key):
            return np.arange(n)

    with ArraySource("abc").samples(sampler=Own()).open() as stream:
        next(stream)
        state = stream.state_dict()
    with ArraySource("abc").samples(sampler=Own()).open() as stream:
        stream.load_state_dict(state)
        assert list(stream) == ["b", "c"]


class Sorted(Sampler):
    """The samples by length; it keeps what it wants to under names that mean something to a sampler."""

    random = False

    def __init__(self, lengths, size, check):
        super().__init__()
        self.lengths, self.size, self.check = np.asarray(lengths), size, check

    def order(self, n, key):
        return np.argsort(self.lengths)


@pytest.mark.parametrize("size", [2, None, len, "large"])
def test_an_attribute_is_no_method(size):
    source = ArraySource(np.arange(3))
    stream = source.batches(2, sampler=Sorted([3, 1, 2], size, check=True))
    assert np.concatenate(list(stream)).tolist() == [1, 2, 0]
    assert list(source.samples(sampler=Sorted([3, 1, 2], size, check=False), epochs=2)) == [1, 2, 0] * 2


def test_a_class_may_use_the_names_of_methods_for_something_else():
    class Own(Sampler):
        size = 2
        check = None
        random = False

        def order(self, n, key):
            return np.arange(n)[::-1]

    class Computed(Own):
        @property
        def size(self):
            raise AssertionError("it is not asked")

    for sampler in (Own(), Computed()):
        assert list(ArraySource("abc").samples(sampler=sampler)) == ["c", "b", "a"]


@pytest.mark.parametrize("name", ["random", "replacement"])
def test_what_a_sampler_says_of_itself_is_true_or_false(name):
    sampler = Twice()
    setattr(sampler, name, np.random.default_rng(0))
    with pytest.raises(ParameterError, match=f"`sampler.{name}` must be True or False, got Generator"):
        ArraySource("abc").samples(sampler=sampler)


def returns(found, kind=Sampler):
    class Own(kind):
        def order(self, n, key):
            return found

        def __repr__(self):
            return "Own()"

    return Own()


@pytest.mark.parametrize(
    ("found", "text"),
    [
        ([0, 1], r"must return 3 indices per epoch, as its size\(\) says, Own\(\) returned 2"),
        ([0, 1, 3], r"must return indices from 0 to 2, Own\(\) returned 3"),
        ([0, -1, 1], "must return indices from 0 to 2"),
        (np.array([True, False, True]), r"must return integers along one axis, Own\(\) returned bool of shape \(2,\)"),
        ([0.0, 1.0, 2.0], r"must return integers along one axis, Own\(\) returned float64"),
        (np.zeros((3, 1), int), "integers along one axis"),
        ([[0], [1, 2], [3]], r"must return an array of indices, Own\(\) returned list of 3"),
        (None, r"must return an array of indices, Own\(\) returned None"),
        ({0, 1, 2}, "must return an array of indices"),
        (np.array(3), "must return an array of indices"),
    ],
)
@pytest.mark.parametrize("kind", [ArraySource, ChoiceSource, CompositeSource])
def test_what_a_custom_sampler_returns_is_checked(kind, found, text):
    source = ArraySource(np.arange(3)) if kind is ArraySource else kind([np.arange(3)])
    with pytest.raises(ParameterError, match=text):
        list(source.batches(2, sampler=returns(found, ShuffledSampler)))


@pytest.mark.parametrize("found", [[2, 0, 1], (2, 0, 1), np.array([2, 0, 1], np.uint8), range(2, -1, -1)], ids=str)
def test_an_order_may_be_any_sequence_of_integers(found):
    batches = list(ArraySource(np.arange(3)).batches(2, sampler=returns(found)))
    assert np.concatenate(batches).tolist() == list(found)


def test_a_sampler_must_define_order():
    class Nothing(Sampler):
        pass

    with pytest.raises(TypeError, match="order"):
        Nothing()
