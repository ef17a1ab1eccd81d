"""A composite pairs samples of its members; each has an order of its own."""

import itertools

import numpy as np
import pytest

from streamflow import ParameterError, Streamer, ZMQStreamer
from streamflow.samplers import (
    BlockShuffledSampler,
    SequentialSampler,
    ShuffledSampler,
    SubsetSampler,
    WeightedSampler,
)
from streamflow.sources import ArraySource, CompositeSource, NpySource
from streamflow.testing import check_streamer, rows

SHORT, LONG = 4, 10
LABELLED = ArraySource({"X": np.arange(SHORT), "y": np.arange(SHORT) % 2})
UNLABELLED = ArraySource({"U": np.arange(100, 100 + LONG)})
BOTH = CompositeSource([LABELLED, UNLABELLED])


def column(streamer, key, **how):
    return list(itertools.chain.from_iterable(batch[key].tolist() for batch in streamer(**how)))


def test_a_key_may_be_a_number():
    both = CompositeSource([{0: [1]}, {"y": [2]}])
    assert both[0] == {0: 1, "y": 2}
    assert both.keys() == (0, "y")
    assert CompositeSource([{0: [1]}, {1: [2]}]).read([0], ragged="list") == {0: [1], 1: [2]}


# ---------------------------------------------------------------------- in order
def test_as_long_as_the_longest_and_the_short_one_repeats():
    assert len(BOTH) == LONG
    assert column(BOTH.batches(3), "X") == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1]
    assert column(BOTH.batches(3), "U") == list(range(100, 110))
    assert BOTH[-1] == {"X": 1, "y": 1, "U": 109}
    assert BOTH[2:].read([0, -1])["X"].tolist() == [2, 1]
    assert BOTH.batches(3).open().__next__()["X"].shape == (3,)


def test_trim():
    trimmed = CompositeSource([LABELLED, UNLABELLED], trim=True)
    assert len(trimmed) == SHORT
    assert column(trimmed.batches(3), "U") == [100, 101, 102, 103]
    drawn = [column(trimmed.batches(3, shuffle=True, random_state=0), "U", epoch=e) for e in range(20)]
    assert all(len(set(values)) == SHORT for values in drawn)
    assert set(itertools.chain(*drawn)) == set(range(100, 110))  # all of the longer one has its turn


def test_forms():
    x, y = np.arange(3), np.arange(3) * 10
    tuples = CompositeSource([(x, y), (x,)])
    assert [part.tolist() for part in tuples.read([2])] == [[2], [20], [2]]
    assert [part.tolist() for part in CompositeSource([x, y]).read([2])] == [[2], [20]]
    nested = CompositeSource([(x, y), {"u": x}, x], flatten=False)
    pair, named, single = nested.read([1, 2])
    assert [part.tolist() for part in pair] == [[1, 2], [10, 20]]
    assert (named["u"].tolist(), single.tolist()) == ([1, 2], [1, 2])
    assert nested[1] == ((1, 10), {"u": 1}, 1)
    assert nested.keys() == (0, 1, 2)
    assert [batch.tolist() for batch in nested.batches(2, keys=2)] == [[0, 1], [2]]


@pytest.mark.parametrize(
    ("members", "text"),
    [
        ([{"x": [1]}, {"x": [2]}], r"`flatten` must be False if two members have the same key \(here 'x'\)"),
        ([{0: [1]}, {0: [2]}], r"`flatten` must be False if two members have the same key \(here 0\)"),
        ([{0: [1]}, ([2],)], "`flatten` must be False for members of different forms"),
        ([{"x": [1]}, ([2],)], "`flatten` must be False for members of different forms"),
        ([{"x": [1]}, [2]], "`flatten` must be False for members of different forms"),
        ([([1],), [2]], "`flatten` must be False for members of different forms"),
        ([[1], []], r"`members` must be non-empty unless trim=True \(or all empty\), got \[1, 0\]; these"),
        ([], "`members` must be at least one source"),
        ([[1], 5], r"`members\[1\]` must be an array or anything with a length and \[\], got 5"),
        ([{"x": [1], "y": 5}], r"`members\[0\]\['y'\]` must be an array or anything with a length and \[\], got 5"),
        ({"x": [1]}, "`members` must be a list of sources"),
        (LABELLED, "`members` must be a list of sources"),
        ({(1, 2), (3, 4)}, "`members` must be a list of sources"),
    ],
)
def test_parameters(members, text):
    with pytest.raises(ParameterError, match=text):
        CompositeSource(members)


def test_flags():
    for name in ("flatten", "trim"):
        with pytest.raises(ParameterError, match=f"`{name}` must be True or False, got 'no'"):
            CompositeSource([[1]], **{name: "no"})


def test_empty():
    assert list(CompositeSource([[], []]).batches(2, shuffle=True, epochs=None)) == []
    assert list(CompositeSource([[], [1]], trim=True).batches(2)) == []


# ---------------------------------------------------------------------- orders
def test_each_member_has_its_own_order():
    twin = CompositeSource([LABELLED, ArraySource({"Z": np.arange(SHORT)})])
    stream, orders = twin.batches(3, shuffle=True, random_state=0), []
    for epoch in range(9):
        batches = list(stream(epoch=epoch))
        orders.append([np.concatenate([batch[key] for batch in batches]).tolist() for key in "XZ"])
    assert all(sorted(x) == sorted(z) == list(range(SHORT)) for x, z in orders)
    assert any(x != z for x, z in orders)


def test_a_member_that_repeats_has_a_new_order_each_time():
    stream = BOTH.batches(3, shuffle=True, random_state=1)
    rounds = []
    for epoch in range(10):
        drawn = column(stream, "X", epoch=epoch)
        assert sorted(column(stream, "U", epoch=epoch)) == list(range(100, 110))
        assert [sorted(drawn[:4]), sorted(drawn[4:8]), len(set(drawn[8:]))] == [[0, 1, 2, 3], [0, 1, 2, 3], 2]
        rounds += [tuple(drawn[:4]), tuple(drawn[4:8])]
    assert len(set(rounds)) > 8  # of 24


def test_pairs_are_independent():
    pairs = set()
    for epoch in range(60):
        for batch in BOTH.batches(5, shuffle=True, random_state=2)(epoch=epoch):
            pairs.update(zip(batch["X"].tolist(), batch["U"].tolist(), strict=True))
    assert len(pairs) == SHORT * LONG


def test_values_of_one_sample_stay_together():
    for batch in BOTH.batches(4, shuffle=True):
        assert np.array_equal(batch["y"], batch["X"] % 2)


@pytest.mark.parametrize("sampler", [BlockShuffledSampler(2), ShuffledSampler(5)])
def test_other_shuffles_are_of_each_member(sampler):
    stream = BOTH.batches(3, sampler=sampler, random_state=0)
    assert sorted(column(stream, "X")[:4]) == [0, 1, 2, 3]
    assert sorted(column(stream, "U")) == list(range(100, 110))
    assert len({tuple(column(stream, "X", epoch=e)) for e in range(5)}) > 1


def test_draws_with_replacement_are_of_each_member():
    stream = BOTH.batches(5, sampler=WeightedSampler(None), epochs=None, random_state=0)
    pairs = set()
    for batch in stream(200):
        pairs.update(zip(batch["X"].tolist(), batch["U"].tolist(), strict=True))
    assert len(pairs) == SHORT * LONG


def test_other_samplers_name_samples_of_the_composite():
    assert column(BOTH.batches(3, sampler=SubsetSampler([9, 0])), "X") == [1, 0]
    assert column(BOTH.batches(3, sampler=SequentialSampler()), "U") == list(range(100, 110))
    with pytest.raises(ParameterError, match="10 numbers"):
        BOTH.batches(3, sampler=WeightedSampler([1, 2]))


def test_keys_and_maps_keep_the_order():
    whole = column(BOTH.batches(3, shuffle=True, random_state=4), "X")
    only = BOTH.batches(3, shuffle=True, random_state=4, keys="X")
    assert np.concatenate(list(only)).tolist() == whole
    mapped = BOTH.map(dict).batches(3, shuffle=True, random_state=4)
    assert column(mapped, "X") == whole
    samples = BOTH.samples(shuffle=True, random_state=4)
    assert [sample["X"] for sample in samples] == whole


def test_with_indices():
    (batch,) = BOTH[5:7].batches(5, with_indices=True)
    assert batch["index"].tolist() == [[1, 5], [2, 6]]
    for batch in BOTH.batches(4, shuffle=True, with_indices=True):
        assert np.array_equal(batch["index"], np.stack([batch["X"], batch["U"] - 100], axis=1))
    sliced = CompositeSource([LABELLED[1:], UNLABELLED[::2]])
    assert sliced.batches(9, with_indices=True).open().__next__()["index"].tolist()[3] == [1, 6]
    for sample in BOTH.samples(shuffle=True, with_indices=True):
        assert sample["index"] == [sample["X"], sample["U"] - 100]


def test_composites_of_composites():
    outer = CompositeSource([BOTH, {"V": np.arange(LONG)}])
    for batch in outer.batches(4, shuffle=True, with_indices=True):
        assert batch["index"].shape[1] == 3
        assert np.array_equal(batch["X"], (batch["U"] - 100) % SHORT)
        assert np.array_equal(batch["index"][:, 2], batch["V"])


# ---------------------------------------------------------------------- streams
@pytest.mark.parametrize("source", [BOTH, BOTH[1:8], CompositeSource([LABELLED, np.arange(7)], flatten=False)], ids=str)
def test_streams(source):
    check_streamer(source.batches(3, shuffle=True), 10, samples_of=flat_rows)
    check_streamer(source.batches(3, shuffle=True, epochs=3, across_epochs=True), 12, samples_of=flat_rows)
    check_streamer(source.samples(shuffle=True, epochs=None), 12, fresh_process=False)


def flat_rows(batch):
    return rows(tuple(batch[0].values()) + batch[1:] if isinstance(batch, tuple) else batch)


def test_parts_share_the_whole():
    whole = [tuple(s.values()) for s in BOTH.samples(shuffle=True, random_state=3)]
    parts = [[tuple(s.values()) for s in BOTH.samples(shuffle=True, random_state=3).shard(k, 3)] for k in range(3)]
    assert [part for part in parts if not part] == []
    assert [whole[k::3] for k in range(3)] == parts


def test_in_another_process():
    serial = [batch["X"].tolist() for batch in BOTH.batches(3, shuffle=True, random_state=3)]
    with ZMQStreamer(BOTH.batches(3, shuffle=True, random_state=3)) as stream:
        assert [batch["X"].tolist() for batch in stream] == serial


def test_a_changed_member_is_another_stream():
    from streamflow import StateError

    with BOTH.batches(3).open() as stream:
        next(stream)
        state = stream.state_dict()
    other = CompositeSource([LABELLED[:3], UNLABELLED])
    with pytest.raises(StateError), other.batches(3).open() as stream:
        stream.load_state_dict(state)
        next(stream)


def test_files(tmp_path):
    np.save(tmp_path / "x.npy", np.arange(3))
    source = CompositeSource([NpySource({"x": tmp_path / "x.npy"}), {"y": np.arange(5)}])
    assert column(source.batches(2), "x") == [0, 1, 2, 0, 1]
    with source:
        assert source[3] == {"x": 0, "y": 3}
    assert isinstance(source.batches(2), Streamer)


def test_ragged():
    source = CompositeSource([{"a": [np.ones(1), np.ones(2)]}, {"b": np.arange(3)}])
    batch = source.read([0, 1, 2], ragged="pad")
    assert batch["a"].tolist() == [[1, 0], [1, 1], [1, 0]]
