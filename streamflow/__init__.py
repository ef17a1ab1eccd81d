"""streamflow: a data loader that samples from trees of generator streams.

A `Streamer` describes a stream; muxes combine Streamers into sampling trees; maps turn items into batches; a
`ZMQStreamer` runs a tree in other processes, a `ThreadStreamer` in a thread.
"""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

from . import core, exceptions, maps, mux, seeding, util, zmq_stream
from .background import BackgroundStreamer
from .core import Stream, Streamer, StreamerList, streamable
from .exceptions import (
    BackgroundError,
    DataError,
    MissingDependencyError,
    ParameterError,
    PescadorError,
    StateError,
    StreamflowError,
    WorkerDied,
)
from .maps import buffer_stream, cache, filter_items, keras_tuples, map_items, tuples
from .mux import BaseMux, ChainMux, Mux, RoundRobinMux, ShuffledMux, StochasticMux, ZipMux
from .thread_stream import ThreadStreamer
from .zmq_stream import ZMQStreamer

if _TYPE_CHECKING:
    from . import samplers, sources, testing

__version__ = "0.1.0"

__all__ = [
    "BackgroundError",
    "BackgroundStreamer",
    "BaseMux",
    "ChainMux",
    "DataError",
    "MissingDependencyError",
    "Mux",
    "ParameterError",
    "PescadorError",
    "RoundRobinMux",
    "ShuffledMux",
    "StateError",
    "StochasticMux",
    "Stream",
    "Streamer",
    "StreamerList",
    "StreamflowError",
    "ThreadStreamer",
    "WorkerDied",
    "ZMQStreamer",
    "ZipMux",
    "buffer_stream",
    "cache",
    "core",
    "exceptions",
    "filter_items",
    "keras_tuples",
    "map_items",
    "maps",
    "mux",
    "samplers",
    "seeding",
    "sources",
    "streamable",
    "testing",
    "tuples",
    "util",
    "zmq_stream",
]

#: Submodules that are loaded when they are first used.
_LATER = ("samplers", "sources", "testing")


def __getattr__(name: str) -> _Any:
    if name in _LATER:
        return _import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})
