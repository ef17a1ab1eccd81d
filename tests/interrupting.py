"""A Ctrl-C at a chosen moment: it is raised by a trace function, so each run is repeatable."""

import dis
import functools
import linecache
import signal
import sys
from pathlib import Path

import streamflow

__all__ = ["PACKAGE", "Interrupt"]

PACKAGE = str(Path(streamflow.__file__).parent)


class Interrupt:
    """While this is on, a KeyboardInterrupt comes before moment `at` of those at which some code runs.

    Moments are numbered from 0; `at` None only counts them.  A moment is a line, or a bytecode instruction, of the code
    for which `where` is true.  No signal comes between the end of a `with` block and its exit, where Python looks for
    none, and one that is deferred comes at the next moment.
    """

    def __init__(self, at, where, event="line"):
        self.at, self.where, self.event = at, where, event
        self.moments = 0  #: how many there have been

    def __enter__(self):
        self._before = sys.gettrace()
        sys.settrace(self._call)
        return self

    def __exit__(self, *error):
        sys.settrace(self._before)

    def _call(self, frame, event, arg):
        if not self.where(frame.f_code):
            return None
        frame.f_trace_opcodes = self.event == "opcode"
        return self._step

    def _step(self, frame, event, arg):
        if event != self.event or (event == "line" and frame.f_lasti in exits(frame.f_code)):
            return self._step
        self.moments += 1
        if self.at is not None and self.moments > self.at and _is_heard():
            sys.settrace(None)
            raise KeyboardInterrupt
        return self._step


def _is_heard():
    return signal.getsignal(signal.SIGINT) is signal.default_int_handler


@functools.cache
def exits(code):
    """Where the line of a `with` statement is passed for a second time."""
    found, seen = set(), set()
    for offset, line in dis.findlinestarts(code):
        if line is not None and line in seen and linecache.getline(code.co_filename, line).lstrip().startswith("with "):
            found.add(offset)
        seen.add(line)
    return found
