"""`BlockShuffledSampler`: shuffles so that a disk still reads neighbours together."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.validate import positive_integer
from ..seeding import ORDER, Key, bit_generator, permutation
from .base import Order, Sampler

__all__ = ["BlockShuffledSampler"]


class BlockShuffledSampler(Sampler):
    """Every sample once: blocks of neighbours are shuffled, then the samples within each window of blocks.

    A disk reads neighbours quickly; in this order each run of ``window * block_size`` samples comes from only `window`
    places on the disk.

    Parameters
    ----------
    block_size : int
        Samples per block, at least 1; the last block may be short.
    window : int
        Number of blocks whose samples are shuffled together, at least 1.
    random_state : None, int, SeedSequence, Generator or RandomState
        A seed of this sampler; None: that of the stream.

    Notes
    -----
    It needs next to no memory, whatever the lengths of the source and of a window.

    Examples
    --------
    >>> from streamflow.sources import ArraySource
    >>> sampler = BlockShuffledSampler(3, window=2, random_state=0)
    >>> order = list(ArraySource(range(12)).samples(sampler=sampler))
    >>> sorted(order) == list(range(12)), len({i // 3 for i in order[:6]})
    (True, 2)
    """

    def __init__(self, block_size: int, window: int = 16, random_state: Any = None) -> None:
        super().__init__(random_state)
        self.block_size, self.window = positive_integer("block_size", block_size), positive_integer("window", window)

    def order(self, n: int, key: Key) -> Order:
        return _BlockOrder(n, self.block_size, self.window, key)

    def __repr__(self) -> str:
        return f"BlockShuffledSampler({self.block_size}, window={self.window})"


class _BlockOrder:
    """Blocks in random order, with the samples of each window shuffled.

    The full blocks are permuted, and the short one, if any, is put at a random place among them.  So where each block
    begins can be computed, and both orders, of the blocks and of the samples of a window, are asked only for what is
    read.
    """

    def __init__(self, n: int, size: int, window: int, key: Key) -> None:
        self._n, self._size, self._window, self._key = n, size, window, key
        self._full, self._short = divmod(n, size)
        self._blocks = permutation(self._full, key, ORDER) if self._full else np.empty(0, np.intp)
        self._short_at = self._full  #: the place of the short block; behind all others if there is none
        if self._short:
            self._short_at = int(bit_generator(key, ORDER, 0).random_raw()) % (self._full + 1)
        self._kept: tuple[int, Order] = (-1, self._blocks)  # the latest window's number and order

    def __len__(self) -> int:
        return self._n

    def __getitem__(self, positions: NDArray[np.intp], /) -> NDArray[np.intp]:
        found = np.empty(len(positions), np.intp)
        windows = self._windows(positions)
        borders = [0, *(np.flatnonzero(np.diff(windows)) + 1).tolist(), len(positions)]
        for first, end in pairwise(borders):
            if first < end:
                number = int(windows[first])
                mixed = self._mixed(number)[positions[first:end] - self._begin(number)]
                found[first:end] = self._samples(number, mixed)
        return found

    def _windows(self, positions: NDArray[np.intp]) -> NDArray[np.intp]:
        """The window of each position; windows after the short block start earlier by the samples it lacks."""
        window = self._short_at // self._window
        full = self._size * self._window
        if not self._short:
            return positions // full
        later = positions >= self._begin(window + 1)
        return np.where(later, positions + self._size - self._short, positions) // full

    def _begin(self, number: int) -> int:
        """The first position of a window."""
        block = number * self._window
        missing = self._size - self._short if self._short and block > self._short_at else 0
        return min(block * self._size - missing, self._n)

    def _mixed(self, number: int) -> Order:
        """The order of the samples of a window."""
        if self._kept[0] != number:
            length = self._begin(number + 1) - self._begin(number)
            self._kept = (number, permutation(length, self._key, ORDER, 1, number))
        return self._kept[1]

    def _samples(self, number: int, at: NDArray[np.intp]) -> NDArray[np.intp]:
        """The samples at places of a window whose blocks follow one another unmixed."""
        first = number * self._window
        if first <= self._short_at:
            behind_short = at >= (self._short_at - first) * self._size + self._short
            at = np.where(behind_short, at + self._size - self._short, at)
        blocks, within = np.divmod(at, self._size)
        blocks += first
        starts = np.full(len(at), self._full * self._size)  # of the short block, which is the source's last
        is_full = blocks != self._short_at
        full = blocks[is_full]
        starts[is_full] = self._blocks[full - (full > self._short_at)] * self._size
        samples: NDArray[np.intp] = starts + within
        return samples
