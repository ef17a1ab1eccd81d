"""Random trees keep the promises."""

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from streamflow import ParameterError
from streamflow.testing import check_streamer

from ..amount import amount
from .trees import divisible_trees, trees

# The same trees each time; they are told as the expression that builds them, so no database of failures is needed.
fixed = settings(
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate, Phase.shrink],
)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_trees(depth):
    @settings(fixed, max_examples=amount(15, 120))
    @given(trees(depth))
    def check(made):
        try:
            tree = made()
        except ParameterError:  # a part that a mux of few slots cannot be divided into, say
            return
        check_streamer(tree, 12, shards="parts", fresh_process=False)

    check()


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_parts_of_finite_trees(depth):
    @settings(fixed, max_examples=amount(15, 120))
    @given(divisible_trees(depth))
    def check(made):
        check_streamer(made(), 12, fresh_process=False)

    check()


def test_trees_in_a_fresh_process():
    @settings(fixed, max_examples=amount(6, 20))
    @given(trees(2))
    def check(made):
        check_streamer(made(), 12, shards=None)

    check()
