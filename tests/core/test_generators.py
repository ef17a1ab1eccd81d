"""`Generators`: a generator for each number below an address."""

import pickle
from itertools import pairwise

import numpy as np
import pytest

from streamflow import seeding
from streamflow.seeding import MAP, ORDER, Generators, Key, Root

N = 4096
HERE = Key(Root(3), (0, 1, 2))


def first_draws(generators, n=N):
    return np.array([generators.at(number).random() for number in range(n)])


def correlation(one, other):
    """In standard errors: about normal with mean 0 and deviation 1 where nothing is shared."""
    return float(np.corrcoef(one, other)[0, 1]) * np.sqrt(len(one))


def test_a_generator_depends_on_its_address_and_number_alone():
    forth = first_draws(Generators(HERE, MAP), 100).tolist()
    generators = Generators(HERE, MAP)
    back = [generators.at(number).random() for number in reversed(range(100))]
    alone = [Generators(HERE, MAP).at(number).random() for number in range(100)]
    assert forth == back[::-1] == alone
    assert len(set(forth)) == 100


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_how_many_are_prepared_together_does_not_matter(size, monkeypatch):
    wanted = first_draws(Generators(HERE, MAP), 100)
    monkeypatch.setattr(Generators, "_SIZE", size)
    assert np.array_equal(first_draws(Generators(HERE, MAP), 100), wanted)


def test_the_numbers_reach_far():
    generators = Generators(HERE, MAP)
    numbers = [0, 1, 2**32 - 1, 2**32, 2**61, 2**62, 2**63 - 2, 2**63 - 1]
    drawn = [generators.at(number).random() for number in numbers]
    assert len(set(drawn)) == len(numbers)
    assert drawn == [Generators(HERE, MAP).at(number).random() for number in numbers]


@pytest.mark.parametrize("lag", [1, 2, 3, 4, 8, 15, 16, 17, 64])
def test_neighbouring_numbers_draw_independently(lag):
    drawn = first_draws(Generators(HERE, MAP))
    assert abs(correlation(drawn[:-lag], drawn[lag:])) < 4


def test_the_streams_of_neighbouring_numbers_share_nothing():
    generators = Generators(HERE, MAP)
    streams = [generators.at(number).random(2000) for number in range(20)]
    found = [correlation(one, other) for one, other in pairwise(streams)]
    assert max(map(abs, found)) < 4
    assert len({value for stream in streams for value in stream}) == 40000


def test_addresses_and_purposes_draw_independently():
    keys = [HERE, HERE.at_epoch(1), HERE.below(0, 0), HERE.below(0, 1), Key(Root(4), HERE.path)]
    drawn = [first_draws(Generators(key, *purpose)) for key in keys for purpose in ((MAP,), (MAP, 1), (ORDER,))]
    found = [correlation(one, other) for place, one in enumerate(drawn) for other in drawn[:place]]
    assert max(map(abs, found)) < 4.5  # 105 pairs


@pytest.mark.parametrize("place", range(3))
def test_the_draws_of_many_generators_are_uniform(place):
    generators = Generators(HERE, MAP)
    drawn = np.array([generators.at(number).random(3)[place] for number in range(N)])
    counts = np.bincount((drawn * 64).astype(int), minlength=64)
    assert ((counts - N / 64) ** 2 / (N / 64)).sum() < 117  # chi-square, 63 degrees of freedom: 1 in 30,000


def test_they_are_generators_like_any_other():
    rng = Generators(HERE, MAP).at(5)
    rng.random()
    twin = pickle.loads(pickle.dumps(rng))
    assert twin.random(5).tolist() == rng.random(5).tolist()
    children = [*rng.spawn(2), *rng.spawn(1)]
    drawn = [child.random() for child in children]
    assert len(set(drawn)) == 3
    assert [child.random() for child in Generators(HERE, MAP).at(5).spawn(3)] == drawn
    copied = pickle.loads(pickle.dumps(Generators(HERE, MAP).at(5)))
    assert [child.random() for child in copied.spawn(3)] == drawn
    words = rng.bit_generator.seed_seq.generate_state(8)
    assert words.dtype == np.uint32
    assert len(set(words.tolist())) == 8


def test_a_number_of_the_path_that_is_too_large_is_refused():
    with pytest.raises(seeding.ParameterError, match=r"below 2\*\*32"):
        Generators(Key(Root(0), (0, 2**32)), MAP)
