"""Sampler: what decides in which order a source is read, and how to write one of your own.

A sampler answers with an *order* for each epoch: anything that can be indexed by an array of positions and gives an
array of indices, such as an array.  So a place in a stream is a number, whatever the order: it is divided among parts
by taking every n-th position, and resumed by asking for the positions that are left.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..core.validate import is_integer, require
from ..exceptions import ParameterError
from ..seeding import Key, Root

__all__ = ["Chosen", "Order", "Sampler"]


class Order(Protocol):
    """The order of one epoch, such as an array of indices."""

    def __len__(self) -> int:
        """How many indices it has."""

    def __getitem__(self, positions: NDArray[np.intp], /) -> NDArray[np.intp]:
        """The indices at these positions (ascending)."""


class Sampler(ABC):
    """The order in which a source is read.

    Parameters
    ----------
    random_state : None, int, SeedSequence, Generator or RandomState
        A root of randomness of this sampler's own; None takes that of the stream.

    Notes
    -----
    A subclass answers `order`; one whose epochs have another length than the source answers `size` too.  What it draws
    must be a function of `key` (`streamflow.seeding.generator(key, ORDER)` gives a Generator): an order is asked for
    again when a stream is resumed, and by each part of a stream.  A state knows a sampler by its ``__repr__``, which
    must tell whatever else the order depends on: unless it does, the state of another order is taken.

    Examples
    --------
    >>> import numpy as np
    >>> from streamflow.sources import ArraySource
    >>> class EvenFirst(Sampler):
    ...     '''Indices 0, 2, 4, ..., then 1, 3, 5, ...'''
    ...     random = False
    ...     def order(self, n, key):
    ...         return np.concatenate([np.arange(0, n, 2), np.arange(1, n, 2)])
    >>> [batch.tolist() for batch in ArraySource(np.arange(5)).batches(2, sampler=EvenFirst())]
    [[0, 2], [4, 1], [3]]
    """

    #: Whether it draws with replacement: such an order has no epochs, and batches run on from one into the next.
    replacement = False
    #: Whether its order depends on the key.
    random = True
    _root: Root | None = None

    def __init__(self, random_state: Any = None) -> None:
        if random_state is not None:
            self._root = Root(random_state)

    @abstractmethod
    def order(self, n: int, key: Key) -> Order:
        """The order of one epoch.

        Parameters
        ----------
        n : int
            Length of the source.
        key : Key
            The address of this epoch's randomness.

        Returns
        -------
        array of int, or anything that gives indices for an array of positions
            `size(n)` indices from 0 to n - 1.
        """

    def size(self, n: int) -> int:
        """How many indices an epoch over a source of n samples has."""
        return n

    def check(self, n: int) -> None:  # noqa: B027  (most fit any source)
        """Raise a `ParameterError` if it does not fit a source of n samples."""

    def _address(self, key: Key) -> Key:
        """Where an epoch's randomness comes from: its own root comes first."""
        return key if self._root is None else Key(self._root, key.path)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def _label(self) -> str:
        """What makes two samplers the same for a state."""
        return repr(self)


class Chosen:
    """Indices that a user has given: a private copy; a mask gives the places where it is true.

    Attributes
    ----------
    indices : array of int
    """

    def __init__(self, indices: Any) -> None:
        array = np.array(indices)
        rule = "a list or array of integers (or a mask) along one axis"
        require(array.ndim == 1 and (array.dtype.kind in "iub" or not array.size), "indices", rule, indices)
        self._mask_of = len(array) if array.dtype.kind == "b" else None
        if array.dtype.kind == "u":  # the largest are outside of any source, and stay so
            array = np.minimum(array.astype(np.uint64), np.iinfo(np.intp).max)
        self.indices = np.flatnonzero(array) if array.dtype.kind == "b" else array.astype(np.intp)

    def __len__(self) -> int:
        return len(self.indices)

    def inside(self, n: int) -> NDArray[np.intp]:
        """Indices from 0 to n - 1, negative ones counted from the end; raise if they are not of such a source."""
        indices, source = self.indices, f"for a source of {n} samples"
        require(self._mask_of in (None, n), "indices", f"a mask of {n} values {source}", self._mask_of)
        if indices.size and (indices.min() < -n or indices.max() >= n):
            outside = indices[(indices < -n) | (indices >= n)][0]
            raise ParameterError(f"`indices` must be from {-n} to {n - 1} {source}, got {outside}")
        return np.where(indices < 0, indices + n, indices)


def checked_whole(name: str, value: Any) -> int:
    """An integer from 1 on."""
    whole = is_integer(value)
    require(whole and value >= 1, name, "an integer from 1 on", value)
    return int(value)
