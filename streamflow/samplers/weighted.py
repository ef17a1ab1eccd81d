"""`WeightedSampler`: draws with replacement, in proportion to weights."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..core import validate
from ..core.fingerprint import digest_of
from ..core.validate import optional_positive_integer, require
from ..seeding import ORDER, Key, uniforms
from .base import Indices, Order, Sampler

__all__ = ["WeightedSampler"]


class WeightedSampler(Sampler):
    """Draw with replacement, each sample in proportion to its weight.

    Such an order has no epochs: batches are always full, except for a last one after ``epochs * len(source)`` draws.

    Parameters
    ----------
    weights : (n,) array of numbers, or None
        One per sample, or per index if `indices` are given; finite, not negative, not all zero.  None: uniform, for a
        source of any length.
    random_state : None, int, SeedSequence, Generator or RandomState
        A seed of this sampler; None: that of the stream.
    indices : (n,) array of int, or mask, optional
        The samples to draw from; negative indices count from the end.  None: all samples.

    Raises
    ------
    ParameterError
        If weights or indices are invalid, or (when a stream is made) do not fit the source.

    Examples
    --------
    >>> from streamflow.sources import ArraySource
    >>> rare = WeightedSampler([0, 3, 1], random_state=0)
    >>> drawn = list(ArraySource("abc").samples(sampler=rare, epochs=100))
    >>> len(drawn), drawn.count("a"), drawn.count("b") > 2 * drawn.count("c")
    (300, 0, True)
    >>> some = WeightedSampler([1, 1], random_state=0, indices=[0, 4])
    >>> set(ArraySource("abcde").samples(sampler=some, epochs=20)) == {"a", "e"}
    True
    """

    replacement = True

    def __init__(self, weights: Any, random_state: Any = None, *, indices: Any = None) -> None:
        super().__init__(random_state)
        self._indices = None if indices is None else Indices(indices)
        n = None if self._indices is None else len(self._indices)
        self._weights = None if weights is None else validate.weights("weights", weights, n, "index")
        self._cumulated = None if self._weights is None else _cumulated(self._weights)

    @classmethod
    def class_balanced(cls, y: Any, n_classes: int | None = None, random_state: Any = None) -> Self:
        """A sampler that draws every class equally often.

        Parameters
        ----------
        y : (n,) array
            The class of each sample.
        n_classes : int, optional
            Classes are 0 to n_classes - 1, which is checked; a class without samples is never drawn.  None: the classes
            are the distinct values of `y`, of any type.
        random_state : None, int, SeedSequence, Generator or RandomState
            A seed of this sampler; None: that of the stream.

        Returns
        -------
        WeightedSampler

        Raises
        ------
        ParameterError
            If `y` is not a non-empty array along one axis, or holds anything but 0 to n_classes - 1.

        Examples
        --------
        >>> WeightedSampler.class_balanced([0, 0, 0, 1]).weights.round(3).tolist()
        [0.167, 0.167, 0.167, 0.5]
        """
        classes = np.asarray(y)
        require(classes.ndim == 1 and classes.size, "y", "a non-empty array of classes along one axis", y)
        count = optional_positive_integer("n_classes", n_classes)
        if count is not None:
            fits = classes.dtype.kind in "iub" and classes.min() >= 0 and classes.max() < count
            require(fits, "y", f"integers from 0 to {count - 1}, given `n_classes`", y)
        _, places, counts = np.unique(classes, return_inverse=True, return_counts=True)
        return cls(1 / counts[places], random_state)

    @property
    def weights(self) -> NDArray[np.float64] | None:
        """A copy of the weights, normalized to sum to 1; None if draws are uniform."""
        return None if self._weights is None else self._weights.copy()

    @property
    def indices(self) -> NDArray[np.intp] | None:
        """A copy of the indices; None if draws are from all samples."""
        return None if self._indices is None else self._indices.values.copy()

    def check(self, n: int) -> None:
        if self._indices is not None:
            self._indices.check(n)
        elif self._weights is not None:
            require(len(self._weights) == n, "weights", f"{n} numbers, one for each sample", len(self._weights))

    def order(self, n: int, key: Key) -> Order:
        if self._indices is None:
            return _WeightedOrder(n, key, self._cumulated, n)
        return _WeightedOrder(n, key, self._cumulated, len(self._indices), self._indices)

    def __repr__(self) -> str:
        weights = "None" if self._weights is None else f"{len(self._weights)} weights"
        indices = "" if self._indices is None else f", indices={len(self._indices)} indices"
        return f"WeightedSampler({weights}{indices})"

    def fingerprint(self) -> str:
        return repr(self) if self._indices is None else f"{self!r} {digest_of([self._indices.values.tobytes()])}"


class _WeightedOrder:
    """Independent draws: a random number for each position, looked up in the cumulated weights.

    An epoch is as many draws as the source has samples; they are from the indices, if there are any.
    """

    def __init__(
        self, n: int, key: Key, cumulated: NDArray[np.float64] | None, drawn_from: int, indices: Indices | None = None
    ) -> None:
        self._n, self._key, self._cumulated, self._drawn_from, self._indices = n, key, cumulated, drawn_from, indices

    def __len__(self) -> int:
        return self._n

    def __getitem__(self, positions: NDArray[np.intp], /) -> NDArray[np.intp]:
        u = uniforms(self._key, ORDER, positions)
        if self._cumulated is None:
            drawn = (u * self._drawn_from).astype(np.intp)
        else:
            # "right": of equal sums the last one, so that a weight of zero is never drawn
            drawn = np.searchsorted(self._cumulated, u, side="right")
        return drawn if self._indices is None else self._indices.at(drawn, self._n)


def _cumulated(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    sums: NDArray[np.float64] = np.cumsum(weights)
    sums /= sums[-1]
    return sums
