"""The errors of streamflow, and the one form in which a bad parameter is told.

::

    StreamflowError                     everything below; also known as PescadorError
    ├── ParameterError (ValueError)     a parameter is wrong
    ├── DataError                       an item is not what an operation needs
    ├── StateError                      a state cannot be taken, or does not belong to this tree
    ├── MissingDependencyError (ImportError)
    └── BackgroundError                 a background worker failed
        └── WorkerDied                  ... by ending without a word
"""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np

__all__ = [
    "DISTRIBUTION",
    "BackgroundError",
    "DataError",
    "MissingDependencyError",
    "ParameterError",
    "PescadorError",
    "StateError",
    "StreamflowError",
    "WorkerDied",
    "check_flag",
    "is_number",
    "is_whole",
    "missing",
    "require",
]

#: The name under which the package index knows us (the import name is taken there).
DISTRIBUTION = "streamflow-mux"


class StreamflowError(Exception):
    """Root of every error that streamflow raises on its own account."""


class ParameterError(StreamflowError, ValueError):
    """A parameter has a value that it must not have."""


class DataError(StreamflowError):
    """An item does not have the form that an operation needs."""


class StateError(StreamflowError):
    """A state cannot be taken, or does not belong to this tree."""


class MissingDependencyError(StreamflowError, ImportError):
    """An optional library is needed and not installed."""


class BackgroundError(StreamflowError):
    """A background worker could not do its work."""


class WorkerDied(BackgroundError):
    """A background worker ended without a word."""


#: The name that users of pescador catch.
PescadorError = StreamflowError


def require(ok: object, name: str, rule: str, got: object, advice: str = "") -> None:
    """Raise a `ParameterError` of the common form unless `ok`.

    >>> require(0 >= 1, "n_active", "at least 1", 0, "use None for all")
    Traceback (most recent call last):
    streamflow.exceptions.ParameterError: `n_active` must be at least 1, got 0; use None for all
    """
    if not ok:
        shown = repr(got)
        if len(shown) > 80:
            shown = f"{shown[:77]}..."
        raise ParameterError(f"`{name}` must be {rule}, got {shown}" + (f"; {advice}" if advice else ""))


def check_flag(name: str, value: Any) -> None:
    """Raise unless a parameter is a bool of Python or NumPy: ``"false"`` would count as true.

    >>> check_flag("overwrite", "false")
    Traceback (most recent call last):
    streamflow.exceptions.ParameterError: `overwrite` must be True or False, got 'false'
    """
    require(isinstance(value, (bool, np.bool_)), name, "True or False", value)


def is_whole(value: object) -> bool:
    """Whether a value is an integer of Python or NumPy, and no bool."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def is_number(value: object) -> bool:
    """Whether a value is a real number of Python or NumPy, and no bool."""
    return isinstance(value, Real) and not isinstance(value, bool)


def missing(user: str, library: str, extra: str) -> MissingDependencyError:
    """The error that says what to install.

    >>> print(missing("LMDBStore", "lmdb", "lmdb"))
    LMDBStore needs lmdb: pip install "streamflow-mux[lmdb]"
    """
    return MissingDependencyError(f'{user} needs {library}: pip install "{DISTRIBUTION}[{extra}]"')
