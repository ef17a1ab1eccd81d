"""What all background streamers have in common; `zmq_stream` and `thread_stream` subclass it.

Knows `background` and all below it; loads it (and `multiprocessing` and ZMQ with it) when a stream is opened.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from .core import Streamer
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

    def __init__(self, streamer: Any, random_state: Any = None) -> None:
        self._describe(random_state)
        self.streamer = self._adopt(streamer)
        self._checked = False

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
