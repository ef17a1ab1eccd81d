"""Training a linear classifier on the batches of a stream, and keeping account of what came."""

from __future__ import annotations

import hashlib
import pickle
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .corpus import HeldOut

__all__ = ["Account", "Learner", "digest", "train"]


class Learner:
    """A linear classifier by stochastic gradient descent, on features brought to mean 0 and variance 1 as they come."""

    def __init__(self, n_classes: int, seed: int) -> None:
        from sklearn.linear_model import SGDClassifier
        from sklearn.preprocessing import StandardScaler

        self._classes = np.arange(n_classes)
        self._scaler = StandardScaler()
        self._model = SGDClassifier(loss="log_loss", alpha=1e-3, random_state=seed & 0xFFFFFFFF)

    def learn(self, batch: dict[str, Any]) -> None:
        """One step."""
        x = self._scaler.partial_fit(batch["x"]).transform(batch["x"])
        self._model.partial_fit(x, batch["y"], classes=self._classes)

    def accuracy(self, samples: HeldOut) -> float:
        """The share of samples whose class it tells."""
        return float(self._model.score(self._scaler.transform(samples.x), samples.y))

    def save(self, path: Path) -> None:
        """Write it to a file."""
        path.write_bytes(pickle.dumps(self))

    @staticmethod
    def load(path: Path) -> Learner:
        """Read what `save` has written."""
        learner: Learner = pickle.loads(path.read_bytes())
        return learner


@dataclass
class Account:
    """What came of a stream.

    Attributes
    ----------
    counts : list of int
        Samples of each class.
    seconds, waiting : float
        From the first request to the end of the last step, and how much of that was spent waiting for batches.
    """

    counts: list[int]
    batches: int = 0
    seconds: float = 0.0
    waiting: float = 0.0
    digests: list[str] = field(default_factory=list)

    @property
    def samples(self) -> int:
        """How many samples came."""
        return sum(self.counts)

    def __add__(self, other: Account) -> Account:
        return Account(
            [a + b for a, b in zip(self.counts, other.counts, strict=True)],
            self.batches + other.batches,
            self.seconds + other.seconds,
            self.waiting + other.waiting,
            self.digests + other.digests,
        )


def digest(batch: dict[str, Any]) -> str:
    """A few letters that stand for every byte of a batch."""
    hashed = hashlib.blake2b(digest_size=8)
    for name in sorted(batch):
        hashed.update(f"{name} {batch[name].dtype.str} {batch[name].shape}".encode() + batch[name].tobytes())
    return hashed.hexdigest()


def train(stream: Iterator[dict[str, Any]], learner: Learner, n_batches: int, n_classes: int) -> Iterator[Account]:
    """Train on the next `n_batches` batches, and tell the account after each."""
    account = Account([0] * n_classes)
    start = time.perf_counter()
    for _ in range(n_batches):
        asked = time.perf_counter()
        batch = next(stream)
        account.waiting += time.perf_counter() - asked
        learner.learn(batch)
        for label, count in enumerate(np.bincount(batch["y"], minlength=n_classes).tolist()):
            account.counts[label] += count
        account.batches += 1
        account.digests.append(digest(batch))
        account.seconds = time.perf_counter() - start
        yield account
