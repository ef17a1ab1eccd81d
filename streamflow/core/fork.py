"""What a forked child has to set right before it goes on: one list for the whole package.  Imports nothing of it.

A child has copies of our locks, books and threads' leftovers, as they stood when another thread forked.  Whoever keeps
such a thing registers here, when its module is imported, how it is made fit for use again.
"""

from __future__ import annotations

import os
from collections.abc import Callable

__all__ = ["at_fork"]

Hook = Callable[[], object]
_before: list[Hook] = []
_in_parent: list[Hook] = []
_in_child: list[Hook] = []


def at_fork(*, before: Hook | None = None, in_parent: Hook | None = None, in_child: Hook | None = None) -> None:
    """Register functions that run around a fork, where the system can fork.

    Parameters
    ----------
    before : function, optional
        Runs in the process that forks, before it does; the last one registered runs first.
    in_parent, in_child : function, optional
        Run after the fork, on their side of it, in the order of registration.
    """
    if before is not None:
        _before.insert(0, before)
    if in_parent is not None:
        _in_parent.append(in_parent)
    if in_child is not None:
        _in_child.append(in_child)


def _run(hooks: list[Hook]) -> None:
    for hook in hooks:
        hook()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=lambda: _run(_before),
        after_in_parent=lambda: _run(_in_parent),
        after_in_child=lambda: _run(_in_child),
    )
