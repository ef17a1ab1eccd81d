"""Stopped by Ctrl-C or by a signal, the demo ends at once and leaves nothing; on a terminal its bar moves."""

import os
import re
import signal

import pytest

from ..processes import of_session, within

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and terminals are those of POSIX")


def ended_cleanly(terminal, code, temporary):
    assert terminal.end() == code, terminal.text[-2000:]
    assert terminal.text.count("streamflow demo: stopped") == 1
    assert within(10, lambda: not of_session(terminal.process.pid))  # what was asked to end may take a moment
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("words", ["first half", "second half"])
def test_ctrl_c(on_terminal, temporary, words):
    terminal = on_terminal("demo", "--batches", "240")
    terminal.read_until(words)
    os.write(terminal.screen, b"\x03")  # goes to every process of the session
    ended_cleanly(terminal, 130, temporary)


@pytest.mark.parametrize(("number", "words"), [(signal.SIGTERM, "second half"), (signal.SIGINT, r"3\. Stopped")])
def test_a_signal_to_the_command_alone(on_terminal, temporary, number, words):
    terminal = on_terminal("demo", "--batches", "240")
    terminal.read_until(words)
    terminal.process.send_signal(number)
    ended_cleanly(terminal, 128 + number, temporary)


def test_on_a_terminal_a_bar_moves(on_terminal, temporary):
    terminal = on_terminal("demo", "--batches", "80")
    assert terminal.end() == 0, terminal.text[-2000:]
    for half in ("first half", "second half"):
        positions = re.findall(rf"{half} [^\r\n]*?(\d+)%", terminal.text)
        assert len(set(positions)) > 2
        assert positions == sorted(positions, key=int)
        assert f"{half}: 40 batches, " in terminal.text
    assert list(temporary.iterdir()) == []


def test_a_reader_that_goes_away(environment, temporary, zygote):
    process = zygote.start("-m", "streamflow", "demo", "--batches", "40", env=environment)
    assert process.stdout.readline().startswith("streamflow demo")
    process.stdout.close()
    assert "Traceback" not in process.stderr.read()
    process.stderr.close()
    assert process.wait(60) != 0
    assert list(temporary.iterdir()) == []
