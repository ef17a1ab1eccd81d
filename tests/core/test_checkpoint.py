"""The clock: when checkpoints are due, and that it follows a tree wherever that goes."""

import copy
import pickle

import pytest

import streamflow as sf
from streamflow.core import checkpoint
from streamflow.core.checkpoint import Clock
from streamflow.maps import stream_map


@pytest.fixture(name="time")
def time_fixture(monkeypatch):
    time = [100.0]
    monkeypatch.setattr(checkpoint, "perf_counter", lambda: time[0])
    return time


def test_a_tick_comes_every_20_ms(time):
    clock = Clock()
    assert clock.now() == 0
    time[0] += 0.019
    assert clock.now() == 0
    time[0] += 0.001
    assert clock.now() == clock.now() == clock.tick == 1
    time[0] += 1  # nobody asked: these are not made up for
    assert clock.now() == clock.now() == 2


def test_what_checkpoints_cost_decides_when_the_next_is_due(time):
    """All that is charged in a tick counts together."""
    clock = Clock()
    time[0] += 0.02
    assert clock.now() == 1
    clock.charge(0.001)
    clock.charge(0.003)
    time[0] += 0.199
    assert clock.now() == 1
    time[0] += 0.002
    assert clock.now() == 2
    time[0] += 0.02
    assert clock.now() == 3


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda clock: pickle.loads(pickle.dumps(clock))])
def test_a_copy_begins_anew(copied, time):
    clock = Clock()
    time[0] += 5
    clock.now()
    clock.charge(9.0)
    assert copied(clock).tick == 0
    assert copied(clock).due == pytest.approx(time[0] + checkpoint.BETWEEN)


@stream_map(kind="windowed")
def paired(stream):
    for item in stream:
        yield [item, item]


def clocks(node):
    """The clocks of the maps in a live tree."""
    found = [node._clock] if hasattr(node, "_clock") else []
    for _, child in node.children():
        found += clocks(child)
    return found


@pytest.mark.parametrize("epoch", [0, 1])
def test_one_clock_for_all_maps_of_a_pass(epoch):
    """Also of members with a seed of their own, of wrapped streams, of steps of a zip, and in later epochs."""
    member = sf.Streamer(range(3)).pipe(paired).pipe(sf.map_items, abs)
    pool = [member, member.with_seed(0), sf.Streamer(member), sf.ZipMux([member, member], flatten=False)]
    tree = sf.RoundRobinMux(pool).pipe(paired)
    with tree.open(cycle=True) as stream, tree.open() as other:
        while stream.epoch < epoch or stream.position < 10:
            next(stream)
        next(other)
        found = clocks(stream._passes.node)
        assert len(found) == 1 + 3 * 2 + 1 + 2 * 2
        assert {id(clock) for clock in found} == {id(stream._passes.clock)}
        assert stream._passes.clock is not other._passes.clock
