"""`Collator`: makes a batch of samples, also where values have different shapes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.validate import choice, require
from ...exceptions import DataError
from ...maps.stacking import RAGGED, BufferPool, stacked
from .crop import RandomCrop
from .form import each, transposed
from .protocol import Readable
from .randomness import PROBE

__all__ = ["Collator"]


class Collator:
    """Reads samples and stacks them; the parameters are those of `Source.read`."""

    __slots__ = ("crop", "fill", "ragged")

    def __init__(self, ragged: str = "error", fill: Any = 0, crop: RandomCrop | None = None) -> None:
        self.ragged = choice("ragged", ragged, RAGGED)
        require(np.ndim(fill) == 0 and np.asarray(fill).dtype.kind in "biufcmM", "fill", "a number", fill)
        require(crop is None or isinstance(crop, RandomCrop), "crop", "None or a random_crop", crop)
        require(crop is None or ragged == "crop", "crop", "None unless ragged='crop'", crop)
        self.fill, self.crop = fill, crop

    def read(
        self,
        source: Readable,
        indices: NDArray[np.intp],
        pool: BufferPool | None = None,
        uniforms: list[float] | None = None,
    ) -> Any:
        """The batch of these samples.

        Parameters
        ----------
        source : Readable
        indices : (n,) array of int
        pool : BufferPool, optional
            Where memory for large arrays may come from.
        uniforms : (n,) list of float, optional
            Where each sample is cropped, from 0 to 1; None: drawn by the crop itself.
        """
        if not indices.size and len(source):  # no rows, with the dtypes and shapes that one row has
            one = np.zeros(1, np.intp)
            first = Collator(fill=self.fill).read(source._bound(one, PROBE), one)
            return each(lambda column, name: column[:0], first)
        if self.crop is not None and indices.size:
            uniforms = uniforms or [self.crop.draw() for _ in range(len(indices))]
            return self._read_cropped(self.crop, source, indices, pool, uniforms)
        data = source.fetch(indices)

        def finished(column: Any, name: str) -> Any:
            try:
                return self._finished(column, name, pool)
            except DataError as error:
                shapes = [getattr(value, "shape", None) for value in column]
                odd = next((place for place, shape in enumerate(shapes) if shape != shapes[0]), 0)
                first, other = (source._origin(indices[place]) for place in (0, odd))
                if first == other:
                    raise
                raise DataError(f"{error}; the first that differ come from {first} and {other}") from error

        return each(finished, data)

    def _finished(self, column: Any, name: str, pool: BufferPool | None) -> Any:
        """A column of a batch, made of what `fetch` gave."""
        if not isinstance(column, list):
            return list(column) if self.ragged == "list" else column
        if self.ragged == "list":
            return _fresh(column)
        return stacked(column, name, None, self.ragged, self.fill, pool) if column else np.empty(0)

    def _read_cropped(
        self,
        crop: RandomCrop,
        source: Readable,
        indices: NDArray[np.intp],
        pool: BufferPool | None,
        uniforms: list[float],
    ) -> Any:
        """The batch of a random stretch of each sample; nothing else of a sample is read."""

        def cropped(values: list[Any], name: str) -> Any:
            values = [
                value[crop.stretch(len(value), u)] if np.ndim(value) else value
                for value, u in zip(values, uniforms, strict=True)
            ]
            return stacked(values, name, None, "crop", self.fill, pool)

        return each(cropped, transposed([source.sample(index) for index in indices.tolist()]))

    def __repr__(self) -> str:
        text = "" if self.ragged == "error" else f"ragged={self.ragged!r}"
        if self.ragged == "pad" and self.fill:
            text += f", fill={self.fill!r}"
        return text if self.crop is None else f"{text}, crop={self.crop!r}"


def _fresh(value: Any) -> Any:
    """A copy of a value, which can be changed without changing the source."""
    if isinstance(value, list):
        return [_fresh(one) for one in value]
    return np.array(value, subok=isinstance(value, np.ma.MaskedArray)) if isinstance(value, np.ndarray) else value
