"""Sources that break a promise are rejected, and the text says which promise; our own are not."""

import operator
import os
import signal
import threading
import time
from typing import ClassVar

import numpy as np
import pytest

from streamflow import ParameterError
from streamflow.samplers import SubsetSampler
from streamflow.sources import (
    ArraySource,
    ChoiceSource,
    CompositeSource,
    Source,
    concatenate,
    map_sources,
    take,
    zip_sources,
)
from streamflow.sources.reading.order import PassOrder
from streamflow.testing import check_source

X = np.arange(24).reshape(12, 2)
Y = np.array(list("abcdefghijkl"))


class Good(Source):
    """A source of pairs; each test breaks one thing in it."""

    def __init__(self, n=12):
        self.x, self.y = X[:n].copy(), Y[:n].copy()

    def __len__(self):
        return len(self.x)

    def sample(self, index):
        return {"x": self.x[index].copy(), "y": str(self.y[index])}

    def fetch(self, indices):
        return {"x": self.x[indices], "y": self.y[indices].tolist()}


DATA = {"x": X, "y": Y}


def rejected(source, text, data=DATA, **how):
    with pytest.raises(AssertionError, match=text):
        check_source(source, data, **{"fresh_process": False, "pickles": None, **how})


# ---------------------------------------------------------------------- what keeps its promises
OURS = {
    "dict": (ArraySource({"X": X, "y": Y}), {"X": X, "y": Y}),
    "tuple": (ArraySource((X, Y)), (X, Y)),
    "array": (ArraySource(X), X),
    "of its own": (Good(), DATA),
    "view": (ArraySource(X)[::-1][2:], X[::-1][2:]),
    "concatenate": (concatenate([X[:3], X[3:3], X[3:]]), X),
    "zip_sources": (zip_sources([X, Y.tolist()]), (X, Y)),
    "take": (take(X, [3, 3, 1]), X[[3, 3, 1]]),
    "map_sources": (map_sources(operator.add, X, X), 2 * X),
    "map": (ArraySource(X).map(np.sum), X.sum(1)),
    "composite": (CompositeSource([{"X": X}, {"z": [1, 2, 3]}]), {"X": X, "z": np.arange(12) % 3 + 1}),
    "nested": (CompositeSource([{"X": X}, [1, 2, 3]], flatten=False), ({"X": X}, np.arange(12) % 3 + 1)),
    "choice": (ChoiceSource([{"X": X[:5]}, {"X": X[5:]}]), {"member": np.repeat([0, 1], [5, 7]), "X": X}),
    "stratified": (ChoiceSource([X[:5], X[5:]], stratified=True), (np.repeat([0, 1], [5, 7]), X)),
    "ragged": (take([np.arange(n) for n in range(5)], slice(None)), [np.arange(n) for n in range(5)]),
    "large": (ArraySource(range(10**6)), range(10**6)),
    "one": (ArraySource([5]), [5]),
    "dates": (ArraySource(np.arange(9).astype("M8[D]")), None),
    "nan": (ArraySource(np.array([np.nan, 1])), np.array([np.nan, 1])),
    "objects": (ArraySource(np.array([{1}, {2}, None], object)), None),
}


@pytest.mark.parametrize("name", OURS)
def test_ours(name):
    source, data = OURS[name]
    check_source(source, data, fresh_process=name in {"dict", "composite", "choice"})
    check_source(source, fresh_process=False, fork=False)


@pytest.mark.parametrize("data", [X + 1, X.astype(float), X[:, :1], X[::-1], (X,), {"x": X}])
def test_other_data(data):
    rejected(ArraySource(X), "^a sample is the row of the data: sample 0", data)


# ---------------------------------------------------------------------- length and samples
def test_a_wrong_length():
    rejected(Good(), "^a source has as many samples as its data: it has 12 instead of 11", {"x": X[1:], "y": Y[1:]})
    rejected(Good(0), "^a source has as many samples as its data: it has none", None)


def test_a_sample_that_is_wrong():
    class Wrong(Good):
        def sample(self, index):
            return super().sample(index if index < 11 else 0)

    rejected(Wrong(), "^a sample is the row of the data: sample 11 at 'x' differs")
    rejected(Wrong(), "^a sample is the row of the data: sample 11", n_samples=3)


def test_a_sample_that_changes():
    class Restless(Good):
        calls = 0

        def sample(self, index):
            Restless.calls += 1
            return {"x": Restless.calls}

    rejected(Restless(), "^a sample is the row of the data: sample 0", None)


def test_another_index():
    class NoNegatives(Good):
        def __getitem__(self, index):
            negative = isinstance(index, int) and -12 <= index < 0
            return self.sample(-index - 1) if negative else super().__getitem__(index)

    class OwnIntegers(Good):
        def __getitem__(self, index):
            return super().__getitem__(0 if isinstance(index, np.integer) else index)

    rejected(OwnIntegers(), "^a sample is the row of the data: sample 1 by a NumPy integer")
    rejected(
        NoNegatives(),
        "^a sample is the row of the data: sample 0 from the end at 'x' differs at .0.: int64 22 instead of int64 0",
    )


@pytest.mark.parametrize("wrong", [12, -13, 0.5, None, True])
def test_no_index(wrong):
    class Lenient(Good):
        def __getitem__(self, index):
            return self.sample(0) if index is wrong or index == wrong else super().__getitem__(index)

    class Odd(Lenient):
        def __getitem__(self, index):
            is_it = type(index) is type(wrong) and index == wrong
            return self.sample(0) if is_it else Good.__getitem__(self, index)

    rejected(Odd(), rf"^source\[{wrong}\] raises IndexError: it gave a sample")


def test_iteration():
    class Backwards(Good):
        def __iter__(self):
            return map(self.sample, range(11, -1, -1))

    class Longer(Good):
        def __iter__(self):
            return map(self.sample, [*range(12), 0])

    rejected(Backwards(), "^iteration gives the samples in order: sample 0")
    rejected(Longer(), "^iteration gives the samples in order: there are 13 instead of 12")


def test_a_sample_that_others_read():
    class Shared(Good):
        def sample(self, index):
            return {"x": self.x[index], "y": str(self.y[index])}

    rejected(Shared(), "^writing into a sample does not change the source: sample 0 at 'x'")


# ---------------------------------------------------------------------- views and batches
def test_views():
    class Copies(Good):
        def _view(self, at):
            return self.read(at)

    class Off(Good):
        def _view(self, at):
            return super()._view(at[:-1])

    class Sorted(Good):
        def _view(self, at):
            return super()._view(np.sort(at))

    rejected(Copies(), r"^source\[:12:\] is a view of what NumPy selects: it is")
    rejected(Off(), r"^source\[:12:\] is a view of what NumPy selects: its length is 11 instead of 12")
    rejected(Sorted(), r"^source\[.*\] is a view of what NumPy selects: sample")


def test_batches():
    class InOrder(Good):
        def fetch(self, indices):
            return super().fetch(np.sort(indices))

    class WithoutRepeats(Good):
        def fetch(self, indices):
            return super().fetch(np.unique(indices) if len(set(indices.tolist())) < len(indices) else indices)

    class OtherType(Good):
        def fetch(self, indices):
            return {"x": self.x[indices].astype(float), "y": self.y[indices]}

    class OtherForm(Good):
        def fetch(self, indices):
            return self.x[indices], self.y[indices]

    text = r"^read\(indices\) gives these samples, stacked: "
    rejected(InOrder(), f"{text}sample 11 at 'x'")
    rejected(WithoutRepeats(), f"{text}(sample|a batch of 12 samples is)")
    rejected(OtherType(), f"{text}sample 11 at 'x'")
    rejected(OtherForm(), f"{text}a batch is tuple of 2")


def test_a_batch_of_one():
    class Bare(Good):
        def fetch(self, indices):
            return self.sample(int(indices[0])) if indices.tolist() == [11] else super().fetch(indices)

    rejected(Bare(), r"^read\(index\) is a batch of one")


def test_a_batch_that_others_read():
    class Reused(Good):
        def fetch(self, indices):
            if len(indices) != 5:
                return super().fetch(indices)
            self.memory = vars(self).get("memory", np.empty((5, 2), int))
            self.memory[:] = self.x[indices]
            return {"x": self.memory, "y": self.y[indices]}

    rejected(Reused(), "^writing into a batch changes neither the source nor another batch: sample 0")


def test_no_samples():
    class Filled(Good):
        def read(self, indices, *rest, **how):
            batch = super().read(indices, *rest, **how)
            return batch if len(batch["x"]) else super().read([0])

    rejected(Filled(), r"^read\(indices\) gives these samples, stacked: a batch of no samples is")


# ---------------------------------------------------------------------- keys, closing, prefetching
def test_keys():
    class Others(Good):
        def keys(self):
            return ("x", "z")

    class Switched(Good):
        def _select(self, keys):
            return super()._select("y" if keys == "x" else keys)

    class Unordered(Good):
        def _select(self, keys):
            return super()._select(("x", "y") if isinstance(keys, tuple) else keys)

    rejected(Others(), r"^keys\(\) returns the keys of the samples: it returned \('x', 'z'\) instead of \('x', 'y'\)")
    rejected(Switched(), "^keys='x' gives only these: sample 0")
    rejected(Unordered(), r"^keys=\('y', 'x'\) gives only these: sample 0")


def test_prefetching():
    class Fails(Good):
        def prefetch(self, indices):
            return indices[0]

    class Moves(Good):
        def prefetch(self, indices):
            self.x = self.x + 1

    rejected(Fails(), r"^prefetch\(indices\) changes nothing: it raised IndexError")
    rejected(Moves(), r"^prefetch\(indices\) changes nothing: sample")


def test_closing():
    class Once(Good):
        def close(self):
            self.x = None if self.x is None else self.x[:0]

    class ForEver(Good):
        def close(self):
            self.x = self.x[:0]

        def __len__(self):
            return 12

    rejected(Once(), "^a closed source can be read again: it raised")
    rejected(ForEver(), "^a closed source can be read again: it raised IndexError")


# ---------------------------------------------------------------------- elsewhere
class Forgets(Good):
    """Loses something on its way through a pickle."""

    def __reduce__(self):
        return _scrambled, ()


def _scrambled():
    made = Good()
    made.x = made.x[::-1]
    return made


class Locked(Good):
    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()


def test_pickles():
    rejected(Locked(), r"^a source can be pickled with cloudpickle \(or pass `pickles=False`\): it raised TypeError")
    check_source(Locked(), DATA, pickles=False)
    rejected(Forgets(), "^a copy made with cloudpickle reads the same data: sample")
    odd = ArraySource(X).map(lambda x: x)
    rejected(odd, r"^a source can be pickled with pickle \(or pass `pickles=None`\): it raised", X, pickles=True)
    check_source(odd, X, pickles=None, fresh_process=False)


class HereOnly(Good):
    """Reads something else in other processes."""

    def __init__(self):
        super().__init__()
        self.here = os.getpid()

    def sample(self, index):
        if os.getpid() != self.here:
            self.elsewhere()
        return super().sample(index)


class Shifts(HereOnly):
    def elsewhere(self):
        self.x = self.x + 1


class Raises(HereOnly):
    def elsewhere(self):
        raise OSError("the handle is the parent's")


class Dies(HereOnly):
    def elsewhere(self):
        os.kill(os.getpid(), signal.SIGKILL)


class Hangs(HereOnly):
    def elsewhere(self):
        time.sleep(100)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Shifts, "sample"),
        (Raises, "OSError: the handle is"),
        (Dies, "it exited with -9"),
        (Hangs, "it did not finish within 1 s"),
    ],
)
def test_a_forked_process(kind, text):
    rejected(kind(), f"^a forked process reads the same data: {text}", pickles=False, timeout=1)
    check_source(kind(), DATA, pickles=False, fork=False)


def test_this_process_after_a_fork():
    class Moved(Good):
        forks: ClassVar = []

        def sample(self, index):
            return super().sample(index - 1 if Moved.forks else index)

    os.register_at_fork(after_in_parent=lambda: Moved.forks.append(1))
    rejected(Moved(), "^a source reads the same data after a forked process has read it: sample", pickles=False)


class Careless(Good):
    """Seeks, then reads: with a pause in between, in which another thread may seek."""

    def sample(self, index):
        self._place = index
        time.sleep(0.0002)
        return super().sample(self._place)


class Stuck(Good):
    def sample(self, index):
        if threading.current_thread() is not threading.main_thread():
            time.sleep(100)
        return super().sample(index)


def test_threads():
    rejected(Careless(), "^4 threads reading at once read the same data: sample", fork=False)
    check_source(Careless(), DATA, n_threads=1, fork=False, fresh_process=False)
    rejected(Stuck(), "^2 threads .* read the same data: they did not finish within 1 s", n_threads=2, timeout=1)


# ---------------------------------------------------------------------- streams
def test_the_order_of_samples():
    class Backwards(Good):
        def samples(self, *args, sampler=None, **how):
            return super().samples(*args, sampler=sampler or SubsetSampler(range(11, -1, -1)), **how)

    class Deaf(Good):
        def samples(self, *args, sampler=None, **how):
            return super().samples(*args, **how)

    rejected(Backwards(), r"^samples\(\) gives the samples in order: sample 0")
    rejected(Deaf(), "^a sampler decides which samples come: sample")


@pytest.mark.parametrize(("given", "text"), [(11, "there are 11"), (13, "there are more"), (0, "there are 0")])
def test_how_many_samples_come(given, text):
    class Otherwise(Good):
        def samples(self, *args, sampler=None, **how):
            if sampler is None:
                return self[np.arange(given) % 12].samples(*args, **how)
            return super().samples(*args, sampler=sampler, **how)

    rejected(Otherwise(), rf"^samples\(\) gives the samples in order: {text} instead of 12")


def test_indices():
    class Counted(Good):
        def _base_indices(self, indices):
            return np.arange(len(indices))

    def late(batches):
        for batch in batches:
            yield {**batch, "index": batch["index"] - 1}

    class Late(Good):
        def batches(self, *args, with_indices=False, **how):
            batches = super().batches(*args, with_indices=with_indices, **how)
            return batches.pipe(late) if with_indices else batches

    rejected(Counted(), "^with_indices gives the positions in the unsliced source: a view of")
    rejected(Late(), "^with_indices gives the positions in the unsliced source: sample .* by its index")


class Unrepeatable(PassOrder):
    opened = 0

    def __init__(self, sampler, n, key, epochs, part):
        super().__init__(sampler, n, key, epochs, part)
        Unrepeatable.opened += 1
        self.shift = Unrepeatable.opened if sampler.random else 0

    def _looked_up(self, first, end):
        return (super()._looked_up(first, end) + self.shift) % self._n


class Whole(PassOrder):
    """Gives each part everything."""

    def __init__(self, sampler, n, key, epochs, part):
        super().__init__(sampler, n, key, epochs, (0, 1) if sampler.random else part)


def drawing(kind):
    class Drawing(Good):
        def _pass_order(self, sampler, key, epochs, part, batch_size):
            return kind(sampler, len(self), key, epochs, part)

    return Drawing()


def test_what_streams_promise():
    rejected(drawing(Unrepeatable), "^two passes over a seeded stream at the same epoch are equal")
    rejected(drawing(Whole), "^2 parts together give each sample of the stream once")


class FreshOnly(Good):
    """Its fingerprint changes, and so does what its states say."""

    calls = 0

    def fingerprint(self):
        FreshOnly.calls += 1
        return f"source {FreshOnly.calls}"


class Named(Good):
    """A source whose samples depend on what it keeps private."""

    def __init__(self, shift):
        super().__init__()
        self.x, self._shift = self.x + shift, shift


class Told(Named):
    """The same, but it says so."""

    def fingerprint(self):
        return f"Told by {self._shift}"


class Counting(Good):
    """Its fingerprint changes as it is read."""

    n_read = 0

    def sample(self, index):
        self.n_read += 1
        return super().sample(index)


class Numbered(Good):
    """Its fingerprint is no text."""

    def fingerprint(self):
        return 3


def test_fingerprints():
    class Hidden(Named):
        x, y = None, None

        def __init__(self, shift):
            self._shift, self._data = shift, Named(shift)

        def __len__(self):
            return len(self._data)

        def sample(self, index):
            return self._data.sample(index)

        def fetch(self, indices):
            return self._data.fetch(indices)

    rejected(
        Hidden(0),
        "^a source with other samples has another fingerprint: both",
        other=Hidden(1),
        pickles=False,
    )
    rejected(Counting(), pickles=False, text="^a fingerprint is text that stays the same: was")
    rejected(Numbered(), "^a fingerprint is text that stays the same: it is 3", pickles=False)
    check_source(Told(0), other=Told(1), fresh_process=False, pickles=False)
    with pytest.raises(ParameterError, match="`other`"):
        check_source(Told(0), other=3)


def test_states():
    rejected(FreshOnly(), "^a fingerprint is text that stays the same: was source .*, is now source ")


@pytest.mark.parametrize(
    ("how", "text"),
    [
        ({"source": X}, "`source` must be a Source"),
        ({"n_samples": 0}, "`n_samples` must be a positive integer, got 0"),
        ({"n_threads": 1.5}, "`n_threads` must be a positive integer, got 1.5"),
        ({"fork": "no"}, "`fork` must be True or False, got 'no'"),
        ({"pickles": 1}, "`pickles` must be True or False, got 1"),
        ({"fresh_process": None}, "`fresh_process` must be True or False, got None"),
        ({"timeout": float("inf")}, "`timeout` must be a positive number of seconds, got inf"),
    ],
)
def test_parameters(how, text):
    with pytest.raises(ParameterError, match=text):
        check_source(**{"source": Good(), **how})
