"""The core: descriptions (`Streamer`), live passes (`Stream`), and the nodes that run them.

Inside, each file knows only those before it: `format` (the numbers that decide which items come; `seeding` knows them
too), `describe` (words), `source` (calling), `binding` (seed, part and place), `node` (live parts), `mapping` (live
maps), `stream` (the handle), `streamer` (the description), `families` (many of them).
"""

from .map import stream_map
from .stream import Stream
from .streamer import Streamer
from .streamer_list import StreamerList, streamable

__all__ = ["Stream", "Streamer", "StreamerList", "stream_map", "streamable"]
