"""Sources against the reads that they need at least: files of NumPy, cold and warm.

* Random batches of 64 rows of 64 KiB from a mapped file, beside sorted `pread` and a plain memory map.  Cold: the
  file is dropped from the page cache.  The clock is that on the wall.
* A mux over shards in ``.npz`` files, beside pescador, which reads each shard as a whole.
"""

import os
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
from timing import Row, against, main, pescador, ratio

import streamflow
from streamflow.sources import NpySource

BATCH, ROWS, WIDTH = 64, 8192, 16384  # 512 MiB of float32
N_SHARDS, SHARD_ROWS = 16, 128


def sorted_preads(path: Path, seed: int) -> Iterator[np.ndarray]:
    file, header = os.open(path, os.O_RDONLY), path.stat().st_size - ROWS * WIDTH * 4
    order = np.random.default_rng(seed).permutation(ROWS)
    for first in range(0, ROWS, BATCH):
        batch = np.empty((BATCH, WIDTH), np.float32)
        for row, index in zip(batch, np.sort(order[first : first + BATCH]).tolist(), strict=True):
            os.preadv(file, [row], header + index * WIDTH * 4)
        yield batch
    os.close(file)


def plain_map(path: Path, seed: int) -> Iterator[np.ndarray]:
    data, order = np.load(path, mmap_mode="r"), np.random.default_rng(seed).permutation(ROWS)
    for first in range(0, ROWS, BATCH):
        yield data[order[first : first + BATCH]]


def ours_from(path: Path, seed: int) -> Iterator[np.ndarray]:
    return NpySource(path).batches(BATCH, shuffle=True, random_state=seed)()


def seconds_each(batches: Iterator[np.ndarray], n_batches: int) -> float:
    start = perf_counter()
    for batch in islice(batches, n_batches):
        batch[:, 0].sum()
    return (perf_counter() - start) / n_batches


def forget(path: Path) -> None:
    file = os.open(path, os.O_RDONLY)
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(file)


def from_disk(folder: Path) -> list[Row]:
    path = folder / "rows.npy"
    data = np.lib.format.open_memmap(path, "w+", np.float32, (ROWS, WIDTH))
    for first in range(0, ROWS, 1024):
        data[first : first + 1024] = np.random.default_rng(first).random((1024, WIDTH), np.float32)
    data.flush()
    del data
    os.sync()
    contenders = {"sorted pread": sorted_preads, "plain map": plain_map, "streamflow": ours_from}
    times: dict[str, dict[str, list[float]]] = {"cold": {}, "warm": {}}
    for turn in range(5):
        for name, make in contenders.items():
            forget(path)
            n_batches = 5 if name == "plain map" else 60
            times["cold"].setdefault(name, []).append(seconds_each(make(path, turn), n_batches))
    path.read_bytes()
    for turn in range(7):
        for name, make in contenders.items():
            times["warm"].setdefault(name, []).append(seconds_each(make(path, turn), 120))
    what = "random batches of 4 MiB from a file"
    slower = ratio(times["cold"], "plain map", "streamflow")
    return [
        *against(f"{what}, warm", times["warm"], "sorted pread", 1.25),
        *against(f"{what}, cold", times["cold"], "sorted pread", 0.7),
        Row(f"{what}, cold: faster than a plain map", slower, goal=15, at_least=True),
    ]


def whole_shard(path: Path) -> Iterator[dict[str, np.ndarray]]:
    rows, rng = np.load(path)["X"], np.random.default_rng()
    while True:
        yield {"X": rows[rng.integers(len(rows))]}


def from_shards(folder: Path) -> list[Row]:
    paths = [folder / f"{k}.npz" for k in range(N_SHARDS)]
    for path in paths:
        np.savez(path, X=np.random.default_rng(0).random((SHARD_ROWS, 8192)))
    pool = [NpySource({"X": path}).samples(shuffle=True, epochs=None) for path in paths]
    trees = {"streamflow": streamflow.StochasticMux(pool, 8, 64, random_state=0)}
    if pescador is not None:
        members = [pescador.Streamer(whole_shard, path) for path in paths]
        trees["pescador"] = pescador.StochasticMux(members, 8, 64, random_state=0)
    streams = {name: streamflow.buffer_stream(tree.iterate(), BATCH) for name, tree in trees.items()}
    times = {
        name: [seconds_each((batch["X"] for batch in stream), 40) for _ in range(5)] for name, stream in streams.items()
    }
    what, ours = "batch of 64 rows of 64 KiB from npz shards", median(times["streamflow"])
    if pescador is None:
        return [Row(what, ours * 1e3, "ms")]
    faster = ratio(times, "pescador", "streamflow")
    return [Row(f"{what}: faster than pescador", faster, goal=6, at_least=True, note=f"{ours * 1e3:.3g} ms")]


def measure() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        return [*from_disk(Path(folder)), *from_shards(Path(folder))]


if __name__ == "__main__":
    main(measure)
