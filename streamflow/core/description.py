"""Description: what every description of a stream can do, whatever it describes.

It is never changed by being iterated (`iterated.py`); all that changes lives in nodes (`node.py`) under a `Stream`.
"""

from __future__ import annotations

import copy
import sys
from typing import Any, Self
from weakref import WeakSet

from ..exceptions import ParameterError
from ..seeding import Key, Root
from .binding import Binding, Overrides
from .call import Shards
from .checkpoint import Clock
from .equalised import EqualNode
from .fingerprint import Fingerprint, digest_of
from .iterated import Iterated
from .lengths import MODES, answers, part_length
from .node import Node
from .validate import choice, integer, positive_integer, require
from .walk import check_shards

__all__ = ["Description"]


class Description(Iterated):
    """The base of `Streamer`: passes, lengths, parts, seeds and addresses; the hooks of a subclass say of what."""

    __slots__ = ()

    # ------------------------------------------------------------------ lengths
    def __len__(self) -> int:
        """How many items a pass gives, where that is known.

        It is of collections, sources, the maps that keep or batch items, and muxes that end with such members.

        Raises
        ------
        TypeError
            If it is not known: a function's items, an endless stream.

        Examples
        --------
        >>> from streamflow import ChainMux, buffer_stream
        >>> batches = ChainMux([[{"x": 1}] * 5, [{"x": 2}] * 6]).pipe(buffer_stream, 4)
        >>> len(batches), len(batches.shard(0, 2))
        (2, 1)
        """
        try:
            length = self._measured(())
        except Exception as error:  # `list` asks for the length first; what is wrong shows when it iterates
            raise TypeError(f"the number of items of {self._label()} is not known: {error!r}") from error
        if length is None or length > sys.maxsize:
            raise TypeError(
                f"the number of items of {self._label()} is not known, as for a generator: it is endless, or what a "
                "function yields"
            )
        return length

    def __bool__(self) -> bool:
        return True  # however many items it gives

    def _measured(self, shards: Shards) -> int | None:
        """How many items a part of it gives, None where that is not known; its own part comes first."""
        own = self._overrides
        if own is None:
            return self._unequalled(shards)
        return part_length(self._unequalled, own.shards, own.equal, shards)

    def _unequalled(self, shards: Shards) -> int | None:
        kind: Any = type(self)
        return self._length(shards) if answers(kind) else None

    # ------------------------------------------------------------------ derived descriptions
    def shard(self, index: int, count: int, equal: str | None = None) -> Self:
        """One of `count` parts: together they give this stream once; of an endless one each alone has its weights.

        Parameters
        ----------
        index : int
            Which part, from 0.
        count : int
            How many parts there are.
        equal : {None, 'drop', 'repeat'}
            What is done about parts of different lengths.  None: nothing.  ``drop``: each part ends where the shortest
            one ends.  ``repeat``: each part is as long as the longest; one that has ended starts again, under another
            key and elsewhere in each epoch.  Make batches before, so that batches are counted.

        Returns
        -------
        Streamer
            Of the same class as this one.

        Raises
        ------
        ParameterError
            If there is no such part, or if the tree cannot be sharded so: it is a one-shot iterator, or a mux with too
            few members open.  With `equal`, if the length of a part is not known, or if one has no item to repeat.

        Notes
        -----
        Parts in different processes agree on what they divide because they have the same seed.  So where a part divides
        something random, the tree needs one: without it, a ParameterError is raised at the first item.  (Lanes of a
        background streamer are seeded by this process and need none.)

        Examples
        --------
        >>> from streamflow import Streamer
        >>> letters = Streamer("abcdefg")
        >>> list(letters.shard(0, 3)), list(letters.shard(1, 3)), list(letters.shard(2, 3))
        (['a', 'd', 'g'], ['b', 'e'], ['c', 'f'])
        >>> [len(letters.shard(k, 3, equal="drop")) for k in range(3)]
        [2, 2, 2]
        """
        index, count = integer("index", index), positive_integer("count", count)
        require(0 <= index < count, "index", f"at least 0 and below `count` ({count})", index)
        equal = None if equal is None else choice("equal", equal, MODES)
        own = self._overrides or Overrides()
        twin = self._twin(own.but(shards=(*own.shards, (index, count)), equal=(*own.equal, equal)))
        check_shards(twin, twin._own_shards())
        if equal is not None:
            twin._items_of(())
        return twin

    def _items_of(self, shards: Shards) -> int:
        """How many items a part of a part has that is made as long as others."""
        length = self._measured(shards)
        if length is None:
            raise ParameterError(
                f"`equal` must be None where the lengths of the parts are not known, as of {self._label()}; give each "
                "part the same number of items instead: max_iter=n in a loop, n_batches=n of an adapter that has it"
            )
        return length

    def with_seed(self, random_state: Any) -> Self:
        """The same stream with its own seed (None: its randomness follows from its parent's again).

        Parameters
        ----------
        random_state : None, int, SeedSequence, Generator or RandomState
            A Generator or RandomState is read once, here.

        Examples
        --------
        >>> from streamflow import Streamer
        >>> def dice(rng):
        ...     while True:
        ...         yield int(rng.integers(1, 7))
        >>> list(Streamer(dice).with_seed(7)(max_iter=5)) == list(Streamer(dice).with_seed(7)(max_iter=5))
        True
        """
        own = self._overrides or Overrides()
        return self._twin(own.but(root=None if random_state is None else Root(random_state)))

    def _twin(self, own: Overrides) -> Self:
        twin = copy.copy(self)
        twin._overrides = own
        return twin

    def _bind(self, key: Key, number: int, opened: WeakSet[Any]) -> Self:
        own = self._overrides or Overrides()
        return self._twin(own.but(binding=Binding(key, number, opened)))

    def _unbound(self) -> Self:
        """This Streamer as its own tree, wherever it is bound."""
        own = self._overrides
        return self if own is None or own.binding is None else self._twin(own.but(binding=None))

    def _set_seed(self, random_state: Any) -> None:
        """In a constructor: give it its own seed (None: its randomness follows from its parent's)."""
        if random_state is not None:
            self._overrides = (self._overrides or Overrides()).but(root=Root(random_state))

    # ------------------------------------------------------------------ how it is opened
    def _own_shards(self) -> Shards:
        """The part that it is."""
        return () if self._overrides is None else self._overrides.shards

    def _root(self) -> Root:
        """The root of randomness of a pass of this Streamer by itself."""
        own = self._overrides
        return Root() if own is None or own.binding is None else own.binding.key.root

    def _open_pass(self, root: Root, epoch: int, clock: Clock) -> Node:
        """The node of a pass of this Streamer by itself."""
        return self._open(Key(root, (epoch,), clock), ())

    def _open(self, key: Key, shards: Shards) -> Node:
        """The live node at an address; what it is bound to, its own seed and its own part come first."""
        own = self._overrides
        if own is not None:
            if own.binding is not None:
                key = own.binding.address(key)
            if own.root is not None:
                key = key.of_root(own.root)
            if any(own.equal):
                return self._open_equalised(key, shards)
            shards = own.shards + shards
        return self._node(key, shards)

    def _open_equalised(self, key: Key, shards: Shards) -> Node:
        """The live node of a part that is as long as others."""
        length, whole = self._items_of(shards), self._own_shards() + shards
        own_length = self._unequalled(whole)
        assert own_length is not None  # `length` was made of it
        return EqualNode(self._label(), lambda key: self._node(key, whole), key, own_length, length)

    # ------------------------------------------------------------------ seeds of parts
    def _seeded(self) -> bool:
        return self._overrides is not None and self._overrides.root is not None

    def _must_agree(self, shards: Shards) -> str | None:
        """The label of what parts of it divide and draw from a seed above it; its own seed and part come first."""
        return None if self._seeded() else self._divided_draw(self._own_shards() + shards)

    def _check_seed(self) -> None:
        """Raise if a pass by itself must not draw its own seed, because other parts have to draw alike."""
        own = self._overrides
        if own is not None and own.binding is not None:  # its seed is that of the activation that it belongs to
            return
        label = self._must_agree(())
        if label is not None:
            raise ParameterError(
                f"`random_state` must be a seed, the same for all parts, got None: parts divide what {label} draws, "
                "and without a seed each part draws its own (np.random.seed does not count, as nobody knows whether "
                "all parts called it); use tree.with_seed(0).shard(...)"
            )

    def _marked(self, shape: Fingerprint) -> Fingerprint:
        """A fingerprint with this Streamer's own part and seed."""
        own = self._overrides
        if own is None:
            return shape
        text = shape.text
        for (index, count), equal in zip(own.shards, own.equal, strict=True):
            text = f"part {index} of {count}{f' (equal: {equal})' if equal else ''} of {text}"
        if own.root is None:
            return shape._replace(text=text)
        seed = digest_of([own.root.prefix, str(own.root.entropy)])
        return shape._replace(text=f"{text} seeded {seed[:8]}", random=False, seeds=False)
