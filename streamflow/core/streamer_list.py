"""Many Streamers of one function: `streamable` makes them by calling it, `StreamerList` is a lazy list of them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from types import FunctionType
from typing import Any, overload

from ..exceptions import ParameterError
from .call import check_arguments, checked_source
from .fingerprint import Fingerprint
from .label import name_of
from .streamer import Streamer
from .validate import require

__all__ = ["StreamerList", "streamable"]


def streamable(function: Callable[..., Any]) -> Callable[..., Streamer]:
    """Decorate a generator function: calling it gives a Streamer.

    Parameters
    ----------
    function : generator function, or another callable that returns an iterator
        It stays within reach as ``__wrapped__``.

    Returns
    -------
    function
        From the arguments of `function` to a `Streamer`.

    Raises
    ------
    ParameterError
        If what is decorated cannot be called, or is an async function.

    Examples
    --------
    >>> @streamable
    ... def count(n):
    ...     yield from range(n)
    >>> list(count(3))
    [0, 1, 2]
    """
    require(callable(function), "function", "a generator function", function)
    checked_source(function)  # raises now what is wrong with it

    @functools.wraps(function)
    def describe(*args: Any, **kwargs: Any) -> Streamer:
        return Streamer(function, *args, **kwargs)

    describe.gives_streamers = True  # type: ignore[attr-defined]  # so its items may be drawn at random
    return describe


class StreamerList(Sequence[Streamer]):
    """A lazy list of Streamers of one function over sequences of arguments; nothing is built before it is asked for.

    Parameters
    ----------
    fn : callable
        What each Streamer calls.
    *sequences : sequences of one length
        Item i of each is an argument of Streamer i.
    **kwargs
        Keyword arguments of every Streamer.

    Raises
    ------
    ParameterError
        If there are no sequences, or if their lengths differ.

    Examples
    --------
    >>> members = StreamerList(range, [3, 4, 5])
    >>> len(members), list(members[-1]), len(members[1:])
    (3, [0, 1, 2, 3, 4], 2)
    """

    __slots__ = ("_kwargs", "_places", "_sequences", "fn")

    def __init__(self, fn: Any, /, *sequences: Sequence[Any], **kwargs: Any) -> None:
        require(sequences, "sequences", "at least one sequence of arguments", sequences)
        try:
            lengths = [len(sequence) for sequence in sequences]
        except TypeError:
            raise ParameterError("`sequences` must each have a length, like lists and arrays") from None
        require(len(set(lengths)) == 1, "sequences", "of one length", lengths)
        checked_source(fn)  # raises now what is wrong with the function, not when a member is opened
        if isinstance(fn, FunctionType):
            check_arguments(fn, sequences, kwargs)
        self.fn, self._sequences, self._kwargs = fn, sequences, kwargs
        self._places = range(lengths[0])

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> Streamer: ...
    @overload
    def __getitem__(self, index: slice) -> StreamerList: ...
    def __getitem__(self, index: int | slice) -> Streamer | StreamerList:
        if isinstance(index, slice):
            part = object.__new__(StreamerList)
            part.fn, part._sequences, part._kwargs = self.fn, self._sequences, self._kwargs
            part._places = self._places[index]
            return part
        try:
            place = self._places[index]
        except IndexError:
            raise IndexError(f"index {index} is out of range for {len(self)} streamers") from None
        return Streamer(self.fn, *[sequence[place] for sequence in self._sequences], **self._kwargs)

    def __repr__(self) -> str:
        return f"StreamerList({name_of(self.fn)}, {len(self)} members)"

    def fingerprint(self) -> Fingerprint:
        """The fingerprint of the members, of which the first stands for all."""
        if not len(self):
            return Fingerprint("", "", False)
        first = self[0].fingerprint()
        return first.then(f"{len(self)} x {first.text}")
