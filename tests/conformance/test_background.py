"""Our background streams keep their promises: one test for each kind and promise.

By default a kind is held to the promises that it could break; with ``--thorough`` each is held to all.
"""

import functools
import random
import threading

import numpy as np
import pytest

from streamflow import ThreadStreamer, ZMQStreamer

from .case import Case, threads_left
from .crossing import ENDS, FAILING, ITEMS
from .lasting import LANES, LASTING
from .promises import PROMISES, hold
from .stopping import STOPPING

ONE_LANE = {**ITEMS, **FAILING, **ENDS, **STOPPING, **LASTING}
#: What breaks if something cannot be pickled, or is not found in a new interpreter.
CARRIED = {
    "what arrives equals what the tree gives, with the same types",
    "an error arrives after the items before it, with its message, traceback and place",
    "an error arrives that a leaf function raises when it is called",
    "after np.random.seed a stream without a seed repeats",
    "a pass resumes where a state was taken",
    "the state of a leaf is a snapshot",
    "the state of another tree is refused",
    "lanes are merged one item each, and their number alone decides what comes",
}
#: What depends on the read-ahead.
FULL = {
    *STOPPING,
    "items that are held or written to have nothing to do with later ones",
    "a state is right while items are on their way, and taking it disturbs nothing",
    "there is a state while the leaf hangs",
}


def zmq(**how):
    return functools.partial(ZMQStreamer, **how)


#: For each kind: how it is made, how many items of 4 MiB it may be ahead, its promises by default, and all of them.
KINDS = {
    "thread": (ThreadStreamer, 32, ONE_LANE, ONE_LANE),
    "thread, small buffer": (functools.partial(ThreadStreamer, buffer=1), 1, FULL, ONE_LANE),
    "shm": (zmq(transport="shm"), 32, PROMISES, PROMISES),
    "ipc": (zmq(transport="ipc"), 32, PROMISES, PROMISES),
    "tcp": (zmq(transport="tcp"), 32, {*ITEMS, *CARRIED}, PROMISES),
    "copy": (zmq(copy=True), 32, ITEMS, PROMISES),
    "restart": (zmq(on_worker_death="restart"), 32, {*FAILING, *LASTING, *LANES}, PROMISES),
    "small buffer": (zmq(buffer_bytes=1), 2, FULL, PROMISES),
    "forkserver": (zmq(start_method="forkserver"), 32, PROMISES, PROMISES),
    "spawn": (zmq(start_method="spawn"), 32, CARRIED, PROMISES),
}


def items():
    for kind, (_, _, default, everything) in KINDS.items():
        for promise in everything:
            marks = [] if promise in default else pytest.mark.thorough
            yield pytest.param(kind, promise, id=f"{kind}: {promise}", marks=marks)


@pytest.mark.parametrize(("kind", "promise"), [*items()])
def test_promise(kind, promise, tmp_path):
    make, ahead, *_ = KINDS[kind]
    before = set(threading.enumerate())
    hold(Case(make, tmp_path, ahead), promise)
    assert threads_left(before, 10) == []


def test_the_promises_named_here_exist():
    assert set(PROMISES) >= CARRIED | FULL


def test_the_global_random_state_is_left_alone():
    np.random.seed(3)
    random.seed(3)
    before = repr(np.random.get_state())
    hold(Case(ThreadStreamer, None), "after np.random.seed a stream without a seed repeats")
    assert repr(np.random.get_state()) == before
