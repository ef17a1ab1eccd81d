"""`Sampler`: the order in which a source is read; subclass it for an order of your own.

A sampler returns an *order* for each epoch: an array of indices, or anything that gives an array of indices when it is
indexed by an array of positions.  So the state of a stream is one number, whatever the order: a part of a stream takes
every n-th position, and a resumed stream asks for the remaining positions.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..core.exact import public_attributes, setting
from ..core.validate import require
from ..exceptions import ParameterError
from ..seeding import Key, Root

__all__ = ["Indices", "Order", "Sampler"]


class Order(Protocol):
    """The order of one epoch, such as an array of indices."""

    def __len__(self) -> int:
        """The number of indices."""

    def __getitem__(self, positions: NDArray[np.intp], /) -> NDArray[np.intp]:
        """The indices at these positions, which are ascending."""


class Sampler(ABC):
    """The order in which a source is read.

    Parameters
    ----------
    random_state : None, int, SeedSequence, Generator or RandomState
        A seed of this sampler; None: that of the stream.

    Notes
    -----
    A subclass must define `order`, and `size` if its epochs have another length than the source.  What it draws must
    depend only on `key` (`streamflow.seeding.generator(key, ORDER)` gives a Generator), because the order is asked for
        again when a stream is resumed and by each part of a stream.  States identify a sampler by its `fingerprint`: the
    class and its public attributes, unless it says otherwise.  Whatever else the order depends on must stand there;
    otherwise a state of another order is accepted.

    Names that mean something here: `order`, `size` and `check` are methods, `random` and `replacement` are True or
    False.  `size` and `check` are asked of the class, so an instance may keep attributes of its own by these names.

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

    #: Whether it draws with replacement: such an order has no epochs, so batches continue from one into the next.
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
            `size(n)` indices, each from 0 to n - 1.
        """

    def size(self, n: int) -> int:
        """The number of indices per epoch over a source of n samples."""
        return n

    def check(self, n: int) -> None:  # noqa: B027  (most fit any source)
        """Raise a `ParameterError` if it does not fit a source of n samples."""

    # The class is asked, because an instance may keep something of its own under these names: its `size`, say.
    def _size_in(self, n: int) -> int:
        """The number of indices per epoch over a source of n samples."""
        size: Any = type(self).size
        return size(self, n) if callable(size) else n

    def _check_fits(self, n: int) -> None:
        """Raise a `ParameterError` if it does not fit a source of n samples."""
        check: Any = type(self).check
        if callable(check):
            check(self, n)

    def _address(self, key: Key) -> Key:
        """The address of an epoch's randomness, under the sampler's own root if it has one."""
        return key if self._root is None else key.of_root(self._root)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def fingerprint(self) -> str:
        """What makes two samplers the same for a state.

        Returns
        -------
        str
            The class and its public attributes, by value.  The seed is compared by itself, and so is an array
            `weights`, which may change with ``load_state_dict(strict=False)``.  A sampler whose order depends on
            anything else says so itself.
        """
        public = public_attributes(self)
        if isinstance(public.get("weights"), np.ndarray):
            del public["weights"]
        return f"{type(self).__name__}({', '.join(f'{name}={setting(value)}' for name, value in public.items())})"


class Indices:
    """Indices given by a user, as a private copy; a mask becomes the positions where it is true.

    Attributes
    ----------
    values : array of int
    """

    def __init__(self, indices: Any) -> None:
        array = np.array(indices)
        rule = "a list or array of integers along one axis, or a mask"
        require(array.ndim == 1 and (array.dtype.kind in "iub" or not array.size), "indices", rule, indices)
        self._mask_length = len(array) if array.dtype.kind == "b" else None
        if array.dtype.kind == "u":  # the largest would become negative; they are out of range for any source
            array = np.minimum(array.astype(np.uint64), np.iinfo(np.intp).max)
        self.values = np.flatnonzero(array) if array.dtype.kind == "b" else array.astype(np.intp)
        require(len(self.values), "indices", "at least one index", indices)

    def __len__(self) -> int:
        return len(self.values)

    def check(self, n: int) -> None:
        """Raise unless all of them fit a source of n samples."""
        values, source = self.values, f"for a source of {n} samples"
        require(self._mask_length in (None, n), "indices", f"a mask of {n} values {source}", self._mask_length)
        if values.size and (values.min() < -n or values.max() >= n):
            outside = values[(values < -n) | (values >= n)][0]
            raise ParameterError(f"`indices` must be from {-n} to {n - 1} {source}, got {outside}")

    def at(self, places: NDArray[np.intp], n: int) -> NDArray[np.intp]:
        """Those at some places, with negative ones counted from the end of a source of n samples."""
        found = self.values[places]
        return np.where(found < 0, found + n, found)
