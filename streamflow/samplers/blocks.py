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
    It needs memory for one window, regardless of the length of the source.

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

    The full blocks are permuted, and the short one, if any, is put at a random place among them.  So the start of every
    block can be computed, without a table.
    """

    def __init__(self, n: int, size: int, window: int, key: Key) -> None:
        self._n, self._size, self._window, self._key = n, size, window, key
        self._full, self._short = divmod(n, size)
        self._blocks = permutation(self._full, key, ORDER) if self._full else np.empty(0, np.intp)
        self._short_at = self._full  #: the place of the short block; behind all others if there is none
        if self._short:
            self._short_at = int(bit_generator(key, ORDER, 0).random_raw()) % (self._full + 1)
        self._kept: tuple[int, NDArray[np.intp]] = (-1, np.empty(0, np.intp))

    def __len__(self) -> int:
        return self._n

    def __getitem__(self, positions: NDArray[np.intp], /) -> NDArray[np.intp]:
        found = np.empty(len(positions), np.intp)
        windows = self._windows(positions)
        borders = [0, *(np.flatnonzero(np.diff(windows)) + 1).tolist(), len(positions)]
        for first, end in pairwise(borders):
            if first < end:
                number = int(windows[first])
                found[first:end] = self._samples(number)[positions[first:end] - self._begin(number)]
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

    def _samples(self, number: int) -> NDArray[np.intp]:
        """The samples of a window in shuffled order; the latest window is kept."""
        if self._kept[0] != number:
            n_blocks = self._full + bool(self._short)
            places = np.arange(number * self._window, min((number + 1) * self._window, n_blocks))
            samples = np.concatenate([self._block(place) for place in places.tolist()])
            order = permutation(len(samples), self._key, ORDER, 1, number)
            self._kept = (number, samples[order[np.arange(len(samples))]])
        return self._kept[1]

    def _block(self, place: int) -> NDArray[np.intp]:
        """The samples of the block at a place."""
        if self._short and place == self._short_at:
            return np.arange(self._full * self._size, self._n)
        place -= bool(self._short and place > self._short_at)
        first = int(self._blocks[np.array([place])][0]) * self._size
        return np.arange(first, first + self._size)
