"""`streamflow convert`, stopped at any moment: the same command resumes, as if nothing had happened."""

import os
import re
import signal

import numpy as np
import pytest

from streamflow.sources import LMDBStore, MemmapStore

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and terminals are those of POSIX")

N = 60
#: Each file takes a moment, and is written at once.
SLOWLY = """
import os, random, sys, threading, time
from streamflow.cli import app, inputs, main
from streamflow.sources.build import lmdb

lmdb._MOST_BYTES = 0
kind, alarm = inputs.KINDS["array"], threading.Event()

def read_array(path):
    alarm.set()
    time.sleep({pause})
    return kind.load(path)

inputs.KINDS["array"] = kind._replace(load=read_array)
"""
#: One process after another converts, and is killed at a random moment after it began, until one comes to the end.
KILLED = """
import lmdb, rich.console, rich.progress, rich.table

rng, kills = random.Random({seed}), 0

def kill(seconds):
    alarm.wait()
    time.sleep(seconds)
    os.kill(os.getpid(), 9)

while True:
    seconds = rng.uniform(0, {longest})
    child = os.fork()
    if not child:
        threading.Thread(target=kill, args=(seconds,), daemon=True).start()
        main()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code != -9:
        break
    kills += 1
print(kills, "killed")
sys.exit(code)
"""


@pytest.fixture
def corpus(tmp_path):
    """Arrays, one of them damaged."""
    root = tmp_path / "corpus"
    for number in range(N):
        (root / "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
        np.save(root / "ab"[number % 2] / f"{number:02d}.npy", np.full((number, 2), number))
    (root / "a/20.npy").write_bytes(b"no array")
    return root


def everything(path):
    """All that a store holds, in its order, and what was skipped."""
    if (path / "data.mdb").exists():
        with LMDBStore(path) as db:
            return [(sample["name"], sample["x"].tolist()) for sample in db], dict(db.metadata)
    with MemmapStore(path) as store:
        return [(name, array.tolist()) for name, array in zip(store.names, store, strict=True)], dict(store.skipped)


def killed_until_done(streamflow, corpus, store, options, seed):
    code = SLOWLY.format(pause=0.004) + KILLED.format(seed=seed, longest=0.1)
    return streamflow("convert", corpus, store, "--on-error", "skip", "--workers", 1, *options, code=code)


@pytest.mark.parametrize("options", [["--shard-mb", 1], ["--to", "lmdb"]])
def test_killed_at_any_moment(streamflow, convert, corpus, tmp_path, options):
    assert convert(corpus, tmp_path / "whole", "--on-error", "skip", *options)[0] == 1
    done = killed_until_done(streamflow, corpus, tmp_path / "store", options, seed=0)
    assert (done.returncode, done.stderr) == (1, "")
    # The conversion sleeps for 60 times 4 ms, and no process converts for more than 100.
    assert int(re.search(r"(\d+) killed", done.stdout)[1]) >= 2
    assert "'a/20.npy': is not a .npy file or is damaged" in done.stdout
    assert everything(tmp_path / "store") == everything(tmp_path / "whole")
    names = [name for name, _ in everything(tmp_path / "store")[0]]
    assert names == sorted(names)
    assert len(names) == N - 1


def slow(on_terminal, pause, *arguments):
    """The command on a terminal, where each file takes so many seconds."""
    return on_terminal("convert", *arguments, before=SLOWLY.format(pause=pause))


@pytest.mark.parametrize("to", ["memmap", "lmdb"])
def test_ctrl_c_on_a_terminal_where_a_bar_moves(on_terminal, corpus, tmp_path, to):
    (corpus / "a/20.npy").unlink()
    arguments = corpus, tmp_path / "store", "--to", to, "--workers", "1"
    first = slow(on_terminal, 0.1, *arguments)
    first.read_until(r" ([2-9]|\d\d)/59")  # so at least one is in the store
    os.write(first.screen, b"\x03")
    assert first.end() == 130, first.text
    assert first.text.count("streamflow convert: stopped; the same command resumes") == 1
    assert " store of " not in first.text

    second = slow(on_terminal, 0, *arguments)
    assert second.end() == 0, second.text
    done, before = map(int, re.search(r": (\d+) converted, .*; (\d+) were there already\r\n", second.text).groups())
    assert done + before == 59
    assert before > 0
    assert len(everything(tmp_path / "store")[0]) == 59


def test_the_bar(on_terminal, corpus, tmp_path):
    terminal = slow(on_terminal, 0.01, corpus, tmp_path / "store", "--on-error", "skip", "--workers", "1")
    assert terminal.end() == 1
    positions = [int(place) for place in re.findall(r"arrays \x1b[^\r\n]*?(\d+)/60", terminal.text)]
    assert len(set(positions)) > 2
    assert positions == sorted(positions)
    assert "1 of 60 files were skipped:" in terminal.text


def test_sigterm(on_terminal, corpus, tmp_path):
    terminal = slow(on_terminal, 0.1, corpus, tmp_path / "a.lmdb", "--workers", "2")
    terminal.read_until(r" [1-9]\d?/60")
    terminal.process.send_signal(signal.SIGTERM)
    assert terminal.end() == 128 + signal.SIGTERM
