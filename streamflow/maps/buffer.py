"""`buffer_stream`: samples to batches.

How values become an array is in `stacking.py`.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from itertools import islice, repeat
from typing import Any

from ..core import stream_map
from ..core.label import short
from ..core.validate import is_integer, require
from ..exceptions import DataError
from .stacking import RAGGED, Recycled, stacked

__all__ = ["buffer_stream"]


def _check(buffer_size: Any, partial: Any = False, axis: Any = None, ragged: Any = "error") -> None:
    require(is_integer(buffer_size) and buffer_size >= 1, "buffer_size", "an integer from 1 on", buffer_size)
    require(axis is None or is_integer(axis), "axis", "None or an integer", axis)
    require(isinstance(ragged, str) and ragged in RAGGED, "ragged", f"one of {', '.join(map(repr, RAGGED))}", ragged)


@stream_map(_check)
def buffer_stream(
    stream: Iterator[Any], buffer_size: int, partial: bool = False, axis: int | None = None, ragged: str = "error"
) -> Generator[Any, None, None]:
    """Collate samples into batches.

    Parameters
    ----------
    stream : iterable of dicts of arrays
        The samples.  Values may be arrays, numbers, text or dicts of such; all samples of a batch have the same keys.
    buffer_size : int
        Number of samples in a batch, at least 1.
    partial : bool
        Whether a short last batch is given.
    axis : int or None
        None stacks along a new first axis; otherwise values are concatenated along this one.
    ragged : {'error', 'pad', 'crop', 'list'}
        What becomes of values of different shapes: an error, zeros at the end of each axis up to the longest, the heads
        as long as the shortest, or (for all values) plain lists.

    Yields
    ------
    dict of arrays
        Fresh ones, with dtypes as `numpy.stack` promotes them.

    Raises
    ------
    DataError
        If a sample is not a dict or has other keys than the first of its batch, or if values cannot be joined.

    Examples
    --------
    >>> samples = [{"x": [1, 2], "y": 0}, {"x": [3, 4], "y": 1}, {"x": [5, 6], "y": 2}]
    >>> for batch in buffer_stream(samples, 2, partial=True):
    ...     print(batch["x"].tolist(), batch["y"])
    [[1, 2], [3, 4]] [0 1]
    [[5, 6]] [2]
    """
    memory = Recycled()

    def following() -> list[dict[Any, Any]]:
        """The next batch in a list, which is empty at the end."""
        samples = list(islice(stream, buffer_size))
        wanted = len(samples) == buffer_size or (partial and samples)
        return [_collated(samples, axis, ragged, memory)] if wanted else []

    while batch := following():
        yield batch.pop()  # a name would hold it while this waits


def _collated(samples: list[Any], axis: int | None, ragged: str, memory: Recycled) -> dict[Any, Any]:
    first = samples[0]
    if not isinstance(first, dict):
        raise DataError(f"samples must be dicts of arrays, got {short(first)}")
    keys = first.keys()
    try:
        alike = sum(map(len, samples)) == len(samples) * len(first)  # with the next line: none has other keys
        columns = {key: list(map(dict.__getitem__, samples, repeat(key))) for key in keys}
    except (KeyError, TypeError):
        alike = False
    if not alike:
        _check_alike(samples)
    return {key: _joined(column, key, axis, ragged, memory) for key, column in columns.items()}


def _check_alike(samples: list[Any]) -> None:
    keys = samples[0].keys()
    for sample in samples:
        if not isinstance(sample, dict):
            raise DataError(f"samples must be dicts of arrays, got {short(sample)}")
        if sample.keys() != keys:
            odd = sorted(map(repr, keys ^ sample.keys()))
            raise DataError(f"the samples of a batch must have the same keys; only some have {', '.join(odd[:20])}")


def _joined(values: list[Any], key: Any, axis: int | None, ragged: str, memory: Recycled) -> Any:
    """One column of a batch."""
    if isinstance(values[0], dict):
        return _collated(values, axis, ragged, memory)
    return stacked(values, repr(key), axis, ragged, memory=memory)
