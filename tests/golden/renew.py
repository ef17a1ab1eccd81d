"""Write the digests of golden trees anew; see `test_golden.py`.

``python -m tests.golden.renew [--states] [name ...]``, from the root of the repository.
"""

import contextlib
import json
import sys
import tempfile
from pathlib import Path

from .digests import record
from .trees import TREES

FILE = Path(__file__).parent.resolve() / "streams.json"


def renew(names, states_only):
    """Write what these trees give now, and say what has changed."""
    pinned = json.loads(FILE.read_text("utf-8")) if FILE.exists() else {}
    for name in names:
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            found, resumed = record(TREES[name])
        old = pinned.get(name, {})
        if states_only and old:
            found = {**old, "state": found["state"]}
        changed = [what for what in found if found[what] != old.get(what)]
        if changed or resumed is False:
            wrong = "" if resumed is not False else "  (resumed from its state it does not give the rest)"
            print(f"{name}: {', '.join(changed)}{wrong}")  # noqa: T201
        pinned[name] = found
    lines = [f"  {json.dumps(name)}: {json.dumps(pinned[name])}" for name in sorted(pinned) if name in TREES]
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")


if __name__ == "__main__":
    wanted = [name for name in sys.argv[1:] if name != "--states"]
    if unknown := [name for name in wanted if name not in TREES]:
        sys.exit(f"there is no tree {' or '.join(map(repr, unknown))}; the trees: {', '.join(sorted(TREES))}")
    renew(wanted or list(TREES), "--states" in sys.argv)
