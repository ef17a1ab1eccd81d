"""Muxes: streams over the streams of several members.

Each mux has its own file, over `pool` (the members), `weights` and `base` (what all descriptions have in common).
Their live nodes build on `slots` (how iteration is fast) and `picking` (random slots), with `caps` (how long a
member stays).  `choosing` is for muxes of your own.
"""

from .chain import ChainMux
from .choosing import BaseMux
from .deprecated import Mux
from .round_robin import RoundRobinMux
from .shuffled import ShuffledMux
from .stochastic import StochasticMux
from .zip import ZipMux

__all__ = ["BaseMux", "ChainMux", "Mux", "RoundRobinMux", "ShuffledMux", "StochasticMux", "ZipMux"]

# To pescador every mux is a BaseMux, and programs ask for that; these have faster nodes than a BaseMux can have.
for _mux in (ChainMux, RoundRobinMux, ShuffledMux, StochasticMux, ZipMux):
    BaseMux.register(_mux)
del _mux
