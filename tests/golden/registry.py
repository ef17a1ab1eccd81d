"""What a golden tree is, and how one is declared.

Each is made by a function, whose name is that of the tree.
"""

from collections.abc import Callable
from typing import NamedTuple

from streamflow import Streamer, ZipMux


class Tree(NamedTuple):
    """A tree, and what of it is compared."""

    make: Callable[[], Streamer]
    n: int  #: items at most
    at: int  #: after how many a state is taken
    epoch: int
    cycle: bool
    resumes: bool  #: False: what is drawn depends on the process that draws, so a resume gives other items


#: By name.
TREES: dict[str, Tree] = {}


def tree(n, at=None, *, epoch=0, cycle=False, resumes=True):
    """Declare the tree that a function makes to be golden."""

    def take(make):
        TREES[make.__name__] = Tree(make, n, n // 2 if at is None else at, epoch, cycle, resumes)
        return make

    return take


def parts(mux, count=3):
    """All parts side by side."""
    return ZipMux([mux.shard(index, count) for index in range(count)], flatten=False).with_seed(32)
