"""Promises about states: a pass resumes exactly where a state was taken, in this process and in a new one."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from ..core import Stream, Streamer
from ..core.equal import same
from ..core.label import short
from ..core.validate import require
from ..exceptions import StateError
from .subject import Subject, expect, expect_items, expect_position, promise, taken

__all__ = ["check_fresh_process", "check_refuses", "check_resumes", "resume_one", "states_of"]

_FURTHER = 3  #: items after which a resumed pass is saved again

# Run by a new interpreter, which finds the parent's modules only once it has the parent's `sys.path`.
_PROGRAM = """
import pickle, sys
with open(sys.argv[1], "rb") as file:
    path, job = pickle.load(file)
sys.path[:] = path
from streamflow.testing.resuming import run_job
run_job(job, sys.argv[2])
"""


def states_of(subject: Subject) -> list[dict[str, Any]]:
    """The state before each item, after the last, and past the end if there is one; taking them disturbs nothing."""
    states, items = [], []
    with promise("a state can be taken between any two items and written as JSON"), subject.seeded.open(0) as stream:
        for place in range(len(subject.expected)):
            states.append(_through_json(stream.state_dict()))
            expect_position(stream, place)
            items += taken(stream, 1)
        states.append(_through_json(stream.state_dict()))
        if subject.ended:
            expect(next(stream, stream) is stream, "there is an item after the end")
            states.append(_through_json(stream.state_dict()))
    with promise("taking states does not disturb a pass"):
        expect_items(items, subject.expected, "the pass")
    return states


def _through_json(state: dict[str, Any]) -> dict[str, Any]:
    back: dict[str, Any] = json.loads(json.dumps(state))
    return back


def check_resumes(subject: Subject, states: list[dict[str, Any]], cuts: int | None) -> None:
    """Passes resume from `cuts` of the states (None: all), and again from states of the resumed passes."""
    count = len(subject.expected)
    for cut in _places(count, cuts):
        with promise(f"a pass resumes exactly where a state was taken (after {cut} items)"):
            resume_one(subject.seeded, states[cut], cut, subject.expected, subject.ended)
    if subject.ended:
        with (
            promise("a state taken after the end resumes to the end"),
            _resumed(subject.seeded, states[-1]) as stream,
        ):
            expect_position(stream, count)
            expect(next(stream, stream) is stream, "there is an item after the end")
        with promise("a state taken after the end is the start of the next epoch for a pass that is cycled"):
            wanted = subject.seeded_items(count + 1, epoch=1)
            with _resumed(subject.seeded, states[-1], cycle=True) as stream:
                expect(stream.epoch == 1, f"`epoch` is {stream.epoch} instead of 1")
                expect(stream.position == 0, f"`position` is {stream.position} instead of 0")
                expect_items(taken(stream, len(wanted)), wanted, "the next epoch")


def check_refuses(subject: Subject, other: Streamer) -> None:
    """A streamer that gives other items refuses the states of this one."""
    own, stranger = subject.streamer.with_seed(0), other.with_seed(0)  # what differs must not be the seed
    limit = subject.n_items
    items, others = taken(own(limit, epoch=0), limit), taken(stranger(limit, epoch=0), limit)
    same_items = len(items) == len(others) and all(map(same, items, others))
    require(not same_items, "other", "a stream that gives other items", other, "give its class another parameter")
    with promise("a stream that gives other items refuses the state, so that nobody goes on with another one"):
        for place in {1, (len(items) + 1) // 2, len(items)} - {0}:
            with own.open(epoch=0) as live, stranger.open(epoch=0) as another:
                taken(live, place)
                state = _through_json(live.state_dict())
                try:
                    another.load_state_dict(state)
                except StateError:
                    continue
                raise AssertionError(
                    f"the state after {place} items was loaded into {other!r}: both have the fingerprint "
                    f"{short(stranger.fingerprint().text)}; the class needs the parameter in a public attribute, or a "
                    "`fingerprint` of its own"
                )


def _places(count: int, cuts: int | None) -> list[int]:
    """Which of the positions 0, ..., `count` to resume at: the ends, their neighbours, the middle, others."""
    if cuts is None or cuts > count:
        return list(range(count + 1))
    first = list(dict.fromkeys((0, count, 1, count - 1, count // 2)))
    others = [place for place in range(count + 1) if place not in first]
    np.random.default_rng(count).shuffle(others)
    return sorted([*first, *others][:cuts])


def resume_one(streamer: Streamer, state: dict[str, Any], cut: int, expected: list[Any], ended: bool) -> None:
    """Resume after `cut` items, and once more from a state of the resumed pass."""
    limit = len(expected) - cut + ended  # where the stream has ended, nothing may come after
    with _resumed(streamer, state) as stream:
        expect_position(stream, cut)
        head = taken(stream, min(_FURTHER, len(expected) - cut))
        later = _through_json(stream.state_dict())
        expect_items(head + taken(stream, limit - len(head)), expected[cut:], "the resumed pass")
    with _resumed(streamer, later) as stream:
        wanted = expected[cut + len(head) :]
        expect_items(taken(stream, len(wanted) + ended), wanted, f"a pass resumed again {len(head)} items later")


def _resumed(streamer: Streamer, state: dict[str, Any], cycle: bool = False) -> Stream:
    stream = streamer.open(0, cycle)
    try:
        stream.load_state_dict(state)
    except BaseException:
        stream.close()
        raise
    return stream


def in_new_interpreter(program: str, given: str, answer: str, timeout: float) -> subprocess.CompletedProcess[str]:
    """Run a Python program with two paths as its arguments."""
    command = [sys.executable, "-c", program, given, answer]
    return subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, check=False
    )


def check_fresh_process(subject: Subject, states: list[dict[str, Any]], timeout: float) -> None:
    """States from the start, middle and end of the pass are resumed in one new interpreter."""
    import tempfile

    import cloudpickle

    count = len(subject.expected)
    cuts = sorted({0, 1, count // 3, count // 2, count - 1, count} & set(range(count + 1)))
    with promise("a pass resumes in a fresh process exactly where a state was taken here"):
        job = cloudpickle.dumps((subject.seeded, {cut: states[cut] for cut in cuts}, subject.expected, subject.ended))
        with tempfile.TemporaryDirectory(prefix="streamflow-") as folder:
            given, answer = Path(folder, "job"), Path(folder, "answer")
            given.write_bytes(pickle.dumps((sys.path, job)))
            done = in_new_interpreter(_PROGRAM, str(given), str(answer), timeout)
            expect(done.returncode == 0 and answer.exists(), f"it exited with {done.returncode}: {done.stderr[-2000:]}")
            failure = answer.read_text("utf-8")
            expect(not failure, failure)


def run_job(job: bytes, answer: str) -> None:
    """In the fresh process: resume from each state, and write the first failure to the file `answer`, or nothing."""
    failure = ""
    try:
        streamer, states, expected, ended = pickle.loads(job)
        for cut, state in states.items():
            with promise(f"after {cut} items"):
                resume_one(streamer, state, cut, expected, ended)
    except AssertionError as error:
        failure = str(error)
    Path(answer).write_text(failure, "utf-8")
