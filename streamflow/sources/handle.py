"""`Handle`: something that a description holds open, once per process.

Files of libraries such as HDF5 and LMDB must not be used across a fork and cannot be pickled.  A Handle knows how to
open them, and opens them when a process first needs them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar
from weakref import WeakSet

from ..core.fork import at_fork

__all__ = ["Handle"]

T = TypeVar("T")


class Handle(Generic[T]):
    """Something that is opened at most once per process.

    Parameters
    ----------
    opener : function
        Opens it; must be picklable, so a function of a module.
    *args
        Arguments of the function.
    opened : optional
        The open object, if the user has opened it in this process; `close` leaves it open.

    Attributes
    ----------
    thing : object, or None
        The object while it is open in this process.

    Examples
    --------
    >>> numbers = Handle(list, "ab")
    >>> numbers.get() is numbers.get(), numbers.get()
    (True, ['a', 'b'])
    """

    __slots__ = ("__weakref__", "_args", "_given", "_lock", "_opener", "thing")

    def __init__(self, opener: Callable[..., T], *args: Any, opened: T | None = None) -> None:
        self._opener, self._args = opener, args
        self.thing: T | None = opened
        self._given = opened is not None
        self._lock = threading.Lock()
        _all.add(self)

    def get(self) -> T:
        """The open object; opens it if needed."""
        thing = self.thing
        if thing is None:
            with self._lock:
                if self.thing is None:
                    self.thing = self._opener(*self._args)
                thing = self.thing
        return thing

    def close(self) -> None:
        """Close it in this process, if it is open; `get` opens it again."""
        if self._given:
            return
        with self._lock:
            thing, self.thing = self.thing, None
        close = getattr(thing, "close", None)
        if close is not None:
            close()

    def __reduce__(self) -> Any:
        return Handle, (self._opener, *self._args)


#: All handles, because another thread may be opening one at a fork.
_all: WeakSet[Handle[Any]] = WeakSet()
#: What was open at a fork; it belongs to the parent, so the child neither uses nor closes it.
_inherited: list[Any] = []


def _forked() -> None:
    for handle in list(_all):
        _inherited.append(handle.thing)
        handle.thing, handle._given, handle._lock = None, False, threading.Lock()


at_fork(in_child=_forked)
