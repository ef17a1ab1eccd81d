"""Background streams whose items, errors or ends differ from those of the tree are rejected."""

import functools
import secrets
import time
from itertools import chain, islice

import numpy as np
import pytest

from streamflow import ThreadStreamer, ZMQStreamer
from streamflow.background import local
from streamflow.seeding import Root

from .breaking import bent, each, in_node

ITEMS = {
    "tuples as lists": (lambda item: list(item) if type(item) is tuple else item, "a tuple: it is of type list"),
    "named tuples as tuples": (lambda item: tuple(item) if isinstance(item, tuple) else item, "a named tuple: "),
    "text of NumPy": (lambda item: np.str_(item) if type(item) is str else item, "a str: .* str_ instead of str"),
    "ordered dicts as dicts": (
        lambda item: dict(item) if isinstance(item, dict) else item,
        "an ordered dict: it is of type dict",
    ),
    "keys as text": (
        lambda item: {str(key): value for key, value in item.items()} if type(item) is dict else item,
        "a dict with keys of every kind: its keys are",
    ),
    "objects as they print": (lambda item: repr(item) if "Point" in repr(type(item)) else item, "user's class"),
    "None as NaN": (lambda item: float("nan") if item is None else item, "None: it is of type float"),
    "0.1 as 0.2": (lambda item: 0.2 if type(item) is float else item, "a float: it is 0.2 instead of 0.1"),
}
ARRAYS = {
    "native": (lambda array: array.astype(array.dtype.newbyteorder("=")), "big-endian arrays: "),
    "not masked": (np.asarray, "masked arrays: .* it is of type ndarray"),
    "masked and filled": (
        lambda array: np.ma.masked_array(array.filled(0), array.mask) if type(array) is not np.ndarray else array,
        "masked arrays: .*fill_value",
    ),
    "one-dimensional": (lambda array: array.ravel(), "a dict of arrays: "),
    "with other numbers": (lambda array: array + 1 if array.dtype == np.float32 else array, "its numbers differ"),
    "of text": (lambda array: np.full(4, "x") if array.dtype == object else array, "an object array: "),
}


@pytest.mark.parametrize("name", ITEMS)
def test_items_that_change(rejected, name):
    change, why = ITEMS[name]
    rejected("what arrives equals what the tree gives", each(change), why)


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_that_change(rejected, name):
    change, why = ARRAYS[name]

    def inside(item):
        if type(item) is not dict:
            return item
        return {key: change(value) if isinstance(value, np.ndarray) else value for key, value in item.items()}

    rejected("what arrives equals what the tree gives", each(inside), why)


def test_empty_dicts_that_are_left_out(rejected):
    make = bent(functools.partial(filter, lambda item: item != {} if type(item) is dict else True))
    rejected("what arrives equals what the tree gives", make, r"there are \d+ items instead of")


def test_arrays_that_are_read_only(rejected):
    def frozen(item):
        for value in item.values() if type(item) is dict else ():
            if isinstance(value, np.ndarray):
                value.flags.writeable = False
        return item

    rejected("can be written to", each(frozen), "a dict of arrays: the array 'x' cannot be written to")


def test_memory_that_is_used_again(rejected):
    memory = {}

    def again(item):
        array = memory.setdefault(item["x"].size, item["x"])
        array[:] = item["x"]
        return {**item, "x": array}

    rejected("items that are held or written to", each(again), "changed while it was held")


def test_what_is_written_comes_again(rejected):
    first = []

    def again(item):
        first.append(item)
        return {**first[0], "place": item["place"]}

    rejected(
        "from another process changes nothing there", each(again, ZMQStreamer), "item 1 holds what was written into one"
    )


def test_another_order(rejected):
    def swapped(items):
        for one in items:
            yield from chain(islice(items, 1), [one])

    rejected("gives what the tree gives", bent(swapped), "a stream with a seed inside differs at item 0")


def test_a_key_of_its_own(rejected):
    class Keyed(ThreadStreamer):
        def _node(self, key, shards):
            return super()._node(key.below(0, 0), shards)

    rejected("gives what the tree gives", Keyed, "a stream with a seed inside differs")
    rejected("a part of a tree like any other", Keyed, "as members of a mux: the pass differs at item 0")


def test_a_seed_that_nobody_gave(rejected):
    class Secret(ThreadStreamer):
        def _root(self):
            return Root(secrets.randbits(64))

    rejected("after np.random.seed", Secret, "the second pass differs at item 0")


# ---------------------------------------------------------------------- errors
def test_errors_that_are_swallowed(rejected):
    def swallowing(items):
        try:
            yield from items
        except Exception:
            return

    rejected("an error arrives after the items", bent(swallowing), "KeyError: the stream ended as if")
    rejected("that a leaf function raises", bent(swallowing), "KeyError: the stream ended as if")
    rejected("after an error the stream is closed", bent(swallowing), "at the first attempt the stream ended")


def test_errors_that_come_too_early(rejected):
    def at_once(items):
        yield from list(items)

    why = "KeyError after 3 items: what came before it has 0 items instead of 3"
    rejected("an error arrives after the items", bent(at_once), why)


def raising(change):
    def changed(items):
        try:
            yield from items
        except Exception as error:
            raise change(error) from None

    return bent(changed)


def test_errors_of_another_type(rejected):
    rejected("an error arrives after the items", raising(lambda e: RuntimeError(str(e))), "KeyError: RuntimeError was")
    rejected("an error arrives after the items", raising(lambda e: KeyError()), "KeyError: its arguments are ()")


def test_errors_without_a_traceback(rejected):
    rejected("an error arrives after the items", raising(lambda e: type(e)(*e.args)), "traceback of the leaf is lost")


def test_errors_without_a_place(rejected):
    make = in_node(where=lambda node: ["somewhere"])
    rejected("an error arrives after the items", make, "KeyError: no note says where in the tree it was")


def test_errors_that_end_the_program(rejected, monkeypatch):
    monkeypatch.setattr(local, "as_exception", lambda error, where: error)
    rejected("an error arrives after the items", ThreadStreamer, "SystemExit: SystemExit was raised, which means")
    rejected("that a leaf function raises", ThreadStreamer, "SystemExit: SystemExit was raised, which means")


def test_errors_that_lose_their_message(rejected, monkeypatch):
    monkeypatch.setattr(
        local, "as_exception", lambda error, where: error if isinstance(error, Exception) else RuntimeError("something")
    )
    rejected("an error arrives after the items", ThreadStreamer, "SystemExit: its message is lost")


# ---------------------------------------------------------------------- ends
def test_an_item_too_many(rejected):
    make = bent(lambda items: chain(items, [{"place": 0, "process": 0}]))
    rejected("a stream ends where the tree does", make, "a stream of 0 items gave 1")


def test_a_limit_that_is_not_kept(rejected):
    class Unlimited(ThreadStreamer):
        def _run(self, limit, cycle, epoch):
            return super()._run(limit and limit + 1, cycle, epoch)

    rejected("a stream ends where the tree does", Unlimited, "max_iter=3 gave 4 of 5 items")


def test_a_stream_that_opens_at_once(rejected):
    class Eager(ThreadStreamer):
        def open(self, epoch=0, cycle=False):
            stream = super().open(epoch, cycle)
            stream._passes.begin()
            stream._passes.node._start()
            time.sleep(0.1)
            return stream

    rejected("nothing is opened before the first item", Eager, "the leaf was opened")
    rejected("that was never asked for anything", Eager, "the leaf was opened")


def test_a_cycle_that_ends(rejected):
    class Once(ThreadStreamer):
        def _run(self, limit, cycle, epoch):
            return super()._run(limit, False, epoch)

    rejected("goes from epoch to epoch", Once, r"cycle\(\) gave the places \[0, 1, 2\]")


def test_one_shots_that_are_taken(rejected, monkeypatch):
    monkeypatch.setattr("streamflow.background.stream.check_resendable", lambda tree: None)
    rejected("a one-shot iterator is refused", ThreadStreamer, r"it gave \[1, 2, 3\]")
