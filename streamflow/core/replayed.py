"""Functions over a stream that are not declared as maps: a resume runs them again, and a warning says so.

Nobody knows what such a function holds between two items.  Therefore the state of a pass may say no more of it than how
many items it has given, and all of them are made again, with everything below.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any, ClassVar

from .leaf import Leaf

__all__ = ["ReplayedLeaf", "warn_of_replays"]

_FEW = 1000  #: items that may be made again without a word
_warned: set[str] = set()  #: names of functions


class ReplayedLeaf(Leaf):
    """A leaf whose function gets Streamers; another kind than a leaf, so that it can be found in a state."""

    __slots__ = ()
    kind: ClassVar[str] = "function over streams"


def warn_of_replays(state: dict[str, Any]) -> None:
    """Warn, once for each function, if a resume from this state would make many items again."""
    for call, given in _found(state):
        name = call.partition("(")[0]
        if given >= _FEW and name not in _warned:
            _warned.add(name)
            warnings.warn(
                f"a resume from this state will draw {given:,} items again, because nobody knows what {name} holds "
                "between two of them: apply a function of one item with map_items or filter_items, or declare "
                f"{name} with stream_map",
                stacklevel=3,
            )


def _found(value: Any) -> Iterator[tuple[str, int]]:
    """The calls of such functions in a state, and how many items each has given."""
    if isinstance(value, dict):
        if value.get("kind") == ReplayedLeaf.kind:
            if "source" not in value:  # else it has a state of its own
                yield value["call"], value["given"]
            return
        value = value.values()
    elif not isinstance(value, list):
        return
    for each in value:
        yield from _found(each)
