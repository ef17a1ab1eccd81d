"""The files of the package import one another in the order that its docstring gives."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from streamflow import background

FOLDER = Path(background.__file__).parent


def listed() -> list[str]:
    return re.findall(r"^    ([a-z/]+)  +\S", background.__doc__, flags=re.MULTILINE)


def imported(path: Path) -> set[str]:
    """The files of this package that a file imports, inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            folder = path.parents[node.level - 1]
            if folder.is_relative_to(FOLDER):
                parts = [*folder.relative_to(FOLDER).parts, *(node.module or "").split(".")]
                found.add("/".join(part for part in parts if part))
    return found


def test_every_file_is_listed():
    files = {str(path.relative_to(FOLDER).with_suffix("")) for path in FOLDER.rglob("*.py")}
    assert {file for file in files if not file.endswith("__init__")} == set(listed())


def test_a_file_imports_only_from_those_above_it():
    order = listed()
    wrong = {
        (file, other)
        for file in order
        for other in imported(FOLDER / f"{file}.py")
        if order.index(other) >= order.index(file)
    }
    assert wrong == set()
    assert len(imported(FOLDER / "node.py")) > 2


def test_names_are_loaded_when_they_are_used():
    code = """
import sys, streamflow
from streamflow import background
heavy = {"multiprocessing", "streamflow.background.node", "streamflow.background.zmq.channel"}
print(*heavy & set(sys.modules))
print(*[name for name in background.__all__ if getattr(background, name).__name__ != name])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "\n\n"
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = background.nothing
