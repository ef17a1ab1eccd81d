"""The random numbers of a sample: a function of the stream's seed, the epoch and the position, wherever it is read.

A *random map* is a mapped function with a parameter ``rng``, or a `random_crop` inside an index.  Before a stream reads
some samples, it binds the source to the `Draws` that read them.  That gives a twin of the source in which each random
map takes, sample by sample, the generator of the next draw; sources that read from others bind them and so pass the
draws on.  A source that is not bound is read outside of streams: a random map makes a fresh generator each time.

The address of a generator is (epoch, *path of the stream, *path in the source, SAMPLE, level), and its number there is
the position.  The path in the source has a step (0, member) wherever one sample is read from several sources; the level
is how many random maps lie below.  So no two random maps share numbers, and one that is added on top changes nothing
below it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ...seeding import SAMPLE, Generators, Key, Root, generator

__all__ = ["PROBE", "Draws", "StreamGenerators", "fresh", "twin"]

T = TypeVar("T")


class StreamGenerators:
    """The generators of a stream, by epoch, path in the source and level; those of the two latest epochs are kept."""

    __slots__ = ("_epochs", "_key")

    def __init__(self, key: Key) -> None:
        self._key = key
        self._epochs: dict[int, dict[Any, Generators]] = {}

    def at(self, epoch: int, path: tuple[int, ...], level: int) -> Generators:
        """Those of one random map in one epoch, by position."""
        kept = self._epochs.get(epoch)
        if kept is None:
            kept = {}
            self._epochs = {**dict(list(self._epochs.items())[-1:]), epoch: kept}
        if (path, level) not in kept:
            key = self._key.at_epoch(epoch)
            for member in path:
                key = key.below(0, member)
            kept[path, level] = Generators(key, SAMPLE, level)
        return kept[path, level]


class Draws:
    """The draws of a stream that read some samples, each once and in this order.

    Parameters
    ----------
    stream : StreamGenerators
    epochs : int or (n,) array of int
        The epoch of all draws, or of each.
    positions : (n,) array of int
        Their positions in their epochs.
    path : tuple of int
        The members that lead to the source that is read.

    Examples
    --------
    >>> draws = Draws(StreamGenerators(Key(Root(0), (0,))), 0, np.array([7, 8, 9]))
    >>> [rng.random() for rng in draws.generators(0)][1:] == [rng.random() for rng in draws.some([1, 2]).generators(0)]
    True
    """

    __slots__ = ("_epochs", "_path", "_positions", "_stream")

    def __init__(
        self, stream: StreamGenerators, epochs: int | NDArray[Any], positions: NDArray[Any], path: tuple[int, ...] = ()
    ) -> None:
        self._stream, self._epochs, self._positions, self._path = stream, epochs, positions, path

    def some(self, places: Any) -> Draws:
        """Some of them."""
        epochs = self._epochs if isinstance(self._epochs, int) else self._epochs[places]
        return Draws(self._stream, epochs, self._positions[places], self._path)

    def below(self, member: int) -> Draws:
        """The same draws for a member of a source."""
        return Draws(self._stream, self._epochs, self._positions, (*self._path, member))

    def generators(self, level: int) -> Iterator[np.random.Generator]:
        """A generator for each draw, of the random map that has `level` others below it."""
        positions = self._positions.tolist()
        if isinstance(self._epochs, int):
            return map(self._stream.at(self._epochs, self._path, level).at, positions)
        found = (self._stream.at(epoch, self._path, level) for epoch in self._epochs.tolist())
        return (generators.at(position) for generators, position in zip(found, positions, strict=True))


#: The draw of a sample that is read only for its keys, dtypes and shapes: nothing random is used up.
PROBE = Draws(StreamGenerators(Key(Root(0), (0,))), 0, np.zeros(1, np.intp))


def fresh() -> np.random.Generator:
    """A generator for a sample that is read outside of streams, seeded from NumPy's global state."""
    return generator(Key(Root(), (0,)), SAMPLE)


def twin(source: T) -> T:
    """The same source as another object, whose attributes can be set."""
    made = object.__new__(type(source))
    vars(made).update(vars(source))
    return made
