"""The system is asked for what will be read next, and only as long as that makes it read."""

import itertools
import mmap

import numpy as np
import pytest

from streamflow.sources import ArraySource, NpySource, Source
from streamflow.sources.mmap import kept as mapping
from streamflow.sources.mmap.kept import Ahead, memory_of, stretches_of

PAGE = mmap.PAGESIZE


class Logged(Source):
    """Records each call, in order."""

    def __init__(self, n):
        self.n, self.log = n, []

    def __len__(self):
        return self.n

    def sample(self, index):
        self.log.append(("read", [index]))
        return index

    def fetch(self, indices):
        self.log.append(("read", indices.tolist()))
        return indices

    def prefetch(self, indices):
        self.log.append(("need", indices.tolist()))


def test_batches_are_asked_for_one_ahead():
    source = Logged(7)
    batches = [batch.tolist() for batch in source.batches(3, shuffle=True, epochs=2, random_state=0)]
    asked = [indices for what, indices in source.log if what == "need"]
    assert [indices for what, indices in source.log if what == "read"] == batches
    assert asked == batches
    assert [what for what, _ in source.log] == ["need", *["need", "read"] * 5, "read"]


def test_what_is_asked_for_is_bounded_for_samples():
    source = Logged(1000)
    taken = list(itertools.islice(source.samples(shuffle=True, epochs=None, random_state=0), 100))
    asked = [indices for what, indices in source.log if what == "need"]
    assert max(map(len, asked)) <= 32
    assert list(itertools.chain(*asked))[:100] == taken
    assert len(asked[0]) <= 4  # a stream that is soon given up has asked for little


def test_views_and_columns_pass_it_on():
    inner = Logged(10)
    list(ArraySource({"x": inner})[::-1].map(dict).batches(5, keys="x"))
    assert ("need", [4, 3, 2, 1, 0]) in inner.log


# ---------------------------------------------------------------------- where rows lie
@pytest.fixture
def mapped(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((64, 3 * PAGE // 8)))
    return np.load(tmp_path / "x.npy", mmap_mode="r")


def test_rows_in_their_order_and_neighbours_joined(mapped):
    header, row = mapped.offset, 3 * PAGE
    found = [(first - header, end - header) for _, first, end in stretches_of(mapped, np.array([9, 2, 3, 30, 2]))]
    assert found == [(2 * row, 4 * row), (9 * row, 10 * row), (30 * row, 31 * row)]
    [(memory, first, end)] = stretches_of(mapped[5:50], np.array([0]))
    assert (first - header, end - header) == (5 * row, 6 * row)
    assert memory is memory_of(mapped)
    assert list(stretches_of(mapped, np.array([], int))) == []


def test_nothing_is_asked_for_what_does_not_lie_row_by_row(mapped):
    assert list(stretches_of(mapped[:, ::2], np.array([1]))) == []
    assert list(stretches_of(np.zeros((3, 4)), np.array([1]))) == []
    assert list(stretches_of(mapped.T, np.array([1]))) == []


def test_small_rows_are_joined_by_page(tmp_path):
    np.save(tmp_path / "y.npy", np.arange(10 * PAGE, dtype=np.uint8))
    found = list(stretches_of(np.load(tmp_path / "y.npy", mmap_mode="r"), np.arange(0, PAGE, 7)))
    assert len(found) == 1


# ---------------------------------------------------------------------- when the system is asked
class Disk:
    """What the system would count: waits for pages, and what it has been made to read."""

    def __init__(self, monkeypatch):
        self.waited = self.moved = self.asked = 0
        self.cold = True
        monkeypatch.setattr(mapping, "_disk_work", lambda: (self.waited, self.moved))

    def stretches(self):
        self.asked += 1
        self.moved += self.cold
        return ()


def test_it_asks_each_time_while_the_disk_is_read(monkeypatch):
    disk, ahead = Disk(monkeypatch), Ahead()
    for _ in range(50):
        ahead.ask(disk.stretches)
    assert disk.asked == 50


def test_it_rarely_asks_when_everything_is_in_memory(monkeypatch):
    disk, ahead = Disk(monkeypatch), Ahead()
    disk.cold = False
    for _ in range(1000):
        ahead.ask(disk.stretches)
    assert 1000 / 16 <= disk.asked < 80


def test_it_asks_again_after_waiting_for_a_page(monkeypatch):
    disk, ahead = Disk(monkeypatch), Ahead()
    disk.cold = False
    for _ in range(1000):
        ahead.ask(disk.stretches)
    before, disk.cold = disk.asked, True
    disk.waited += 1  # what is read now is cold
    for _ in range(10):
        ahead.ask(disk.stretches)
    assert disk.asked == before + 10


def test_it_asks_each_time_where_reads_cannot_be_counted(monkeypatch):
    monkeypatch.setattr(mapping, "_CAN_COUNT", False)
    asked, ahead = [], Ahead()
    for _ in range(20):
        ahead.ask(lambda: asked.append(1) or ())
    assert len(asked) == 20


def test_mapped_files_are_really_advised(tmp_path, monkeypatch):
    np.save(tmp_path / "x.npy", np.arange(64 * PAGE, dtype=np.uint8).reshape(64, PAGE))
    asked = []
    original = Ahead.ask
    monkeypatch.setattr(Ahead, "ask", lambda self, stretches: asked.extend(stretches()) or original(self, stretches))
    for source in (NpySource(tmp_path / "x.npy"), ArraySource(np.load(tmp_path / "x.npy", mmap_mode="r"))):
        del asked[:]
        for batch in source.batches(8, shuffle=True, random_state=0):
            assert batch.shape == (8, PAGE)
        assert sum(end - first for _, first, end in asked) >= 64 * PAGE
