"""`CompositeSource`: one sample of each of several sources, as semi-supervised training needs."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.validate import flag, require
from ...samplers import BlockShuffledSampler, Sampler, ShuffledSampler, WeightedSampler
from ...seeding import Key
from ..arrays import array_source
from ..reading.form import Places
from ..reading.order import PassOrder
from ..reading.randomness import Draws, twin
from ..source import Source
from .concat import Members, several
from .gathered import Gathered, reading_only

__all__ = ["CompositeSource"]


def members_of(data: Any) -> list[Source]:
    """A list of sources, or of what `ArraySource` takes, as sources."""
    members = enumerate(several(data, "members", "source"))
    return [one if isinstance(one, Source) else array_source(one, f"members[{place}]") for place, one in members]


def has_places(source: Source) -> bool:
    """Whether samples are tuples; a source with keys 0, 1, ... may have dicts, so a sample is read."""
    keys = source.keys()
    if keys is None or isinstance(keys, Places) or keys != tuple(range(len(keys))):
        return isinstance(keys, Places)
    return len(source) > 0 and isinstance(source._probed(), tuple)


class CompositeSource(Members):
    """One sample of each of several sources.

    It is as long as its longest member; shorter members repeat.  In shuffled batches each member has its own
    order, and a member that repeats gets a new order each time it starts again.

    Parameters
    ----------
    members : iterable of sources
        Sources, or what `ArraySource` takes.
    flatten : bool
        Whether to merge dicts and join tuples (single values make a tuple).  Otherwise a sample is a tuple of the
        members' samples; members of different forms need that.
    trim : bool
        Whether to be as long as the shortest member instead; then nothing repeats within an epoch.

    Raises
    ------
    ParameterError
        If two members share a key or have different forms, or if a member that would have to repeat is empty.

    Notes
    -----
    Sample i consists of sample ``i % len(member)`` of each member.  ``shuffle=True`` shuffles each member on its own;
    so do `ShuffledSampler`, `BlockShuffledSampler` and ``WeightedSampler(None)``.  Any other sampler, and a view,
    selects samples of the composite.  The index given by ``with_indices`` has one column per member.

    Examples
    --------
    >>> from streamflow.sources import ArraySource
    >>> labelled = ArraySource({"X": np.array([1, 2]), "y": np.array([0, 1])})
    >>> unlabelled = ArraySource({"U": np.arange(10, 15)})
    >>> for batch in CompositeSource([labelled, unlabelled]).batches(3):
    ...     print(batch["X"], batch["y"], batch["U"])
    [1 2 1] [0 1 0] [10 11 12]
    [2 1] [1 0] [13 14]
    """

    def __init__(self, members: Iterable[Any], flatten: bool = True, trim: bool = False) -> None:
        super().__init__(members_of(members))
        self._flatten, self._trim = flag("flatten", flatten), flag("trim", trim)
        longest = max(self._lengths)
        ok = self._trim or min(self._lengths) or not longest
        require(ok, "members", "non-empty unless trim=True (or all empty)", self._lengths, "these are the lengths")
        self._length = min(self._lengths) if trim else longest
        if flatten and self._length:
            self._check_forms()

    def _check_forms(self) -> None:
        forms = [member.keys() for member in self._members]
        pairs = zip(self._members, forms, strict=True)
        kinds = {None if keys is None else has_places(member) for member, keys in pairs}
        require(len(kinds) == 1, "flatten", "False for members of different forms", self._flatten)
        if kinds == {False}:
            keys = [key for known in forms for key in known or ()]
            twice = sorted({repr(key) for key in keys if keys.count(key) > 1})
            rule = f"False if two members have the same key (here {', '.join(twice)})"
            require(not twice, "flatten", rule, self._flatten)

    def __len__(self) -> int:
        return self._length

    def keys(self) -> tuple[Any, ...] | None:
        keys, first = tuple(self._owners()), self._members[0]
        return keys if self._flatten and first.keys() is not None and not has_places(first) else Places(keys)

    def _owners(self) -> dict[Any, tuple[int, Any]]:
        """For each key the number of its member, and the key there (None: the whole sample)."""
        forms = [member.keys() for member in self._members] if self._flatten else [None]
        if forms[0] is None:
            return {number: (number, None) for number in range(len(self._members))}
        pairs = [(number, key) for number, keys in enumerate(forms) for key in keys or ()]
        joined = has_places(self._members[0])
        return {place if joined else pair[1]: pair for place, pair in enumerate(pairs)}

    def _select(self, keys: Any) -> Source:
        owners = self._owners()
        wanted: list[list[Any]] = [[] for _ in self._members]
        paths: list[tuple[int, ...]] = []
        for key in keys if isinstance(keys, tuple) else (keys,):
            number, inner = owners[key]
            paths.append((number,) if inner is None else (number, len(wanted[number])))
            wanted[number].append(inner)
        twin = copy.copy(self)
        twin._flatten = False
        twin._members = [
            member if some and some[0] is None else reading_only(member, some)
            for member, some in zip(self._members, wanted, strict=True)
        ]
        return Gathered(twin, keys, paths, f"{self._label()}.{keys!r}", f"{self.fingerprint()}.{keys!r}")

    def sample(self, index: Any) -> Any:
        """One sample; `index` may also be a list with the index of a sample of each member."""
        if isinstance(index, int):
            index = [index % length for length in self._lengths]
        return self._merged([member.sample(at) for member, at in zip(self._members, index, strict=True)])

    def fetch(self, indices: NDArray[np.intp]) -> Any:
        return self._merged([member.fetch(at) for member, at in self._below(indices)])

    def prefetch(self, indices: NDArray[np.intp]) -> None:
        for member, at in self._below(indices):
            member.prefetch(at)

    def _bound(self, indices: NDArray[np.intp], draws: Draws) -> Source:
        bound = twin(self)
        parts = enumerate(self._below(indices))
        bound._members = [member._bound(at, draws.below(number)) for number, (member, at) in parts]
        return bound

    def _below(self, indices: NDArray[np.intp]) -> list[tuple[Source, NDArray[np.intp]]]:
        """The indices to read from each member, given (n,) indices of the composite or (n, members) of members."""
        if indices.ndim == 2:
            return list(zip(self._members, np.ascontiguousarray(indices.T), strict=True))
        return [(member, indices % length) for member, length in zip(self._members, self._lengths, strict=True)]

    def _base_indices(self, indices: NDArray[np.intp]) -> NDArray[np.intp]:
        return np.column_stack([member._base_indices(at) for member, at in self._below(indices)])

    def _merged(self, parts: list[Any]) -> Any:
        if not self._flatten or not self._length:
            return tuple(parts)
        if isinstance(parts[0], Mapping):
            return {key: value for part in parts for key, value in part.items()}
        return tuple([value for part in parts for value in part]) if isinstance(parts[0], tuple) else tuple(parts)

    def _pass_order(
        self, sampler: Sampler, key: Key, epochs: int | None, part: tuple[int, int], batch_size: int | None
    ) -> PassOrder:
        uniform = isinstance(sampler, WeightedSampler) and sampler.weights is None and sampler.indices is None
        if uniform or isinstance(sampler, (ShuffledSampler, BlockShuffledSampler)):
            return _MemberOrders(sampler, self._length, key, epochs, part, self._lengths)
        return super()._pass_order(sampler, key, epochs, part, batch_size)

    def _label(self) -> str:
        return self._of(self._member_labels())

    def fingerprint(self) -> str:
        return self._of(self._member_texts())

    def _of(self, inside: str) -> str:
        for name, default in (("flatten", True), ("trim", False)):
            inside += "" if getattr(self, f"_{name}") is default else f", {name}={not default}"
        return f"CompositeSource({inside})"


class _MemberOrders(PassOrder):
    """Each member has its own order; a draw reads one sample of each."""

    def __init__(
        self,
        sampler: Sampler,
        n: int,
        key: Key,
        epochs: int | None,
        part: tuple[int, int],
        lengths: list[int],
    ) -> None:
        super().__init__(sampler, n, key, epochs, part)
        self._lengths = lengths

    def _in_epoch(self, epoch: int, positions: NDArray[np.intp]) -> NDArray[np.intp]:
        return np.column_stack([self._of_member(member, epoch, positions) for member in range(len(self._lengths))])

    def _of_member(self, member: int, epoch: int, positions: NDArray[np.intp]) -> NDArray[np.intp]:
        length, key = self._lengths[member], self._key.at_epoch(epoch)
        rounds, inside = np.divmod(positions, length)
        borders = [0, *(np.flatnonzero(np.diff(rounds)) + 1).tolist(), len(positions)]
        found = [
            self._order(key.below(int(rounds[begin]), member), length, length, member)[inside[begin:stop]]
            for begin, stop in pairwise(borders)
        ]
        return found[0] if len(found) == 1 else np.concatenate(found)
