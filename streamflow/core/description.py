"""Description: what every description of a stream can do, whatever it describes.

It is never changed by being iterated; all that changes lives in nodes (`node.py`) under a `Stream` (`stream.py`).
"""

from __future__ import annotations

import copy
import sys
import threading
from collections.abc import Generator, Iterable
from itertools import islice
from types import FrameType
from typing import Any, Self
from weakref import WeakSet

from ..seeding import Key, Root
from .binding import Bindable, Binding, Overrides
from .call import Shards
from .checkpoint import Clock
from .fingerprint import Fingerprint, digest_of
from .fork import at_fork
from .node import Node
from .stream import Stream
from .validate import epoch_number, flag, integer, item_count, positive_integer, require
from .walk import check_shards

__all__ = ["Description"]

_counting = threading.RLock()  # a signal handler or a finaliser may open or close a Stream meanwhile
#: Streams opened by ``with streamer``, newest last, by the identity of the (living) description; each with the frame
#: and the thread that opened it, because blocks in generators and threads do not nest.
_entered: dict[int, list[tuple[FrameType, int, Stream]]] = {}


class Description(Bindable):
    """The base of `Streamer`: passes, parts, seeds and addresses.  The hooks of a subclass say what it describes."""

    __slots__ = ("_active", "_overrides")
    _overrides: Overrides | None
    _active: int

    # ------------------------------------------------------------------ hooks
    def children(self) -> Iterable[tuple[Any, Any]]:
        """The descriptions right below this one, each with its name."""
        raise NotImplementedError

    def fingerprint(self) -> Fingerprint:
        """What makes two trees the same tree for a state; the arguments of leaves are compared where they are open."""
        raise NotImplementedError

    def _identity(self) -> str:
        """What a member of a mux is known by: with the arguments of its leaf, but not what a mux in it holds."""
        return self.fingerprint().text

    def _node(self, key: Key, shards: Shards) -> Node:
        """Open the live node."""
        raise NotImplementedError

    def _label(self) -> str:
        """Its name in errors and states."""
        raise NotImplementedError

    def _held(self) -> Iterable[Any]:
        """What it holds by reference, other than its children."""
        raise NotImplementedError

    def _inside(self) -> Any:
        """The description to which a part of this one hands its part down; None if this one divides itself."""
        raise NotImplementedError

    def _maps(self) -> int:
        """How many maps follow each other from here down to the next mux or leaf."""
        raise NotImplementedError

    def _refuse_shards(self, shards: Shards) -> None:
        """Raise if it cannot be sharded so, whatever is inside."""
        raise NotImplementedError

    def _typical_children(self) -> Iterable[tuple[Any, Any]]:
        """As `children`, but only the first of members that differ in their arguments alone."""
        return self.children()

    # ------------------------------------------------------------------ passes
    def open(self, epoch: int = 0, cycle: bool = False) -> Stream:
        """Open one live pass, whose state can be saved.

        Parameters
        ----------
        epoch : int
            Which pass over the data it is: shuffles and `rng` differ from epoch to epoch.
        cycle : bool
            Go on with the next epoch at the end of each, until one is empty.

        Returns
        -------
        Stream
            Nothing is open before its first item is asked for.

        Examples
        --------
        >>> from streamflow import Streamer
        >>> with Streamer("abc").open() as stream:
        ...     next(stream), stream.position
        ('a', 1)
        """
        stream = Stream(self, epoch, flag("cycle", cycle))
        own = self._overrides
        if own is not None and own.binding is not None:
            own.binding.opened.add(stream)
        return stream

    def iterate(self, max_iter: int | None = None, *, epoch: int = 0) -> Generator[Any, None, None]:
        """A generator over one pass, or its first `max_iter` items.

        Parameters
        ----------
        max_iter : int, optional
            How many items to give at most; no more are drawn.  None: all.
        epoch : int
            Which pass over the data it is: shuffles and `rng` differ from epoch to epoch.

        Examples
        --------
        >>> from streamflow import Streamer
        >>> list(Streamer("abc").iterate(max_iter=2))
        ['a', 'b']
        """
        return self._run(item_count("max_iter", max_iter), False, epoch_number("epoch", epoch))

    def cycle(self, max_iter: int | None = None) -> Generator[Any, None, None]:
        """A generator over pass after pass, epochs 0, 1, 2, ...; it ends after an epoch without items.

        Parameters
        ----------
        max_iter : int, optional
            How many items to give at most, over all epochs; no more are drawn.  None: no limit.

        Examples
        --------
        >>> from streamflow import Streamer
        >>> "".join(Streamer("abc").cycle(max_iter=7))
        'abcabca'
        """
        return self._run(item_count("max_iter", max_iter), True, 0)

    def __call__(
        self, max_iter: int | None = None, cycle: bool = False, *, epoch: int = 0
    ) -> Generator[Any, None, None]:
        """`iterate`, or with ``cycle=True`` pass after pass from `epoch` on.

        >>> from streamflow import Streamer
        >>> samples = Streamer("ab")
        >>> [sample for epoch in range(2) for sample in samples(epoch=epoch)]
        ['a', 'b', 'a', 'b']
        """
        return self._run(item_count("max_iter", max_iter), flag("cycle", cycle), epoch_number("epoch", epoch))

    def __iter__(self) -> Generator[Any, None, None]:
        return self._run(None, False, 0)

    def _run(self, limit: int | None, cycle: bool, epoch: int) -> Generator[Any, None, None]:
        if limit == 0:
            return
        stream = self.open(epoch, cycle)
        try:
            yield from stream._begin() if limit is None else islice(stream._begin(), limit)
        except GeneratorExit:
            raise
        except BaseException as error:
            stream._fail(error)
            raise
        finally:
            stream.close()

    def __enter__(self) -> Stream:
        stream = self.open()
        with _counting:
            _entered.setdefault(id(self), []).append((sys._getframe(1), threading.get_ident(), stream))
        return stream

    def __exit__(self, *error: object) -> None:
        frame, thread = sys._getframe(1), threading.get_ident()
        with _counting:
            entered = _entered[id(self)]
            # The newest of this frame; where there is none (in an ExitStack, say) of this thread, else of all.
            newest = max(range(len(entered)), key=lambda i: (entered[i][0] is frame, entered[i][1] == thread, i))
            _, _, stream = entered.pop(newest)
            if not entered:
                del _entered[id(self)]
        stream.close()

    def _count(self, change: int) -> None:
        with _counting:
            self._active += change

    @property
    def active(self) -> int:
        """How many passes over this are open."""
        return self._active

    @property
    def is_activated_copy(self) -> bool:
        """False: a Streamer is a description; `open` and ``with`` give what is live."""
        return False

    # ------------------------------------------------------------------ derived descriptions
    def shard(self, index: int, count: int) -> Self:
        """One of `count` parts: together they give this stream once; of an endless one each alone has its weights.

        Parameters
        ----------
        index : int
            Which part, from 0.
        count : int
            How many parts there are.

        Returns
        -------
        Streamer
            Of the same class as this one.

        Raises
        ------
        ParameterError
            If there is no such part, or if the tree cannot be sharded so: it is a one-shot iterator, or a mux with too
            few members open.

        Examples
        --------
        >>> from streamflow import Streamer
        >>> letters = Streamer("abcdefg")
        >>> list(letters.shard(0, 3)), list(letters.shard(1, 3)), list(letters.shard(2, 3))
        (['a', 'd', 'g'], ['b', 'e'], ['c', 'f'])
        """
        index, count = integer("index", index), positive_integer("count", count)
        require(0 <= index < count, "index", f"at least 0 and below `count` ({count})", index)
        own = self._overrides or Overrides()
        twin = self._twin(Overrides(own.root, (*own.shards, (index, count)), own.binding))
        check_shards(twin, twin._own_shards())
        return twin

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
        return self._twin(Overrides(None if random_state is None else Root(random_state), own.shards, own.binding))

    def _twin(self, own: Overrides) -> Self:
        twin = copy.copy(self)
        twin._overrides, twin._active = own, 0
        return twin

    def _bind(self, key: Key, number: int, opened: WeakSet[Any]) -> Self:
        own = self._overrides or Overrides()
        return self._twin(Overrides(own.root, own.shards, Binding(key, number, opened)))

    def _unbound(self) -> Self:
        """This Streamer as its own tree, wherever it is bound."""
        own = self._overrides
        return self if own is None or own.binding is None else self._twin(Overrides(own.root, own.shards))

    def _set_seed(self, random_state: Any) -> None:
        """In a constructor: give it its own seed (None: its randomness follows from its parent's)."""
        if random_state is not None:
            own = self._overrides or Overrides()
            self._overrides = Overrides(Root(random_state), own.shards, own.binding)

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
            shards = own.shards + shards
        return self._node(key, shards)

    def _marked(self, shape: Fingerprint) -> Fingerprint:
        """A fingerprint with this Streamer's own part and seed."""
        own = self._overrides
        if own is None:
            return shape
        text = shape.text
        for index, count in own.shards:
            text = f"part {index} of {count} of {text}"
        if own.root is None:
            return shape._replace(text=text)
        seed = digest_of([own.root.prefix, str(own.root.entropy)])
        return shape._replace(text=f"{text} seeded {seed[:8]}", random=False)


def _forked() -> None:
    """A lock that another thread held at a fork stays locked in the child: begin with a fresh one."""
    global _counting  # noqa: PLW0603
    _counting = threading.RLock()


at_fork(in_child=_forked)
