"""Watching generators from outside: which are open, and how many items each has made."""

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

__all__ = ["made_items", "no_collection", "open_generators"]

_PACKAGE = str(Path(__file__).parents[1])
_STANDARD = str(Path(threading.__file__).parent)


def _is_source(filename: str) -> bool:
    """Whether code is the user's: neither of the package nor of the standard library, whose folder may hold others."""
    if filename.startswith((_PACKAGE, "<frozen")):
        return False
    return not filename.startswith(_STANDARD) or "site-packages" in filename


@contextmanager
def no_collection() -> Iterator[None]:
    """Nothing is collected meanwhile, so what must be closed is not closed by chance."""
    was_enabled = gc.isenabled()
    gc.collect(0)  # what is young from here on is new
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def open_generators() -> dict[int, str]:
    """The user's young generators that stand at a ``yield``, by identity; inside `no_collection` only.

    Those that were never asked for an item have run no code, so there is nothing to close in them.
    """
    return {
        id(thing): f"{thing.__qualname__} (in {thing.gi_code.co_filename}, line {thing.gi_code.co_firstlineno})"
        for thing in gc.get_objects(generation=0)
        if type(thing) is GeneratorType and thing.gi_suspended and _is_source(thing.gi_code.co_filename)
    }


@contextmanager
def made_items() -> Iterator[Counter[str]]:
    """Count the items that each generator function of the user makes in this thread.

    An item that is None looks like an end and is not counted.
    """
    counts: Counter[str] = Counter()

    def profile(frame: FrameType, event: str, arg: Any) -> None:
        code = frame.f_code
        made = event == "return" and arg is not None and code.co_flags & CO_GENERATOR
        if made and _is_source(code.co_filename):
            counts[code.co_qualname] += 1

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        yield counts
    finally:
        sys.setprofile(before)
