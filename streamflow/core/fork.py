"""What must happen around a fork: the one place of the package that registers it.  Imports nothing of streamflow.

A forked child has copies of our locks and records as they were at that moment, and none of the threads that used them.
A module that keeps such things says here, when it is imported, how they are made usable again.
"""

from __future__ import annotations

import os
from collections.abc import Callable

__all__ = ["at_fork"]

Hook = Callable[[], object]


def at_fork(*, before: Hook | None = None, in_parent: Hook | None = None, in_child: Hook | None = None) -> None:
    """Register functions that run around each later fork; does nothing where the system cannot fork.

    An error in one of them is printed, and the others run all the same.

    Parameters
    ----------
    before : function, optional
        Runs in the process that forks, before it does; the last one registered runs first.
    in_parent, in_child : function, optional
        Run after the fork, each in its own process, in the order of registration.
    """
    given = {"before": before, "after_in_parent": in_parent, "after_in_child": in_child}
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(**{moment: hook for moment, hook in given.items() if hook is not None})
