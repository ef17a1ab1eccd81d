"""The randomness of a job: entropy drawn in the consumer, global generators seeded in a worker.  Knows `task`.

A worker never draws entropy itself.  Code that starts one outside the calling thread calls `draw_entropy` first; a
worker that is a process calls `seed_global_generators` before each epoch.
"""

from __future__ import annotations

import random

import numpy as np

from ..core.call import merged
from ..core.walk import walk
from ..seeding import WORKER, generator
from .task import Job

__all__ = ["draw_entropy", "seed_global_generators"]


def draw_entropy(job: Job) -> None:
    """In the consumer: draw the entropy of the tree, and of the activations that its bound Streamers belong to."""
    _ = job.key.root.entropy
    for _, streamer in walk(job.tree):
        if streamer._overrides is not None and streamer._overrides.binding is not None:
            _ = streamer._overrides.binding.key.root.entropy


def seed_global_generators(job: Job) -> None:
    """In the worker: seed `random` and `numpy.random`, from which user code may draw, by the first of its lanes."""
    index, count = merged(job.shards_of(job.numbers[0]))
    address = [count * (count - 1) // 2 + index]  # another number for each (index, count)
    given = sum(lane.given for lane in job.lanes)
    if given:  # a worker that resumes a lane does not repeat the numbers of its start
        address += [given % (1 << 32), given >> 32]
    rng = generator(job.key, WORKER, *address)
    words = rng.integers(1 << 32, size=4, dtype=np.uint32)
    if hasattr(np.random, "set_bit_generator"):
        # Not `seed`: a thread of the consumer may have held its lock when this process was forked.
        np.random.set_bit_generator(np.random.MT19937(words.tolist()))
    else:
        np.random.seed(words)
    random.seed(int(rng.integers(1 << 63)))
