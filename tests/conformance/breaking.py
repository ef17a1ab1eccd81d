"""Background streams that break a promise, and the check that the promise finds them out."""

import functools

import pytest

from streamflow import ThreadStreamer
from streamflow.background.node import BackgroundNode

from .case import Case
from .promises import PROMISES, hold


def rejects(tmp_path, part, make, why, timeout=20, ahead=32):
    """Hold a background stream to the promise that has `part` in its name (the shortest); it fails with `why`."""
    promise = min((name for name in PROMISES if part in name), key=len)
    with pytest.raises(AssertionError, match=why) as raised:
        hold(Case(make, tmp_path, ahead, timeout), promise)
    assert str(raised.value).startswith(promise)


def bent(bend, base=ThreadStreamer):
    """A background stream whose items go through a function of iterators."""

    class Bent(base):
        def _node(self, key, shards):
            node = super()._node(key, shards)
            node.items = bend(node.items)
            return node

    return Bent


def each(change, base=ThreadStreamer):
    """A background stream whose items are changed one by one."""
    return bent(functools.partial(map, change), base)


def in_node(**methods):
    """A background stream whose node has other methods: each is called with the node and the arguments."""

    class Node(BackgroundNode):
        pass

    for name, method in methods.items():
        setattr(Node, name, method)

    class Bent(ThreadStreamer):
        def _node(self, key, shards):
            node = super()._node(key, shards)
            node.__class__ = Node
            return node

    return Bent
