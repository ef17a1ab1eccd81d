"""`KeepsMethods`: subclasses do not hide methods of ours behind attributes of their own."""

from __future__ import annotations

from types import FunctionType
from typing import Any

from .validate import require

__all__ = ["KeepsMethods"]


class KeepsMethods:
    """A base class that is subclassed by users, who cannot know all its names.

    Something that is no method, kept under the name of one, is refused where it is stored; else the first call of the
    method would fail far from there, with no word about why.

    >>> class Rows(KeepsMethods):
    ...     def keys(self): ...
    >>> Rows().keys = ["x", "y"]
    Traceback (most recent call last):
    streamflow.exceptions.ParameterError: `Rows.keys` must be a method, got ['x', 'y']; keep it under another name
    """

    __slots__ = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name, value in vars(cls).items():
            for base in cls.__bases__:
                _refuse_to_hide(getattr(base, name, None), f"{cls.__name__}.{name}", value)

    def __setattr__(self, name: str, value: Any) -> None:
        _refuse_to_hide(getattr(type(self), name, None), f"{type(self).__name__}.{name}", value)
        super().__setattr__(name, value)


def _refuse_to_hide(known: Any, name: str, value: Any) -> None:
    """Raise if what is known under a name is a method and `value` is not."""
    if isinstance(known, FunctionType):
        require(
            callable(value) or isinstance(value, (staticmethod, classmethod)),
            name,
            "a method",
            value,
            "keep it under another name",
        )
