"""Streamers that break a promise are rejected, and the text says which promise."""

import os
import random
import threading
import time
from itertools import islice

import numpy as np
import pytest

from streamflow import ParameterError, RoundRobinMux, Streamer, buffer_stream
from streamflow.core import stream_map
from streamflow.mux import BaseMux
from streamflow.testing import check_streamer, rows

from . import leaves

#: The promise that most wrong states break.
RESUMES = "^a pass resumes exactly where a state was taken"


def rejected(streamer, text, **how):
    with pytest.raises(AssertionError, match=text):
        check_streamer(streamer, **{"n_items": 12, "fresh_process": False, **how})


# ---------------------------------------------------------------------- fingerprints
class Offset(BaseMux):
    """A mux that begins with a slot, and keeps from states which."""

    def __init__(self, streamers, first, random_state=None):
        super().__init__(streamers, random_state)
        self._first = first

    def choose(self, step, live, u):
        return live[(step + self._first) % len(live)]


class Told(Offset):
    """The same, but it says so."""

    def fingerprint(self):
        found = super().fingerprint()
        return found.then(f"{found.text} from {self._first} on")


def test_two_that_share_a_fingerprint():
    pool = ["abcdefgh", "stuvwxyz"]
    rejected(
        Offset(pool, 0),
        "^a stream that gives other items refuses the state",
        other=Offset(pool, 1),
        shards=None,
    )
    check_streamer(Told(pool, 0), 12, other=Told(pool, 1), fresh_process=False)
    with pytest.raises(ParameterError, match="`other` must be a stream that gives other items"):
        check_streamer(Told(pool, 0), 12, other=Told(pool, 2), fresh_process=False)


def test_a_fingerprint_that_changes():
    asked = []

    class Counting(Offset):
        def fingerprint(self):
            asked.append(1)
            found = super().fingerprint()
            return found.then(f"{found.text} asked for {len(asked) > 3}")

    one = Counting(["abc"], 0)
    rejected(one, "^a fingerprint stays the same|^a pass resumes exactly", pickles=False, shards=None)


# ---------------------------------------------------------------------- repeats
def test_hidden_global_state():
    calls = []

    def remembers():
        calls.append(1)
        yield from (len(calls), 1)

    rejected(Streamer(remembers), "^two passes over a seeded stream at the same epoch are equal: .* differs at item 0")


def test_randomness_that_is_not_its_own():
    def dice():
        while True:
            yield random.random()

    rejected(Streamer(dice), "^two passes over a seeded stream at the same epoch are equal")


def test_where_two_items_differ():
    calls = []

    def drifts(item):
        calls.append(1)
        yield item(len(calls))

    for item, where in {
        "dict": (
            lambda n: {"y": 1, "x": np.array([[0.0, np.nan, n]])},
            r"\['x'\]\[0, 2\]: float64 2.0 instead of float64 1.0",
        ),
        "tuple": (lambda n: (1, np.int32(n)), r"\[1\]: int32 2 instead of int32 1"),
        "other form": (
            lambda n: {"x": 1} if n % 2 else [n],
            ": {'x': 1} instead of list of 1|: list of 1 instead of {'x'",
        ),
        "objects": (lambda n: np.array([{n}], object), r": ndarray\(object, \(1,\)\) instead of ndarray"),
    }.values():
        calls.clear()
        rejected(Streamer(drifts, item), f"^two passes .* differs at item 0{where}", pickles=False)


def test_a_length_that_changes():
    calls = []

    def shrinks():
        calls.append(1)
        yield from range(10 - len(calls))

    rejected(Streamer(shrinks), "the second pass has 8 items instead of 9")


def test_one_shot():
    rejected(Streamer(iter("abc")), "only once", pickles=False)


def test_a_leaf_that_fails():
    def fails():
        yield 1
        raise OSError("no such disk")

    rejected(Streamer(fails), "^a stream can be iterated: it raised OSError: no such disk")


def test_an_epoch_that_does_not_repeat():
    calls = []

    class Epochs(Streamer):
        def _open_pass(self, root, epoch, clock):
            calls.append(1)
            return Streamer([len(calls) if epoch else 0] * 3)._open_pass(root, epoch, clock)

    rejected(Epochs(()), "^another epoch can be opened", pickles=False)


# ---------------------------------------------------------------------- pickles
def locked(lock):
    yield 1


def test_what_cannot_be_pickled():
    streamer = Streamer(locked, threading.Lock())
    rejected(streamer, r"^a Streamer can be pickled with cloudpickle \(or pass `pickles=False`\): it raised TypeError")
    check_streamer(streamer, pickles=False)


def test_what_pickle_cannot_carry():
    streamer = Streamer(lambda: iter("abc"))
    rejected(streamer, r"^a Streamer can be pickled with pickle \(or pass `pickles=None`\): it raised", pickles=True)
    check_streamer(streamer, fresh_process=False)


class Forgets:
    """Loses something on its way through a pickle."""

    def __init__(self):
        self.n = 5

    def __iter__(self):
        return iter(range(self.n))

    def __reduce__(self):
        return _fewer, ()


def _fewer():
    made = Forgets()
    made.n = 4
    return made


def test_copies_that_differ():
    rejected(Streamer(Forgets()), "^a copy made with cloudpickle gives the same items: the copy has 4 items")


# ---------------------------------------------------------------------- closing
def passed_on(item):
    """Between a generator and its closing stands `map`, which hands no close() on."""
    return item


def test_a_generator_that_is_never_closed():
    kept = []

    def careless():
        inner = leaves.endless(1)
        kept.append(inner)
        yield from map(passed_on, inner)

    text = r"^a pass closes everything it opened when its Stream is closed: still open: endless \(in .*leaves"
    rejected(Streamer(careless), text, pickles=False)


def test_a_generator_that_is_kept_open_by_a_cycle():
    def circular():
        held = [leaves.endless(1)]
        held.append(held)
        yield from map(passed_on, held[0])

    rejected(Streamer(circular), "^a pass closes everything it opened when .*: still open: endless")


def test_a_node_that_does_not_close():
    kept = []

    class Open(Streamer):
        def _node(self, key, shards):
            node = super()._node(key, shards)
            kept.append(node)

            class Unclosed(type(node)):
                __slots__ = ()

                def close(self):
                    pass

            node.__class__ = Unclosed
            return node

    rejected(Open(leaves.endless, 1), "^a pass closes everything it opened when .*: still open: endless", pickles=False)


# ---------------------------------------------------------------------- draws
def test_what_is_drawn_at_once():
    class Eager(Streamer):
        def open(self, epoch=0, cycle=False):
            stream = super().open(epoch, cycle)
            list(islice(leaves.count(1, 9), 3))
            return stream

    rejected(Eager(leaves.count, 1, 9), "^nothing is drawn before the first item is asked for: .*'count': 3")


def test_what_is_drawn_ahead():
    class Ahead(Streamer):
        def _run(self, limit, cycle, epoch):
            if limit is None:
                yield from super()._run(limit, cycle, epoch)
                return
            with self.open(epoch, cycle) as stream:
                items = list(islice(stream, limit + 1))
            yield from items[:limit]

    rejected(Ahead(leaves.endless, 1), "^a pass draws no more than it is asked for: .*'endless': 12.*'endless': 13")


# ---------------------------------------------------------------------- states
@stream_map()
def delayed(stream):
    """Holds an item back without saying so."""
    held = next(stream)
    for item in stream:
        yield held
        held = item


def test_a_map_that_holds_items_back():
    rejected(
        Streamer(leaves.count, 1, 20).pipe(delayed),
        rf"{RESUMES} \(after 0 items\): a pass resumed again 3 items later",
    )


@stream_map()
def shuffled_pairs(stream):
    """Gives two outputs in a row, which only a windowed map may."""
    for item in stream:
        other = next(stream, item)
        yield other
        yield item


def test_a_map_that_gives_an_output_without_drawing():
    rejected(Streamer(leaves.count, 1, 20).pipe(shuffled_pairs), "^a stream can be iterated: .* drew no item")


class NoMemory(leaves.Remembering):
    """Says that it knows its state, and forgets it."""

    def load_state_dict(self, state):
        pass


def test_a_leaf_that_forgets_its_state():
    rejected(
        Streamer(NoMemory, 1, 9),
        rf"{RESUMES} \(after 0 items\): a pass resumed again",
    )


class Unwritable(leaves.Remembering):
    """A state that JSON cannot write."""

    def state_dict(self):
        return {"place": {self.place}}


def test_a_state_that_is_not_json():
    rejected(
        Streamer(Unwritable, 1, 9), "^a state can be taken between any two items and written as JSON: it raised Ty"
    )


def from_anywhere(n, start=None):
    """Starts one item too early."""
    yield from range(max(0, (start or 0) - 1), n)


def test_a_start_that_is_wrong():
    rejected(
        Streamer(from_anywhere, 9),
        rf"{RESUMES} \(after 0 items\): a pass resumed again",
    )


class Disturbed(leaves.Remembering):
    """Moves on when it is looked at."""

    def state_dict(self):
        self.place += 1
        return {"place": self.place}


def test_a_state_that_disturbs():
    rejected(Streamer(Disturbed, 1, 30), "^taking states does not disturb a pass")


def test_another_process():
    elsewhere = Streamer(_in_this_process, os.getpid())
    rejected(elsewhere, "^a pass resumes in a fresh process exactly where a state was taken here: ", fresh_process=True)
    check_streamer(elsewhere, 12, fresh_process=False)


def _in_this_process(here):
    yield from range(9 if here == os.getpid() else 5)


def test_another_process_that_hangs():
    with pytest.raises(AssertionError, match="^a pass resumes in a fresh process .*TimeoutExpired"):
        check_streamer(Streamer(_slow_elsewhere, os.getpid()), 3, timeout=2)


def _slow_elsewhere(here):
    if here != os.getpid():
        time.sleep(100)
    yield from range(3)


# ---------------------------------------------------------------------- parts
def whole_again(n, shard=None):
    """Is given its part and yields the whole."""
    yield from range(n)


def first_missing(n, shard=None):
    index, count = shard or (0, 1)
    yield from range(index + count if count > 1 else 0, n, count)


def alone(n, shard=None):
    """Has no parts of endless streams."""
    place = 0
    while shard is None or shard[1] == 1 or place < 2:
        yield place
        place += 1


def test_parts_that_overlap():
    rejected(Streamer(whole_again, 9), "^2 parts together give each sample of the stream once: part 1 gives 0 once too")


def test_parts_that_leave_something_out():
    rejected(Streamer(first_missing, 9), r"^2 parts together .*: no part gives 0, 1 \(2 samples in all\)")


def test_parts_of_an_endless_stream_that_end():
    rejected(Streamer(alone, 9), "^2 parts of an endless stream are endless too: together they gave 4 items")


def test_parts_that_do_not_repeat():
    calls = []

    def restless(shard=None):
        calls.append(1)
        yield from [len(calls) if shard[1] > 1 else 0] * 5

    rejected(Streamer(restless), "^each of 2 parts repeats", pickles=False)


def test_batches_are_compared_by_sample():
    batches = RoundRobinMux([Streamer(leaves.count, 1, 5), Streamer(leaves.count, 2, 5)]).pipe(buffer_stream, 4, True)
    rejected(batches, "^2 parts together give each sample of the stream once")
    check_streamer(batches, 12, fresh_process=False, samples_of=rows)


# ---------------------------------------------------------------------- the description
def test_a_description_that_changes():
    class Counted(Streamer):
        def __init__(self, n):
            super().__init__(range(n))
            self.states = 0

        def shard(self, index, count):
            self.source = range(3)
            return Streamer(range(9)).shard(index, count)

    rejected(Counted(9), "^a description is not changed by iterating", pickles=False)


@pytest.mark.parametrize(
    ("how", "text"),
    [
        ({"streamer": [1, 2]}, "`streamer` must be a Streamer"),
        ({"n_items": 0}, "`n_items` must be a positive integer, got 0"),
        ({"n_items": True}, "`n_items`"),
        ({"shards": "all"}, "`shards` must be 'partition', 'parts' or None, got 'all'"),
        ({"samples_of": 3}, "`samples_of` must be None or a function, got 3"),
        ({"pickles": "no"}, "`pickles` must be True or False, got 'no'"),
        ({"fresh_process": 1}, "`fresh_process` must be True or False, got 1"),
        ({"timeout": 0}, "`timeout` must be a positive number of seconds, got 0"),
    ],
)
def test_parameters(how, text):
    with pytest.raises(ParameterError, match=text):
        check_streamer(**{"streamer": Streamer([1]), **how})
