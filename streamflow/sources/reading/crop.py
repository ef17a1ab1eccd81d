"""`random_crop`: a stretch of an axis, at a random position."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core.validate import optional_integer, positive_integer
from ...exceptions import DataError
from ...seeding import check_random_state
from ...util import get_rng
from .randomness import next_number

__all__ = ["RandomCrop", "random_crop"]


class RandomCrop:
    """A stretch of an axis at a random position; made by `random_crop`."""

    __slots__ = ("_rng", "length", "start", "stop")

    def __init__(self, length: int, start: int | None, stop: int | None, random_state: Any) -> None:
        self.length = positive_integer("length", length)
        self.start, self.stop = optional_integer("start", start), optional_integer("stop", stop)
        check_random_state(random_state)
        self._rng = None if random_state is None else get_rng(random_state)

    def draw(self) -> float:
        """A random number in [0, 1), from the stream that is reading if there is one."""
        drawn = next_number()
        return float((np.random if self._rng is None else self._rng).random()) if drawn is None else drawn

    def within(self, size: int, u: float | None = None) -> slice:
        """The stretch of an axis of this size that a number in [0, 1) selects (None: drawn now).

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
    """Crop `length` elements at a random position; every position where they fit is equally likely.

    Parameters
    ----------
    length : int
        Length of the crop; the axis is kept, also for 1.
    start, stop : int, optional
        Bounds within which the crop lies, as in a slice.  None: the ends of the axis.
    random_state : None, int, Generator or RandomState
        Where positions are drawn from outside of streams; None uses NumPy's global state.  In a stream over a source
        the position depends on the stream's seed, the epoch and the position of the sample instead.

    Returns
    -------
    RandomCrop
        For `Source.read` and `Source.batches` (``crop=``), and as an index inside the entries of a `MemmapStore`.

    Raises
    ------
    DataError
        When a sample is read that is too short for the crop.

    Notes
    -----
    In views and functions, each crop of a sample is drawn separately, in the order in which they are read: two columns
    are cropped at different positions, and a different choice of `keys` may change them.  As the `crop` of a batch it
    draws once per sample: columns of one length are cropped at the same position, others at the same fraction of their
    length, and `keys` matter only if the sample itself draws.  In threads that your own function starts it draws
    as outside of streams.

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
