"""`import streamflow as pescador`: what pescador documents runs unchanged."""

import collections
import importlib
import itertools

import numpy as np
import pytest

import streamflow as pescador


def test_names_and_submodules():
    where = {
        "core": ["Streamer", "streamable", "PescadorError", "DataError"],
        "mux": ["StochasticMux", "ShuffledMux", "RoundRobinMux", "ChainMux", "BaseMux"],
        "maps": ["buffer_stream", "tuples", "keras_tuples", "cache", "PescadorError", "DataError"],
        "zmq_stream": ["ZMQStreamer"],
        "util": ["get_rng", "batch_length", "PescadorError", "DataError"],
        "exceptions": ["PescadorError", "DataError"],
    }
    for module, names in where.items():
        assert getattr(pescador, module) is importlib.import_module(f"streamflow.{module}")
        for name in names:
            found = getattr(getattr(pescador, module), name)
            assert name in ("get_rng", "batch_length") or getattr(pescador, name) is found
    assert callable(pescador.Mux)


# ---- Streamer


def noisy_samples(x, y, sigma=1.0, rng=None):
    """Pairs of a data set, in a random order, with noise."""
    n = len(x)
    while True:
        i = rng.integers(n)
        yield {"X": x[i] + sigma * rng.standard_normal(x.shape[1]), "Y": y[i]}


def finite_samples(x, y):
    for row, label in zip(x, y, strict=True):
        yield {"X": row, "Y": label}


X, Y = np.arange(60.0).reshape(20, 3), np.arange(20) % 2


def test_a_streamer_and_all_ways_to_iterate_it():
    streamer = pescador.Streamer(noisy_samples, X, Y, sigma=0.1)
    assert len(list(streamer.iterate(max_iter=5))) == 5
    assert len(list(streamer(max_iter=10))) == 10
    assert len(list(streamer(max_iter=1e2))) == 100
    for n, sample in enumerate(streamer):
        assert (sample["X"].shape, sample["Y"].shape) == ((3,), ())
        if n == 3:
            break
    assert streamer.active == 0
    assert streamer.args[0] is X
    assert streamer.streamer is noisy_samples


def test_the_docstring_examples():
    assert list(pescador.Streamer("abc")) == ["a", "b", "c"]
    assert "".join(pescador.Streamer("abc").cycle(max_iter=7)) == "abcabca"
    assert "".join(pescador.Streamer("abc")(max_iter=7, cycle=True)) == "abcabca"
    with pescador.Streamer("abc") as live:
        assert live.is_activated_copy
        assert list(live.iterate(max_iter=2)) == ["a", "b"]
        assert list(live) == ["c"]


@pescador.streamable
def letters(word):
    yield from word


def test_streamable():
    assert list(letters("ab")) == ["a", "b"]
    assert list(letters("ab").cycle(max_iter=3)) == ["a", "b", "a"]


# ---- muxes


@pytest.mark.parametrize(
    ("mode", "rate"),
    [("with_replacement", 64), ("single_active", 64), ("with_replacement", None), ("exhaustive", None)],
)
def test_five_noise_levels_three_active(mode, rate):
    streamers = [pescador.Streamer(noisy_samples, X, Y, sigma=s) for s in (0, 0.5, 1.0, 2.0, 4.0)]
    mux = pescador.StochasticMux(streamers, n_active=3, rate=rate, mode=mode, random_state=0)
    assert sum(1 for _ in mux(max_iter=5000)) == 5000


def test_weights_are_the_shares():
    streamers = [pescador.Streamer(itertools.repeat, c) for c in "ab"]
    counts = collections.Counter(
        pescador.StochasticMux(streamers, n_active=2, rate=8, weights=[0.75, 0.25], random_state=0)(max_iter=20_000)
    )
    assert abs(counts["a"] / 20_000 - 0.75) < 0.03


def test_hierarchical_letters_from_the_first_item():
    def tree(seed):
        lower = pescador.ShuffledMux([pescador.Streamer(itertools.repeat, c) for c in "ab"])
        upper = pescador.ShuffledMux([pescador.Streamer(itertools.repeat, c) for c in "AB"])
        return pescador.ShuffledMux([lower, upper], weights=[0.75, 0.25], random_state=seed)

    firsts = [next(iter(tree(seed))) for seed in range(800)]
    assert abs(sum(c.islower() for c in firsts) / 800 - 0.75) < 5 * np.sqrt(0.75 * 0.25 / 800)
    assert set(firsts) == set("abAB")


def test_round_robin_and_chain():
    assert "".join(pescador.RoundRobinMux(["abc", "d", "ef"])) == "adebfc"
    assert "".join(pescador.RoundRobinMux(["abc", "d", "ef"], mode="cycle").iterate(12)) == "adebfcadebfc"
    permuted = pescador.RoundRobinMux(["abc", "def"], mode="permuted_cycle", random_state=0)
    assert sorted(permuted.iterate(6)) == list("abcdef")
    assert "".join(pescador.ChainMux(["abc", "d", "ef"])) == "abcdef"
    assert "".join(pescador.ChainMux(["abc", "d"], mode="cycle").iterate(9)) == "abcdabcda"

    def streamers():
        for word in ("ab", "c"):
            yield pescador.Streamer(word)

    assert "".join(pescador.ChainMux(streamers, mode="cycle").iterate(7)) == "abcabca"


def test_epochs_over_files():
    streamers = [pescador.Streamer(word) for word in ("ab", "cd", "ef")]
    mux = pescador.StochasticMux(streamers, n_active=3, rate=None, mode="exhaustive", random_state=0)
    epochs = ["".join(itertools.islice(mux.cycle(), 6 * k, 6 * k + 6)) for k in range(4)]
    assert {"".join(sorted(e)) for e in epochs} == {"abcdef"}
    assert len(set(epochs)) > 1
    with pytest.raises(pescador.PescadorError, match="n_active=None"):
        pescador.StochasticMux(streamers, n_active=4, rate=None, mode="exhaustive")


def test_the_old_mux_warns_and_works():
    streamers = [pescador.Streamer(itertools.repeat, c) for c in "abc"]
    with pytest.warns(DeprecationWarning, match="StochasticMux"):
        mux = pescador.Mux(streamers, k=len(streamers), rate=None, random_state=0)
    assert set(mux.iterate(100)) == set("abc")
    with pytest.warns(DeprecationWarning, match="StochasticMux"):
        alone = pescador.Mux(streamers, k=1, rate=1000, random_state=0)
    assert len(set(alone.iterate(100))) == 1
    with pytest.warns(DeprecationWarning, match="StochasticMux"):
        once = pescador.Mux(["ab", "cd", "ef"], k=2, rate=None, with_replacement=False, revive=False, random_state=0)
    assert sorted(once) == list("abcdef")
    with pytest.warns(DeprecationWarning, match="StochasticMux"):
        revived = pescador.Mux(["ab", "cd"], k=2, with_replacement=False, revive=True, random_state=0)
    assert len(list(revived.iterate(50))) == 50


def test_wrong_parameters_are_pescador_errors():
    for call in (
        lambda: pescador.StochasticMux([], 1, 1),
        lambda: pescador.StochasticMux(["a"], 1, 1, mode="never"),
        lambda: pescador.StochasticMux(["a", "b"], 1, 1, weights=[1]),
        lambda: pescador.ShuffledMux([]),
        lambda: pescador.RoundRobinMux([]),
        lambda: pescador.Streamer(3),
        lambda: pescador.keras_tuples(iter([])),
        lambda: pescador.cache(iter([]), 0),
    ):
        with pytest.raises(pescador.PescadorError):
            call()


# ---- files


def sample_npz(path, k):
    """Slices of one file, which is open while they are drawn."""
    with np.load(path) as data:
        for i in range(0, len(data["X"]), k):
            yield {"X": data["X"][i : i + k], "Y": data["Y"][i : i + k]}


def test_npz_files_and_memory_maps(tmp_path):
    paths = []
    for k in range(4):
        paths.append(tmp_path / f"{k}.npz")
        np.savez(paths[-1], X=X + k, Y=Y)
    streams = [pescador.Streamer(sample_npz, path, 5) for path in paths]
    mux = pescador.StochasticMux(streams, n_active=2, rate=8, random_state=0)
    batch = next(pescador.buffer_stream(mux(max_iter=16), 4, axis=0))
    assert (batch["X"].shape, batch["Y"].shape) == ((20, 3), (20,))

    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    rows = list(pescador.Streamer(finite_samples, mapped, Y))
    assert isinstance(rows[0]["X"], np.memmap)
    assert np.array_equal(np.stack([r["X"] for r in rows]), X)


# ---- maps


def test_buffers_in_all_three_spellings():
    streamer = pescador.Streamer(finite_samples, X, Y)

    def buffered():
        yield from pescador.buffer_stream(streamer, 8)

    wanted = [X[:8], X[8:16]]
    for batches in (
        pescador.buffer_stream(streamer, 8),
        pescador.Streamer(buffered),
        pescador.Streamer(pescador.buffer_stream, streamer, 8),
        pescador.Streamer(pescador.buffer_stream(streamer, 8)),
        streamer.pipe(pescador.buffer_stream, 8),
    ):
        found = list(batches)
        assert all(np.array_equal(b["X"], w) for b, w in zip(found, wanted, strict=True))


def test_tuples_and_cache():
    streamer = pescador.Streamer(finite_samples, X, Y)
    assert all(len(t) == 2 for t in pescador.tuples(streamer, "X", "Y"))
    assert sum(1 for _ in pescador.keras_tuples(streamer, "X", "Y")) == 20
    assert sum(1 for _ in pescador.cache(iter(streamer), 5, prob=0.25, random_state=0)) > 20


def additive_noise(stream, key="X", scale=1e-1):
    for sample in stream:
        noisy = dict(sample)
        noisy[key] = sample[key] + scale * np.random.randn(*sample[key].shape)
        yield noisy


def test_a_stream_and_its_noisy_twin_feed_fit():
    """The Keras example: both streams are always active, batches go into `fit` as tuples."""
    stream = pescador.Streamer(noisy_samples, X, Y, sigma=0)
    noisy = pescador.Streamer(additive_noise, stream, "X")
    both = pescador.StochasticMux([stream, noisy], n_active=2, rate=None, random_state=0)
    names = collections.Counter()
    for sample in both(max_iter=200):
        names[bool(np.all(sample["X"] == np.round(sample["X"])))] += 1
    assert min(names[True], names[False]) > 50
    batches = pescador.tuples(pescador.buffer_stream(both, 32), "X", "Y")
    x, y = next(batches)
    assert (x.shape, y.shape) == ((32, 3), (32,))


def test_every_mux_is_a_base_mux():
    class Mine(pescador.BaseMux):
        def choose(self, step, live, u):
            return live[0]

    muxes = [kind(["ab", "cd"]) for kind in (Mine, pescador.ShuffledMux, pescador.RoundRobinMux, pescador.ChainMux)]
    for mux in (*muxes, pescador.ZipMux(["ab"]), pescador.StochasticMux(["ab"], 1, 8)):
        assert isinstance(mux, pescador.BaseMux)
        assert issubclass(type(mux), pescador.BaseMux)
    assert not isinstance(pescador.Streamer("ab"), pescador.BaseMux)
    assert not isinstance(muxes[1], Mine)


# ---- in the background


def costly(n):
    for i in range(n):
        yield {"X": np.full((4, 4), i), "Y": np.asarray(i)}


def test_zmq_streamer_gives_the_same_items():
    serial = pescador.Streamer(costly, 24)
    parallel = pescador.ZMQStreamer(serial)
    for _ in range(2):
        for a, b in zip(serial, parallel, strict=True):
            assert np.array_equal(a["X"], b["X"])
            assert np.array_equal(a["Y"], b["Y"])
    assert len(list(parallel.iterate(max_iter=5))) == 5
    assert len(list(parallel.cycle(max_iter=30))) == 30
    batched = pescador.ZMQStreamer(pescador.Streamer(pescador.buffer_stream, serial, 8), min_port=49152, timeout=5)
    assert [b["Y"].tolist() for b in batched] == [list(range(k, k + 8)) for k in (0, 8, 16)]
    assert parallel.active == 0


def test_the_streamer_of_a_zmq_streamer():
    serial = pescador.Streamer(costly, 3)
    assert pescador.ZMQStreamer(serial).streamer is serial


def test_zmq_streamers_under_a_mux():
    members = [pescador.ZMQStreamer(pescador.Streamer(costly, 3)) for _ in range(2)]
    assert [int(i["Y"]) for i in pescador.RoundRobinMux(members)] == [0, 0, 1, 1, 2, 2]


# ---- util


def test_util():
    assert pescador.util.batch_length({"x": np.zeros(3), "y": [1, 2, 3]}) == 3
    assert pescador.util.batch_length({}) is None
    with pytest.raises(pescador.PescadorError):
        pescador.util.batch_length({"x": np.zeros(3), "y": np.zeros(2)})
    assert pescador.util.get_rng(3).random_sample() == pescador.util.get_rng(3).random_sample()
