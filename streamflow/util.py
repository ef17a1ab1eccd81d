"""Small helpers that users of pescador import from here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .exceptions import ParameterError
from .seeding import check_random_state

__all__ = ["batch_length", "get_rng"]


def get_rng(random_state: Any = None) -> Any:
    """A source of random numbers: NumPy's global one, a RandomState of a seed, or what was given.

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
    """The common length of a batch's values, None if it has none.

    >>> batch_length({"x": [1, 2], "y": "ab"})
    2
    """
    lengths = {len(value) for value in batch.values()}
    if len(lengths) > 1:
        raise ParameterError(f"the values of `batch` must be of one length, got lengths {sorted(lengths)}")
    return lengths.pop() if lengths else None
