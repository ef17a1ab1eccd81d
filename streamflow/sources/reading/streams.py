"""`Batches` and `Samples`: what `Source.batches` and `Source.samples` give.

Their live nodes know how many draws have been read; that is their whole state.  Before a batch is read, the system has
been asked for the one after it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...core import Streamer
from ...core.call import Shards, merged
from ...core.fingerprint import Fingerprint, digest_of
from ...core.node import Node, Ticks
from ...core.validate import flag, is_integer, require
from ...exceptions import StateError
from ...maps.stacking import Recycled
from ...samplers import Sampler
from ...seeding import Key
from .draws import checked_epochs
from .form import with_index
from .randomness import Chance, Reading, alone

if TYPE_CHECKING:
    from ..base import Source
    from .batching import Ragged

__all__ = ["Batches", "Samples"]

_FIRST, _MOST = 4, 32  #: samples that the system is asked for at once


class _InOrder(Streamer):
    """A stream over a source in the order of a sampler."""

    source: Source
    batch_size: int | None = None

    def __init__(self, source: Source, sampler: Sampler, random_state: Any, epochs: Any, with_indices: bool) -> None:
        super().__init__(source)
        self._set_seed(random_state)
        flag("with_indices", with_indices)
        self.sampler, self.epochs, self.with_indices = sampler, checked_epochs(epochs), bool(with_indices)

    def _settings(self) -> str:
        """What makes two streams over one source differ, for `repr` and states."""
        told = f"{self.sampler._label()}, epochs={self.epochs}"
        return f"{told}, with_indices=True" if self.with_indices else told

    def _draws_random(self) -> bool:
        return (self.sampler.random and self.sampler._root is None) or bool(self.source._draws_random())

    def fingerprint(self) -> Fingerprint:
        text = f"{type(self).__name__}({type(self.source).__name__}, {self._settings()})"
        root = self.sampler._root
        if root is not None:
            text = f"{text} sampled {digest_of([root.prefix, str(root.entropy)])[:8]}"
        weights = getattr(self.sampler, "weights", None)
        told = "" if weights is None else digest_of([weights.tobytes()])
        return self._marked(Fingerprint(text, told, self._draws_random()))

    def _label(self) -> str:
        return f"{self.source._label()}.{type(self).__name__.lower()}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.source!r}, {self._settings()})"


class Batches(_InOrder):
    """A stream of batches; made by `Source.batches`."""

    batch_size: int

    def __init__(
        self,
        source: Source,
        sampler: Sampler,
        random_state: Any,
        epochs: Any,
        with_indices: bool,
        batch_size: Any,
        partial: Any,
        across_epochs: Any,
        ragged: Ragged,
    ) -> None:
        super().__init__(source, sampler, random_state, epochs, with_indices)
        whole = is_integer(batch_size)
        require(whole and batch_size >= 1, "batch_size", "an integer from 1 on", batch_size)
        flag("partial", partial)
        flag("across_epochs", across_epochs)
        self.batch_size, self.partial = int(batch_size), bool(partial)
        self.across_epochs = bool(across_epochs) or sampler.replacement
        self.ragged = ragged

    def _settings(self) -> str:
        told = f"{self.batch_size}, {super()._settings()}"
        for name, normal in (("partial", True), ("across_epochs", self.sampler.replacement)):
            if getattr(self, name) != normal:
                told += f", {name}={not normal}"
        how = repr(self.ragged)
        return f"{told}, {how}" if how else told

    def _draws_random(self) -> bool:
        return super()._draws_random() or self.ragged.crop is not None

    def _node(self, key: Key, shards: Shards) -> Node:
        return _BatchNode(self, key, shards)


class Samples(_InOrder):
    """A stream of samples; made by `Source.samples`."""

    def _node(self, key: Key, shards: Shards) -> Node:
        return _SampleNode(self, key, shards)


class _DrawNode(Node):
    """A live stream in the order of a sampler."""

    __slots__ = ("_length", "_made", "_may_draw", "draws", "items", "source", "spec")
    _made: Generator[Any, None, None]

    def __init__(self, spec: _InOrder, key: Key, shards: Shards) -> None:
        self.spec = spec
        self.source: Source | None = spec.source._opened()
        self._length = len(self.source)
        #: Whether reading may draw: to say each time whose numbers are drawn costs more than to read a row.
        self._may_draw = self.source._draws_random() is not False
        self.draws = self.source._draws(spec.sampler, key, spec.epochs, merged(shards), spec.batch_size)
        self.items = self._begin()

    @abstractmethod
    def _begin(self) -> Iterator[Any]:
        """The items from here on."""

    def _reading(self, first: int, end: int) -> AbstractContextManager[Any]:
        """The block in which these draws are read, or the system is asked for what they will read."""
        return Reading(Chance(self.draws, first, end)) if self._may_draw else nullcontext()

    @abstractmethod
    def _drawn(self) -> int:
        """How many draws have been delivered."""

    @abstractmethod
    def _go_to(self, given: int, drawn: int) -> None:
        """Stand behind this many items, made of this many draws."""

    def state(self, failed: bool = False) -> Any:
        return [self.spec._label(), self._length, self._drawn()]

    def restore(self, state: Any, given: int, verify: bool) -> None:
        if state is None:
            return
        words, length, drawn = state
        if words != self.spec._label():
            raise StateError(f"was {words}, is now {self.spec._label()}")
        if length != self._length:
            raise StateError(f"{words} had {length} samples, has {self._length} now")
        self._made.close()
        self._go_to(given, drawn)
        self.items = self._begin()

    def where(self) -> list[str]:
        return [self.spec._label()]

    def close(self) -> None:
        self._made.close()  # its frame holds this node, and so what has been opened for this stream alone
        self.source = None


class _Span(NamedTuple):
    """The draws of a batch, from `first` to before `end`, and what they read."""

    first: int
    end: int
    indices: NDArray[np.intp]


class _BatchNode(_DrawNode):
    """Live batches."""

    __slots__ = ("_at", "_given", "_memory")
    spec: Batches

    def __init__(self, spec: Batches, key: Key, shards: Shards) -> None:
        self._given = self._at = 0
        self._memory = Recycled()
        super().__init__(spec, key, shards)
        self._may_draw = self._may_draw or spec.ragged.crop is not None

    def _begin(self) -> Iterator[Any]:
        self._made = self._batches()
        return self._made

    def _batches(self) -> Generator[Any, None, None]:
        this = self._asked_for(self._at)
        while this is not None:
            following = self._asked_for(this.end)
            batch = [self._read(this)]  # a bare name would hold it while this waits
            self._given, self._at = self._given + 1, this.end
            this = following
            yield batch.pop()

    def _asked_for(self, draw: int) -> _Span | None:
        """The next batch from a draw on, for which the system has been asked; None at the end."""
        draws = self._following(draw)
        if draws is None:
            return None
        assert self.source is not None
        span = _Span(*draws, self.draws.indices(*draws))
        if self.spec.ragged.crop is None:  # of what will be cropped most is not needed
            with self._reading(span.first, span.end):
                self.source.will_need(span.indices)
        return span

    def _following(self, draw: int) -> tuple[int, int] | None:
        """The draws of the next batch from a draw on: the first, and that after the last; None at the end."""
        spec, draws = self.spec, self.draws
        total = draws.total
        while total is None or draw < total:
            end = draw + spec.batch_size
            border = draws.border(draw, spec.across_epochs)
            if border is None or end <= border:
                return draw, end
            if spec.partial:
                return draw, border
            if spec.batch_size > draws.longest:  # there is no full batch
                return None
            draw = border
        return None

    def _read(self, span: _Span) -> Any:
        spec, source = self.spec, self.source
        assert source is not None
        with self._reading(span.first, span.end):
            batch = spec.ragged.read(source, span.indices, self._memory)
        return with_index(batch, source._origins(span.indices)) if spec.with_indices else batch

    def given(self, failed: bool = False) -> int:
        return self._given

    def _drawn(self) -> int:
        return self._at

    def _go_to(self, given: int, drawn: int) -> None:
        self._given, self._at = given, drawn

    def progress(self) -> tuple[int, int] | None:
        spec = self.spec
        return self.draws.last_batch(self._at, spec.batch_size, spec.partial, spec.across_epochs) if self._at else None


class _SampleNode(_DrawNode):
    """Live samples."""

    __slots__ = ("_ticks",)
    spec: Samples

    def __init__(self, spec: Samples, key: Key, shards: Shards) -> None:
        self._ticks = Ticks(iter(()))
        super().__init__(spec, key, shards)

    def _begin(self) -> Iterator[Any]:
        given = self._ticks.given()
        self._made = self._samples(given)
        self._ticks = Ticks(self._made, given)
        return self._ticks.items

    def _samples(self, draw: int) -> Generator[Any, None, None]:
        source, draws, length = self.source, self.draws, _FIRST
        assert source is not None
        while draws.total is None or draw < draws.total:
            end = draw + length if draws.total is None else min(draw + length, draws.total)
            indices = draws.indices(draw, end)
            with self._reading(draw, end):
                source.will_need(indices)
            samples = map(source.sample, indices.tolist())
            if self._may_draw:
                samples = map(alone(source.sample, Chance(draws, draw, end)), range(end - draw), indices.tolist())
            if self.spec.with_indices:
                samples = map(with_index, samples, source._origins(indices).tolist())
            yield from samples
            draw, length = end, min(2 * length, _MOST)

    def given(self, failed: bool = False) -> int:
        return self._ticks.given()

    def _drawn(self) -> int:
        return self._ticks.given()

    def _go_to(self, given: int, drawn: int) -> None:
        self._ticks = Ticks(iter(()), given)

    def progress(self) -> tuple[int, int] | None:
        last = self._ticks.given() - 1
        return None if last < 0 else (self.draws.epoch_of(last), last - self.draws.epoch_span(last)[0] + 1)
