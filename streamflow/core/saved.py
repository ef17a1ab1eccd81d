"""Saved: a state while it is being loaded.

A state may come from anywhere, so no value in it is believed.  Each is read through a method that checks its type and
its bounds, and raises a `StateError` that says where the value stands.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ..exceptions import StateError
from .label import short
from .watch import Watch

__all__ = ["ADVICE", "LARGEST", "Loading", "Saved"]

#: What to do with a state that another release wrote.
ADVICE = "resume with the release that saved it, or start again without this state"
LARGEST = (1 << 53) - 1  #: the largest count: JSON's numbers are exact up to here


class Loading(NamedTuple):
    """How a state is to be loaded; see `Stream.load_state_dict`."""

    verify: bool = True
    ignore: frozenset[Any] = frozenset()  #: keys of items that may differ
    loose: bool = False  #: whether weights may have changed
    grown: bool = False  #: whether members have been added to muxes
    reweighted: bool = False  #: whether weights have changed
    watch: Watch = Watch()  #: of leaves that are replayed


class Saved:
    """A dict of a state, and where it stands in that state.

    Parameters
    ----------
    values : dict
    place : str
        Where it stands, for errors.
    loading : Loading
        How it is to be loaded; what is below it has the same.

    Raises
    ------
    StateError
        If it is no dict; and from each method, if the value is not what that method gives.

    Examples
    --------
    >>> saved = Saved({"given": 3, "slots": [None, {"index": -1}]})
    >>> saved.count("given")
    3
    >>> saved.each("slots", 2)[1].count("index", most=9)
    Traceback (most recent call last):
        ...
    streamflow.exceptions.StateError: the state is damaged: slots[1].index must be an integer from 0 to 9, got -1
    """

    __slots__ = ("_place", "_values", "loading")

    def __init__(self, values: Any, place: str = "", loading: Loading = Loading()) -> None:  # noqa: B008
        self._values: Mapping[str, Any] = values
        self._place, self.loading = place, loading
        if not isinstance(values, Mapping):
            raise StateError(f"the state is damaged: {place or 'it'} must be a dict, got {short(values)}")

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def wrong(self, name: str, rule: str) -> StateError:
        """The error that says what a value must be."""
        return StateError(f"the state is damaged: {self._at(name)} must be {rule}, got {short(self._values.get(name))}")

    def value(self, name: str) -> Any:
        """Any value."""
        try:
            return self._values[name]
        except KeyError:
            raise StateError(f"the state is damaged: it has no {self._at(name)}") from None

    def count(self, name: str, most: int = LARGEST, least: int = 0) -> int:
        """An integer from `least` to `most`."""
        value = self.value(name)
        if type(value) is not int or not least <= value <= most:
            rule = f"an integer from {least} to {most}" if most < LARGEST else f"an integer, at least {least}"
            raise self.wrong(name, rule)
        return value

    def optional_count(self, name: str, most: int = LARGEST, least: int = 0) -> int | None:
        """None, or an integer from `least` to `most`."""
        return None if self.value(name) is None else self.count(name, most, least)

    def check_redrawn(self, count: int, what: str) -> None:
        """Raise if items have to be made again from a tree that has other members now; warn if it has other weights."""
        if not count:
            return
        if self.loading.grown:
            raise StateError(
                f"{what} has to make {count} items again from where it was noted last, and with other "
                "members they would be others; members can be added only where none has to be made again"
            )
        if self.loading.reweighted:
            warnings.warn(
                f"{what} makes {count} items again from where it was noted last, with other weights than before: some "
                "of them are lost, and others may come twice",
                stacklevel=2,
            )

    def weight(self, name: str) -> float:
        """A finite number that is not negative."""
        value = self.value(name)
        if type(value) not in (int, float) or not 0 <= value < float("inf"):
            raise self.wrong(name, "a finite number that is not negative")
        return float(value)

    def flag(self, name: str) -> bool:
        """True or False."""
        value = self.value(name)
        if type(value) is not bool:
            raise self.wrong(name, "true or false")
        return value

    def text(self, name: str) -> str:
        """Text."""
        value = self.value(name)
        if type(value) is not str:
            raise self.wrong(name, "text")
        return value

    def values(self, name: str, least: int = 0, most: int = LARGEST) -> Sequence[Any]:
        """A list of `least` to `most` values."""
        found = self.value(name)
        if not isinstance(found, (list, tuple)) or not least <= len(found) <= most:
            length = f"{least}" if least == most else f"at most {most}" if not least else f"{least} to {most}"
            raise self.wrong(name, "a list" if most == LARGEST and not least else f"a list of {length} values")
        return found

    def counts(self, name: str, most: int, length: int) -> list[int]:
        """A list of at most `length` integers from 0 to `most`."""
        found = list(self.values(name, most=length))
        if any(type(value) is not int or not 0 <= value <= most for value in found):
            raise self.wrong(name, f"a list of integers from 0 to {most}")
        return found

    def below(self, name: str) -> Saved | None:
        """The dict in a dict, or None."""
        found = self.value(name)
        return None if found is None else Saved(found, self._at(name), self.loading)

    def each(self, name: str, least: int = 0, most: int | None = None) -> list[Saved | None]:
        """The dicts in a list of `least` to `most` (None: exactly `least`); those that are None stay None."""
        found: Iterable[Any] = self.values(name, least, least if most is None else most)
        at, loading = self._at(name), self.loading
        return [None if one is None else Saved(one, f"{at}[{place}]", loading) for place, one in enumerate(found)]

    def dicts(self, name: str, most: int) -> list[Saved]:
        """The dicts in a list of at most `most`."""
        found = [one for one in self.each(name, 0, most) if one is not None]
        if len(found) < len(self.values(name)):
            raise self.wrong(name, "a list of dicts")
        return found

    def _at(self, name: str) -> str:
        return f"{self._place}.{name}" if self._place else name
