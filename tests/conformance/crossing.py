"""Promises about what crosses from worker to consumer: items, errors, ends."""

from __future__ import annotations

import os
import traceback
from itertools import islice
from typing import Any

import numpy as np

from streamflow.core import Streamer
from streamflow.exceptions import ParameterError
from streamflow.testing.subject import expect, expect_items, taken

from ..amount import amount
from .case import Case
from .journal import ERRORS, drawing, exiting, failing
from .values import VALUES, differ, every_value

__all__ = ["ENDS", "FAILING", "ITEMS"]

_SEED = 11


def _tree(pause: float = 0.0) -> Streamer:
    return Streamer(drawing, "a", 9, pause=pause)


def _values(case: Case) -> None:
    got = list(case.over(every_value))
    expect(len(got) == 2 * len(VALUES), f"there are {len(got)} items instead of {2 * len(VALUES)}")
    for place, (name, make) in enumerate(VALUES.items()):
        for one in got[2 * place : 2 * place + 2]:
            difference = differ(one, make())
            expect(not difference, f"{name}: {difference}")


def _writeable(case: Case) -> None:
    # The arrays of dicts; arrays nested deeper are not looked at.
    for place, (name, item) in enumerate(zip(_names(), case.over(every_value), strict=True)):
        for key, array in item.items() if type(item) is dict else ():
            if isinstance(array, np.ndarray):
                expect(bool(array.flags.writeable), f"{name}: the array {key!r} cannot be written to (item {place})")


def _names() -> list[str]:
    return [name for name in VALUES for _ in range(2)]


def _held(case: Case) -> None:
    """Items that are held keep their values, whatever comes later; small and large ones, which channels treat apart."""
    for size in (3, 30_000):
        _, background = case.noted(60, size=size)
        held: list[Any] = []
        for place, item in enumerate(background):
            expect(bool((item["x"] == place).all()), f"item {place} holds {item['x'][0]} after others were written to")
            for other in held[:-2]:
                expect(bool((other["x"] == other["place"]).all()), f"item {other['place']} changed while it was held")
            if place % 3:
                item["x"][:] = -1
            else:
                held = [*held[-9:], item]


def _own_memory(case: Case) -> None:
    for size in (3, 30_000):
        _, background = case.noted(12, size=size, again=True)
        for item in background:
            if item["process"] == os.getpid():
                return  # by reference: the leaf sees what is written, as it does in a serial stream
            expect(not item["x"].any(), f"item {item['place']} holds what was written into one before it")
            item["x"][:] = -1


def _serial(case: Case) -> None:
    tree = _tree()
    for whose, background, serial in (
        ("with a seed inside", case.make(tree.with_seed(_SEED)), tree.with_seed(_SEED)),
        ("with a seed outside", case.make(tree).with_seed(_SEED), tree.with_seed(_SEED)),
    ):
        expect_items(list(background), list(serial), f"a stream {whose}")
        expect_items(list(background(epoch=3)), list(serial(epoch=3)), f"epoch 3 of a stream {whose}")
        expect_items(list(background.cycle(20)), list(serial.cycle(20)), f"cycle() of a stream {whose}")


def _follows_numpy(case: Case) -> None:
    before = np.random.get_state()
    try:
        passes = []
        for _ in range(2):
            np.random.seed(_SEED)
            passes.append(list(case.make(_tree())))
        expect_items(passes[1], passes[0], "the second pass")
    finally:
        np.random.set_state(before)


def _errors(case: Case) -> None:
    for kind in ERRORS:
        # Two kinds (one that crosses as it is, one that cannot) also before the first item; with `--thorough` all.
        for count in (0, 3) if kind in {"KeyError", "SystemExit"} else amount((3,), (0, 3)):
            journal = case.journal()
            items: list[Any] = []
            error = _error_of(case.over(failing, journal.path, count, kind), items, kind)
            wanted = [{"place": place} for place in range(count)]
            expect_items(items, wanted, f"{kind} after {count} items: what came before it")
            _expect_described(kind, error, "failing")
            case.expect_closed(journal)


def _error_of(background: Streamer, items: list[Any], kind: str) -> BaseException:
    stream = background.open()
    try:
        while True:
            items.append(next(stream))
    except StopIteration:
        raise AssertionError(f"{kind}: the stream ended as if there were no more, after {len(items)} items") from None
    except BaseException as error:
        return error
    finally:
        stream.close()


def _expect_described(kind: str, error: BaseException, leaf: str) -> None:
    said = "".join(traceback.format_exception(error))
    name = type(error).__name__
    expect(isinstance(error, Exception), f"{kind}: {name} was raised, which means something else here")
    if kind == "KeyError":
        expect(type(error) is KeyError, f"{kind}: {name} was raised instead")
        expect(error.args == ERRORS[kind]().args, f"{kind}: its arguments are {error.args!r}")
    expect("the needle" in said, f"{kind}: its message is lost")
    expect(f"in {leaf}" in said, f"{kind}: the traceback of the leaf is lost")
    place = [note for note in getattr(error, "__notes__", ()) if note.startswith("in ") and f"{leaf}(" in note]
    expect(bool(place), f"{kind}: no note says where in the tree it was")


def _errors_of_calls(case: Case) -> None:
    for kind in ("KeyError", "SystemExit"):
        error = _error_of(case.over(exiting, kind), [], kind)
        expect(isinstance(error, Exception), f"{kind}: {type(error).__name__} was raised, which means something else")


def _over_after_error(case: Case) -> None:
    stream = case.over(failing, case.journal().path, 1, "KeyError").open()
    taken(stream, 1)
    for attempt in ("first", "second"):
        try:
            item = next(stream)
        except StopIteration:
            raise AssertionError(f"at the {attempt} attempt the stream ended as if nothing had been wrong") from None
        except Exception:
            continue
        raise AssertionError(f"at the {attempt} attempt it gave {item!r}")


def _ends(case: Case) -> None:
    for count in (0, 1, 5):
        journal, background = case.noted(count)
        stream = background.open()
        got = len(taken(stream, 50))
        expect(got == count, f"a stream of {count} items gave {got}")
        expect(next(stream, None) is None, "there is an item after the end")
        case.expect_closed(journal)
    journal, background = case.noted(5)
    for limit in (3, 5, 9):
        got = len(list(background(limit)))
        expect(got == min(limit, 5), f"max_iter={limit} gave {got} of 5 items")
    case.expect_closed(journal)


def _lazy(case: Case) -> None:
    journal, background = case.noted(5)
    stream = background.open()
    expect(list(background(0)) == [], "max_iter=0 gave an item")
    background.iterate()
    expect(not journal.lines(), "the leaf was opened")
    stream.close()


def _cycles(case: Case) -> None:
    journal, background = case.noted(3)
    places = [item["place"] for item in background.cycle(8)]
    expect(places == [0, 1, 2, 0, 1, 2, 0, 1], f"cycle() gave the places {places}")
    case.expect_closed(journal)
    _, empty = case.noted(0)
    expect(list(empty.cycle(3)) == [], "a cycle over nothing gave an item")


def _one_shot(case: Case) -> None:
    try:
        got = list(islice(case.over(iter([1, 2, 3])), 3))
    except ParameterError:
        return
    raise AssertionError(f"it gave {got}")


#: Each promise about items, and the function that holds a background stream to it.
ITEMS = {
    "what arrives equals what the tree gives, with the same types": _values,
    "the arrays that arrive can be written to": _writeable,
    "items that are held or written to have nothing to do with later ones": _held,
    "what is written into an item from another process changes nothing there": _own_memory,
}
#: About errors.
FAILING = {
    "an error arrives after the items before it, with its message, traceback and place": _errors,
    "an error arrives that a leaf function raises when it is called": _errors_of_calls,
    "after an error the stream is closed": _over_after_error,
}
#: About what comes, from the beginning to the end.
ENDS = {
    "a background stream gives what the tree gives": _serial,
    "after np.random.seed a stream without a seed repeats": _follows_numpy,
    "a stream ends where the tree does": _ends,
    "nothing is opened before the first item is asked for": _lazy,
    "cycle() goes from epoch to epoch": _cycles,
    "a one-shot iterator is refused": _one_shot,
}
