"""Data files of LMDB that are short: some lack only what nothing refers to, and some have lost something."""

import mmap
import os
import shutil

import lmdb
import numpy as np
import pytest

from streamflow.core.equal import same
from streamflow.exceptions import DataError
from streamflow.sources import LMDBStore, LMDBWriter
from streamflow.sources.lmdb.pages import has_all_pages

PAGE = mmap.PAGESIZE
ROWS = {"small": np.arange(3000), "large": np.random.default_rng(0).integers(0, 256, (3000, 60), np.uint8)}


def lacks(path):
    """How many bytes the data file is shorter than its number of pages says."""
    with lmdb.open(str(path), readonly=True, max_dbs=4, map_size=0) as environment:
        pages = environment.info()["last_pgno"] + 1
        return pages * environment.stat()["psize"] - (path / "data.mdb").stat().st_size


def shorten(path):
    """Leave a store as a writer does that is killed after a commit that wrote no pages at the end."""
    with lmdb.open(str(path), max_dbs=4, map_size=1 << 26) as environment:
        base = environment.open_db(b"samples")
        for k in range(3):
            with environment.begin(write=True, db=base) as transaction:
                transaction.put(b"\xff%d" % k, b"x" * 300_000)
                transaction.put(b"\xffz", b"y" * 500_000)
                transaction.delete(b"\xffz")
            with environment.begin(write=True, db=base) as transaction:
                transaction.delete(b"\xff%d" % k)
        with environment.begin(write=True, db=base) as transaction:
            for k in range(20):
                transaction.put(b"\xff%d" % k, b"x" * 100_000)
            for k in range(20):
                transaction.delete(b"\xff%d" % k)
    assert lacks(path) > 0


@pytest.fixture
def path(tmp_path):
    with LMDBWriter(tmp_path / "data") as db:
        db.extend_columns(ROWS)
        db.append({"small": 1, "large": np.ones(500_000, np.uint8)})
        db.metadata["long"] = "text " * 5000
    return tmp_path / "data"


def check(path, more=0):
    store = LMDBStore(path)
    assert same(store.read(slice(0, 3000)), ROWS)
    assert [int(store[k]["large"].sum()) for k in range(3000, len(store))] == [500_000] + [7] * more
    assert store.metadata["long"] == "text " * 5000
    store.close()


def test_a_store_that_lacks_only_what_nothing_refers_to(path):
    shorten(path)
    check(path)
    assert lacks(path) > 0  # who reads changes nothing
    before = lacks(path) + (path / "data.mdb").stat().st_size
    with LMDBWriter(path) as db:
        assert (path / "data.mdb").stat().st_size == before
        db.append({"small": 2, "large": np.array([7], np.uint8)})
    check(path, 1)


def test_a_short_store_that_is_replaced(path):
    shorten(path)
    with LMDBWriter(path, mode="w") as db:
        db.append(5)
    assert list(LMDBStore(path)) == [5]


def test_a_short_store_that_has_lost_pages(path, tmp_path):
    """Every length at which a file may be cut: it is reported, or nothing was lost."""
    shorten(path)
    size, whole, cut = (path / "data.mdb").stat().st_size, 0, 0
    for length in [*range(2 * PAGE, size, 50 * PAGE), size - 9 * PAGE, size - PAGE - 1, size - 1]:
        (tmp_path / "cut").mkdir()
        shutil.copy(path / "data.mdb", tmp_path / "cut")
        os.truncate(tmp_path / "cut" / "data.mdb", length)
        reported = []
        for kind in (LMDBStore, LMDBWriter):
            try:
                kind(tmp_path / "cut").close()
            except DataError as error:
                reported.append("is truncated: data.mdb lacks" in str(error))
        assert reported in ([], [True, True])
        if reported:
            cut += 1
        else:
            check(tmp_path / "cut")
            whole += 1
        shutil.rmtree(tmp_path / "cut")
    assert whole
    assert cut


def test_all_pages_of_a_sound_file_are_found(path):
    with lmdb.open(str(path), readonly=True, max_dbs=4, map_size=0) as environment, environment.begin() as transaction:
        assert has_all_pages(path / "data.mdb", environment.stat()["psize"], transaction.id())
        assert not has_all_pages(path / "data.mdb", environment.stat()["psize"], transaction.id() + 2)


def test_a_file_that_is_cut_in_a_value(path):
    with LMDBWriter(path) as db:
        for k in range(3):  # pages for the trees to come are free then
            db.append({"small": k, "large": np.zeros(1, np.uint8)})
            db.flush()
        db.append({"small": 3, "large": np.ones(3_000_000, np.uint8)})
    size = (path / "data.mdb").stat().st_size
    assert (path / "data.mdb").read_bytes()[-2 * PAGE :].count(1) > PAGE / 2  # it is at the end
    with lmdb.open(str(path), readonly=True, max_dbs=4, map_size=0) as environment, environment.begin() as transaction:
        number = transaction.id()
    for length in (size - 1, size - PAGE, size - 300 * PAGE):
        os.truncate(path / "data.mdb", length)
        assert not has_all_pages(path / "data.mdb", PAGE, number)


def test_what_is_not_a_page_is_reported(path, tmp_path):
    """Other bytes where pages of the trees were: never taken for a whole file, and never an endless search."""
    with lmdb.open(str(path), readonly=True, max_dbs=4, map_size=0) as environment, environment.begin() as transaction:
        number = transaction.id()
    rng, whole = np.random.default_rng(0), np.fromfile(path / "data.mdb", np.uint8).reshape(-1, PAGE)
    kinds = whole[:, 10:14].copy().view("<u2")[:, 0]
    trees = [page for page in range(2, len(whole)) if kinds[page] in {1, 2}]
    assert len(trees) > 20
    found = []
    for page in trees[:30]:
        for fill in (0, rng.integers(0, 256, PAGE)):
            changed = whole.copy()
            changed[page] = fill
            changed.tofile(tmp_path / "other")
            found.append(has_all_pages(tmp_path / "other", PAGE, number))
    assert found.count(False) > len(found) / 2  # the others are no longer in use


def test_a_page_that_refers_to_itself(path, tmp_path):
    data = np.fromfile(path / "data.mdb", np.uint8)
    with lmdb.open(str(path), readonly=True, max_dbs=4, map_size=0) as environment, environment.begin() as transaction:
        number = transaction.id()
        about = PAGE * (number % 2)
    root = int(data[about + 128 : about + 136].view("<u8")[0])
    branch = np.zeros(PAGE, np.uint8)
    branch[10:16].view("<u2")[:] = 1, 16 + 2, 32
    branch[16:18].view("<u2")[:] = 32
    branch[32:40].view("<u2")[:] = root & 0xFFFF, root >> 16, 0, 0
    data[root * PAGE : root * PAGE + PAGE] = branch
    data.tofile(tmp_path / "other")
    assert not has_all_pages(tmp_path / "other", PAGE, number)
