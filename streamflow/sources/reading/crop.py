"""`random_crop`: a stretch of an axis, at a random position."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core.validate import optional_integer, positive_integer
from ...exceptions import DataError
from ...seeding import check_random_state
from ...util import get_rng

__all__ = ["RandomCrop", "random_crop"]


class RandomCrop:
    """A stretch of an axis at a random position; made by `random_crop`."""

    __slots__ = ("_rng", "length", "start", "stop")

    def __init__(self, length: int, start: int | None, stop: int | None, random_state: Any) -> None:
        self.length = positive_integer("length", length)
        self.start, self.stop = optional_integer("start", start), optional_integer("stop", stop)
        check_random_state(random_state)
        self._rng = None if random_state is None else get_rng(random_state)

    def within(self, size: int, rng: np.random.Generator | None = None) -> slice:
        """A random stretch of an axis.

        Parameters
        ----------
        size : int
            The length of the axis.
        rng : numpy.random.Generator, optional
            Where the position is drawn from: in a mapped function its `rng`, so that a stream repeats it.  None: the
            crop's `random_state`, or NumPy's global state.

        Returns
        -------
        slice

        Raises
        ------
        DataError
            If the crop does not fit.

        Examples
        --------
        >>> from streamflow.sources import ArraySource, random_crop
        >>> crop = random_crop(3)
        >>> def cropped(sample, rng):
        ...     track = sample["x"]
        ...     return track[crop.within(len(track), rng)]
        >>> tracks = ArraySource({"x": [np.arange(5), np.arange(9)]})
        >>> [batch.shape for batch in tracks.map(cropped).batches(2, random_state=0)]
        [(2, 3)]
        """
        return self.stretch(size, self.draw() if rng is None else rng.random())

    def draw(self) -> float:
        """A random number in [0, 1) from the crop's `random_state`, or from NumPy's global state."""
        return float((np.random if self._rng is None else self._rng).random())

    def stretch(self, size: int, u: float) -> slice:
        """The stretch of an axis of this size that a number in [0, 1) selects.

        >>> random_crop(2).stretch(6, 0.0), random_crop(2).stretch(6, 0.99)
        (slice(0, 2, None), slice(4, 6, None))
        """
        first, end, _ = slice(self.start, self.stop).indices(size)
        places = end - first - self.length + 1
        if places < 1:
            raise DataError(f"{self!r} does not fit into an axis of length {size}")
        first += int(u * places)
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
        the crop of a batch and one inside an index depend on the stream's seed, the epoch and the position of the
        sample instead.

    Returns
    -------
    RandomCrop
        For `Source.read` and `Source.batches` (``crop=``), as an index inside the entries of a `MemmapStore`, and for
        functions of your own (`RandomCrop.within`).

    Raises
    ------
    DataError
        When a sample is read that is too short for the crop.

    Notes
    -----
    Each crop inside an index is drawn separately, so two columns are cropped at different positions.  As the `crop` of
    a batch it draws once per sample: columns of one length are cropped at the same position, others at the same
    fraction of their length.  Neither depends on `keys`.  A function of your own draws as outside of streams, unless it
    asks for a parameter ``rng`` (see `Source.map`) and hands it on: ``crop.within(size, rng)``.

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
