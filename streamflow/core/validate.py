"""How parameters are checked: one form of error, and one function for each rule that many parameters share.

Every error reads "`name` must be <rule>, got <value>; <what to do>".  A function that is named after a rule returns the
value in its plain Python type.  The functions that begin with `optional_` let None through.
"""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np

from ..exceptions import MissingDependencyError, ParameterError

__all__ = [
    "DISTRIBUTION",
    "choice",
    "flag",
    "integer",
    "is_integer",
    "is_number",
    "missing",
    "optional_integer",
    "optional_positive_integer",
    "positive_integer",
    "require",
]

#: The name under which the package index knows us (the import name is taken there).
DISTRIBUTION = "streamflow-mux"


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


def is_integer(value: object) -> bool:
    """Whether a value is an integer of Python or NumPy, and no bool."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def is_number(value: object) -> bool:
    """Whether a value is a real number of Python or NumPy, and no bool."""
    return isinstance(value, Real) and not isinstance(value, bool)


def integer(name: str, value: Any) -> int:
    """An integer of any sign."""
    require(is_integer(value), name, "an integer", value)
    return int(value)


def optional_integer(name: str, value: Any) -> int | None:
    """None or an integer of any sign."""
    require(value is None or is_integer(value), name, "None or an integer", value)
    return None if value is None else int(value)


def positive_integer(name: str, value: Any) -> int:
    """An integer above zero.

    >>> positive_integer("batch_size", 0)
    Traceback (most recent call last):
    streamflow.exceptions.ParameterError: `batch_size` must be a positive integer, got 0
    """
    require(is_integer(value) and value >= 1, name, "a positive integer", value)
    return int(value)


def optional_positive_integer(name: str, value: Any) -> int | None:
    """None or an integer above zero."""
    ok = value is None or (is_integer(value) and value >= 1)
    require(ok, name, "None or a positive integer", value)
    return None if value is None else int(value)


def flag(name: str, value: Any) -> bool:
    """True or False, of Python or NumPy: any other value, such as ``"false"``, is a mistake.

    >>> flag("overwrite", "false")
    Traceback (most recent call last):
    streamflow.exceptions.ParameterError: `overwrite` must be True or False, got 'false'
    """
    require(isinstance(value, (bool, np.bool_)), name, "True or False", value)
    return bool(value)


def choice(name: str, value: Any, allowed: Sequence[str]) -> str:
    """One of a few words.

    >>> choice("mode", "random", ("exhaustive", "cycle"))
    Traceback (most recent call last):
    streamflow.exceptions.ParameterError: `mode` must be one of 'exhaustive', 'cycle', got 'random'
    """
    ok = isinstance(value, str) and value in allowed
    require(ok, name, f"one of {', '.join(map(repr, allowed))}", value)
    return str(value)


def missing(user: str, library: str, extra: str) -> MissingDependencyError:
    """The error that says what to install.

    >>> print(missing("LMDBStore", "lmdb", "lmdb"))
    LMDBStore needs lmdb: pip install "streamflow-mux[lmdb]"
    """
    return MissingDependencyError(f'{user} needs {library}: pip install "{DISTRIBUTION}[{extra}]"')
