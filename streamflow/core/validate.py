"""How parameters are checked: one form of error, and one function for each rule that many parameters share.

Every error reads "`name` must be <rule>, got <value>; <what to do>".  A function that is named after a rule returns the
value in its plain Python type.  The functions that begin with `optional_` let None through.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from contextlib import suppress
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..exceptions import MissingDependencyError, ParameterError

__all__ = [
    "DISTRIBUTION",
    "choice",
    "epoch_number",
    "flag",
    "integer",
    "is_integer",
    "is_number",
    "item_count",
    "key_set",
    "missing",
    "optional_integer",
    "optional_positive_integer",
    "positive_integer",
    "require",
    "weights",
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
    """Whether a value is an integer of Python or NumPy, and not a bool."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def is_number(value: object) -> bool:
    """Whether a value is a real number of Python or NumPy, and not a bool."""
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


def item_count(name: str, value: Any) -> int | None:
    """How many items are wanted, None for all: a float counts as its integer part, a negative number as 0.

    >>> item_count("max_iter", 1e2), item_count("max_iter", -3), item_count("max_iter", None)
    (100, 0, None)
    """
    if value is None:
        return None
    number: int | None = None
    if not isinstance(value, (bool, np.bool_, str, bytes)):
        with suppress(TypeError, ValueError, OverflowError):  # not a number, NaN or infinite
            number = min(max(0, int(value)), sys.maxsize)
    require(number is not None, name, "None or a number of items", value)
    return number


def epoch_number(name: str, value: Any) -> int:
    """The number of an epoch."""
    require(is_integer(value) and 0 <= value < 1 << 32, name, "an integer from 0 to 2**32 - 1", value)
    return int(value)


def flag(name: str, value: Any, advice: str = "") -> bool:
    """True or False, of Python or NumPy: any other value, such as ``"false"``, is a mistake.

    >>> flag("overwrite", "false")
    Traceback (most recent call last):
    streamflow.exceptions.ParameterError: `overwrite` must be True or False, got 'false'
    """
    require(isinstance(value, (bool, np.bool_)), name, "True or False", value, advice)
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


def weights(name: str, value: Any, n: int | None = None, each: str = "") -> NDArray[np.float64]:
    """Weights as a private, read-only copy that sums to 1; `n` of them, one for each `each`, if that is given.

    >>> weights("weights", [3, 1]).tolist()
    [0.75, 0.25]
    """
    try:
        array = np.array(value, float)
    except (TypeError, ValueError):
        array = np.zeros((0, 0))
    rule = "numbers along one axis" if n is None else f"{n} numbers, one for each {each}"
    require(array.ndim == 1 and (n is None or len(array) == n), name, rule, value)
    require(np.isfinite(array).all() and (array >= 0).all(), name, "finite and not negative", value)
    require(array.any(), name, "above zero for at least one", value)
    array /= array.max()  # so that the sum is finite
    array /= array.sum()
    array.flags.writeable = False
    return array


def missing(user: str, library: str, extra: str) -> MissingDependencyError:
    """The error that says what to install.

    >>> print(missing("LMDBStore", "lmdb", "lmdb"))
    LMDBStore needs lmdb: pip install "streamflow-mux[lmdb]"
    """
    return MissingDependencyError(f'{user} needs {library}: pip install "{DISTRIBUTION}[{extra}]"')


def key_set(name: str, value: Any) -> frozenset[Any]:
    """A collection of keys of dicts."""
    keys = None
    if isinstance(value, Collection) and not isinstance(value, (str, bytes)):
        with suppress(TypeError):  # one of them cannot be a key
            keys = frozenset(value)
    require(keys is not None, name, "a collection of keys", value, f"{name}=('time',) for one key")
    return keys or frozenset()
