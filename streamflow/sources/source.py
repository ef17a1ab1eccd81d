"""`Source`: random-access data, and the lazy views that slicing, selecting keys and mapping make.

A source is a description: immutable, picklable, opened in the process that reads (`handle.py`).  A subclass answers
`__len__` and `sample`, and `fetch` too if it can read many samples at once.  Indexing, views, batches, resumable
streams, sharding and ragged data come from here.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.call import unfilled
from ..core.exact import function_text, setting
from ..core.fingerprint import digest_of
from ..core.label import name_of
from ..core.methods import KeepsMethods
from ..core.validate import require
from ..samplers import Sampler
from ..seeding import Key
from .readable import ReadableBase
from .reading import reduce
from .reading.form import check_keys, keys_of, picked
from .reading.indexing import position, positions, selects_many
from .reading.order import PassOrder
from .reading.randomness import Draws, fresh, twin

__all__ = ["Derived", "Mapped", "Selected", "Source", "View"]


class Source(KeepsMethods, ReadableBase):
    """Random-access data: ``source[i]`` is a sample, ``source[slice, indices or mask]`` a lazy view, again a source.

    Notes
    -----
    A subclass must define ``__len__()`` and ``sample(index)``, and may define ``fetch(indices)``.  Attributes that have
    the name of a method (`keys`, `samples`, `map`, ...) are refused.

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

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, tuple):
            return self._inside(index)
        if selects_many(index):
            return self._view(positions(index, len(self)))
        return self.sample(position(index, len(self)))

    def _inside(self, index: tuple[Any, ...]) -> Any:
        """What an index with more than one axis selects."""
        raise IndexError(f"{self._label()} has one axis, got an index with {len(index)}")

    def _opened(self) -> Source:
        return self

    def _bound(self, indices: NDArray[np.intp], draws: Draws) -> Source:
        return self

    def _view(self, at: range | NDArray[np.intp]) -> Source:
        """The samples at these positions."""
        return View(self, at)

    def _select(self, keys: Any) -> Source:
        """The values of one key, or tuples of the values of several; the keys are known to exist."""
        return Selected(self, keys)

    def _selection(self, keys: Any, with_indices: bool) -> Source:
        if keys is None:
            clash = with_indices and "index" in (self.keys() or ())
            require(not clash, "with_indices", "False for samples that have a key 'index'", with_indices)
            return self
        keys = tuple(keys) if isinstance(keys, list) else keys
        check_keys(keys, self.keys(), self._label())
        return self._select(keys)

    def map(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Source:
        """Apply a function to each sample when it is read.

        Parameters
        ----------
        fn : function
            Called as ``fn(sample, *args, **kwargs)``; a sample that is a tuple is passed as one argument.  If it has a
            parameter `rng` that the arguments leave free and that has no default or the default None, it receives a
            `numpy.random.Generator` there.
        *args, **kwargs
            Further arguments of `fn`.

        Returns
        -------
        Source

        Notes
        -----
        In a stream, what `rng` draws depends on the stream's seed, the epoch and the position of the sample in it: it
        is the same in whichever batch, part or worker the sample is read, and after a resume.  Two functions with `rng`
        draw independently, one after the other or in different members of a composition.  ``source[i]`` and
        ``source.read(...)`` draw anew each time, seeded from NumPy's global state, so that `np.random.seed` makes them
        repeatable; so does a source of your own that reads from a mapped one.

        An error that `fn` raises gets a note with the index of the sample in the unsliced source.

        Examples
        --------
        >>> from streamflow.sources import ArraySource
        >>> ArraySource([1, 2, 3]).map(pow, 2).read([0, 2]).tolist()
        [1, 9]
        >>> def noisy(x, rng):
        ...     return x + rng.normal()
        >>> noise = ArraySource([1, 2, 3]).map(noisy).samples(random_state=0)
        >>> list(noise(epoch=0)) == list(noise(epoch=0))
        True
        """
        return Mapped(self, fn, args, kwargs)

    def map_concat(self, fn: Callable[[Any], Any], batch_size: int = 256, progress: Any = None, **reading: Any) -> Any:
        """Apply a function to each batch in order and concatenate the results along the first axis.

        Parameters
        ----------
        fn : function of a batch
            Returns an array, a number (one per batch), or a dict, tuple or list of these.
        batch_size : int
            Samples per batch, at least 1; the last batch may be short.
        progress : function, optional
            Called as ``progress(batches, total=number)``; must yield the batches, as ``tqdm`` does.
        **reading
            `keys`, `with_indices`, `ragged`, `fill` and `crop`, as in `batches`.

        Returns
        -------
        same form as the results of `fn`
            Fresh arrays; None if there are no samples.

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
        return reduce.map_concat(fn, self._watched_batches(fn, batch_size, progress, reading))

    def map_mean(self, fn: Callable[[Any], Any], batch_size: int = 256, progress: Any = None, **reading: Any) -> Any:
        """Apply a function to each batch, sum the results in double precision and divide by the number of samples.

        Parameters
        ----------
        fn : function of a batch
            Returns sums over the samples of the batch: an array or a number, or a dict, tuple or list of these.
        batch_size, progress, **reading
            As in `map_concat`.

        Returns
        -------
        same form as the results of `fn`
            None if there are no samples.

        Raises
        ------
        DataError
            If the results are not numbers, or those of two batches have different forms or shapes.

        Examples
        --------
        >>> from streamflow.sources import ArraySource
        >>> float(ArraySource(np.arange(5)).map_mean(np.sum, batch_size=3))
        2.0
        """
        return reduce.map_mean(fn, self._watched_batches(fn, batch_size, progress, reading), len(self))

    def _watched_batches(self, fn: Any, batch_size: int, progress: Any, reading: dict[str, Any]) -> Iterable[Any]:
        """All batches in order, passed through `progress`."""
        reduce.check(fn, progress, reading)
        # a view, because batches of the source itself may come in another order (ChoiceSource)
        batches = self._view(range(len(self))).batches(batch_size, **reading)
        return batches if progress is None else progress(batches, total=-(-len(self) // batch_size))


class Derived(Source):
    """A source over another one, to which it delegates whatever is not overridden."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def __len__(self) -> int:
        return len(self._source)

    def prefetch(self, indices: NDArray[np.intp]) -> None:
        self._source.prefetch(indices)

    def keys(self) -> tuple[Any, ...] | None:
        return self._source.keys()

    def _check_batches(self, sampler: Sampler, across_epochs: bool) -> None:
        self._source._check_batches(sampler, across_epochs)

    def _sources(self) -> Iterable[Source]:
        return (self._source,)

    def _opened(self) -> Source:
        opened = copy.copy(self)
        opened._source = self._source._opened()
        return opened

    def _bound(self, indices: NDArray[np.intp], draws: Draws) -> Source:
        bound = twin(self)
        bound._source = self._source._bound(self._below(indices), draws)
        return bound

    def _below(self, indices: NDArray[np.intp]) -> NDArray[np.intp]:
        """The positions of these samples in the source below."""
        return indices

    def _base_indices(self, indices: NDArray[np.intp]) -> NDArray[np.intp]:
        return self._source._base_indices(indices)

    def _origin(self, index: Any) -> str:
        return self._source._origin(index)

    def _pass_order(
        self, sampler: Sampler, key: Key, epochs: int | None, part: tuple[int, int], batch_size: int | None
    ) -> PassOrder:
        return self._source._pass_order(sampler, key, epochs, part, batch_size)


class View(Derived):
    """Some samples of a source, by position; made by slicing."""

    def __init__(self, source: Source, at: range | NDArray[np.intp]) -> None:
        super().__init__(source)
        self._at = at

    def __len__(self) -> int:
        return len(self._at)

    def sample(self, index: int) -> Any:
        return self._source.sample(int(self._at[index]))

    def fetch(self, indices: NDArray[np.intp]) -> Any:
        return self._source.fetch(self._below(indices))

    def prefetch(self, indices: NDArray[np.intp]) -> None:
        self._source.prefetch(self._below(indices))

    def _pass_order(
        self, sampler: Sampler, key: Key, epochs: int | None, part: tuple[int, int], batch_size: int | None
    ) -> PassOrder:
        # the source's own order, if it has one, does not apply to some of its samples
        return Source._pass_order(self, sampler, key, epochs, part, batch_size)

    def _check_batches(self, sampler: Sampler, across_epochs: bool) -> None:
        """Any sampler will do."""

    def keys(self) -> tuple[Any, ...] | None:
        # a source that looks at its first sample would read one that is not in the view
        return Source.keys(self) if type(self._source).keys is Source.keys and len(self) else super().keys()

    def _below(self, indices: NDArray[np.intp]) -> NDArray[np.intp]:
        at = self._at
        return at.start + at.step * indices if isinstance(at, range) else at[indices]

    def _base_indices(self, indices: NDArray[np.intp]) -> NDArray[np.intp]:
        return self._source._base_indices(self._below(indices))

    def _origin(self, index: Any) -> str:
        return self._source._origin(int(self._at[index]))

    def _select(self, keys: Any) -> Source:
        return View(self._source._select(keys), self._at)

    def _view(self, at: range | NDArray[np.intp]) -> Source:
        below = self._at
        if not (isinstance(below, range) and isinstance(at, range)):
            return View(self._source, self._below(np.asarray(at, np.intp)))
        first, end = (below.start + below.step * border for border in (at.start, at.stop))
        return View(self._source, range(first, end, below.step * at.step))

    def _label(self) -> str:
        return f"{self._source._label()}[{self._selected()}]"

    def fingerprint(self) -> str:
        return f"{self._source.fingerprint()}[{self._selected()}]"

    def _selected(self) -> str:
        at = self._at
        return f"{at.start}:{at.stop}:{at.step}" if isinstance(at, range) else f"{len(at)} indices {self._digest}"

    @functools.cached_property
    def _digest(self) -> str:
        """Digest of the indices, cached because every state contains it and there may be many indices."""
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

    def fingerprint(self) -> str:
        return f"{self._source.fingerprint()}.{self._keys!r}"


class Mapped(Derived):
    """A function of each sample; made by `Source.map`."""

    def __init__(
        self, source: Source, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], n_samples: int = 1
    ) -> None:
        super().__init__(source)
        require(callable(fn), "fn", "a function of a sample", fn)
        self._fn, self._args, self._kwargs = fn, args, kwargs
        self._random = "rng" in unfilled(fn, (None,) * n_samples + args, kwargs)
        self._level = source._random_maps()  #: the random maps below
        self._rng: Callable[[], np.random.Generator] = fresh  #: makes the generator of the next sample

    def _arguments(self, sample: Any) -> Any:
        """The positional arguments for a sample."""
        return sample, *self._args

    def sample(self, index: int) -> Any:
        sample, kwargs = self._source.sample(index), self._kwargs
        if self._random:
            kwargs = {**kwargs, "rng": self._rng()}
        try:
            return self._fn(*self._arguments(sample), **kwargs)
        except Exception as error:
            error.add_note(f"in map({name_of(self._fn)}), sample {self._whence(index)}")
            raise

    def _whence(self, index: int) -> str:
        """A sample by its index in the unsliced source, and by where it comes from if that is known."""
        at = self._source._base_indices(np.asarray([index]))[0].tolist()
        origin = self._source._origin(index)
        return f"{at} ({origin})" if origin else f"{at}"

    def keys(self) -> tuple[Any, ...] | None:
        return Source.keys(self)

    def _random_maps(self) -> int:
        return self._level + self._random

    def _bound(self, indices: NDArray[np.intp], draws: Draws) -> Source:
        bound = super()._bound(indices, draws)
        assert isinstance(bound, Mapped)
        if self._random:
            bound._rng = draws.generators(self._level).__next__
        return bound

    def _view(self, at: range | NDArray[np.intp]) -> Source:
        view = twin(self)
        view._source = self._source._view(at)
        return view

    def _label(self) -> str:
        return f"{self._source._label()}.map({name_of(self._fn)})"

    def fingerprint(self) -> str:
        kwargs = sorted(self._kwargs.items())
        given = [*map(setting, self._args), *(f"{name}={setting(value)}" for name, value in kwargs)]
        return f"{self._source.fingerprint()}.map({', '.join([function_text(self._fn), *given])})"
