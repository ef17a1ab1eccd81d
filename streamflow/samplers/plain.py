"""`SequentialSampler`, `ShuffledSampler` and `SubsetSampler`: in order, shuffled, or some of the samples."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.fingerprint import digest_of
from ..core.validate import flag
from ..seeding import ORDER, Key, permutation
from .base import Indices, Order, Sampler

__all__ = ["SequentialSampler", "ShuffledSampler", "SubsetSampler"]


class _SequentialOrder:
    """Index i at position i."""

    def __init__(self, n: int) -> None:
        self._n = n

    def __len__(self) -> int:
        return self._n

    def __getitem__(self, positions: NDArray[np.intp], /) -> NDArray[np.intp]:
        return positions


class SequentialSampler(Sampler):
    """Every sample once, in order.

    Examples
    --------
    >>> from streamflow.sources import ArraySource
    >>> [batch.tolist() for batch in ArraySource("abcde").batches(3, sampler=SequentialSampler())]
    [['a', 'b', 'c'], ['d', 'e']]
    """

    random = False

    def __init__(self) -> None:
        super().__init__()

    def order(self, n: int, key: Key) -> Order:
        return _SequentialOrder(n)


class ShuffledSampler(Sampler):
    """Every sample once, in a new random order in each epoch.

    Up to 1024 samples all orders are equally likely, and the order is an array.  Above that it is a keyed permutation,
    which computes the indices that are asked for and needs no memory (`streamflow.core.permutation`).

    Parameters
    ----------
    random_state : None, int, SeedSequence, Generator or RandomState
        A seed of this sampler; None: that of the stream.

    Examples
    --------
    >>> from streamflow.sources import ArraySource
    >>> shuffled = ArraySource(range(5)).samples(sampler=ShuffledSampler(0))
    >>> first, second = list(shuffled(epoch=0)), list(shuffled(epoch=1))
    >>> sorted(first) == sorted(second) == [0, 1, 2, 3, 4], first == second
    (True, False)
    """

    def order(self, n: int, key: Key) -> Order:
        return permutation(n, key, ORDER)


class SubsetSampler(Sampler):
    """Some of the samples, each as often as its index is given.

    Parameters
    ----------
    indices : (n,) array of int, or mask
        The samples; negative indices count from the end.
    shuffle : bool
        Whether to shuffle them, differently in each epoch, instead of reading them as given.
    random_state : None, int, SeedSequence, Generator or RandomState
        A seed of this sampler; None: that of the stream.

    Raises
    ------
    ParameterError
        If the indices are not integers or there are none, or (when a stream is made) if they are out of range or a mask
        of another length.

    Examples
    --------
    >>> from streamflow.sources import ArraySource
    >>> list(ArraySource("abcde").samples(sampler=SubsetSampler([4, 0, -1])))
    ['e', 'a', 'e']
    """

    def __init__(self, indices: Any, shuffle: bool = False, random_state: Any = None) -> None:
        super().__init__(random_state)
        self._indices, self.random = Indices(indices), flag("shuffle", shuffle)

    @property
    def indices(self) -> NDArray[np.intp]:
        """A copy of the indices."""
        return self._indices.values.copy()

    def size(self, n: int) -> int:
        return len(self._indices)

    def check(self, n: int) -> None:
        self._indices.check(n)

    def order(self, n: int, key: Key) -> Order:
        size = len(self._indices)
        return _SubsetOrder(self._indices, permutation(size, key, ORDER) if self.random else _SequentialOrder(size), n)

    def __repr__(self) -> str:
        return f"SubsetSampler({len(self._indices)} indices{', shuffle=True' if self.random else ''})"

    def fingerprint(self) -> str:
        return f"{self!r} {digest_of([self._indices.values.tobytes()])}"


class _SubsetOrder:
    """Some of the samples, in an order of their own."""

    def __init__(self, indices: Indices, order: Order, n: int) -> None:
        self._indices, self._order, self._n = indices, order, n

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, positions: NDArray[np.intp], /) -> NDArray[np.intp]:
        return self._indices.at(self._order[positions], self._n)
