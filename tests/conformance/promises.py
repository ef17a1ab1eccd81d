"""All that a background stream promises, and the function that holds one to a promise."""

from __future__ import annotations

from streamflow.testing.subject import promise

from .case import Case
from .crossing import ENDS, FAILING, ITEMS
from .lasting import LANES, LASTING
from .stopping import STOPPING

__all__ = ["PROMISES", "hold"]

PROMISES = {**ITEMS, **FAILING, **ENDS, **STOPPING, **LASTING, **LANES}


def hold(case: Case, name: str) -> None:
    """Raise AssertionError if a background stream breaks this promise."""
    with promise(name):
        PROMISES[name](case)
