"""Stopped by Ctrl-C or by a signal, the demo ends at once and leaves nothing; on a terminal its bar moves."""

import os
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and terminals are those of POSIX")

#: Takes the terminal for its own, so that Ctrl-C there reaches it.
ON_A_TERMINAL = "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); from streamflow.cli import main; main()"


class Terminal:
    """The command on a terminal of its own, as the leader of a session."""

    def __init__(self, environment, *arguments):
        self.screen, terminal = os.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-c", ON_A_TERMINAL, "demo", *arguments],
            env=environment,
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            start_new_session=True,
        )
        os.close(terminal)
        self.text = ""

    def read_until(self, words):
        """Read until words appear, or to the end."""
        while words is None or words not in self.text:
            if not select.select([self.screen], [], [], 60)[0]:
                raise AssertionError(f"nothing more came after {self.text[-500:]!r}")
            try:
                data = os.read(self.screen, 1 << 16)
            except OSError:  # the other side is closed
                data = b""
            if not data:
                return
            self.text += data.decode("utf-8", "replace")

    def end(self):
        self.read_until(None)
        code = self.process.wait(60)
        os.close(self.screen)
        return code


def of_session(leader):
    """The processes of a session that still run."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        if int(fields[3]) == leader and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


def nobody_left(leader):
    """Wait until the session is empty; what was told to end may take a moment."""
    for _ in range(200):
        if not of_session(leader):
            return True
        time.sleep(0.05)
    return False


def ended_cleanly(terminal, code, temporary):
    assert terminal.end() == code, terminal.text[-2000:]
    assert "Traceback" not in terminal.text
    assert terminal.text.count("streamflow demo: stopped") == 1
    assert terminal.text.rfind("\x1b[?25h") >= terminal.text.rfind("\x1b[?25l"), "the cursor stays hidden"
    assert nobody_left(terminal.process.pid)
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("words", ["first half", "second half"])
def test_ctrl_c(environment, temporary, words):
    terminal = Terminal(environment, "--batches", "240")
    terminal.read_until(words)
    os.write(terminal.screen, b"\x03")  # goes to every process of the session
    ended_cleanly(terminal, 130, temporary)


@pytest.mark.parametrize(("number", "words"), [(signal.SIGTERM, "second half"), (signal.SIGINT, "4. Stopped")])
def test_a_signal_to_the_command_alone(environment, temporary, number, words):
    terminal = Terminal(environment, "--batches", "240")
    terminal.read_until(words)
    terminal.process.send_signal(number)
    ended_cleanly(terminal, 128 + number, temporary)


def test_on_a_terminal_a_bar_moves(environment, temporary):
    terminal = Terminal(environment, "--batches", "80")
    assert terminal.end() == 0, terminal.text[-2000:]
    for half in ("first half", "second half"):
        positions = re.findall(rf"{half} [^\r\n]*?(\d+)/40", terminal.text)
        assert len(set(positions)) > 2
        assert positions == sorted(positions, key=int)
        assert f"{half}: 40 batches, 2,560 samples" in terminal.text
    assert list(temporary.iterdir()) == []


def test_a_reader_that_goes_away(environment, temporary):
    process = subprocess.Popen(
        [sys.executable, "-m", "streamflow.cli", "demo", "--batches", "40"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline().startswith("streamflow demo")
    process.stdout.close()
    assert "Traceback" not in process.stderr.read()
    process.stderr.close()
    assert process.wait(60) != 0
    assert list(temporary.iterdir()) == []
