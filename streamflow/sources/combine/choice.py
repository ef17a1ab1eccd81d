"""`ChoiceSource`: batches that each come from one of several sources."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.validate import flag, require
from ...samplers import BlockShuffledSampler, Sampler, SequentialSampler, ShuffledSampler
from ...seeding import PICKS, Key, bit_generator
from ..reading.form import Places
from ..reading.order import PassOrder
from ..source import Source
from .composite import has_places, members_of
from .concat import Concatenated
from .gathered import Gathered, reading_only

__all__ = ["ChoiceSource"]


class ChoiceSource(Concatenated):
    """Several sources, with each batch from one of them; ``"member"`` says which.

    Parameters
    ----------
    members : iterable of sources
        Sources, or what `ArraySource` takes.
    stratified : bool
        What an epoch of batches consists of.  True: every sample of each member, with each member's batches spread
        evenly over the epoch (``shuffle=True``: in random order).  False: as many samples of each member as the
        shortest has, one batch of each member in turn (``shuffle=True``: in random order within each round).

    Raises
    ------
    ParameterError
        If a member has a key ``"member"``, or if a member is empty and `stratified` is False, which would give no
        batches.

    Notes
    -----
    As a source it is the concatenation of its members, with the number of the member added to each sample: under
    ``"member"`` in a dict, else in front.  Only `batches` keeps to one member at a time (a view of it does not).  It
    takes ``shuffle`` and samplers that give each sample once, but not ``across_epochs``.

    Examples
    --------
    >>> source = ChoiceSource([{"x": np.arange(4)}, {"x": np.arange(10, 12)}], stratified=True)
    >>> for batch in source.batches(2):
    ...     print(batch["member"], batch["x"])
    [0 0] [0 1]
    [1 1] [10 11]
    [0 0] [2 3]
    """

    def __init__(self, members: Iterable[Any], stratified: bool = False) -> None:
        super().__init__(members_of(members))
        self._stratified = flag("stratified", stratified)
        ok = self._stratified or min(self._lengths) or not max(self._lengths)
        rule = "non-empty unless stratified=True (or all empty)"
        require(ok, "members", rule, self._lengths, "these are the lengths")
        for member in self._filled():
            keys = member.keys() or ()
            require("member" not in keys, "members", "without a key 'member'", list(keys))

    def sample(self, index: int) -> Any:
        return _with_member(super().sample(index), int(self._owners(np.array(index))))

    def fetch(self, indices: NDArray[np.intp]) -> Any:
        return _with_member(super().fetch(indices), self._owners(indices))

    def keys(self) -> tuple[Any, ...] | None:
        keys = super().keys()
        if keys is None or has_places(self._filled()[0]):
            return Places(range(2 if keys is None else len(keys) + 1))
        return "member", *keys

    def _select(self, keys: Any) -> Source:
        several = keys if isinstance(keys, tuple) else (keys,)
        number = "member" if "member" in (self.keys() or ()) else 0
        wanted = [key for key in several if key != number]
        if wanted and super().keys() is None:  # a single value, which is read whole
            return Source._select(self, keys)
        inside = wanted if number else [place - 1 for place in wanted]
        paths = [(0,) if key == number else (1 + wanted.index(key),) for key in several]
        twin = copy.copy(self)
        twin._members = [
            reading_only(member, inside if length else [])
            for member, length in zip(self._members, self._lengths, strict=True)
        ]
        return Gathered(twin, keys, paths, f"{self._label()}.{keys!r}", f"{self.fingerprint()}.{keys!r}")

    def _check_batches(self, sampler: Sampler, across_epochs: bool) -> None:
        once = (SequentialSampler, ShuffledSampler, BlockShuffledSampler)
        require(isinstance(sampler, once), "sampler", "one that reads each sample once", sampler)
        require(not across_epochs, "across_epochs", "False for a ChoiceSource", across_epochs)

    def _pass_order(
        self, sampler: Sampler, key: Key, epochs: int | None, part: tuple[int, int], batch_size: int | None
    ) -> PassOrder:
        if batch_size is None:
            return super()._pass_order(sampler, key, epochs, part, batch_size)
        return _RunOrder(sampler, self._lengths, self._stratified, key, epochs, part, batch_size)

    def _label(self) -> str:
        return self._of(self._member_labels())

    def fingerprint(self) -> str:
        return self._of(self._member_texts())

    def _of(self, members: str) -> str:
        return f"ChoiceSource({members}{', stratified=True' if self._stratified else ''})"


def _with_member(data: Any, member: Any) -> Any:
    """Add the number of the member to a sample or batch."""
    if isinstance(data, Mapping):
        return {"member": member, **data}
    return (member, *data) if isinstance(data, tuple) else (member, data)


class _RunOrder(PassOrder):
    """An order in runs: each run is of one member and at most as long as a batch.

    An epoch of the whole pass has a number of draws of each member, of which a part has every n-th, as elsewhere.  What
    a part has of a member is cut into runs, and the runs of all members are mixed.
    """

    def __init__(
        self,
        sampler: Sampler,
        lengths: list[int],
        stratified: bool,
        key: Key,
        epochs: int | None,
        part: tuple[int, int],
        batch_size: int,
    ) -> None:
        counts = lengths if stratified else [min(lengths)] * len(lengths)
        super().__init__(sampler, sum(counts), key, epochs, part)
        self._lengths, self._stratified, self._batch_size = lengths, stratified, batch_size
        #: Where each member begins in the whole epoch and in the source, and where the last one ends.
        self._begins = np.array([0, *accumulate(counts)], np.intp)
        self._offsets = np.array([0, *accumulate(lengths)], np.intp)
        self._runs_of: dict[int, _Runs] = {}

    def _shares(self, epoch: int) -> tuple[int, NDArray[np.intp]]:
        """This part's first position in an epoch of the pass, and how many of its draws come before each member."""
        first = self._index + self._count * self._first(epoch) - epoch * self.size
        return first, np.maximum(0, -((first - self._begins) // self._count))

    def _runs(self, epoch: int) -> _Runs:
        """The runs of an epoch of the pass."""
        if epoch not in self._runs_of:
            first, before = self._shares(epoch)
            runs = _Runs(first, before, self._batch_size)
            address = self._sampler._address(self._key.at_epoch(self._first_epoch + epoch))
            runs.mix(address if self._sampler.random else None, self._stratified)
            self._runs_of = {**dict(list(self._runs_of.items())[-1:]), epoch: runs}
        return self._runs_of[epoch]

    def _batches_of(self, epoch: int, batch_size: int, drop_last: bool) -> int:
        draws = np.diff(self._shares(epoch)[1])
        return int((draws // batch_size if drop_last else -(-draws // batch_size)).sum())

    def _batch_in(self, epoch: int, place: int, batch_size: int, drop_last: bool) -> tuple[int, int]:
        runs, begin = self._runs(epoch), self._first(epoch)
        run = int(runs.full[place]) if drop_last else place
        end = begin + int(runs.ends[run])
        return end - int(runs.lengths[run]), end

    def _positions(self, first: int, end: int) -> list[tuple[int, NDArray[np.intp]]]:
        """Epoch by epoch, the positions in the unmixed epoch, in which members follow one another."""
        found = []
        while first < end:
            epoch = (self._index + self._count * first) // self.size
            runs, begin = self._runs(epoch), self._first(epoch)
            stop = min(end, self.epoch_span(first)[1])
            local = np.arange(first - begin, stop - begin, dtype=np.intp)
            found.append((self.epoch_of(first), runs.first + self._count * runs.unmixed(local)))
            first = stop
        return found

    def _in_epoch(self, epoch: int, positions: NDArray[np.intp]) -> NDArray[np.intp]:
        """The samples at positions of the unmixed epoch."""
        owners = np.searchsorted(self._begins[1:], positions, side="right")
        found = np.empty(len(positions), np.intp)
        for member in np.unique(owners).tolist():
            here = owners == member
            length, key = self._lengths[member], self._key.at_epoch(epoch).below(0, member)
            inside = self._order(key, length, length, member)[positions[here] - self._begins[member]]
            found[here] = self._offsets[member] + inside
        return found


class _Runs:
    """The runs of a part in one epoch.

    Parameters
    ----------
    first : int
        The part's first position in the epoch.
    before : (members + 1,) array of int
        How many of the part's draws come before each member in the unmixed epoch, and how many there are in all.
    batch_size : int
        Length of a run; the last run of a member may be shorter.

    Attributes
    ----------
    lengths, ends : (runs,) array of int
        How many draws each run has, in mixed order, and how many have been made at its end.
    full : array of int
        The runs that are as long as a batch.
    """

    def __init__(self, first: int, before: NDArray[np.intp], batch_size: int) -> None:
        self.first, self._before, self._batch_size = first, before, batch_size

    def mix(self, key: Key | None, stratified: bool) -> None:
        """Mix the runs of all members: at random if there is a key, else evenly."""
        counts = -(-np.diff(self._before) // self._batch_size)
        members = np.repeat(np.arange(len(counts)), counts)
        places = np.arange(len(members)) - np.repeat(np.cumsum(counts) - counts, counts)  # among their member's
        if key is None:
            order = np.lexsort((members, (places + 0.5) / counts[members]))
        else:
            drawn = bit_generator(key, PICKS).random_raw(len(members))
            order = np.argsort(drawn, kind="stable") if stratified else np.lexsort((drawn, places))
        mixed = members[order]
        # Runs of one member keep their order, because samplers are asked for ascending positions.
        by_member = np.argsort(mixed, kind="stable")
        ranks = np.empty(len(mixed), np.intp)
        ranks[by_member] = places
        self._starts = self._before[mixed] + ranks * self._batch_size
        self.lengths = np.minimum(self._batch_size, self._before[mixed + 1] - self._starts)
        self.ends = np.cumsum(self.lengths)
        self.full = np.flatnonzero(self.lengths == self._batch_size)

    def unmixed(self, draws: NDArray[np.intp]) -> NDArray[np.intp]:
        """The positions of draws in the unmixed epoch."""
        runs = np.searchsorted(self.ends, draws, side="right")
        at: NDArray[np.intp] = self._starts[runs] + draws - (self.ends[runs] - self.lengths[runs])
        return at
