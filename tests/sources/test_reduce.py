"""`map_concat` and `map_mean`: what a function gives batch by batch is as if it had seen all at once."""

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamflow import DataError, ParameterError
from streamflow.sources import ArraySource, take

N = 10
X, Y = np.arange(2 * N).reshape(N, 2), np.arange(N) * 10
SOURCE = ArraySource({"X": X, "y": Y})


class Pair(NamedTuple):
    total: float
    rows: int


@given(st.integers(1, 12), st.integers(0, 12))
def test_as_if_seen_at_once(batch_size, n):
    source = SOURCE[:n]
    doubled = source.map_concat(lambda b: {"x": b["X"] * 2, "y": (b["y"],)}, batch_size)
    mean = source.map_mean(lambda b: [b["X"].sum(0), (b["y"] ** 2).sum()], batch_size)
    if not n:
        assert (doubled, mean) == (None, None)
        return
    assert np.array_equal(doubled["x"], X[:n] * 2)
    assert np.array_equal(doubled["y"][0], Y[:n])
    assert np.allclose(mean[0], X[:n].mean(0))
    assert np.isclose(mean[1], (Y[:n] ** 2).mean())


def test_the_form_is_what_the_function_returns():
    def evaluate(batch):
        return {"a": batch["y"], "b": [batch["X"], (batch["y"].sum(),)], "c": Pair(batch["y"], batch["X"])}

    joined = SOURCE.map_concat(evaluate, 4)
    assert list(joined) == ["a", "b", "c"]
    assert type(joined["b"]) is list
    assert type(joined["b"][1]) is tuple
    assert type(joined["c"]) is Pair
    assert joined["b"][1][0].tolist() == [60, 220, 170]
    assert joined["c"].total.tolist() == Y.tolist()
    mean = SOURCE.map_mean(lambda b: Pair(b["y"].sum(), len(b["y"])), 4)
    assert mean == Pair(45.0, 1.0)


@pytest.mark.parametrize("number", [int, float, np.float32, np.int8, np.array, bool, complex])
def test_scalars(number):
    assert SOURCE.map_concat(lambda b: number(1), 4).tolist() == [1, 1, 1]
    assert SOURCE.map_mean(lambda b: number(1), 4) == pytest.approx(0.3)


def test_small_types_do_not_overflow():
    assert SOURCE.map_mean(lambda b: np.int8(100), 1) == 100
    assert SOURCE.map_mean(lambda b: np.full(2, 60000, np.float16), 1).tolist() == [60000, 60000]


def test_text_and_masked_arrays():
    assert SOURCE.map_concat(lambda b: np.array([f"{y}" for y in b["y"]]), 4).tolist() == [str(y) for y in Y]
    masked = SOURCE.map_concat(lambda b: np.ma.masked_greater(b["y"], 50), 4)
    assert masked.mask.tolist() == (Y > 50).tolist()


def test_results_are_never_written_into_and_may_be_used_again():
    memory = np.zeros(4)

    def reused(batch):
        memory[:] = batch["y"][0]
        return memory

    assert SOURCE[:8].map_concat(reused, 4).tolist() == [0] * 4 + [40] * 4
    assert memory.tolist() == [40] * 4
    assert SOURCE[:8].map_mean(reused, 4).tolist() == [5] * 4
    assert memory.tolist() == [40] * 4


def test_the_answer_is_fresh():
    held = []

    def kept(batch):
        held.append(batch["X"])
        return batch["X"]

    answer = SOURCE.map_concat(kept, N)
    answer[:] = -1
    assert np.array_equal(held[0], X)
    assert np.array_equal(SOURCE.read(slice(None))["X"], X)


def test_batches_come_in_order_through_progress():
    seen, shown = [], []

    def progress(batches, total):
        shown.append(total)
        for batch in batches:
            yield batch
            shown.append("done")

    SOURCE.map_concat(lambda b: seen.append(b["y"].tolist()), 4, progress=progress)
    assert seen == [[0, 10, 20, 30], [40, 50, 60, 70], [80, 90]]
    assert shown == [3, "done", "done", "done"]
    SOURCE.map_mean(len, 5, progress=lambda batches, total: shown.append(total) or batches)
    assert shown[-1] == 2


def test_what_is_read():
    assert SOURCE.map_concat(lambda y: y, 4, keys="y").tolist() == Y.tolist()
    assert SOURCE[::-1].map_concat(lambda b: b["index"], 4, with_indices=True).tolist() == list(range(N))[::-1]
    ragged = take([np.ones(1), np.ones(2), np.ones(3)], slice(None))
    assert ragged.map_mean(np.sum, 2, ragged="pad") == 2
    assert ragged.map_concat(lambda b: [np.array([len(x) for x in b])], 2, ragged="list")[0].tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("fn", "text"),
    [
        (lambda b: {"a": 1} if b["y"][0] else {"b": 1}, "the results of all batches must have the same form, got keys"),
        (lambda b: [1] * len(b["y"]), "the same form, got list of 4 and list of 2"),
        (lambda b: {"a": (1, 2) if b["y"][0] else 3}, r"the results\['a'\] of all batches must have the same form"),
    ],
)
def test_results_of_different_forms(fn, text):
    for method in (SOURCE.map_concat, SOURCE.map_mean):
        with pytest.raises(DataError, match=text):
            method(fn, 4)


def test_results_that_do_not_fit_together():
    with pytest.raises(DataError, match=r"the results\['x'\] of the batches cannot be concatenated"):
        SOURCE.map_concat(lambda b: {"x": np.ones((3, len(b["y"])))}, 4)
    with pytest.raises(DataError, match=r"the same shape for all batches, got \(4,\) and \(2,\); sum over"):
        SOURCE.map_mean(lambda b: b["y"], 4)
    with pytest.raises(DataError, match="the results must be numbers to be averaged, got 'a'"):
        SOURCE.map_mean(lambda b: "a", 4)


@pytest.mark.parametrize(
    ("how", "text"),
    [
        ({"fn": 3}, "`fn` must be a function of a batch, got 3"),
        ({"batch_size": 0}, "`batch_size`"),
        ({"progress": True}, "`progress` must be None or a function"),
        ({"shuffle": True}, "`shuffle` must be left out"),
        ({"epochs": 2}, "`epochs` must be left out"),
        ({"keys": "z"}, "`keys` must be one of 'X', 'y'"),
    ],
)
def test_parameters(how, text):
    for method in (SOURCE.map_concat, SOURCE.map_mean):
        with pytest.raises(ParameterError, match=text):
            method(**{"fn": len, "batch_size": 4, **how})


def test_an_error_of_the_function_is_its_own():
    with pytest.raises(ZeroDivisionError):
        SOURCE.map_mean(lambda b: 1 // 0, 4)
