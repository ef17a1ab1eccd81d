"""Workers can import the leaves, and background streams that are broken on purpose are held to one promise."""

import functools
import multiprocessing
from pathlib import Path

import pytest

from .breaking import rejects


@pytest.fixture(autouse=True)
def _importable(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[2])


@pytest.fixture(scope="session", autouse=True)
def _preload():
    """The fork server loads once what each of its workers would load."""
    multiprocessing.set_forkserver_preload(["streamflow", "cloudpickle"])


@pytest.fixture(name="rejected")
def rejected_fixture(tmp_path):
    """Hold a background stream to one promise: `breaking.rejects`."""
    yield functools.partial(rejects, tmp_path)
    for journal in tmp_path.glob("*.txt"):  # so that no leaf hangs
        journal.with_suffix(".go").touch()
