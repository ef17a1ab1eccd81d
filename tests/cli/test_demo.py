"""`streamflow demo`, run as a user runs it: what it prints, what it claims, and what it leaves behind."""

import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from streamflow.cli import demo, main
from streamflow.cli.work import fresh_interpreter


def text_of(done):
    """What was printed, which is plain text."""
    assert "Traceback" not in done.stdout + done.stderr
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", done.stdout), "control characters"
    return done.stdout


def batches_of(text):
    """The digests of the batches that would have come, and of those that came."""
    return re.findall(
        r"^  would have come ([0-9a-f]{16}), came ([0-9a-f]{16}): (?:the same|DIFFERENT)$", text, re.MULTILINE
    )


def shares_of(text):
    """Per class, in per cent: its shares on disk, wanted, and realised."""
    rows = re.findall(r"^  (\S+) +([\d.]+)% +([\d.]+)% +([\d.]+)%$", text, re.MULTILINE)
    return {name: tuple(map(float, numbers)) for name, *numbers in rows}


def test_the_demo_keeps_its_promises(streamflow, temporary):
    done = streamflow("demo")
    text = text_of(done)
    assert (done.returncode, done.stderr) == (0, "")
    assert list(temporary.iterdir()) == []
    assert max(map(len, text.splitlines())) <= 80
    assert "1. 744 samples in 62 files, one folder for each of 10 classes" in text
    assert text.count("  ok      ") == 3
    assert "FAILED" not in text
    assert float(re.search(r"held-out accuracy ([\d.]+), above 0.9", text)[1]) > 0.9
    # a skewed corpus, and shares as wanted
    shares = shares_of(text)
    assert list(shares) == list("0123456789")
    assert shares["0"][0] > 4 * shares["9"][0]
    assert [wanted for _, wanted, _ in shares.values()] == [9.1] * 9 + [18.2]
    assert all(abs(wanted - came) < 1.5 for _, wanted, came in shares.values())
    # the resume
    pairs = batches_of(text)
    assert len(set(pairs)) == 5
    assert all(one == other for one, other in pairs)
    assert "second half: 150 batches, 19,200 samples so far" in text


def test_the_last_lines_can_be_copied(tmp_path, monkeypatch):
    for number, name in enumerate(["cat", "dog"]):
        (tmp_path / name).mkdir()
        for i in range(3):
            np.save(tmp_path / name / f"{i}.npy", np.full((20, 2), number))
    monkeypatch.chdir(tmp_path)
    code = "\n".join(line.removeprefix("    ") for line in demo.SNIPPET.splitlines())
    there = {}
    exec(code.replace("...  # train", "seen.append(batch['X'].mean())"), there | {"seen": there.setdefault("seen", [])})
    assert len(there["seen"]) == 200
    assert abs(np.mean(there["seen"]) - 0.75) < 0.05  # 12,800 samples; dogs are ones


def test_what_is_kept_can_be_used_again(streamflow, tmp_path):
    kept = tmp_path / "kept"
    first = streamflow("demo", "--keep", kept, "--batches", 40)
    text = text_of(first)
    assert first.returncode == 0, text
    assert f"Kept in {kept}: corpus, job.json, model.pickle, state.json" in text
    assert json.loads((kept / "state.json").read_text())["given"] == 20
    assert len(list((kept / "corpus").rglob("*.npy"))) == 62
    # The batches are those of the tree in this process, and of this seed.
    tree = demo.sampling_tree(**json.loads((kept / "job.json").read_text())["tree"]).streamer
    assert [came for _, came in batches_of(text)] == [demo.digest(batch) for batch in islice(tree, 20, 25)]
    before = {path: path.stat().st_mtime_ns for path in kept.rglob("*")}

    again = streamflow("demo", "--corpus", kept / "corpus", "--batches", 40, "--seed", 7, "--weight", "3=2.5")
    text = text_of(again)
    assert (again.returncode, again.stderr) == (0, ""), text
    assert shares_of(text)["3"][1] == round(100 * 2.5 / 11.5, 1)
    assert batches_of(text) != batches_of(first.stdout)
    assert {path: path.stat().st_mtime_ns for path in kept.rglob("*")} == before


def test_a_corpus_of_ones_own(streamflow, corpus):
    before = {path: path.stat().st_mtime_ns for path in [corpus, *corpus.rglob("*")]}
    done = streamflow("demo", "--corpus", corpus, "--batches", 15, "--batch-size", 8)
    text = text_of(done)
    assert (done.returncode, done.stderr) == (0, ""), text
    assert "1. 100 samples in 6 files, one folder for each of 2 classes" in text
    assert "held-out accuracy 1.000, above 0.500" in text
    assert text.count("  ok      ") == 3
    assert "120 samples" in text
    assert set(shares_of(text)) == {"cat", "dog"}
    assert {path: path.stat().st_mtime_ns for path in [corpus, *corpus.rglob("*")]} == before


def test_a_class_of_weight_zero_is_left_out(streamflow, corpus):
    done = streamflow("demo", "--batches", 100, "--weight", "0=0")
    text = text_of(done)
    assert (done.returncode, done.stderr) == (0, ""), text
    assert shares_of(text)["0"][1:] == (0, 0)
    assert text.count("  ok      ") == 3


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


def tampered_with(change):
    """A start of the second half that changes something in its folder before."""

    def start(command, folder):
        change(Path(folder))
        return fresh_interpreter(command, folder)

    return start


def test_a_resume_in_another_place_is_reported(demo_here, monkeypatch):
    def change(folder):
        with demo.sampling_tree(**json.loads((folder / "job.json").read_text())["tree"]).open() as stream:
            next(stream)
            (folder / "state.json").write_text(json.dumps(stream.state_dict()))

    monkeypatch.setattr(demo, "fresh_interpreter", tampered_with(change))
    code, text = demo_here("--batches", "80")
    assert code == 1
    assert text.count("DIFFERENT") == 5
    assert "  FAILED  the first 5 batches after the resume" in text


def test_shares_that_are_off_are_reported(demo_here, monkeypatch):
    def change(folder):
        job = json.loads((folder / "job.json").read_text())
        job["tree"]["weights"]["9"] = 4.0
        (folder / "job.json").write_text(json.dumps(job))
        with demo.sampling_tree(**job["tree"]).open() as stream:
            (folder / "state.json").write_text(json.dumps(stream.state_dict()))

    monkeypatch.setattr(demo, "fresh_interpreter", tampered_with(change))
    code, text = demo_here("--batches", "80")
    assert code == 1
    assert "  FAILED  the classes came in the shares that were wanted" in text


def test_a_classifier_that_learns_nothing_is_reported(demo_here, monkeypatch):
    monkeypatch.setattr(demo.Learner, "accuracy", lambda self, x, y: 0.9)
    code, text = demo_here("--batches", "80")
    assert code == 1
    assert "  FAILED  held-out accuracy 0.900, above 0.900" in text


@pytest.mark.parametrize("options", [("--batches", 10), ("--batch-size", 1), ("--weight", "9=50", "--batches", 80)])
def test_other_options_promise_only_more_than_guessing(streamflow, options):
    done = streamflow("demo", *options)
    text = text_of(done)
    assert (done.returncode, done.stderr) == (0, ""), text
    assert re.search(r"  ok      held-out accuracy 0\.\d+, above 0\.[12]", text)


def test_a_file_that_turns_out_to_be_bad_in_the_background(streamflow, corpus):
    path = corpus / "dog" / "3.npy"
    array = np.load(path)
    array[2] = np.inf  # is not held out, so only the background process meets it
    np.save(path, array)
    done = streamflow("demo", "--corpus", corpus, "--batches", 200)
    assert done.returncode == 2
    assert done.stderr == f"streamflow demo: {path}: holds NaN or infinite values\n"
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
    assert "...\n" not in done.stdout.partition("Options:")[2], "a help text is cut short"
    assert "resume FOLDER" not in done.stdout

    done = streamflow("demo", "--help")
    text = text_of(done)
    assert (done.returncode, done.stderr) == (0, "")
    options = set(re.findall(r"^  (?:-h, )?(--[a-z-]+)", text, re.MULTILINE))
    assert options == {"--corpus", "--weight", "--batches", "--batch-size", "--seed", "--keep", "--help"}
    assert max(map(len, text.splitlines())) <= 80


def test_without_a_command_the_help_is_shown(streamflow):
    done = streamflow()
    assert "Usage: streamflow" in done.stdout + done.stderr


@pytest.mark.skipif(os.name != "posix", reason="needs a shell")
@pytest.mark.parametrize("buffered", ["", "1"])
def test_a_reader_that_has_seen_enough(environment, corpus, tmp_path, buffered):
    demo = f"demo --corpus {shlex.quote(str(corpus))} --batches 10"
    convert = f"convert {shlex.quote(str(corpus / 'cat'))} {shlex.quote(str(tmp_path / 'store'))} --pattern '*.npy'"
    for arguments in (demo, convert, "demo --help"):
        done = subprocess.run(
            ["bash", "-c", f"{shlex.quote(sys.executable)} -P -m streamflow {arguments} | true"],
            env={**environment, "PYTHONUNBUFFERED": buffered},
            capture_output=True,
            text=True,
            timeout=100,
            check=True,
        )
        assert (done.stdout, done.stderr) == ("", "")


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
