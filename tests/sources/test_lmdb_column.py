"""What an LMDB store takes for a value: what it is given comes back, or it says that it cannot be stored."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamflow.core.equal import same
from streamflow.exceptions import DataError
from streamflow.sources import LMDBStore, LMDBWriter
from streamflow.sources.lmdb.codec import RecordLayout


def stored(first, value):
    """A value that comes after a first one, as it is read."""
    layout = RecordLayout.of(first)
    return layout.one(memoryview(layout.record(value)), None)


def test_lists_of_nothing_among_lists_of_numbers(tmp_path):
    with LMDBWriter(tmp_path) as db:
        db.extend_columns({"t": [[1, 2], [], [3]]})
        db.append({"t": []})
    values = [sample["t"] for sample in LMDBStore(tmp_path)]
    assert [value.tolist() for value in values] == [[1, 2], [], [3], []]
    assert {value.dtype for value in values} == {np.dtype(int)}


@pytest.mark.parametrize("dtype", ["u1", "f4", "c16", "?", "U3", "S2", "M8[s]"])
def test_a_list_of_nothing_fits_any_array(dtype):
    first = np.zeros(2, dtype)
    assert same(stored(first, []), np.zeros(0, dtype))
    assert same(stored(first, [[], []]), np.zeros((2, 0), dtype))


@pytest.mark.parametrize("first", [[], [[], []]])
def test_a_first_list_of_nothing_has_no_dtype(tmp_path, first):
    with LMDBWriter(tmp_path) as db:
        for add in (db.append, lambda sample: db.extend_columns({"t": [sample["t"]]})):
            with pytest.raises(DataError, match="'t' cannot be stored: an empty list has no dtype"):
                add({"t": first})
        db.append({"t": np.array([], int)})
        db.append({"t": [5]})
    assert [sample["t"].tolist() for sample in LMDBStore(tmp_path)] == [[], [5]]


@pytest.mark.parametrize(
    ("first", "value"),
    [
        (0.5, 2**53 + 1),
        (0.5, -(2**53) - 1),
        (np.float32(0), 2**24 + 1),
        (np.float16(0), 2049),
        (0j, 2**53 + 1),
        (np.zeros(2), [1, 2**53 + 1]),
        (np.zeros((1, 2)), [[2**53 + 1, 0.5]]),
        (np.zeros(2, complex), [1, 2**53 + 1]),
        (np.zeros(1), [2**63 - 1]),
        ([0.5, 2**53 + 1], [0.5, 2**53 + 1]),
        ([np.float64(0.5), np.int64(2**53 + 1)], [0.5]),
        (np.float32(0), 1e300),
        (np.float16(0), 10**5),
        (np.float32(0), 10**50),
    ],
)
def test_whole_numbers_that_a_float_cannot_hold(first, value):
    with pytest.raises(DataError) as caught:
        RecordLayout.of(first).record(first)
        stored(first, value)
    assert "\n" not in str(caught.value)


@given(st.sampled_from(["f2", "f4", "f8", "c8", "c16"]), st.integers(-(2**70), 2**70))
def test_a_whole_number_is_exact_or_refused(dtype, number):
    try:
        found = stored(np.zeros((), dtype), number)
    except DataError:
        with np.errstate(over="ignore"):
            assert complex(np.asarray(float(number), dtype)) != number
    else:
        assert found.item() == number


@given(st.lists(st.one_of(st.integers(-(2**62), 2**62), st.floats(), st.booleans()), min_size=1))
def test_lists_of_numbers_are_exact_or_refused(numbers):
    try:
        found = stored(np.zeros(1), numbers)
    except DataError:
        assert any(float(number) != number for number in numbers if isinstance(number, int)) or all(
            isinstance(number, bool) for number in numbers
        )
    else:
        assert all(a == b or a != a for a, b in zip(found.tolist(), numbers, strict=True))


def test_fractions_are_rounded_and_what_is_not_finite_stays():
    assert stored(np.float32(0), 0.1) == np.float32(0.1)
    assert stored(np.float32(0), float("inf")) == np.inf
    assert np.isnan(stored(np.float32(0), float("nan")))
    assert stored(np.zeros(1), [np.inf, np.nan, 1e300])[:2].tolist()[0] == np.inf
    assert stored(0.5, 2**60) == 2**60
    assert stored(np.zeros(1), [2**60, 0.5]).tolist() == [2**60, 0.5]


@pytest.mark.parametrize("first", [np.zeros(2), 1, {"a": np.zeros(2)}])
def test_a_tuple_is_a_form_and_no_array(first):
    with pytest.raises(DataError, match=r"must be one value|expected keys"):
        stored(first, (0.0, 0.0))
    with pytest.raises(DataError, match=r"must be one value"):
        stored({"a": first if not isinstance(first, dict) else 1}, {"a": (0.0, 0.0)})


@pytest.mark.parametrize("words", [["a\0", "b"], [["x"], ["\0"]], [b"a\0"], [1, "a"], ["a", b"b"], [True, "True"]])
def test_lists_of_text_are_stored_as_they_are_or_refused(words):
    with pytest.raises(DataError, match="'w' cannot be stored"):
        RecordLayout.of({"w": words}).record({"w": words})
    with pytest.raises(DataError, match="'w' cannot be stored"):
        stored({"w": np.array(["abc"])}, {"w": words})


def test_lists_of_text():
    assert stored(["a", "bcd"], ["", "efghi"]).tolist() == ["", "efghi"]
    assert stored([b"a"], [b"\0a", b""]).tolist() == [b"\0a", b""]
    assert stored([["a\0b", ""]], [["c", "d"]]).tolist() == [["c", "d"]]
