"""Small helpers that users of pescador import from here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .exceptions import DataError, ParameterError, PescadorError
from .seeding import check_random_state

__all__ = ["DataError", "PescadorError", "batch_length", "get_rng"]


def get_rng(random_state: Any = None) -> Any:
    """A random number generator: NumPy's global one for None, a RandomState for a seed, or the one given.

    A SeedSequence gives a Generator.

    Raises
    ------
    ParameterError
        If it is none of these.

    Examples
    --------
    >>> get_rng(0).randint(10)
    5
    """
    check_random_state(random_state)
    if random_state is None:
        return np.random
    if isinstance(random_state, (np.random.RandomState, np.random.Generator)):
        return random_state
    if isinstance(random_state, np.random.SeedSequence):
        return np.random.default_rng(random_state)
    return np.random.RandomState(int(random_state))


def batch_length(batch: Mapping[Any, Any]) -> int | None:
    """The length that all values of a batch have in common; None for an empty batch.

    Raises
    ------
    ParameterError
        If two values differ in length.

    Examples
    --------
    >>> batch_length({"x": [1, 2], "y": "ab"})
    2
    """
    lengths = {len(value) for value in batch.values()}
    if len(lengths) > 1:
        raise ParameterError(f"`batch` must have values of one length, got lengths {sorted(lengths)}")
    return lengths.pop() if lengths else None
