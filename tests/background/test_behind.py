"""`state_dict(behind=n)` of streams that run in the background: every n, over lanes, epochs and deaths."""

import itertools
import json
import os
import signal
import time
from pathlib import Path

import pytest

import streamflow as sf
from streamflow.core import checkpoint
from streamflow.core.history import MOST

from ..amount import amount
from ..processes import within, workers


def drawn(name, n, rng, pause=0.0):
    for i in range(n):
        if pause:
            time.sleep(pause)
        yield {"name": name, "i": i, "x": int(rng.integers(1 << 30))}


def endless(pause=0.0):
    members = [sf.Streamer(drawn, name, 6 + place, pause=pause) for place, name in enumerate("abcdefg")]
    return sf.StochasticMux(members, 4, 5, random_state=1)


def finite():
    members = [sf.Streamer(drawn, name, 3 + place) for place, name in enumerate("abcde")]
    return sf.ChainMux(members).with_seed(2)


def in_threads(tree):
    return sf.ThreadStreamer(tree, buffer=3)


def in_processes(tree):
    return sf.ZMQStreamer(tree, n_workers=2, n_lanes=3, on_worker_death="restart")


def among_others(tree):
    """Inside a tree, where the background stream is opened again and again."""
    members = [sf.Streamer(drawn, "other", 9), sf.ThreadStreamer(tree)]
    return sf.StochasticMux(members, 2, 8, random_state=3).pipe(sf.buffer_stream, 2)


@pytest.fixture(params=["each item", "default", "only the start"], name="clock")
def clock_fixture(request, monkeypatch):
    """When marks are taken and states are kept; forked workers inherit it."""
    if request.param == "each item":
        monkeypatch.setattr(checkpoint, "SHARE", 0)
    if request.param != "default":
        monkeypatch.setattr(checkpoint, "BETWEEN", 0.0 if request.param == "each item" else float("inf"))
    return request.param


def resumed(background, state, cycle=False):
    stream = background.open(cycle=cycle)
    try:
        stream.load_state_dict(json.loads(json.dumps(state)))
    except BaseException:
        stream.close()
        raise
    return stream


def plain(items):
    """Items that can be compared with `==`."""
    return [
        {name: getattr(value, "tolist", lambda value=value: value)() for name, value in item.items()} for item in items
    ]


@pytest.mark.parametrize("make", [in_threads, in_processes, among_others])
def test_each_number_of_items_back(make, clock):
    background = make(endless())
    with background.open() as stream:
        items = plain(itertools.islice(stream, 100))
        states = [stream.state_dict(behind) for behind in range(MOST + 1)]
        items += plain(itertools.islice(stream, 10))
    for behind in amount((0, 1, 2, 3, 7, 31, 64), range(MOST + 1)):
        with resumed(background, states[behind]) as again:
            assert again.position == 100 - behind
            assert plain(itertools.islice(again, 10)) == items[100 - behind : 110 - behind]
            if behind:
                back = again.state_dict(behind=9)
        if behind:
            with resumed(background, back) as again:
                assert plain(itertools.islice(again, 3)) == items[101 - behind : 104 - behind]


@pytest.mark.parametrize("make", [in_threads, in_processes])
def test_epochs(make, clock):
    background = make(finite())
    with background.open(cycle=True) as stream:
        items = list(itertools.islice(stream, 70))
        states = [stream.state_dict(behind) for behind in range(MOST + 1)]
    for behind in amount((1, 19, 20, 21, 25, 26, 45, 46, 64), range(1, MOST + 1)):
        place = 70 - behind
        with resumed(background, states[behind], cycle=True) as again:
            assert (again.epoch, again.position) == ((place - 1) // 25, (place - 1) % 25 + 1)
            assert list(itertools.islice(again, behind)) == items[place:]


def test_after_the_end(clock):
    background = in_processes(finite())
    with background.open() as stream:
        items = list(stream)
        for behind in (0, 1, 2, 25):
            with resumed(background, stream.state_dict(behind)) as again:
                assert list(again) == items[25 - behind :]


def failing(flag):
    for i in range(40):
        if i == 30 and Path(flag).exists():
            raise OSError("the disk is gone")
        yield i


def test_after_an_error(clock, tmp_path):
    flag = tmp_path / "gone"
    flag.touch()
    background = in_processes(sf.Streamer(failing, str(flag)))
    with background.open() as stream:
        items = []
        with pytest.raises(OSError, match="the disk is gone"):
            items.extend(stream)
        states = [stream.state_dict(behind) for behind in (0, 1, 17, 30)]
    assert items == list(range(30))
    flag.unlink()
    for state, place in zip(states, (30, 29, 13, 0), strict=True):
        with resumed(background, state) as again:
            assert list(again) == list(range(place, 40))


def test_it_is_made_of_marks(every_item_marked):
    """Little is drawn again: by the workers since their marks, by the consumer since what it kept."""
    with in_processes(endless()).open() as stream:
        list(itertools.islice(stream, 200))
        for behind in (1, 8, MOST):
            state = stream.state_dict(behind)
            assert state["draw"] < behind
            assert [lane["since"] <= 1 for lane in state["node"]["lanes"]] == [True] * 3


@pytest.mark.parametrize("death", range(amount(2, 12)))
def test_workers_that_died(death, clock):
    """States from before a death, and from after it, that lie on either side of it."""
    background = in_processes(endless(0.001))
    expected = list(itertools.islice(background.iterate(), 70))
    with background.open() as stream:
        items = list(itertools.islice(stream, 20 + death))
        before = stream.state_dict(behind=9)
        os.kill(workers()[death % 2], signal.SIGKILL)
        items += itertools.islice(stream, 30)
        assert items == expected[: len(items)]
        states = {len(items) - behind: stream.state_dict(behind) for behind in (1, 24, 29, 31, 45)}
    states[11 + death] = before
    for place, state in states.items():
        with resumed(background, state) as again:
            os.kill(workers()[-1 - death % 2], signal.SIGKILL)
            assert list(itertools.islice(again, 10)) == expected[place : place + 10]
    assert within(20, lambda: not workers())
