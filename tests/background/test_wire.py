"""Items <-> layouts, arrays and pickles, without a process; and hypothesis to think of items that we did not."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from streamflow.background.wire import HEADER, LARGE, Layout, pickled, raw, taken_apart, unpickled

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
    """An item through a block and a pickle."""
    key, found, rest = taken_apart(item)
    layout = Layout(unpickled([bytes(part) for part in pickled(key)]), 0)
    block = bytearray(layout.size)
    views = iter(layout.views(block))
    large = []
    for array, (_, _, offset, order, _) in zip(found, layout.arrays, strict=True):
        if offset is None:
            large.append(bytearray(raw(array, order).tobytes()))
        else:
            assert offset >= HEADER
            next(views)[...] = array
    return layout.built(block, iter(large), unpickled(pickled(rest)) if rest else ())


def alike(a, b):
    """Equal in type and value, NaN included."""
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


@settings(max_examples=200)
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


def test_arrays_of_a_block_do_not_overlap_and_a_block_stays_small():
    item = {f"k{i}": np.full(5000, i, np.int16) for i in range(40)} | {"large": np.zeros(LARGE, np.int8)}
    layout = Layout(taken_apart(item)[0], 0)
    assert layout.size < 256 << 10
    assert layout.arrays[-1][2] is None
    came = carried(item)
    assert all((came[f"k{i}"] == i).all() for i in range(40))


def test_a_flat_dict_of_arrays_is_never_pickled(monkeypatch):
    """Not even a description of it, once its layout is known."""
    from streamflow.background import channel

    sender = object.__new__(channel.Sender)
    sender._layouts, sender._last, sender._limit, sender._ahead = {}, None, 1 << 60, 0
    sent = []
    monkeypatch.setattr(sender, "_send", lambda kind, block, parts, large: sent.append((kind, parts)), raising=False)
    item = {"x": np.zeros((3, 2)), "y": np.asarray(1)}
    sender.item(item)
    monkeypatch.setattr(channel, "pickled", None)
    monkeypatch.setattr(channel, "taken_apart", None)
    sender.item({"x": np.ones((3, 2)), "y": np.asarray(2)})
    assert [parts for kind, parts in sent if kind >= channel.ITEM] == [[], []]
