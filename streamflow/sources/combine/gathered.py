"""`Gathered`: selected values of a source over several others, which read nothing else."""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..source import Derived, Selected, Source

__all__ = ["Gathered", "reading_only"]


class Gathered(Selected):
    """The same as `Selected`, of a source over several others that read only these values.

    Parameters
    ----------
    source : Source
        Its samples are tuples of tuples of values, one for each of the other sources.
    keys : key or tuple of keys
    paths : list of tuples
        Where the value of each key is: the position in the sample, and the position in the tuple there.
    label, text : str
        Its label and its fingerprint; those of `source` would be others.
    """

    def __init__(self, source: Source, keys: Any, paths: Sequence[tuple[int, ...]], label: str, text: str) -> None:
        super().__init__(source, keys)
        self._paths, self._own_label, self._own_text = paths, label, text

    def _picked(self, data: Any) -> Any:
        values = [functools.reduce(operator.getitem, path, data) for path in self._paths]
        return tuple(values) if isinstance(self._keys, tuple) else values[0]

    def _label(self) -> str:
        return self._own_label

    def fingerprint(self) -> str:
        return self._own_text


class Unread(Derived):
    """Stands in for a source of which no values are selected: it has a length and empty samples."""

    def sample(self, index: int) -> Any:
        return ()

    def fetch(self, indices: NDArray[np.intp]) -> Any:
        return ()

    def prefetch(self, indices: NDArray[np.intp]) -> None:
        """Nothing will be read."""

    def _random_maps(self) -> int:
        return 0

    def _opened(self) -> Source:
        return self


def reading_only(source: Source, keys: list[Any]) -> Source:
    """The source of tuples of the values of these keys (possibly none); nothing else is read."""
    return source._selection(tuple(keys), False) if keys else Unread(source)
