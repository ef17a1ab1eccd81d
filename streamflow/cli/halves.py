"""Training before the stop and after it.  The two halves share nothing but files."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from .. import Stream
from .corpus import Corpus, read_corpus
from .screen import Screen
from .training import Account, Learner, digest, train
from .tree import Plan, sampling_tree
from .work import Work

__all__ = ["LOOK_AHEAD", "Job", "first_half", "second_half"]

LOOK_AHEAD = 5  #: batches that are compared


@dataclass(frozen=True)
class Job:
    """What the second half must know.

    Attributes
    ----------
    root : str
        The folder of the corpus.
    every : int
        Which samples of it are held out (see `Corpus`).
    plan : Plan
    n_batches : int
        That are still to be trained on.
    """

    root: str
    every: int
    plan: Plan
    n_batches: int

    def save(self, path: Path) -> None:
        """Write it to a file."""
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Job:
        """Read what `save` has written."""
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return cls(**{**values, "plan": Plan(**values["plan"])})


def first_half(work: Work, corpus: Corpus, plan: Plan, n_batches: int, screen: Screen) -> tuple[Account, list[str]]:
    """Train, save everything, and tell which batches would come next."""
    learner = Learner(len(corpus.classes), plan.seed)
    with sampling_tree(corpus, plan).open() as stream:
        account = _shown("first half", stream, learner, n_batches, corpus, screen)
        work.state.write_text(json.dumps(stream.state_dict()), encoding="utf-8")
        would_come = [digest(batch) for batch in islice(stream, LOOK_AHEAD)]
    learner.save(work.model)
    return account, would_come


def second_half(work: Work, screen: Screen) -> None:
    """Build the same tree again, take up the state, and train on; runs in a process of its own."""
    job = Job.load(work.job)
    corpus = read_corpus(Path(job.root), job.every)
    learner = Learner.load(work.model)
    with sampling_tree(corpus, job.plan).open() as stream:
        stream.load_state_dict(json.loads(work.state.read_text(encoding="utf-8")))
        account = _shown("second half", stream, learner, job.n_batches, corpus, screen)
    learner.save(work.model)
    work.result.write_text(json.dumps(asdict(account)), encoding="utf-8")


def _shown(label: str, stream: Stream, learner: Learner, n_batches: int, corpus: Corpus, screen: Screen) -> Account:
    return screen.progress(label, train(stream, learner, n_batches, len(corpus.classes)), n_batches)
