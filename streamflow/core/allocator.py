"""Where large arrays are made: a worker that hands them on can offer memory that their receiver reads.

`background` sets an allocator while it runs a tree; a map that is about to make a large array asks for its memory here.
An array that is made so and handed on is not copied on its way, if nobody else holds it by then.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["LARGE", "Allocator", "empty", "is_offered", "set_allocator"]

#: Bytes from which on an array is worth memory of its own.
LARGE = 32 << 10

#: From a number of bytes to an array of as many bytes, or None where there is no such memory.
Allocator = Callable[[int], NDArray[np.uint8] | None]


class _Offer(threading.local):
    """One for each thread: an allocator serves the thread that runs the tree, and no other."""

    allocator: Allocator | None = None


_offer = _Offer()


def set_allocator(allocator: Allocator | None) -> None:
    """Offer memory to what runs in this thread (None: no longer)."""
    _offer.allocator = allocator


def is_offered(size: int) -> bool:
    """Whether there is memory for an array of so many bytes."""
    return size >= LARGE and _offer.allocator is not None


def empty(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any] | None:
    """An array in memory that is offered, its content undefined; None where none is.

    Only for a dtype without objects: whoever reads the memory knows nothing of this process.
    """
    if _offer.allocator is None or dtype.hasobject:
        return None
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    if not is_offered(size):
        return None
    base = _offer.allocator(size)
    return None if base is None else base.view(dtype).reshape(shape)


if hasattr(os, "register_at_fork"):  # a process that a worker forks has a copy of its books, and may not use them
    os.register_at_fork(after_in_child=lambda: set_allocator(None))
