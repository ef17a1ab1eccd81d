"""Where randomness comes from: a tree's root, the keys below it, and what is drawn from a key.

Nothing in streamflow carries a random generator along.  Each random decision has an address in the tree, and what is
drawn there is a function of that address alone::

    SeedSequence(root, spawn_key=(epoch, *path, purpose))

`path` has one pair per level: (activation, index) at a mux, (pass, argument number) at a Streamer handed to a function.
So a stream can be resumed by counting what has been taken, a member that is activated again does not repeat itself, and
parts of a tree that run in different processes agree on every draw without talking to each other.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .core.checkpoint import Clock
from .core.format import (
    DRAWS_IN_BLOCK,
    ENTROPY_WORDS,
    MIX_FACTORS,
    MIX_SHIFTS,
    NEGATIVE_SEED_BITS,
    PERMUTATION_ROUNDS,
    SORTED_UP_TO,
)
from .core.validate import is_integer, require
from .exceptions import ParameterError

__all__ = [
    "CAPS",
    "CROP",
    "LEAF",
    "MAP",
    "ORDER",
    "PICKS",
    "POOL",
    "REDRAWS",
    "WORKER",
    "Draws",
    "Generators",
    "Key",
    "Permutation",
    "Root",
    "bit_generator",
    "check_random_state",
    "generator",
    "order",
    "permutation",
    "uniforms",
]

#: Purposes: what the randomness of one address is for.  Changing one changes streams.
LEAF, PICKS, POOL, CAPS, ORDER, MAP, REDRAWS, WORKER, CROP = range(9)

_WORD = 1 << 32
(_SHIFT_1, _SHIFT_2, _SHIFT_3), (_FACTOR_1, _FACTOR_2) = MIX_SHIFTS, MIX_FACTORS
_SCALAR = 16  #: up to this many positions a loop in Python is quicker than NumPy


def check_random_state(random_state: Any) -> None:
    """Raise a `ParameterError` unless it is a seed: None, an integer, a SeedSequence, a Generator or a RandomState."""
    kinds = (type(None), np.random.SeedSequence, np.random.Generator, np.random.RandomState)
    rule = "None, an integer, a SeedSequence, a Generator or a RandomState"
    require(is_integer(random_state) or isinstance(random_state, kinds), "random_state", rule, random_state)


class Root:
    """The entropy of a tree, or of a member that has its own seed.

    Parameters
    ----------
    random_state : None, int, SeedSequence, Generator or RandomState
        A Generator or RandomState is read once, here (128 bits).  With None the entropy is drawn from NumPy's global
        state, once, when it is first needed; a tree that needs none never touches that state.
    """

    __slots__ = ("_entropy", "prefix")

    def __init__(self, random_state: Any = None) -> None:
        self.prefix: tuple[int, ...] = ()
        self._entropy: int | list[int] | None = None
        check_random_state(random_state)
        if random_state is None:
            return
        if isinstance(random_state, np.random.SeedSequence):
            self.prefix = tuple(int(word) for word in random_state.spawn_key)
            entropy = random_state.entropy
            self._entropy = int(entropy) if isinstance(entropy, (int, np.integer)) else [int(e) for e in entropy]  # type: ignore[union-attr]
        elif isinstance(random_state, np.random.Generator):
            self._entropy = _join(random_state.integers(_WORD, size=ENTROPY_WORDS, dtype=np.uint64))
        elif isinstance(random_state, np.random.RandomState):
            self._entropy = _join(random_state.randint(0, _WORD, size=ENTROPY_WORDS, dtype=np.uint64))
        else:
            # SeedSequence refuses negative numbers, so their magnitude gets a word of ones above it.
            seed = int(random_state)
            self._entropy = seed if seed >= 0 else ((_WORD - 1) << max(NEGATIVE_SEED_BITS, seed.bit_length())) - seed

    @property
    def entropy(self) -> int | list[int]:
        """The entropy; drawn now if there is none yet."""
        if self._entropy is None:
            self._entropy = _join(np.random.randint(0, _WORD, size=ENTROPY_WORDS, dtype=np.uint64))
        return self._entropy

    @property
    def drawn(self) -> int | list[int] | None:
        """The entropy, or None where none has been needed yet."""
        return self._entropy

    def settle(self, entropy: int | list[int] | None) -> None:
        """Use the entropy of an earlier pass, as its state has it; None: it is still to be drawn."""
        self._entropy = entropy

    def __getstate__(self) -> tuple[Any, ...]:
        return self.prefix, self._entropy

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.prefix, self._entropy = state


def _join(words: NDArray[Any]) -> int:
    return sum(int(word) << (32 * place) for place, word in enumerate(words))


class Key:
    """An address in a tree: the root of the randomness here and the path below it, which begins with the epoch.

    In a live tree it also leads to the clock that says when checkpoints are made there.

    >>> Key(Root(0), (2,)).below(5, 1).path
    (2, 5, 1)
    """

    __slots__ = ("clock", "path", "root")

    def __init__(self, root: Root, path: tuple[int, ...], clock: Clock | None = None) -> None:
        self.root, self.path, self.clock = root, path, clock

    def of_root(self, root: Root) -> Key:
        """The same address below another root: that of a part of the tree with its own seed."""
        return Key(root, self.path, self.clock)

    def at_epoch(self, epoch: int) -> Key:
        """The same address in another epoch."""
        return Key(self.root, (epoch, *self.path[1:]), self.clock)

    def below(self, first: int, second: int) -> Key:
        """The address one step further down, such as (activation, index) below a mux."""
        return Key(self.root, (*self.path, first, second), self.clock)


def bit_generator(key: Key, *purpose: int) -> np.random.PCG64:
    """The bit generator of a purpose at an address.

    Raises
    ------
    ParameterError
        If a number of the path is 2**32 or more.
    """
    words = (*key.root.prefix, *key.path, *purpose)
    if max(words) >= _WORD:
        raise ParameterError(f"epochs and activations must stay below 2**32, got {max(words)}")
    return np.random.PCG64(np.random.SeedSequence(key.root.entropy, spawn_key=words))


def generator(key: Key, *purpose: int) -> np.random.Generator:
    """The `numpy.random.Generator` of a purpose at an address; see `bit_generator`.

    >>> here = Key(Root(0), (0,))
    >>> generator(here, LEAF).random() == generator(here, LEAF).random()
    True
    """
    return np.random.Generator(bit_generator(key, *purpose))


class Generators:
    """Endlessly many generators at one address: a `numpy.random.Generator` for each number from 0 to 2**63 - 1.

    A generator depends on the address (as in `generator`) and its number alone, so they may be asked for in any order,
    from any thread and more than once.  Number k is a PCG64 seeded by raw words 4k to 4k + 3 of the address's own bit
    generator: 2 microseconds, where a SeedSequence for each would take 12.

    >>> here = Generators(Key(Root(0), (0,)), MAP)
    >>> here.at(7).random() == here.at(7).random(), here.at(7).random() == here.at(8).random()
    (True, False)
    """

    __slots__ = ("_block", "_seed")
    _SIZE = 16  #: how many are prepared together; streams do not depend on it

    def __init__(self, key: Key, *purpose: int) -> None:
        np.random.bit_generator.ISpawnableSeedSequence.register(_Seed)  # not earlier: it loads numpy.random
        self._seed = bit_generator(key, *purpose).random_raw(_WORDS)
        self._block: tuple[int, NDArray[np.uint64]] | None = None  # its number, and the words of its generators

    def at(self, number: int) -> np.random.Generator:
        """The generator of a number, at its beginning."""
        block, place = divmod(number, self._SIZE)
        prepared = self._block  # read once: another thread may replace it
        if prepared is None or prepared[0] != block:
            bits = _seeded(self._seed)
            bits.advance(block * self._SIZE * _WORDS)
            self._block = prepared = block, bits.random_raw((self._SIZE, _WORDS))
        return np.random.Generator(_seeded(prepared[1][place]))


_WORDS = 4  #: words of 64 bits that seed a PCG64


def _seeded(words: NDArray[np.uint64]) -> np.random.PCG64:
    return np.random.PCG64(_Seed(words))  # type: ignore[arg-type]  # NumPy's types know no seed sequence of one's own


class _Seed:
    """The words that seed a PCG64, ready-made, where NumPy's SeedSequence would mix them again."""

    __slots__ = ("_mixed", "_words")

    def __init__(self, words: NDArray[np.uint64]) -> None:
        self._words = words
        self._mixed: np.random.SeedSequence | None = None

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> NDArray[Any]:
        return self._words if n_words == _WORDS and dtype == np.uint64 else self._real().generate_state(n_words, dtype)

    def spawn(self, n_children: int) -> list[np.random.SeedSequence]:
        return self._real().spawn(n_children)

    def _real(self) -> np.random.SeedSequence:
        """A real one, for what a user's function may ask of its generator beyond random numbers."""
        self._mixed = self._mixed or np.random.SeedSequence(self._words.tolist())
        return self._mixed

    def __reduce__(self) -> Any:
        return copy.copy, (self._real(),)


def uniforms(key: Key, purpose: int, positions: NDArray[np.intp]) -> NDArray[np.float64]:
    """Random numbers in [0, 1), each of which depends on the address and its position alone.

    Parameters
    ----------
    key : Key
    purpose : int
    positions : (n,) array of int
        Ascending.  Time and memory grow with the distance from the first to the last.

    Returns
    -------
    (n,) array of float

    Examples
    --------
    >>> some = uniforms(Key(Root(0), (0,)), CROP, np.array([3, 5]))
    >>> bool(some[1] == uniforms(Key(Root(0), (0,)), CROP, np.array([5]))[0])
    True
    """
    if not positions.size:
        return np.empty(0)
    first, last = int(positions[0]), int(positions[-1])
    bits = bit_generator(key, purpose)
    bits.advance(first)
    raw = bits.random_raw(last + 1 - first)
    return (raw[positions - first] >> np.uint64(11)).astype(np.float64) * 2.0**-53


class Draws:
    """Endless draws for one purpose; their whole state is how many have been taken.

    Draw number k comes from block k // SIZE, and each block has its own generator.  `next` is a C call.

    Parameters
    ----------
    make : function from (SIZE,) uniform doubles in [0, 1) to (SIZE,) draws
    key : Key
    purpose : int
    taken : int
        How many draws have been taken before.

    Examples
    --------
    >>> draws = Draws(lambda u: (u * 6).astype(int), Key(Root(0), (0,)), POOL)
    >>> numbers = [draws.next() for _ in range(100)]
    >>> min(numbers), max(numbers), draws.taken
    (0, 5, 100)
    """

    __slots__ = ("_place", "next")
    SIZE = DRAWS_IN_BLOCK

    def __init__(
        self, make: Callable[[NDArray[np.float64]], NDArray[Any]], key: Key, purpose: int, taken: int = 0
    ) -> None:
        # Where the running block ends, and what is left of it; shared with `_blocks`, which does not know the Draws.
        self._place: list[Any] = [taken, iter(())]
        self.next: Callable[[], Any] = chain.from_iterable(self._blocks(make, key, purpose, self._place)).__next__

    @classmethod
    def _blocks(
        cls, make: Callable[[NDArray[np.float64]], NDArray[Any]], key: Key, purpose: int, place: list[Any]
    ) -> Iterator[Iterator[Any]]:
        while True:
            block, done = divmod(place[0], cls.SIZE)
            draws = make(generator(key, purpose, block).random(cls.SIZE)).tolist()[done:]
            place[:] = place[0] + len(draws), iter(draws)
            yield place[1]

    @property
    def taken(self) -> int:
        """How many draws have been taken."""
        upto, left = self._place
        return int(upto - left.__length_hint__())


def order(n: int, key: Key, *purpose: int) -> Callable[[int], int]:
    """A keyed random order of range(n), as a function from position to number: `permutation` for single numbers.

    >>> place = order(5, Key(Root(0), (0,)), ORDER)
    >>> sorted(place(position) for position in range(5))
    [0, 1, 2, 3, 4]
    """
    found = permutation(n, key, *purpose)
    return found.place if isinstance(found, Permutation) else found.tolist().__getitem__


def permutation(n: int, key: Key, *purpose: int) -> NDArray[np.intp] | Permutation:
    """A keyed random order of range(n), to be indexed by arrays of positions.

    It uses raw 64-bit output only, which NumPy keeps stable from version to version.  Up to 65536 numbers it is an
    array, a sort of random numbers; above that a `Permutation`, which needs no memory.

    >>> found = permutation(5, Key(Root(0), (0,)), ORDER)
    >>> sorted(found[np.arange(5)].tolist())
    [0, 1, 2, 3, 4]
    """
    bits = bit_generator(key, *purpose)
    if n <= SORTED_UP_TO:
        return np.argsort(bits.random_raw(n), kind="stable")
    return Permutation(n, [int(word) for word in bits.random_raw(PERMUTATION_ROUNDS)])


class Permutation:
    """A random order of range(n) that needs no memory.

    A Feistel network over the next power of four, walked until it falls below n (Black and Rogaway, "Ciphers with
    Arbitrary Finite Domains", 2002).

    Parameters
    ----------
    n : int
        How many numbers, at least 2.
    rounds : list of int
        One word of 64 random bits for each round of the network.
    """

    __slots__ = ("_half", "_mask", "_n", "_rounds")

    def __init__(self, n: int, rounds: list[int]) -> None:
        self._n, self._rounds = n, rounds
        self._half = ((n - 1).bit_length() + 1) // 2
        self._mask = (1 << self._half) - 1

    def __len__(self) -> int:
        return self._n

    def place(self, position: int) -> int:
        """The number at a position."""
        half, mask = self._half, self._mask
        while True:
            left, right = position >> half, position & mask
            for word in self._rounds:
                left, right = right, left ^ (_mix(right ^ word) & mask)
            position = left << half | right
            if position < self._n:
                return position

    def __getitem__(self, positions: NDArray[np.intp]) -> NDArray[np.intp]:
        """The numbers at many positions."""
        if len(positions) <= _SCALAR:
            return np.array([self.place(position) for position in positions.tolist()], np.intp)
        found = self._walked(positions.astype(np.uint64))
        (outside,) = np.nonzero(found >= self._n)
        while outside.size:
            found[outside] = self._walked(found[outside])
            outside = outside[found[outside] >= self._n]
        return found.astype(np.intp)

    def _walked(self, positions: NDArray[np.uint64]) -> NDArray[np.uint64]:
        half, mask = np.uint64(self._half), np.uint64(self._mask)
        left, right = positions >> half, positions & mask
        for word in self._rounds:
            left, right = right, left ^ (_mix_all(right ^ np.uint64(word)) & mask)
        return left << half | right


def _mix(x: int) -> int:
    """The finaliser of SplitMix64 (Steele, Lea and Flood, 2014): each output bit depends on each input bit."""
    x = ((x ^ (x >> _SHIFT_1)) * _FACTOR_1) & 0xFFFFFFFFFFFFFFFF
    x = ((x ^ (x >> _SHIFT_2)) * _FACTOR_2) & 0xFFFFFFFFFFFFFFFF
    return x ^ (x >> _SHIFT_3)


def _mix_all(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """`_mix` of each number; NumPy's integers drop what lies above 64 bits."""
    x = (x ^ (x >> np.uint64(_SHIFT_1))) * np.uint64(_FACTOR_1)
    x = (x ^ (x >> np.uint64(_SHIFT_2))) * np.uint64(_FACTOR_2)
    return x ^ (x >> np.uint64(_SHIFT_3))
