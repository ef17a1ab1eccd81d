"""`check_background`: hold background streams to all that they promise."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..core import Streamer
from ..core.validate import is_integer, is_number, require
from .case import Case, takes_lanes
from .crossing import CROSSING
from .guard import within
from .journal import appear
from .lasting import LANES, LASTING
from .stopping import STOPPING
from .subject import expect, promise

__all__ = ["check_background"]


def check_background(
    make: Callable[..., Any], *, lanes: bool | None = None, ahead: int = 32, timeout: float = 60
) -> None:
    """Check that a background stream keeps every promise of background streams; raise where it does not.

    For classes of your own that run a tree elsewhere: in a thread, in a process, on a cluster.

    Parameters
    ----------
    make : class or function
        Called as ``make(streamer)``; gives the background stream of a `Streamer`, as a Streamer of one lane.
    lanes : bool, optional
        Whether ``make(streamer, n_workers=2, n_lanes=3)`` divides the stream.  None: it does if `make` has parameters
        of both names, or takes any keyword (and hands them on).
    ahead : int
        How many items of 4 MiB may be made ahead, at least 1.
    timeout : float
        Seconds that a promise may take before it counts as broken, and says where it hangs.

    Raises
    ------
    AssertionError
        If a promise is broken; its text says which, and where.
    ParameterError
        If a parameter is wrong.

    Notes
    -----
    What is checked, in this order:

    1. items of every kind arrive with their types; arrays can be written to; items that are held or written to have
       nothing to do with others (where the source runs in this process, what is written into an item is seen by a
       source that has kept it, as it is without a background);
    2. a seeded stream is that of the tree, in each epoch, and one without a seed repeats after ``np.random.seed``;
    3. errors arrive after the items before them, say what they were and where, and are errors here too (`SystemExit`,
       and those that cannot be pickled);
    4. the end is the end, nothing is opened too early, one-shot iterators are refused;
    5. items are made ahead, and not too many;
    6. however a pass is left, ``finally`` has run in its sources when it is closed, and no process that they ran in is
       left, nor a thread of this one;
    7. a state resumes exactly: before the first item, in the middle with items on their way, after the last, past the
       end, after an error, and while the source hangs;
    8. it is a part of a tree like any other, and its parts are those of the tree;
    9. lanes: merged one item each, the same by any number of workers, and so are their states.

    Sources are functions of this package: another process must be able to import it.

    Examples
    --------
    >>> from streamflow import ThreadStreamer
    >>> check_background(ThreadStreamer)
    >>> check_background(lambda streamer: streamer)
    Traceback (most recent call last):
    AssertionError: what arrives equals what the tree gives, with the same types: `make` gave back the stream itself
    """
    takes = callable(make) and not isinstance(make, Streamer)
    require(takes, "make", "a class or function that takes a Streamer", make)
    require(lanes is None or isinstance(lanes, bool), "lanes", "None, True or False", lanes)
    require(is_integer(ahead) and ahead >= 1, "ahead", "an integer from 1 on", ahead)
    require(is_number(timeout) and 0 < timeout < float("inf"), "timeout", "a number of seconds above 0", timeout)
    promises = {**CROSSING, **STOPPING, **LASTING}
    if takes_lanes(make) if lanes is None else lanes:
        promises.update(LANES)
    before = set(threading.enumerate())
    # A source that hangs may go on to write there.
    with tempfile.TemporaryDirectory(prefix="streamflow-", ignore_cleanup_errors=True) as folder:
        case = Case(make, Path(folder), float(timeout), int(ahead))
        for told, check in promises.items():
            _hold(case, told, check)
            with promise(f"{told}: no thread is left"):
                appear(lambda: set(threading.enumerate()) <= before, timeout / 10)
                left = [thread.name for thread in threading.enumerate() if thread not in before]
                expect(not left, f"there are {', '.join(left)}")


def _hold(case: Case, told: str, check: Callable[[Case], None]) -> None:
    with promise(told):
        within(case.timeout, lambda: check(case))
