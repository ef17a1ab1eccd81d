"""Where the memory of an array is, for the tests of shared memory; and distinct items of any size."""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Any

import numpy as np

MIB = 1 << 20


def below(array: Any) -> Any:
    """The owner of an array's memory: the end of the chain of bases."""
    while isinstance(array, np.ndarray) and array.base is not None:
        array = array.base
    return array.obj if isinstance(array, memoryview) else array


def is_lent(array: np.ndarray) -> bool:
    """Whether it is a view of a segment."""
    return isinstance(below(array), mmap.mmap)


def address(array: np.ndarray) -> int:
    return array.__array_interface__["data"][0]


def place(array: np.ndarray) -> int | None:
    """The offset of an array in its segment, the same in both processes; None if it is in none."""
    where = address(array)
    for line in Path("/proc/self/maps").read_text().splitlines():
        if "memfd:streamflow" in line:
            first, last = (int(end, 16) for end in line.split()[0].split("-"))
            if first <= where < last:
                return where - first
    return None


def full(i: int, size: int = 100_000) -> np.ndarray:
    """Bytes that are all the number of their item."""
    return np.full(size, i % 251, np.uint8)


def filled(size: int, n: int = 1 << 30):
    for i in range(n):
        yield full(i, size)


class Thing:
    """A user's object with a large array inside."""

    def __init__(self, x: Any) -> None:
        self.x = x


def anything(i: int) -> Any:
    """Item i of a stream of items of all kinds and sizes, the same each time."""
    rng = np.random.default_rng([5, i])

    def drawn(most: float = 6.3) -> np.ndarray:
        dtype = rng.choice(["u1", "<f4", ">i2", "f8", "c16", "M8[s]"])
        size = int(10 ** rng.uniform(0, most)) // np.dtype(dtype).itemsize
        array = rng.integers(0, 256, size * np.dtype(dtype).itemsize, np.uint8).view(dtype)
        if rng.random() < 0.3:
            array = np.asfortranarray(array[: size // 7 * 7].reshape(7, -1))
        return array[::2] if rng.random() < 0.2 else array

    kind = rng.integers(9)
    if kind == 0:
        return {f"k{j}": drawn(5) for j in range(rng.integers(1, 40))}
    if kind == 1:
        return {"mask": np.ma.masked_array(full(i, int(10 ** rng.uniform(3, 6))), fill_value=3), "y": drawn()}
    if kind == 2:
        return [drawn(), ("x" * int(10 ** rng.uniform(0, 6)), None), {}]
    if kind == 3:
        # (NumPy's own pickle changes the byte order of arrays that are not contiguous.)
        return {"object": Thing(drawn().copy()), "x": drawn(), "n": i}
    if kind == 4:
        return np.zeros((int(rng.integers(3)), 0, 5)), i
    return {"x": drawn(), "y": drawn(3)}


def anythings(n: int = 1 << 30):
    for i in range(n):
        yield anything(i)


def print_of(item: Any) -> Any:
    """All of an item, bit by bit."""
    if isinstance(item, Thing):
        return print_of(item.x)
    if isinstance(item, np.ma.MaskedArray):
        return "masked", item.tobytes(), item.fill_value
    if isinstance(item, np.ndarray):
        return item.dtype.str, item.shape, item.tolist() if item.dtype.hasobject else item.tobytes()
    if isinstance(item, dict):
        return {key: print_of(value) for key, value in item.items()}
    if isinstance(item, (list, tuple)) and not all(type(value) is int for value in item):
        return [print_of(value) for value in item]
    return item
