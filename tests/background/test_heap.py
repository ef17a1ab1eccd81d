"""The heap: blocks never overlap, freed memory is reused, and the heap grows no further than it must."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamflow.background.heap import ALIGN, Heap

from ..amount import amount

START, END = 3 * ALIGN, 1 << 40
sizes = st.one_of(st.integers(1, 300), st.integers(1, 1 << 22), st.sampled_from([64, 100, 4096, 5000, 1 << 20]))


class Checked:
    """A heap with a check of everything that it does."""

    def __init__(self, mark, end=END):
        self.heap = Heap(START, end, mark)
        self.end = end
        self.held: dict[int, int] = {}
        self.top = START  # the highest end of a block so far

    def take(self, size):
        rounded = Heap.size_class(size)
        offset = self.heap.allocate(rounded)
        last = offset + rounded
        assert offset % ALIGN == 0
        assert offset >= START
        assert last <= self.end
        assert all(last <= first or offset >= first + length for first, length in self.held.items())
        self.held[offset] = rounded
        self.top = max(self.top, last)
        return offset

    def give(self, offset):
        self.heap.free_blocks(self.held.pop(offset)).append(offset)

    def give_all(self):
        for offset in list(self.held):
            self.give(offset)

    def bytes_held(self):
        return sum(self.held.values())


@given(st.integers(1, 1 << 45))
def test_a_size_class_is_an_eighth_apart_at_most(size):
    rounded = Heap.size_class(size)
    assert size <= rounded < size + max(ALIGN, size / 8 + 1)
    assert rounded % ALIGN == 0
    assert Heap.size_class(rounded) == rounded
    assert Heap.size_class(size + 1) >= rounded


def test_there_are_few_size_classes():
    """So that a freed block is likely to be wanted again."""
    classes = {Heap.size_class(size) for size in range(1 << 16, 1 << 20, 7)}
    assert len(classes) <= 8 * 4 + 1


@settings(max_examples=amount(100, 300))
@given(st.lists(st.one_of(sizes, st.integers(-50, -1)), max_size=150), st.sampled_from([0, 1 << 12, 1 << 20, END]))
def test_blocks_never_overlap(steps, mark):
    """A positive step allocates so many bytes, a negative one frees a block; `Checked` checks."""
    checked = Checked(mark)
    for step in steps:
        if step > 0:
            checked.take(step)
        elif checked.held:
            checked.give(list(checked.held)[step % len(checked.held)])


@given(st.lists(sizes, min_size=1, max_size=20))
def test_the_last_block_given_back_comes_first(wanted):
    checked = Checked(END)
    for size in wanted:
        offset = checked.take(size)
        checked.give(offset)
        assert checked.take(size) == offset
    top = checked.top
    checked.give_all()
    for size in wanted:
        checked.take(size)
    assert checked.top == top


@given(st.lists(sizes, min_size=1, max_size=40))
def test_all_free_blocks_together_are_one_again(wanted):
    """Above `merge_above` they are merged before the heap grows, whatever their sizes."""
    checked = Checked(0)
    for size in wanted:
        checked.take(size)
    top = checked.top
    checked.give_all()
    extent = top - START
    whole = extent & -max(ALIGN, 1 << max(0, extent.bit_length() - 4))  # the largest class that fits
    for size in (64, whole // 3 + 1, whole // 2):
        checked.take(size)
        if extent >= size + 128:
            checked.take(64)
        checked.give_all()
    assert checked.take(whole) == START
    assert checked.top == top


def test_neighbours_are_merged_and_others_are_not():
    checked = Checked(0)
    blocks = [checked.take(64) for _ in range(9)]
    top = checked.top
    for number in (1, 3, 4, 5, 7):
        checked.give(blocks[number])
    assert checked.take(192) == blocks[3]
    assert checked.take(128) == top  # no two are left side by side
    assert sorted([checked.take(64), checked.take(64)]) == [blocks[1], blocks[7]]
    assert checked.top == top + 128


def test_what_is_free_at_the_top_is_no_part_of_the_heap():
    checked = Checked(0)
    first = checked.take(64)
    large = checked.take(1 << 20)
    checked.give(large)
    assert checked.take(2 << 20) == large  # it grows from there
    assert checked.top == first + 64 + (2 << 20)


def test_below_the_mark_nothing_is_merged():
    """Merging takes time, and newly cut blocks are not in the cache."""
    checked = Checked(1 << 20)
    blocks = [checked.take(64) for _ in range(10)]
    for block in blocks:
        checked.give(block)
    assert checked.take(640) == blocks[-1] + 64
    assert [checked.take(64) for _ in range(10)] == blocks[::-1]


def test_the_end():
    end = START + 640
    checked = Checked(START, end)
    checked.take(512)
    with pytest.raises(MemoryError, match="256 bytes do not fit"):
        checked.take(256)
    last = checked.take(128)
    with pytest.raises(MemoryError):
        checked.take(1)
    checked.give(last)
    checked.take(64)
    checked.take(64)


@pytest.mark.parametrize("kind", ["any", "two", "growing", "sawtooth"])
@pytest.mark.parametrize("seed", range(3))
def test_the_heap_is_bounded(kind, seed):
    """By `merge_above`, and a small multiple of the most that was allocated at a time."""
    rng = random.Random(seed)
    most, mark = 8 << 20, START + (16 << 20)
    draw = {
        "any": lambda i: int(2 ** rng.uniform(6, 20)),
        "two": lambda i: (700_000, 33_000)[rng.randrange(2)],
        "growing": lambda i: 40_000 + 50 * i,
        "sawtooth": lambda i: 30_000 + 997 * i % 1_000_000,
    }[kind]
    checked = Checked(mark)
    for i in range(6000):
        size = draw(i)
        while checked.bytes_held() + Heap.size_class(size) > most:
            checked.give(rng.choice(list(checked.held)))
        checked.take(size)
    assert checked.top <= mark + most


def test_random_sizes_cost_no_more_with_time():
    """Merging leaves no lists of sizes that are never asked for."""
    rng = random.Random(0)
    checked = Checked(1 << 22)
    entries = []
    for i in range(6000):
        if len(checked.held) == 20:
            checked.give(rng.choice(list(checked.held)))
        checked.take(int(2 ** rng.uniform(6, 20)))
        if i % 2000 == 1999:
            entries.append(len(checked.heap._free))
    assert entries[-1] <= 200  # size classes up to 1 MiB are about 130
