"""The numbers that decide which items come.  Changing one changes streams.

A stream is a function of its tree and its seed, and of the numbers below.  Changing one gives other items to everybody
who resumes or repeats an old run, so it is done on purpose or not at all: `tests/golden` turns red.  Numbers that may
be changed freely, such as the lengths of blocks, stand where they are used.

Streams also depend on the addresses at which random numbers are drawn, and these stand where the draw is made: the
purposes in `seeding`; blocks and windows in `samplers/blocks`; the numbers of a sample in `sources/reading/randomness`;
the members of a composition or a choice in `sources/combine/composite` and `sources/combine/choice`; rounds in
`mux/round_robin`; the parts of a mux in `mux/stochastic`, `mux/picking` and `mux/choosing`; what a worker seeds in
`background/seeds`.

This file imports nothing.
"""

__all__ = [
    "BARRED_TRIES",
    "CAP_REACH",
    "DEAD_MISSES",
    "DEAD_SLOTS_PER_MISS",
    "DRAWS_IN_BLOCK",
    "ENTROPY_WORDS",
    "MIX_FACTORS",
    "MIX_SHIFTS",
    "NEGATIVE_SEED_BITS",
    "PERMUTATION_ROUNDS",
    "SORTED_UP_TO",
]

# ---------------------------------------------------------------------- seeds
#: Words of 32 bits that are read from a Generator, a RandomState or the global state: the entropy of a tree.
#: Changing it changes the streams of trees seeded by these.
ENTROPY_WORDS = 4

#: A negative seed is its magnitude with a word of ones above this many bits (above its own, if it has more).
#: Changing it changes the streams of negative seeds.
NEGATIVE_SEED_BITS = 128

# ---------------------------------------------------------------------- draws
#: Members, caps and second tries are drawn in blocks of this many numbers, each block with its own generator.
#: Changing it changes the streams of all muxes that draw members, from the end of the shorter first block on.
DRAWS_IN_BLOCK = 512

# ---------------------------------------------------------------------- orders
#: Up to this length a random order is a sort of random words, above it a keyed permutation.
#: Changing it changes the order of what lies between the old and the new length.
SORTED_UP_TO = 1 << 16

#: Rounds of the keyed permutation, each with its own word.
#: Changing it changes every order above `SORTED_UP_TO`.
PERMUTATION_ROUNDS = 8

#: How a round mixes 64 bits: shift, multiply, shift, multiply, shift.
#: Changing one changes every order above `SORTED_UP_TO`.
MIX_SHIFTS = 30, 27, 31
MIX_FACTORS = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB

# ---------------------------------------------------------------------- muxes
#: Dead slots are left out of the picks of a mux of n slots after more than DEAD_MISSES + n // DEAD_SLOTS_PER_MISS
#: asks that they left unanswered; from then on a random number means another slot.
#: Changing one changes the streams of muxes whose members end for good, or give nothing.
DEAD_MISSES = 50
DEAD_SLOTS_PER_MISS = 10

#: How many draws may hit members that must not be drawn (active elsewhere, or empty) before one is drawn among the
#: others alone.
#: Changing it changes the streams of ``single_active`` and of muxes with empty members.
BARRED_TRIES = 8

#: Standard deviations on each side of the mean within which a cap is drawn; less than 1e-30 lies beyond.
#: Changing it changes streams where a random number falls between the old and the new border of a cap: with 8 or more
#: only by rounding, with less in any long run.
CAP_REACH = 12
