"""Sequences combined lazily: concatenated, zipped, mapped, cut into pieces.

A sequence is a source, a dict of arrays (as for `ArraySource`), or anything with a length and ``[]``; a list is a
sequence of its elements.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.fingerprint import digest_of
from ...core.validate import is_integer, require
from ...exceptions import DataError, ParameterError
from ..arrays import ArraySource, array_source
from ..columns import column
from ..reading.indexing import positions, selects_many
from ..reading.randomness import Draws, twin
from ..source import Mapped, Source
from .weave import form_of, woven

__all__ = ["Concatenated", "Members", "concatenate", "map_sources", "several", "split", "take", "zip_sources"]


def several(data: Any, name: str, what: str) -> list[Any]:
    """A list of at least one source or sequence; errors call the list `name` and an element `what`."""
    ok = isinstance(data, Iterable) and not isinstance(data, (Source, Mapping, set, frozenset, str, bytes))
    require(ok, name, f"a list of {what}s", data)
    found = list(data)
    require(found, name, f"at least one {what}", data)
    return found


def as_source(data: Any, name: str) -> Source:
    """A sequence as a source; errors call it `name`."""
    if isinstance(data, Source):
        return data
    return array_source(data if isinstance(data, Mapping) else column(data, name), name)


def as_sources(sequences: Any) -> list[Source]:
    """The sequences of a parameter `sequences`, at least one, as sources."""
    found = several(sequences, "sequences", "sequence")
    return [as_source(one, f"sequences[{place}]") for place, one in enumerate(found)]


def concatenate(sequences: Iterable[Any]) -> Source:
    """Concatenate sequences: the samples of each one in turn.

    Parameters
    ----------
    sequences : iterable of sequences
        At least one: sources, dicts of arrays, or anything with a length and ``[]``; some may be empty.

    Returns
    -------
    Source
        Nothing is copied.  Samples are those of the sequences; a batch has a common dtype by NumPy's promotion rules.

    Examples
    --------
    >>> data = concatenate([np.arange(3), [7, 8]])
    >>> len(data), data[-1], data[1:4].read(slice(None)).tolist()
    (5, 8, [1, 2, 7])
    """
    flat: list[Source] = []
    for one in as_sources(sequences):
        flat += one._members if type(one) is Concatenated else [one]
    return Concatenated(flat)


def zip_sources(sequences: Iterable[Any]) -> Source:
    """Zip sequences of equal length: a sample is a tuple of one sample of each.

    Parameters
    ----------
    sequences : iterable of sequences
        At least one: sources, dicts of arrays, or anything with a length and ``[]``.

    Returns
    -------
    Source

    Raises
    ------
    ParameterError
        If the sequences have different lengths.

    Examples
    --------
    >>> data = zip_sources([np.arange(5), "abcde"])
    >>> x, letters = data[-3:].read([0, 2])
    >>> data[1][1], x.tolist(), letters.tolist()
    ('b', [2, 4], ['c', 'e'])
    """
    found = as_sources(sequences)
    lengths = [len(one) for one in found]
    require(len(set(lengths)) == 1, "sequences", "of equal length", lengths)
    return ArraySource(tuple(found))


def take(sequence: Any, indices: Any) -> Source:
    """Some samples of a sequence, in any order and with repeats: ``source[indices]`` for any sequence.

    Parameters
    ----------
    sequence : sequence
        A source, a dict of arrays, or anything with a length and ``[]``.
    indices : slice, (n,) array of int, or mask
        As in NumPy.

    Returns
    -------
    Source

    Raises
    ------
    IndexError
        If an index is out of range.

    Examples
    --------
    >>> list(take("abc", [2, -3, 2]))
    ['c', 'a', 'c']
    """
    source = as_source(sequence, "sequence")
    return source._view(positions(indices if selects_many(indices) else np.asarray(indices), len(source)))


def split(sequence: Any, edges: Any) -> list[Source]:
    """Cut a sequence into pieces.

    Parameters
    ----------
    sequence : sequence
        A source, a dict of arrays, or anything with a length and ``[]``.
    edges : int, list of int, or list of (start, stop)
        Where to cut.  A number n makes n + 1 pieces of equal length; the length must be a multiple of n + 1.  A list of
        n positions cuts before each of them, which makes n + 1 pieces.  Pairs are the pieces themselves, which may
        overlap or leave samples out.  Positions are as in a slice.

    Returns
    -------
    list of Source

    Raises
    ------
    ParameterError
        If `edges` is none of these, or a number that does not give pieces of equal length.

    Examples
    --------
    >>> [list(piece) for piece in split("abcdef", 1)], [list(piece) for piece in split("abcdef", [2, -1])]
    ([['a', 'b', 'c'], ['d', 'e', 'f']], [['a', 'b'], ['c', 'd', 'e'], ['f']])
    """
    source = as_source(sequence, "sequence")
    if is_integer(edges):
        require(edges >= 0, "edges", "a non-negative integer", edges)
        length, rest = divmod(len(source), int(edges) + 1)
        rule = f"a number that cuts {len(source)} samples into pieces of equal length"
        require(not rest, "edges", rule, edges, "pass positions for other pieces")
        return [source[piece * length : (piece + 1) * length] for piece in range(int(edges) + 1)]
    try:
        places = [tuple(edge) if np.ndim(edge) else edge for edge in edges]
        if all(isinstance(place, tuple) for place in places):
            return [source[start:stop] for start, stop in places] if places else [source[:]]
        return [source[start:stop] for start, stop in zip([0, *places], [*places, None], strict=True)]
    except (TypeError, ValueError):
        raise ParameterError(
            f"`edges` must be a number, a list of positions or a list of pairs (start, stop), got {edges!r:.80}"
        ) from None


def map_sources(fn: Callable[..., Any], /, *sequences: Any) -> Source:
    """Map a function over sequences: it is called with one sample of each, when that is read.

    Parameters
    ----------
    fn : function
        Called as ``fn(*samples)``; a parameter `rng` is filled in as by `Source.map`.
    *sequences : sequence
        At least one, of equal length.

    Returns
    -------
    Source

    Raises
    ------
    ParameterError
        If the sequences have different lengths.

    Examples
    --------
    >>> list(map_sources(pow, [2, 3, 4], [5, 2, 1]))
    [32, 9, 4]
    """
    require(callable(fn), "fn", "a function of samples", fn)
    return _Spread(zip_sources(sequences), fn, (), {}, len(sequences))


class _Spread(Mapped):
    """A function whose arguments are the elements of a tuple."""

    def _arguments(self, sample: Any) -> Any:
        return sample


class Members(Source):
    """A source over several others."""

    def __init__(self, members: list[Source]) -> None:
        self._members = members
        self._lengths = [len(member) for member in members]

    def _sources(self) -> list[Source]:
        return self._members

    def _member_labels(self) -> str:
        """The labels and lengths of the members; of many members the first four and a digest."""
        return self._listed([one._label() for one in self._members])

    def _member_texts(self) -> str:
        """The fingerprints and lengths of the members; of many members the first four and a digest."""
        return self._listed([one.fingerprint() for one in self._members])

    def _listed(self, texts: list[str]) -> str:
        some = [f"{length} of {text}" for text, length in zip(texts, self._lengths, strict=True)]
        if len(some) <= 4:
            return ", ".join(some)
        more = f"and {len(some) - 4} more {digest_of(['; '.join(some)])[:8]}: {len(self)} samples"
        return ", ".join([*some[:4], more])


class Concatenated(Members):
    """Several sources, one after the other; made by `concatenate`."""

    def __init__(self, members: list[Source]) -> None:
        super().__init__(members)
        self._ends = list(accumulate(self._lengths))
        self._borders = np.array(self._ends, np.intp)
        self._begins = np.array([0, *self._ends[:-1]], np.intp)

    def __len__(self) -> int:
        return self._ends[-1]

    def sample(self, index: int) -> Any:
        member = bisect_right(self._ends, index)
        return self._members[member].sample(index - int(self._begins[member]))

    def fetch(self, indices: NDArray[np.intp]) -> Any:
        parts = list(self._by_member(indices)) or [(0, indices, indices)]
        if len(parts) == 1:  # the samples of one member are in the order asked for
            member, _, inside = parts[0]
            return self._members[member].fetch(inside)
        found = [self._members[member].fetch(inside) for member, _, inside in parts]
        try:
            return woven(found, [places for _, places, _ in parts], len(indices))
        except DataError as error:
            other = next((place for place, data in enumerate(found) if form_of(data) != form_of(found[0])), 0)
            if not other:
                raise
            first, second = (self._members[parts[place][0]]._label() for place in (0, other))
            raise DataError(f"{error}; they come from {first} and {second}") from None

    def prefetch(self, indices: NDArray[np.intp]) -> None:
        for member, _, inside in self._by_member(indices):
            self._members[member].prefetch(inside)

    def _bound(self, indices: NDArray[np.intp], draws: Draws) -> Source:
        bound = twin(self)
        bound._members = self._members.copy()
        for member, places, inside in self._by_member(indices):
            bound._members[member] = self._members[member]._bound(inside, draws.some(places))
        return bound

    def _by_member(self, indices: NDArray[np.intp]) -> Iterator[tuple[int, NDArray[np.intp], NDArray[np.intp]]]:
        """Each member that is read, the places of its samples in the batch, and their positions in the member."""
        if not indices.size:
            return
        owners = self._owners(indices)
        order = np.argsort(owners, kind="stable")
        owners = owners[order]
        inside = indices[order] - self._begins[owners]
        borders = [0, *(np.flatnonzero(owners[1:] != owners[:-1]) + 1).tolist(), len(order)]
        for first, end in pairwise(borders):
            yield int(owners[first]), order[first:end], inside[first:end]

    def _owners(self, indices: NDArray[np.intp]) -> NDArray[np.intp]:
        """The member that each sample comes from."""
        return self._borders.searchsorted(indices, side="right")

    def keys(self) -> tuple[Any, ...] | None:
        return self._filled()[0].keys()

    def _filled(self) -> list[Source]:
        """The members that are not empty; the first if all are."""
        filled = [one for one, length in zip(self._members, self._lengths, strict=True) if length]
        return filled or self._members[:1]

    def _origin(self, index: Any) -> str:
        member = bisect_right(self._ends, index)
        return self._members[member]._origin(index - int(self._begins[member])) or self._members[member]._label()

    def _select(self, keys: Any) -> Source:
        return Concatenated([one._selection(keys, False) for one in self._filled()])

    def _label(self) -> str:
        return f"concatenate({self._member_labels()})"

    def fingerprint(self) -> str:
        return f"concatenate({self._member_texts()})"
