"""The tree of the demo, in this process: what it opens, what it gives, and what it never gives."""

import json
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from streamflow.cli.arrays import ArrayFile, Journal
from streamflow.cli.corpus import read_corpus
from streamflow.cli.tree import Plan, n_open, samples_of, serial_tree, turn


@pytest.fixture
def journal(tmp_path):
    return Journal(str(tmp_path / "journal"))


@pytest.fixture
def skewed(tmp_path):
    """Six files of one class, two of the other, each sample with a number of its own."""
    number = 0
    for name, n_files in (("many", 6), ("few", 2)):
        (tmp_path / "skewed" / name).mkdir(parents=True)
        for i in range(n_files):
            np.save(tmp_path / "skewed" / name / f"{i}.npy", np.arange(number, number + 20).reshape(20, 1))
            number += 20
    return read_corpus(tmp_path / "skewed")


def mapped(folder):
    """How many files below a folder this process holds open, as the system sees it."""
    descriptors = Path("/proc/self/fd")
    found = 0
    for descriptor in list(descriptors.iterdir()):
        try:
            found += str(descriptor.readlink()).startswith(str(folder))
        except OSError:  # the one of the listing itself
            continue
    return found


def test_the_journal_counts_what_is_open_at_once(journal):
    assert (journal.open_now(), journal.peaks(0)) == (0, (0, 0))
    for sign in (b"+", b"+", b"-", b"+", b"-", b"+", b"+", b"-"):
        journal.note(sign)
    assert (journal.open_now(), len(journal.signs())) == (2, 8)
    assert journal.peaks(4) == (2, 3)


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_a_file_is_open_until_it_is_closed(tmp_path, journal, suffix):
    path = str(tmp_path / f"a{suffix}")
    array = np.arange(12, dtype=np.int16).reshape(3, 2, 2)
    np.save(path, array) if suffix == ".npy" else np.savez(path, array)
    file = ArrayFile(path, journal)
    assert (len(file), journal.open_now()) == (3, 1)
    values = file.features(2)
    file.close()
    file.close()
    assert (values.tolist(), values.dtype) == ([8, 9, 10, 11], np.float64)
    assert journal.signs() == b"+-"


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="the system does not tell which files are open")
def test_the_journal_agrees_with_the_system(skewed, journal):
    plan = Plan({"few": 1.0, "many": 1.0}, 1, 0, journal.path)
    with serial_tree(skewed, plan).open() as stream:
        for _ in range(200):
            next(stream)
            assert mapped(skewed.root) == journal.open_now()
        assert journal.open_now() == 4
    assert mapped(skewed.root) == journal.open_now() == 0


def test_no_more_files_are_open_than_the_tree_says(skewed, journal):
    plan = Plan({"few": 1.0, "many": 1.0}, 10, 0, journal.path)
    for _ in serial_tree(skewed, plan)(max_iter=100):
        pass
    assert len(journal.signs()) > 100
    assert journal.peaks(0)[1] == sum(map(n_open, skewed.classes.values())) == 4


def test_what_is_held_out_never_comes_and_all_else_does(skewed, journal):
    plan = Plan({"few": 1.0, "many": 1.0}, 100, 0, journal.path)
    batches = list(serial_tree(skewed, plan)(max_iter=50))
    came = {int(value) for batch in batches for value in batch["x"][:, 0]}
    assert came == {number for number in range(160) if number % 20 % 5 != 4}
    x, y = (np.concatenate([batch[key] for batch in batches]) for key in ("x", "y"))
    assert ((x[:, 0] >= 120) == (y == 0)).all()  # "few" comes first by name


def test_the_shares_are_those_asked_for(skewed, journal):
    plan = Plan({"few": 3.0, "many": 1.0}, 100, 0, journal.path)
    share = np.mean([batch["y"] == 0 for batch in serial_tree(skewed, plan)(max_iter=100)])
    assert plan.shares == {"few": 0.75, "many": 0.25}
    assert abs(share - 0.75) < 5 * np.sqrt(0.75 * 0.25 / 10_000)


def test_each_sample_of_a_class_is_as_likely(tmp_path, journal):
    sizes = {"a": [5, 50, 0], "b": [10]}
    for name, of_files in sizes.items():
        (tmp_path / "uneven" / name).mkdir(parents=True)
        for i, size in enumerate(of_files):
            np.save(tmp_path / "uneven" / name / f"{i}.npy", np.full((size, 1), i))
    corpus = read_corpus(tmp_path / "uneven", every=0)
    plan = Plan({"a": 1.0, "b": 0.0}, 1000, 0, journal.path)
    x = np.concatenate([batch["x"][:, 0] for batch in serial_tree(corpus, plan)(max_iter=40)])
    assert turn(corpus) == 8
    # About 40,000 / 8 turns, each of them a draw by size.
    assert abs(np.mean(x == 1) - 50 / 55) < 5 * np.sqrt(50 / 55 * 5 / 55 / 5000)


def test_the_tree_resumes(skewed, journal):
    plan = Plan({"few": 1.0, "many": 2.0}, 7, 3, journal.path)
    with serial_tree(skewed, plan).open() as stream, serial_tree(skewed, plan).open() as again:
        for _ in range(33):
            next(stream)
        again.load_state_dict(json.loads(json.dumps(stream.state_dict())))
        for one, other in islice(zip(stream, again, strict=True), 20):
            assert one["x"].tolist() == other["x"].tolist()
    assert journal.open_now() == 0


def test_a_file_gives_its_samples_in_rounds(skewed, journal):
    part = skewed.classes["few"][0]
    items = samples_of(part.path, 0, 5, journal.path, rng=np.random.default_rng(0))
    rounds = [[item["x"][0] for item in islice(items, 16)] for _ in range(3)]
    items.close()
    assert rounds[0] != rounds[1] != rounds[2]
    assert sorted(rounds[0]) == sorted(rounds[1]) == sorted(rounds[2])
    assert journal.signs() == b"+-"
