"""`Ragged`: how samples of different shapes become a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...core.validate import require
from ...exceptions import DataError
from ...maps.stacking import RAGGED, Recycled, stacked
from .crop import RandomCrop
from .form import each, transposed
from .randomness import each_alone, for_its_form

if TYPE_CHECKING:
    from ..base import Source

__all__ = ["Ragged"]


class Ragged:
    """What becomes of values of different shapes; the parameters are those of `Source.read`."""

    __slots__ = ("crop", "fill", "rule")

    def __init__(self, ragged: str = "error", fill: Any = 0, crop: RandomCrop | None = None) -> None:
        require(
            isinstance(ragged, str) and ragged in RAGGED, "ragged", f"one of {', '.join(map(repr, RAGGED))}", ragged
        )
        require(np.ndim(fill) == 0 and np.asarray(fill).dtype.kind in "biufcmM", "fill", "a number", fill)
        require(crop is None or isinstance(crop, RandomCrop), "crop", "None or a random_crop", crop)
        require(crop is None or ragged == "crop", "crop", "None unless ragged='crop'", crop)
        self.rule, self.fill, self.crop = ragged, fill, crop

    def read(self, source: Source, indices: NDArray[np.intp], memory: Recycled | None = None) -> Any:
        """The batch of these samples.

        Parameters
        ----------
        source : Source
        indices : (n,) array of int
        memory : Recycled, optional
            Where large arrays may come from.
        """
        if not indices.size and len(source):  # no rows, with the dtypes and shapes that one has
            with for_its_form():
                first = Ragged(fill=self.fill).read(source, np.zeros(1, np.intp))
            return each(lambda column, name: column[:0], first)
        if self.crop is not None and indices.size:
            crop, places = self.crop, list[float]()

            def one(index: int) -> Any:  # of each sample only the stretch is read
                sample = source.sample(index)
                places.append(crop.draw())
                return sample

            values = transposed(each_alone(one, indices.tolist()))
            return each(lambda column, name: self._cropped(column, name, places, memory), values)
        data = source.fetch(indices)

        def finished(column: Any, name: str) -> Any:
            try:
                return self._finished(column, name, memory)
            except DataError as error:
                shapes = [getattr(value, "shape", None) for value in column]
                odd = next((place for place, shape in enumerate(shapes) if shape != shapes[0]), 0)
                first, other = (source._whence(indices[place]) for place in (0, odd))
                if first == other:
                    raise
                raise DataError(f"{error}; the first that differ are of {first} and {other}") from error

        return each(finished, data)

    def _finished(self, column: Any, name: str, memory: Recycled | None) -> Any:
        """A column of a batch from what `fetch` gave."""
        if not isinstance(column, list):
            return list(column) if self.rule == "list" else column
        if self.rule == "list":
            return _fresh(column)
        return stacked(column, name, None, self.rule, self.fill, memory) if column else np.empty(0)

    def _cropped(self, values: list[Any], name: str, places: list[float], memory: Recycled | None) -> Any:
        assert self.crop is not None
        values = [
            value[self.crop.within(len(value), u)] if np.ndim(value) else value
            for value, u in zip(values, places, strict=True)
        ]
        return stacked(values, name, None, "crop", self.fill, memory)

    def __repr__(self) -> str:
        told = "" if self.rule == "error" else f"ragged={self.rule!r}"
        if self.rule == "pad" and self.fill:
            told += f", fill={self.fill!r}"
        return told if self.crop is None else f"{told}, crop={self.crop!r}"


def _fresh(value: Any) -> Any:
    """A value that can be written into without a change of what it was read from."""
    if isinstance(value, list):
        return [_fresh(one) for one in value]
    return np.array(value, subok=isinstance(value, np.ma.MaskedArray)) if isinstance(value, np.ndarray) else value
