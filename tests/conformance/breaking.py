"""Background streams that break a promise, and how they are held to it."""

import functools

import pytest

from streamflow import ThreadStreamer
from streamflow.background import node as live

from .case import Case
from .promises import PROMISES, hold


def rejects(tmp_path, told, make, why, timeout=20, ahead=32):
    """One promise shows that it is broken, whatever others do."""
    promise = min((name for name in PROMISES if told in name), key=len)
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
    return bent(functools.partial(map, change), base)


def in_node(**methods):
    """A background stream whose node has other methods: each is given the node's class, the node and the arguments."""

    class Node(live.BackgroundNode):
        pass

    for name, method in methods.items():
        setattr(Node, name, method)

    class Bent(ThreadStreamer):
        def _node(self, key, shards):
            node = super()._node(key, shards)
            node.__class__ = Node
            return node

    return Bent
