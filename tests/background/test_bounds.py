"""Read-ahead is bounded in bytes, to within one item."""

import time
from multiprocessing import Value

import numpy as np
import pytest

import streamflow as sf

from ..processes import settled

pytestmark = pytest.mark.usefixtures("channel")


def counting(made, size, n=1 << 30):
    for i in range(n):
        made.value = i + 1
        yield {"x": np.full(size, i % 100, np.uint8)}


@pytest.mark.parametrize(
    ("limit", "size"),
    [(1 << 20, 1 << 18), (1 << 20, 100), (1 << 20, 3 << 20), (1, 1000), (8 << 20, 1 << 20)],
)
def test_a_sleeping_consumer_is_not_run_over(limit, size, within):
    made = Value("l", 0, lock=False)
    with sf.ZMQStreamer(sf.Streamer(counting, made, size), buffer_bytes=limit).open() as stream:
        next(stream)
        settled(lambda: made.value)
        assert (made.value - 1) * size <= limit + size
        # It is used, too: what is counted beside the bytes of an item is little.
        assert (made.value + 1) * (size + 400) >= limit
        for i in range(1, 200):
            assert (next(stream)["x"] == i % 100).all()


def test_the_bound_holds_with_a_slow_consumer():
    made = Value("l", 0, lock=False)
    with sf.ZMQStreamer(sf.Streamer(counting, made, 1 << 18, 60), buffer_bytes=1 << 20).open() as stream:
        for i, _ in enumerate(stream):
            time.sleep(0.003)
            assert made.value - i - 1 <= 4 + 1


@pytest.mark.usefixtures("every_item_marked")
def test_marks_count_too():
    """A tree whose states are larger than its items."""

    class Wordy:
        def __init__(self):
            self.i = 0

        def __iter__(self):
            return self

        def __next__(self):
            self.i += 1
            made.value = self.i
            return self.i

        def state_dict(self):
            return {"i": self.i, "text": "x" * 10_000}

        def load_state_dict(self, state):
            self.i = state["i"]

    made = Value("l", 0, lock=False)
    with sf.ZMQStreamer(sf.Streamer(Wordy), buffer_bytes=1 << 20).open() as stream:
        next(stream)
        assert settled(lambda: made.value) <= 110
        assert [next(stream) for _ in range(500)] == list(range(2, 502))
        state = stream.state_dict()
    with sf.ZMQStreamer(sf.Streamer(Wordy)).open() as again:
        again.load_state_dict(state)
        assert next(again) == 502
