"""Fingerprints: what makes two trees the same tree for a state."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from itertools import groupby
from typing import Any, NamedTuple

from . import format as numbers
from .label import short

__all__ = ["FORMAT", "Fingerprint", "digest_of", "joined"]


class Fingerprint(NamedTuple):
    """What makes two trees the same tree for a state."""

    text: str  #: types, sizes and names
    weights: str  #: the weights, as a digest
    random: bool  #: whether anything in it may draw random numbers
    replayed: bool = False  #: whether a function over a stream may be in it (see `replayed.py`)

    def then(self, text: str, weights: str = "", random: bool = False, replayed: bool = False) -> Fingerprint:
        """This fingerprint with another text, and with weights and the rest added to its own."""
        weights = _digest(self.weights, weights) if weights else self.weights
        return Fingerprint(text, weights, self.random or random, self.replayed or replayed)


def joined(fingerprints: Iterable[Fingerprint]) -> Fingerprint:
    """Many fingerprints as one; equal neighbours are written once, with their number."""
    texts: list[str] = []
    weights: set[str] = set()
    random = replayed = False
    for fingerprint, run in groupby(fingerprints):
        count = sum(1 for _ in run)
        texts.append(fingerprint.text if count == 1 else f"{count} x {fingerprint.text}")
        weights.add(fingerprint.weights)
        random, replayed = random or fingerprint.random, replayed or fingerprint.replayed
    return Fingerprint(", ".join(texts), _digest(*sorted(weights)) if weights != {""} else "", random, replayed)


def _digest(*parts: str | bytes) -> str:
    hashed = hashlib.blake2b(digest_size=8)
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        hashed.update(len(data).to_bytes(8, "little") + data)
    return hashed.hexdigest()


#: A digest of the numbers that decide which items come: another one is another stream.
FORMAT = _digest(*(f"{name}={getattr(numbers, name)}" for name in numbers.__all__))


def digest_of(args: Iterable[Any]) -> str:
    """A digest of arguments: simple ones by value, others by type, arrays by type, dtype and shape."""
    return _digest(*(_simple(arg) for arg in args))


def _simple(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return f"{type(value).__name__}({','.join(map(_simple, value))})" if len(value) <= 64 else short(value)
    if isinstance(value, (str, bytes)) and len(value) > 60:
        return f"{type(value).__name__} {_digest(value)}"
    if isinstance(value, (str, bytes, int, float, complex, bool, type(None))):
        return repr(value)
    return repr(os.fspath(value)) if isinstance(value, os.PathLike) else short(value)
