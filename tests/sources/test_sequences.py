"""Sequences of any other library: a length and [] for one integer are enough, and elements are samples of any form."""

import numpy as np
import pytest

from streamflow.sources import ArraySource, ChoiceSource, concatenate, map_sources, split, take, zip_sources
from streamflow.testing import check_source

X, Y = np.arange(24).reshape(12, 2), np.arange(12)


class Lazy:
    """As SeqTools has them: lazy, a slice is a sequence again, and an array of indices is refused."""

    def __init__(self, get, size):
        self.get, self.size = get, size

    def __len__(self):
        return self.size

    def __iter__(self):
        return map(self.get, range(self.size))

    def __getitem__(self, key):
        if isinstance(key, slice):
            return Lazy(lambda place: self.get(range(self.size)[key][place]), len(range(self.size)[key]))
        if not isinstance(key, int):
            raise TypeError("integers and slices only")
        return self.get(range(self.size)[key])


ELEMENTS = {
    "arrays": (Lazy(lambda k: X[k].copy(), 12), X),
    "tuples": (Lazy(lambda k: (X[k].copy(), k), 12), (X, Y)),
    "dicts": (Lazy(lambda k: {"x": X[k].copy(), "y": k}, 12), {"x": X, "y": Y}),
    "text": (Lazy(lambda k: "abcdefghijkl"[k], 12), np.array(list("abcdefghijkl"))),
    "a slice": (Lazy(lambda k: (X[k - 1].copy(), k), 13)[1:], (X, Y + 1)),
}


@pytest.mark.parametrize("kind", ELEMENTS)
def test_as_a_source(kind):
    sequence, data = ELEMENTS[kind]
    for source in (
        ArraySource(sequence),
        take(sequence, slice(None)),
        concatenate([sequence[:5], sequence[5:]]),
        concatenate(split(sequence, [3, 9])),
        map_sources(lambda sample: sample, sequence),
    ):
        check_source(source, data, pickles=None, n_samples=5, fork=False, fresh_process=False, n_threads=1)


@pytest.mark.parametrize("kind", ELEMENTS)
def test_as_a_column(kind):
    sequence, data = ELEMENTS[kind]
    pair = zip_sources([sequence, Y]).read([3, 0])
    named = ArraySource({"a": sequence, "b": Y}).read([3, 0])
    wanted = ArraySource(data).read([3, 0])
    assert repr(pair) == repr((wanted, Y[[3, 0]]))
    assert repr(named) == repr({"a": wanted, "b": Y[[3, 0]]})


def test_keys_of_elements():
    sequence, _ = ELEMENTS["dicts"]
    assert [batch.tolist() for batch in take(sequence, [3, 1, 2]).batches(2, keys="y")] == [[3, 1], [2]]
    assert ChoiceSource([sequence, sequence]).keys() == ("member", "x", "y")
    assert ArraySource(ArraySource({"x": X})).keys() == ("x",)
    assert ArraySource(Lazy(None, 0)).keys() is None
