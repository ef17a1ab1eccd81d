"""A `MemmapStore` against NumPy's memory maps and `pread`, and building one against a loop of `np.load` and `np.save`.

* A slice of inner axes of an entry, beside the same of `numpy.memmap`.
* Random batches of 64 entries of 64 KiB, packed into shards or each a file, beside sorted `pread`s of the same bytes
  and beside reading the mapped entries one by one.  Cold: the files are dropped from the page cache.
* Building from files of 16 KiB and of 2 MiB, beside the loop, which also waits until all is on the disk.

The clock is that on the wall.  ``--quick`` takes a fraction of the data, to see that all runs.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
from timing import Row, against, main, ratio

from streamflow.sources import MemmapStore, MemmapWriter, build_memmap_store

QUICK = "--quick" in sys.argv
BATCH, ENTRIES, SHAPE = 64, 1024 if QUICK else 8192, (128, 128)  # 64 KiB of float32
ROUNDS = 3 if QUICK else 7


def seconds(run: Callable[[], object]) -> float:
    start = perf_counter()
    run()
    return perf_counter() - start


def inner_axis(folder: Path) -> list[Row]:
    array = np.random.default_rng(0).random((2000, 500, 16), np.float32)  # 64 MB
    with MemmapWriter(folder) as out:
        out.append(array)
    store = MemmapStore(folder)
    plain = np.load(folder / store._about(0).file, mmap_mode="r")
    contenders: dict[str, Callable[[], object]] = {
        "numpy.memmap": lambda: np.array(plain[:, 5:105, 3:5]),
        "streamflow": lambda: np.array(store[0, :, 5:105, 3:5]),
    }
    times: dict[str, list[float]] = {}
    for _ in range(30):
        for name, run in contenders.items():
            times.setdefault(name, []).append(seconds(run))
    return against("a slice of inner axes of an entry", times, "numpy.memmap", 1.25)


def order(seed: int) -> Iterator[list[int]]:
    places = np.random.default_rng(seed).permutation(ENTRIES)
    for first in range(0, ENTRIES, BATCH):
        yield places[first : first + BATCH].tolist()


def sorted_preads(store: MemmapStore, seed: int) -> Iterator[np.ndarray]:
    for places in order(seed):
        batch = np.empty((len(places), *SHAPE), np.float32)
        entries = sorted([store._about(place) for place in places], key=lambda entry: (entry.file, entry.begin))
        for row, entry in zip(batch, entries, strict=True):
            file = os.open(f"{store.path}/{entry.file}", os.O_RDONLY)
            os.preadv(file, [row], entry.begin)
            os.close(file)
        yield batch


def one_by_one(store: MemmapStore, seed: int) -> Iterator[np.ndarray]:
    for places in order(seed):
        yield np.stack([store[place] for place in places])


def ours(store: MemmapStore, seed: int) -> Iterator[np.ndarray]:
    return store.batches(BATCH, shuffle=True, random_state=seed)()


def forget(store: MemmapStore) -> None:
    for path in Path(store.path).rglob("*.*"):
        file = os.open(path, os.O_RDONLY)
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(file)


def seconds_each(batches: Iterator[np.ndarray], n_batches: int) -> float:
    start = perf_counter()
    for batch in islice(batches, n_batches):
        batch[:, 0].sum()
    return (perf_counter() - start) / n_batches


def random_batches(folder: Path, shard_bytes: int | None) -> list[Row]:
    rng = np.random.default_rng(0)
    with MemmapWriter(folder, shard_bytes=shard_bytes) as out:
        out.extend(rng.random(SHAPE, np.float32) for _ in range(ENTRIES))
    os.sync()
    contenders = {"sorted pread": sorted_preads, "one by one": one_by_one, "streamflow": ours}
    times: dict[str, dict[str, list[float]]] = {"cold": {}, "warm": {}}
    for turn in range(2 * ROUNDS):
        for name, make in contenders.items():
            store, state = MemmapStore(folder), "warm" if turn % 2 else "cold"
            if state == "cold":
                forget(store)
            times[state].setdefault(name, []).append(seconds_each(make(store, turn), min(32, ENTRIES // BATCH)))
            store.close()
    what = f"batches of 64 entries of 64 KiB, {'each a file' if shard_bytes is None else 'in shards'}"
    slower = ratio(times["cold"], "one by one", "streamflow")
    return [
        *against(f"{what}, warm", times["warm"], "sorted pread", None),
        *against(f"{what}, cold", times["cold"], "sorted pread", None),
        Row(f"{what}, cold: faster than one by one", slower, at_least=True),
    ]


def copied(root: Path, target: Path) -> None:
    target.mkdir()
    for number, path in enumerate(sorted(root.iterdir())):
        with (target / f"{number}.npy").open("wb") as file:
            np.save(file, np.load(path))
            os.fsync(file.fileno())


def building(folder: Path, n_files: int, shape: tuple[int, ...]) -> list[Row]:
    root, target = folder / "root", folder / "target"
    root.mkdir(parents=True)
    for number in range(n_files):
        np.save(root / f"{number:05d}.npy", np.random.default_rng(number).random(shape, np.float32))
    megabytes = n_files * int(np.prod(shape)) * 4 / 1e6
    contenders = {"a loop": copied}
    for n_workers in (1, 2):
        contenders[f"n_workers={n_workers}"] = partial(build_memmap_store, load=np.load, n_workers=n_workers)
    contenders["shards"] = partial(build_memmap_store, load=np.load, shard_bytes=1 << 24)
    times: dict[str, list[float]] = {}
    for turn in range(ROUNDS):
        for name, build in contenders.items():
            took = seconds(lambda build=build: build(root, target))
            shutil.rmtree(target)
            if turn:  # the first starts the workers
                times.setdefault(name, []).append(took)
    loop = megabytes / median(times["a loop"])
    return [
        Row(
            f"building from {n_files} files of {megabytes / n_files:.2g} MB / a loop, {name}",
            ratio(times, name, "a loop"),
            note=f"{megabytes / median(times[name]):.0f} MB/s, the loop {loop:.0f} MB/s",
        )
        for name in list(contenders)[1:]
    ]


def measure() -> list[Row]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        part = 8 if QUICK else 1
        rows = [
            *inner_axis(folder / "inner"),
            *random_batches(folder / "shards", 1 << 26),
            *random_batches(folder / "files", None),
            *building(folder / "small", 2000 // part, (64, 64)),
            *building(folder / "large", 200 // part, (1024, 512)),
        ]
    # what joblib keeps is of no use any more
    from joblib.externals.loky import get_reusable_executor

    get_reusable_executor().shutdown(wait=True)
    return rows


if __name__ == "__main__":
    main(measure)
