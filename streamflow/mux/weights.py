"""The weights of a mux: what may be given, and what is kept of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core import validate
from ..core.validate import require
from .pool import Pool

__all__ = ["pool_weights"]


def pool_weights(weights: Any, pool: Pool) -> NDArray[np.float64] | None:
    """A private copy of the weights, summing to 1; None if all are equal.

    Parameters
    ----------
    weights : None, (n_streams,) numbers, or a mapping from the members' names
    pool : Pool
    """
    if weights is None:
        return None
    if isinstance(weights, Mapping):
        names = range(len(pool)) if pool.names is None else pool.names
        require(set(weights) == set(names), "weights", "a mapping with the keys of `streamers`", list(weights))
        weights = [weights[name] for name in names]
    array = validate.weights("weights", weights, len(pool), "streamer")
    return None if (array == array[0]).all() else array
