"""Muxes: streams over the streams of several members.

`pool` (members, weights) and `slots` (how iteration is fast) carry `picking` (random slots, with `caps`) and `base`
(BaseMux, for muxes of your own); each mux is a file of its own.
"""

import warnings
from typing import Any

from .base import BaseMux
from .chain import ChainMux
from .round_robin import RoundRobinMux
from .shuffled import ShuffledMux
from .stochastic import StochasticMux
from .zip import ZipMux

__all__ = ["BaseMux", "ChainMux", "Mux", "RoundRobinMux", "ShuffledMux", "StochasticMux", "ZipMux"]


def Mux(  # noqa: N802 - the name of a class that it stands in for
    streamers: Any,
    k: int | None,
    rate: float | None = 256.0,
    weights: Any = None,
    with_replacement: bool = True,
    prune_empty_streams: bool = True,
    revive: bool = False,
    random_state: Any = None,
) -> StochasticMux:
    """Deprecated: use `StochasticMux`.

    Parameters
    ----------
    streamers, rate, weights, prune_empty_streams, random_state
        As in `StochasticMux`.
    k : int or None
        Its `n_active`.
    with_replacement, revive : bool
        Its `mode`: with_replacement; else single_active if members are revived; else exhaustive.
    """
    mode = "with_replacement" if with_replacement else "single_active" if revive else "exhaustive"
    warnings.warn(f"Mux is deprecated: use StochasticMux(..., mode={mode!r})", DeprecationWarning, stacklevel=2)
    return StochasticMux(streamers, k, rate, weights, mode, prune_empty_streams, random_state=random_state)
