"""Shuffled for disks: neighbours stay near each other."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..seeding import ORDER, Key, bit_generator, permutation
from .base import Order, Sampler, checked_whole

__all__ = ["BlockShuffledSampler"]


class BlockShuffledSampler(Sampler):
    """Every sample once: blocks of neighbours are shuffled, then the samples within a window of blocks.

    A disk reads neighbours quickly; with this order each stretch of ``window * block_size`` samples touches only
    `window` places of the disk.

    Parameters
    ----------
    block_size : int
        Samples in a block; the last block may be short.
    window : int
        Blocks whose samples are shuffled among each other.
    random_state : None, int, SeedSequence, Generator or RandomState
        A root of randomness of this sampler's own; None takes that of the stream.

    Notes
    -----
    It needs memory for one window, whatever the length of the source.

    Examples
    --------
    >>> from streamflow.sources import ArraySource
    >>> source = ArraySource(range(12))
    >>> order = [int(i) for i in source.samples(sampler=BlockShuffledSampler(3, window=2, random_state=0))]
    >>> sorted(order) == list(range(12)), sorted({i // 3 for i in order[:6]} | {i // 3 for i in order[6:]})
    (True, [0, 1, 2, 3])
    >>> len({i // 3 for i in order[:6]})
    2
    """

    def __init__(self, block_size: int, window: int = 16, random_state: Any = None) -> None:
        super().__init__(random_state)
        self.block_size, self.window = checked_whole("block_size", block_size), checked_whole("window", window)

    def order(self, n: int, key: Key) -> Order:
        return _BlockOrder(n, self.block_size, self.window, key)

    def __repr__(self) -> str:
        return f"BlockShuffledSampler({self.block_size}, window={self.window})"


class _BlockOrder:
    """The blocks in a random order, of which each window is shuffled.

    The full blocks are permuted and the short one, if there is one, is put at a random place among them.  So where a
    place in the sequence of blocks begins is a sum, and no table is needed.
    """

    def __init__(self, n: int, size: int, window: int, key: Key) -> None:
        self._n, self._size, self._window, self._key = n, size, window, key
        self._full, self._short = divmod(n, size)
        self._blocks = permutation(self._full, key, ORDER) if self._full else np.empty(0, np.intp)
        # the place of the short block; past all others if there is none
        self._odd = int(bit_generator(key, ORDER, 0).random_raw()) % (self._full + 1) if self._short else self._full
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
        """In which window each position lies; those after the short block's begin the earlier by what it lacks."""
        odd = self._odd // self._window
        full = self._size * self._window
        if not self._short:
            return positions // full
        later = positions >= self._begin(odd + 1)
        return np.where(later, positions + self._size - self._short, positions) // full

    def _begin(self, number: int) -> int:
        """The position at which a window begins."""
        block = number * self._window
        missing = self._size - self._short if self._short and block > self._odd else 0
        return min(block * self._size - missing, self._n)

    def _samples(self, number: int) -> NDArray[np.intp]:
        """The samples of a window in their order; the last window is kept."""
        if self._kept[0] != number:
            n_blocks = self._full + bool(self._short)
            places = np.arange(number * self._window, min((number + 1) * self._window, n_blocks))
            samples = np.concatenate([self._block(place) for place in places.tolist()])
            order = permutation(len(samples), self._key, ORDER, 1, number)
            self._kept = (number, samples[order[np.arange(len(samples))]])
        return self._kept[1]

    def _block(self, place: int) -> NDArray[np.intp]:
        """The samples of the block at a place."""
        if self._short and place == self._odd:
            return np.arange(self._full * self._size, self._n)
        place -= bool(self._short and place > self._odd)
        first = int(self._blocks[np.array([place])][0]) * self._size
        return np.arange(first, first + self._size)
