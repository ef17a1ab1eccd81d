"""Fresh processes import the leaves of random trees by the name that they have here."""

import functools
from pathlib import Path

import pytest

from . import leaves
from .breaking import rejects


@pytest.fixture(autouse=True)
def _importable(monkeypatch):
    monkeypatch.syspath_prepend(Path(leaves.__file__).parents[leaves.__name__.count(".")])


@pytest.fixture(name="rejected")
def rejected_fixture(tmp_path):
    """Hold a background stream to one promise: `breaking.rejects`."""
    yield functools.partial(rejects, tmp_path)
    for journal in tmp_path.glob("*.txt"):  # whoever waits for a word goes on
        journal.with_suffix(".go").touch()
