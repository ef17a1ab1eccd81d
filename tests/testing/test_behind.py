"""`state_dict(behind=n)` of random trees, for every n and however the states that are kept fall."""

import json
from itertools import islice

import pytest
from hypothesis import given, settings

from streamflow import ParameterError
from streamflow.core import checkpoint
from streamflow.core.equal import same
from streamflow.core.history import MOST

from ..amount import amount
from .test_random_trees import fixed
from .trees import trees

#: The least time between two checkpoints: one before each item, as it is by default, none but the start.
CLOCKS = {"each item": 0.0, "default": checkpoint.BETWEEN, "only the start": float("inf")}
_LENGTH = 90  #: items that are looked at
_FURTHER = 3  #: items after which a resumed pass is saved again


@pytest.fixture(params=CLOCKS)
def clock(request, monkeypatch):
    monkeypatch.setattr(checkpoint, "BETWEEN", CLOCKS[request.param])
    if request.param == "each item":
        monkeypatch.setattr(checkpoint, "SHARE", 0)


def through_json(state):
    return json.loads(json.dumps(state))


class Pass:
    """What a pass gives: its items, and the epoch and position after each number of them."""

    def __init__(self, tree, cycle):
        self.tree, self.cycle = tree, cycle
        self.items, self.places = [], [(0, 0)]
        with tree.open(cycle=cycle) as stream:
            for item in islice(stream, _LENGTH):
                self.items.append(item)
                self.places.append((stream.epoch, stream.position))

    def check(self, state, place):
        """A state resumes after `place` items, and so does one of the resumed pass that lies there."""
        for _ in range(2):
            with self.tree.open(cycle=self.cycle) as stream:
                stream.load_state_dict(through_json(state))
                assert (stream.epoch, stream.position) == self.places[place]
                items = list(islice(stream, _FURTHER))
                assert same(items, self.items[place : place + _FURTHER])
                state = stream.state_dict(behind=len(items))


def check_tree(tree, cycle):
    """States of any number of items back, after some numbers of items and after the end."""
    wanted = Pass(tree, cycle)
    with tree.open(cycle=cycle) as stream:
        drawn = 0
        for count in (1, 4, 30, _LENGTH - _FURTHER):
            drawn += len(list(islice(stream, count - drawn)))
            at_end = drawn < count and cycle  # the state right there is of the next epoch
            reach = min(MOST, drawn)
            some = {0, 1, 2, 5, reach - 1, reach, reach // 2, reach // 3} & set(range(reach + 1))
            for behind in amount(some, range(reach + 1)):
                if behind or not at_end:
                    wanted.check(stream.state_dict(behind=behind), drawn - behind)


@pytest.mark.parametrize("cycle", [False, True], ids=["one epoch", "cycle"])
@pytest.mark.usefixtures("clock")
def test_random_trees(cycle):
    @settings(fixed, max_examples=amount(12, 120))
    @given(trees(3))
    def check(made):
        try:
            tree = made().with_seed(0)
        except ParameterError:  # a part that a mux of few slots cannot be divided into, say
            return
        check_tree(tree, cycle)

    check()
