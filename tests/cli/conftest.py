"""The command as users run it: in a process of its own, with a folder for temporary files that must be empty after."""

import functools
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from streamflow.cli import main, stopping

from .terminal import Terminal

ROOT = Path(__file__).parents[2]


@pytest.fixture
def temporary():
    """A folder for temporary files, with a name short enough for sockets; nothing may be left in it."""
    folder = Path(tempfile.mkdtemp(prefix="t-", dir="/tmp" if os.name == "posix" else None))
    yield folder
    left = sorted(path.name for path in folder.rglob("*"))
    shutil.rmtree(folder)
    assert left == []


@pytest.fixture
def environment(temporary):
    """What the command finds around it."""
    return {
        **{name: value for name, value in os.environ.items() if name not in {"FORCE_COLOR", "NO_COLOR"}},
        "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
        "PYTHONWARNINGS": "error",
        "TMPDIR": str(temporary),
        "COLUMNS": "80",
        "TERM": "xterm",
    }


@pytest.fixture(autouse=True)
def signals_as_before(monkeypatch):
    """Restore what `main` changes for good, where it runs in this process."""
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    before = {
        number: signal.getsignal(number) for number in (*stopping.SIGNALS, getattr(signal, "SIGALRM", 0)) if number
    }
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def streamflow(environment, tmp_path_factory, zygote):
    """Run the command to its end, in a folder where something else is called streamflow."""
    folder = tmp_path_factory.mktemp("elsewhere")
    (folder / "streamflow.py").write_text("raise ImportError('this is another streamflow')")

    def run(*arguments, code=None):
        how = ["-c", code] if code else ["-m", "streamflow"]
        return zygote.run("-P", *how, *arguments, cwd=folder, env=environment, timeout=100)

    return run


@pytest.fixture
def on_terminal(environment, zygote):
    """Start the command on a terminal."""
    return functools.partial(Terminal, zygote, environment)


@pytest.fixture
def convert(monkeypatch, capsys):
    """Run the command in this process: the exit code, what it prints, and what it prints on the standard error."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["streamflow", "convert", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        out, err = capsys.readouterr()
        assert "\x1b" not in out + err
        assert "\r" not in out + err
        return end.value.code or 0, out, err

    return run


@pytest.fixture
def corpus(tmp_path):
    """A user's corpus: two classes that are easy to tell apart, .npy and .npz, one file without samples."""
    rng = np.random.default_rng(0)
    root = tmp_path / "corpus"
    for number, name in enumerate(["cat", "dog"]):
        (root / name).mkdir(parents=True)
        for i, size in enumerate([10, 25, 0, 15]):
            array = (rng.normal(size=(size, 3, 2)) + 4 * number).astype(np.float32)
            if i == 1:
                np.savez(root / name / f"{i}.npz", notes=np.arange(3), X=array)
            else:
                np.save(root / name / f"{i}.npy", array)
    (root / ".hidden").mkdir()
    (root / "README.txt").write_text("what this is")
    return root
