"""Random batches of an `LMDBStore` against LMDB by hand, and against the way of ml-pyxis.

Floor: the bytes of 64 arrays, got one by one in one transaction, made arrays with `numpy.frombuffer` and stacked.
ml-pyxis cannot be run (it needs a NumPy before 2.3), so its work on a sample is done here on a store of its format: a
transaction, a mapping unpacked with msgpack, each value unpacked again.  Then the samples are stacked.
"""

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

import lmdb
import msgpack
import numpy as np
from timing import Row, interleave, main, ratio, show_time, timed

from streamflow.sources import LMDBStore, LMDBWriter

BATCH = 64
CASES = (  # name, shape of one sample's array, samples
    ("64 B", (16,), 20000),
    ("4 KiB", (32, 32), 8000),
    ("64 KiB", (128, 128), 2000),
)
VISIT = 20  #: batches


def packed(array: np.ndarray) -> bytes:
    """An array as ml-pyxis packs it."""
    described = {b"type": 2, b"dtype": array.dtype.str, b"shape": array.shape, b"data": array.tobytes()}
    return msgpack.packb(described, use_bin_type=True)


def write(folder: Path, X: np.ndarray, y: np.ndarray) -> None:  # noqa: N803
    """The same samples as our store, as bytes alone, and as ml-pyxis stores them."""
    with LMDBWriter(folder / "ours") as db:
        db.extend_columns({"X": X, "y": y})
    raw = lmdb.open(str(folder / "raw"), map_size=1 << 31)
    with raw.begin(write=True) as transaction:
        for i, row in enumerate(X):
            transaction.put(b"%010d" % i, row.tobytes(), append=True)
    raw.close()
    old = lmdb.open(str(folder / "old"), map_size=1 << 31, max_dbs=2)
    data = old.open_db(b"data_db")
    with old.begin(write=True) as transaction:
        for i, (row, target) in enumerate(zip(X, y, strict=True)):
            sample = msgpack.packb({"X": packed(row), "y": packed(np.array(target))}, use_bin_type=True)
            transaction.put(b"%010d" % i, sample, append=True, db=data)
    old.close()


def raw_batch(environment: lmdb.Environment, indices: list[int], shape: tuple[int, ...]) -> np.ndarray:
    with environment.begin(buffers=True) as transaction:
        rows = [np.frombuffer(transaction.get(b"%010d" % i), np.float32).reshape(shape) for i in indices]
        return np.stack(rows)


def decoded(described: dict) -> np.ndarray:
    return np.frombuffer(described[b"data"], np.dtype(described[b"dtype"])).reshape(described[b"shape"])


def old_batch(environment: lmdb.Environment, data: object, indices: list[int]) -> np.ndarray:
    samples = []
    for i in indices:
        with environment.begin(db=data) as transaction:
            values = msgpack.unpackb(transaction.get(b"%010d" % i), raw=False)
        unpack = partial(msgpack.unpackb, raw=False, use_list=False, object_hook=decoded)
        samples.append({key: unpack(value) for key, value in values.items()})
    return np.stack([sample["X"] for sample in samples])


def visits(batch: Callable[[np.ndarray], object], orders: np.ndarray) -> Callable[[], float]:
    def run() -> None:
        for order in orders:
            batch(order)

    return lambda: timed(run) / len(orders)


def case_rows(folder: Path, name: str, shape: tuple[int, ...], n_samples: int) -> list[Row]:
    rng = np.random.default_rng(0)
    write(folder, rng.random((n_samples, *shape), np.float32), rng.integers(0, 10, n_samples))
    raw = lmdb.open(str(folder / "raw"), readonly=True)
    old = lmdb.open(str(folder / "old"), readonly=True, max_dbs=2)
    data = old.open_db(b"data_db")
    store = LMDBStore(folder / "ours")
    orders = rng.integers(0, n_samples, (VISIT, BATCH))
    batches = store.batches(BATCH, shuffle=True, random_state=0, epochs=None, keys="X").open()
    contenders = {
        "streamflow": visits(lambda order: next(batches), orders),
        "LMDB": visits(lambda order: raw_batch(raw, order.tolist(), shape), orders),
        "ml-pyxis": visits(lambda order: old_batch(old, data, order.tolist()), orders),
    }
    times = interleave(contenders, rounds=51)
    what = f"LMDB: batch of {BATCH}, {name}"
    ours, floor, theirs = (show_time(median(times[key])) for key in ("streamflow", "LMDB", "ml-pyxis"))
    store.close()
    return [
        Row(f"{what} / LMDB by hand", ratio(times, "streamflow", "LMDB"), goal=1.3, note=f"{ours}, floor {floor}"),
        Row(
            f"{what}: faster than ml-pyxis",
            ratio(times, "ml-pyxis", "streamflow"),
            goal=1.5,
            at_least=True,
            note=f"ml-pyxis {theirs}",
        ),
    ]


def measure() -> list[Row]:
    rows = []
    for case in CASES:
        with tempfile.TemporaryDirectory() as folder:
            rows += case_rows(Path(folder), *case)
    return rows


if __name__ == "__main__":
    main(measure)
