"""Stream: one live pass over a Streamer, the outermost iterator, which owns everything that changes.

`Passes` takes the root node through its epochs; `Stream` is the handle that users hold.  The handle is in no reference
cycle, so dropping it closes the tree at once.
"""

from __future__ import annotations

import copy
import threading
import warnings
from collections.abc import Collection, Generator, Iterator, Mapping
from itertools import islice, repeat
from typing import Any, Self

import numpy as np

from ..exceptions import StateError, StreamflowError
from .exact import bounded
from .fingerprint import FORMAT, differing
from .history import MOST, History
from .label import short
from .node import skip
from .passes import Passes
from .replayed import warn_of_replays
from .saved import Loading, Saved
from .spec import Spec
from .validate import epoch_number, is_integer, item_count, require
from .watch import Watch

__all__ = ["Stream"]

_VERSION = 2
_MOST_BITS, _MOST_WORDS = 1 << 14, 1 << 10  #: of the entropy in a state


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

    def __init__(self, streamer: Spec, epoch: int = 0, cycle: bool = False) -> None:
        self._closed = True  # until everything below has been made
        self._spec = streamer
        self._passes = Passes(streamer, epoch_number("epoch", epoch), cycle)
        self._items: Iterator[Any] | None = None
        self._lock = threading.RLock()
        self._busy = False
        self._failure = ""  # what closed it, as text: an error itself holds our frames
        self._history: History | None = None
        self._until_look: Iterator[None] = iter(())  # one for each item before which the history need not look
        self._last: tuple[int, dict[str, Any]] | None = None  # count and state when an error closed it
        self._no_state = ""  # why there is no state at that moment
        self._plain = False  # whether neither epoch nor cycle was named
        self._closed = False
        streamer._count(1)

    # ------------------------------------------------------------------ iteration
    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        with self._lock:
            if self._closed:
                raise StreamflowError(self._why_closed())
            for _ in self._until_look:  # a countdown in C, at half the price of an integer
                break
            else:
                self._look()
            self._busy = True
            try:
                if self._items is None:
                    self._items = self._passes.begin()
                return next(self._items)
            except StopIteration:
                self._finish()
                raise
            except BaseException as error:
                self._remember_state()
                self._fail(error)
                raise
            finally:
                self._busy = False

    def _look(self) -> None:
        """Have the history keep a state, if one is due."""
        if self._history is None:
            self._history = History(self._passes)
        self._until_look = repeat(None, self._history.look(self._passes) - 1)

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

    def _fail(self, error: BaseException) -> None:
        """Note on an error where it happened, and close."""
        passes = self._passes
        where = [self._spec._label()] if passes.node is None else passes.node.where()
        epoch = f" of epoch {passes.epoch}" if passes.epoch else ""
        error.add_note(f"in {' > '.join(where)}, after {passes.given(failed=True)} items{epoch}")
        self._failure = f"an error ({error!r})"
        try:
            self.close()
        except Exception as second:  # noqa: BLE001 - the first error is the one to raise
            error.add_note(f"and closing the stream raised {second!r}")

    def _remember_state(self) -> None:
        """Keep the state for `state_dict` when the tree is about to be closed by an error."""
        try:
            self._last = self._passes.count(failed=True), self._state(failed=True)
        except Exception as no_state:  # noqa: BLE001 - the error on its way is the one to raise
            self._no_state = str(no_state)

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
        return self._passes.progress(failed=bool(self._failure))[1]

    @property
    def epoch(self) -> int:
        """The epoch of the last item delivered."""
        return self._passes.progress()[0]

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
                    "state_dict() was called while an item was being made (from a signal handler, or from inside the "
                    "tree); set a flag there and call it between two items"
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
        own, root = self._spec.fingerprint(), self._passes.root
        if own.random:
            self._passes.check_seed()
            _ = root.entropy  # drawn now if not yet: a resume must give what would have come
        return {
            "version": _VERSION,
            "numpy": np.__version__,
            "format": FORMAT,
            "tree": own.text,
            "root": _identity(self._spec),
            "weights": own.weights,
            "entropy": root.drawn,
            **self._passes.state(failed),
        }

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
            each member once or in turn, they must have been added at the end.
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
        listed = isinstance(ignore, Collection) and not isinstance(ignore, (str, bytes))
        require(listed, "ignore", "a collection of keys", ignore, "ignore=('time',) for one key")
        loading = Loading(bool(verify), frozenset(ignore), not strict, watch=Watch())
        with self._lock:
            if self._closed:
                raise StreamflowError(self._why_closed())
            saved = Saved(state, "", loading) if isinstance(state, Mapping) else None
            if saved is None or "version" not in saved:
                raise StateError(f"`state` must be a dict from state_dict(), got {short(state)}")
            self._check(saved, strict)
            if saved.value("tree") != self._spec.fingerprint().text:
                saved = Saved(state, "", loading._replace(grown=True))
            self._passes.root.settle(_entropy(saved, self._spec.fingerprint().random))
            draw = saved.count("draw") if "draw" in saved else 0
            self._items = None
            try:
                self._passes.restore(saved, verify)
                self._history = History(self._passes)
                if draw:
                    self._catch_up(draw)
            except BaseException as error:
                self._failure = f"a state that could not be loaded ({error})"
                self.close()
                raise

    def _catch_up(self, count: int) -> None:
        """Draw so many items: the state that was kept lies so far before the place that was asked for."""
        self._items = self._passes.begin()
        if skip(self._items, count) < count:
            raise StateError(
                f"the state stands {count} items after the one that was kept, and this stream ends before; if it was "
                "taken from a pass with cycle=True, load it into such a pass"
            )

    def _check(self, saved: Saved, strict: bool) -> None:
        own, version = self._spec.fingerprint(), saved.value("version")
        if version != _VERSION:
            raise StateError(f"the state has version {short(version)}; this release reads version {_VERSION}")
        tree, weights, numpy = saved.text("tree"), saved.text("weights"), saved.text("numpy")
        if saved.text("format") != FORMAT:
            raise StateError("the state is of another release of streamflow, whose streams have other items")
        root, own_root = saved.text("root"), _identity(self._spec)
        if tree != own.text and (strict or root != own_root):
            was, now = differing(tree, own.text) if root == own_root else differing(root, own_root)
            hint = " (strict=False goes on if members were only added)" if root == own_root else ""
            raise StateError(f"the state is of another tree: it has {was}, this has {now}{hint}")
        if strict and weights != own.weights:
            raise StateError("the state is of a tree with other weights (strict=False allows it)")
        if numpy != np.__version__:
            warnings.warn(
                f"the state was taken with NumPy {numpy}, this is {np.__version__}: random numbers may differ",
                stacklevel=3,
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


def _identity(spec: Spec) -> str:
    """What a tree is apart from the members of its muxes."""
    return bounded(spec._identity(), 1000)


def _entropy(saved: Saved, needed: bool) -> int | list[int] | None:
    """The entropy of a state: None, an integer of any size, or a list of such."""
    found = saved.value("entropy")
    words = found if isinstance(found, list) else [0 if found is None else found]
    fits = all(type(word) is int and word >= 0 and word.bit_length() <= _MOST_BITS for word in words)
    if not fits or not 1 <= len(words) <= _MOST_WORDS or (needed and found is None):
        rule = "an integer that is not negative, or a list of these"
        raise saved.wrong("entropy", rule if needed else f"null, {rule}")
    return found  # type: ignore[no-any-return]
