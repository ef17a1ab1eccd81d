"""`Gate`: many go through it together, or one alone."""

from __future__ import annotations

import threading

__all__ = ["Gate"]

_AGAIN = 0.1  #: seconds after which whoever waits looks again


class Gate:
    """Through it go many together, or one alone.

    Whoever goes through says who he is, and takes himself out of `inside` or `alone` first of all in a `finally`: the
    handler of a signal may raise wherever something is called, after the call, and nobody may stay behind.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self.inside: set[object] = set()
        self.alone: object = None

    def enter(self, who: object) -> None:
        """Go in with others."""
        with self._lock:
            while self.alone is not None:
                self._changed.wait(_AGAIN)
            self.inside.add(who)

    def close(self, who: object) -> None:
        """Let no further one in, and wait until all are out."""
        with self._lock:
            while self.alone is not None:
                self._changed.wait(_AGAIN)
            self.alone = who
            while self.inside:
                self._changed.wait(_AGAIN)

    def wake(self) -> None:
        """Let those that wait look again; they do it by themselves where this is interrupted."""
        with self._lock:
            self._changed.notify_all()
