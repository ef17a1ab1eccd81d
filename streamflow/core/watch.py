"""Watch: whether leaves draw from a global random state while they are replayed."""

from __future__ import annotations

import random
import warnings
from typing import Any

import numpy as np

__all__ = ["Watch", "warn_once"]

_LOOKED_AT = 3  #: leaves of each function: looking costs more than most replays
_warned: set[str] = set()  #: names of functions: a pool may have as many labels as members


class Watch:
    """Notices leaves that draw from `random` or `numpy.random`, while one state is loaded."""

    __slots__ = ("_looked", "_seen")

    def __init__(self) -> None:
        self._seen: Any = None
        self._looked: dict[str, int] = {}

    def begin(self) -> None:
        """Before a leaf is replayed."""
        if self._seen is None:
            self._seen = _global_state()

    def drew(self, name: str, suspect: bool) -> bool:
        """After a leaf of a function has been replayed: whether it drew, or another that was not looked at."""
        looked = self._looked.get(name, 0)
        if looked >= _LOOKED_AT and not suspect:
            return False
        self._looked[name] = looked + 1
        before, self._seen = self._seen, _global_state()
        return bool(before != self._seen)

    def __reduce__(self) -> Any:
        return Watch, ()  # another process has another random state


def _global_state() -> Any:
    kind, numbers, *rest = np.random.get_state(legacy=True)
    return random.getstate(), kind, numbers.tobytes() if isinstance(numbers, np.ndarray) else numbers, rest


def warn_once(name: str, label: str) -> None:
    """Warn of a function that draws from a global random state."""
    if name not in _warned:
        _warned.add(name)
        warnings.warn(
            f"{label} draws from a global random state: after a resume it continues after the same number of items, "
            "but not with the items that would have come; draw from a parameter named `rng` instead",
            stacklevel=2,
        )
