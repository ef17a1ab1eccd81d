"""A Ctrl-C at any line while an item is being made: nothing is lost, repeated or changed by a resume.

One comes before each chosen line of the package; and real signals come at random moments.
"""

import contextlib
import itertools
import random
import signal
import threading
import time

import numpy as np
import pytest

import streamflow as sf
from streamflow.sources import ArraySource

from ..amount import amount
from ..interrupting import PACKAGE, Interrupt
from .test_state import TREES, plain, take, through_json

ITEMS = 18  #: of a pass that are looked at

SOURCE = ArraySource({"x": np.arange(7), "y": np.arange(7.0)})
MORE = {
    "samples": lambda: SOURCE.samples(shuffle=True, epochs=3, random_state=1),
    "batches": lambda: SOURCE.batches(2, shuffle=True, epochs=3, random_state=1),
    "batches across epochs": lambda: SOURCE.batches(3, shuffle=True, epochs=None, across_epochs=True, random_state=1),
    "mux of batches": lambda: sf.ShuffledMux([SOURCE.batches(2), SOURCE.samples(shuffle=True)], random_state=1),
    "thread": lambda: sf.ThreadStreamer(TREES["weighted"]()),
    "threads": lambda: sf.ThreadStreamer(TREES["weighted"](), buffer=3),
}
EVERY = {**TREES, **MORE}


def of_package(code):
    return code.co_filename.startswith(PACKAGE)


def drawn(live, count, interrupt):
    """Up to `count` items, and whether the interrupt has come."""
    got = []
    try:
        with interrupt:
            while len(got) < count:
                item = next(live, live)
                if item is live:
                    break
                got.append(plain(item))  # after this the item counts as delivered
    except KeyboardInterrupt:
        return got, True
    return got, False


def opened(make, cycle):
    return make().open(cycle=cycle)


def expected_of(make, cycle):
    """The items, and epoch and position before the first and after each."""
    items = []
    with opened(make, cycle) as live:
        places = [(live.epoch, live.position)]
        for item in live:
            items.append(plain(item))
            places.append((live.epoch, live.position))
            if len(items) == ITEMS + 8:
                break
    return items, places


# What comes while the collector closes something is lost by Python itself.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("cycle", [False, True], ids=["once", "cycle"])
@pytest.mark.parametrize("name", EVERY)
def test_an_interrupt_before_any_line(name, cycle):
    make = EVERY[name]
    expected, places = expected_of(make, cycle)
    with opened(make, cycle) as live, Interrupt(None, of_package) as passing:
        take(live, ITEMS)
    lines = passing.moments
    # Of a short tree all, so that no line of `Stream` is left out.
    step = 1 if name == "list" else max(1, lines // amount(40, lines))
    seen = 0
    for at in range(lines % step, lines, step):
        with opened(make, cycle) as live:
            got, interrupted = drawn(live, ITEMS, Interrupt(at, of_package))
            if not interrupted:
                continue  # threads: the number of lines varies
            seen += 1
            assert got == expected[: len(got)], at
            try:
                state = live.state_dict()
            except sf.StateError:
                continue
            assert (live.epoch, live.position) == places[len(got)], at
        with opened(make, cycle) as again:
            again.load_state_dict(through_json(state))
            rest = [plain(item) for item, _ in zip(again, range(8), strict=False)]
            assert rest == expected[len(got) : len(got) + 8], at
    assert seen or not lines


@pytest.mark.parametrize("more", [0, 2])
def test_a_pass_that_goes_on_after_an_interrupt_counts_right(more):
    """One that came before an item was begun leaves the pass open."""
    tree, went_on = sf.Streamer(range(40)), 0
    for before, at, last in itertools.product((1, 2, 4), range(60), (8, 19)):
        with tree.open() as live:
            got = take(live, before)
            if not drawn(live, 1, Interrupt(at, of_package))[1]:
                continue
            if live.active:
                got += take(live, more)
                went_on += 1
                got += drawn(live, 1, Interrupt(last, of_package))[0]
            state = live.state_dict()
        with tree.open() as again:
            again.load_state_dict(state)
            assert [*got, *map(plain, again)] == [plain(item) for item in range(40)], (before, at, last)
    assert went_on > 20


class Alarm(Exception):
    """What a signal handler of a user's raises."""


def alarmed(number, frame):
    raise Alarm


LONG = 400


# What comes while the collector closes something is lost by Python itself.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("handler", [signal.default_int_handler, alarmed], ids=["Ctrl-C", "a handler of one's own"])
@pytest.mark.parametrize("name", ["three levels", "exhaustive", "buffers", "mux of batches", "thread"])
def test_real_signals_at_random_moments(name, handler):
    """One signal in each pass, sent by another thread; a pass that it missed is no case."""
    make, dice, hits = EVERY[name], random.Random(7), 0
    with opened(make, True) as live:
        expected = take(live, LONG + 8)
    main = threading.get_ident()

    def send(after):
        time.sleep(after)
        signal.pthread_kill(main, signal.SIGINT)

    before = signal.signal(signal.SIGINT, handler)
    try:
        for _ in range(amount(40, 2000)):
            live, count, state = opened(make, True), 0, None
            sender = threading.Thread(target=send, args=(dice.uniform(0, 4e-3),))
            try:
                try:
                    sender.start()
                    for item in live:
                        assert plain(item) == expected[count]
                        count += 1
                        if count == LONG:
                            break
                finally:
                    sender.join()
            except (KeyboardInterrupt, Alarm):
                hits += 1
            with live, contextlib.suppress(sf.StreamflowError):
                state = live.state_dict()
            if state is not None:
                with opened(make, True) as again:
                    again.load_state_dict(through_json(state))
                    rest = take(again, 4)
                # One may have been lost on the way from the stream into this loop.
                assert rest in (expected[count : count + 4], expected[count + 1 : count + 5])
    finally:
        signal.signal(signal.SIGINT, before)
    assert hits
