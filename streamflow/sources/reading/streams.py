"""`Batches` and `Samples`: what `Source.batches` and `Source.samples` give.

The state of a live stream is the number of draws that have been read.  Before it reads a batch, it asks the operating
system for the next one.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, nullcontext
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
from ...exceptions import StateError
from ...maps.stacking import BufferPool
from ...samplers import Sampler
from ...seeding import Key
from .batching import Collator
from .form import with_index
from .protocol import Readable
from .randomness import ReadContext, SampleNumbers, one_by_one

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
        return (self.sampler.random and self.sampler._root is None) or bool(self.source._draws_random())

    def fingerprint(self) -> Fingerprint:
        text = f"{type(self).__name__}({type(self.source).__name__}, {self._settings()})"
        root = self.sampler._root
        if root is not None:
            text = f"{text} sampled {digest_of([root.prefix, str(root.entropy)])[:8]}"
        weights = getattr(self.sampler, "weights", None)
        digest = digest_of([weights.tobytes()]) if isinstance(weights, np.ndarray) else ""
        return self._marked(Fingerprint(text, digest, self._draws_random()))

    def _identity(self) -> str:
        return f"{self.fingerprint().text} of {self._source_text()}"

    def _source_text(self) -> str:
        """The source as states compare it; kept from the first opening on, because every state has it."""
        found: str | None = self.__dict__.get("_known_text")
        if found is None:
            found = self.__dict__["_known_text"] = bounded(self.source.fingerprint(), 400)
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

    def _node(self, key: Key, shards: Shards) -> Node:
        return _BatchNode(self, key, shards)


class Samples(_SourceStream):
    """A stream of samples; made by `Source.samples`."""

    def _node(self, key: Key, shards: Shards) -> Node:
        return _SampleNode(self, key, shards)


class _DrawNode(Node):
    """A live stream in the order of a sampler."""

    __slots__ = ("_length", "_made", "_may_draw", "items", "order", "source", "spec")
    kind = "source"
    _made: Generator[Any, None, None]

    def __init__(self, spec: _SourceStream, key: Key, shards: Shards) -> None:
        self.spec = spec
        spec._source_text()  # before anything is read: a source may count what it reads
        self.source: Readable | None = spec.source._opened()
        self._length = len(self.source)
        #: Whether reading may draw random numbers; keeping track of them costs more than reading a row.
        self._may_draw = self.source._draws_random() is not False
        self.order = self.source._pass_order(spec.sampler, key, spec.epochs, merged(shards), spec.batch_size)
        self.items = self._begin()

    @abstractmethod
    def _begin(self) -> Iterator[Any]:
        """The items from here on."""

    def _reading(self, first: int, end: int) -> AbstractContextManager[Any]:
        """A block in which draws `first` to `end` - 1 are read or prefetched."""
        return ReadContext(SampleNumbers(self.order, first, end)) if self._may_draw else nullcontext()

    def _most_draws(self) -> int:
        """How many draws a pass can come to; epochs are numbered below `NUMBERS`."""
        total = self.order.total
        return self.order.size * (NUMBERS >> 1) if total is None else total

    @abstractmethod
    def _drawn(self) -> int:
        """How many draws have been delivered."""

    @abstractmethod
    def _go_to(self, given: int, drawn: int) -> None:
        """Set the position: this many items have been given, made of this many draws."""

    def state(self, failed: bool = False) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "version": self.version,
            "given": self.given(failed),
            "source": self.spec._source_text(),
            "length": self._length,
            "draws": self._drawn(),
        }

    def restore(self, saved: Saved, verify: bool) -> None:
        was, now, given = saved.text("source"), self.spec._source_text(), saved.count("given")
        length, label = saved.count("length"), self.spec._label()
        drawn = saved.count("draws", most=self._most_draws(), least=given)
        if was != now:
            raise StateError("{}: was {}, is now {}".format(label, *differing(was, now)))
        if length != self._length:
            raise StateError(f"{label} had {length} samples, now has {self._length}")
        self._made.close()
        self._go_to(given, drawn)
        self.items = self._begin()

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

    __slots__ = ("_at", "_given", "_pool")
    spec: Batches

    def __init__(self, spec: Batches, key: Key, shards: Shards) -> None:
        self._given = self._at = 0
        self._pool = BufferPool()
        super().__init__(spec, key, shards)
        self._may_draw = self._may_draw or spec.collator.crop is not None

    def _begin(self) -> Iterator[Any]:
        self._made = self._batches()
        return self._made

    def _batches(self) -> Generator[Any, None, None]:
        current = self._prefetched(self._at)
        while current is not None:
            following = self._prefetched(current.end)
            batch = [self._read(current)]  # in a list, so that this frame does not keep it alive while it waits
            self._given, self._at = self._given + 1, current.end
            current = following
            yield batch.pop()

    def _prefetched(self, draw: int) -> _Span | None:
        """The next batch that starts at a draw or later, prefetched; None at the end."""
        draws = self._following(draw)
        if draws is None:
            return None
        assert self.source is not None
        span = _Span(*draws, self.order.indices(*draws))
        if self.spec.collator.crop is None:  # cropping needs only a small part of each sample
            with self._reading(span.first, span.end):
                self.source.prefetch(span.indices)
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
        spec, source = self.spec, self.source
        assert source is not None
        with self._reading(span.first, span.end):
            batch = spec.collator.read(source, span.indices, self._pool)
        return with_index(batch, source._base_indices(span.indices)) if spec.with_indices else batch

    def given(self, failed: bool = False) -> int:
        return self._given

    def _drawn(self) -> int:
        return self._at

    def _go_to(self, given: int, drawn: int) -> None:
        self._given, self._at = given, drawn

    def progress(self) -> tuple[int, int] | None:
        if not self._at:
            return None
        spec = self.spec
        return self.order.last_batch(self._at, spec.batch_size, spec.drop_last, spec.across_epochs)


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
        source, order, length = self.source, self.order, _FIRST
        assert source is not None
        while order.total is None or draw < order.total:
            end = draw + length if order.total is None else min(draw + length, order.total)
            indices = order.indices(draw, end)
            with self._reading(draw, end):
                source.prefetch(indices)
            samples = map(source.sample, indices.tolist())
            if self._may_draw:
                numbers = SampleNumbers(order, draw, end)
                samples = map(one_by_one(source.sample, numbers), range(end - draw), indices.tolist())
            if self.spec.with_indices:
                samples = map(with_index, samples, source._base_indices(indices).tolist())
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
        return None if last < 0 else (self.order.epoch_of(last), last - self.order.epoch_span(last)[0] + 1)
