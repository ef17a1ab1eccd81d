"""A source of one's own, in the fewest lines."""

import numpy as np
import pytest

from streamflow import DataError, ParameterError
from streamflow.sources import ArraySource, Source
from streamflow.testing import check_streamer, rows


class Squares(Source):
    def __init__(self, n):
        self.n = n

    def __len__(self):
        return self.n

    def sample(self, index):
        return {"x": index, "square": index**2}


class FastSquares(Squares):
    def fetch(self, indices):
        return {"x": indices.copy(), "square": indices**2}


@pytest.mark.parametrize("kind", [Squares, FastSquares])
def test_it_can_do_all_that_sources_can(kind):
    source = kind(10)
    assert source[-1] == {"x": 9, "square": 81}
    assert source[2:8:2].read([0, -1])["square"].tolist() == [4, 36]
    assert [batch.tolist() for batch in source[[1, 2, 3]].batches(2, keys="square")] == [[1, 4], [9]]
    check_streamer(source.batches(3, shuffle=True, epochs=2), samples_of=rows, fresh_process=False)
    check_streamer(source.samples(shuffle=True, with_indices=True), fresh_process=False)


def test_a_source_needs_two_methods():
    class Half(Source):
        def __len__(self):
            return 1

    with pytest.raises(TypeError, match="sample"):
        Half()


class Odd(Squares):
    def sample(self, index):
        return {"x": 1, "extra": 2} if index == 3 else {"x": 1}


def test_keys_that_differ_between_samples():
    with pytest.raises(DataError, match=r"must have the same form, got keys .*'x'.* and keys .*'extra'"):
        Odd(5).read(slice(None))


def test_forms_that_differ_between_samples():
    mixed = ArraySource([0, 1]).map(lambda i: (i,) if i else (i, i))
    with pytest.raises(DataError, match="must have the same form"):
        mixed.read([0, 1])


# ---------------------------------------------------------------------- map
def test_map_is_before_batching():
    source = ArraySource((np.arange(4), np.arange(4))).map(lambda pair, by: {"sum": sum(pair) * by}, by=10)
    assert source[2] == {"sum": 40}
    assert source.read([1, 3])["sum"].tolist() == [20, 60]
    assert source[::-1].batches(3).source.keys() == ("sum",)


def test_map_takes_a_function():
    with pytest.raises(ParameterError, match="`fn` must be a function of a sample, got 5"):
        ArraySource([1]).map(5)


def test_an_error_in_map_says_where():
    stream = ArraySource([1, 0]).map(lambda x: 1 / x).samples().open()
    next(stream)
    with pytest.raises(ZeroDivisionError) as caught:
        next(stream)
    of_the_map, of_the_stream = caught.value.__notes__
    assert of_the_map == "in map(<lambda>), sample 1"
    assert "map(<lambda>).samples, after 1 items" in of_the_stream


def test_map_and_views_keep_the_positions_of_the_unsliced_source():
    source = ArraySource(np.arange(10) * 2)[3:].map(lambda x: {"x": x})[::2]
    assert [batch["index"].tolist() for batch in source.batches(3, with_indices=True)] == [[3, 5, 7], [9]]


def test_closing():
    with Squares(3) as source:
        assert len(source) == 3
    source.close()
    assert source[1]["square"] == 1
