"""The core: descriptions (`Streamer`), live passes (`Stream`), and the nodes that run them.

From the ground up; each file knows only files before it:

* `validate` (parameters) and `format` (the numbers that decide which items come), below `seeding`; `fork`, `signals`,
  `allocator`: what a process needs;
* `label`, `fingerprint`, `equal`: names and comparisons;
* `call` (leaf functions and their arguments), `binding` (seeds, parts and places);
* `node`, `leaf`, `derived`, `map`: what runs while a stream is open;
* `spec` (a description, as seen from below), `passes`, `stream`: one live pass;
* `parts`, `walk`, `description`, `streamer`, `streamer_list`: descriptions.
"""

from ..exceptions import DataError, PescadorError
from .map import stream_map
from .stream import Stream
from .streamer import Streamer
from .streamer_list import StreamerList, streamable

__all__ = ["DataError", "PescadorError", "Stream", "Streamer", "StreamerList", "stream_map", "streamable"]
