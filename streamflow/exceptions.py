"""The errors of streamflow.

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

__all__ = [
    "BackgroundError",
    "DataError",
    "MissingDependencyError",
    "ParameterError",
    "PescadorError",
    "StateError",
    "StreamflowError",
    "WorkerDied",
]


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
