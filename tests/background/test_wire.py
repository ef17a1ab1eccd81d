"""Items to layouts, arrays and pickles and back, in one process; hypothesis thinks of items that we did not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from streamflow.background import wire
from streamflow.background.wire import (
    HEADER,
    LARGE,
    MAX_BUFFERS,
    ItemLayout,
    LayoutTable,
    pickled,
    raw_bytes,
    split,
    unpickled,
)

from ..amount import amount

arrays = st.one_of(
    hnp.arrays(
        st.one_of(hnp.scalar_dtypes(), hnp.array_dtypes(max_size=3), hnp.unicode_string_dtypes(min_len=1)),
        hnp.array_shapes(min_dims=0, max_side=4, min_side=0),
    )
)
leaves = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.binary(max_size=5), arrays
)
keys = st.one_of(st.text(max_size=3), st.integers(0, 3), st.booleans(), st.none())
items = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(keys, inner, max_size=3), st.tuples(inner, inner)
    ),
    max_leaves=12,
)


def carried(item):
    """An item, carried through buffers and a block in the middle of other memory."""
    key, found, rest = split(item)
    layout = ItemLayout(unpickled([bytes(part) for part in pickled(key)]), 0)
    assert layout.has_rest == bool(rest)
    before = b"before__" * 8
    memory = bytearray(before) + bytearray(layout.size)
    views = iter(layout.views(memory, len(before)))
    apart = []
    for array, (_, _, offset, order, _) in zip(found, layout.arrays, strict=True):
        if offset is None:
            apart.append(bytearray(raw_bytes(array, order).tobytes()))
        else:
            assert offset >= HEADER
            next(views)[...] = array
    assert len(apart) == layout.n_buffers
    assert memory[: len(before) + HEADER] == before + bytes(HEADER)  # the memory around it
    parts = [bytearray(part) for part in pickled(rest)] if rest else []
    inside = len(parts[0]) if parts and len(parts[0]) < LARGE else 0
    block = memory[len(before) :] + (parts.pop(0) if inside else b"")
    return layout.item(block, inside, apart + parts)


def alike(a, b):
    """Whether two values are equal in type and value, NaN included."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return (
            list(map(type, a)) == list(map(type, b)) and alike(list(a), list(b)) and alike([*a.values()], [*b.values()])
        )
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(alike, a, b))
    if isinstance(a, np.ndarray):
        return (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())
    return a == b or (a != a and b != b)


@settings(max_examples=amount(60, 300))
@given(items)
def test_any_item_comes_back(item):
    assert alike(item, carried(item))


@given(hnp.arrays(np.int16, hnp.array_shapes(max_dims=4, max_side=5)), st.data())
def test_any_view_comes_back(array, data):
    view = array.transpose(data.draw(st.permutations(range(array.ndim))))
    view = view[data.draw(hnp.basic_indices(view.shape, allow_newaxis=True))]
    came = carried({"x": view})["x"]
    assert np.array_equal(view, came)
    assert type(came) is type(view) or not isinstance(view, np.ndarray)


def test_arrays_of_a_block_do_not_overlap_and_large_ones_are_apart():
    item = {f"k{i}": np.full(5000, i, np.int16) for i in range(40)}
    item |= {"just small": np.zeros(LARGE - 1, np.int8), "large": np.zeros(LARGE, np.int8)}
    layout = ItemLayout(split(item)[0], 0)
    assert [array[2] is None for array in layout.arrays] == [False] * 41 + [True]
    assert layout.n_buffers == 1
    small = sum(array.nbytes for array in item.values()) - LARGE
    assert small <= layout.size <= small + 42 * 16
    came = carried(item)
    assert all((came[f"k{i}"] == i).all() for i in range(40))


@pytest.mark.parametrize("n", [MAX_BUFFERS // 2, MAX_BUFFERS // 2 + 1, 700])
def test_an_item_has_only_so_many_buffers(n):
    """Large arrays, and objects with large buffers, together."""
    item = {i: np.full(LARGE, i % 256, np.uint8) for i in range(n)}
    item["rest"] = [np.ma.masked_array(np.full(LARGE, i % 7, np.uint8)) for i in range(n)]
    key, _, rest = split(item)
    assert ItemLayout(key, 0).n_buffers + len(pickled(rest)) <= MAX_BUFFERS
    came = carried(item)
    assert list(came) == list(item)
    assert all((came[i] == i % 256).all() for i in range(n))
    assert all((array == i % 7).all() for i, array in enumerate(came["rest"]))


def test_a_flat_dict_of_arrays_is_never_pickled(monkeypatch):
    """Not even its layout, once that is known."""
    announced = []
    layouts = LayoutTable(announced.append)
    item = {"x": np.zeros((3, 2)), "y": np.asarray(1), "z": np.zeros(LARGE)}
    first, _, parts = layouts.of(item)
    assert announced == [(0, split(item)[0])]
    assert parts == []
    monkeypatch.setattr(wire, "pickled", None)
    monkeypatch.setattr(wire, "split", None)
    again = {"x": np.ones((3, 2)), "y": np.asarray(2), "z": np.ones(LARGE)}
    layout, arrays, parts = layouts.of(again)
    assert layout is first
    assert [array is sent for array, sent in zip(arrays, again.values(), strict=True)] == [True] * 3
    assert parts == []
    assert len(announced) == 1


def test_a_layout_beyond_the_first_is_announced_when_it_recurs():
    announced = []
    layouts = LayoutTable(announced.append)
    items = [np.zeros(i) for i in range(200)]
    for item in items[:64]:
        assert layouts.of(item)[1][0] is item
    for item in items[64:]:  # each a new one: pickled as they are
        layout, arrays, parts = layouts.of(item)
        assert (layout.key, layout.n_buffers, arrays) == (("r",), 0, [])
        assert np.array_equal(unpickled(parts)[0], item)
    assert [number for number, _ in announced] == [*range(65)]
    assert layouts.of(items[199])[1][0] is items[199]  # takes the place of the oldest
    assert announced[65:] == [(0, split(items[199])[0])]
    assert layouts.of(items[1])[0].number == 1
    assert layouts.of(items[0])[0].key == ("r",)
    assert layouts.of(items[64])[0].key == ("r",)  # it came too long ago
    assert len(announced) == 66
