"""What a worker does: draw items and send them, and now and then a mark.  Knows `core`, `records` and `sending`.

A mark is the state of the tree at its place among the items.  Whoever has read the last mark, and counts the items
after it, can say without asking anybody where the stream stands.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from time import perf_counter
from typing import Any

from ..core.node import Node, skip
from ..core.streamer import open_node
from ..exceptions import BackgroundError, StateError
from .records import END, ERROR, MARK, READY, Sink, Stopped
from .sending import Job
from .wire import pickled, unpickled

__all__ = ["continued", "portable", "produce"]

#: Seconds until the first mark.
FIRST_MARK = 0.02
#: Marks may take one part in so many of the time.
SHARE = 50


def continued(job: Job) -> Node:
    """The node of a job, at its position."""
    node = open_node(job.tree, job.key, job.shards)
    try:
        if job.state is not None:
            node.restore(job.state, job.given, job.verify)
        _skip(node, job)
    except BaseException:
        node.close()
        raise
    return node


def _skip(node: Node, job: Job) -> None:
    if skip(node.items, job.skip) < job.skip:
        raise StateError(f"the stream had given {job.given + job.skip} items and has fewer now")


def produce(get_job: Callable[[], Job], sink: Sink, quiet: Callable[[], None]) -> None:
    """Run a job to its end; an error is sent, never raised (`Stopped` apart).

    `quiet` is called when the tree is closed: from then on its ``finally`` blocks are not to be interrupted.
    """
    node: Node | None = None
    try:
        node = continued(get_job())
        sink.put(READY, None)
        _draw(node, sink)
        quiet()
        node.close()
        sink.put(END, None)
    except Stopped:
        quiet()
        if node is not None:
            node.close()
        raise
    except BaseException as error:  # noqa: BLE001  (it is raised in the consumer)
        quiet()
        text = traceback.format_exc()
        where = node.where() if node is not None else []
        if node is not None:
            try:
                node.close()
            except Exception as second:  # noqa: BLE001
                error.add_note(f"and closing the stream raised {second!r}")
        sink.put(ERROR, portable(error, text, where))


def _draw(node: Node, sink: Sink) -> None:
    due = perf_counter() + FIRST_MARK
    for item in node.items:
        sink.item(item)
        item = None  # (it is not to be held while the next is made)
        sink.check()
        if perf_counter() >= due:
            due = _mark(node, sink)


def _mark(node: Node, sink: Sink) -> float:
    """Send a mark; the time when the next is due."""
    began = perf_counter()
    try:
        sink.put(MARK, (node.given(), node.state()))
    except Exception as error:  # noqa: BLE001  (it will be told when somebody asks for a state)
        sink.put(MARK, error if isinstance(error, StateError) else StateError(f"a source has no state: {error!r}"))
        return float("inf")
    ended = perf_counter()
    return ended + max(FIRST_MARK, SHARE * (ended - began))


def portable(error: BaseException, text: str, where: list[str]) -> tuple[list[Any], str, str, list[str]]:
    """An error as parts that are known to unpickle, what it says, its traceback, and its path."""
    if isinstance(error, SystemExit):
        said = f"the tree called sys.exit({error.code!r})"
    else:
        said = f"{type(error).__name__}: {error}"
    if not isinstance(error, Exception) or isinstance(error, (StopIteration, StopAsyncIteration)):
        error = BackgroundError(f"in a worker {said}")  # raised in the consumer it would mean something else
    try:
        parts = pickled(error)
        if type(unpickled(parts)) is type(error):
            return [bytes(part) for part in parts], said, text, where
    except Exception:  # noqa: BLE001, S110  (its words will do)
        pass
    return pickled(BackgroundError(f"in a worker {said}")), said, text, where
