"""Lazy views: some samples of a source, some of their values, a function of each."""

from __future__ import annotations

import copy
import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.fingerprint import digest_of
from ..core.label import name_of
from ..core.validate import require
from ..samplers import Sampler
from ..seeding import Key
from .base import Source
from .reading.draws import Draws
from .reading.form import keys_of, picked

__all__ = ["Gathered", "Mapped", "Selected", "View", "reading_only"]


class Derived(Source):
    """A source over another one: what it does not answer itself, the other does."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def __len__(self) -> int:
        return len(self._source)

    def will_need(self, indices: NDArray[np.intp]) -> None:
        self._source.will_need(indices)

    def keys(self) -> tuple[Any, ...] | None:
        return self._source.keys()

    def _check_batches(self, sampler: Sampler, across_epochs: bool) -> None:
        self._source._check_batches(sampler, across_epochs)

    def close(self) -> None:
        self._source.close()

    def _draws_random(self) -> bool | None:
        return self._source._draws_random()

    def _opened(self) -> Source:
        twin = copy.copy(self)
        twin._source = self._source._opened()
        return twin

    def _origins(self, indices: NDArray[np.intp]) -> NDArray[np.intp]:
        return self._source._origins(indices)

    def _whence(self, index: Any) -> str:
        return self._source._whence(index)

    def _draws(
        self, sampler: Sampler, key: Key, epochs: int | None, part: tuple[int, int], batch_size: int | None
    ) -> Draws:
        return self._source._draws(sampler, key, epochs, part, batch_size)


class View(Derived):
    """Some samples of a source, by their positions; what slicing gives."""

    def __init__(self, source: Source, at: range | NDArray[np.intp]) -> None:
        super().__init__(source)
        self._at = at

    def __len__(self) -> int:
        return len(self._at)

    def sample(self, index: int) -> Any:
        return self._source.sample(int(self._at[index]))

    def fetch(self, indices: NDArray[np.intp]) -> Any:
        return self._source.fetch(self._below(indices))

    def will_need(self, indices: NDArray[np.intp]) -> None:
        self._source.will_need(self._below(indices))

    def _draws(
        self, sampler: Sampler, key: Key, epochs: int | None, part: tuple[int, int], batch_size: int | None
    ) -> Draws:
        # what it is made of may have an order of its own; some samples of it have none
        return Source._draws(self, sampler, key, epochs, part, batch_size)

    def _check_batches(self, sampler: Sampler, across_epochs: bool) -> None:
        """None are refused, as it has no order of its own."""

    def keys(self) -> tuple[Any, ...] | None:
        # one that finds them in its first sample would read what is left out here
        return Source.keys(self) if type(self._source).keys is Source.keys and len(self) else super().keys()

    def _below(self, indices: NDArray[np.intp]) -> NDArray[np.intp]:
        """These positions in the source below."""
        at = self._at
        return at.start + at.step * indices if isinstance(at, range) else at[indices]

    def _origins(self, indices: NDArray[np.intp]) -> NDArray[np.intp]:
        return self._source._origins(self._below(indices))

    def _whence(self, index: Any) -> str:
        return self._source._whence(int(self._at[index]))

    def _select(self, keys: Any) -> Source:
        return View(self._source._select(keys), self._at)

    def _view(self, at: range | NDArray[np.intp]) -> Source:
        below = self._at
        if not (isinstance(below, range) and isinstance(at, range)):
            return View(self._source, self._below(np.asarray(at, np.intp)))
        first, end = (below.start + below.step * border for border in (at.start, at.stop))
        return View(self._source, range(first, end, below.step * at.step))

    def _label(self) -> str:
        at = self._at
        if isinstance(at, range):
            told = f"{at.start}:{at.stop}:{at.step}"
        else:
            told = f"{len(at)} indices {self._digest}"
        return f"{self._source._label()}[{told}]"

    @functools.cached_property
    def _digest(self) -> str:
        """Of the indices; each state has it, and there may be many."""
        return digest_of([np.asarray(self._at).tobytes()])[:8]


class Selected(Derived):
    """The values of one key of each sample, or tuples of the values of several."""

    def __init__(self, source: Source, keys: Any) -> None:
        super().__init__(source)
        self._keys = keys

    def sample(self, index: int) -> Any:
        return self._picked(self._source.sample(index))

    def fetch(self, indices: NDArray[np.intp]) -> Any:
        return self._picked(self._source.fetch(indices))

    def _picked(self, data: Any) -> Any:
        return picked(data, self._keys)

    def keys(self) -> tuple[Any, ...] | None:
        return keys_of(self._keys)

    def _label(self) -> str:
        return f"{self._source._label()}.{self._keys!r}"


class Gathered(Selected):
    """What `Selected` has, of a source over several others that reads these values alone.

    Parameters
    ----------
    source : Source
        Its samples are tuples, with tuples of the values in them.
    keys : key or tuple of keys
    paths : list of tuples
        Where the value of each key is: the place in the sample, and that in the tuple there.
    words : str
        What it is called.
    """

    def __init__(self, source: Source, keys: Any, paths: Sequence[tuple[int, ...]], words: str) -> None:
        super().__init__(source, keys)
        self._paths, self._called = paths, words

    def _picked(self, data: Any) -> Any:
        values = [functools.reduce(operator.getitem, path, data) for path in self._paths]
        return tuple(values) if isinstance(self._keys, tuple) else values[0]

    def _label(self) -> str:
        return self._called


class Unread(Derived):
    """In the place of a source of which nothing is asked."""

    def sample(self, index: int) -> Any:
        return ()

    def fetch(self, indices: NDArray[np.intp]) -> Any:
        return ()

    def will_need(self, indices: NDArray[np.intp]) -> None:
        """Nothing."""

    def _draws_random(self) -> bool:
        return False

    def _opened(self) -> Source:
        return self


def reading_only(source: Source, keys: list[Any]) -> Source:
    """The source of tuples of the values of these keys (possibly of none); nothing else is read."""
    return source._checked_selection(tuple(keys), False) if keys else Unread(source)


class Mapped(Derived):
    """A function of each sample; what `Source.map` gives."""

    def __init__(self, source: Source, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        super().__init__(source)
        require(callable(fn), "fn", "a function of a sample", fn)
        self._fn, self._args, self._kwargs = fn, args, kwargs

    def sample(self, index: int) -> Any:
        return self._fn(self._source.sample(index), *self._args, **self._kwargs)

    def keys(self) -> tuple[Any, ...] | None:
        return Source.keys(self)

    def _draws_random(self) -> bool | None:
        return True if super()._draws_random() else None

    def _view(self, at: range | NDArray[np.intp]) -> Source:
        return type(self)(self._source._view(at), self._fn, self._args, self._kwargs)

    def _label(self) -> str:
        given = [*self._args, *sorted(self._kwargs.items())]
        told = f", {digest_of(given)[:8]}" if given else ""
        return f"{self._source._label()}.map({name_of(self._fn)}{told})"
