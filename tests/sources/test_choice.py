"""A choice gives batches that are each from one member, and says from which."""

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamflow import ParameterError, ZMQStreamer
from streamflow.samplers import BlockShuffledSampler, ShuffledSampler, SubsetSampler, WeightedSampler
from streamflow.seeding import Key, Root
from streamflow.sources import ArraySource, ChoiceSource, concatenate
from streamflow.testing import check_streamer, rows

LENGTHS = (7, 3, 12)


def choice(lengths, stratified):
    return ChoiceSource([{"x": np.arange(n) + 100 * place} for place, n in enumerate(lengths)], stratified)


ALL, SHORTEST = choice(LENGTHS, True), choice(LENGTHS, False)
lengths = st.lists(st.integers(0, 9), min_size=1, max_size=4)


def drawn(batches):
    """All samples; each batch is of one member, and they know it."""
    found = []
    for batch in batches:
        (member,) = set(batch["member"].tolist())
        assert set((batch["x"] // 100).tolist()) == {member}
        found += batch["x"].tolist()
    return found


# ---------------------------------------------------------------------- the source
def test_a_sample_says_which_member_it_is_from():
    assert len(ALL) == len(SHORTEST) == 22
    assert [ALL[i] for i in (0, 7, -1)] == [
        {"member": 0, "x": 0},
        {"member": 1, "x": 100},
        {"member": 2, "x": 211},
    ]
    assert type(ALL[7]["member"]) is int
    batch = ALL[::-1].read([0, -1, 12])
    assert (batch["member"].tolist(), batch["x"].tolist()) == ([2, 0, 1], [211, 0, 102])
    assert ALL.keys() == ("member", "x")


def test_forms():
    pairs = ChoiceSource([(np.arange(2), list("ab")), ([5], ["c"])], stratified=True)
    assert [column.tolist() for column in pairs.read([2, 0])] == [[1, 0], [5, 0], ["c", "a"]]
    values = ChoiceSource([[1, 2], [3]], stratified=True)
    assert values[2] == (1, 3)
    assert values.keys() == (0, 1)
    assert [batch.tolist() for batch in values.batches(2, keys=0)] == [[0, 0], [1]]
    different = ChoiceSource([{"x": [1, 2]}, {"y": [3]}], stratified=True)
    assert [sorted(batch) for batch in different.batches(2)] == [["member", "x"], ["member", "y"]]


def test_a_key_may_be_a_number():
    source = ChoiceSource([{0: [5, 6], 1: [7, 8]}, {0: [9], 1: [9]}], stratified=True)
    assert source[1] == {"member": 0, 0: 6, 1: 8}
    assert source.keys() == ("member", 0, 1)
    assert [batch.tolist() for batch in source.batches(2, keys=0)] == [[5, 6], [9]]


@pytest.mark.parametrize(
    ("members", "text"),
    [
        ([{"member": [1]}], "`members` must be without a key 'member'"),
        ([{"x": [1]}, {"x": [1], "member": [1]}], "without a key 'member'"),
        ([], "at least one source"),
        (ALL, "a list of sources"),
        ([[1], []], r"`members` must be non-empty unless stratified=True \(or all empty\), got \[1, 0\]; these"),
    ],
)
def test_parameters(members, text):
    with pytest.raises(ParameterError, match=text):
        ChoiceSource(members)


def test_batches_do_not_cross_epochs():
    with pytest.raises(ParameterError, match="`across_epochs` must be False for a ChoiceSource"):
        ALL.batches(2, across_epochs=True)
    assert len(list(ALL[:].batches(4, across_epochs=True, epochs=2))) == 11


@pytest.mark.parametrize("sampler", [SubsetSampler([1]), WeightedSampler(None)])
def test_samplers_that_repeat(sampler):
    with pytest.raises(ParameterError, match="`sampler` must be one that reads each sample once"):
        ALL.map(dict).batches(2, sampler=sampler)
    assert len(list(ALL[:].batches(2, sampler=sampler))) in {1, 11}
    assert len(list(ALL.samples(sampler=sampler))) in {1, 22}


# ---------------------------------------------------------------------- what an epoch has
@given(lengths, st.integers(1, 11), st.booleans(), st.integers(0, 3))
def test_stratified_gives_each_sample_once(lengths, batch_size, shuffle, epoch):
    source = choice(lengths, True)
    stream = source.batches(batch_size, shuffle=shuffle, random_state=0)
    batches = list(stream(epoch=epoch))
    assert sorted(drawn(batches)) == [sample["x"] for sample in source]
    counts = Counter(int(batch["member"][0]) for batch in batches)
    assert counts == Counter({member: -(-n // batch_size) for member, n in enumerate(lengths) if n})
    full = list(source.batches(batch_size, shuffle=shuffle, random_state=0, drop_last=True)(epoch=epoch))
    assert [len(batch["x"]) for batch in full] == [batch_size] * sum(n // batch_size for n in lengths)
    drawn(full)


@given(lengths.map(lambda lengths: [n + 1 for n in lengths]), st.integers(1, 11), st.booleans())
def test_not_stratified_gives_as_many_of_each(lengths, batch_size, shuffle):
    batches = list(choice(lengths, False).batches(batch_size, shuffle=shuffle, random_state=0))
    values = drawn(batches)
    assert len(set(values)) == len(values)
    assert Counter(value // 100 for value in values) == Counter(dict.fromkeys(range(len(lengths)), min(lengths)))
    members = [int(batch["member"][0]) for batch in batches]
    for first in range(0, len(members), len(lengths)):  # in each round each has its turn
        assert sorted(members[first : first + len(lengths)]) == list(range(len(lengths)))


def test_in_order_they_are_spread_evenly():
    assert [int(batch["member"][0]) for batch in ALL.batches(2)] == [2, 0, 1, 2, 0, 2, 2, 0, 1, 2, 0, 2]
    values = drawn(ALL.batches(2))
    assert [value for value in values if value < 100] == list(range(7))
    assert [int(batch["member"][0]) for batch in SHORTEST.batches(2)] == [0, 1, 2, 0, 1, 2]
    assert drawn(SHORTEST.batches(2)) == [0, 1, 100, 101, 200, 201, 2, 102, 202]


def test_each_epoch_is_shuffled_differently():
    for source, whole in ((ALL, 22), (SHORTEST, 9)):
        stream = source.batches(2, shuffle=True, random_state=5)
        epochs = [drawn(stream(epoch=epoch)) for epoch in range(30)]
        assert {len(values) for values in epochs} == {whole}
        assert len(set(map(tuple, epochs))) == 30
        assert set(itertools.chain(*epochs)) == {sample["x"] for sample in source}
        orders = {tuple(batch["member"][0] for batch in stream(epoch=epoch)) for epoch in range(30)}
        assert len(orders) > 10
        assert {order[0] for order in orders} == {0, 1, 2}


def test_members_are_shuffled_independently():
    twins = choice([4, 4], True)
    epochs = [drawn(twins.batches(4, shuffle=True, random_state=0)(epoch=epoch)) for epoch in range(9)]
    apart = [([v for v in epoch if v < 100], [v - 100 for v in epoch if v >= 100]) for epoch in epochs]
    assert any(one != other for one, other in apart)


def test_blocks():
    values = drawn(ALL.batches(4, sampler=BlockShuffledSampler(3, window=1), random_state=0))
    assert sorted(values) == [sample["x"] for sample in ALL]


# ---------------------------------------------------------------------- streams
@given(lengths, st.integers(1, 5), st.integers(1, 5), st.booleans(), st.booleans())
def test_parts_are_the_whole(lengths, batch_size, count, shuffle, stratified):
    stratified |= not all(lengths)
    stream = choice(lengths, stratified).batches(batch_size, shuffle=shuffle, random_state=0, epochs=2)
    parts = [drawn(stream.shard(index, count)) for index in range(count)]
    assert sorted(itertools.chain(*parts)) == sorted(drawn(stream))
    sizes = [len(part) for part in parts]
    assert max(sizes) - min(sizes) <= 1


@given(lengths, st.integers(1, 5), st.integers(1, 4))
def test_parts_without_short_batches_end_or_continue(lengths, batch_size, count):
    stream = choice(lengths, True).batches(batch_size, drop_last=True, epochs=None)
    for index in range(count):
        got = list(itertools.islice(stream.shard(index, count), 5))
        assert {len(batch["x"]) for batch in got} <= {batch_size}
        assert len(got) in {0, 5}
        drawn(got)


def test_a_part_whose_first_full_batch_is_in_a_later_epoch():
    part = choice([4, 1], True).batches(2, drop_last=True, epochs=None).shard(1, 3)
    assert [batch["x"].tolist() for batch in part(2)] == [[0, 3], [0, 3]]


def test_old_epochs_are_forgotten():
    source = ALL._pass_order(ShuffledSampler(0), Key(Root(0), (0,)), None, (0, 1), 2)
    for draw in range(0, 22 * 50, 22):
        source.indices(draw, draw + 22)
    assert sum(map(len, source._orders.values())) == 2 * len(LENGTHS)
    assert len(source._runs_of) <= 2


@pytest.mark.parametrize("source", [ALL, SHORTEST], ids=["all", "shortest"])
@pytest.mark.parametrize("how", [{"shuffle": True}, {}, {"drop_last": True, "shuffle": True}], ids=str)
def test_streams(source, how):
    fits = "parts" if "drop_last" in how else "partition"
    check_streamer(source.batches(2, **how), 14, samples_of=rows, shards=fits)
    endless = None if "drop_last" in how else "parts"  # 3 samples of a member in 3 parts make no full batch
    check_streamer(source.batches(2, **how, epochs=None), 20, samples_of=rows, fresh_process=False, shards=endless)


def test_where_a_stream_is():
    with ALL.batches(2, drop_last=True, epochs=None).open() as stream:
        places = []
        for _ in range(20):
            next(stream)
            places.append((stream.epoch, stream.position))
    full = sum(n // 2 for n in LENGTHS)
    assert places == [(place // full, place % full + 1) for place in range(20)]
    with ALL.batches(2, epochs=None).open() as stream:
        places = []
        for _ in range(20):
            next(stream)
            places.append((stream.epoch, stream.position))
    assert places == [(place // 12, place % 12 + 1) for place in range(20)]


def test_keys_maps_and_indices():
    whole = drawn(ALL.batches(2, shuffle=True, random_state=1))
    assert np.concatenate(list(ALL.batches(2, shuffle=True, random_state=1, keys="x"))).tolist() == whole
    assert drawn(ALL.map(dict).batches(2, shuffle=True, random_state=1)) == whole
    for batch in ALL.batches(2, shuffle=True, with_indices=True):
        assert np.array_equal(ALL.read(batch["index"])["x"], batch["x"])


def test_stratified_is_a_flag():
    with pytest.raises(ParameterError, match="`stratified` must be True or False, got 'no'"):
        ChoiceSource([[1]], stratified="no")


@pytest.mark.parametrize("source", [ALL, SHORTEST, ALL.map(dict), SHORTEST[::-1][::-1]])
@pytest.mark.parametrize("how", [{}, {"keys": "x"}, {"with_indices": True}], ids=str)
def test_results_are_of_all_samples_in_order(source, how):
    seen, x = [], [*range(7), *range(100, 103), *range(200, 212)]

    def values(batch):
        if "with_indices" in how:
            assert source.read(batch["index"])["x"].tolist() == batch["x"].tolist()
        seen.append(batch if "keys" in how else batch["x"])
        return seen[-1]

    assert source.map_concat(values, 5, **how).tolist() == x
    assert list(map(len, seen)) == [5, 5, 5, 5, 2]
    assert source.map_mean(lambda batch: values(batch).sum(), 5, **how) == pytest.approx(np.mean(x))


def test_samples_are_those_of_one_sequence():
    assert [sample["x"] for sample in ALL.samples()] == [sample["x"] for sample in ALL]
    check_streamer(ALL.samples(shuffle=True), 22, fresh_process=False)


def test_no_samples():
    assert list(ChoiceSource([[], []], stratified=True).batches(2, shuffle=True, epochs=None)) == []
    assert list(ChoiceSource([[], []]).batches(2, epochs=None)) == []
    assert len(list(ChoiceSource([[], [1]], stratified=True).batches(2))) == 1


def test_in_another_process():
    serial = drawn(ALL.batches(2, shuffle=True, random_state=3))
    with ZMQStreamer(ALL.batches(2, shuffle=True, random_state=3)) as stream:
        assert drawn(stream) == serial


def test_crops_differ():
    from streamflow.sources import random_crop

    waves = [np.arange(50) for _ in range(6)]
    source = ChoiceSource([{"x": waves}, {"x": waves}], stratified=True)
    stream = source.batches(2, shuffle=True, ragged="crop", crop=random_crop(3), random_state=0)
    begins = [tuple(batch["x"][:, 0]) for batch in stream]
    assert begins == [tuple(batch["x"][:, 0]) for batch in stream]
    assert len(set(itertools.chain(*begins))) > 6


def test_large_members_need_no_order_in_memory():
    big = ArraySource(np.zeros((1 << 40,), "V0"))
    live = ChoiceSource([big, [0] * 100]).batches(10, shuffle=True).open()
    next(live)
    live.close()


def test_a_concatenation_is_one_member():
    both = ChoiceSource([concatenate([ArraySource({"x": [1, 2]}), ArraySource({"x": [3, 4]})]), {"x": [5, 6, 7, 8]}])
    taken = {int(member) for batch in both.batches(2, shuffle=True, random_state=0) for member in batch["member"]}
    assert taken == {0, 1}
