"""The sampling tree over a corpus: what the demo is about.

`samples_of`, `class_mux` and `serial_tree` are all that a user has to write; the rest of the demo shows what comes of
it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import ShuffledMux, StochasticMux, Streamer, StreamerList, ZMQStreamer, buffer_stream
from .arrays import ArrayFile, Journal
from .corpus import Corpus, Part, kept_places

__all__ = ["Plan", "class_mux", "n_open", "samples_of", "sampling_tree", "serial_tree", "turn"]

_N_ACTIVE = 2  #: files of a class that are open at a time
_READ_AHEAD = 1 << 20  #: bytes; more would only be thrown away when a short training stops


@dataclass(frozen=True)
class Plan:
    """What is asked of the tree.

    Attributes
    ----------
    weights : dict from the name of a class to a number
        In the order of the classes.
    batch_size, seed : int
    journal : str
        The file in which openings and closings are noted.
    """

    weights: dict[str, float]
    batch_size: int
    seed: int
    journal: str

    @property
    def shares(self) -> dict[str, float]:
        """The weights, summing to 1."""
        total = sum(self.weights.values())
        return {name: weight / total for name, weight in self.weights.items()}


def samples_of(path: str, label: int, every: int, journal: str, rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    """The samples of one file without end, in a new order each time round.

    It opens the file when the tree draws it, and closes it when its turn is over; `rng` is handed in by the tree.
    """
    file = ArrayFile(path, Journal(journal))
    try:
        places = kept_places(len(file), every)
        while True:
            for place in rng.permutation(places):
                yield {"x": file.features(place), "y": label}
    finally:
        file.close()


def class_mux(corpus: Corpus, name: str, journal: str) -> StochasticMux:
    """The samples of one class: a few of its files are open, each for some samples, then another takes its place."""
    parts = corpus.classes[name]
    label = list(corpus.classes).index(name)
    return StochasticMux(
        StreamerList(
            samples_of, [part.path for part in parts], [label] * len(parts), every=corpus.every, journal=journal
        ),
        n_active=n_open(parts),
        rate=turn(corpus),
        weights=[kept_places(part.size, corpus.every).size for part in parts],  # so that each sample is as likely
    )


def serial_tree(corpus: Corpus, plan: Plan) -> Streamer:
    """Batches of samples whose classes have the shares that the plan wants."""
    classes = {name: class_mux(corpus, name, plan.journal) for name in corpus.classes}
    samples = ShuffledMux(classes, weights=plan.weights, random_state=plan.seed)
    return samples.pipe(buffer_stream, plan.batch_size)


def sampling_tree(corpus: Corpus, plan: Plan) -> Streamer:
    """The same batches, made in a process of their own."""
    return ZMQStreamer(serial_tree(corpus, plan), buffer_bytes=_READ_AHEAD)


def n_open(parts: list[Part]) -> int:
    """How many files of a class are open at a time."""
    return min(_N_ACTIVE, len(parts))


def turn(corpus: Corpus) -> int:
    """How many samples a file gives before another takes its place: about half of it, within reason."""
    samples = sum(map(corpus.size, corpus.classes))
    return min(256, max(8, samples // corpus.n_files // 2))
