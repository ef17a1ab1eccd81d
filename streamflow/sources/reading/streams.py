"""`Batches` and `Samples`: what `Source.batches` and `Source.samples` give.

The state of a live stream is the number of draws that have been read.  Before it reads a batch, it asks the operating
system for the next one.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Generator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...core import Streamer
from ...core.call import Shards, merged
from ...core.fingerprint import Fingerprint, digest_of
from ...core.node import Node, Ticks
from ...core.validate import flag, optional_positive_integer, positive_integer
from ...exceptions import StateError
from ...maps.stacking import BufferPool
from ...samplers import Sampler
from ...seeding import Key
from .batching import Collator
from .form import with_index
from .protocol import Readable

__all__ = ["Batches", "Samples"]

_FIRST, _MOST = 4, 32  #: how many samples are prefetched together, at first and at most


class _SourceStream(Streamer):
    """A stream over a source in the order of a sampler."""

    source: Readable
    batch_size: int | None = None

    def __init__(self, source: Readable, sampler: Sampler, random_state: Any, epochs: Any, with_indices: bool) -> None:
        super().__init__(source)
        self._set_seed(random_state)
        self.sampler, self.epochs = sampler, optional_positive_integer("epochs", epochs)
        self.with_indices = flag("with_indices", with_indices)

    def _settings(self) -> str:
        """The settings that distinguish two streams over the same source, for `repr` and states."""
        text = f"{self.sampler._label()}, epochs={self.epochs}"
        return f"{text}, with_indices=True" if self.with_indices else text

    def _draws_random(self) -> bool:
        return (self.sampler.random and self.sampler._root is None) or self.source._random_maps() > 0

    def fingerprint(self) -> Fingerprint:
        text = f"{type(self).__name__}({type(self.source).__name__}, {self._settings()})"
        root = self.sampler._root
        if root is not None:
            text = f"{text} sampled {digest_of([root.prefix, str(root.entropy)])[:8]}"
        weights = getattr(self.sampler, "weights", None)
        digest = digest_of([weights.tobytes()]) if isinstance(weights, np.ndarray) else ""
        return self._marked(Fingerprint(text, digest, self._draws_random()))

    def _label(self) -> str:
        return f"{self.source._label()}.{type(self).__name__.lower()}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.source!r}, {self._settings()})"


class Batches(_SourceStream):
    """A stream of batches; made by `Source.batches`."""

    batch_size: int

    def __init__(
        self,
        source: Readable,
        sampler: Sampler,
        random_state: Any,
        epochs: Any,
        with_indices: bool,
        *,
        batch_size: Any,
        drop_last: Any,
        across_epochs: Any,
        collator: Collator,
    ) -> None:
        super().__init__(source, sampler, random_state, epochs, with_indices)
        self.batch_size = positive_integer("batch_size", batch_size)
        self.drop_last = flag("drop_last", drop_last)
        self.across_epochs = flag("across_epochs", across_epochs) or sampler.replacement
        self.collator = collator

    def _settings(self) -> str:
        text = f"{self.batch_size}, {super()._settings()}"
        for name, default in (("drop_last", False), ("across_epochs", self.sampler.replacement)):
            if getattr(self, name) != default:
                text += f", {name}={not default}"
        collation = repr(self.collator)
        return f"{text}, {collation}" if collation else text

    def _draws_random(self) -> bool:
        return super()._draws_random() or self.collator.crop is not None

    def _node(self, key: Key, shards: Shards) -> Node:
        return _BatchNode(self, key, shards)


class Samples(_SourceStream):
    """A stream of samples; made by `Source.samples`."""

    def _node(self, key: Key, shards: Shards) -> Node:
        return _SampleNode(self, key, shards)


class _DrawNode(Node):
    """A live stream in the order of a sampler.

    How many items have been given is counted where they are given, in C: no line of Python, at which an interrupt could
    be raised, lies between.
    """

    __slots__ = ("_length", "_made", "_random", "_ticks", "items", "order", "source", "spec")
    _made: Generator[Any, None, None]
    _ticks: Ticks

    def __init__(self, spec: _SourceStream, key: Key, shards: Shards) -> None:
        self.spec = spec
        self.source: Readable | None = spec.source._opened()
        self._length = len(self.source)
        self._random = self.source._random_maps() > 0
        self.order = self.source._pass_order(spec.sampler, key, spec.epochs, merged(shards), spec.batch_size)
        self._begin(0, 0)

    def _begin(self, given: int, drawn: int) -> None:
        """Give the items after the first `given`, which were made of `drawn` draws."""
        self._made = self._items_after(given, drawn)
        self._ticks = Ticks(self._made, given)
        self.items = self._ticks.items

    @abstractmethod
    def _items_after(self, given: int, drawn: int) -> Generator[Any, None, None]:
        """The items after the first `given`."""

    def _bound(self, first: int, end: int, indices: NDArray[np.intp]) -> Readable:
        """The source from which draws `first` to `end` - 1 read these samples, or prefetch them, once."""
        assert self.source is not None
        return self.source._bound(indices, self.order.draws(first, end)) if self._random else self.source

    def given(self, failed: bool = False) -> int:
        return self._ticks.given()

    @abstractmethod
    def _drawn(self) -> int:
        """How many draws the items given were made of."""

    def state(self, failed: bool = False) -> Any:
        return [self.spec._label(), self._length, self._drawn()]

    def restore(self, state: Any, given: int, verify: bool) -> None:
        if state is None:
            return
        label, length, drawn = state
        if label != self.spec._label():
            raise StateError(f"was {label}, is now {self.spec._label()}")
        if length != self._length:
            raise StateError(f"{label} had {length} samples, now has {self._length}")
        self._made.close()
        self._begin(given, drawn)

    def where(self) -> list[str]:
        return [self.spec._label()]

    def close(self) -> None:
        self._made.close()  # its frame keeps this node alive, with the files opened for this stream
        self.source = None


class _Span(NamedTuple):
    """Draws `first` to `end` - 1, which make a batch, and the samples that they read."""

    first: int
    end: int
    indices: NDArray[np.intp]


class _BatchNode(_DrawNode):
    """Live batches."""

    __slots__ = ("_latest", "_pool")
    spec: Batches

    def __init__(self, spec: Batches, key: Key, shards: Shards) -> None:
        self._pool = BufferPool()
        super().__init__(spec, key, shards)

    def _begin(self, given: int, drawn: int) -> None:
        #: The latest batch that was begun, whether or not it has been given: its number, and how many draws had been
        #: taken before it and after it.
        self._latest = given, drawn, drawn
        super()._begin(given, drawn)

    def _items_after(self, given: int, drawn: int) -> Generator[Any, None, None]:
        following = self._prefetched(drawn)
        while following is not None:
            current, following = following, self._prefetched(following.end)
            self._latest = given, drawn, current.end
            yield self._read(current)
            given, drawn = given + 1, current.end

    def _prefetched(self, draw: int) -> _Span | None:
        """The next batch that starts at a draw or later, prefetched; None at the end."""
        draws = self._following(draw)
        if draws is None:
            return None
        span = _Span(*draws, self.order.indices(*draws))
        if self.spec.collator.crop is None:  # cropping needs only a small part of each sample
            self._bound(*span).prefetch(span.indices)
        return span

    def _following(self, draw: int) -> tuple[int, int] | None:
        """The first draw of the next batch and the one after its last; None at the end."""
        spec, order = self.spec, self.order
        total = order.total
        while total is None or draw < total:
            end = draw + spec.batch_size
            border = order.border(draw, spec.across_epochs)
            if border is None or end <= border:
                return draw, end
            if not spec.drop_last:
                return draw, border
            if spec.batch_size > order.longest:  # there is no full batch
                return None
            draw = border
        return None

    def _read(self, span: _Span) -> Any:
        spec, source, indices = self.spec, self._bound(*span), span.indices
        uniforms = None if spec.collator.crop is None else self.order.uniforms(span.first, span.end).tolist()
        batch = spec.collator.read(source, indices, self._pool, uniforms)
        return with_index(batch, source._base_indices(indices)) if spec.with_indices else batch

    def _drawn(self) -> int:
        number, before, after = self._latest
        return before if self.given() == number else after

    def progress(self) -> tuple[int, int] | None:
        drawn, spec = self._drawn(), self.spec
        if not drawn:
            return None
        return self.order.last_batch(drawn, spec.batch_size, spec.drop_last, spec.across_epochs)


class _SampleNode(_DrawNode):
    """Live samples."""

    __slots__ = ()
    spec: Samples

    def _items_after(self, given: int, drawn: int) -> Generator[Any, None, None]:
        total, draw, length = self.order.total, drawn, _FIRST
        while total is None or draw < total:
            end = draw + length if total is None else min(draw + length, total)
            indices = self.order.indices(draw, end)
            self._bound(draw, end, indices).prefetch(indices)
            source = self._bound(draw, end, indices)
            samples = map(source.sample, indices.tolist())
            if self.spec.with_indices:
                samples = map(with_index, samples, source._base_indices(indices).tolist())
            yield from samples
            draw, length = end, min(2 * length, _MOST)

    def _drawn(self) -> int:
        return self._ticks.given()

    def progress(self) -> tuple[int, int] | None:
        last = self._ticks.given() - 1
        return None if last < 0 else (self.order.epoch_of(last), last - self.order.epoch_span(last)[0] + 1)
