"""Promises about parts: together they are the stream, and each of them repeats and resumes."""

from __future__ import annotations

from itertools import chain
from typing import Any

import numpy as np

from ..core import Streamer
from ..core.equal import same
from ..exceptions import ParameterError
from .resuming import resume_one
from .subject import Subject, describe, expect, expect_items, expect_length, promise, taken

__all__ = ["check_shards"]

_COUNTS = (2, 3)


def check_shards(subject: Subject, shards: str) -> None:
    """Parts repeat, resume, and make up the whole."""
    limit = subject.long_limit()
    whole = subject.seeded_items(limit)
    finite = len(whole) < limit
    for count in _COUNTS:
        with promise(f"each of {count} parts repeats, and resumes exactly where a state was taken"):
            try:
                parts = [_part(subject.seeded.shard(index, count), subject.n_items) for index in range(count)]
            except ParameterError:
                # A tree may be too small for so many parts, unless its parts are meant to make up the whole.
                if shards == "partition" and finite:
                    raise
                continue
        if shards == "partition" and finite:
            with promise(f"{count} parts together give each sample of the stream once"):
                described = [subject.seeded.shard(index, count) for index in range(count)]
                taken_parts = [taken(part(limit, epoch=0), limit) for part in described]
                for part, items in zip(described, taken_parts, strict=True):
                    expect_length(part, items, ended=True)
                _expect_partition(subject, whole, taken_parts)
        elif not finite:
            with promise(f"{count} parts of an endless stream are endless too"):
                given = sum(map(len, parts))
                expect(given >= subject.n_items, f"together they gave {given} items and ended")


def _part(part: Streamer, n_items: int) -> list[Any]:
    """The first items of a part."""
    items = taken(part(n_items, epoch=0), n_items)
    expect_items(taken(part(n_items, epoch=0), n_items), items, "the second pass over a part")
    expect_length(part, items, len(items) < n_items)
    cut = len(items) // 2
    with part.open(0) as stream:
        taken(stream, cut)
        state = stream.state_dict()
    resume_one(part, state, cut, items, len(items) < n_items)
    return items


def _expect_partition(subject: Subject, whole: list[Any], parts: list[list[Any]]) -> None:
    unseen: dict[Any, list[Any]] = {}
    for sample in _samples(subject, whole):
        unseen.setdefault(_coarse(sample), []).append(sample)
    for index, items in enumerate(parts):
        for sample in _samples(subject, items):
            alike = unseen.get(_coarse(sample), [])
            place = next((place for place, other in enumerate(alike) if same(sample, other)), None)
            expect(
                place is not None,
                f"part {index} gives {describe(sample)} once too often, or the stream does not have it",
            )
            del alike[place]  # type: ignore[arg-type]
    missing = list(chain.from_iterable(unseen.values()))
    expect(not missing, f"no part gives {', '.join(map(describe, missing[:3]))} ({len(missing)} samples in all)")


def _samples(subject: Subject, items: list[Any]) -> list[Any]:
    if subject.samples_of is None:
        return items
    return [sample for item in items for sample in subject.samples_of(item)]


def _coarse(item: Any) -> Any:
    """A hashable key that equal items share, so that few pairs need to be compared."""
    if isinstance(item, dict):
        return frozenset((key, _coarse(value)) for key, value in item.items())
    if isinstance(item, (list, tuple)):
        return tuple(map(_coarse, item))
    if isinstance(item, np.ndarray):
        return item.shape, item.tobytes() if item.dtype.kind in "biuSU" else item.dtype.str
    return item if isinstance(item, (str, bytes, int)) else type(item)
