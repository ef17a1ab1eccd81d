"""The draws of a pass: which sample is read as which.

A part of a pass has draws 0, 1, 2, ...  Part k of n has every n-th draw of the whole pass, from number k on; so draw d
of it is position (k + n d) mod size of epoch (k + n d) div size, and a place in a pass is one number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...core.label import short
from ...core.validate import is_integer, require
from ...exceptions import ParameterError
from ...samplers import Order, Sampler, SequentialSampler, ShuffledSampler
from ...seeding import CROP, Key, uniforms

if TYPE_CHECKING:
    from ..base import Source

__all__ = ["Draws", "checked_epochs", "checked_sampler"]

_MOST = 4096  #: indices that are looked up at once


def checked_sampler(shuffle: Any, sampler: Any, source: Source) -> Sampler:
    """The sampler that is meant."""
    flag = isinstance(shuffle, (bool, np.bool_))
    require(flag, "shuffle", "True or False", shuffle, "`random_state` takes the seed")
    if sampler is None:
        return ShuffledSampler() if shuffle else SequentialSampler()
    require(isinstance(sampler, Sampler), "sampler", "a Sampler", sampler)
    require(not shuffle, "shuffle", "False where a sampler is given", shuffle)
    sampler.check(len(source))
    checked: Sampler = sampler
    return checked


def checked_epochs(epochs: Any) -> int | None:
    """The number of epochs in a pass, None for endless."""
    if epochs is None:
        return None
    whole = is_integer(epochs)
    require(whole and epochs >= 1, "epochs", "None or an integer from 1 on", epochs)
    return int(epochs)


class Draws:
    """The draws of one part of a pass.

    Parameters
    ----------
    sampler : Sampler
    n : int
        Length of the source.
    key : Key
        The address of the pass.
    epochs : int or None
        Epochs in a pass.
    part : (index, count)

    Attributes
    ----------
    size : int
        Draws in an epoch of the whole pass.
    longest : int
        The most draws that this part has between two borders of batches.
    total : int or None
        Draws of this part; None: endless.
    """

    def __init__(self, sampler: Sampler, n: int, key: Key, epochs: int | None, part: tuple[int, int]) -> None:
        self._sampler, self._n, self._key = sampler, n, key
        self._index, self._count = part
        self.size = sampler.size(n)
        self.total = None if epochs is None and self.size else self._first(epochs or 0)
        self.longest = -(-self.size // self._count)
        self._first_epoch = key.path[0] * (epochs or 1)
        self._orders: dict[int, dict[tuple[int, ...], Order]] = {}  # of each member, by their addresses
        self._known = np.empty(0, np.intp)  # a stretch of indices, from draw `_known_from` on
        self._known_from = 0

    def _first(self, epoch: int) -> int:
        """The first draw of this part in an epoch of the pass, or after it."""
        return max(0, -((self._index - epoch * self.size) // self._count))

    def epoch_of(self, draw: int) -> int:
        """The epoch of a draw."""
        return self._first_epoch + (self._index + self._count * draw) // self.size

    def epoch_span(self, draw: int) -> tuple[int, int]:
        """The first draw of the epoch that a draw belongs to, and that after its last."""
        epoch = (self._index + self._count * draw) // self.size
        return self._first(epoch), self._first(epoch + 1)

    def border(self, draw: int, across_epochs: bool) -> int | None:
        """The draw before which a batch that begins with this one has to end; None: nowhere."""
        return self.total if across_epochs else self.epoch_span(draw)[1]

    def last_batch(self, end: int, batch_size: int, partial: bool, across_epochs: bool) -> tuple[int, int]:
        """The epoch in which the batch before a draw began, and its number there, from 1 on."""
        first = 0 if across_epochs else self.epoch_span(end - 1)[0]
        begun = (end - 1 - first) // batch_size * batch_size + first
        return self.epoch_of(begun), (begun - self.epoch_span(begun)[0]) // batch_size + 1

    def indices(self, first: int, end: int) -> NDArray[np.intp]:
        """What the draws from `first` to before `end` read."""
        begin = self._known_from
        if not begin <= first <= end <= begin + len(self._known):
            # twice as many as last time: a stream that is soon given up has looked up few
            ahead = min(max(end - first, 2 * len(self._known)), max(end - first, _MOST))
            until = first + ahead if self.total is None else min(first + ahead, self.total)
            self._known, self._known_from = self._looked_up(first, until), first
            begin = first
        return self._known[first - begin : end - begin]

    def _looked_up(self, first: int, end: int) -> NDArray[np.intp]:
        key, n = self._key, self._n
        found = [self._order(key.at_epoch(epoch), n, self.size)[at] for epoch, at in self._positions(first, end)]
        return np.concatenate(found) if len(found) != 1 else found[0]

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
        """The order at an address, of a source or a member of it; of each the two latest are kept."""
        kept = self._orders.get(member, {})
        order = kept.get(key.path)
        if order is None:
            order = _Checked(self._sampler, self._sampler.order(n, self._sampler._address(key)), n, size)
            # two are needed where a batch and what is read ahead of it cross into the next epoch
            self._orders[member] = {**dict(list(kept.items())[-1:]), key.path: order}
        return order

    def numbers(self, k: int, first: int, end: int) -> NDArray[np.float64]:
        """Random number k, in [0, 1), of each of some draws, by its epoch and position."""
        found = self._positions(first, end)
        return np.concatenate([uniforms(self._key.at_epoch(epoch).below(0, k), CROP, at) for epoch, at in found])


class _Checked:
    """What a sampler gave as the order of `size` indices of n samples, checked as far as it is read."""

    def __init__(self, sampler: Sampler, order: Any, n: int, size: int) -> None:
        self._sampler, self._n = sampler, n
        try:
            self._order = np.asarray(order) if isinstance(order, (list, tuple, range)) else order
            given = len(order) if hasattr(self._order, "__getitem__") else None
        except (TypeError, ValueError):
            given = None
        if given is None:
            raise ParameterError(f"`sampler` must give an array of indices, {sampler!r} gave {short(order)}")
        if given != size:
            told = f"{sampler!r} gave {given}"
            raise ParameterError(f"`sampler` must give {size} indices in an epoch, as its size() says; {told}")

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, positions: NDArray[np.intp], /) -> NDArray[np.intp]:
        found = np.asarray(self._order[positions])
        if found.dtype.kind not in "iu" or found.shape != positions.shape:
            told = f"{self._sampler!r} gave {found.dtype} of shape {found.shape}"
            raise ParameterError(f"`sampler` must give integers along one axis, {told}")
        if found.size and not (found.min() >= 0 and found.max() < self._n):
            raise ParameterError(f"`sampler` must give indices from 0 to {self._n - 1}, {self._sampler!r} gave others")
        return found.astype(np.intp, copy=False)
