"""Stream: one live pass over a Streamer, the outermost iterator, which owns everything that changes.

`Passes` takes the root node through its epochs; `Stream` is the handle that users hold.  The handle is in no reference
cycle, so dropping it closes the tree at once.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Collection, Generator, Iterator, Mapping
from contextlib import suppress
from itertools import islice, repeat
from typing import Any, Self

from ..exceptions import StateError, StreamflowError
from .head import check_head, entropy_of, head
from .history import MOST, History
from .label import short
from .node import skip
from .passes import Passes
from .replayed import warn_of_replays
from .saved import Loading, Saved
from .signals import came_between
from .spec import Spec
from .validate import epoch_number, is_integer, item_count, key_set, require
from .watch import Watch

__all__ = ["Stream"]


class Stream:
    """One live pass over a Streamer: an iterator with a position that can be saved.  Made by `Streamer.open`.

    A Stream may be shared by threads: each item goes to exactly one of them.  It is a context manager; leaving the
    block, `close()` and dropping it close every generator below it.

    >>> from streamflow import Streamer
    >>> stream = Streamer("abcd").open()
    >>> next(stream), next(stream)
    ('a', 'b')
    >>> state = stream.state_dict()
    >>> again = Streamer("abcd").open()
    >>> again.load_state_dict(state)
    >>> list(again)
    ['c', 'd']
    """

    #: pescador's name for "this is live".
    is_activated_copy = True
    _until_look: repeat[bool]

    def __init__(self, streamer: Spec, epoch: int = 0, cycle: bool = False) -> None:
        self._closed = True  # until everything below has been made
        self._spec = streamer
        self._passes = Passes(streamer, epoch_number("epoch", epoch), cycle)
        self._items: Iterator[Any] | None = None
        self._lock = threading.RLock()
        self._busy = False
        self._failure = ""  # what closed it, as text: an error itself holds our frames
        self._history: History | None = None
        self._look_for(0, 1)  # at the history, before the first item
        self._last: tuple[int, dict[str, Any]] | None = None  # count and state when an error closed it
        self._no_state = ""  # why there is no state at that moment
        self._plain = False  # whether neither epoch nor cycle was named
        self._closed = False
        streamer._count(1)

    # ------------------------------------------------------------------ iteration
    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        # Both loops end in their first round: a loop costs less than a call of `next`.
        started = False
        try:
            with self._lock:
                if self._closed:
                    raise StreamflowError(self._why_closed())  # noqa: TRY301 - nothing has begun
                try:
                    for started in self._until_look:  # noqa: B007 - one for each item before the history looks again
                        break
                    else:
                        # In one statement: an interrupt within it would count this item as delivered.
                        started, self._looked, self._until_look = self._look()
                    # From here to its return this item counts as asked for, and not as delivered.
                    self._busy = True
                    if self._items is None:
                        self._items = self._passes.begin()
                    for item in self._items:
                        self._busy = False
                        return item
                    self._finish()
                    self._busy = False
                except BaseException as error:
                    if started:
                        self._stop(error)
                    raise
        except BaseException as error:  # an interrupt may come after the lock
            if started:
                self._stop(error)
            raise
        raise StopIteration

    def _look(self) -> tuple[bool, tuple[int, int], repeat[bool]]:
        """Have the history keep a state, if one is due; gives True, and what `_look_for` is to set."""
        if self._history is None:
            self._history = History(self._passes)
        interval = self._history.look(self._passes)
        return True, (self._passes.count(), interval), repeat(True, interval - 1)

    def _look_for(self, count: int, interval: int) -> None:
        """Begin to count the items that are asked for, the first of which is being asked for now."""
        self._looked, self._until_look = (count, interval), repeat(True, interval - 1)  # at once, as in `__next__`

    def _delivered(self) -> int:
        """While an item is being made: how many have been delivered, as `Passes.count` counts them."""
        count, interval = self._looked
        return count + interval - 1 - self._until_look.__length_hint__()

    def _begin(self) -> Iterator[Any]:
        """The bare items, for a generator that calls `_fail` and `close` itself."""
        self._items = self._passes.begin()
        return self._items

    def _finish(self) -> None:
        if not self._passes.ended:
            self._passes.ended = True
            self._passes.close()
            if self._plain:
                self._spec._ended()
        self._items = iter(())
        self._look_for(self._passes.count(), 1)  # what is asked for from now on is not delivered

    def _stop(self, error: BaseException) -> None:
        """An error came while an item was being made, or before it could be delivered: keep the state, and close."""
        with self._lock:
            if self._closed:
                return
            count = self._delivered()
            try:
                self._last = count, self._state_at(count) if came_between(error) else self._state(failed=True)
            except Exception as no_state:  # noqa: BLE001 - the error on its way is the one to raise
                self._no_state = str(no_state)
            self._fail(error, count)
            self._busy = False

    def _state_at(self, count: int) -> dict[str, Any]:
        """The state after the first `count` items, made of a state before: what has been interrupted knows no place."""
        assert self._history is not None
        try:
            self._passes.state(failed=True)
        except StateError:  # something in it cannot be resumed
            raise
        except Exception:  # noqa: BLE001, S110 - it may have been interrupted anywhere
            pass
        place, draw = self._history.back(count, 0)
        return {**self._head(), **place, "draw": draw}

    def _fail(self, error: BaseException, count: int) -> None:
        """Note on an error where it happened, after so many items, and close."""
        passes = self._passes
        where = [self._spec._label()]
        if passes.node is not None:
            with suppress(Exception):  # it may have been interrupted anywhere
                where = passes.node.where()
        epoch = f" of epoch {passes.epoch}" if passes.epoch else ""
        error.add_note(f"in {' > '.join(where)}, after {passes.within(count)} items{epoch}")
        self._failure = f"an error ({error!r})"
        try:
            self.close()
        except Exception as second:  # noqa: BLE001 - the first error is the one to raise
            error.add_note(f"and closing the stream raised {second!r}")

    def iterate(self, max_iter: int | None = None) -> Generator[Any, None, None]:
        """A generator over the rest of this pass, or its next `max_iter` items."""
        return self._rest(item_count("max_iter", max_iter))

    def __call__(self, max_iter: int | None = None, cycle: bool = False) -> Generator[Any, None, None]:
        """As `iterate`; a live pass cannot be cycled."""
        require(not cycle, "cycle", "False for a pass that is open", cycle, "open it with streamer.open(cycle=True)")
        return self.iterate(max_iter)

    def _rest(self, limit: int | None) -> Generator[Any, None, None]:
        yield from islice(self, limit)

    # ------------------------------------------------------------------ state
    @property
    def position(self) -> int:
        """How many items of this epoch have been delivered."""
        return self._progress()[1]

    @property
    def epoch(self) -> int:
        """The epoch of the last item delivered."""
        return self._progress()[0]

    def _progress(self) -> tuple[int, int]:
        return self._passes.progress(self._passes.count() if self._last is None else self._last[0])

    @property
    def active(self) -> int:
        """1 until it is closed, then 0."""
        return 0 if self._closed else 1

    def state_dict(self, behind: int = 0) -> dict[str, Any]:
        """The position after the last item delivered, or some items back, as a dict that can be written as JSON.

        A state taken after the end resumes to the end, one of a pass with ``cycle=True`` to the next epoch; after an
        error it is still the one after the last item delivered.

        Parameters
        ----------
        behind : int
            How many items back, at most 64: as many as have been drawn and not been used yet.  With ``cycle=True`` they
            may reach into earlier epochs.

        Returns
        -------
        dict
            For `load_state_dict` of a Stream over the same tree, in this process or another.

        Raises
        ------
        ParameterError
            If `behind` is not an integer from 0 to 64.
        StateError
            If something in the tree cannot be resumed, such as a one-shot iterator; if `behind` reaches back before the
            stream was opened, or before the state that was loaded.

        Notes
        -----
        For states that are some items back, a stream keeps a dozen states of its tree.  It takes them while items are
        drawn, in at most a fiftieth of the time.  Loading the state draws the items between the one that was kept and
        the place that was asked for.

        Examples
        --------
        A trainer that draws two items ahead has trained on two of these four:

        >>> from streamflow import Streamer
        >>> stream = Streamer("abcdef").open()
        >>> [next(stream) for _ in range(4)]
        ['a', 'b', 'c', 'd']
        >>> again = Streamer("abcdef").open()
        >>> again.load_state_dict(stream.state_dict(behind=2))
        >>> again.position, next(again)
        (2, 'c')
        """
        allowed = is_integer(behind) and 0 <= behind <= MOST
        require(allowed, "behind", f"an integer from 0 to {MOST}", behind)
        with self._lock:
            if self._busy:
                raise StateError(
                    "state_dict() was called while an item was being made or a state was being loaded (from a signal "
                    "handler, or from inside the tree); set a flag there and call it between two items"
                )
            if self._no_state:
                raise StateError(self._no_state)
            if self._closed and self._last is None:
                raise StreamflowError(self._why_closed())
            count, state = self._last or (self._passes.count(), self._state(failed=False))
            if behind:
                place, draw = (self._history or History(self._passes)).back(count, int(behind))
                state = {**state, **place, "draw": draw}
            elif self._last:
                state = copy.deepcopy(state)
        if self._spec.fingerprint().replayed:
            warn_of_replays(state)
        return state

    def _state(self, failed: bool) -> dict[str, Any]:
        return {**self._head(), **self._passes.state(failed)}

    def _head(self) -> dict[str, Any]:
        if self._spec.fingerprint().needs_entropy:
            self._passes.check_seed()
            _ = self._passes.root.entropy  # drawn now if not yet: a resume must give what would have come
        return head(self._spec, self._passes.root)

    def load_state_dict(
        self, state: Mapping[str, Any], strict: bool = True, verify: bool = True, *, ignore: Collection[Any] = ()
    ) -> None:
        """Continue where a state was taken.

        Parameters
        ----------
        state : dict
            From `state_dict` of a Stream over the same tree.
        strict : bool
            False allows the weights of muxes to have changed, and members to have been added: what is open goes on,
            and the added members are in the draw from then on.  Of muxes that have a slot for each member, that give
            each member once or in turn, they must have been added at the end.  Where a resume makes items again (in
            workers, in windowed maps, `behind`), added members are refused, and changed weights warn.
        verify : bool
            False skips the check that leaves give the same items when they are opened again.
        ignore : collection
            Keys that this check leaves out where items are dicts, such as that of a time stamp.

        Raises
        ------
        StateError
            If the state is of another tree, is damaged, or if a leaf that was open has other arguments now or gives
            other items.  If it is of another tree this pass stays as it was; what is found later closes it.
        """
        loading = Loading(bool(verify), key_set("ignore", ignore), not strict, watch=Watch())
        with self._lock:
            if self._closed:
                raise StreamflowError(self._why_closed())
            saved = Saved(state, "", loading) if isinstance(state, Mapping) else None
            if saved is None or "version" not in saved:
                raise StateError(f"`state` must be a dict from state_dict(), got {short(state)}")
            check_head(saved, self._spec, strict)
            own = self._spec.fingerprint()
            grown, reweighted = saved.value("tree") != own.text, saved.value("weights") != own.weights
            saved = Saved(state, "", loading._replace(grown=grown, reweighted=reweighted))
            draw = saved.count("draw") if "draw" in saved else 0
            saved.check_redrawn(draw, self._spec._label())
            self._passes.root.settle(entropy_of(saved, own.random))
            self._items = None
            self._busy = True  # loading may take long, and a signal handler may ask for a state meanwhile
            try:
                self._passes.restore(saved)
                self._history = History(self._passes)
                self._look_for(0, 1)
                if draw:
                    self._catch_up(draw)
            except BaseException as error:
                self._failure = f"a state that could not be loaded ({error})"
                self.close()
                raise
            finally:
                self._busy = False

    def _catch_up(self, count: int) -> None:
        """Draw so many items: the state that was kept lies so far before the place that was asked for."""
        self._items = self._passes.begin()
        if skip(self._items, count) < count:
            raise StateError(
                f"the state stands {count} items after the one that was kept, and this stream ends before; if it was "
                "taken from a pass with cycle=True, load it into such a pass"
            )

    # ------------------------------------------------------------------ closing
    def _why_closed(self) -> str:
        if self._failure:
            return f"this Stream was closed by {self._failure}; open another with streamer.open()"
        return "this Stream is closed; open another with streamer.open()"

    def close(self) -> None:
        """Close everything below; may be called again."""
        if self._closed:
            return
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._items = iter(())
            self._spec._count(-1)
            self._passes.close()

    __del__ = close

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
