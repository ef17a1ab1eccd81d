"""Streams that must not change: some seventy trees, with digests of their items and of a state.

`streams.json` pins for each tree of `trees.py` how many items it gave (`n`), a digest of these `items` and one of a
`state` taken in the middle of them.  A failure names the tree and what has changed.

Renewing
--------
``python -m tests.golden.renew`` writes the digests anew and says what has changed in which tree; names of trees after
it renew only these, ``--states`` only states.  Renewing `items` gives other items to everybody who resumes or repeats
an old run, so the commit that does it says why.  A renewed `state` alone means that old states may not load any more.

What the digests do not depend on
---------------------------------
The version of Python, hash seeds, the time, the folder, and where leaf functions are defined.  Of NumPy they need what
streams need: that `Generator.random` makes doubles of raw 64-bit words as it does, `PCG64` gives its words, jumps and
advances as it does, and the legacy seeding stays (NumPy promises that of all but the first).  Leaves draw raw words.
Caps come from sums of exponentials, so another C library could change one where a random number is within 1e-15 of a
border.  Arrays are little-endian and indices of 64 bits.
"""

import json
from pathlib import Path

import pytest

from .digests import record
from .trees import TREES

PINNED = json.loads((Path(__file__).parent / "streams.json").read_text("utf-8"))


@pytest.mark.parametrize("name", TREES)
def test_the_stream_is_what_it_was(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found, resumed = record(TREES[name])
    assert [what for what in found if found[what] != PINNED.get(name, {}).get(what)] == [], f"{name!r} has changed"
    assert resumed in {True, None}, f"{name!r}, resumed from its state, does not give the rest"


def test_what_is_pinned_are_the_trees():
    assert list(PINNED) == sorted(TREES)


@pytest.mark.parametrize("name", TREES)
def test_a_state_is_taken_before_the_end(name):
    assert 0 < TREES[name].at < PINNED[name]["n"] <= TREES[name].n
