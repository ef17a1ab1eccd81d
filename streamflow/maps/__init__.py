"""Maps: functions from a stream to a stream.

Called directly, a map returns a generator; in `Streamer.pipe` or ``Streamer(map, stream, ...)`` it becomes part of a
tree that can be resumed and sharded.  `stream_map` declares a map of your own.
"""

from ..core import stream_map
from ..exceptions import DataError, PescadorError
from .buffer import buffer_stream
from .cache import cache
from .columns import keras_tuples, tuples
from .items import filter_items, map_items

__all__ = [
    "DataError",
    "PescadorError",
    "buffer_stream",
    "cache",
    "filter_items",
    "keras_tuples",
    "map_items",
    "stream_map",
    "tuples",
]
