"""The errors of streamflow.

::

    StreamflowError                     everything below; also known as PescadorError
    ├── ParameterError (ValueError)     a parameter has an invalid value
    ├── DataError                       an item is not in the form that an operation needs
    ├── StateError                      a state cannot be taken, or belongs to another tree
    ├── MissingDependencyError (ImportError)
    └── BackgroundError                 a background worker failed
        └── WorkerDied                  ... by dying without raising an error
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
    """The base of all errors that streamflow raises itself."""


class ParameterError(StreamflowError, ValueError):
    """A parameter has an invalid value."""


class DataError(StreamflowError):
    """An item is not in the form that an operation needs."""


class StateError(StreamflowError):
    """A state cannot be taken, or belongs to another tree."""


class MissingDependencyError(StreamflowError, ImportError):
    """An optional library that is needed is not installed."""


class BackgroundError(StreamflowError):
    """A background worker failed."""


class WorkerDied(BackgroundError):
    """A background worker died without raising an error."""


#: pescador's name for the root.
PescadorError = StreamflowError
