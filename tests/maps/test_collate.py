"""The forms of samples: a batch has the form of its samples, and samples of different forms are told apart."""

from collections import Counter, OrderedDict, namedtuple
from types import MappingProxyType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import streamflow as sf
from streamflow.maps.collate import described, each, transposed

Pair = namedtuple("Pair", "x y")  # noqa: PYI024  (users have these)
Size = namedtuple("Size", "x y")  # noqa: PYI024


def collated(samples, **how):
    (batch,) = sf.buffer_stream(samples, len(samples), **how)
    return batch


class Rows(sf.sources.Source):
    """Samples as a source."""

    def __init__(self, samples):
        self.rows = samples

    def __len__(self):
        return len(self.rows)

    def sample(self, index):
        return self.rows[index]


def as_lists(batch):
    return each(lambda array, name: array.tolist(), batch)


# ---------------------------------------------------------------------- every form
@pytest.mark.parametrize(
    ("samples", "wanted"),
    [
        ([5, 6], [5, 6]),
        ([0.5, np.float32(2)], [0.5, 2.0]),
        (["a", "bc"], ["a", "bc"]),
        ([np.arange(3), np.arange(3) + 1], [[0, 1, 2], [1, 2, 3]]),
        ([[1, 2], [3, 4]], [[1, 2], [3, 4]]),
        ([(1, "a"), (2, "b")], ([1, 2], ["a", "b"])),
        ([Pair(1, 2), Pair(3, 4)], Pair([1, 3], [2, 4])),
        ([(1,), (2,)], ([1, 2],)),
        ([(), ()], ()),
        ([{}, {}], {}),
        ([{"x": (1, {"y": 2})}, {"x": (3, {"y": 4})}], {"x": ([1, 3], {"y": [2, 4]})}),
        ([{0: Pair({"a": 1}, (2, [3]))}] * 2, {0: Pair({"a": [1, 1]}, ([2, 2], [[3], [3]]))}),
        ([OrderedDict(b=1, a=2), {"a": 3, "b": 4}], {"b": [1, 4], "a": [2, 3]}),
        ([MappingProxyType({"x": 1}), {"x": 2}], {"x": [1, 2]}),
        ([{"x": 2}, MappingProxyType({"x": 1})], {"x": [2, 1]}),
    ],
    ids=str,
)
def test_a_batch_has_the_form_of_its_samples(samples, wanted):
    batch = collated(samples)
    assert as_lists(batch) == wanted
    assert type(as_lists(batch)) is type(wanted)
    each(lambda array, name: pytest.fail(name) if type(array) is not np.ndarray else None, batch)
    assert as_lists(Rows(samples).read(slice(None))) == wanted


FORMS = st.recursive(
    st.none(),
    lambda below: st.one_of(
        st.dictionaries(st.text(max_size=2), below, max_size=3), st.lists(below, max_size=3).map(tuple)
    ),
    max_leaves=8,
)


def filled(form, number):
    """A sample of a form: a number in place of each None, which says where it is from."""
    return each(lambda leaf, name: [number, len(name)], form)


@given(form=FORMS, n=st.integers(1, 5))
def test_nested_as_one_likes(form, n):
    batch = collated([filled(form, number) for number in range(n)])
    assert as_lists(batch) == each(lambda leaf, name: [[number, len(name)] for number in range(n)], form)


def test_forms_are_batched_by_a_tree_too():
    def samples():
        for i in range(6):
            yield Pair(np.full(2, i), {"n": i})

    tree = sf.ShuffledMux([sf.Streamer(samples)], random_state=0).pipe(sf.buffer_stream, 3)
    batch = next(iter(tree))
    assert type(batch) is Pair
    assert batch.x.shape == (3, 2)
    assert batch.y["n"].tolist() == [0, 1, 2]


@pytest.mark.parametrize(("how", "wanted"), [({"axis": 0}, ([1, 2, 3], {"y": [4, 5, 6, 7]}))])
def test_axis_concatenates_every_value(how, wanted):
    samples = [(np.array([1]), {"y": np.array([4, 5])}), (np.array([2, 3]), {"y": np.array([6, 7])})]
    assert as_lists(collated(samples, **how)) == wanted


@pytest.mark.parametrize(
    ("ragged", "wanted"), [("pad", ([[1, 0], [2, 3]],)), ("crop", ([[1], [2]],)), ("list", ([[1], [2, 3]],))]
)
def test_ragged_values_of_every_form(ragged, wanted):
    batch = collated([([1],), ([2, 3],)], ragged=ragged)
    assert each(lambda values, name: np.asarray(values).tolist() if ragged != "list" else values, batch) == wanted


# ---------------------------------------------------------------------- samples of different forms
DIFFERENT = [
    (
        [{"x": 1}, {"x": 1, "extra": 2}],
        "the samples of a batch .* form, got keys 'x' and keys 'extra', 'x'; .* 'extra'",
    ),
    ([{"x": 1, "extra": 2}, {"x": 1}], "only some have 'extra'$"),
    ([{"x": 1, "y": 2}, {"x": 1, "z": 2}], "only some have 'y', 'z'$"),
    ([{"x": 1}, (1,)], "the samples of a batch must have the same form, got keys 'x' and tuple of 1"),
    ([{"x": 1}, 5], "got keys 'x' and 5"),
    ([{"x": 1}, None], "got keys 'x' and None"),
    ([{"x": 1}, np.zeros(3)], r"got keys 'x' and ndarray\(float64, \(3,\)\)"),
    ([{0: 1}, [1]], "got keys 0 and list of 1"),
    ([(1, 2), (1,)], "got tuple of 2 and tuple of 1"),
    ([(1, 2), [1, 2]], "got tuple of 2 and list of 2"),
    ([(1,), {0: 1}], "got tuple of 1 and keys 0"),
    ([{"x": {"a": 1}}, {"x": {"b": 1}}], "the values of 'x' must have the same form, got keys 'a' and keys 'b'"),
    ([{"x": ({"a": 1},)}, {"x": (5,)}], r"the values of 'x'\[0\] must have the same form"),
    ([{"x": {"a": (1, 2)}}, {"x": {"a": (1,)}}], r"the values of 'x'\['a'\] must have the same form"),
    ([({"a": 1},), ({"b": 1},)], r"the values of \[0\] must have the same form"),
    ([5, {"x": 1}], "the values of the samples cannot be stacked: dicts or tuples are mixed with other values"),
    ([{"x": 5}, {"x": {"a": 1}}], "the values of 'x' cannot be stacked: dicts or tuples are mixed"),
    ([{"x": [1, 2]}, {"x": (1, 2)}], "the values of 'x' cannot be stacked: dicts or tuples are mixed"),
    ([{"x": np.zeros(2)}, {"x": (1, 2)}], "the values of 'x' cannot be stacked: dicts or tuples are mixed"),
    ([{"x": ({"a": np.zeros(2)},)}, {"x": ({"a": np.zeros(3)},)}], r"the values of 'x'\[0\]\['a'\] cannot be stacked"),
    ([Counter(x=1, y=2), Counter(x=1, z=2)], "only some have 'y', 'z'$"),  # (each says 0 for what it has not)
    ([5, None], "samples must be arrays, numbers, text, or dicts or tuples of these, got None"),
    ([None, None], "samples must be arrays, numbers, text, or dicts or tuples of these, got None"),
]


@pytest.mark.parametrize("partial", [False, True])
@pytest.mark.parametrize(("samples", "text"), DIFFERENT, ids=[str(samples) for samples, _ in DIFFERENT])
def test_samples_of_different_forms(samples, text, partial):
    with pytest.raises(sf.DataError, match=text):
        list(sf.buffer_stream(samples, len(samples) + partial, partial=partial))


def test_a_dict_that_answers_for_itself_is_asked():
    class Tenfold(dict):
        def __getitem__(self, key):
            return 10 * super().__getitem__(key)

    assert as_lists(collated([Tenfold(x=1), Tenfold(x=2)])) == {"x": [10, 20]}


def test_named_tuples_of_the_same_length_are_one_form():
    assert as_lists(collated([Pair(1, 2), Size(3, 4), (5, 6)])) == Pair([1, 3, 5], [2, 4, 6])


def test_no_samples_have_no_form():
    assert transposed([]) == []


def test_described():
    assert described({"b": 1, "a": 2}) == "keys 'a', 'b'"
    assert described(Pair(1, 2)) == "Pair of 2"
