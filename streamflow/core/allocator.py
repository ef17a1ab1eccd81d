"""Where large arrays are made: a background worker can offer memory that the consumer reads.

`background` sets an allocator while it runs a tree; a map that is about to make a large array asks here for memory.  An
array made in it is not copied on its way to the consumer, unless somebody else still holds it by then.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .fork import at_fork

__all__ = ["LARGE", "Allocator", "empty", "is_offered", "set_allocator"]

#: Arrays of at least this many bytes are worth memory of their own.
LARGE = 32 << 10

#: From a number of bytes to an array of that size, or None if there is no such memory.
Allocator = Callable[[int], NDArray[np.uint8] | None]


class _Offer(threading.local):
    """One per thread: an allocator serves only the thread that runs the tree."""

    allocator: Allocator | None = None


_offer = _Offer()


def set_allocator(allocator: Allocator | None) -> None:
    """Offer memory to what runs in this thread; None withdraws the offer."""
    _offer.allocator = allocator


def is_offered(size: int) -> bool:
    """Whether memory is offered for an array of this many bytes."""
    return size >= LARGE and _offer.allocator is not None


def empty(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any] | None:
    """An array with undefined content in the memory that is offered; None if there is none.

    Only for a dtype without objects, whose pointers mean nothing to the process that reads the memory.
    """
    if _offer.allocator is None or dtype.hasobject:
        return None
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    if not is_offered(size):
        return None
    base = _offer.allocator(size)
    return None if base is None else base.view(dtype).reshape(shape)


at_fork(in_child=lambda: set_allocator(None))  # a forked child has but a copy of its records
