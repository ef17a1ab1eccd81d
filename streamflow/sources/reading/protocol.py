"""`Readable`: what batches and streams need of a source."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ...samplers import Sampler
from ...seeding import Key
from .order import PassOrder
from .randomness import Draws

__all__ = ["Readable"]


class Readable(Protocol):
    """Random-access data; `ReadableBase` describes each method."""

    def __len__(self) -> int: ...

    def sample(self, index: int) -> Any:
        """One sample."""

    def fetch(self, indices: NDArray[np.intp]) -> Any:
        """Many samples at once, in the form of a sample."""

    def prefetch(self, indices: NDArray[np.intp]) -> None:
        """Ask the operating system for samples that will be read soon."""

    def _base_indices(self, indices: NDArray[np.intp]) -> NDArray[np.intp]: ...

    def _origin(self, index: Any) -> str: ...

    def _opened(self) -> Readable: ...

    def _pass_order(
        self, sampler: Sampler, key: Key, epochs: int | None, part: tuple[int, int], batch_size: int | None
    ) -> PassOrder: ...

    def _random_maps(self) -> int: ...

    def _bound(self, indices: NDArray[np.intp], draws: Draws) -> Readable: ...

    def _label(self) -> str: ...

    def fingerprint(self) -> str:
        """What makes two sources the same for a state."""
