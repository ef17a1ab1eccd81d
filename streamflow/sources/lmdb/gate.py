"""`Gate`: a lock that many share, or one holds alone."""

from __future__ import annotations

import threading

__all__ = ["Gate"]

_AGAIN = 0.1  #: seconds between two looks of a waiting thread


class Gate:
    """A lock that many threads share (`enter`), or one holds alone (`close`).

    A holder is any object.  It must remove itself from `inside` or `alone` in the first line of a `finally`: the
    handler of a signal may raise after any call, and no holder may be left behind.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self.inside: set[object] = set()
        self.alone: object = None

    def enter(self, who: object) -> None:
        """Hold it together with others."""
        with self._lock:
            while self.alone is not None:
                self._changed.wait(_AGAIN)
            self.inside.add(who)

    def close(self, who: object) -> None:
        """Keep others out, and wait until those inside have left."""
        with self._lock:
            while self.alone is not None:
                self._changed.wait(_AGAIN)
            self.alone = who
            while self.inside:
                self._changed.wait(_AGAIN)

    def wake(self) -> None:
        """Let waiting threads look again; should this be interrupted, they do so by themselves."""
        with self._lock:
            self._changed.notify_all()
