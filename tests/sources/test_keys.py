"""`keys` over several sources: what is asked for is as in the whole, and nothing else is read."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from streamflow import ParameterError
from streamflow.samplers import BlockShuffledSampler, SubsetSampler, WeightedSampler
from streamflow.sources import ArraySource, ChoiceSource, CompositeSource, FileSource, NpySource, Source, concatenate
from streamflow.testing import check_streamer, rows


class Noted(Source):
    """Notes that it is read."""

    def __init__(self, data):
        self.data, self.read_at, self.asked = ArraySource(data), [], []

    def __len__(self):
        return len(self.data)

    def keys(self):
        return self.data.keys()

    def sample(self, index):
        self.read_at.append(index)
        return self.data.sample(index)

    def prefetch(self, indices):
        self.asked += indices.tolist()


X, U, Z = np.arange(4), np.arange(100, 110), np.arange(200, 207)


def composite(kind):
    """A source over three noted members, and the members."""
    members = {
        "dicts": [Noted({"x": X, "y": -X}), Noted({"u": U}), Noted({"z": Z, "last": -Z})],
        "tuples": [Noted((X, -X)), Noted((U,)), Noted((Z, -Z))],
        "values": [Noted(X), Noted(U), Noted(Z)],
        "apart": [Noted({"x": X}), Noted((U,)), Noted(Z)],
        "trimmed": [Noted({"x": X, "y": -X}), Noted({"u": U}), Noted({"z": Z, "last": -Z})],
    }[kind]
    return CompositeSource(members, flatten=kind != "apart", trim=kind == "trimmed"), members


COMPOSITE = [
    ("dicts", "u", [1]),
    ("dicts", "last", [2]),
    ("dicts", ("last", "x"), [0, 2]),
    ("dicts", ("z", "last", "z"), [2]),
    ("tuples", 1, [0]),
    ("tuples", (4, 2), [1, 2]),
    ("values", 2, [2]),
    ("values", (1, 0), [0, 1]),
    ("apart", 0, [0]),
    ("apart", (2, 1), [1, 2]),
    ("trimmed", ("u",), [1]),
]
HOW = {
    "in order": {},
    "shuffled": {"shuffle": True, "epochs": 2},
    "blocks": {"sampler": BlockShuffledSampler(2, 2)},
    "weighted": {"sampler": WeightedSampler(None)},
    "subset": {"sampler": SubsetSampler([2, 0, 2])},
}


def plain(value):
    if isinstance(value, (tuple, list)):
        return [plain(one) for one in value]
    return {k: plain(v) for k, v in value.items()} if isinstance(value, dict) else np.asarray(value).tolist()


def picked(data, keys):
    return plain([data[key] for key in keys] if isinstance(keys, tuple) else data[keys])


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize(("kind", "keys", "read"), COMPOSITE)
def test_of_a_composite(kind, keys, read, how):
    whole, _ = composite(kind)
    source, members = composite(kind)
    how = {**HOW[how], "random_state": 3}
    wanted = [picked(batch, keys) for batch in whole.batches(3, **how)]
    assert [plain(batch) for batch in source.batches(3, keys=keys, **how)] == wanted
    samples = [picked(sample, keys) for sample in whole.samples(**how)]
    assert [plain(sample) for sample in source.samples(keys=keys, **how)] == samples
    for number, member in enumerate(members):
        assert bool(member.read_at) == (number in read), number
        assert bool(member.asked) == (number in read), number


@pytest.mark.parametrize("view", [lambda s: s[1:], lambda s: s[::-2], lambda s: CompositeSource([s])])
def test_of_a_view_and_in_a_composite(view):
    source, members = composite("dicts")
    assert plain(view(source).batches(9, keys="u").open().__next__()) == plain(
        view(composite("dicts")[0]).read(slice(0, 9))["u"]
    )
    assert [bool(member.read_at) for member in members] == [False, True, False]


def test_indices_stay():
    for kind, keys in (("dicts", "u"), ("apart", (2, 1)), ("values", 0)):
        how = {"shuffle": True, "with_indices": True, "random_state": 1}
        whole, some = (composite(kind)[0].batches(4, **how, **extra) for extra in ({}, {"keys": keys}))
        for one, other in zip(whole, some, strict=True):
            index = one["index"] if isinstance(one, dict) else one[0]
            assert other[0].tolist() == index.tolist()


CHOICE = {
    "dicts": ([{"x": X, "y": -X}, {"x": U, "y": -U}], ["x", ("y",), ("y", "member"), ("x", "y"), "member"]),
    "tuples": ([(X, -X), (U, -U)], [1, (2, 0), 0, (2,)]),
    "values": ([X, U], [1, (1, 0), 0]),
}


@pytest.mark.parametrize("stratified", [False, True])
@pytest.mark.parametrize("kind", CHOICE)
def test_of_a_choice(kind, stratified):
    data, several = CHOICE[kind]
    for keys in several:
        whole = ChoiceSource(map(ArraySource, data), stratified)
        members = [Noted(one) for one in data]
        source = ChoiceSource(members, stratified)
        for how in ({}, {"shuffle": True, "epochs": 3, "random_state": 5}):
            wanted = [picked(batch, keys) for batch in whole.batches(3, **how)]
            assert [plain(batch) for batch in source.batches(3, keys=keys, **how)] == wanted
            samples = [picked(sample, keys) for sample in whole.samples(**how)]
            assert [plain(sample) for sample in source.samples(keys=keys, **how)] == samples
        labels = keys in {"member", 0}
        assert [bool(member.read_at) for member in members] == [not labels] * 2
        index, _ = next(iter(source.batches(3, keys=several[0], with_indices=True)))
        assert index.tolist() == [0, 1, 2] or stratified


def test_files_that_are_not_asked_for_are_not_opened(tmp_path):
    for name in "xy":
        np.save(tmp_path / f"{name}.npy", np.arange(10))
    members = [NpySource({name: tmp_path / f"{name}.npy"}) for name in "xy"]
    with CompositeSource(members).batches(2, keys="x").open() as stream:
        for member in members:
            member.close()
        assert next(stream).tolist() == [0, 1]
        mapped = Path("/proc/self/maps").read_text()
        assert [str(tmp_path / f"{name}.npy") in mapped for name in "xy"] == [True, False]


def test_of_a_choice_columns_that_are_not_asked_for_are_not_read():
    class Refuses:
        def __len__(self):
            return 5

        def __getitem__(self, index):
            raise OSError("read")

    source = ChoiceSource([{"x": range(5), "y": Refuses()}, {"x": range(5), "y": Refuses()}])
    assert np.concatenate(list(source.batches(2, keys="x"))).tolist() == [0, 1, 0, 1, 2, 3, 2, 3, 4, 4]
    assert set(np.concatenate(list(concatenate([source, source]).batches(2, keys="member"))).tolist()) == {0, 1}


def test_a_key_that_a_member_lacks():
    source = ChoiceSource([{"x": [1, 2]}, {"y": [3, 4]}], stratified=True)
    with pytest.raises(ParameterError, match="`keys` must be one of 'y', got 'x'"):
        source.batches(2, keys="x")


def test_an_empty_member():
    [batch] = ChoiceSource([{"x": []}, {"x": [1]}], stratified=True).batches(2, keys="x")
    assert batch.tolist() == [1]


@pytest.mark.parametrize(
    "make", [lambda: composite("dicts")[0], lambda: ChoiceSource([{"x": X, "u": -X}, {"x": U, "u": U}])]
)
def test_streams_and_copies(make):
    stream = make().batches(3, shuffle=True, keys=("u", "x"))
    check_streamer(stream, 8, samples_of=rows, pickles=None, fresh_process=False)
    copy = pickle.loads(pickle.dumps(stream.with_seed(0)))
    assert [plain(batch) for batch in copy] == [plain(batch) for batch in stream.with_seed(0)]


def test_a_view_reads_its_keys_from_its_own_samples(tmp_path):
    (tmp_path / "bad").touch()
    np.savez(tmp_path / "good.npz", x=5)

    def load(path):
        with np.load(path) as archive:
            return dict(archive)

    source = FileSource([tmp_path / "bad", tmp_path / "good.npz"], load)[1:]
    assert [batch.tolist() for batch in source.batches(1, keys="x")] == [[5]]


@pytest.mark.parametrize("make", [CompositeSource, ChoiceSource, concatenate, lambda members: members[0]])
def test_an_empty_batch_has_the_keys_of_others(make):
    source = make([ArraySource({"x": []}), ArraySource({"y": []})])
    assert list(source.batches(2, keys="x")) == list(source.batches(2)) == []
    with pytest.raises(ParameterError, match="`keys` must be one of"):
        source.batches(2, keys="z")
