"""Items of all kinds and sizes in random order, some held for long: they arrive as sent, and stay so."""

import random

import numpy as np
import pytest

import streamflow as sf

from .views import MIB, Thing, anythings, full, print_of

pytestmark = pytest.mark.usefixtures("channel")
N = 900


@pytest.mark.parametrize("limit", [100_000, 8 * MIB])
def test_anything_comes_as_it_was_and_stays_so(limit):
    rng = random.Random(limit)
    held = {}
    serial = anythings(N)
    with sf.ZMQStreamer(sf.Streamer(anythings, N), buffer_bytes=limit).open() as stream:
        for i, item in enumerate(stream):
            sent = print_of(next(serial))
            assert print_of(item) == sent
            if rng.random() < 0.15:
                held[i] = item, sent
            if len(held) > 30:
                item, sent = held.pop(rng.choice(list(held)))
                assert print_of(item) == sent
    assert i == N - 1
    del stream
    assert len(held) > 20
    for item, sent in held.values():
        assert print_of(item) == sent


LARGE = {
    "text": lambda i: {"t": chr(97 + i % 26) * MIB},
    "bytes": lambda i: bytes([i % 256]) * MIB,
    "bytearray": lambda i: {"x": bytearray([i % 256]) * MIB, "y": full(i, 10)},
    "integers": lambda i: list(range(i, 300_000 + i)),
    "objects": lambda i: {"o": np.array([str(i + j) for j in range(100_000)], dtype=object), "x": full(i)},
    "masked": lambda i: np.ma.masked_array(full(i, 4 * MIB), mask=full(i, 4 * MIB) > 100),
    "inside": lambda i: {"thing": Thing([full(i, MIB), full(i + 1, MIB)]), "i": i},
    "hundreds": lambda i: {f"k{j}": full(i + j, 40_000) for j in range(300)},
    "hundreds read-only": lambda i: [np.broadcast_to(full(i + j, 1), 40_000) for j in range(300)],
    "a hundred": lambda i: {f"k{j}": full(i + j, 40_000) for j in range(120)},
    "hundreds inside": lambda i: [Thing(full(i + j, 33_000)) for j in range(300)],
    "larger than the buffer": lambda i: {"x": full(i, 3 * MIB), "y": full(i + 1, 5 * MIB + 3)},
    "nothing": lambda i: {
        "x": np.zeros((0, 100_000)),
        "y": [np.zeros(0, "M8[s]")],
        "z": np.zeros((1 << 20, 0, 1 << 20)),
    },
    "nothing inside": lambda i: Thing(np.zeros((i, 0), np.int8)),
}


@pytest.mark.parametrize("name", LARGE)
def test_large_in_an_unusual_way(name):
    """All items are held, more than the buffer has room for."""
    make = LARGE[name]

    def items():
        for i in range(8):
            yield make(i)

    held = list(sf.ZMQStreamer(items, buffer_bytes=2 * MIB))
    assert len(held) == 8
    for i, item in enumerate(held):
        sent = make(i)
        assert type(item) is type(sent)
        assert print_of(item) == print_of(sent)
        arrays = [array for array in item if isinstance(array, np.ndarray)] if isinstance(item, list) else []
        assert all(array.flags.writeable for array in arrays)


def test_more_than_64_layouts_of_large_arrays():
    """They recur in an order in which some have been forgotten."""

    def items():
        for i in range(300):
            size = 40_000 + (i * 7) % 90
            yield {"x": np.full(size, i), "y": np.full(size % 50, i)}

    held = []
    for i, item in enumerate(sf.ZMQStreamer(items, buffer_bytes=4 * MIB)):
        size = 40_000 + (i * 7) % 90
        assert (item["x"].shape, item["y"].shape) == ((size,), (size % 50,))
        held.append(item)
    assert all((array == i).all() for i, item in enumerate(held) for array in item.values())
