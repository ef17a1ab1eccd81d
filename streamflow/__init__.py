"""streamflow: sample from trees of streams, and feed training loops.

A `Streamer` describes a stream; muxes compose Streamers into sampling trees; maps turn items into batches; a
`ZMQStreamer` runs a tree in other processes, a `ThreadStreamer` in a thread.
"""

from . import core, exceptions, maps, mux, samplers, seeding, sources, testing, util, zmq_stream
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
from .maps import buffer_stream, cache, keras_tuples, tuples
from .mux import BaseMux, ChainMux, Mux, RoundRobinMux, ShuffledMux, StochasticMux, ZipMux
from .thread_stream import ThreadStreamer
from .zmq_stream import ZMQStreamer

__version__ = "0.1.0"

__all__ = [
    "BackgroundError",
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
    "keras_tuples",
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
