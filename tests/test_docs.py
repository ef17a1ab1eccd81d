"""What README and docs show runs, and what they point to is there.

The Python blocks of a page are run in their order as one script, from an empty folder, with warnings as errors.  All
other lines of the page are blank in that script, so that a traceback has the line numbers of the page.
"""

import ast
import re
import subprocess
from pathlib import Path

import pytest

from .zygote import Zygote

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = [README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("**/*.md"))]

COMMANDS = [
    "python3 -m venv .venv && .venv/bin/pip install -e '.[demo]' && .venv/bin/streamflow demo",
    "python3 -m venv .venv && .venv/bin/pip install -e '.[test]' && .venv/bin/pytest",
]
#: Blocks that are not run.  Another word for Python would be a block that nobody runs.
NOT_RUN = {"bash", "console", "json", "mermaid", "text"}


def blocks(text: str) -> list[tuple[str, int, list[str]]]:
    """Language, number of the first line, and lines of each fenced block."""
    found: list[tuple[str, int, list[str]]] = []
    open_block: tuple[str, int, list[str]] | None = None
    for number, line in enumerate(text.splitlines(), 1):
        fence = re.match(r"\s*```\s*(.*?)\s*$", line)
        if fence and open_block is None:
            open_block = (fence[1], number + 1, [])
        elif fence:
            found.append(open_block)
            open_block = None
        elif open_block is not None:
            open_block[2].append(line)
    assert open_block is None, f"the block that begins at line {open_block[1]} is never closed"
    return found


def script(text: str) -> str:
    """The page with all but its Python blocks left blank."""
    lines = [""] * (len(text.splitlines()) + 1)
    for language, first, block in blocks(text):
        if language == "python":
            indent = min((len(line) - len(line.lstrip()) for line in block if line.strip()), default=0)
            lines[first - 1 : first - 1 + len(block)] = [line[indent:] for line in block]
    return "\n".join(lines)


def run(zygote: Zygote, text: str, folder: Path, name: str) -> subprocess.CompletedProcess[str]:
    path = folder / f"{name}.py"
    path.write_text(script(text), encoding="utf-8")
    work = folder / "empty"
    work.mkdir()
    return zygote.run("-W", "error", path, cwd=work, timeout=100)


def page_id(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", [page for page in PAGES if "```python" in page.read_text("utf-8")], ids=page_id)
def test_python_blocks_run(page, tmp_path, zygote):
    done = run(zygote, page.read_text("utf-8"), tmp_path, page.stem)
    assert done.returncode == 0, done.stderr


def test_readme_shows_python():
    assert "python" in {language for language, _, _ in blocks(README.read_text("utf-8"))}


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_blocks_say_what_they_are(page):
    assert {language for language, _, _ in blocks(page.read_text("utf-8"))} <= NOT_RUN | {"python"}


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_links_lead_somewhere(page):
    text = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text("utf-8"), flags=re.DOTALL)
    targets = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    assert [target for target in targets if target and not (page.parent / target).exists()] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_readme_has_the_command(command):
    lines = [line for language, _, block in blocks(README.read_text("utf-8")) for line in block if language != "python"]
    assert [line.removeprefix("$ ") for line in lines].count(command) == 1


def test_readme_is_short():
    assert len(README.read_text("utf-8").splitlines()) <= 120


def test_docs_show_a_source_and_maps_of_ones_own_in_under_20_lines():
    page = ast.parse(script((ROOT / "docs" / "extending.md").read_text("utf-8")))
    classes = [node for node in page.body if isinstance(node, ast.ClassDef)]
    sources = [node for node in classes if [ast.unparse(base) for base in node.bases] == ["sources.Source"]]
    functions = [node for node in page.body if isinstance(node, ast.FunctionDef)]
    maps = [node for node in functions if any("stream_map" in ast.unparse(line) for line in node.decorator_list)]
    assert sources
    assert maps
    assert [node.name for node in [*sources, *maps] if node.end_lineno - node.lineno >= 19] == []


def test_docs_show_a_mux_of_ones_own_in_under_30_lines():
    muxes = [
        node
        for page in PAGES
        for node in ast.walk(ast.parse(script(page.read_text("utf-8"))))
        if isinstance(node, ast.ClassDef) and any(ast.unparse(base).endswith("BaseMux") for base in node.bases)
    ]
    assert muxes
    assert [(mux.name, mux.end_lineno - mux.lineno + 1) for mux in muxes if mux.end_lineno - mux.lineno >= 29] == []


def test_blocks_of_a_page_share_their_names_and_keep_their_lines(tmp_path, zygote):
    page = "# Page\n```python\nx = 1\n```\n* in a list\n  ```python\n  if x:\n      x += 1\n  ```\n```text\nx\n```\n"
    assert script(page).splitlines() == ["", "", "x = 1", "", "", "", "if x:", "    x += 1", "", "", "", ""]
    done = run(zygote, f"{page}\n```python\nassert x == 3, x\n```\n", tmp_path, "page")
    assert done.returncode == 1
    assert 'page.py", line 15' in done.stderr
    assert "AssertionError: 2" in done.stderr


def test_a_warning_in_a_block_is_an_error(tmp_path, zygote):
    done = run(zygote, "```python\nimport warnings\nwarnings.warn('old')\n```\n", tmp_path, "page")
    assert done.returncode == 1
