"""How much is tested: by default enough to find what is broken, with ``pytest --thorough`` everything."""

from __future__ import annotations

from typing import TypeVar

__all__ = ["amount", "options"]

T = TypeVar("T")
#: Set from the command line before tests are collected.
options = {"thorough": False}


def amount(default: T, everything: T) -> T:
    """Choose an amount (of seeds, kills, interrupts, examples): `everything` with ``--thorough``, else `default`."""
    return everything if options["thorough"] else default
