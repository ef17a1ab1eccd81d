"""Digests of items and states that depend on nothing but their types and values."""

import base64
import hashlib
import json
import random
import zlib
from itertools import islice

import numpy as np
import pytest

from streamflow.core import checkpoint

#: Sets of members that are kept as compressed letters: another zlib may compress them into others.
PACKED = ("aside", "empty")


def encoded(item):
    """An item in bytes: types, dtypes, shapes and values.

    >>> encoded((1, np.float32([2, 3]))) == encoded((1, np.float64([2, 3])))
    False
    """
    kind = type(item).__name__
    if isinstance(item, np.ndarray) and item.dtype.kind != "O":
        body = f"{item.dtype.str}{item.shape}".encode() + item.tobytes()
    elif isinstance(item, np.ndarray):
        body = str(item.shape).encode() + encoded(item.tolist())
    elif isinstance(item, np.generic):
        body = item.dtype.str.encode() + item.tobytes()
    elif isinstance(item, dict):
        body = b"".join(encoded(part) for pair in item.items() for part in pair)
    elif isinstance(item, (list, tuple)):
        body = b"".join(map(encoded, item))
    elif item is None or isinstance(item, (bool, int, float, str)):
        body = repr(item).encode()
    else:
        raise TypeError(f"a golden item must be made of plain values and arrays, got {kind}")
    return f"{kind}:{len(body)}:".encode() + body


def digest(parts):
    """A digest of some bytes."""
    hashed = hashlib.blake2b(digest_size=16)
    for part in parts:
        hashed.update(len(part).to_bytes(8, "little") + part)
    return hashed.hexdigest()


def plain(state):
    """A state with its packed sets as bits."""
    if isinstance(state, dict):
        return {
            key: zlib.decompress(base64.b85decode(value)).hex() if key in PACKED and value else plain(value)
            for key, value in state.items()
        }
    return list(map(plain, state)) if isinstance(state, (list, tuple)) else state


def written(state):
    """A state as canonical JSON, without the version of NumPy."""
    kept = {key: value for key, value in state.items() if key != "numpy"}
    return json.dumps(plain(kept), sort_keys=True, ensure_ascii=True)


def record(tree):
    """What is pinned of a tree, and the items that a resume from its state gives beside those it should give.

    Files are made in the working directory.  Random states of the process are as before afterwards.
    """
    before = random.getstate(), np.random.get_state()
    with pytest.MonkeyPatch.context() as patch:
        # A worker marks every item instead of one each 20 ms, so that its states do not depend on time.
        patch.setattr(checkpoint, "BETWEEN", 0.0)
        patch.setattr(checkpoint, "SHARE", 0)
        try:
            return _recorded(tree)
        finally:
            random.setstate(before[0])
            np.random.set_state(before[1])


def _recorded(tree):
    random.seed(20)
    np.random.seed(20)
    streamer = tree.make()
    with streamer.open(tree.epoch, cycle=tree.cycle) as stream:
        items = [encoded(item) for item in islice(stream, tree.at)]
        state = stream.state_dict()
        items += [encoded(item) for item in islice(stream, tree.n - tree.at)]
    pinned = {"items": digest(items), "state": digest([written(state).encode()]), "n": len(items)}
    if not tree.resumes:
        return pinned, None
    with streamer.open(0, cycle=tree.cycle) as again:
        again.load_state_dict(json.loads(json.dumps(state)))
        rest = [encoded(item) for item in islice(again, tree.n - tree.at)]
    return pinned, rest == items[tree.at :]
