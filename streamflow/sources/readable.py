"""`ReadableBase`: what a source must provide, and the batches and streams that this allows.

Slices, selections and mapped sources are sources themselves; `source.py` adds them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..core import Streamer
from ..core.fingerprint import described
from ..core.lengths import Counted
from ..samplers import Sampler
from ..seeding import Key
from .reading.batching import Collator
from .reading.form import keys_of, transposed
from .reading.indexing import position, positions, selects_many
from .reading.order import PassOrder, checked_sampler
from .reading.protocol import Readable
from .reading.randomness import PROBE, Draws
from .reading.streams import Batches, Samples

__all__ = ["ReadableBase"]


class ReadableBase(Counted, ABC):
    """Random-access data that can be read in batches and streams; the base of `Source`."""

    # ------------------------------------------------------------------ required
    @abstractmethod
    def __len__(self) -> int:
        """The number of samples."""

    @abstractmethod
    def sample(self, index: int) -> Any:
        """One sample: a dict of values, a tuple of values, or a single value.

        Parameters
        ----------
        index : int
            From 0 to len - 1.
        """

    @abstractmethod
    def _selection(self, keys: Any, with_indices: bool) -> ReadableBase:
        """This source, restricted to `keys` if they are given; raise if the keys or an index do not fit."""

    @abstractmethod
    def _opened(self) -> Readable:
        """The source that a stream reads from while it is open; it may open files for this stream alone."""

    # ------------------------------------------------------------------ optional
    def fetch(self, indices: NDArray[np.intp]) -> Any:
        """Many samples at once, in the form of a sample.

        Parameters
        ----------
        indices : (n,) array of int
            Each from 0 to len - 1, in any order and with repeats.  May be empty if the source is.

        Returns
        -------
        dict, tuple, array or list
            For each value of a sample a fresh array, or a list of values that are still to be stacked.
        """
        return transposed([self.sample(index) for index in indices.tolist()])

    def prefetch(self, indices: NDArray[np.intp]) -> None:  # a no-op unless overridden
        """Ask the operating system for samples that will be read soon."""

    def keys(self) -> tuple[Any, ...] | None:
        """The keys of samples that are dicts, the positions of samples that are tuples, None for single values."""
        return keys_of(self._probed()) if len(self) else None

    def close(self) -> None:
        """Close the files that this process holds open; the next read opens them again."""
        for source in self._sources():
            source.close()

    def _base_indices(self, indices: NDArray[np.intp]) -> NDArray[np.intp]:
        """The indices of these samples in the source that was sliced."""
        return indices

    def _origin(self, index: Any) -> str:
        """The file or member that a sample comes from, for error messages; empty if there is only one."""
        return ""

    def _pass_order(
        self, sampler: Sampler, key: Key, epochs: int | None, part: tuple[int, int], batch_size: int | None
    ) -> PassOrder:
        """The order in which a stream reads; `batch_size` is None for a stream of samples."""
        return PassOrder(sampler, len(self), key, epochs, part)

    def _check_batches(self, sampler: Sampler, across_epochs: bool) -> None:  # most allow any
        """Raise a `ParameterError` if batches cannot be made in this order."""

    def _random_maps(self) -> int:
        """How many random maps a sample goes through at most; 0: reading it draws nothing."""
        return max((source._random_maps() for source in self._sources()), default=0)

    def _bound(self, indices: NDArray[np.intp], draws: Draws) -> ReadableBase:
        """The source from which a stream reads these samples, each once and in this order, by these draws."""
        return self

    def _sources(self) -> Iterable[ReadableBase]:
        """The sources that it reads from."""
        return ()

    def _probed(self) -> Any:
        """The first sample, read for its form alone."""
        return self._bound(np.zeros(1, np.intp), PROBE).sample(0)

    def _label(self) -> str:
        """Its short name in messages; computing it must not open anything."""
        return type(self).__name__

    def fingerprint(self) -> str:
        """What makes two sources the same for a state; computing it must not open anything.

        Returns
        -------
        str
            The class and its public attributes, by value: simple values as they are, an array of at most 64 KiB with a
            digest, other things by type and shape.  A source whose samples depend on anything else says so itself.

        Examples
        --------
        >>> from streamflow.sources import Source
        >>> class Squares(Source):
        ...     def __init__(self, n):
        ...         self.n = n
        ...     def __len__(self):
        ...         return self.n
        ...     def sample(self, index):
        ...         return index ** 2
        >>> Squares(3).fingerprint()
        'Squares(n=3)'
        """
        return described(self)

    # ------------------------------------------------------------------ batches
    def __iter__(self) -> Iterator[Any]:
        return map(self.sample, range(len(self)))

    def read(self, indices: Any, ragged: str = "error", fill: Any = 0, crop: Any = None) -> Any:
        """Read a batch: many samples stacked, in the form of a sample.

        Parameters
        ----------
        indices : slice, (n,) array of int, or mask
            As in NumPy; an integer gives a batch of one sample.
        ragged : {'error', 'pad', 'crop', 'list'}
            What to do with values of different shapes: raise, pad each axis at the end with `fill` to the longest, crop
            each axis to the shortest, or return plain lists (for all values).
        fill : number
            What 'pad' pads with; it must fit the dtype.
        crop : random_crop, optional
            With 'crop': crops the first axis of each value at a random position, to the length of the crop.

        Returns
        -------
        dict, tuple or array
            Fresh arrays, with the samples along a new first axis.  If any text or bytes value ends in NUL, the array
            has dtype object, because NumPy strips trailing NULs.

        Raises
        ------
        DataError
            If the values of the samples cannot be stacked.
        IndexError
            If `indices` are not indices, or out of range.

        Examples
        --------
        >>> from streamflow.sources import ArraySource
        >>> source = ArraySource({"x": [[1], [2, 3]], "y": [0, 1]})
        >>> batch = source.read([1, 0], ragged="pad", fill=-1)
        >>> batch["x"].tolist(), batch["y"].tolist()
        ([[2, 3], [1, -1]], [1, 0])
        """
        collator = Collator(ragged, fill, crop)
        many = selects_many(indices)
        at = positions(indices, len(self)) if many else [position(indices, len(self))]
        return collator.read(self, np.asarray(at, np.intp))

    def batches(
        self,
        batch_size: int,
        shuffle: bool = False,
        sampler: Any = None,
        random_state: Any = None,
        epochs: int | None = 1,
        drop_last: bool = False,
        across_epochs: bool = False,
        with_indices: bool = False,
        keys: Any = None,
        ragged: str = "error",
        fill: Any = 0,
        crop: Any = None,
    ) -> Streamer:
        """A stream of batches.

        Parameters
        ----------
        batch_size : int
            Samples per batch, at least 1.
        shuffle : bool
            Whether to shuffle, differently in each epoch.
        sampler : Sampler, optional
            Another order (`streamflow.samplers`), instead of `shuffle`.
        random_state : None, int, SeedSequence, Generator or RandomState
            A seed of this stream; None: that of the tree that the stream is part of.
        epochs : int or None
            Epochs per pass, at least 1; None: endless.  Pass p starts with epoch ``p * epochs``.
        drop_last : bool
            Whether to drop a last batch that is short.
        across_epochs : bool
            Whether a batch may hold the end of one epoch and the start of the next.
        with_indices : bool
            Whether to add the index of each sample in the unsliced source: under ``"index"`` in a dict, else in front.
        keys : str or tuple of str, optional
            One key gives its array alone, several a tuple of arrays.  For samples that are tuples, positions are keys.
        ragged, fill, crop
            As in `read`; what `crop` draws depends on the seed, the epoch and the position in it.

        Returns
        -------
        Streamer
            Its state is a position, so resuming replays nothing.  Part k of n reads every n-th sample of the order,
            starting with number k.

        Raises
        ------
        ParameterError
            If a parameter is invalid, or a sampler does not fit the source.

        Examples
        --------
        >>> from streamflow.sources import ArraySource
        >>> source = ArraySource(np.arange(5))
        >>> [batch.tolist() for batch in source.batches(2, epochs=2, across_epochs=True)]
        [[0, 1], [2, 3], [4, 0], [1, 2], [3, 4]]
        >>> sorted(map(int, np.concatenate(list(source.batches(2, shuffle=True, random_state=0)))))
        [0, 1, 2, 3, 4]
        """
        order = self._checked_sampler(shuffle, sampler)
        collator = Collator(ragged, fill, crop)
        source = self._selection(keys, with_indices)
        source._check_batches(order, across_epochs)
        return Batches(
            source,
            order,
            random_state,
            epochs,
            with_indices,
            batch_size=batch_size,
            drop_last=drop_last,
            across_epochs=across_epochs,
            collator=collator,
        )

    def samples(
        self,
        shuffle: bool = False,
        sampler: Any = None,
        random_state: Any = None,
        epochs: int | None = 1,
        with_indices: bool = False,
        keys: Any = None,
    ) -> Streamer:
        """A stream of samples.

        Parameters
        ----------
        shuffle, sampler, random_state, epochs, with_indices, keys
            As in `batches`.

        Returns
        -------
        Streamer
            Its state is a position, as that of `batches`.

        Raises
        ------
        ParameterError
            If a parameter is invalid, or a sampler does not fit the source.

        Examples
        --------
        >>> from streamflow.sources import ArraySource
        >>> list(ArraySource({"x": [5, 6]}).samples(with_indices=True))
        [{'index': 0, 'x': 5}, {'index': 1, 'x': 6}]
        """
        order = self._checked_sampler(shuffle, sampler)
        return Samples(self._selection(keys, with_indices), order, random_state, epochs, with_indices)

    def _checked_sampler(self, shuffle: Any, sampler: Any) -> Sampler:
        """The sampler of a stream; asks for the length, which may open files, only if a sampler is given."""
        order = checked_sampler(shuffle, sampler)
        if sampler is not None:
            order._check_fits(len(self))
        return order

    # ------------------------------------------------------------------ closing
    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return self._label()
