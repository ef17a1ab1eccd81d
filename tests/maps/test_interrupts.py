"""Ctrl-C inside `next()`, before any line of the maps: the state is that after the last item delivered."""

import json
from itertools import count, islice

import pytest

import streamflow as sf
from streamflow.core import checkpoint
from streamflow.maps import stream_map

from ..amount import amount
from ..interrupting import Interrupt
from . import test_kinds
from .test_kinds import shuffle_buffer

#: Where interrupts come: in what makes and notes the outputs of maps.  What is below and above has tests of its own.
FILES = (
    "streamflow/core/derived.py",
    "streamflow/core/map.py",
    "streamflow/maps/",
    "streamflow/mux/zip.py",
    __file__,
    test_kinds.__file__,
)


@stream_map()
def kept(stream):
    for item in stream:
        if item % 3:
            yield item


def jittered(item, rng, index):
    jitter = rng.random()
    return item, index, jitter


def first(pair):
    return pair[0]


def sampled(item):
    return {"x": item}


def numbers(n):
    yield from range(n)


def mux(*below):
    return sf.RoundRobinMux([sf.Streamer(numbers, n) for n in (9, 7, 8)])


TREES = {
    "stateless": lambda: mux().pipe(kept),
    "windowed": lambda: mux().pipe(shuffle_buffer, 4),
    "items": lambda: mux().pipe(sf.map_items, jittered),
    "filter": lambda: mux().pipe(sf.filter_items, lambda item, rng: rng.random() < 0.7),
    "batches": lambda: mux().pipe(sf.map_items, sampled).pipe(sf.buffer_stream, 3, partial=True),
    "series": lambda: (
        mux().pipe(shuffle_buffer, 4).pipe(sf.map_items, jittered).pipe(sf.map_items, first).pipe(shuffle_buffer, 3)
    ),
    "cache": lambda: mux().pipe(sf.cache, 3),
    "zip": lambda: sf.ZipMux([range(12), sf.Streamer(range(20)).pipe(shuffle_buffer, 4)]),
    "zip in cycle": lambda: sf.ZipMux([sf.Streamer(numbers, 12), sf.Streamer(numbers, 5)], "cycle"),
    "part of zip": lambda: sf.ZipMux([range(24), sf.Streamer(range(40)).pipe(shuffle_buffer, 4)]).shard(1, 2),
    "in a mux": lambda: sf.StochasticMux([sf.Streamer(numbers, n).pipe(shuffle_buffer, 2) for n in (3, 5, 4)], 2, 3),
}


def of_maps(code):
    name = code.co_filename.replace("\\", "/")
    return any(part in name for part in FILES)


def shown(items):
    return [repr(item) for item in items]


@pytest.mark.parametrize("always", [True, False], ids=["noted always", "noted rarely"])
@pytest.mark.parametrize("name", TREES)
def test_before_any_line(name, always, monkeypatch):
    if always:
        monkeypatch.setattr(checkpoint, "BETWEEN", 0.0)
        monkeypatch.setattr(checkpoint, "SHARE", 0)
    tree = TREES[name]().with_seed(1)
    whole = shown(islice(tree, 40))
    step = amount(11, 1)
    for before in (0, 5):
        for at in count(0, step):
            stream = tree.open()
            delivered = shown(islice(stream, before))
            try:
                with Interrupt(at, of_maps):
                    for item in stream:
                        delivered.append(repr(item))
                        if len(delivered) == before + 5:
                            break
            except KeyboardInterrupt:
                pass
            else:
                assert at > 20
                break
            assert delivered == whole[: len(delivered)]
            state = json.loads(json.dumps(stream.state_dict()))
            stream.close()
            with tree.open() as again:
                again.load_state_dict(state)
                assert again.position == len(delivered), f"interrupt {at}"
                rest = shown(islice(again, 40 - len(delivered)))
            assert delivered + rest == whole, f"interrupt {at} after {before} items"
