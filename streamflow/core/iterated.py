"""Iterated: the passes over a description, as generators and as Streams.

Nothing in a description changes but `_active`: how many passes are open, and whether a plain one has come to its end.
"""

from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Generator
from contextlib import suppress
from itertools import islice
from types import FrameType
from typing import Any, cast

from .fork import at_fork
from .hooks import Hooks
from .spec import Spec
from .stream import Stream
from .validate import epoch_number, flag, item_count
from .walk import repeats_itself

__all__ = ["Iterated"]

_counting = threading.RLock()  # a signal handler or a finaliser may open or close a Stream meanwhile
#: Streams opened by ``with streamer``, newest last, by the identity of the (living) description; each with the frame
#: and the thread that opened it, because blocks in generators and threads do not nest.
_entered: dict[int, list[tuple[FrameType, int, Stream]]] = {}
#: Added to `_active` once a plain pass has ended, and once that has been looked into; so it takes no memory.
_ENDED, _LOOKED_INTO = 1 << 40, 1 << 41
_warned = False  # that a second pass repeats the first


class Iterated(Hooks):
    """A description that can be iterated."""

    __slots__ = ()

    def open(self, epoch: int | None = None, cycle: bool = False) -> Stream:
        """Open one live pass, whose state can be saved.

        Parameters
        ----------
        epoch : int, optional
            Which pass over the data it is: shuffles and `rng` differ from epoch to epoch.  None: 0.
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
        self._warn_of_repeat(epoch, cycle)
        return self._live(epoch, flag("cycle", cycle))

    def _spec(self) -> Spec:
        return cast("Spec", self)  # a `Description`, which has more than can be seen from here

    def _live(self, epoch: int | None, cycle: bool) -> Stream:
        stream = Stream(self._spec(), epoch or 0, cycle)
        own = self._overrides
        if own is not None and own.binding is not None:
            own.binding.opened.add(stream)
        else:
            stream._plain = epoch is None and not cycle
        return stream

    def iterate(self, max_iter: int | None = None, *, epoch: int | None = None) -> Generator[Any, None, None]:
        """A generator over one pass, or its first `max_iter` items.

        Parameters
        ----------
        max_iter : int, optional
            How many items to give at most; no more are drawn.  None: all.
        epoch : int, optional
            Which pass over the data it is: shuffles and `rng` differ from epoch to epoch.  None: 0.

        Examples
        --------
        >>> from streamflow import Streamer
        >>> list(Streamer("abc").iterate(max_iter=2))
        ['a', 'b']
        """
        return self._run(item_count("max_iter", max_iter), False, _epoch(epoch))

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
        return self._run(item_count("max_iter", max_iter), True, None)

    def __call__(
        self, max_iter: int | None = None, cycle: bool = False, *, epoch: int | None = None
    ) -> Generator[Any, None, None]:
        """`iterate`, or with ``cycle=True`` pass after pass from `epoch` on.

        >>> from streamflow import Streamer
        >>> samples = Streamer("ab")
        >>> [sample for epoch in range(2) for sample in samples(epoch=epoch)]
        ['a', 'b', 'a', 'b']
        """
        return self._run(item_count("max_iter", max_iter), flag("cycle", cycle), _epoch(epoch))

    def __iter__(self) -> Generator[Any, None, None]:
        return self._run(None, False, None)

    def _run(self, limit: int | None, cycle: bool, epoch: int | None) -> Generator[Any, None, None]:
        if limit == 0:
            return
        self._warn_of_repeat(epoch, cycle)
        stream = self._live(epoch, cycle)
        try:
            yield from stream._begin() if limit is None else islice(stream._begin(), limit)
            if stream._plain and (limit is None or stream._passes.given() < limit):
                self._ended()
        except GeneratorExit:  # perhaps by somebody who knows the length and does not ask for the end
            if stream._plain and self._active < _ENDED and not _warned:
                with suppress(Exception):
                    if stream._passes.given() == self._spec()._measured(()):
                        self._ended()
            raise
        except BaseException as error:
            stream._fail(error, stream._passes.count(failed=True))
            raise
        finally:
            stream.close()

    def __enter__(self) -> Stream:
        self._warn_of_repeat(None, False)
        stream = self._live(None, False)
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
        return self._active % _ENDED

    @property
    def is_activated_copy(self) -> bool:
        """False: a Streamer is a description; `open` and ``with`` give what is live."""
        return False

    def _ended(self) -> None:
        """A pass by itself that named neither epoch nor cycle has come to its end."""
        with _counting:
            self._active |= _ENDED

    def _warn_of_repeat(self, epoch: int | None, cycle: bool) -> None:
        """Warn, once per process, if a pass gives the items of an earlier one again though nobody asked for that."""
        global _warned  # noqa: PLW0603
        if self._active < _ENDED or self._active >= _LOOKED_INTO or _warned or epoch is not None or cycle:
            return
        with _counting:
            self._active |= _LOOKED_INTO
        own = self._overrides
        if (own is None or own.binding is None) and repeats_itself(self._spec()):
            _warned = True
            warnings.warn(
                f"this pass over {self._label()} gives the same random numbers as the last one, because both are epoch "
                "0 of one seed; give the epoch, as in `for batch in tree(epoch=epoch)` (epoch=0 repeats on purpose)",
                stacklevel=3,
            )


def _epoch(epoch: Any) -> int | None:
    return None if epoch is None else epoch_number("epoch", epoch)


def _forked() -> None:
    """A lock that another thread held at a fork stays locked in the child: begin with a fresh one."""
    global _counting  # noqa: PLW0603
    _counting = threading.RLock()


at_fork(in_child=_forked)
