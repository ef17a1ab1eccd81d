"""`streamflow demo`: train on a corpus through a sampling tree, stop half-way, resume, and check what was promised."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from . import need, tree
from .arrays import CorpusError, Journal
from .corpus import Corpus, HeldOut, held_out, read_corpus
from .digits import WANTED, write_digits
from .halves import LOOK_AHEAD, Job, first_half
from .screen import Screen
from .training import Account, Learner
from .tree import Plan, n_open
from .work import Work, fresh_interpreter, workspace

__all__ = ["SecondHalfFailed", "Settings", "run"]

_ACCURACY = 0.9  #: that the digits must be told with
_CHANCE = 5  #: standard deviations that a share may be off by chance


class Settings(NamedTuple):
    """The options of the command."""

    corpus: Path | None
    keep: Path | None
    weights: dict[str, float]
    n_batches: int
    batch_size: int
    seed: int


class SecondHalfFailed(Exception):
    """The new process ended with this exit code, and has said why."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def run(settings: Settings) -> bool:
    """Run the demo; whether everything that it claims is so."""
    need("streamflow demo", sklearn="scikit-learn")
    _check_apart(settings)
    given = None if settings.corpus is None else _read(settings.corpus)
    weights = _weights(settings.weights, given)
    screen = Screen()
    with workspace(settings.keep) as work:
        corpus, held = given or write_digits(work.corpus)
        plan = Plan(weights, settings.batch_size, settings.seed, str(work.journal))
        screen.title("streamflow demo: train from files on disk, a few open at a time; stop half-way; resume exactly")
        screen.heading("1. A corpus on disk")
        screen.corpus(corpus, held, "samples" if settings.corpus else "handwritten digits")
        screen.heading("2. A sampling tree over its files")
        screen.picture(corpus, plan)
        screen.heading("3. Training a linear classifier, half of the way")
        first, would_come = first_half(work, corpus, plan, settings.n_batches // 2, screen)
        journal = Journal(plan.journal)
        guessing = Counter(held.y.tolist()).most_common(1)[0][1] / len(held.y)
        run = Run(settings, work, corpus, guessing, plan, first, would_come, journal.open_now(), len(journal.signs()))
        second = _resumed(run, screen)
        screen.heading("5. What came of it")
        kept = _result(run, second, Learner.load(work.model).accuracy(held), screen)
        screen.note(f"The lines that build the tree, to start from: {tree.__file__}")
        if settings.keep is not None:
            screen.note(f"Kept in {work.folder}: {', '.join(sorted(path.name for path in work.folder.iterdir()))}")
    return kept


class Run(NamedTuple):
    """What is known when the first half is over."""

    settings: Settings
    work: Work
    corpus: Corpus
    guessing: float  #: the accuracy of guessing one class
    plan: Plan
    first: Account
    would_come: list[str]
    left_open: int  #: files, after the stream was closed
    notes: int  #: in the journal


def _check_apart(settings: Settings) -> None:
    """A user's corpus is never written to."""
    if settings.corpus is not None and settings.keep is not None:
        corpus, keep = settings.corpus.resolve(), settings.keep.resolve()
        if keep.is_relative_to(corpus):
            raise CorpusError(f"--keep {settings.keep}: this is inside the corpus, which is only read")


def _read(folder: Path) -> tuple[Corpus, HeldOut]:
    corpus = read_corpus(folder.absolute())
    return corpus, held_out(corpus)


def _weights(asked: dict[str, float], given: tuple[Corpus, HeldOut] | None) -> dict[str, float]:
    """The weight of each class."""
    known = dict.fromkeys(given[0].classes, 1.0) if given else WANTED
    for name in asked:
        if name not in known:
            raise CorpusError(f"--weight {name}: there is no class of this name")
    if not any((known | asked).values()):
        raise CorpusError("--weight: at least one class must have a weight above 0")
    return known | asked


def _resumed(run: Run, screen: Screen) -> Account:
    """The second half, in a new process."""
    work, corpus = run.work, run.corpus
    left = run.settings.n_batches - run.first.batches
    Job(str(corpus.root), corpus.every, run.plan, left).save(work.job)
    screen.heading("4. Stopped; resumed in a new process")
    screen.say(
        f"The position in the tree is saved: {work.state.stat().st_size / 1000:.1f} kB of JSON. All else is gone, the "
        "background process too. A new Python interpreter builds the tree again, loads the state and trains on."
    )
    code = fresh_interpreter("resume", str(work.folder))
    if code:
        raise SecondHalfFailed(code)
    second = Account(**json.loads(work.result.read_text(encoding="utf-8")))
    screen.batches(run.first.batches + 1, run.would_come, second.digests[:LOOK_AHEAD])
    return second


def _result(run: Run, second: Account, accuracy: float, screen: Screen) -> bool:
    """Show what came, and check every claim."""
    both, corpus = run.first + second, run.corpus
    screen.shares(corpus, run.plan, both.counts)
    screen.rates(both)
    claims = [_files_claim(run)]
    claims.append((_as_wanted(both, run.plan), "the classes came in the shares that were wanted, within chance"))
    same = second.digests[:LOOK_AHEAD] == run.would_come
    claims.append((same, f"the first {LOOK_AHEAD} batches after the resume are those that would have come"))
    closed = not run.left_open and not Journal(run.plan.journal).open_now()
    claims.append((closed, "every file that was opened was closed again"))
    if run.settings.corpus is None:
        claims.insert(0, (accuracy > _ACCURACY, f"held-out accuracy {accuracy:.3f}, above {_ACCURACY}"))
    else:
        screen.say(f"Held-out accuracy {accuracy:.3f}; always guessing the same class would give {run.guessing:.3f}.\n")
    for holds, text in claims:
        screen.claim(holds, text)
    return all(holds for holds, _ in claims)


def _files_claim(run: Run) -> tuple[bool, str]:
    """Whether no more files were open at once than the tree says, by the journal of both processes."""
    slots = sum(n_open(parts) for name, parts in run.corpus.classes.items() if run.plan.weights[name])
    before, after = Journal(run.plan.journal).peaks(run.notes)
    text = f"never more than {before} of the {run.corpus.n_files} files open at once"
    if after > before:
        text = f"{text} ({after} for a moment when the resume checks a file by opening it twice)"
    return before <= slots and after <= slots + 1, text


def _as_wanted(account: Account, plan: Plan) -> bool:
    """Whether the counts agree with independent draws by the shares wanted."""
    n = account.samples
    return all(
        abs(count - n * share) <= _CHANCE * math.sqrt(n * share * (1 - share))
        for count, share in zip(account.counts, plan.shares.values(), strict=True)
    )
