"""Options and fixtures for all tests."""

import gc
import os
import signal
import threading

import pytest
from hypothesis import settings

from streamflow.core import iterated
from streamflow.testing import check_streamer, resuming

from .amount import amount, options
from .zygote import Zygote


def pytest_addoption(parser):
    parser.addoption(
        "--thorough",
        action="store_true",
        help="also run the tests marked `thorough`, and the others with all their seeds, cuts, kills and interrupts",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    options["thorough"] = config.getoption("thorough")
    if options["thorough"] and config.getoption("timeout") is None:
        config.option.timeout = 1200
    # A slow machine must not fail an example (pytest-timeout finds hangs), and every run has the same examples.
    settings.register_profile("streamflow", deadline=None, derandomize=True, max_examples=amount(50, 200))
    settings.load_profile("streamflow")
    if not options["thorough"]:
        check_streamer.__kwdefaults__["cuts"] = 9
    # Shells start background jobs with SIGINT ignored, but tests send it.
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config, items):
    if config.getoption("thorough"):
        return
    left_out = [item for item in items if item.get_closest_marker("thorough")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("thorough")]


def pytest_collection_finish(session):
    """What has been imported and collected stays: many tests call `gc.collect`, which need not look through it."""
    gc.collect()
    gc.freeze()


def pytest_xdist_auto_num_workers(config):
    """Two per processor, since many tests wait; none for a few files, which take less time than starting workers."""
    if all(argument.partition("::")[0].endswith(".py") for argument in config.args):
        return 0
    return min(2 * len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, 8)


@pytest.fixture(scope="session")
def zygote():
    """Starts Python programs from a fork; see `zygote.py`."""
    process = Zygote()
    yield process
    process.close()


@pytest.fixture(autouse=True)
def _repeats_on_purpose(monkeypatch):
    """Tests go over a seeded tree twice to see that it repeats; the warning of that, once per process, has its own."""
    monkeypatch.setattr(iterated, "_warned", True)


@pytest.fixture(autouse=True)
def _programs_of_checks(monkeypatch, request):
    """`check_streamer` runs its programs in forks of the zygote, instead of new interpreters (as its doctest does)."""

    def from_zygote(program, given, answer, timeout):
        return request.getfixturevalue("zygote").run("-c", program, given, answer, timeout=timeout)

    monkeypatch.setattr(resuming, "in_new_interpreter", from_zygote)
