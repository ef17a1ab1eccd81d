"""The examples run, and print what they say."""

import re
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def example(environment, tmp_path, zygote):
    def run(name):
        done = zygote.run(EXAMPLES / f"{name}.py", cwd=tmp_path, env=environment)
        assert (done.returncode, done.stderr) == (0, "")
        assert list(tmp_path.iterdir()) == []
        return done.stdout.splitlines()

    return run


def test_every_example_is_run_here():
    tests = {name.removeprefix("test_example_") for name in globals() if name.startswith("test_example_")}
    assert {path.stem for path in EXAMPLES.glob("*.py")} == tests


def test_example_files_per_class(example):
    *shares, accuracy = example("files_per_class")
    found = {re.split(r" +", line)[0]: [float(n) for n in re.findall(r"([\d.]+)%", line)] for line in shares}
    assert {name: on_disk for name, (on_disk, _) in found.items()} == {"bird": 0.9, "frog": 9.0, "noise": 90.1}
    # 6400 samples: 3 % is more than five standard deviations.
    assert {name: abs(came - {"noise": 50}.get(name, 25)) < 3 for name, (_, came) in found.items()} == dict.fromkeys(
        found, True
    )
    assert float(re.search(r"([\d.]+)%", accuracy)[1]) > 90


def test_example_noisy_twin(example):
    clean, learned = example("noisy_twin")
    # 3200 samples: 5 % is more than five standard deviations.
    assert abs(int(re.search(r"(\d+)%", clean)[1]) - 50) < 5
    assert learned == "learned weights: 1.0 -2.0 3.0"


def test_example_epochs(example):
    *epochs, validation = example("epochs")
    begun = [re.fullmatch(r"epoch \d: each sample once, beginning with (.+)", line)[1] for line in epochs]
    assert len(set(begun)) == 3
    assert validation == "validation: 100-104 105-109 110-114 115-119 100-104 105-109"


def test_example_resume(example):
    lines = example("resume")
    assert (lines[0], lines[4]) == ("would have come:", "came in another process:")
    assert lines[1:4] == lines[5:]
    assert len(set(lines[5:])) == 3
