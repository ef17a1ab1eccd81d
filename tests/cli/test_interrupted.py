"""Wherever a signal comes, the command ends quietly: no traceback, nothing left, and the exit code says it."""

import os
import random
import signal
import time

import pytest

from ..amount import amount
from ..processes import of_session, within

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and terminals are those of POSIX")

#: `streamflow demo` with another work to do.
INSTEAD = """
import gc, os, signal, sys, threading, time, weakref
from streamflow.cli import app, demo, main, stopping
from streamflow.exceptions import DataError

def work(*options):
    demo._workspace(None)
{work}
    print("done")
    return True

demo.run = work

class Thing:
    pass

def strike(*ignored):
    signal.raise_signal(signal.SIG{name})

"""
#: One fork after another is interrupted, each before a later line of the command, until one comes to its end.
EVERY_LINE = """
import contextlib, itertools, rich.console

HERE = os.path.dirname(demo.__file__)

def is_ours(frame):
    file = frame.f_code.co_filename
    return file.startswith(HERE) or file == contextlib.__file__ and is_ours(frame.f_back)

def run(times):
    lines = itertools.count()

    def trace(frame, event, argument):
        if not is_ours(frame):
            return None
        if event in ("line", "return") and next(lines) in times:
            strike()
        return trace

    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.dup2(writer, 1)
        os.dup2(writer, 2)
        os.close(writer)
        stopping.take_signals()  # before its last line the handlers are Python's
        sys.settrace(trace)
        main()
    os.close(writer)
    with os.fdopen(reader) as file:
        text = file.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), text

seen, ended = set(), 0
number = {first}
while ended < {more}:  # lines of the end of the process
    code, text = run({{number + k for k in {strikes}}})
    what = (code, " ".join(text.split()))
    ended = ended + 1 if what == (0, "done") else 0
    seen.add(what)
    if os.listdir(os.environ["TMPDIR"]):
        seen.add("left something")
    number += {step}
print(number, *sorted(seen, key=str), sep="\\n")
"""
STOPPED = "streamflow demo: stopped"


def instead(work, name="INT"):
    lines = "\n".join(f"    {line}" for line in work.splitlines())
    return INSTEAD.format(work=lines, name=name)


@pytest.mark.parametrize(("name", "number", "strikes"), [("INT", 130, (0,)), ("TERM", 143, (0, 1, 6))])
def test_before_any_line_of_the_command(streamflow, temporary, name, number, strikes):
    step = amount(6, 1)
    code = instead("pass", name) + EVERY_LINE.format(first=1, more=2, step=step, strikes=strikes)
    done = streamflow("demo", code=code)
    assert done.stderr == ""
    lines, *seen = done.stdout.splitlines()
    assert int(lines) > 60, lines
    expected = {f"({number}, '')", f"({number}, '{STOPPED}')", "(0, 'done')"}
    assert set(seen) - {f"({number}, 'done {STOPPED}')"} == expected


#: A moment at which what a handler raises is lost, turned into something else, or kept by nobody.
LOST = {
    "a __del__": "Thing.__del__ = strike\nThing()",
    "a weak reference": "thing = Thing()\nreference = weakref.ref(thing, strike)\ndel thing",
    "a collection": "gc.callbacks.append(strike)\ngc.collect()\ngc.callbacks.remove(strike)",
    "a fork": "os.register_at_fork(before=strike)\nif not os.fork(): os._exit(0)",
    "two in a row": "Thing.__del__ = strike\nThing()\nThing()",
}
SWALLOWED = {
    "except BaseException": "try: strike()\nexcept BaseException: pass",
    "another error": "try: strike()\nexcept BaseException as error: raise RuntimeError('bad') from error",
    "one of ours": "try: strike()\nexcept BaseException: raise DataError('bad')",
}


@pytest.mark.parametrize("how", LOST)
def test_what_is_raised_in_vain_is_raised_again(streamflow, temporary, how):
    done = streamflow("demo", code=instead(f"{LOST[how]}\ntime.sleep(60)") + "main()")
    assert (done.returncode, done.stdout, done.stderr.strip()) == (130, "", STOPPED)


@pytest.mark.parametrize("how", SWALLOWED)
def test_what_a_library_makes_of_it_does_not_matter(streamflow, temporary, how):
    done = streamflow("demo", code=instead(SWALLOWED[how]) + "main()")
    assert (done.returncode, done.stderr.strip()) == (130, STOPPED)


def test_a_later_signal_counts_if_the_first_was_dropped(streamflow, temporary):
    work = "try: strike()\nexcept BaseException: pass\nstrike()\nstopping._PATIENCE = 0\nstrike()\ntime.sleep(60)"
    done = streamflow("demo", code=instead(work) + "main()")
    assert (done.returncode, done.stdout, done.stderr.strip()) == (130, "", STOPPED)


def test_a_fork_that_has_no_handlers_of_its_own(streamflow, temporary):
    work = "child = os.fork()\nif not child: strike()\nprint(os.waitpid(child, 0)[1])"
    done = streamflow("demo", code=instead(work, "HUP") + "main()")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{signal.SIGHUP:d}\ndone\n", "")


def test_what_is_ignored_stays_ignored(streamflow, temporary):
    code = "import signal\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)\n" + instead("strike()", "HUP") + "main()"
    done = streamflow("demo", code=code)
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


@pytest.mark.parametrize("module", ["typer", "streamflow.cli.app"])
def test_while_it_is_loaded(streamflow, temporary, module):
    code = f"""
import signal, sys
from streamflow.cli import main

class Finder:
    def find_spec(name, path, target=None):
        if name == {module!r}:
            signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, Finder)
main()
"""
    done = streamflow("demo", code=code)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_a_worker_that_is_slow_to_start(on_terminal, temporary):
    late = """
import time
from streamflow.background import process
prompt = process.main
def main(start):
    time.sleep(0.5)
    prompt(start)
process.main = main
"""
    terminal = on_terminal("demo", "--batches", "40", before=late)
    terminal.read_until("first half")
    os.write(terminal.screen, b"\x03")
    assert terminal.end() == 130, terminal.text
    assert list(temporary.iterdir()) == []


#: Until the handlers are set Ctrl-C is Python's own.
TELLS = """
from streamflow import cli
take_signals = cli.take_signals
def take():
    take_signals()
    print("Now")
cli.take_signals = take
"""


def test_at_random_moments(on_terminal, tmp_path, temporary, corpus):
    rng = random.Random(0)
    for run in range(amount(6, 300)):
        arguments = (
            ["demo", "--batches", "40"]
            if run % 3
            else ["convert", corpus, tmp_path / str(run), "--workers", "1", "--on-error", "skip"]
        )
        terminal = on_terminal(*arguments, before=TELLS)
        terminal.read_until("Now")
        time.sleep(rng.uniform(0, 2.5 if run % 3 else 0.8))
        for _ in range(rng.choice([1, 1, 2])):
            os.write(terminal.screen, b"\x03")
        code = terminal.end()
        done = " store of " in terminal.text or "A tree of your own" in terminal.text
        assert code == 130 or (code, done) == (0, True), terminal.text
        assert within(10, lambda leader=terminal.process.pid: not of_session(leader))
        assert list(temporary.iterdir()) == []
