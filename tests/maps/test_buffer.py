"""buffer_stream: stacking, partial, axis, ragged, dtypes, data errors, and memory that is used again."""

import itertools
import types

import numpy as np
import pytest

import streamflow as sf
from streamflow.maps import buffer


def samples(n, shape=(2,)):
    for i in range(n):
        yield {"x": np.full(shape, i, np.float32), "y": np.asarray(i)}


def batches(stream, *args, **kwargs):
    return list(sf.buffer_stream(stream, *args, **kwargs))


def same(got, wanted):
    """Equal in type, dtype, shape and values."""
    got, wanted = np.asarray(got), np.asarray(wanted)
    return got.dtype == wanted.dtype and got.shape == wanted.shape and np.array_equal(got, wanted)


def test_items_are_stacked_along_a_new_first_axis():
    found = batches(samples(10), 4)
    assert [list(b) for b in found] == [["x", "y"]] * 2
    assert [b["y"].tolist() for b in found] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert found[0]["x"].shape == (4, 2)
    assert same(found[1]["x"], np.stack([np.full(2, i, np.float32) for i in range(4, 8)]))


@pytest.mark.parametrize(
    ("n", "size", "lengths"), [(10, 4, [4, 4, 2]), (8, 4, [4, 4]), (3, 4, [3]), (0, 4, []), (3, 1, [1] * 3)]
)
def test_partial_keeps_the_last_short_batch(n, size, lengths):
    found = batches(samples(n), size, partial=True)
    assert [len(b["x"]) for b in found] == lengths
    assert [i for b in found for i in b["y"]] == list(range(n))
    assert [len(b["x"]) for b in batches(samples(n), size)] == [k for k in lengths if k == size]


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_axis_concatenates(axis):
    items = [{"x": np.arange(6).reshape(2, 3) + 10 * i} for i in range(6)]
    found = batches(items, 3, axis=axis)
    assert len(found) == 2
    assert same(found[0]["x"], np.concatenate([d["x"] for d in items[:3]], axis=axis))
    assert same(found[1]["x"], np.concatenate([d["x"] for d in items[3:]], axis=axis))


def test_with_an_axis_no_row_is_lost_or_moved():
    rows = [np.arange(k) + 10 * k for k in (2, 3, 1, 4, 2)]
    found = batches([{"x": r} for r in rows], 2, partial=True, axis=0)
    assert same(np.concatenate([b["x"] for b in found]), np.concatenate(rows))


def test_an_axis_needs_an_array_that_has_it():
    with pytest.raises(sf.DataError, match="x"):
        batches([{"x": 1}, {"x": 2}], 2, axis=0)
    with pytest.raises(sf.DataError, match="x"):
        batches([{"x": np.zeros(2)}, {"x": np.zeros(2)}], 2, axis=1)


@pytest.mark.parametrize(
    "values",
    [
        [1, 2],
        [1, 2.5],
        [True, 2],
        [1, 1j],
        ["a", "bcd"],
        [b"a", b"bcd"],
        [np.float32(1), np.float64(2)],
        [np.uint8(1), np.int8(2)],
        [np.zeros(2, np.float16), np.zeros(2, np.int32)],
        [np.zeros(2, ">f8"), np.ones(2, ">f8")],
        [np.zeros(2, ">i4"), np.ones(2, "<i4")],
        [np.array("2020-01", "M8[M]"), np.array("2020-01-02", "M8[D]")],
        [np.array(["a"]), np.array(["long"])],
        [np.zeros((0, 3)), np.zeros((0, 3))],
        [np.array([1, None], object), np.array(["a", 2], object)],
        [np.array([(1, 2.0)], "i4,f8"), np.array([(3, 4.0)], "i4,f8")],
        [[1, 2], [3, 4]],
        [[1, 2.0], [3, 4]],
        [np.arange(6).reshape(2, 3).T, np.asfortranarray(np.arange(6).reshape(3, 2))],
        [np.arange(10)[::3], np.arange(4)],
        [np.zeros((300, 400), np.uint8), np.ones((300, 400), np.int16)],
        [np.zeros((300, 400), np.float32), np.ones((300, 400), np.float64)],
        [np.zeros((300, 400), ">f4"), np.ones((300, 400), ">f4")],
    ],
)
def test_dtypes_are_promoted_as_np_stack_does(values):
    wanted = np.stack(values)
    for found in (batches([{"x": v} for v in values], 2), batches([{"x": v} for v in values], 9, partial=True)):
        assert type(found[0]["x"]) is np.ndarray
        assert same(found[0]["x"], wanted)
    several = batches([{"x": v} for v in values * 3], 2)
    assert all(same(b["x"], wanted) for b in several)


def test_a_later_batch_may_have_another_shape_and_dtype():
    items = [{"x": np.zeros(2)}] * 2 + [{"x": np.ones((3, 1), np.int8)}] * 2
    assert [(b["x"].shape, b["x"].dtype) for b in batches(items, 2)] == [((2, 2), np.float64), ((2, 3, 1), np.int8)]


# ---- ragged


RAGGED = [{"x": np.arange(1, n + 1, dtype=np.int16), "y": n} for n in (3, 1, 4, 2)]


def test_ragged_items_are_an_error_that_names_the_shapes():
    with pytest.raises(sf.DataError, match="x") as caught:
        batches(RAGGED, 4)
    assert "(3,)" in str(caught.value)
    assert "ragged" in str(caught.value)


def test_ragged_items_padded():
    (found,) = batches(RAGGED, 4, ragged="pad")
    assert same(found["x"], np.array([[1, 2, 3, 0], [1, 0, 0, 0], [1, 2, 3, 4], [1, 2, 0, 0]], np.int16))
    assert found["y"].tolist() == [3, 1, 4, 2]


def test_ragged_items_cropped():
    (found,) = batches(RAGGED, 4, ragged="crop")
    assert same(found["x"], np.array([[1]] * 4, np.int16))
    assert found["y"].tolist() == [3, 1, 4, 2]


@pytest.mark.parametrize(
    "values",
    [
        [b"a\0", b"bcd"],
        ["a\0", "bcd"],
        [np.bytes_(b"\0"), np.bytes_(b"")],
        [np.str_("ab\0\0"), "c"],
        [[b"a", b"b\0"], [b"c", b"d"]],
        [["x", "y"], ["\0", "z"]],
    ],
)
@pytest.mark.parametrize("ragged", ["error", "pad", "crop"])
def test_text_that_ends_in_nul_is_kept_as_objects(values, ragged):
    (found,) = batches([{"x": value} for value in values], 2, ragged=ragged)
    assert found["x"].dtype == object
    assert found["x"].tolist() == values


@pytest.mark.parametrize("values", [["a\0b", "c"], [b"", b"\0a"], ["a", "bc"], [["a"], ["b"]]])
def test_other_text_is_an_array_of_text(values):
    (found,) = batches([{"x": value} for value in values], 2)
    assert same(found["x"], np.array(values))


def test_ragged_items_in_a_list():
    (found,) = batches(RAGGED, 4, ragged="list")
    assert isinstance(found["x"], list)
    assert [x.tolist() for x in found["x"]] == [d["x"].tolist() for d in RAGGED]
    assert all(x.dtype == np.int16 for x in found["x"])


@pytest.mark.parametrize(("ragged", "shape"), [("pad", (2, 3, 5)), ("crop", (2, 2, 4))])
def test_ragged_in_several_dimensions(ragged, shape):
    items = [{"x": np.ones((3, 4))}, {"x": np.full((2, 5), 2.0)}]
    (found,) = batches(items, 2, ragged=ragged)
    assert found["x"].shape == shape
    wanted = {"pad": [12.0, 20.0], "crop": [8.0, 16.0]}
    assert found["x"].sum(axis=(1, 2)).tolist() == wanted[ragged]


@pytest.mark.parametrize("ragged", ["pad", "crop"])
def test_uniform_items_are_stacked_whatever_ragged_says(ragged):
    assert all(
        same(a[k], b[k])
        for a, b in zip(batches(samples(6), 3, ragged=ragged), batches(samples(6), 3), strict=True)
        for k in ("x", "y")
    )


@pytest.mark.parametrize("ragged", ["pad", "crop"])
def test_arrays_of_different_dimensions_cannot_be_padded_or_cropped(ragged):
    with pytest.raises(sf.DataError, match="x"):
        batches([{"x": np.zeros(3)}, {"x": np.zeros((3, 1))}], 2, ragged=ragged)


# ---- parameters, iterables, laziness


@pytest.mark.parametrize(
    ("name", "kwargs"),
    [
        ("buffer_size", {"buffer_size": 0}),
        ("buffer_size", {"buffer_size": -3}),
        ("partial", {"buffer_size": 2, "partial": "no"}),
        ("buffer_size", {"buffer_size": True}),
        ("buffer_size", {"buffer_size": "4"}),
        ("buffer_size", {"buffer_size": float("nan")}),
        ("buffer_size", {"buffer_size": None}),
        ("axis", {"buffer_size": 2, "axis": "0"}),
        ("axis", {"buffer_size": 2, "axis": 0.5}),
        ("ragged", {"buffer_size": 2, "ragged": "often"}),
        ("ragged", {"buffer_size": 2, "ragged": None}),
    ],
)
def test_parameters_are_checked_at_the_call(name, kwargs):
    streamer = sf.Streamer(samples, 5)
    for call in (
        lambda: sf.buffer_stream(samples(5), **kwargs),
        lambda: streamer.pipe(sf.buffer_stream, **kwargs),
        lambda: sf.Streamer(sf.buffer_stream, streamer, **kwargs),
    ):
        with pytest.raises(sf.exceptions.ParameterError, match=name):
            call()


@pytest.fixture
def dropped(caplog):
    """What has been logged about dropped samples, for sizes that have not been spoken of before."""
    buffer._log_dropped.cache_clear()
    yield caplog
    buffer._log_dropped.cache_clear()


def test_fewer_samples_than_a_batch_are_logged_once(dropped):
    tree = sf.Streamer(samples, 5).pipe(sf.buffer_stream, 64)
    assert [list(tree), list(tree), list(tree.cycle(2))] == [[], [], []]
    text = (
        "a stream ended with fewer samples than a batch of 64, and buffer_stream dropped them; partial=True keeps them"
    )
    assert dropped.messages == [text]


@pytest.mark.parametrize(("n", "partial"), [(0, False), (64, False), (100, False), (5, True), (0, True)])
def test_nothing_is_logged_about_other_streams(dropped, n, partial):
    list(sf.buffer_stream(samples(n), 64, partial=partial))
    assert dropped.messages == []


def test_nothing_is_logged_about_a_stream_that_is_abandoned(dropped):
    with sf.Streamer(samples, 100).pipe(sf.buffer_stream, 64).open() as stream:
        next(stream)
    assert dropped.messages == []


def test_it_takes_anything_that_can_be_iterated():
    streamer = sf.Streamer(samples, 6)
    with streamer.open() as live:
        iterables = [samples(6), list(samples(6)), iter(list(samples(6))), streamer, live, sf.RoundRobinMux([streamer])]
        for iterable in iterables:
            found = sf.buffer_stream(iterable, 3)
            assert type(found) is types.GeneratorType
            assert [b["y"].tolist() for b in found] == [[0, 1, 2], [3, 4, 5]]


def test_the_three_ways_to_make_a_streamer_of_it():
    streamer = sf.Streamer(samples, 6)
    piped, given = streamer.pipe(sf.buffer_stream, 3), sf.Streamer(sf.buffer_stream, streamer, 3)
    once = sf.Streamer(sf.buffer_stream(streamer, 3))
    for _ in range(2):
        assert [b["y"].tolist() for b in piped] == [b["y"].tolist() for b in given] == [[0, 1, 2], [3, 4, 5]]
    assert [b["y"].tolist() for b in once] == [[0, 1, 2], [3, 4, 5]]
    with pytest.raises(sf.StreamflowError):
        list(once)


def test_it_draws_no_further_than_the_batch_and_nothing_before_it():
    drawn, closed = [], []

    def leaf():
        try:
            for item in samples(20):
                drawn.append(1)
                yield item
        finally:
            closed.append(1)

    items = sf.buffer_stream(sf.Streamer(leaf), 4)
    assert drawn == []
    next(items)
    next(items)
    assert len(drawn) == 8
    assert closed == []
    items.close()
    assert closed == [1]


def test_the_position_of_a_stream_below_follows_the_batches():
    with sf.Streamer(samples, 20).open() as live:
        items = sf.buffer_stream(live, 4)
        next(items)
        assert live.position == 4
        state = live.state_dict()
        wanted = next(items)["y"].tolist()
    with sf.Streamer(samples, 20).open() as live:
        live.load_state_dict(state)
        assert next(sf.buffer_stream(live, 4))["y"].tolist() == wanted


# ---- memory


LARGE = (4352, 1024)  # 17 MiB of float32 per item


class Labelled(np.ndarray):
    """A subclass, which holds the array it views."""


def held_forms(batch):
    """Ways to hold on to a batch without holding the dict."""
    x = batch["x"]
    return {
        "batch": batch,
        "array": x,
        "row": x[1],
        "view of a view": x[1][:, ::2][5:],
        "reshaped": x.reshape(-1)[1000:],
        "memoryview": memoryview(x),
        "buffer": np.frombuffer(x, np.float32),
        "iterator": x.flat,
        "subclass": x.view(Labelled),
    }


def value(held):
    """The smallest and the largest number in what is held."""
    found = np.asarray(held["x"] if isinstance(held, dict) else held)
    return {float(found.min()), float(found.max())}


@pytest.mark.parametrize("form", list(held_forms({"x": np.zeros((2, 3, 4), np.float32)})))
def test_a_batch_that_is_held_in_any_form_never_changes(form):
    items = sf.buffer_stream((d for d in samples(16, LARGE)), 2)
    held = []
    for k in range(4):
        held.append(held_forms(next(items))[form])
        next(items)  # dropped at once: its memory may be used again
        for i, old in enumerate(held):
            assert value(old) <= {4.0 * i, 4.0 * i + 1}, (k, i)


@pytest.mark.parametrize("keep", [0, 1, 2])
def test_every_batch_is_right_whether_held_or_dropped(keep):
    held = []
    for k, batch in enumerate(sf.buffer_stream(samples(12, LARGE), 2)):
        assert batch["x"].shape == (2, *LARGE)
        assert value(batch["x"][0]) == {2.0 * k}
        assert value(batch["x"][1]) == {2.0 * k + 1}
        assert batch["x"].flags.writeable
        batch["x"][...] = -1  # the consumer's own business
        held = [*held, batch][-keep:] if keep else []
        assert all(value(h) == {-1.0} for h in held)


def test_batches_of_several_large_fields_do_not_share_memory():
    def both():
        for d in samples(10, LARGE):
            yield {"x": d["x"], "z": -d["x"]}

    for k, batch in enumerate(sf.buffer_stream(both(), 2)):
        assert not np.shares_memory(batch["x"], batch["z"])
        assert value(batch["x"]) == {2.0 * k, 2.0 * k + 1}
        assert value(batch["z"]) == {-2.0 * k, -2.0 * k - 1}


def test_a_held_batch_survives_the_end_and_the_closing_of_the_stream():
    stream = sf.Streamer(samples, 10, LARGE).pipe(sf.buffer_stream, 2)
    with stream.open() as live:
        kept = list(itertools.islice(live, 3))
    again = list(stream)
    assert [value(b) for b in kept] == [{0.0, 1.0}, {2.0, 3.0}, {4.0, 5.0}]
    assert len(again) == 5


def test_two_passes_do_not_share_memory():
    stream = sf.Streamer(samples, 8, LARGE).pipe(sf.buffer_stream, 2)
    one, two = stream.open(), stream.open()
    for a, b in zip(one, two, strict=True):
        assert not np.shares_memory(a["x"], b["x"])


def test_an_item_of_a_batch_never_aliases_the_samples():
    made = list(samples(4, LARGE))
    (batch,) = batches(made, 4)
    batch["x"][...] = -1
    assert [d["x"][0, 0] for d in made] == [0, 1, 2, 3]
    (alone,) = batches(made[:1], 1)
    alone["x"][...] = -1
    assert made[0]["x"].max() == 0


@pytest.mark.parametrize(
    "values",
    [
        [1, "a"],
        [b"a", 2.5],
        [True, np.str_("a")],
        [["a"], [1]],
        [np.array("a"), 1],
        [np.array(["a"]), np.array([1])],
        [np.array(["a"]), [1]],
        [np.zeros(1 << 20), np.zeros(1 << 20, "U1")],
        [["a", 1], ["b", 2]],
    ],
    ids=lambda values: str(values)[:40],
)
def test_text_and_numbers_are_not_joined(values):
    with pytest.raises(sf.DataError, match="cannot be stacked: text is mixed with other values"):
        list(sf.buffer_stream(iter([{"x": value} for value in values]), 2))


def test_text_and_numbers_are_not_joined_along_an_axis():
    items = [{"x": np.array(["a"])}, {"x": np.array([1])}]
    with pytest.raises(sf.DataError, match="cannot be stacked: text is mixed with other values"):
        list(sf.buffer_stream(iter(items), 2, axis=0))
