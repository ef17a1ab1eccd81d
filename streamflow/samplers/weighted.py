"""Draws with replacement, in proportion to weights."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..core import validate
from ..core.fingerprint import digest_of
from ..core.validate import is_integer, require
from ..seeding import ORDER, Key, uniforms
from .base import Chosen, Order, Sampler

__all__ = ["WeightedSampler", "WeightedSubsetSampler"]


class _Draws:
    """Independent draws: at each position a random number, and what the cumulated weights say of it."""

    def __init__(self, size: int, key: Key, cumulated: NDArray[np.float64] | None, n: int) -> None:
        self._size, self._key, self._cumulated, self._n = size, key, cumulated, n

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, positions: NDArray[np.intp], /) -> NDArray[np.intp]:
        u = uniforms(self._key, ORDER, positions)
        if self._cumulated is None:
            return (u * self._n).astype(np.intp)
        # "right": of equal sums the last, so that a weight of zero is never drawn
        return np.searchsorted(self._cumulated, u, side="right")


class WeightedSampler(Sampler):
    """Draws with replacement, each sample in proportion to its weight.

    An order like this has no epochs: batches are always full, except for a last one after ``epochs * len(source)``
    draws.

    Parameters
    ----------
    weights : (n,) array of numbers, or None
        One for each sample; finite, not negative, not all zero.  None: all alike, for a source of any length.
    random_state : None, int, SeedSequence, Generator or RandomState
        A root of randomness of this sampler's own; None takes that of the stream.

    Raises
    ------
    ParameterError
        If the weights are wrong, or (when it meets a source) are not as many as its samples.

    Examples
    --------
    >>> from streamflow.sources import ArraySource
    >>> rare = WeightedSampler([0, 3, 1], random_state=0)
    >>> drawn = list(ArraySource("abc").samples(sampler=rare, epochs=100))
    >>> len(drawn), drawn.count("a"), drawn.count("b") > 2 * drawn.count("c")
    (300, 0, True)
    """

    replacement = True

    def __init__(self, weights: Any, random_state: Any = None) -> None:
        super().__init__(random_state)
        self._weights = None if weights is None else validate.weights("weights", weights)
        self._cumulated = None if self._weights is None else _cumulated(self._weights)

    @classmethod
    def class_balanced(cls, y: Any, n_classes: int | None = None, random_state: Any = None) -> Self:
        """Weights that draw each class equally often.

        Parameters
        ----------
        y : (n,) array
            The class of each sample.
        n_classes : int, optional
            Classes are 0 to n_classes - 1, which is checked; one without samples is never drawn.  None: the different
            values of `y`, of any kind.
        random_state : None, int, SeedSequence, Generator or RandomState
            As of the sampler.

        Examples
        --------
        >>> WeightedSampler.class_balanced([0, 0, 0, 1]).weights.round(3).tolist()
        [0.167, 0.167, 0.167, 0.5]
        """
        labels = np.asarray(y)
        require(labels.ndim == 1 and labels.size, "y", "the classes of samples along one axis, at least one", y)
        if n_classes is not None:
            whole = is_integer(n_classes)
            require(whole and n_classes >= 1, "n_classes", "None or an integer from 1 on", n_classes)
            fits = labels.dtype.kind in "iub" and labels.min() >= 0 and labels.max() < n_classes
            require(fits, "y", f"integers from 0 to {n_classes - 1}, as `n_classes` says", y)
        _, places, counts = np.unique(labels, return_inverse=True, return_counts=True)
        return cls(1 / counts[places], random_state)

    @property
    def weights(self) -> NDArray[np.float64] | None:
        """A copy of the weights, summing to 1; None if all samples are alike."""
        return None if self._weights is None else self._weights.copy()

    def check(self, n: int) -> None:
        if self._weights is not None:
            require(len(self._weights) == n, "weights", f"{n} numbers, one for each sample", len(self._weights))

    def order(self, n: int, key: Key) -> Order:
        return _Draws(n, key, self._cumulated, n)

    def __repr__(self) -> str:
        return f"WeightedSampler({'None' if self._weights is None else f'{len(self._weights)} weights'})"


class WeightedSubsetSampler(Sampler):
    """Draws with replacement from some samples, each in proportion to its weight.

    Parameters
    ----------
    weights : (m,) array of numbers
        One for each index; finite, not negative, not all zero.
    indices : (m,) array of int, or mask
        The samples to draw from; negative ones are counted from the end.
    random_state : None, int, SeedSequence, Generator or RandomState
        A root of randomness of this sampler's own; None takes that of the stream.

    Raises
    ------
    ParameterError
        If weights or indices are wrong, or (when it meets a source) one is outside of it or a mask has another length.

    Notes
    -----
    As for `WeightedSampler`, an epoch is as many draws as the source has samples.

    Examples
    --------
    >>> from streamflow.sources import ArraySource
    >>> some = WeightedSubsetSampler([1, 1], [0, 4], random_state=0)
    >>> set(ArraySource("abcde").samples(sampler=some, epochs=20)) == {"a", "e"}
    True
    """

    replacement = True

    def __init__(self, weights: Any, indices: Any, random_state: Any = None) -> None:
        super().__init__(random_state)
        self._chosen = Chosen(indices)
        self._weights = validate.weights("weights", weights)
        self._cumulated = _cumulated(self._weights)
        alike = len(self._weights) == len(self._chosen)
        require(alike, "weights", f"{len(self._chosen)} numbers, one for each index", len(self._weights))

    @property
    def weights(self) -> NDArray[np.float64]:
        """A copy of the weights, one for each index, summing to 1."""
        return self._weights.copy()

    @property
    def indices(self) -> NDArray[np.intp]:
        """A copy of the indices."""
        return self._chosen.indices.copy()

    def check(self, n: int) -> None:
        self._chosen.inside(n)

    def order(self, n: int, key: Key) -> Order:
        return _Among(self._chosen.inside(n), _Draws(n, key, self._cumulated, len(self._chosen)))

    def __repr__(self) -> str:
        return f"WeightedSubsetSampler({len(self._chosen)} weights)"

    def _label(self) -> str:
        return f"{self!r} {digest_of([self._chosen.indices.tobytes()])}"


class _Among:
    """An order of places among indices."""

    def __init__(self, indices: NDArray[np.intp], places: Order) -> None:
        self._indices, self._places = indices, places

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, positions: NDArray[np.intp], /) -> NDArray[np.intp]:
        found: NDArray[np.intp] = self._indices[self._places[positions]]
        return found


def _cumulated(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    sums: NDArray[np.float64] = np.cumsum(weights)
    sums /= sums[-1]
    return sums
