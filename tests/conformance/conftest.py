"""Sources can be imported by the workers, and what is broken on purpose is held to one promise."""

import functools
import multiprocessing
from pathlib import Path

import pytest

from .breaking import rejects


@pytest.fixture(autouse=True)
def _importable(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[2])


@pytest.fixture(scope="session", autouse=True)
def _forks_of_one_that_has_them():
    """What a worker by forkserver would load is loaded once."""
    multiprocessing.set_forkserver_preload(["streamflow", "cloudpickle"])


@pytest.fixture(name="rejected")
def rejected_fixture(tmp_path):
    """Hold a background stream to one promise: `breaking.rejects`."""
    yield functools.partial(rejects, tmp_path)
    for journal in tmp_path.glob("*.txt"):  # whoever waits for a word goes on
        journal.with_suffix(".go").touch()
