"""`map_items` and `filter_items`: a function of one item, applied to each."""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator, Iterator, Mapping
from itertools import count
from typing import Any, TypeAlias

from ..core.call import asked
from ..core.derived import StatelessNode
from ..core.label import call_label
from ..core.map import Address, Run, StreamMap, declare
from ..core.node import Node
from ..core.validate import require

__all__ = ["filter_items", "map_items"]

_INJECTED = ("rng", "epoch", "index")


def _check(fn: Any) -> None:
    require(callable(fn), "fn", "a function of an item", fn)


class _ItemMap(StreamMap):
    """A map with a function of one item, which is called once for each in order."""

    def __init__(self, fn: Callable[..., Iterator[Any]], length: Callable[..., int | None] | None) -> None:
        super().__init__(fn, _check, "stateless", length)

    def label(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
        return call_label(self.public, args, kwargs.items())

    def is_random(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
        return "rng" in asked(_only(args, kwargs), _INJECTED, 1)

    def start(
        self, items: Iterator[Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], address: Address, number: int
    ) -> Iterator[Any]:
        outputs: Iterator[Any] = self.fn(items, _filled(_only(args, kwargs), address, number))
        return outputs

    def note_on(self, error: Exception, args: tuple[Any, ...], kwargs: Mapping[str, Any], drawn: int) -> None:
        error.add_note(f"in {_at_item(self.label(args, kwargs), drawn)}")

    def node(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], below: Node, address: Address) -> StatelessNode:
        run = Run(self, args, kwargs, address)
        return _ItemNode(self.label(args, kwargs), below, run, address.key.clock, checked=False)


def _only(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """The function: the only argument after the stream."""
    (fn,) = *args, *kwargs.values()
    return fn


class _ItemNode(StatelessNode):
    """Says in errors which item it was."""

    __slots__ = ()

    def here(self) -> tuple[str, Node | str | None]:
        return _at_item(self.label, self.below.given()), self.below


def _at_item(label: str, drawn: int) -> str:
    """The place in errors: the last item drawn is the one that the function was called with last."""
    return f"{label}, item {drawn - 1}" if drawn else label


def _filled(fn: Callable[..., Any], address: Address, number: int) -> Callable[[Any], Any]:
    """The function of an item alone; what else it asks for is filled in.  The first item has this number."""
    names = asked(fn, _INJECTED, 1)
    if "epoch" in names:
        fn = functools.partial(fn, epoch=address.key.path[0])
    if names <= {"epoch"}:
        return fn
    numbers = count(number)
    if "rng" not in names:
        return lambda item: fn(item, index=next(numbers))
    at = address.generators(None).at
    if "index" not in names:
        return lambda item: fn(item, rng=at(next(numbers)))

    def call(item: Any) -> Any:
        number = next(numbers)
        return fn(item, rng=at(number), index=number)

    return call


_Called: TypeAlias = Callable[[Iterator[Any], Callable[..., Any]], Iterator[Any]]
_Public: TypeAlias = Callable[[Any, Callable[..., Any]], Generator[Any, None, None]]


def _item_map(length: Callable[..., int | None] | None = None) -> Callable[[_Called], _Public]:
    return lambda fn: declare(_ItemMap(fn, length))


@_item_map(lambda n, fn: n)
def map_items(stream: Iterator[Any], fn: Callable[..., Any]) -> Iterator[Any]:
    """Apply a function to each item.

    Parameters
    ----------
    stream : iterable
        The items.
    fn : function
        Called with an item; what it returns is the output.  Three more parameters are filled in if it has them (without
        a default, or with the default None): ``rng``, a `numpy.random.Generator` that belongs to this item alone;
        ``index``, the number of the item in this stream, from 0; ``epoch``, the number of the pass over the data.

    Yields
    ------
    object
        What `fn` returns.

    Raises
    ------
    ParameterError
        If `fn` cannot be called.

    Notes
    -----
    Items are numbered in each activation from 0, and in each part of a stream by themselves.  So the `rng` of an item
    depends on the seed of the tree (not on that of a mux below it), the epoch, the place of the map in the tree, its
    part and the number; a resume goes on with the next number.  Called directly, a map numbers from 0 in epoch 0, under
    a seed that is drawn from NumPy's global state if `fn` asks for `rng`.

    An error in `fn` names the number of the item, and loses none: a state taken then resumes with that item.

    Examples
    --------
    >>> list(map_items([1, 2, 3], lambda x: 10 * x))
    [10, 20, 30]
    >>> from streamflow import Streamer
    >>> def noisy(x, rng):
    ...     return x + rng.normal()
    >>> tree = Streamer([1, 2, 3]).pipe(map_items, noisy).with_seed(0)
    >>> list(tree(epoch=0)) == list(tree(epoch=0)), list(tree(epoch=0)) == list(tree(epoch=1))
    (True, False)
    """
    return map(fn, stream)


@_item_map()
def filter_items(stream: Iterator[Any], fn: Callable[..., Any]) -> Iterator[Any]:
    """Keep the items for which a function is true.

    Parameters
    ----------
    stream : iterable
        The items.
    fn : function
        Called with an item; the item is kept if the result is true.  Its parameters ``rng``, ``index`` and ``epoch``
        are filled in as those of `map_items`; items that are dropped are numbered too.

    Yields
    ------
    object
        The items themselves.

    Raises
    ------
    ParameterError
        If `fn` cannot be called.

    Examples
    --------
    >>> list(filter_items(range(6), lambda x: x % 2))
    [1, 3, 5]
    >>> def half(x, rng):
    ...     return rng.random() < 0.5
    >>> from streamflow import Streamer
    >>> 40 < len(list(Streamer(range(100)).pipe(filter_items, half).with_seed(0))) < 60
    True
    """
    return filter(fn, stream)
