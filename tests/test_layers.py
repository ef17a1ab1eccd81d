"""Imports inside the package point one way, from the top of it down."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import streamflow

PACKAGE = Path(streamflow.__file__).parent

#: From the ground up.  A module imports from lines below its own; those of one line know each other only through them.
LAYERS = (
    {"exceptions"},
    {"core.validate"},
    {"seeding"},
    {"util"},
    {"core"},
    {"mux", "maps", "samplers"},
    {"sources"},
    {"background"},
    {"zmq_stream", "thread_stream"},
    {"adapters", "inspection", "datasets"},
    {"testing"},
    {"streamflow"},  # the package itself, which re-exports what is below it
    {"cli"},
    {"__main__"},
)
#: Files that lie in a part but stand below all parts.
GROUND = {("core", "format")}
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}


def imports(tree: ast.AST, package: list[str]) -> Iterator[tuple[int, list[str]]]:
    """Line and full dotted name, as a list, of all that a module of `package` imports; also inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name.split(".")
        elif isinstance(node, ast.ImportFrom):
            origin = package[: len(package) + 1 - node.level] if node.level else []
            origin = [*origin, *(node.module.split(".") if node.module else [])]
            for alias in node.names:
                yield node.lineno, [*origin, alias.name]


def part(dotted: list[str], parts: set[str]) -> str:
    """The part of the package that a dotted name lies in; names of the package itself are its own."""
    if dotted[1:3] == ["core", "validate"]:
        return "core.validate"
    return dotted[1] if len(dotted) > 1 and dotted[1] in parts else dotted[0]


def wrong_imports(root: Path) -> list[str]:
    """One line for each import that does not point down."""
    found: list[str] = []
    parts = {path.stem for path in root.iterdir() if path.suffix == ".py" or any(path.glob("*.py"))} - {"__init__"}
    for path in sorted(root.rglob("*.py")):
        where = path.relative_to(root)
        package = [root.name, *where.parts[:-1]]
        own = part([*package, path.stem], parts)
        level = LEVEL.get(own)
        if where.with_suffix("").parts in GROUND:
            own, level = "/".join(where.with_suffix("").parts), -1
        if level is None:
            found.append(f"{where}: `{own}` has no layer")
            continue
        for line, dotted in imports(ast.parse(path.read_text()), package):
            other = part(dotted, parts)
            if dotted[0] != root.name or other == own or tuple(dotted[1:3]) in GROUND:
                continue
            if LEVEL.get(other, len(LAYERS)) >= level:
                found.append(f"{where}:{line}: `{own}` imports `{other}`")
    return found


def test_imports_of_the_package_point_down():
    assert wrong_imports(PACKAGE) == []


def test_all_of_the_package_is_read():
    parts = {part(["streamflow", *path.relative_to(PACKAGE).parts[:1]], set(LEVEL)) for path in PACKAGE.rglob("*.py")}
    assert {"core", "mux", "maps", "background", "testing", "cli"} <= parts


def grown(folder: Path, file: str, line: str) -> Path:
    """A package of our name with every part in its simplest form, and `line` in `file`."""
    root = folder / "streamflow"
    for name in LEVEL:
        if name == "core.validate":
            continue
        module = root / ("__init__.py" if name == "streamflow" else f"{name}.py")
        if Path(file).parts[0] == name:  # the part that `file` is in is a folder
            module = root / name / "__init__.py"
        module.parent.mkdir(exist_ok=True, parents=True)
        module.touch()
    (root / file).parent.mkdir(exist_ok=True, parents=True)
    (root / file).write_text(line)
    return root


@pytest.mark.parametrize(
    ("file", "line", "told"),
    [
        ("core/node.py", "from ..mux import base", "`core` imports `mux`"),
        ("core/node.py", "from .. import maps", "`core` imports `maps`"),
        ("core/node.py", "from ..mux.base import BaseMux", "`core` imports `mux`"),
        ("core/node.py", "import streamflow.mux.base as base", "`core` imports `mux`"),
        ("core/node.py", "from streamflow import testing", "`core` imports `testing`"),
        ("core/node.py", "from streamflow import Streamer", "`core` imports `streamflow`"),
        ("core/node.py", "import streamflow", "`core` imports `streamflow`"),
        ("core/node.py", "def f():\n    from ..background import wire", "`core` imports `background`"),
        ("core/node.py", "if TYPE_CHECKING:\n    from ..cli import app", "`core` imports `cli`"),
        ("core/deeper/node.py", "from ...zmq_stream import ZMQStreamer", "`core` imports `zmq_stream`"),
        ("core/format.py", "from .describe import short", "`core/format` imports `core`"),
        ("core/format.py", "from ..exceptions import require", "`core/format` imports `exceptions`"),
        ("seeding.py", "from .core.formats import SORTED_UP_TO", "`seeding` imports `core`"),
        ("exceptions.py", "from .seeding import Root", "`exceptions` imports `seeding`"),
        ("seeding.py", "from . import util", "`seeding` imports `util`"),
        ("util.py", "from .core import Streamer", "`util` imports `core`"),
        ("maps/buffer.py", "from ..mux import zip", "`maps` imports `mux`"),
        ("mux/zip.py", "from ..maps import buffer", "`mux` imports `maps`"),
        ("background/lanes.py", "from ..zmq_stream import ZMQStreamer", "`background` imports `zmq_stream`"),
        ("testing/__init__.py", "from ..cli import app", "`testing` imports `cli`"),
        ("__init__.py", "from .cli import main", "`streamflow` imports `cli`"),
        ("brand_new.py", "import numpy", "`brand_new` has no layer"),
        ("brand_new/__init__.py", "import numpy", "`brand_new` has no layer"),
    ],
)
def test_an_import_that_points_up_is_found(tmp_path, file, line, told):
    [only] = wrong_imports(grown(tmp_path, file, line))
    assert only.startswith(f"{file}:")
    assert only.endswith(f": {told}")


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("mux/zip.py", "from ..core.stream import Stream\nfrom . import base\nfrom .base import BaseMux"),
        ("zmq_stream.py", "from .background import wire\nimport streamflow.core"),
        ("cli/demo.py", "from .. import Streamer, zmq_stream\nimport streamflow\nfrom streamflow.mux import ZipMux"),
        ("util.py", "from . import exceptions"),
        ("seeding.py", "from .core.format import SORTED_UP_TO"),
        ("core/node.py", "import zmq\nfrom collections import abc\nfrom ..seeding import Key"),
    ],
)
def test_an_import_that_points_down_is_not(tmp_path, file, line):
    assert wrong_imports(grown(tmp_path, file, line)) == []
