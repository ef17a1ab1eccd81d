"""`Batches` and `Samples`: what `Source.batches` and `Source.samples` give.

The state of a live stream is the number of items that have been given.  Before it reads a batch, it asks the operating
system for the next one.
"""

from __future__ import annotations

import sys
from abc import abstractmethod
from collections.abc import Generator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...core import Streamer
from ...core.call import Shards, merged
from ...core.exact import bounded
from ...core.fingerprint import Fingerprint, differing, digest_of
from ...core.node import NUMBERS, Node, Ticks
from ...core.saved import Saved
from ...core.validate import flag, optional_positive_integer, positive_integer
from ...core.walk import divides
from ...exceptions import StateError
from ...maps.stacking import BufferPool
from ...samplers import Sampler
from ...seeding import Key, Root
from .batching import Collator
from .form import with_index
from .order import Batch, PassOrder
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
        text = f"{self.sampler.fingerprint()}, epochs={self.epochs}"
        return f"{text}, with_indices=True" if self.with_indices else text

    def _draws_random(self) -> bool:
        return (self.sampler.random and self.sampler._root is None) or self.source._random_maps() > 0

    def _draws_itself(self, seeded: bool) -> bool:
        return self.sampler.random and self.sampler._root is not None if seeded else self._draws_random()

    def _divided_draw(self, shards: Shards) -> str | None:
        # Draws with replacement are independent, so parts of them need not agree.
        sampler = self.sampler
        divided = divides(shards) and sampler.random and sampler._root is None and not sampler.replacement
        return self._label() if divided else None

    def _pass_order(self, shards: Shards) -> PassOrder:
        """An order of a part, for its numbers: they are the same in every epoch and under every key."""
        return self.source._pass_order(self.sampler, Key(Root(), (0,)), self.epochs, merged(shards), self.batch_size)

    def fingerprint(self) -> Fingerprint:
        text = f"{type(self).__name__}({type(self.source).__name__}, {self._settings()})"
        root = self.sampler._root
        if root is not None:
            text = f"{text} sampled {digest_of([root.prefix, str(root.entropy)])[:8]}"
        weights = getattr(self.sampler, "weights", None)
        digest = digest_of([weights.tobytes()]) if isinstance(weights, np.ndarray) else ""
        return self._marked(Fingerprint(text, digest, self._draws_random()))

    def _identity(self) -> str:
        return f"{self.fingerprint().text} of {self._stream_text()}"

    def _stream_text(self) -> str:
        """The stream as states compare it; kept from the first opening on, because every state has it."""
        found: str | None = self.__dict__.get("_known_text")
        if found is None:
            settings = bounded(f"{type(self).__name__.lower()}({self._settings()})", 400)
            found = self.__dict__["_known_text"] = f"{bounded(self.source.fingerprint(), 400)}.{settings}"
        return found

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

    def _length(self, shards: Shards) -> int | None:
        return self._pass_order(shards).n_batches(self.batch_size, self.drop_last, self.across_epochs)

    def _node(self, key: Key, shards: Shards) -> Node:
        return _BatchNode(self, key, shards)


class Samples(_SourceStream):
    """A stream of samples; made by `Source.samples`."""

    def _length(self, shards: Shards) -> int | None:
        return self._pass_order(shards).total

    def _node(self, key: Key, shards: Shards) -> Node:
        return _SampleNode(self, key, shards)


class _DrawNode(Node):
    """A live stream in the order of a sampler; its position is how many items it has given.

    These are counted where they are given, in C, so that no interrupt can come between an item and its count.
    """

    __slots__ = ("_length", "_made", "_random", "_ticks", "items", "order", "source", "spec")

    def __init__(self, spec: _SourceStream, key: Key, shards: Shards) -> None:
        self.spec = spec
        spec._stream_text()  # before anything is read: a source may count what it reads
        self.source: Readable | None = spec.source._opened()
        self._length = len(self.source)
        self._random = self.source._random_maps() > 0
        self.order = self.source._pass_order(spec.sampler, key, spec.epochs, merged(shards), spec.batch_size)
        self._begin(0)

    def _begin(self, given: int) -> None:
        """Give the items after the first `given`."""
        self._made = self._items_after(given)
        self._ticks = Ticks(self._made, given)
        self.items = self._ticks.items

    @abstractmethod
    def _items_after(self, given: int) -> Generator[Any, None, None]:
        """The items after the first `given`."""

    @abstractmethod
    def _place(self, number: int) -> tuple[int, int] | None:
        """The epoch of an item of this pass, and its number there, counted from 1; None if there is no such item."""

    def _span(self, first: int, end: int) -> _Span:
        """Draws `first` to `end` - 1, to be read."""
        source, indices = self.source, self.order.indices(first, end)
        assert source is not None
        if self._random:
            source = source._bound(indices, self.order.draws(first, end))
        return _Span(first, end, indices, source)

    def given(self, failed: bool = False) -> int:
        return self._ticks.given()

    def progress(self, given: int) -> tuple[int, int] | None:
        return self._place(given - 1)

    def state(self, failed: bool = False) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "version": self.version,
            "given": self.given(),
            "stream": self.spec._stream_text(),
            "length": self._length,
        }

    def restore(self, saved: Saved) -> None:
        was, now = saved.text("stream"), self.spec._stream_text()
        length, given, stream = saved.count("length", sys.maxsize), saved.count("given"), self.spec._label()
        if was != now:
            raise StateError("{}: was {}, is now {}".format(stream, *differing(was, now)))
        if length != self._length:
            raise StateError(f"{stream} had {length} samples, now has {self._length}")
        place = self._place(given - 1) if given else (0, 0)
        if place is None or place[0] >= NUMBERS:
            raise saved.wrong("given", f"a count that {stream} reaches")
        self._made.close()
        self._begin(given)

    def where(self) -> list[str]:
        return [self.spec._label()]

    def close(self) -> None:
        self._made.close()  # its frame keeps this node alive, with the files opened for this stream
        self.source = None


class _Span(NamedTuple):
    """Draws `first` to `end` - 1, the samples that they read, and the source to read these from, once."""

    first: int
    end: int
    indices: NDArray[np.intp]
    source: Readable


class _BatchNode(_DrawNode):
    """Live batches."""

    __slots__ = ("_pool",)
    kind = "batches"
    spec: Batches

    def __init__(self, spec: Batches, key: Key, shards: Shards) -> None:
        self._pool = BufferPool()
        super().__init__(spec, key, shards)

    def _items_after(self, given: int) -> Generator[Any, None, None]:
        following = self._prefetched(given)
        while following is not None:
            current, given = following, given + 1
            following = self._prefetched(given)
            yield self._read(current)

    def _batch(self, number: int) -> Batch | None:
        spec = self.spec
        return self.order.batch(number, spec.batch_size, spec.drop_last, spec.across_epochs)

    def _place(self, number: int) -> tuple[int, int] | None:
        batch = self._batch(number)
        return None if batch is None else (batch.epoch, batch.place)

    def _prefetched(self, number: int) -> _Span | None:
        """A batch, prefetched; None at the end."""
        batch = self._batch(number)
        if batch is None:
            return None
        span = self._span(batch.first, batch.end)
        if self.spec.collator.crop is None:  # cropping needs only a small part of each sample
            span.source.prefetch(span.indices)
        return span

    def _read(self, span: _Span) -> Any:
        spec, source, indices = self.spec, span.source, span.indices
        uniforms = None if spec.collator.crop is None else self.order.uniforms(span.first, span.end).tolist()
        batch = spec.collator.read(source, indices, self._pool, uniforms)
        return with_index(batch, source._base_indices(indices)) if spec.with_indices else batch


class _SampleNode(_DrawNode):
    """Live samples."""

    __slots__ = ()
    kind = "samples"
    spec: Samples

    def _items_after(self, given: int) -> Generator[Any, None, None]:
        total, length = self.order.total, _FIRST
        while total is None or given < total:
            end = given + length if total is None else min(given + length, total)
            _, _, indices, source = self._span(given, end)
            source.prefetch(indices)
            samples = map(source.sample, indices.tolist())
            if self.spec.with_indices:
                samples = map(with_index, samples, source._base_indices(indices).tolist())
            yield from samples
            if self.given() < end:  # StopIteration ends a `map` and raises nothing
                at = indices[self.given() - given].tolist()
                raise RuntimeError(f"sample {at} of {self.spec.source._label()} raised StopIteration")
            given, length = end, min(2 * length, _MOST)

    def _place(self, number: int) -> tuple[int, int] | None:
        total = self.order.total
        return None if total is not None and number >= total else self.order.place(number)
