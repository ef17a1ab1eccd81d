"""Watching the user's generators: which are open, and how many items each function has yielded."""

from __future__ import annotations

import gc
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from inspect import CO_GENERATOR
from pathlib import Path
from types import FrameType, GeneratorType
from typing import Any

__all__ = ["count_items", "no_collection", "open_generators"]

_PACKAGE = str(Path(__file__).parents[1])
_STANDARD = str(Path(threading.__file__).parent)


def _is_users(filename: str) -> bool:
    """Whether code is the user's: neither ours nor the standard library's (whose folder may hold site-packages)."""
    if filename.startswith((_PACKAGE, "<frozen")):
        return False
    return not filename.startswith(_STANDARD) or "site-packages" in filename


@contextmanager
def no_collection() -> Iterator[None]:
    """A block without garbage collection, which could close a generator by chance."""
    was_enabled = gc.isenabled()
    gc.collect(0)  # so that generation 0 holds only what is created from here on
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def open_generators() -> dict[int, str]:
    """The user's generators that are suspended at a ``yield``, by id; for use inside `no_collection`.

    A generator that has not started has nothing to close.
    """
    return {
        id(thing): f"{thing.__qualname__} (in {thing.gi_code.co_filename}, line {thing.gi_code.co_firstlineno})"
        for thing in gc.get_objects(generation=0)
        if type(thing) is GeneratorType and thing.gi_suspended and _is_users(thing.gi_code.co_filename)
    }


@contextmanager
def count_items() -> Iterator[Counter[str]]:
    """Count the items that each of the user's generator functions yields in this thread.

    None is not counted: it cannot be distinguished from the end.
    """
    counts: Counter[str] = Counter()

    def profile(frame: FrameType, event: str, arg: Any) -> None:
        code = frame.f_code
        yielded = event == "return" and arg is not None and code.co_flags & CO_GENERATOR
        if yielded and _is_users(code.co_filename):
            counts[code.co_qualname] += 1

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        yield counts
    finally:
        sys.setprofile(before)
