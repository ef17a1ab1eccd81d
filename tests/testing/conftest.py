"""Fresh processes import the leaves of random trees by the name that they have here."""

from pathlib import Path

import pytest

from . import leaves


@pytest.fixture(autouse=True)
def _importable(monkeypatch):
    monkeypatch.syspath_prepend(Path(leaves.__file__).parents[leaves.__name__.count(".")])
