"""Signals while something is half done: who hears them, and when."""

import signal
import subprocess
import sys
import threading

import pytest

from streamflow.core.signals import deferred, ignored

IGNORES = "import signal; print(signal.getsignal(signal.SIGINT) == signal.SIG_IGN)"


def ignores():
    """Whether a new interpreter ignores Ctrl-C."""
    return subprocess.run([sys.executable, "-c", IGNORES], capture_output=True, text=True, check=True).stdout.strip()


def test_it_waits_until_the_block_is_left():
    done = []
    with pytest.raises(KeyboardInterrupt), deferred(signal.SIGINT):
        signal.raise_signal(signal.SIGINT)
        done.append(1)
    assert done == [1]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_new_interpreters_ignore_it():
    assert ignores() == "False"
    with ignored(signal.SIGINT):
        assert ignores() == "True"
    assert ignores() == "False"
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("block", [deferred, ignored])
def test_in_another_thread_nothing_is_changed(block):
    found = []

    def look():
        with block(signal.SIGINT):
            found.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert found == [signal.default_int_handler]
