"""One registry of what must happen around a fork."""

import os

import pytest

from streamflow.core import fork


@pytest.fixture
def registry():
    lists = fork._before, fork._in_parent, fork._in_child
    kept = [list(hooks) for hooks in lists]
    yield
    for hooks, before in zip(lists, kept, strict=True):
        hooks[:] = before


def test_hooks_run_on_their_side_of_a_fork_in_order(registry):
    seen = []
    for name in "ab":
        fork.at_fork(
            before=lambda name=name: seen.append(f"before {name}"),
            in_parent=lambda name=name: seen.append(f"parent {name}"),
            in_child=lambda name=name: seen.append(f"child {name}"),
        )
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.write(writer, ", ".join(seen).encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        assert pipe.read() == "before b, before a, child a, child b"
    assert seen == ["before b", "before a", "parent a", "parent b"]


def test_sides_that_are_left_out_are_not_registered(registry):
    sizes = len(fork._before), len(fork._in_parent), len(fork._in_child)
    fork.at_fork(in_child=int)
    assert (len(fork._before), len(fork._in_parent), len(fork._in_child)) == (sizes[0], sizes[1], sizes[2] + 1)
