"""`extend` of both writers: one element of the iterable is one entry or sample, as if each had been appended."""

import numpy as np
import pytest

from streamflow.core.equal import same
from streamflow.exceptions import ParameterError
from streamflow.sources import ArraySource, LMDBStore, LMDBWriter, MemmapStore, MemmapWriter

WRITERS = {"memmap": (MemmapWriter, MemmapStore), "lmdb": (LMDBWriter, LMDBStore)}
ROWS = np.arange(12.0).reshape(4, 3)
RECORDS = np.array([(1, 0.5), (2, 1.5)], [("a", "i4"), ("b", "f8")])


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ([ROWS[0], ROWS[1]], 2),
        ((ROWS[0], ROWS[1]), 2),
        ([np.zeros(2), np.zeros(5)], 2),
        (lambda: (row for row in ROWS), 4),
        (ROWS, 4),
        (RECORDS, 2),
        (np.array(["2026-01-01", "NaT"], "M8[D]"), 2),
        (np.array(["a", "bcd"]), 2),
        (ArraySource(ROWS)[1:], 3),
        (range(3), 3),
        ([], 0),
        (np.zeros((0, 3)), 0),
    ],
)
def test_an_element_is_an_entry_or_a_sample(tmp_path, kind, elements, expected):
    writer, store = WRITERS[kind]
    with writer(tmp_path / "extended") as out:
        out.extend(elements() if callable(elements) else elements)
        assert len(out) == expected
    with writer(tmp_path / "appended") as out:
        for element in elements() if callable(elements) else elements:
            out.append(element)
    assert len(store(tmp_path / "extended")) == expected
    assert same(list(store(tmp_path / "extended")), list(store(tmp_path / "appended")))


@pytest.mark.parametrize(
    ("kind", "message"),
    [("memmap", "`arrays` must be an iterable of arrays"), ("lmdb", "`samples` must be an iterable of samples")],
)
@pytest.mark.parametrize("wrong", [{"x": [1]}, "text", b"text", 3, None, np.array(5)])
def test_what_has_no_elements_is_refused(tmp_path, kind, message, wrong):
    writer, _ = WRITERS[kind]
    with writer(tmp_path) as out:
        with pytest.raises(ParameterError, match=message):
            out.extend(wrong)
        assert len(out) == 0


def test_dicts_are_samples_and_columns_are_what_they_are_called(tmp_path):
    samples = [{"x": row, "n": place} for place, row in enumerate(ROWS)]
    with LMDBWriter(tmp_path / "samples") as db:
        db.extend(samples)
    with LMDBWriter(tmp_path / "columns") as db:
        db.extend_columns({"x": ROWS, "n": range(4)})
        with pytest.raises(ParameterError, match="got .*; extend_columns takes columns$"):
            db.extend({"x": ROWS, "n": range(4)})
    assert len(LMDBStore(tmp_path / "columns")) == 4
    assert same(list(LMDBStore(tmp_path / "samples")), list(LMDBStore(tmp_path / "columns")))
