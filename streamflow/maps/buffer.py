"""`buffer_stream`: collates samples into batches.

How samples become one batch of their form is in `collate.py`, how values become an array in `stacking.py`.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Generator, Iterator
from itertools import islice
from typing import Any

from ..core.map import trusted_map
from ..core.validate import choice, flag, optional_integer, positive_integer
from .collate import collated
from .stacking import RAGGED, BufferPool

__all__ = ["buffer_stream"]

_log = logging.getLogger("streamflow")


def _check(buffer_size: Any, partial: Any = False, axis: Any = None, ragged: Any = "error") -> None:
    positive_integer("buffer_size", buffer_size)
    flag("partial", partial)
    optional_integer("axis", axis)
    choice("ragged", ragged, RAGGED)


def _length(n: int, buffer_size: int, partial: bool = False, *_: Any, **__: Any) -> int:
    return -(-n // buffer_size) if partial else n // buffer_size


@trusted_map(_check, "stateless", _length)
def buffer_stream(
    stream: Iterator[Any], buffer_size: int, partial: bool = False, axis: int | None = None, ragged: str = "error"
) -> Generator[Any, None, None]:
    """Collate samples into batches.

    Parameters
    ----------
    stream : iterable of samples
        Arrays, numbers or text; or dicts, tuples or named tuples of these, nested as you like.  All samples of a batch
        have the same form.  A list is a value: an array is made of it.
    buffer_size : int
        Samples per batch, at least 1.
    partial : bool
        Whether to yield a last batch that is short.
    axis : int or None
        None stacks along a new first axis; otherwise values are concatenated along this axis.
    ragged : {'error', 'pad', 'crop', 'list'}
        What to do with values of different shapes: raise, pad each axis at the end with zeros to the longest, crop each
        axis to the shortest, or return plain lists (for all values).

    Yields
    ------
    batch
        In the form of the samples, with an array for each value.  Fresh arrays, with dtypes promoted as by
        `numpy.stack`.

    Raises
    ------
    DataError
        If a sample has another form than the first of its batch (other keys, say) or is None, or if values cannot be
        stacked.

    Notes
    -----
    A stream with fewer samples than one batch yields nothing unless `partial` is set; this is logged once as a warning.

    Examples
    --------
    >>> samples = [{"x": [1, 2], "y": 0}, {"x": [3, 4], "y": 1}, {"x": [5, 6], "y": 2}]
    >>> for batch in buffer_stream(samples, 2, partial=True):
    ...     print(batch["x"].tolist(), batch["y"])
    [[1, 2], [3, 4]] [0 1]
    [[5, 6]] [2]
    >>> next(buffer_stream([(0.5, {"y": 1}), (1.5, {"y": 2})], 2))
    (array([0.5, 1.5]), {'y': array([1, 2])})
    """
    pool, is_first = BufferPool(), True

    def following() -> list[Any]:
        """The next batch in a list; an empty list at the end."""
        samples = list(islice(stream, buffer_size))
        if len(samples) == buffer_size or (partial and samples):
            return [collated(samples, axis, ragged, pool)]
        if samples and is_first:
            _log_dropped(buffer_size)
        return []

    while batch := following():
        is_first = False
        yield batch.pop()  # out of a list, so that this frame does not keep it alive while it waits


@functools.cache
def _log_dropped(buffer_size: int) -> None:
    """Log, once per process and size, why there is no batch.

    It is no Python warning, because a stream that is resumed after its last full batch comes here too.
    """
    _log.warning(
        "a stream ended with fewer samples than a batch of %d, and buffer_stream dropped them; partial=True keeps them",
        buffer_size,
    )
