"""What all background streamers have in common; `zmq_stream` and `thread_stream` subclass it.

Knows `background` and all below it; loads it (and `multiprocessing` and ZMQ with it) when a stream is opened.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from .core import Streamer
from .core.binding import Overrides
from .core.call import Shards
from .core.fingerprint import Fingerprint
from .core.node import Node
from .seeding import Key

if TYPE_CHECKING:
    from .background import Crew

__all__ = ["BackgroundStreamer"]


class BackgroundStreamer(Streamer):
    """A Streamer whose stream is made beside this thread.

    Parameters
    ----------
    streamer : Streamer
        The tree to run; anything else that can be iterated again and again is wrapped in one.
    """

    def __init__(self, streamer: Any) -> None:
        super().__init__(())
        self.streamer: Streamer = streamer if isinstance(streamer, Streamer) else Streamer(streamer)
        self._checked = False
        inner = self.streamer._overrides
        if inner is not None and inner.binding is not None:
            # Made inside a source function, over a Streamer that it was given: it belongs where that one does.
            self._overrides = Overrides(None, (), inner.binding)
            self.streamer = self.streamer._twin(Overrides(inner.root, inner.shards))

    def __repr__(self) -> str:
        return f"{self._label()}({self.streamer!r})"

    @abstractmethod
    def _crew(self) -> Crew:
        """How the tree is run."""

    # ------------------------------------------------------------------ hooks
    def _node(self, key: Key, shards: Shards) -> Node:
        from .background import BackgroundNode, check_sources

        if not self._checked:
            check_sources(self.streamer)
            self._checked = True
        return BackgroundNode(self._label(), self.streamer, key, shards, self._crew())

    def fingerprint(self) -> Fingerprint:
        inner = self.streamer.fingerprint()
        return self._marked(inner.then(f"{self._label()}({inner.text})"))

    def _label(self) -> str:
        return type(self).__name__

    def _check_shards(self, shards: Shards) -> None:
        self.streamer._check_shards(shards)
