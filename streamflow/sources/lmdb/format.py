"""The entries of an LMDB store that are about the whole of it: the header and the metadata.

A store has two LMDB databases: ``samples``, with a record for each sample under its key, and ``about``, with the
header (JSON: ``format``, ``generation``, ``count``, ``layout``, and how much of each writer's it holds) and the user's
metadata.  A key is 8 bytes, the most significant first: above `NUMBER_BITS` the generation, which distinguishes the
samples of a store from those that they have replaced, and below it the number of the sample.
"""

from __future__ import annotations

import json
import os
import random
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from operator import index
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ...exceptions import DataError
from ..metadata import checked_strings
from ..stores import check_place
from .codec import RecordLayout
from .environment import ABOUT, DATA, EXPECTED, SAMPLES, library

__all__ = [
    "HEADER",
    "METADATA",
    "empty_store",
    "layout_in",
    "read_header",
    "read_metadata",
    "sample_key",
    "sample_keys",
    "start_over",
]

#: The format that this version writes, and the latest that it reads.
FORMAT = 1
HEADER, METADATA = b"store", b"metadata"
NUMBER_BITS = 40
GENERATIONS = 1 << 23
#: What parsing a damaged entry may raise; not every exception, for the handler of a signal raises others.
_DAMAGED = (ValueError, TypeError, AttributeError, LookupError, ArithmeticError, SyntaxError, RecursionError)


def read_header(transaction: Any, bases: dict[bytes, Any], path: str) -> dict[str, Any]:
    """The header of a store.

    Raises
    ------
    DataError
        If there is none, or if it is damaged or of a newer version.
    """
    entry = transaction.get(HEADER, None, bases[ABOUT]) if ABOUT in bases and SAMPLES in bases else None
    if entry is None:
        raise DataError(f"{path!r} holds another LMDB database, {EXPECTED}")
    with _damage_named(path):
        header: dict[str, Any] = json.loads(bytes(entry))
        written = index(header["format"])
    if written > FORMAT:
        raise DataError(f"{path!r} has format {written}, written by a newer streamflow; this one reads up to {FORMAT}")
    with _damage_named(path):
        count, generation, writers = index(header["count"]), index(header["generation"]), header.get("writers", {})
        if count < 0 or not 0 <= generation < GENERATIONS or type(writers) is not dict or "layout" not in header:
            raise ValueError("its header is inconsistent")
    return header


def layout_in(header: dict[str, Any], path: str) -> RecordLayout | None:
    """The layout that a header describes; None if the store has had no samples."""
    with _damage_named(path):
        return None if header["layout"] is None else RecordLayout.from_json(header["layout"])


def read_metadata(transaction: Any, bases: dict[bytes, Any], path: str) -> dict[str, str]:
    """The user's metadata."""
    entry = transaction.get(METADATA, None, bases[ABOUT])
    with _damage_named(path):
        return {} if entry is None else checked_strings(json.loads(bytes(entry)))


@contextmanager
def _damage_named(path: str) -> Iterator[None]:
    """Turn whatever parsing raises into a `DataError` that names the store."""
    try:
        yield
    except _DAMAGED as error:
        why = " ".join(f"{type(error).__name__}: {error}".split())
        raise DataError(f"{path!r} is damaged ({why}), {EXPECTED}") from None


def sample_key(generation: int, number: int) -> bytes:
    """The key of a sample."""
    return (generation << NUMBER_BITS | number).to_bytes(8, "big")


def sample_keys(generation: int, numbers: NDArray[Any]) -> list[bytes]:
    """The keys of many samples."""
    keys: list[bytes] = ((generation << NUMBER_BITS) + numbers).astype(">u8").view("V8").tolist()
    return keys


# ---------------------------------------------------------------------- making a store
def _new_header() -> bytes:
    """The header of a store without samples."""
    generation = random.SystemRandom().randrange(GENERATIONS)
    return json.dumps({"format": FORMAT, "generation": generation, "count": 0, "layout": None}).encode()


def start_over(transaction: Any, bases: dict[bytes, Any]) -> None:
    """Remove the samples and the metadata of a store."""
    transaction.drop(bases[SAMPLES], delete=False)
    transaction.delete(METADATA, db=bases[ABOUT])
    transaction.put(HEADER, _new_header(), db=bases[ABOUT])


def empty_store(path: str) -> None:
    """Make a store without samples unless there is a store.

    It appears all at once: it is made in a subfolder and linked into its place, where another may have come first.
    """
    lmdb, folder = library(), Path(path)
    if (folder / DATA).exists():
        return
    check_place(folder, "an LMDB store")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".new-", dir=folder) as apart:
            with (
                lmdb.open(apart, map_size=1 << 20, max_dbs=2) as environment,
                environment.begin(write=True) as transaction,
            ):
                environment.open_db(SAMPLES, txn=transaction)
                transaction.put(HEADER, _new_header(), db=environment.open_db(ABOUT, txn=transaction))
            made = Path(apart, DATA)
            try:
                with suppress(FileExistsError):
                    os.link(made, folder / DATA)
            except OSError:  # a file system without links
                made.replace(folder / DATA)
    except (OSError, lmdb.Error) as error:
        raise DataError(f"{path!r} cannot be written to ({error})") from None
