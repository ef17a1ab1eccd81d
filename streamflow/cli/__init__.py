"""The command `streamflow`.

This file is what the installed script imports, so it loads nothing beyond streamflow: typer and rich are the extra
`cli`, scikit-learn comes with `demo`, and where one is missing the command says so in one line.

The files: `stopping` (by Ctrl-C), `work` (what the commands share, such as the error for wrong usage), `demo`, `inputs`
(files to convert), `convert`, and `app` (commands and options).
"""

from __future__ import annotations

import sys
from contextlib import suppress

from ..exceptions import MissingDependencyError
from .stopping import Stopped, finish, take_signals
from .work import need

__all__ = ["main"]


def main() -> None:
    """Run the command line and exit: 0 well, 1 not all of it, 2 wrong usage or input, 130 Ctrl-C; see ``--help``."""
    take_signals()
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            # A folder's name need not be printable in the terminal's encoding.  Line by line: what is piped is seen at
            # once, and a reader that has gone (`| head -1`) is noticed while printing, not where a worker is forked.
            reconfigure(errors="backslashreplace", line_buffering=True)
    try:
        try:
            need("the streamflow command", "cli", typer="typer", rich="rich")
            from .app import app

            app(prog_name="streamflow")
        finally:
            finish()
    except MissingDependencyError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    except Stopped as stop:
        finish()  # it may have been raised before that
        with suppress(OSError):  # the terminal may be gone
            _show_cursor()
            if stop.text:
                print(f"\n{stop.text}", file=sys.stderr)
        sys.exit(stop.code)


def _show_cursor() -> None:
    """A bar hides it, and may have been stopped before it could show it again."""
    from rich.console import Console

    for console in (Console(), Console(stderr=True)):
        console.show_cursor()
