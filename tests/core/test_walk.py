"""Trees can be walked: descriptions and live nodes name what is below them, and questions about a tree are walks."""

import functools
from itertools import islice

import numpy as np
import pytest

import streamflow as sf
from streamflow.core.call import OneShot
from streamflow.core.node import Node
from streamflow.core.walk import check_resendable, large_arguments, walk
from streamflow.sources import ArraySource


def count(n):
    yield from range(n)


def noisy(stream, other=None, rng=None):
    for item in stream:
        yield item + rng.random()


def names(streamer):
    return [name for name, _ in streamer.children()]


LEAF = sf.Streamer(count, 3)


# ---- descriptions


@pytest.mark.parametrize(
    ("streamer", "expected"),
    [
        (LEAF, []),
        (sf.Streamer([1, 2]), []),
        (sf.Streamer(functools.partial(count, 3)), []),
        (sf.Streamer(noisy, LEAF), [(0, LEAF)]),
        (sf.Streamer(noisy, LEAF, other=LEAF), [(0, LEAF), ("other", LEAF)]),
        (sf.Streamer(LEAF), [("stream", LEAF)]),
        (LEAF.pipe(sf.cache, 2), [("stream", LEAF)]),
        (LEAF.pipe(noisy), [(0, LEAF)]),
        (sf.ThreadStreamer(LEAF), [("stream", LEAF)]),
        (sf.ZMQStreamer(LEAF), [("stream", LEAF)]),
        (sf.ShuffledMux([LEAF, LEAF]), [(0, LEAF), (1, LEAF)]),
        (sf.StochasticMux({"a": LEAF}, 1, None), [("a", LEAF)]),
        (sf.RoundRobinMux({"a": LEAF, 7: LEAF}), [("a", LEAF), (7, LEAF)]),
        (sf.ZipMux([LEAF]), [(0, LEAF)]),
        (sf.ChainMux([LEAF]), [(0, LEAF)]),
        (sf.ChainMux(lambda: iter([LEAF])), []),
        (ArraySource(np.arange(4)).batches(2), []),
    ],
    ids=repr,
)
def test_a_description_names_its_children(streamer, expected):
    assert list(streamer.children()) == expected


def test_parts_and_seeds_have_the_same_children():
    tree = sf.RoundRobinMux({"a": LEAF, "b": LEAF}).pipe(sf.cache, 2)
    for twin in (tree.shard(0, 2), tree.with_seed(3)):
        assert list(twin.children()) == list(tree.children())


def test_a_walk_gives_every_streamer_once_parents_first():
    shared = sf.Streamer(count, 5)
    inner = sf.ShuffledMux({"x": shared, "y": sf.Streamer(noisy, shared)}, random_state=0)
    tree = sf.ZipMux([inner, sf.ThreadStreamer(shared)], flatten=False).pipe(sf.cache, 2)
    paths = [str(path) for path, _ in walk(tree)]
    assert len({id(one) for _, one in walk(tree)}) == len(paths) == 6
    assert paths[0].startswith("cache(")
    assert all(any(path.startswith(f"{parent} > ") for parent in paths[:i]) for i, path in enumerate(paths) if i)
    assert any(path.endswith("x: count(5)") for path in paths)


class Counted(list):
    """A list that counts how often it is read."""

    reads = 0

    def __getitem__(self, index):
        self.reads += 1
        return super().__getitem__(index)


def test_walks_build_the_first_member_of_a_list_only():
    lengths = Counted(range(1, 1000))
    tree = sf.StochasticMux(sf.StreamerList(count, lengths), 4, 8, random_state=0)
    assert len(list(walk(tree))) == 2
    check_resendable(tree)
    assert list(large_arguments(tree, 10**6)) == []
    assert lengths.reads <= 3
    assert len(list(tree.children())) == 999
    assert names(tree) == list(range(999))


def test_one_shot_iterators_are_found_with_their_path():
    for bad in (
        sf.RoundRobinMux({"deep": sf.Streamer(noisy, sf.Streamer(iter([1])))}),
        sf.ChainMux(iter([[1], [2]])).pipe(sf.cache, 2),
        sf.ThreadStreamer(sf.Streamer(iter([1]))),
    ):
        with pytest.raises(sf.exceptions.ParameterError, match=r"only once .*background"):
            check_resendable(bad)
    check_resendable(sf.RoundRobinMux([[1], [2]]))
    with pytest.raises(sf.exceptions.ParameterError, match="deep: noisy"):
        check_resendable(sf.RoundRobinMux({"deep": sf.Streamer(noisy, sf.Streamer(iter([1])))}))


def test_large_arguments_are_found_with_their_path():
    large = np.zeros(1000)
    tree = sf.RoundRobinMux({"a": sf.Streamer(np.nditer, large), "b": LEAF})
    assert [(str(path).split(" > ")[-1][:2], size) for path, _, size in large_arguments(tree, 7999)] == [("a:", 8000)]
    assert list(large_arguments(tree, 8000)) == []
    assert [size for _, _, size in large_arguments(sf.RoundRobinMux(sf.StreamerList(count, large)), 7999)] == [8000]


def test_a_part_of_a_part_is_checked_all_the_way_down():
    mux = sf.StochasticMux([LEAF] * 4, 3, 8, random_state=0)
    mux.shard(0, 2).pipe(sf.cache, 2).shard(0, 2)
    tree = mux.shard(1, 2).pipe(sf.cache, 2)  # one slot
    tree.shard(0, 1)
    with pytest.raises(sf.exceptions.ParameterError, match=r"n_active.*4"):
        tree.shard(0, 2)
    with pytest.raises(sf.exceptions.ParameterError, match="only once"):
        sf.ThreadStreamer(sf.Streamer(sf.Streamer(iter([1]))).pipe(sf.cache, 2)).shard(0, 2)


# ---- live nodes


def live(node):
    """The names of a live tree, as nested dicts."""
    return {name: live(child) for name, child in node.children()}


@pytest.mark.parametrize(
    ("tree", "after", "expected"),
    [
        (sf.Streamer(count, 3), 1, {}),
        (sf.Streamer(count, 3).pipe(sf.cache, 2, random_state=0), 1, {"stream": {}}),
        (sf.RoundRobinMux({"a": LEAF, "b": LEAF}), 1, {"a": {}}),
        (sf.RoundRobinMux({"a": LEAF, "b": LEAF}), 2, {"a": {}, "b": {}}),
        (sf.ChainMux({"a": LEAF, "b": LEAF}), 1, {"a": {}}),
        (sf.ChainMux({"a": LEAF, "b": LEAF}), 4, {"b": {}}),
        (sf.ZipMux({"a": LEAF, "b": sf.ChainMux([LEAF])}), 1, {"a": {}, "b": {0: {}}}),
        (sf.StochasticMux([[1]], 1, None, random_state=0), 1, {0: {}}),
    ],
)
def test_a_live_node_names_the_children_that_are_open(tree, after, expected):
    with tree.open() as stream:
        assert len(list(islice(stream, after))) == after
        assert live(stream._passes.node) == expected


def test_closing_and_the_path_of_an_error_are_walks_over_any_node():
    closed = []

    class Below(Node):
        items = iter(())

        def __init__(self, name):
            self.name = name

        def given(self, failed=False):
            return 0

        def state(self, failed=False):
            return None

        def restore(self, saved):
            return

        def here(self):
            return self.name, None

        def close(self):
            closed.append(self.name)
            if self.name == "a":
                raise OSError("disk")

    class Above(Below):
        below = Below("a"), Below("b")

        def children(self):
            return enumerate(self.below)

        def here(self):
            return self.name, self.below[1]

        close = Node.close

    above = Above("top")
    assert above.where() == ["top", "b"]
    with pytest.raises(OSError, match="disk"):
        above.close()
    assert closed == ["a", "b"]


def test_a_one_shot_iterator_is_held_as_such():
    assert isinstance(sf.Streamer(iter([1])).source, OneShot)
