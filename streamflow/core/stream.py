"""Stream: one live pass over a Streamer, the outermost iterator, which owns everything that changes.

`Passes` drives the root node through its epochs; `Stream` is the handle that users hold.  The handle is in no reference
cycle, so dropping it closes the tree at once.
"""

from __future__ import annotations

import copy
import sys
import threading
import warnings
from collections.abc import Generator, Iterator, Mapping
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ..exceptions import ParameterError, StateError, StreamflowError
from .label import short
from .node import Node
from .validate import is_integer, require

if TYPE_CHECKING:
    from .streamer import Streamer

__all__ = ["Stream", "checked_epoch", "checked_max_iter"]

_VERSION = 1
_FIELDS = ("numpy", "tree", "weights", "entropy", "epoch", "given", "node")


def checked_max_iter(max_iter: Any) -> int | None:
    """How many items are wanted, None for all.

    >>> checked_max_iter(1e2), checked_max_iter(-3), checked_max_iter(None)
    (100, 0, None)
    """
    if max_iter is None:
        return None
    number = not isinstance(max_iter, (bool, np.bool_, str, bytes)) and not (
        isinstance(max_iter, (float, np.floating)) and not np.isfinite(max_iter)
    )
    try:
        require(number, "max_iter", "None or a number of items", max_iter)
        return min(max(0, int(max_iter)), sys.maxsize)
    except TypeError:
        raise ParameterError(f"`max_iter` must be None or a number of items, got {max_iter!r}") from None


def checked_epoch(epoch: Any) -> int:
    """An epoch: an integer from 0 on."""
    whole = is_integer(epoch)
    require(whole and 0 <= epoch < 1 << 32, "epoch", "an integer from 0 on, below 2**32", epoch)
    return int(epoch)


class Passes:
    """The root of a live tree: one epoch, or one after the other."""

    def __init__(self, spec: Streamer, epoch: int, cycle: bool) -> None:
        self.spec, self.cycle, self.epoch = spec, cycle, epoch
        self.root = spec._root()
        self.node: Node | None = None
        self.ended = False

    def begin(self) -> Iterator[Any]:
        """Open the root node and give the items of the pass."""
        node = self.node or self._open(self.epoch)
        return chain.from_iterable(self._epochs()) if self.cycle else node.items

    def _open(self, epoch: int) -> Node:
        node = self.node = self.spec._open_pass(self.root, epoch)
        return node

    def _epochs(self) -> Iterator[Iterator[Any]]:
        while self.node is not None:
            yield self.node.items
            if not self.node.given():  # an epoch without items is the last
                return
            self.ended = True  # so that an error until the next one stands finds this epoch ended
            if not self.node.next_epoch(self.epoch + 1):
                self.node.close()
                self.node = None
                self._open(self.epoch + 1)
            self.epoch, self.ended = self.epoch + 1, False

    def given(self, failed: bool = False) -> int:
        return 0 if self.node is None else self.node.given(failed)

    def progress(self, failed: bool = False) -> tuple[int, int]:
        """The epoch of the last item given, and how many of that epoch have been."""
        own = None if self.node is None else self.node.progress()
        return own or (self.epoch, self.given(failed))

    def state(self, failed: bool) -> dict[str, Any]:
        if self.ended:
            return {"epoch": self.epoch + 1, "given": 0, "node": None}
        inside = None if self.node is None else self.node.state(failed)
        return {"epoch": self.epoch, "given": self.given(failed), "node": inside}

    def restore(self, state: Mapping[str, Any], verify: bool) -> None:
        self.close()
        self.epoch, self.node, self.ended = state["epoch"], None, False
        if state["node"] is not None:
            self._open(self.epoch).restore(state["node"], state["given"], verify)

    def close(self) -> None:
        if self.node is not None:
            self.node.close()


class Stream:
    """One live pass over a Streamer: an iterator with a position that can be saved.  Made by `Streamer.open`.

    A Stream may be shared by threads: each item goes to exactly one of them.  It is a context manager; leaving the
    block, `close()` and dropping it close every source below it.

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

    def __init__(self, streamer: Streamer, epoch: int = 0, cycle: bool = False) -> None:
        self._closed = True  # until everything below has been made
        self._spec = streamer
        self._passes = Passes(streamer, checked_epoch(epoch), cycle)
        self._items: Iterator[Any] | None = None
        self._lock = threading.RLock()
        self._busy = False
        self._failure = ""  # the error that closed it, in words: the error itself holds our frames
        self._last_state: dict[str, Any] | None = None
        self._no_state = ""  # why there is no state of that moment
        self._closed = False
        streamer._count(1)

    # ------------------------------------------------------------------ iteration
    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        with self._lock:
            if self._closed:
                raise StreamflowError(self._why_closed())
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

    def _begin(self) -> Iterator[Any]:
        """The bare items, for a generator that calls `_fail` and `close` itself."""
        self._items = self._passes.begin()
        return self._items

    def _finish(self) -> None:
        if not self._passes.ended:
            self._passes.ended = True
            self._passes.close()
        self._items = iter(())

    def _fail(self, error: BaseException) -> None:
        """Note on an error where it was, and close."""
        passes = self._passes
        where = [self._spec._label()] if passes.node is None else passes.node.where()
        epoch = f" of epoch {passes.epoch}" if passes.epoch else ""
        error.add_note(f"in {' > '.join(where)}, after {passes.given(failed=True)} items{epoch}")
        self._failure = repr(error)
        try:
            self.close()
        except Exception as second:  # noqa: BLE001 - the first error is the one to raise
            error.add_note(f"and closing the stream raised {second!r}")

    def _remember_state(self) -> None:
        """Keep the state for `state_dict` when the tree is about to be closed by an error."""
        try:
            self._last_state = self._state(failed=True)
        except Exception as no_state:  # noqa: BLE001 - the error on its way is the one to raise
            self._no_state = str(no_state)

    def iterate(self, max_iter: int | None = None) -> Generator[Any, None, None]:
        """A generator over the rest of this pass, or its next `max_iter` items."""
        return self._rest(checked_max_iter(max_iter))

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

    def state_dict(self) -> dict[str, Any]:
        """The position after the last item delivered, ready for JSON.

        After the end it means the beginning of the next epoch; after an error it still means the last item delivered.

        Returns
        -------
        dict
            To be given to `load_state_dict` of a Stream over the same tree, in this process or in another.

        Raises
        ------
        StateError
            If something in the tree cannot be resumed, such as a one-shot iterator.
        """
        with self._lock:
            if self._busy:
                raise StateError(
                    "state_dict() was called while an item was being made (from a signal handler, or from inside the "
                    "tree); set a flag there and call it between two items"
                )
            if self._last_state is not None:
                return copy.deepcopy(self._last_state)
            if self._no_state:
                raise StateError(self._no_state)
            if self._closed:
                raise StreamflowError(self._why_closed())
            return self._state(failed=False)

    def _state(self, failed: bool) -> dict[str, Any]:
        shape, root = self._spec.fingerprint(), self._passes.root
        if shape.random:
            _ = root.entropy  # what comes later must be what would have come
        return {
            "version": _VERSION,
            "numpy": np.__version__,
            "tree": shape.text,
            "weights": shape.weights,
            "entropy": root.drawn,
            **self._passes.state(failed),
        }

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True, verify: bool = True) -> None:
        """Go on where a state was taken.

        Parameters
        ----------
        state : dict
            From `state_dict` of a Stream over the same tree.
        strict : bool
            False allows the weights of muxes to have changed.
        verify : bool
            False skips the check that sources give the same items when they are opened again.

        Raises
        ------
        StateError
            If the state is of another tree, if a source that was open has other arguments now, or if it gives other
            items than before.
        """
        with self._lock:
            if self._closed:
                raise StreamflowError(self._why_closed())
            self._check(state, strict)
            self._passes.root.settle(state["entropy"])
            self._items = None
            try:
                self._passes.restore(state, verify)
            except BaseException as error:
                self.close()
                if isinstance(error, (KeyError, IndexError, TypeError, ValueError)) and _is_ours(error):
                    raise StateError(f"the state is damaged: {error!r}") from error
                raise

    def _check(self, state: Mapping[str, Any], strict: bool) -> None:
        shape = self._spec.fingerprint()
        if not isinstance(state, Mapping) or "version" not in state:
            raise StateError(f"a state is a dict from state_dict(), got {short(state)}")
        if state["version"] != _VERSION:
            raise StateError(f"the state has version {state['version']!r}; this release reads version {_VERSION}")
        lost = [name for name in _FIELDS if name not in state]
        if lost:
            raise StateError(f"the state is damaged: it has no {', '.join(lost)}")
        if state["tree"] != shape.text:
            told = f"it is of {_cut(state['tree'])}, this is {_cut(shape.text)}"
            raise StateError(f"the state is of another tree: {told}")
        if strict and state["weights"] != shape.weights:
            raise StateError("the state is of a tree with other weights (strict=False allows that)")
        if state["numpy"] != np.__version__:
            warnings.warn(
                f"the state was taken with NumPy {state['numpy']}, this is {np.__version__}: random numbers may differ",
                stacklevel=3,
            )

    # ------------------------------------------------------------------ closing
    def _why_closed(self) -> str:
        if self._failure:
            return f"this Stream was closed by an error ({self._failure}); open another with streamer.open()"
        return "this Stream is closed; open another with streamer.open()"

    def close(self) -> None:
        """Close every source below; may be called again."""
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


def _is_ours(error: BaseException) -> bool:
    """Whether an error was raised by a line of this package, and not inside a user's source."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    module = "" if trace is None else trace.tb_frame.f_globals.get("__name__", "")
    return module.startswith(f"{__name__.partition('.')[0]}.") and not isinstance(error, StreamflowError)


def _cut(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:120]} ... {text[-70:]}"
