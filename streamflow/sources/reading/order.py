"""`PassOrder`: which sample each draw of a pass reads.

A part of a pass has draws 0, 1, 2, ...  Part k of n has every n-th draw of the whole pass, starting with number k; so
its draw d is position (k + n d) mod size of epoch (k + n d) div size, and one number is its whole position.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from math import gcd
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...core.label import short
from ...core.validate import flag, require
from ...exceptions import ParameterError
from ...samplers import Sampler, SequentialSampler, ShuffledSampler
from ...samplers.base import Order
from ...seeding import CROP, Key, uniforms
from .randomness import Draws, StreamGenerators

__all__ = ["Batch", "PassOrder", "checked_sampler"]

_MOST = 4096  #: the most indices that are looked up ahead; which ones come does not depend on it


def checked_sampler(shuffle: Any, sampler: Any) -> Sampler:
    """The sampler of a stream."""
    shuffle = flag("shuffle", shuffle, "`random_state` takes the seed")
    if sampler is None:
        return ShuffledSampler() if shuffle else SequentialSampler()
    require(isinstance(sampler, Sampler), "sampler", "a Sampler", sampler)
    require(not shuffle, "shuffle", "False if a sampler is given", shuffle)
    checked: Sampler = sampler
    flag("sampler.random", checked.random)
    flag("sampler.replacement", checked.replacement)
    return checked


class Batch(NamedTuple):
    """A batch: draws `first` to `end` - 1; the epoch that it begins in, and its number there, counted from 1."""

    first: int
    end: int
    epoch: int
    place: int


def batches_of(n: int, batch_size: int, drop_last: bool) -> int:
    """How many batches n draws make."""
    return n // batch_size if drop_last else -(-n // batch_size)


class PassOrder:
    """The order in which one part of a pass reads the samples of a source.

    Parameters
    ----------
    sampler : Sampler
    n : int
        Length of the source.
    key : Key
        The address of the pass.
    epochs : int or None
        Epochs per pass.
    part : (index, count)

    Attributes
    ----------
    size : int
        Draws in an epoch of the whole pass.
    total : int or None
        Draws of this part; None: endless.
    """

    def __init__(self, sampler: Sampler, n: int, key: Key, epochs: int | None, part: tuple[int, int]) -> None:
        self._sampler, self._n, self._key = sampler, n, key
        self._index, self._count = part
        self._epochs = epochs
        self.size = sampler._size_in(n)
        self.total = None if epochs is None and self.size else self._first(epochs or 0)
        self._first_epoch = key.path[0] * (epochs or 1)
        self._orders: dict[int, dict[tuple[int, ...], Order]] = {}  # per member, by address
        self._upto: list[int] | None = None
        self._generators = StreamGenerators(key)
        self._known = np.empty(0, np.intp)  # the indices of some draws, starting with `_known_from`
        self._known_from = 0

    def _first(self, epoch: int) -> int:
        """The first draw of this part in an epoch of the pass, or the next one if it has none there."""
        return max(0, -((self._index - epoch * self.size) // self._count))

    def epoch_of(self, draw: int) -> int:
        """The epoch of a draw."""
        return self._first_epoch + (self._index + self._count * draw) // self.size

    def epoch_span(self, draw: int) -> tuple[int, int]:
        """The first draw of the epoch that a draw belongs to, and the first one after it."""
        epoch = (self._index + self._count * draw) // self.size
        return self._first(epoch), self._first(epoch + 1)

    def place(self, draw: int) -> tuple[int, int]:
        """The epoch of a draw, and its number there, counted from 1."""
        return self.epoch_of(draw), draw - self.epoch_span(draw)[0] + 1

    def batch(self, number: int, batch_size: int, drop_last: bool, across_epochs: bool) -> Batch | None:
        """Batch `number` of this part, counted from 0; None if there is none."""
        if across_epochs:
            first, end = number * batch_size, (number + 1) * batch_size
            if self.total is not None and (end if drop_last else first + 1) > self.total:
                return None
            epoch, place = self.place(first)
            end = end if self.total is None else min(end, self.total)
            return Batch(first, end, epoch, (place - 1) // batch_size + 1)
        upto = self._batches_upto(batch_size, drop_last)
        if not upto or not upto[-1]:
            return None
        rounds, inside = divmod(number, upto[-1])
        later = bisect_right(upto, inside)
        epoch, place = rounds * len(upto) + later, inside - (upto[later - 1] if later else 0)
        if self.total is not None and self._first(epoch) >= self.total:
            return None
        first, end = self._batch_in(epoch, place, batch_size, drop_last)
        return Batch(first, end, self._first_epoch + epoch, place + 1)

    def n_batches(self, batch_size: int, drop_last: bool, across_epochs: bool) -> int | None:
        """How many batches this part has; None: endless."""
        if not self.total:
            return self.total
        if across_epochs:
            return batches_of(self.total, batch_size, drop_last)
        upto = self._batches_upto(batch_size, drop_last)
        rounds, rest = divmod(self._epochs or 0, len(upto))
        return rounds * upto[-1] + (upto[rest - 1] if rest else 0)

    def _batches_upto(self, batch_size: int, drop_last: bool) -> list[int]:
        """How many batches there are up to the end of each epoch; after those epochs, all is divided alike again."""
        if self._upto is None:
            alike = range(self._count // gcd(self.size, self._count)) if self.size else ()
            self._upto = list(accumulate(self._batches_of(epoch, batch_size, drop_last) for epoch in alike))
        return self._upto

    def _batches_of(self, epoch: int, batch_size: int, drop_last: bool) -> int:
        """How many batches this part has in an epoch of the pass."""
        return batches_of(self._first(epoch + 1) - self._first(epoch), batch_size, drop_last)

    def _batch_in(self, epoch: int, place: int, batch_size: int, drop_last: bool) -> tuple[int, int]:
        """The first draw of a batch of an epoch of the pass, and the one after its last."""
        first = self._first(epoch) + place * batch_size
        return first, min(first + batch_size, self._first(epoch + 1))

    def indices(self, first: int, end: int) -> NDArray[np.intp]:
        """The samples that draws `first` to `end` - 1 read."""
        begin = self._known_from
        if not begin <= first <= end <= begin + len(self._known):
            # twice as many as last time, so that a stream which is soon closed has looked up few
            ahead = min(max(end - first, 2 * len(self._known)), max(end - first, _MOST))
            until = first + ahead if self.total is None else min(first + ahead, self.total)
            self._known, self._known_from = self._looked_up(first, until), first
            begin = first
        return self._known[first - begin : end - begin]

    def _looked_up(self, first: int, end: int) -> NDArray[np.intp]:
        found = [self._in_epoch(epoch, positions) for epoch, positions in self._positions(first, end)]
        return found[0] if len(found) == 1 else np.concatenate(found)

    def _in_epoch(self, epoch: int, positions: NDArray[np.intp]) -> NDArray[np.intp]:
        """The samples at these positions of an epoch."""
        return self._order(self._key.at_epoch(epoch), self._n, self.size)[positions]

    def _positions(self, first: int, end: int) -> list[tuple[int, NDArray[np.intp]]]:
        """The positions of some draws, epoch by epoch."""
        found = []
        while first < end:
            epoch, position = divmod(self._index + self._count * first, self.size)
            stop = min(end, self._first(epoch + 1))
            last = position + self._count * (stop - first)
            found.append((self._first_epoch + epoch, np.arange(position, last, self._count, dtype=np.intp)))
            first = stop
        return found

    def _order(self, key: Key, n: int, size: int, member: int = 0) -> Order:
        """The order at an address, of the source or of one member; the two latest of each are kept."""
        kept = self._orders.get(member, {})
        order = kept.get(key.path)
        if order is None:
            order = _Checked(self._sampler, self._sampler.order(n, self._sampler._address(key)), n, size)
            # two, because prefetching reaches into the next epoch while a batch ends this one
            self._orders[member] = {**dict(list(kept.items())[-1:]), key.path: order}
        return order

    def draws(self, first: int, end: int) -> Draws:
        """Draws `first` to `end` - 1, for the random maps of the source."""
        found = self._positions(first, end)
        if len(found) == 1:
            return Draws(self._generators, *found[0])
        epochs = np.repeat([epoch for epoch, _ in found], [len(positions) for _, positions in found])
        return Draws(self._generators, epochs, np.concatenate([positions for _, positions in found]))

    def uniforms(self, first: int, end: int) -> NDArray[np.float64]:
        """A random number in [0, 1) of each of these draws, for the crop of a batch."""
        found = self._positions(first, end)
        return np.concatenate([uniforms(self._key.at_epoch(epoch).below(0, 0), CROP, at) for epoch, at in found])


class _Checked:
    """A sampler's order of `size` indices into n samples, checked as it is read."""

    def __init__(self, sampler: Sampler, order: Any, n: int, size: int) -> None:
        self._sampler, self._n = sampler, n
        try:
            self._order = np.asarray(order) if isinstance(order, (list, tuple, range)) else order
            given = len(order) if hasattr(self._order, "__getitem__") else None
        except (TypeError, ValueError):
            given = None
        if given is None:
            raise ParameterError(f"`sampler` must return an array of indices, {sampler!r} returned {short(order)}")
        if given != size:
            raise ParameterError(
                f"`sampler` must return {size} indices per epoch, as its size() says, {sampler!r} returned {given}"
            )

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, positions: NDArray[np.intp], /) -> NDArray[np.intp]:
        found = np.asarray(self._order[positions])
        if found.dtype.kind not in "iu" or found.shape != positions.shape:
            raise ParameterError(
                f"`sampler` must return integers along one axis, {self._sampler!r} returned {found.dtype} "
                f"of shape {found.shape}"
            )
        if found.size and not (found.min() >= 0 and found.max() < self._n):
            odd = found[(found < 0) | (found >= self._n)][0]
            raise ParameterError(
                f"`sampler` must return indices from 0 to {self._n - 1}, {self._sampler!r} returned {odd}"
            )
        return found.astype(np.intp, copy=False)
