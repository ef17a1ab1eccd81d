"""Imports inside the package point one way, file by file: from the top of it down, and never in a circle."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import streamflow

PACKAGE = Path(streamflow.__file__).parent

#: From the ground up.  A file imports from lines below its own, and from its own part; parts of one line do not know
#: each other.  A part is a module or a folder of the package, or one file where that stands lower than its folder.
LAYERS = (
    {"exceptions"},
    {"core.validate", "core.format", "core.checkpoint"},
    {"core.permutation"},
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
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}


def modules_of(root: Path) -> dict[str, Path]:
    """The files of a package by dotted name, without the name of the package; that itself is ''."""
    found = {}
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(tree: ast.AST, package: list[str]) -> Iterator[tuple[int, list[str]]]:
    """Line and full dotted name, as a list, of all that a module of `package` imports.

    Those inside functions and under TYPE_CHECKING count: who reads the one file has to know the other.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name.split(".")
        elif isinstance(node, ast.ImportFrom):
            origin = package[: len(package) + 1 - node.level] if node.level else []
            origin = [*origin, *(node.module.split(".") if node.module else [])]
            for alias in node.names:
                yield node.lineno, [*origin, alias.name]


def edges(root: Path) -> dict[str, dict[str, int]]:
    """For each file which files of the package it imports, and in which line."""
    modules = modules_of(root)
    found: dict[str, dict[str, int]] = {}
    for name, path in modules.items():
        package = [root.name, *path.relative_to(root).parts[:-1]]
        found[name] = {}
        for line, dotted in imports(ast.parse(path.read_text("utf-8")), package):
            if dotted[0] == root.name:
                inside = dotted[1:]
                while ".".join(inside) not in modules:  # what is left out is a name inside the module
                    inside.pop()
                found[name].setdefault(".".join(inside), line)
    return found


def part(module: str) -> str:
    """The part of the package that a file belongs to."""
    return module if module in LEVEL else module.partition(".")[0] or "streamflow"


def wrong_imports(root: Path) -> list[str]:
    """One line for each import that does not point down."""
    found: list[str] = []
    modules = modules_of(root)
    for name, imported in edges(root).items():
        own, where = part(name), modules[name].relative_to(root)
        if own not in LEVEL:
            found.append(f"{where}: `{own}` has no layer")
            continue
        for other, line in imported.items():
            if part(other) != own and LEVEL.get(part(other), len(LAYERS)) >= LEVEL[own]:
                found.append(f"{where}:{line}: `{own}` imports `{part(other)}`")
    return found


def circles(graph: dict[str, dict[str, int]]) -> list[set[str]]:
    """The sets of files that reach each other by imports."""

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        waiting = [start]
        while waiting:
            for other in graph[waiting.pop()]:
                if other not in seen:
                    seen.add(other)
                    waiting.append(other)
        return seen

    below = {name: reached(name) for name in graph}
    found: list[set[str]] = []
    for name, others in below.items():
        if name in others and not any(name in circle for circle in found):
            found.append({other for other in others if name in below[other]})
    return found


def test_imports_of_the_package_point_down():
    assert wrong_imports(PACKAGE) == []


def test_no_files_import_each_other():
    assert [sorted(circle) for circle in circles(edges(PACKAGE))] == []


def test_all_of_the_package_is_read():
    graph = edges(PACKAGE)
    assert len(graph) > 100
    assert {"core", "mux", "maps", "background", "testing", "cli"} <= {part(name) for name in graph}
    assert sum(map(len, graph.values())) > 500
    assert "core.node" in graph["mux.slots"]


def grown(folder: Path, file: str, line: str) -> Path:
    """A package of our name with every part in its simplest form, and `line` in `file`."""
    root = folder / "streamflow"
    for name in LEVEL:
        path = root / ("__init__.py" if name == "streamflow" else f"{name.replace('.', '/')}.py")
        if name == Path(file).parts[0] or any(other.startswith(f"{name}.") for other in LEVEL):  # it is a folder
            path = root / name / "__init__.py"
        path.parent.mkdir(exist_ok=True, parents=True)
        path.touch()
    (root / file).parent.mkdir(exist_ok=True, parents=True)
    (root / file).write_text(line)
    return root


@pytest.mark.parametrize(
    ("file", "line", "reported"),
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
        ("core/validate.py", "from ..seeding import Root", "`core.validate` imports `seeding`"),
        ("core/validate.py", "from .format import SIZE", "`core.validate` imports `core.format`"),
        ("core/format.py", "from .node import Node", "`core.format` imports `core`"),
        ("seeding.py", "from .core import Streamer", "`seeding` imports `core`"),
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
def test_an_import_that_points_up_is_found(tmp_path, file, line, reported):
    [only] = wrong_imports(grown(tmp_path, file, line))
    assert only.startswith(f"{file}:")
    assert only.endswith(f": {reported}")


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("mux/zip.py", "from ..core.stream import Stream\nfrom . import base\nfrom .base import BaseMux"),
        ("zmq_stream.py", "from .background import wire\nimport streamflow.core"),
        ("cli/demo.py", "from .. import Streamer, zmq_stream\nimport streamflow\nfrom streamflow.mux import ZipMux"),
        ("util.py", "from . import exceptions"),
        (
            "core/node.py",
            "import zmq\nfrom collections import abc\nfrom ..seeding import Key\nfrom .format import SIZE",
        ),
        ("seeding.py", "from .core.validate import require\nfrom .core import format"),
    ],
)
def test_an_import_that_points_down_is_not(tmp_path, file, line):
    root = grown(tmp_path, file, line)
    assert wrong_imports(root) == []
    assert circles(edges(root)) == []


@pytest.mark.parametrize(
    ("line", "back", "members"),
    [
        ("from .map import Map", "from .node import Node", {"core.map", "core.node"}),
        ("from . import map", "if TYPE_CHECKING:\n    from .node import Node", {"core.map", "core.node"}),
        ("from .map import Map", "def f():\n    from .deeper import Leaf", {"core.map", "core.node", "core.deeper"}),
        ("from ..core import map", "import streamflow.core.node", {"core.map", "core.node"}),
    ],
)
def test_a_circle_is_found(tmp_path, line, back, members):
    root = grown(tmp_path, "core/node.py", line)
    (root / "core/map.py").write_text(back)
    (root / "core/deeper.py").write_text("from .node import Node")
    assert circles(edges(root)) == [members]


def test_a_file_that_imports_itself_is_a_circle(tmp_path):
    assert circles(edges(grown(tmp_path, "core/node.py", "from .node import Node"))) == [{"core.node"}]
