"""How much is tested: enough to find what is broken by default, and everything by ``pytest --thorough``."""

from __future__ import annotations

from typing import TypeVar

__all__ = ["amount", "options"]

T = TypeVar("T")
#: Whether everything is tested; set before tests are collected.
options = {"thorough": False}


def amount(default: T, everything: T) -> T:
    """How much of something: seeds, kills, interrupts, examples."""
    return everything if options["thorough"] else default
