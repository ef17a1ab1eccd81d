"""The command `streamflow`.

This file is what the installed script imports, so it loads nothing beyond streamflow: typer and rich are the extra
`cli`, scikit-learn comes with `demo`, and where one is missing the command says so in one line.

The files: `work` (how a command is stopped, and its error for wrong usage), `demo`, `inputs` (files to convert),
`convert`, and `app` (commands and options).
"""

from __future__ import annotations

import sys

from ..exceptions import MissingDependencyError
from .work import need

__all__ = ["main"]


def main() -> None:
    """Run the command line and exit: 0 well, 1 not all of it, 2 wrong usage or input, 130 Ctrl-C; see ``--help``."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            # A folder's name need not be printable in the terminal's encoding.  Line by line: what is piped is seen at
            # once, and a reader that has gone (`| head -1`) is noticed while printing, not where a worker is forked.
            reconfigure(errors="backslashreplace", line_buffering=True)
    try:
        need("the streamflow command", "cli", typer="typer", rich="rich")
        from .app import app

        app(prog_name="streamflow")
    except MissingDependencyError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
