"""Promises about states, about background streams inside other trees, and about lanes."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from itertools import chain, zip_longest
from typing import Any

from streamflow.core import Streamer
from streamflow.exceptions import StateError
from streamflow.maps import buffer_stream
from streamflow.mux import ChainMux, RoundRobinMux
from streamflow.testing.resuming import resume_one
from streamflow.testing.subject import expect, expect_items, promise, taken

from ..amount import amount
from .case import Case
from .journal import Counting, drawing, failing, noted, summed

__all__ = ["LANES", "LASTING"]

_PAUSE = 0.004  #: seconds that an item takes, so that marks fall between items
_NOTHING = object()


def _tree(pause: float = 0.0) -> Streamer:
    return Streamer(drawing, "a", 14, pause=pause).with_seed(5)


def _state_after(streamer: Streamer, cut: int) -> Any:
    with streamer.open() as stream:
        taken(stream, cut)
        return json.loads(json.dumps(stream.state_dict()))


def _resumes(case: Case) -> None:
    tree = _tree(_PAUSE)
    expected = list(_tree())
    for cut in amount((0, 6, 14), (0, 1, 6, 13, 14)):
        with promise(f"after {cut} items"):
            resume_one(case.make(tree), _state_after(case.make(tree), cut), cut, expected, ended=True)


def _ends(case: Case) -> None:
    background = case.make(_tree())
    with background.open() as stream:
        taken(stream, 99)
        state = stream.state_dict()
    with case.make(_tree()).open() as stream:
        stream.load_state_dict(state)
        expect_items(list(stream), [], "what came after the end")
    wanted = list(_tree()(epoch=1))
    with case.make(_tree()).open(cycle=True) as stream:
        stream.load_state_dict(state)
        expect_items(taken(stream, len(wanted)), wanted, "what came after the end of an epoch")


def _second_epoch(case: Case) -> None:
    wanted = list(_tree()(epoch=1))
    with case.make(_tree()).open(cycle=True) as stream:
        taken(stream, 14 + 5)
        state = stream.state_dict()
    expect(state["epoch"] == 1, f"`epoch` is {state['epoch']} in the state")
    with case.make(_tree()).open(cycle=True) as stream:
        stream.load_state_dict(state)
        expect_items(taken(stream, 9), wanted[5:], "what came after a state of the second epoch")


def _in_flight(case: Case) -> None:
    journal, background = case.noted(40, pause=0.001)
    with background.open() as stream:
        taken(stream, 3)
        journal.settle(4, 99, case.timeout)
        states = [stream.state_dict()]
        taken(stream, 2)
        states.append(stream.state_dict())
        places = [item["place"] for item in stream]
    expect(places == list(range(5, 40)), f"states disturbed the pass: it continued with {places}")
    for cut, state in zip((3, 5), states, strict=True):
        with case.over(noted, journal.path, 40, pause=0.001).open() as again:
            again.load_state_dict(json.loads(json.dumps(state)))
            places = [item["place"] for item in again]
        expect(places == list(range(cut, 40)), f"after {cut} items: the resumed pass gave the places {places}")


def _after_error(case: Case) -> None:
    journal = case.journal()
    background = case.over(failing, journal.path, 4, "KeyError")
    stream = background.open()
    with suppress(KeyError):
        list(stream)
    state = json.loads(json.dumps(stream.state_dict()))
    stream.close()
    with case.released(journal):
        pass
    with background.open() as again:
        again.load_state_dict(state)
        expect_items(list(again), [{"place": place} for place in range(4, 8)], "the resumed pass")


def _while_it_hangs(case: Case) -> None:
    journal, background = case.noted(9, hang_at=5)
    with case.released(journal), background.open() as stream:
        taken(stream, 5)
        journal.settle(6, 9, case.timeout)
        state = json.loads(json.dumps(stream.state_dict()))
        journal.path.with_suffix(".go").touch()
    with background.open() as again:
        again.load_state_dict(state)
        places = [item["place"] for item in again]
    expect(places == [5, 6, 7, 8], f"the resumed pass gave the places {places}")


def _another_tree(case: Case) -> None:
    # After some time, for what a state knows of the arguments comes with a mark.
    state = _state_after(case.make(_tree(_PAUSE)), 12)
    others = Streamer(drawing, "b", 14, pause=_PAUSE), Streamer(noted, case.journal().path, 14)
    for other in others:
        with case.make(other.with_seed(5)).open() as stream:
            try:
                stream.load_state_dict(state)
                taken(stream, 1)
            except StateError:
                continue
        raise AssertionError(f"{other!r} accepted the state of another tree")


def _states_of_leaves(case: Case) -> None:
    """Of a leaf that keeps changing the object that it gave as its state."""
    with case.over(Counting, 20, 0.008).open() as stream:
        taken(stream, 9)
        state = stream.state_dict()
        expect_items(taken(stream, 20), list(range(10, 21)), "the pass")
    with case.over(Counting, 20, 0.008).open() as stream:
        stream.load_state_dict(state)
        expect_items(taken(stream, 20), list(range(10, 21)), "the resumed pass")


def _nested(case: Case) -> None:
    def tree(put: Callable[[Streamer], Streamer]) -> Streamer:
        members = [put(Streamer(drawing, name, n)) for name, n in (("a", 5), ("b", 7))]
        return RoundRobinMux(members, random_state=3).pipe(buffer_stream, 2, partial=True)

    def whole(put: Callable[[Streamer], Streamer]) -> Streamer:
        return put(tree(lambda member: member))

    def bound(put: Callable[[Streamer], Streamer]) -> Streamer:
        return Streamer(summed, put(Streamer(drawing, "c", 6))).with_seed(3)

    for name, build in (("as members of a mux", tree), ("over a mux and a map", whole), ("as an argument", bound)):
        with promise(name):
            expected = list(build(lambda member: member))
            expect_items(list(build(case.make)), expected, "the pass")
            cut = len(expected) // 2
            resume_one(build(case.make), _state_after(build(case.make), cut), cut, expected, ended=True)


def _parts(case: Case) -> None:
    for index in range(2):
        with promise(f"part {index} of 2"):
            part, expected = case.make(_tree()).shard(index, 2), list(_tree().shard(index, 2))
            expect_items(list(part), expected, "the part")
            resume_one(part, _state_after(part, 3), 3, expected, ended=True)


#: Each promise about states and nesting, and the function that holds a background stream to it.
LASTING = {
    "a pass resumes where a state was taken": _resumes,
    "a state taken at the end resumes to the end, or with cycle=True to the next epoch": _ends,
    "a pass of a later epoch resumes where a state was taken": _second_epoch,
    "a state is right while items are on their way, and taking it disturbs nothing": _in_flight,
    "after an error there is the state of the last item": _after_error,
    "there is a state while the leaf hangs": _while_it_hangs,
    "the state of a leaf is a snapshot": _states_of_leaves,
    "the state of another tree is refused": _another_tree,
    "a background stream is a part of a tree like any other": _nested,
    "its parts are the parts of the tree": _parts,
}


# ---------------------------------------------------------------------- lanes
def _wide(pause: float = 0.0) -> Streamer:
    """A tree whose parts differ in length."""
    return ChainMux([Streamer(drawing, name, n, pause=pause) for name, n in zip("abcde", (2, 6, 1, 4, 3), strict=True)])


def _merged(tree: Streamer, count: int) -> list[Any]:
    """One item of each part in turn, without those that have ended."""
    parts = [list(tree.shard(index, count)) for index in range(count)]
    return [item for item in chain(*zip_longest(*parts, fillvalue=_NOTHING)) if item is not _NOTHING]


def _one_lane(case: Case) -> None:
    tree = _wide().with_seed(5)
    expect_items(list(case.make(tree, n_workers=1, n_lanes=1)), list(tree), "the stream")


def _by_lanes(case: Case) -> None:
    tree = _wide().with_seed(5)
    for n_lanes, counts in ((2, (1, 2)), (3, (1, 2, 3))):
        expected = _merged(tree, n_lanes)
        for n_workers in counts:
            got = list(case.make(tree, n_workers=n_workers, n_lanes=n_lanes))
            expect_items(got, expected, f"the stream of {n_lanes} lanes by {n_workers} workers")
    expect_items(list(case.make(tree, n_workers=2)), _merged(tree, 2), "the stream of 2 workers")


def _between_workers(case: Case) -> None:
    tree = _wide(_PAUSE).with_seed(5)
    expected = _merged(_wide().with_seed(5), 3)
    for cut in (4, 11):
        with promise(f"after {cut} items"):
            state = _state_after(case.make(tree, n_workers=3, n_lanes=3), cut)
            resume_one(case.make(tree, n_workers=2, n_lanes=3), state, cut, expected, ended=True)
            with promise("where `n_lanes` is left to the state"):
                resume_one(case.make(tree, n_workers=1), state, cut, expected, ended=True)


def _another_number(case: Case) -> None:
    tree = _wide().with_seed(5)
    state = _state_after(case.make(tree, n_workers=1, n_lanes=3), 4)
    with case.make(tree, n_workers=1, n_lanes=2).open() as stream:
        try:
            stream.load_state_dict(state)
        except StateError:
            return
    raise AssertionError("a stream of 2 lanes accepted the state of 3")


#: Each promise about lanes, and the function that holds a background stream to it.
LANES = {
    "a stream of one lane is the stream itself": _one_lane,
    "lanes are merged one item each, and their number alone decides what comes": _by_lanes,
    "a state moves between numbers of workers": _between_workers,
    "a state of another number of lanes is refused": _another_number,
}
