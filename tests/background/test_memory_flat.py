"""Passes, epochs, errors and dropped streams leave nothing behind in the consumer, and nothing in the worker."""

import gc
import weakref
from contextlib import suppress
from functools import partial
from itertools import count, islice

import numpy as np
import pytest

import streamflow as sf

HELD = {}  #: weak references to what members hold, as long as it lives
NUMBERS = count()


def member(value):
    """Yields how many objects there are in its process, and how many arrays such members hold there."""
    held = np.full(1000, value)
    number = next(NUMBERS)
    HELD[number] = weakref.ref(held, lambda _: HELD.pop(number))
    for _ in range(3):
        yield {"objects": len(gc.get_objects()), "held": len(HELD), "large": np.full(10_000, value)}


def breaking(value):
    yield from islice(member(value), 2)
    raise ValueError("here")


def nested(of=member):
    return sf.StochasticMux(
        [sf.RoundRobinMux([sf.Streamer(of, i), sf.Streamer(of, i + 1)]) for i in range(4)], 3, 4, random_state=0
    )


#: All with little read-ahead: a worker keeps an object for each record that it has sent and that is not yet received.
BACKGROUNDS = {
    "thread": sf.ThreadStreamer,
    "shm": partial(sf.ZMQStreamer, transport="shm", buffer_bytes=1),
    "ipc": partial(sf.ZMQStreamer, transport="ipc", buffer_bytes=1),
    "tcp": partial(sf.ZMQStreamer, transport="tcp", buffer_bytes=1),
    "two workers": partial(sf.ZMQStreamer, n_workers=2, n_lanes=3, buffer_bytes=1),
}


@pytest.fixture(autouse=True, name="only_counting")
def only_counting_fixture(sockets):
    """Nothing is collected, and objects made before the test are not counted, in workers either."""
    gc.collect()
    gc.freeze()
    gc.disable()
    HELD.clear()
    yield
    gc.enable()
    gc.unfreeze()


def assert_flat(run, rounds=3, tries=4):
    """Some rounds leave no more objects and arrays than there were before them."""
    run()
    seen = []
    for _ in range(tries):
        before = len(gc.get_objects()), len(HELD)
        for _ in range(rounds):
            run()
        seen.append([len(gc.get_objects()) - before[0], len(HELD) - before[1]])
        if max(seen[-1]) < rounds:
            return
    pytest.fail(f"objects and arrays left by {rounds} rounds, in each try: {seen}")


@pytest.mark.parametrize("background", BACKGROUNDS)
def test_nothing_stays_in_the_consumer(background):
    over, good, bad = BACKGROUNDS[background], nested(), nested(breaking)
    good, bad = over(good), over(bad)

    def run():
        for _ in good(max_iter=10):
            pass
        with good.open() as stream:
            state = [next(stream), stream.state_dict()][1]
        stream = good.open()
        stream.load_state_dict(state)
        next(stream)
        del stream  # dropped
        with suppress(ValueError):
            list(bad)

    assert_flat(run)


def finite(value):
    return sf.RoundRobinMux([sf.Streamer(member, value + i) for i in range(3)])


@pytest.mark.parametrize("background", BACKGROUNDS)
def test_nothing_stays_of_an_epoch(background):
    """An epoch has 27 items; counted on both sides, in the worker by what an item says."""
    tree = BACKGROUNDS[background](sf.RoundRobinMux([finite(i).pipe(sf.tuples, "objects", "held") for i in range(3)]))
    seen = []
    with tree.open(cycle=True) as stream:
        for _ in range(6):
            objects, held = list(islice(stream, 27 * 8))[-1]
            seen.append((int(objects), int(held), len(gc.get_objects())))
    sides = 2 if background == "thread" else 3  # a thread keeps running while its consumer counts
    assert (np.array(seen[-1]) - seen[1] < 16)[:sides].all(), seen


@pytest.mark.parametrize("background", BACKGROUNDS)
def test_nothing_stays_of_an_activation(background):
    """About fifty activations of muxes between two counts; how many objects the open ones have varies."""
    tree = BACKGROUNDS[background](nested().pipe(sf.tuples, "objects", "held"))
    seen = []
    with tree.open() as stream:
        for _ in range(6):
            objects, held = list(islice(stream, 200))[-1]
            seen.append((int(objects), int(held), len(gc.get_objects())))
    assert (np.array(seen[-1]) - seen[1] < 150).all(), seen
