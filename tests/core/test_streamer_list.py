"""StreamerList: a lazy list of Streamers."""

import collections.abc
import itertools
import json
import pickle

import pytest

import streamflow as sf


def read(path, label=None, scale=1):
    for i in range(3):
        yield (path, label, i * scale)


class Recording(collections.abc.Sequence):
    """A sequence that counts what is read of it."""

    def __init__(self, n):
        self.n, self.reads = n, 0

    def __len__(self):
        return self.n

    def __getitem__(self, index):
        if not 0 <= index < self.n:
            raise IndexError(index)
        self.reads += 1
        return f"file {index}"


PATHS, LABELS = ["a", "b", "c", "d", "e"], [0, 1, 0, 1, 0]


def test_it_is_a_sequence_of_streamers():
    streamers = sf.StreamerList(read, PATHS, LABELS, scale=2)
    assert len(streamers) == 5
    assert isinstance(streamers[1], sf.Streamer)
    assert list(streamers[1]) == [("b", 1, 0), ("b", 1, 2), ("b", 1, 4)]
    assert (streamers[1].source, streamers[1].args, dict(streamers[1].kwargs)) == (read, ("b", 1), {"scale": 2})
    assert list(streamers[-1]) == list(streamers[4])
    assert [s.args for s in streamers] == list(zip(PATHS, LABELS, strict=True))


@pytest.mark.parametrize("index", [5, -6, 99])
def test_an_index_out_of_range_raises(index):
    with pytest.raises(IndexError):
        sf.StreamerList(read, PATHS)[index]


@pytest.mark.parametrize(
    "cut",
    [slice(1, 3), slice(None), slice(None, None, 2), slice(None, None, -1), slice(-2, None), slice(9, 20), slice(3, 1)],
)
def test_slices_are_lazy_lists_too(cut):
    part = sf.StreamerList(read, PATHS, LABELS)[cut]
    assert isinstance(part, sf.StreamerList)
    assert len(part) == len(PATHS[cut])
    assert [s.args for s in part] == list(zip(PATHS, LABELS, strict=True))[cut]
    assert [s.args for s in part[::-1]] == list(zip(PATHS, LABELS, strict=True))[cut][::-1]


def test_sequences_of_different_lengths_are_refused():
    with pytest.raises(sf.exceptions.ParameterError, match="(?i)length"):
        sf.StreamerList(read, PATHS, LABELS[:-1])


def test_nothing_is_read_or_built_until_it_is_needed():
    paths = Recording(10**6)
    streamers = sf.StreamerList(read, paths)
    part = streamers[10:-10]
    assert (len(streamers), len(part), paths.reads) == (10**6, 10**6 - 20, 0)
    assert part[0].args == ("file 10",)
    assert paths.reads == 1


@pytest.mark.parametrize(
    "make",
    [
        lambda pool: sf.StochasticMux(pool, 16, 8, random_state=0),
        lambda pool: sf.StochasticMux(pool, 16, 8, mode="single_active", random_state=0),
        lambda pool: sf.StochasticMux(pool, 16, None, mode="exhaustive", random_state=0),
        sf.ChainMux,
        lambda pool: sf.ChainMux(pool, mode="cycle"),
    ],
)
def test_a_mux_over_a_million_files_builds_and_reads_nothing(make):
    paths = Recording(10**6)
    mux = make(sf.StreamerList(read, paths))
    assert paths.reads == 0
    items = iter(mux)
    next(items)
    assert paths.reads <= 16
    list(itertools.islice(items, 90))
    items.close()
    assert paths.reads <= 91 + 16


def test_every_mux_takes_one():
    streamers = sf.StreamerList(read, PATHS)
    wanted = sorted((p, None, i) for p in PATHS for i in range(3))
    for mux in (
        sf.ChainMux(streamers),
        sf.RoundRobinMux(streamers),
        sf.StochasticMux(streamers, 2, None, mode="exhaustive", random_state=0),
    ):
        assert sorted(mux) == wanted
    shuffled = sf.ShuffledMux(streamers, weights=[1, 1, 1, 1, 0], random_state=0)
    assert {i[0] for i in shuffled(max_iter=99)} == set("abcd")


def test_the_items_are_those_of_a_plain_list():
    lazy, plain = sf.StreamerList(read, PATHS, LABELS), [sf.Streamer(read, *a) for a in zip(PATHS, LABELS, strict=True)]
    for make in (
        lambda pool: sf.StochasticMux(pool, 2, 2, random_state=3),
        lambda pool: sf.StochasticMux(pool, 2, 2, mode="single_active", random_state=3),
        lambda pool: sf.ShuffledMux(pool, random_state=3),
    ):
        assert list(make(lazy).iterate(50)) == list(make(plain).iterate(50))


def test_it_resumes_shards_and_pickles():
    def make():
        return sf.StochasticMux(sf.StreamerList(read, PATHS, LABELS), 2, 2, random_state=3)

    live = make().open()
    list(itertools.islice(live, 17))
    state = json.loads(json.dumps(live.state_dict()))
    again = make().open()
    again.load_state_dict(state)
    assert list(itertools.islice(again, 20)) == list(itertools.islice(live, 20))
    assert list(pickle.loads(pickle.dumps(make())).iterate(20)) == list(make().iterate(20))
    exhaustive = sf.StochasticMux(sf.StreamerList(read, PATHS), 2, None, mode="exhaustive", random_state=3)
    parts = [list(exhaustive.shard(k, 2)) for k in range(2)]
    assert sorted(parts[0] + parts[1]) == sorted(exhaustive)


def test_an_empty_list_is_a_list():
    assert len(sf.StreamerList(read, [])) == 0
    for make in (sf.ChainMux, sf.ShuffledMux):
        with pytest.raises(sf.ParameterError, match="`streamers` must be a collection of at least one streamer"):
            make(sf.StreamerList(read, []))


def test_errors_name_members_by_index():
    def broken(path):
        yield path
        raise OSError("disk")

    with pytest.raises(OSError, match="disk") as caught:
        list(sf.ChainMux(sf.StreamerList(broken, PATHS)[2:]))
    assert "broken" in "\n".join(caught.value.__notes__)
