"""More LMDB stores than a process may have open: few are, and all can be used."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from streamflow.sources import LMDBStore, LMDBWriter
from streamflow.sources.lmdb import environment as lmdb_environment
from streamflow.sources.lmdb import lease


@pytest.fixture
def few(monkeypatch):
    """Few environments may be open; gives how many are."""
    monkeypatch.setattr(lmdb_environment, "_MOST", 3)
    return lambda: sum(environment._env is not None for environment in lease._registry.environments.values())


def many(tmp_path, length):
    paths = [tmp_path / str(k) for k in range(length)]
    for k, path in enumerate(paths):
        with LMDBWriter(path) as db:
            db.extend(np.arange(2) + 10 * k)
    return paths


def test_few_of_many_stores_are_open_and_all_are_read(tmp_path, few):
    stores = [LMDBStore(path) for path in many(tmp_path, 12)]
    for _ in range(2):
        for k, store in enumerate(stores):
            assert store.read([0, 1]).tolist() == [10 * k, 10 * k + 1]
            assert few() == 3
    again = [pickle.loads(pickle.dumps(store)) for store in stores]
    assert [int(store[1]) for store in again] == [10 * k + 1 for k in range(12)]
    assert few() == 3


def test_few_of_many_writers_are_open_and_all_write(tmp_path, few):
    paths = many(tmp_path, 8)
    writers = [LMDBWriter(path) for path in paths]
    for k in range(3):
        for writer in writers:
            writer.append(k)
            writer.flush()
            assert few() == 3
    for writer in writers:
        writer.close()
    assert [[int(one) for one in LMDBStore(path)][2:] for path in paths] == [[0, 1, 2]] * 8


@pytest.mark.timeout(60)
def test_threads_read_more_stores_than_are_open(tmp_path, few):
    stores = [LMDBStore(path) for path in many(tmp_path, 8)]

    def read(first):
        return [int(stores[(first * 3 + k) % 8][1]) for k in range(200)]

    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(read, range(6)))
    assert results == [[10 * ((first * 3 + k) % 8) + 1 for k in range(200)] for first in range(6)]
    stores[0].read([0])
    assert few() <= 3 + 6
