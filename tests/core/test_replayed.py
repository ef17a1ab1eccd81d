"""A function over a stream that is not declared as a map: state_dict() says once what a resume will cost."""

import warnings

import pytest

import streamflow as sf
from streamflow.background import InlineWorker, WorkerPool
from streamflow.core import checkpoint, replayed
from streamflow.maps import stream_map


@pytest.fixture(autouse=True)
def _nothing_said(monkeypatch):
    monkeypatch.setattr(replayed, "_warned", set())


def halved(stream):
    for item in stream:
        yield item / 2


def also_halved(stream, by=2):
    for item in stream:
        yield item / by


def from_start(stream, start):
    yield from stream(max_iter=5000)


@stream_map()
def declared(stream):
    yield from halved(stream)


class Own:
    """A function of a stream that has a state of its own."""

    def __init__(self, stream):
        self.items = iter(stream)

    def __iter__(self):
        return self

    def __next__(self):
        return next(self.items)

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


def said(tree, after):
    """The warnings of a state after so many items."""
    with tree.open() as stream, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(after):
            next(stream)
        stream.state_dict()
    return [str(warning.message) for warning in caught], [warning.filename for warning in caught]


NUMBERS = sf.Streamer(range(10**6))


def test_it_names_the_function_the_number_and_the_way_out():
    (message,), (filename,) = said(NUMBERS.pipe(halved), 1234)
    assert "will draw 1,234 items again" in message and "halved" in message
    assert "map_items" in message and "stream_map" in message
    assert filename == __file__


def test_once_for_each_function_and_from_a_thousand_items_on():
    tree, other = NUMBERS.pipe(halved), NUMBERS.pipe(also_halved, by=3)
    assert said(tree, 999)[0] == []
    assert len(said(tree, 1000)[0]) == 1
    assert said(tree, 1000)[0] == said(NUMBERS.pipe(halved), 2000)[0] == []
    assert len(said(other, 1000)[0]) == 1


class Lanes(sf.BackgroundStreamer):
    def worker_pool(self):
        return WorkerPool(lambda job, n_workers: InlineWorker(job), n_workers=1, n_lanes=1)


PLACES = {
    "below a map": lambda tree: tree.pipe(declared),
    "in a mux": lambda tree: sf.ShuffledMux([tree]),
    "in a list": lambda tree: sf.RoundRobinMux(sf.StreamerList(halved, [NUMBERS])),
    "in a zip": lambda tree: sf.ZipMux([tree]),
    "in a background": Lanes,
    "a part": lambda tree: tree.shard(0, 1),
    "with a seed": lambda tree: tree.with_seed(0),
    "by keyword": lambda tree: sf.Streamer(also_halved, stream=NUMBERS),
}


@pytest.mark.parametrize("place", PLACES)
def test_wherever_it_is(place, monkeypatch):
    monkeypatch.setattr(checkpoint, "BETWEEN", 0.0)
    monkeypatch.setattr(checkpoint, "SHARE", 0)
    assert len(said(PLACES[place](NUMBERS.pipe(halved)), 1005)[0]) == 1


@pytest.mark.parametrize(
    "tree",
    [
        NUMBERS,
        NUMBERS.pipe(declared),
        NUMBERS.pipe(sf.map_items, abs),
        NUMBERS.pipe(from_start),
        NUMBERS.pipe(Own),
        sf.Streamer(halved, range(10**6)),
        sf.StochasticMux([NUMBERS.pipe(halved)], 1, 20),
    ],
    ids=["leaf", "declared", "map_items", "start", "own state", "of a list", "short activations"],
)
def test_others_say_nothing(tree):
    assert said(tree, 1500)[0] == []


def test_a_checkpoint_of_its_own_says_nothing(monkeypatch):
    """Only who asks for a state is told."""
    monkeypatch.setattr(checkpoint, "BETWEEN", 0.0)
    monkeypatch.setattr(checkpoint, "SHARE", 0)
    with Lanes(NUMBERS.pipe(halved).pipe(declared)).open() as stream:
        for _ in range(1100):
            next(stream)


def test_it_resumes_all_the_same():
    tree = NUMBERS.pipe(halved)
    with tree.open() as stream, tree.open() as again:
        for _ in range(10):
            next(stream)
        again.load_state_dict(stream.state_dict())
        assert next(again) == 5.0
