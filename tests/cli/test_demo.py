"""`streamflow demo`, run as a user runs it: what it prints, what it claims, and what it leaves behind."""

import json
import re
import sys
import tempfile
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from streamflow.cli import main
from streamflow.cli.corpus import read_corpus
from streamflow.cli.demo import _as_wanted
from streamflow.cli.digits import WANTED
from streamflow.cli.halves import Job
from streamflow.cli.training import Account, digest
from streamflow.cli.tree import Plan, sampling_tree, serial_tree
from streamflow.cli.work import fresh_interpreter


def text_of(done):
    """What was printed, which is plain text."""
    assert "Traceback" not in done.stdout + done.stderr
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", done.stdout), "control characters"
    return done.stdout


def batches_of(text):
    """The digests of the batches that would have come, and of those that came."""
    rows = re.findall(r"^ +(\d+) +([0-9a-f]{16}) +([0-9a-f]{16}) +(the same|DIFFERENT)", text, re.MULTILINE)
    return [(one, other) for _, one, other, _ in rows]


def shares_of(text):
    """Per class: files, and in per cent its shares on disk, wanted, and realised."""
    rows = re.findall(r"^ +(\S+) +(\d+) +([\d.]+)% +([\d.]+)% +([\d.]+)%", text, re.MULTILINE)
    return {name: tuple(map(float, numbers)) for name, *numbers in rows}


def test_the_demo_keeps_its_promises(streamflow, temporary):
    done = streamflow("demo")
    text = text_of(done)
    assert (done.returncode, done.stderr) == (0, "")
    assert list(temporary.iterdir()) == []
    assert text.count("  ok      ") == 5
    assert "FAILED" not in text
    assert float(re.search(r"held-out accuracy ([\d.]+), above 0.9", text)[1]) > 0.9
    # the picture of the tree
    assert re.search(r"ZMQStreamer.*\n.*buffer_stream.*\n.*ShuffledMux.*\n.*'0' +weight 1 +StochasticMux", text)
    # tens of files, a few of them open
    opened, files = map(int, re.search(r"never more than (\d+) of the (\d+) files open at once", text).groups())
    assert 20 <= opened < files / 2 < 50
    # a skewed corpus, and shares as wanted
    shares = shares_of(text)
    assert list(shares) == list("0123456789")
    assert sum(n for n, _, _, _ in shares.values()) == files
    assert shares["0"][1] > 4 * shares["9"][1]
    assert [wanted for _, _, wanted, _ in shares.values()] == [9.1] * 9 + [18.2]
    assert all(abs(wanted - came) < 1.5 for _, _, wanted, came in shares.values())
    # the resume
    pairs = batches_of(text)
    assert len(set(pairs)) == 5
    assert all(one == other for one, other in pairs)
    assert re.search(r"19,200 samples, [\d,]+ in a second", text)


def test_what_is_kept_can_be_used_again(streamflow, tmp_path):
    kept = tmp_path / "kept"
    first = streamflow("demo", "--keep", kept, "--batches", 40)
    text = text_of(first)
    assert first.returncode == 0, text
    assert f"Kept in {kept}: " in text
    assert json.loads((kept / "state.json").read_text())["given"] == 20
    assert len(list((kept / "corpus").rglob("*.npy"))) == 62
    # The batches are those of the serial tree, and of this seed.
    plan = Plan(WANTED, 64, 0, str(tmp_path / "journal"))
    serial = serial_tree(read_corpus(kept / "corpus", every=0), plan)
    assert [came for _, came in batches_of(text)] == [digest(batch) for batch in islice(serial, 20, 25)]
    before = {path: path.stat().st_mtime_ns for path in kept.rglob("*")}

    again = streamflow("demo", "--corpus", kept / "corpus", "--batches", 40, "--seed", 7, "--weight", "3=2.5")
    text = text_of(again)
    assert (again.returncode, again.stderr) == (0, ""), text
    assert "'3'  weight 2.5" in text
    assert batches_of(text) != batches_of(first.stdout)
    assert {path: path.stat().st_mtime_ns for path in kept.rglob("*")} == before


def test_a_corpus_of_ones_own(streamflow, corpus):
    before = {path: path.stat().st_mtime_ns for path in [corpus, *corpus.rglob("*")]}
    done = streamflow("demo", "--corpus", corpus, "--batches", 15, "--batch-size", 8)
    text = text_of(done)
    assert (done.returncode, done.stderr) == (0, ""), text
    assert "80 samples in 8 array files, one folder for each of 2 classes. Each of them has 40 samples." in " ".join(
        text.split()
    )
    assert re.search(r"Held-out accuracy 1\.000; always guessing the same class would give 0\.500", text)
    assert "above 0.9" not in text
    assert text.count("  ok      ") == 4
    assert "120 samples" in text
    assert set(shares_of(text)) == {"cat", "dog"}
    assert {path: path.stat().st_mtime_ns for path in [corpus, *corpus.rglob("*")]} == before


@pytest.fixture
def demo_here(monkeypatch, environment, capfd, temporary):
    """Run the first half in this process, so that it can be tampered with; exit code and text."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["streamflow", "demo", *arguments])
        monkeypatch.setattr(tempfile, "tempdir", str(temporary))
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(SystemExit) as end:
            main()
        text, err = capfd.readouterr()
        assert err == ""
        return end.value.code, text

    return run


def test_a_promise_that_is_not_kept_is_told(demo_here):
    code, text = demo_here("--batches", "10", *[word for digit in range(8) for word in ("--weight", f"{digit}=0")])
    assert code == 1
    assert re.search(r"^  FAILED  held-out accuracy 0\.[0-4]", text, re.MULTILINE)
    assert text.count("  ok      ") == 4
    assert text.count("never opened") == 8


def test_a_resume_in_another_place_is_told(demo_here, monkeypatch):
    def tampered(command, folder):
        state = Path(folder, "state.json")
        with sampling_tree(
            read_corpus(Path(folder, "corpus"), every=0), Job.load(Path(folder, "job.json")).plan
        ).open() as stream:
            next(stream)
            state.write_text(json.dumps(stream.state_dict()))
        return fresh_interpreter(command, folder)

    monkeypatch.setattr("streamflow.cli.demo.fresh_interpreter", tampered)
    code, text = demo_here("--batches", "80")
    assert code == 1
    assert text.count("DIFFERENT") == 5
    assert "  FAILED  the first 5 batches after the resume" in text


def test_shares_that_are_off_are_noticed():
    plan = Plan({"a": 1.0, "b": 3.0, "c": 0.0}, 1, 0, "")
    assert _as_wanted(Account([2500, 7500, 0]), plan)
    assert _as_wanted(Account([2600, 7400, 0]), plan)
    assert not _as_wanted(Account([2800, 7200, 0]), plan)
    assert not _as_wanted(Account([2500, 7499, 1]), plan)


def test_a_file_that_turns_out_to_be_bad_in_the_background(streamflow, corpus):
    path = corpus / "dog" / "3.npy"
    array = np.load(path)
    array[2] = np.inf  # is not held out, so that only the background process meets it
    np.save(path, array)
    done = streamflow("demo", "--corpus", corpus, "--batches", 200)
    assert done.returncode == 2
    assert done.stderr == f"streamflow demo: {path}: sample 2 holds NaN or infinite values\n"
    assert "Traceback" not in done.stdout


def test_a_bad_option(streamflow):
    done = streamflow("demo", "--batches", 3)
    assert done.returncode == 2
    assert "--batches" in done.stderr
    assert "Traceback" not in done.stderr


def test_help(streamflow):
    done = streamflow("--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"^  demo +Train a classifier", text_of(done), re.MULTILINE)
    assert "resume FOLDER" not in done.stdout

    done = streamflow("demo", "--help")
    text = text_of(done)
    assert (done.returncode, done.stderr) == (0, "")
    options = set(re.findall(r"^  (?:-h, )?(--[a-z-]+)", text, re.MULTILINE))
    assert options == {"--corpus", "--weight", "--batches", "--batch-size", "--seed", "--keep", "--help"}
    assert max(map(len, text.splitlines())) <= 100


def test_without_a_command_the_help_is_shown(streamflow):
    done = streamflow()
    assert "Usage: streamflow" in done.stdout + done.stderr


def test_version(streamflow):
    import streamflow as package

    assert streamflow("--version").stdout == f"streamflow {package.__version__}\n"


@pytest.mark.parametrize(
    ("module", "name", "who", "extra"),
    [
        ("typer", "typer", "the streamflow command", "cli"),
        ("rich", "rich", "the streamflow command", "cli"),
        ("sklearn", "scikit-learn", "streamflow demo", "demo"),
    ],
)
def test_a_missing_library(streamflow, module, name, who, extra):
    code = f"import sys; sys.modules[{module!r}] = None; from streamflow.cli import main; main()"
    done = streamflow("demo", code=code)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f'{who} needs {name}: pip install "streamflow-mux[{extra}]"\n'


def test_the_installed_script_loads_no_extra(streamflow):
    done = streamflow(
        code="import sys, streamflow.cli; print({'typer', 'rich', 'sklearn', 'click'} & set(sys.modules))"
    )
    assert done.stdout == "set()\n"
