"""Mux: the name of pescador 1 for what is now `StochasticMux`."""

from __future__ import annotations

import warnings
from typing import Any

from .stochastic import StochasticMux

__all__ = ["Mux"]


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
    """Deprecated: use `StochasticMux`; this warns (`DeprecationWarning`) and makes one.

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
