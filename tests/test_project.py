"""The project as a whole: what it needs, what it ships, how large its pieces are."""

import ast
import inspect
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import streamflow

ROOT = Path(__file__).parents[1]
PACKAGE = Path(streamflow.__file__).parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

#: Longer than we like, each with the reason why it is one piece all the same.  `file` or `file: function`.
LONG_FILES: dict[str, str] = {}
LONG_FUNCTIONS: dict[str, str] = {}


def names(requirements: list[str]) -> set[str]:
    return {re.match(r"[\w.-]+(\[\w+\])?", requirement)[0] for requirement in requirements}


def functions(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, int]]:
    """Name and number of lines, the docstring apart, of each function at any depth."""
    for node in ast.iter_child_nodes(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield from functions(node, prefix)
            continue
        name = f"{prefix}{node.name}"
        if not isinstance(node, ast.ClassDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            yield name, body[-1].end_lineno - body[0].lineno + 1 if body else 0
        yield from functions(node, f"{name}.")


def test_the_core_needs_four_libraries():
    assert sorted(PROJECT["dependencies"]) == ["cloudpickle", "joblib>=1.6", "numpy", "pyzmq"]
    assert PROJECT["requires-python"] == ">=3.11"


def test_extras():
    extras = PROJECT["optional-dependencies"]
    assert names(extras["cli"]) == {"typer", "rich"}
    assert names(extras["demo"]) == {f"{PROJECT['name']}[cli]", "scikit-learn"}
    for extra, library in {"hdf5": "h5py", "zarr": "zarr", "image": "pillow", "audio": "soundfile"}.items():
        assert names(extras[extra]) == {library}
    assert names(extras["lmdb"]) == {"lmdb", "msgpack"}
    light = {f"{PROJECT['name']}[{extra}]" for extra in ("cli", "demo", "hdf5", "zarr", "image", "audio", "lmdb")}
    assert names(extras["test"]) == {"pytest", "pytest-timeout", "pytest-xdist", "hypothesis"} | light


def test_errors_give_the_name_of_the_distribution():
    assert PROJECT["name"] == streamflow.core.validate.DISTRIBUTION


def test_the_extras_that_errors_tell_exist():
    # missing("who", "library", "extra") is how the package says what to install; need("who", "extra", ...) calls it.
    place = {"missing": 2, "need": 1}
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            name = ast.unparse(node.func).split(".")[-1] if isinstance(node, ast.Call) else ""
            if name in place and isinstance(node.args[place[name]], ast.Constant):
                found.add(node.args[place[name]].value)
    assert {"cli", "demo", "image", "lmdb"} <= found <= set(PROJECT["optional-dependencies"])


def test_what_is_public_is_documented():
    for name in streamflow.__all__:
        thing = getattr(streamflow, name)
        assert inspect.getdoc(thing), name
        if inspect.isclass(thing):
            members = [
                key for key, value in vars(thing).items() if key[0] != "_" and not inspect.ismemberdescriptor(value)
            ]
            assert [member for member in members if not inspect.getdoc(getattr(thing, member))] == [], name


def test_types_are_shipped():
    assert (PACKAGE / "py.typed").is_file()


def test_changelog_begins_with_this_version():
    first, *_ = re.findall(r"^## \[?([\w.]+)", (ROOT / "CHANGELOG.md").read_text("utf-8"), flags=re.MULTILINE)
    assert first == streamflow.__version__


def test_files_are_short():
    lengths = {
        str(path.relative_to(PACKAGE)): len(path.read_text("utf-8").splitlines()) for path in PACKAGE.rglob("*.py")
    }
    assert len(lengths) > 20
    assert {file: lines for file, lines in lengths.items() if lines > 400 and file not in LONG_FILES} == {}
    assert [file for file in LONG_FILES if lengths.get(file, 0) <= 400] == [], "no longer long, or no longer there"


def test_files_that_the_code_speaks_of_exist():
    """Written as `part/file`, from the top of the package or the project, or as `file.py`, which may be a neighbour."""
    named = [
        (path, name)
        for path in PACKAGE.rglob("*.py")
        for name in re.findall(r"`([a-z_]+(?:/[a-z_]+)+|[a-z_]+\.py)`", path.read_text("utf-8"))
    ]
    assert len(named) > 10
    assert [
        f"{path.relative_to(PACKAGE)}: {name}"
        for path, name in named
        if not any(
            (folder / name).is_dir() or (folder / name).with_suffix(".py").is_file()
            for folder in (ROOT, PACKAGE, path.parent)
        )
    ] == []


def test_functions_are_short():
    lengths = {
        f"{path.relative_to(PACKAGE)}: {name}": lines
        for path in PACKAGE.rglob("*.py")
        for name, lines in functions(ast.parse(path.read_text("utf-8")))
    }
    assert len(lengths) > 100
    assert {name: lines for name, lines in lengths.items() if lines > 60 and name not in LONG_FUNCTIONS} == {}
    assert [name for name in LONG_FUNCTIONS if lengths.get(name, 0) <= 60] == [], "no longer long, or no longer there"


def test_the_length_of_a_function_leaves_its_docstring_out():
    source = """
class A:
    def f(self):
        '''Say

        more.'''
        x = 1
        def g():
            pass
        return x
"""
    assert dict(functions(ast.parse(source))) == {"A.f": 4, "A.f.g": 1}
