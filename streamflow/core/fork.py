"""What must happen around a fork: one registry for the whole package.  Imports nothing from streamflow.

A forked child has copies of our locks and records as they were at that moment, but none of the threads that used them.
A module that keeps such things registers here, when it is imported, how to make them usable again.
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
    """Register functions to run around every fork; no-op where the system cannot fork.

    Parameters
    ----------
    before : function, optional
        Runs in the parent before the fork; the last one registered runs first.
    in_parent, in_child : function, optional
        Run after the fork in the parent and in the child, in the order of registration.
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
