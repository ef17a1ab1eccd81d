"""`buffer_stream`: collates samples into batches.

How values become an array is in `stacking.py`.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Generator, Iterator
from itertools import islice, repeat
from typing import Any

from ..core.label import short
from ..core.map import trusted_map
from ..core.validate import choice, flag, optional_integer, positive_integer
from ..exceptions import DataError
from .stacking import RAGGED, BufferPool, stacked

__all__ = ["buffer_stream"]

_log = logging.getLogger("streamflow")


def _check(buffer_size: Any, partial: Any = False, axis: Any = None, ragged: Any = "error") -> None:
    positive_integer("buffer_size", buffer_size)
    flag("partial", partial)
    optional_integer("axis", axis)
    choice("ragged", ragged, RAGGED)


@trusted_map(_check, "stateless")
def buffer_stream(
    stream: Iterator[Any], buffer_size: int, partial: bool = False, axis: int | None = None, ragged: str = "error"
) -> Generator[Any, None, None]:
    """Collate samples into batches.

    Parameters
    ----------
    stream : iterable of dicts of arrays
        The samples.  Values are arrays, numbers, text or dicts of these; all samples of a batch have the same keys.
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
    dict of arrays
        Fresh arrays, with dtypes promoted as by `numpy.stack`.

    Raises
    ------
    DataError
        If a sample is not a dict or has other keys than the first of its batch, or if values cannot be stacked.

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
    """
    pool, is_first = BufferPool(), True

    def following() -> list[dict[Any, Any]]:
        """The next batch in a list; an empty list at the end."""
        samples = list(islice(stream, buffer_size))
        if len(samples) == buffer_size or (partial and samples):
            return [_collated(samples, axis, ragged, pool)]
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


def _collated(samples: list[Any], axis: int | None, ragged: str, pool: BufferPool) -> dict[Any, Any]:
    first = samples[0]
    if not isinstance(first, dict):
        raise DataError(f"samples must be dicts of arrays, got {short(first)}")
    keys = first.keys()
    try:
        alike = sum(map(len, samples)) == len(samples) * len(first)  # together with the next line: the same keys
        columns = {key: list(map(dict.__getitem__, samples, repeat(key))) for key in keys}
    except (KeyError, TypeError):
        alike = False
    if not alike:
        _check_alike(samples)
    return {key: _joined(column, key, axis, ragged, pool) for key, column in columns.items()}


def _check_alike(samples: list[Any]) -> None:
    keys = samples[0].keys()
    for sample in samples:
        if not isinstance(sample, dict):
            raise DataError(f"samples must be dicts of arrays, got {short(sample)}")
        if sample.keys() != keys:
            odd = sorted(map(repr, keys ^ sample.keys()))
            raise DataError(f"the samples of a batch must have the same keys; only some have {', '.join(odd[:20])}")


def _joined(values: list[Any], key: Any, axis: int | None, ragged: str, pool: BufferPool) -> Any:
    """One column of a batch."""
    if isinstance(values[0], dict):
        return _collated(values, axis, ragged, pool)
    return stacked(values, repr(key), axis, ragged, pool=pool)
