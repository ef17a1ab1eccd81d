"""Fingerprints: what makes two trees the same tree for a state."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Any, NamedTuple

from . import format as numbers
from .exact import argument, bounded, digest, public_attributes, setting

__all__ = ["FORMAT", "Fingerprint", "described", "differing", "digest_of", "joined"]

_LONGEST = 2000  #: characters of the members of one mux


class Fingerprint(NamedTuple):
    """What makes two trees the same tree for a state."""

    text: str  #: types, sizes, settings and names
    weights: str = ""  #: the weights, as a digest
    random: bool = False  #: whether anything in it may draw random numbers
    replayed: bool = False  #: whether a function over a stream may be in it (see `replayed.py`)
    seeds: bool = False  #: whether workers in it are seeded from its entropy, even if it draws nothing

    def then(
        self, text: str, weights: str = "", random: bool = False, replayed: bool = False, seeds: bool = False
    ) -> Fingerprint:
        """This fingerprint with another text, and with weights and the rest added to its own."""
        weights = digest(self.weights, weights) if weights else self.weights
        return Fingerprint(text, weights, self.random or random, self.replayed or replayed, self.seeds or seeds)

    @property
    def needs_entropy(self) -> bool:
        """Whether a pass needs entropy, for its items or for its workers."""
        return self.random or self.seeds


def joined(fingerprints: Iterable[Fingerprint]) -> Fingerprint:
    """Many fingerprints as one; equal neighbours are written once, with their number."""
    texts: list[str] = []
    weights: list[str] = []
    random = replayed = seeds = False
    for fingerprint, run in groupby(fingerprints):
        count = sum(1 for _ in run)
        texts.append(fingerprint.text if count == 1 else f"{count} x {fingerprint.text}")
        weights.append(fingerprint.weights)
        random, replayed = random or fingerprint.random, replayed or fingerprint.replayed
        seeds = seeds or fingerprint.seeds
    text = bounded(", ".join(texts), _LONGEST)
    return Fingerprint(text, digest(*weights) if any(weights) else "", random, replayed, seeds)


def described(thing: Any) -> str:
    """The class of a thing and its public attributes, by value: the default of `fingerprint`."""
    inside = ", ".join(f"{name}={setting(value)}" for name, value in public_attributes(thing).items())
    return f"{type(thing).__name__}({bounded(inside, _LONGEST)})"


def differing(one: str, other: str) -> tuple[str, str]:
    """Where two texts begin to differ: the piece of each at that place, or the whole of short ones.

    >>> differing("f(1)", "f(2)")
    ('f(1)', 'f(2)')
    >>> differing(f"{'a' * 100}(1, 2)", f"{'a' * 100}(1, 3)") == (f"...{'a' * 36}(1, 2)", f"...{'a' * 36}(1, 3)")
    True
    """
    if max(len(one), len(other)) <= 100:
        return one, other
    same = next((place for place, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), None)
    same = min(len(one), len(other)) if same is None else same
    begin = max(0, same - 40)
    return _piece(one, begin), _piece(other, begin)


def _piece(text: str, begin: int) -> str:
    end = text[begin : begin + 100]
    return f"{'...' if begin else ''}{end}{'...' if len(text) > begin + 100 else ''}"


#: A digest of the numbers that decide which items come: another one is another stream.
FORMAT = digest(*(f"{name}={getattr(numbers, name)}" for name in numbers.__all__))


def digest_of(args: Iterable[Any]) -> str:
    """A digest of values: simple ones by value, others by type, arrays as `exact` writes them."""
    return digest(*(argument(arg) for arg in args))
