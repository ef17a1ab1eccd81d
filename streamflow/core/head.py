"""The head of a state: what it says of the whole tree, and what is compared before anything is opened."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from ..exceptions import StateError
from ..seeding import Root
from .exact import bounded
from .fingerprint import FORMAT, differing
from .label import short
from .saved import ADVICE, Saved
from .spec import Spec

__all__ = ["check_head", "entropy_of", "head"]

_VERSION = 2
_MOST_BITS, _MOST_WORDS = 1 << 14, 1 << 10  #: of the entropy in a state


def head(spec: Spec, root: Root) -> dict[str, Any]:
    """What a state says of the whole tree."""
    own = spec.fingerprint()
    return {
        "version": _VERSION,
        "numpy": np.__version__,
        "format": FORMAT,
        "tree": own.text,
        "root": _identity(spec),
        "weights": own.weights,
        "entropy": root.drawn,
    }


def check_head(saved: Saved, spec: Spec, strict: bool) -> None:
    """Raise if a state is of another tree; not `strict`: weights may have changed and members been added."""
    own, version = spec.fingerprint(), saved.value("version")
    if version != _VERSION:
        raise StateError(f"the state has version {short(version)}; this release reads version {_VERSION}: {ADVICE}")
    tree, weights, numpy = saved.text("tree"), saved.text("weights"), saved.text("numpy")
    if saved.text("format") != FORMAT:
        raise StateError(f"the state is of another release of streamflow, whose streams have other items: {ADVICE}")
    root, own_root = saved.text("root"), _identity(spec)
    if tree != own.text and (strict or root != own_root):
        was, now = differing(tree, own.text) if root == own_root else differing(root, own_root)
        hint = " (strict=False goes on if members were only added)" if root == own_root else ""
        raise StateError(f"the state is of another tree: it has {was}, this has {now}{hint}")
    if strict and weights != own.weights:
        raise StateError("the state is of a tree with other weights (strict=False allows it)")
    if numpy != np.__version__:
        warnings.warn(
            f"the state was taken with NumPy {numpy}, this is {np.__version__}: random numbers may differ",
            stacklevel=3,
        )


def entropy_of(saved: Saved, needed: bool) -> int | list[int] | None:
    """The entropy of a state: None, an integer of any size, or a list of such."""
    found = saved.value("entropy")
    words = found if isinstance(found, list) else [0 if found is None else found]
    fits = all(type(word) is int and word >= 0 and word.bit_length() <= _MOST_BITS for word in words)
    if not fits or not 1 <= len(words) <= _MOST_WORDS or (needed and found is None):
        rule = "an integer that is not negative, or a list of these"
        raise saved.wrong("entropy", rule if needed else f"null, {rule}")
    return found  # type: ignore[no-any-return]


def _identity(spec: Spec) -> str:
    """What a tree is apart from the members of its muxes."""
    return bounded(spec._identity(), 1000)
