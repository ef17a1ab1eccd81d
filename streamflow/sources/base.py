"""Source: random-access data, and how to write a source of your own.

A source is a description: frozen, picklable, opened in the process that reads (`handle.py`).  A subclass answers
`__len__` and `sample`; one that can read many samples at once answers `fetch` too.  Indexing, lazy views, batches,
streams with their states, sharding and ragged data come from here.
"""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..core import Streamer
from ..core.label import short
from ..core.validate import require
from ..samplers import Sampler
from ..seeding import Key
from .reading.batching import Ragged
from .reading.draws import Draws, checked_sampler
from .reading.form import check_keys, keys_of, transposed
from .reading.randomness import each_alone, for_its_form
from .reading.streams import Batches, Samples

__all__ = ["Source", "position", "positions", "selects_many"]

#: What selects many samples; arrays besides.
_MANY = (slice, list, range)


class Source(ABC):
    """Random-access data: ``source[i]`` is a sample, ``source[slice, indices or mask]`` a lazy view, a source again.

    Notes
    -----
    A subclass answers ``__len__()`` and ``sample(index)``, and may answer ``fetch(indices)``.

    Examples
    --------
    >>> class Squares(Source):
    ...     '''The squares of the first numbers.'''
    ...     def __init__(self, n):
    ...         self.n = n
    ...     def __len__(self):
    ...         return self.n
    ...     def sample(self, index):
    ...         return {"x": index, "square": index**2}
    >>> squares = Squares(10)
    >>> squares[-1], len(squares[2:8:3]), squares[[4, 5]].read([1])["square"].tolist()
    ({'x': 9, 'square': 81}, 2, [25])
    >>> [batch.tolist() for batch in squares[squares.read(slice(None))["x"] % 2 == 1].batches(3, keys="square")]
    [[1, 9, 25], [49, 81]]
    """

    # ------------------------------------------------------------------ to be answered
    @abstractmethod
    def __len__(self) -> int:
        """How many samples there are."""

    @abstractmethod
    def sample(self, index: int) -> Any:
        """One sample: a dict of values, a tuple of values, or one value.

        Parameters
        ----------
        index : int
            From 0 to len - 1.
        """

    # ------------------------------------------------------------------ may be answered
    def fetch(self, indices: NDArray[np.intp]) -> Any:
        """Many samples at once, in the form of a sample.

        Parameters
        ----------
        indices : (n,) array of int
            Each from 0 to len - 1, in any order and with repeats.  There may be none where there are no samples.

        Returns
        -------
        dict, tuple, array or list
            In each place of the form a fresh array, or a list of values that is still to be stacked.

        Notes
        -----
        What another source reads for it, it asks for in the order of `indices`: what is drawn at random there
        (`random_crop`) belongs to the samples by their places.
        """
        return transposed(each_alone(self.sample, indices.tolist()))

    def will_need(self, indices: NDArray[np.intp]) -> None:  # noqa: B027  (most have nothing to prepare)
        """These samples will be read soon: ask the system for them."""

    def keys(self) -> tuple[Any, ...] | None:
        """The keys of the dicts, or the places of the tuples, that samples are; None if each is one value."""
        with for_its_form():
            return keys_of(self.sample(0)) if len(self) else None

    def close(self) -> None:  # noqa: B027  (most hold nothing open)
        """Release what this process holds open for it; it is opened again when it is read again."""

    def _select(self, keys: Any) -> Source:
        """The source of the values of one key, or of tuples of values."""
        from .views import Selected

        return Selected(self, keys)

    def _origins(self, indices: NDArray[np.intp]) -> NDArray[np.intp]:
        """The positions in the unsliced source."""
        return indices

    def _whence(self, index: Any) -> str:
        """What errors call the file or member that a sample is from; nothing where there is only one."""
        return ""

    def _view(self, at: range | NDArray[np.intp]) -> Source:
        """The samples at these positions."""
        from .views import View

        return View(self, at)

    def _opened(self) -> Source:
        """What a stream reads from while it is open; one that opens files for itself alone lets them go with it."""
        return self

    def _draws(
        self, sampler: Sampler, key: Key, epochs: int | None, part: tuple[int, int], batch_size: int | None
    ) -> Draws:
        """What a stream reads as which; `batch_size` is None where it gives samples."""
        return Draws(sampler, len(self), key, epochs, part)

    def _check_batches(self, sampler: Sampler, across_epochs: bool) -> None:  # noqa: B027  (most have any)
        """Raise a `ParameterError` if there are no batches in such an order."""

    def _draws_random(self) -> bool | None:
        """Whether reading a sample draws random numbers; None where that is not known (a function of the user's)."""
        return None

    def _inside(self, index: tuple[Any, ...]) -> Any:
        """An index with more than one axis."""
        raise IndexError(f"{self._label()} has one axis, got an index of {len(index)}")

    def _label(self) -> str:
        """Its name in messages and states; it must not open anything."""
        return type(self).__name__

    # ------------------------------------------------------------------ indexing
    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, tuple):
            return self._inside(index)
        if selects_many(index):
            return self._view(positions(index, len(self)))
        return self.sample(position(index, len(self)))

    def __iter__(self) -> Iterator[Any]:
        return map(self.sample, range(len(self)))

    def read(self, indices: Any, ragged: str = "error", fill: Any = 0, crop: Any = None) -> Any:
        """A batch: many samples, stacked, in the form of a sample.

        Parameters
        ----------
        indices : slice, (n,) array of int, or mask
            As NumPy takes them; an integer is one sample in a batch.
        ragged : {'error', 'pad', 'crop', 'list'}
            What becomes of values of different shapes: an error, `fill` at the end of each axis up to the longest, the
            heads as long as the shortest, or (for all values) plain lists.
        fill : number
            What 'pad' fills up with; it must fit the dtype.
        crop : random_crop, optional
            With 'crop': cuts the first axis of each value at a random place.

        Returns
        -------
        dict, tuple or array
            Fresh arrays.  Text or bytes of which one ends in NUL are an array of objects, for NumPy's text drops it.

        Raises
        ------
        DataError
            If the values of the samples do not fit together.
        """
        how = Ragged(ragged, fill, crop)
        many = selects_many(indices)
        at = positions(indices, len(self)) if many else [position(indices, len(self))]
        return how.read(self, np.asarray(at, np.intp))

    # ------------------------------------------------------------------ streams
    def batches(
        self,
        batch_size: int,
        shuffle: bool = False,
        sampler: Any = None,
        random_state: Any = None,
        epochs: int | None = 1,
        partial: bool = True,
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
            Samples in a batch, at least 1.
        shuffle : bool
            Whether each epoch has a random order of its own.
        sampler : Sampler, optional
            Another order (`streamflow.samplers`).
        random_state : None, int, SeedSequence, Generator or RandomState
            A root of randomness of the stream's own; None takes that of the tree it stands in.
        epochs : int or None
            Epochs in one pass; None: endless.  A pass begins with epoch ``pass * epochs``.
        partial : bool
            Whether a short last batch is given.
        across_epochs : bool
            Whether a batch may hold the end of an epoch and the beginning of the next.
        with_indices : bool
            Whether the positions in the unsliced source are given too: under ``"index"`` in a dict, else in front.
        keys : str or tuple of str, optional
            One key: its array alone; several: a tuple of their arrays.  For tuples the places are the keys.
        ragged, fill, crop
            As in `read`; what `crop` draws depends on the seed, the epoch and the sample's position in it.

        Returns
        -------
        Streamer
            Its state is a position; nothing is replayed when it is resumed.  Part k of n reads every n-th sample of
            the order, from number k on.

        Raises
        ------
        ParameterError
            If a parameter is wrong, or a sampler does not fit the source.
        """
        order = checked_sampler(shuffle, sampler, self)
        how = Ragged(ragged, fill, crop)
        source = self._checked_selection(keys, with_indices)
        source._check_batches(order, across_epochs)
        return Batches(source, order, random_state, epochs, with_indices, batch_size, partial, across_epochs, how)

    def samples(
        self,
        shuffle: bool = False,
        sampler: Any = None,
        random_state: Any = None,
        epochs: int | None = 1,
        with_indices: bool = False,
        keys: Any = None,
    ) -> Streamer:
        """A stream of samples, as `batches` of one without the axis of the batch.

        Parameters
        ----------
        shuffle, sampler, random_state, epochs, with_indices, keys
            As in `batches`.

        Examples
        --------
        >>> from streamflow.sources import ArraySource
        >>> list(ArraySource({"x": [5, 6]}).samples(with_indices=True))
        [{'index': 0, 'x': 5}, {'index': 1, 'x': 6}]
        """
        order = checked_sampler(shuffle, sampler, self)
        return Samples(self._checked_selection(keys, with_indices), order, random_state, epochs, with_indices)

    def _checked_selection(self, keys: Any, with_indices: bool) -> Source:
        """This source, or what `keys` selects of it."""
        if keys is None:
            if with_indices:
                clash = "index" in (self.keys() or ())
                require(not clash, "with_indices", "False for samples with a key 'index' of their own", with_indices)
            return self
        keys = tuple(keys) if isinstance(keys, list) else keys
        check_keys(keys, self.keys(), self._label())
        return self._select(keys)

    # ------------------------------------------------------------------ derived sources
    def map(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Source:
        """The source of ``fn(sample, *args, **kwargs)``, lazy; a sample that is a tuple is one argument.

        >>> from streamflow.sources import ArraySource
        >>> ArraySource([1, 2, 3]).map(pow, 2).read([0, 2]).tolist()
        [1, 9]
        """
        from .views import Mapped

        return Mapped(self, fn, args, kwargs)

    def map_concat(self, fn: Callable[[Any], Any], batch_size: int = 256, progress: Any = None, **reading: Any) -> Any:
        """What a function gives for each batch in order, joined along the first axis.

        Parameters
        ----------
        fn : function of a batch
            Gives an array, a number (one for each batch), or a dict, tuple or list of such.
        batch_size : int
            Samples in a batch; the last one may be short.
        progress : function, optional
            Called as ``progress(batches, total=number)``, gives the batches back one by one; such as ``tqdm``.
        **reading
            `keys`, `with_indices`, `ragged`, `fill` and `crop`, as in `batches`.

        Returns
        -------
        as `fn`
            Fresh arrays; None where there are no samples.

        Raises
        ------
        DataError
            If the results of two batches do not fit together.

        Examples
        --------
        >>> from streamflow.sources import ArraySource
        >>> ArraySource(np.arange(5)).map_concat(lambda x: {"half": x / 2, "largest": x.max()}, batch_size=3)
        {'half': array([0. , 0.5, 1. , 1.5, 2. ]), 'largest': array([2, 4])}
        """
        from .reading.reduce import map_concat

        return map_concat(self, fn, batch_size, progress, reading)

    def map_mean(self, fn: Callable[[Any], Any], batch_size: int = 256, progress: Any = None, **reading: Any) -> Any:
        """What a function gives for each batch in order, added up and divided by the number of samples, in doubles.

        Parameters and errors are those of `map_concat`; `fn` gives sums over the samples of a batch.

        >>> from streamflow.sources import ArraySource
        >>> float(ArraySource(np.arange(5)).map_mean(np.sum, batch_size=3))
        2.0
        """
        from .reading.reduce import map_mean

        return map_mean(self, fn, batch_size, progress, reading)

    # ------------------------------------------------------------------ closing
    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return self._label()


def selects_many(index: Any) -> bool:
    """Whether an index selects samples, and is not that of one."""
    return isinstance(index, _MANY) or getattr(index, "ndim", 0) > 0


def position(index: Any, n: int) -> int:
    """An index of one sample, counted from the front."""
    if isinstance(index, (bool, np.bool_)):
        raise IndexError(f"an index must be an integer, a slice, or an array of integers or a mask, got {index!r}")
    try:
        place = operator.index(index)
    except TypeError:
        told = f"an index must be an integer, a slice, or an array of integers or a mask, got {short(index)}"
        raise IndexError(told) from None
    if not -n <= place < n:
        raise IndexError(f"index {place} is out of range for {n} samples")
    return place + n if place < 0 else place


def positions(index: Any, n: int) -> range | NDArray[np.intp]:
    """The positions that a slice, an array of integers or a mask selects, each from 0 to n - 1.

    >>> positions(slice(None, None, -2), 5), positions([-1, 0], 5), positions(np.array([True, False, True]), 3)
    (range(4, -1, -2), array([4, 0]), array([0, 2]))
    """
    if isinstance(index, slice):
        return range(n)[index]
    if isinstance(index, range) and (not index or (min(index[0], index[-1]) >= 0 and max(index[0], index[-1]) < n)):
        return index
    array = np.asarray(index)
    if array.ndim != 1:
        raise IndexError(f"an array of indices must have one axis, got {array.ndim}")
    if array.dtype.kind == "b":
        if len(array) != n:
            raise IndexError(f"a mask must have one value for each of {n} samples, got {len(array)}")
        return np.flatnonzero(array)
    if array.size and array.dtype.kind not in "iu":
        raise IndexError(f"an array of indices must be of integers or a mask, got {array.dtype}")
    if array.size and (array.min() < -n or array.max() >= n):
        raise IndexError(f"index {array[(array < -n) | (array >= n)][0]} is out of range for {n} samples")
    array = array.astype(np.intp)  # not before: large unsigned numbers would become negative
    return np.where(array < 0, array + n, array)
