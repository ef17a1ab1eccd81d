"""Workers that are killed at random moments are replaced, and nobody can tell from the stream.

``STREAMFLOW_KILLS`` is the number of kills; the seed is its own for each number.
"""

import gc
import random
from pathlib import Path

from ..amount import amount
from ..processes import workers
from .disturbing import Disturber, disturbed_pass
from .leaves import FINITE, LARGE, expected_items

KILLS = amount(25, 110)


def maps():
    return sum("memfd:streamflow" in line for line in Path("/proc/self/maps").read_text().splitlines())


def descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


def test_kills_do_not_show():
    for n_lanes in (1, 2, 3, 5):  # computed before the attacks begin
        for make in LARGE.values():
            expected_items(make, n_lanes, 120)
        for make in FINITE.values():
            expected_items(make, n_lanes)
    dice = random.Random(KILLS)
    disturber = Disturber(random.Random(1), 0.03)
    disturbed_pass(dice, disturber)
    gc.collect()
    before = descriptors()
    passes = 1
    while disturber.kills < KILLS:
        disturbed_pass(dice, disturber)
        assert workers() == []
        passes += 1
    gc.collect()
    assert maps() == 0
    assert descriptors() == before
    assert passes > KILLS / 50
    assert disturber.stops > 0
