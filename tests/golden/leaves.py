"""What the golden trees are made of.  A state knows a function by its name alone: it may move, but not be renamed."""

import itertools
import random

import numpy as np

from streamflow import BaseMux
from streamflow.core import stream_map
from streamflow.samplers import Sampler
from streamflow.seeding import ORDER, bit_generator
from streamflow.sources import Source


def counted(name, length=None):
    """Name and place: which member was taken, and how far it was."""
    yield from zip(itertools.repeat(name), itertools.count() if length is None else range(length), strict=False)


def drawn(name, length=None, *, rng):
    """A 64-bit word for each activation (raw output, which NumPy keeps the same in all versions)."""
    for place in itertools.count() if length is None else range(length):
        yield name, place, rng.bit_generator.random_raw()


def skipping(name, length, start, rng):
    """Can start in the middle: one word for each activation, and the place."""
    word = rng.bit_generator.random_raw() >> 40
    for place in range(start, length):
        yield name, place, word


def own_part(name, length, shard=(0, 1)):
    """Divides its items itself, in stretches instead of turns."""
    index, count = shard
    yield from ((name, place) for place in range(index * length // count, (index + 1) * length // count))


def rows(length, *, rng):
    """Dicts of arrays and numbers."""
    for place in range(length):
        yield {"x": np.arange(3, dtype=np.float32) + place, "y": rng.bit_generator.random_raw() >> 60}


def twice(stream, again):
    """Opens one Streamer twice and another once."""
    yield from stream
    yield from zip(stream, again, strict=False)


def choosing(stream, named):
    """Returns a Streamer instead of items."""
    return named if stream is None else stream


def global_words(length):
    """Draws from the global random states, which a worker seeds."""
    for place in range(length):
        yield place, random.getrandbits(32), int(np.random.randint(1 << 31))


def worded(item, index, epoch, rng):
    """An item with all that a function of an item can ask for."""
    return item, index, epoch, rng.bit_generator.random_raw()


def lucky(item, rng):
    """Half of the items."""
    return rng.bit_generator.random_raw() & 1


class Countdown:
    """A leaf object that keeps its own state."""

    def __init__(self, length):
        self.left = length

    def __iter__(self):
        return self

    def __next__(self):
        if not self.left:
            raise StopIteration
        self.left -= 1
        return self.left

    def state_dict(self):
        return {"left": self.left}

    def load_state_dict(self, state):
        self.left = state["left"]


@stream_map()
def paired(items):
    """Two items in one, and nothing held back between."""
    for item in items:
        yield item, next(items, None)


@stream_map(kind="replayed")
def summed(items):
    """A map that holds a sum."""
    total = 0
    for item in items:
        total += item[-1]
        yield total


@stream_map(kind="windowed")
def noisy(items, random_state=None):
    """A seeded map."""
    for item in items:
        yield [(item, random_state.bit_generator.random_raw())]


class Wandering(BaseMux):
    """A user's own mux: draws a slot, and opens again the members that have given at least three items."""

    def choose(self, step, live, u):
        return live[int(u * len(live)) if step % 3 else step % len(live)]

    def ended(self, slot, given):
        return slot != 1 and (given >= 3 or slot == 0)


class Wide(Source):
    """As many samples as a random number has values, and each is its own index."""

    def __len__(self):
        return 1 << 53

    def sample(self, index):
        return index


class Rotated(Sampler):
    """A user's own sampler: in order, from a random place on."""

    def order(self, n, key):
        return np.roll(np.arange(n), int(bit_generator(key, ORDER).random_raw() % n))
