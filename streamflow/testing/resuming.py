"""Promises about states: a pass goes on exactly where a state was taken, here and in another process."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from ..core import Stream, Streamer
from .subject import Subject, expect, expect_items, expect_position, promise, taken

__all__ = ["check_fresh_process", "check_resumes", "resume_one", "states_of"]

_FURTHER = 3  #: items after which a resumed pass is saved again

# Read by a new interpreter, which knows nothing of the parent's modules until it has the parent's path.
_PROGRAM = """
import pickle, sys
with open(sys.argv[1], "rb") as file:
    path, job = pickle.load(file)
sys.path[:] = path
from streamflow.testing.resuming import run_job
run_job(job, sys.argv[2])
"""


def states_of(subject: Subject) -> list[dict[str, Any]]:
    """The state before each item, and after the end if there is one; taking them must not disturb the pass."""
    states, items = [], []
    with promise("a state can be taken between any two items and written as JSON"), subject.seeded.open() as stream:
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
    """So many states are resumed (None: every one), and so are states taken a little later."""
    count = len(subject.expected)
    for cut in _places(count, cuts):
        with promise(f"a pass goes on where a state was taken (after {cut} items)"):
            resume_one(subject.seeded, states[cut], cut, subject.expected, subject.ended)
    if subject.ended:
        with promise("a state taken at the end means the beginning of the next epoch"):
            wanted = subject.seeded_items(count + 1, epoch=1)
            with _resumed(subject.seeded, states[-1]) as stream:
                expect(stream.epoch == 1, f"`epoch` is {stream.epoch} instead of 1")
                expect(stream.position == 0, f"`position` is {stream.position} instead of 0")
                expect_items(taken(stream, count + 1), wanted, "the next epoch")


def _places(count: int, cuts: int | None) -> list[int]:
    """So many of 0, ..., `count`: the ends and their neighbours, the middle, and others that `count` decides."""
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


def _resumed(streamer: Streamer, state: dict[str, Any]) -> Stream:
    stream = streamer.open()
    try:
        stream.load_state_dict(state)
    except BaseException:
        stream.close()
        raise
    return stream


def in_new_interpreter(program: str, given: str, answer: str, timeout: float) -> subprocess.CompletedProcess[str]:
    """Run a program that is given two paths."""
    command = [sys.executable, "-c", program, given, answer]
    return subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, check=False
    )


def check_fresh_process(subject: Subject, states: list[dict[str, Any]], timeout: float) -> None:
    """States from all over the pass are resumed in one new interpreter."""
    import tempfile

    import cloudpickle

    count = len(subject.expected)
    cuts = sorted({0, 1, count // 3, count // 2, count - 1, count} & set(range(count + 1)))
    with promise("a pass goes on in a fresh process where a state was taken here"):
        job = cloudpickle.dumps((subject.seeded, {cut: states[cut] for cut in cuts}, subject.expected, subject.ended))
        with tempfile.TemporaryDirectory(prefix="streamflow-") as folder:
            given, answer = Path(folder, "job"), Path(folder, "answer")
            given.write_bytes(pickle.dumps((sys.path, job)))
            done = in_new_interpreter(_PROGRAM, str(given), str(answer), timeout)
            expect(done.returncode == 0 and answer.exists(), f"it ended with {done.returncode}: {done.stderr[-2000:]}")
            told = answer.read_text("utf-8")
            expect(not told, told)


def run_job(job: bytes, answer: str) -> None:
    """In the fresh process: resume each state, and write down the first promise that is broken."""
    told = ""
    try:
        streamer, states, expected, ended = pickle.loads(job)
        for cut, state in states.items():
            with promise(f"after {cut} items"):
                resume_one(streamer, state, cut, expected, ended)
    except AssertionError as error:
        told = str(error)
    Path(answer).write_text(told, "utf-8")
