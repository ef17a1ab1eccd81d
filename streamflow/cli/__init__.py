"""The command `streamflow`.

This file is what the installed script imports, so it loads nothing beyond streamflow: typer and rich are the extra
`cli`, scikit-learn comes with `demo`, and where one is missing the command says so in one line.

The files, each of which knows only those before it: `arrays` (one file), `corpus` (a folder of them), `digits` (the
demo's own), `tree` (the sampling tree over a corpus), `training`, `screen` (what is printed), `work` (the folder worked
in, and how a command stops), `halves` (training before and after the resume), `demo` (the whole of it); `inputs` (files
to convert), `convert`; `app` (options).
"""

from __future__ import annotations

import sys
from importlib.util import find_spec

from ..core.validate import missing
from ..exceptions import MissingDependencyError

__all__ = ["main", "need"]


def need(user: str, **libraries: str) -> None:
    """Raise a `MissingDependencyError` unless each module of the extra `demo` is there.

    Parameters
    ----------
    user : str
        Who needs them.
    **libraries : str
        The module, and the name under which it is installed.
    """
    for module, name in libraries.items():
        if find_spec(module) is None:
            raise missing(user, name, "demo")


def main() -> None:
    """Run the command line and exit: 0 well, 1 not all of it, 2 wrong usage or input, 130 Ctrl-C; see ``--help``."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:  # a folder's name need not be printable in the terminal's encoding
            reconfigure(errors="backslashreplace")
    try:
        for library in ("typer", "rich"):
            if find_spec(library) is None:
                raise missing("the streamflow command", library, "cli")
        from .app import app

        app(prog_name="streamflow")
    except MissingDependencyError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
