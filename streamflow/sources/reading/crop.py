"""`random_crop`: a stretch of an axis, at a random place."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core.validate import is_integer, require
from ...exceptions import DataError
from ...seeding import check_random_state
from ...util import get_rng
from .randomness import number

__all__ = ["RandomCrop", "random_crop"]


class RandomCrop:
    """A stretch of an axis at a random place; see `random_crop`, which makes it."""

    __slots__ = ("_rng", "length", "start", "stop")

    def __init__(self, length: int, start: int | None, stop: int | None, random_state: Any) -> None:
        whole = is_integer(length)
        require(whole and length >= 1, "length", "an integer from 1 on", length)
        for name, value in (("start", start), ("stop", stop)):
            require(value is None or is_integer(value), name, "None or an integer", value)
        check_random_state(random_state)
        self.length, self.start, self.stop = int(length), start, stop
        self._rng = None if random_state is None else get_rng(random_state)

    def draw(self) -> float:
        """A number in [0, 1): that of the stream which reads; by hand from its own random state, or the global one."""
        drawn = number()
        return float((np.random if self._rng is None else self._rng).random()) if drawn is None else drawn

    def within(self, size: int, u: float | None = None) -> slice:
        """The stretch of an axis of this size that a number in [0, 1) chooses (None: drawn now).

        >>> random_crop(2).within(6, 0.0), random_crop(2).within(6, 0.99)
        (slice(0, 2, None), slice(4, 6, None))
        """
        first, end, _ = slice(self.start, self.stop).indices(size)
        places = end - first - self.length + 1
        if places < 1:
            raise DataError(f"{self!r} does not fit into an axis of length {size}")
        first += int((self.draw() if u is None else u) * places)
        return slice(first, first + self.length)

    def __repr__(self) -> str:
        bounds = "".join(
            f", {name}={getattr(self, name)}" for name in ("start", "stop") if getattr(self, name) is not None
        )
        return f"random_crop({self.length}{bounds})"


def random_crop(length: int, start: int | None = None, stop: int | None = None, random_state: Any = None) -> RandomCrop:
    """A stretch of `length` at a random place, each place where it fits being as likely.

    Parameters
    ----------
    length : int
        How long the stretch is; the axis stays, also for 1.
    start, stop : int, optional
        Bounds of the whole stretch, as those of a slice.
    random_state : None, int, Generator or RandomState
        Where places are drawn from when it is used by hand; None takes NumPy's global state.  While a stream over a
        source reads, a place depends on the stream's seed, the epoch and the position of the sample instead.

    Notes
    -----
    In views and functions, the crops of one sample are drawn apart, in the order in which they are read: two columns
    are cropped at different places, and with other `keys` each may be at another.  As the `crop` of a batch it draws
    once for a sample: columns of one length are cropped at the same place, others at the same fraction of theirs, and
    `keys` matter only if the sample itself draws.  What a function draws in threads of its own is drawn by hand.

    Examples
    --------
    >>> from streamflow.sources import ArraySource, random_crop
    >>> tracks = ArraySource({"x": [np.arange(5), np.arange(9)]})
    >>> tracks.read([0, 1], ragged="crop", crop=random_crop(3))["x"].shape
    (2, 3)
    >>> twins = ArraySource({"x": [np.arange(50)], "y": [np.arange(50)]})
    >>> batch = twins.read([0], ragged="crop", crop=random_crop(3))
    >>> bool((batch["x"] == batch["y"]).all())
    True
    """
    return RandomCrop(length, start, stop, random_state)
