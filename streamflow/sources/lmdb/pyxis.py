"""Stores that ml-pyxis has written, which are read and never written to.

A database ``data_db`` holds each sample under its number in ten decimal digits: a mapping of names to values, encoded
with msgpack, in which each value is encoded once more.  ``meta_db`` holds strings, among them the number of samples.
An array is a mapping with ``type`` (2; text is 1), ``dtype``, ``shape`` and ``data``, or, from the variants that use
msgpack-numpy, with ``nd``, ``type``, ``kind``, ``shape`` and ``data``.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.validate import missing
from ...exceptions import DataError
from ..reading.form import picked, transposed

__all__ = ["DATA_BASE", "META_BASE", "PyxisSamples"]

DATA_BASE, META_BASE = b"data_db", b"meta_db"
_COUNT = "nb_samples"
_TEXT, _ARRAY = 1, 2


def _decoded(encoded: Any) -> Any:
    """Decode msgpack, with all text and bytes as bytes."""
    try:
        import msgpack
    except ImportError:
        raise missing("LMDBStore, for a store of ml-pyxis,", "msgpack", "lmdb") from None
    try:
        return msgpack.unpackb(encoded, raw=True, strict_map_key=False)
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise DataError(f"a sample is damaged: {error}") from None


class PyxisSamples:
    """Decodes the samples of a store of ml-pyxis.

    Parameters
    ----------
    transaction, bases
        Of LMDB; used only to look up the number of samples and the metadata.

    Notes
    -----
    ml-pyxis writes the number of samples separately, so that it may be missing, too large, or 0 beside samples; then
    the samples are counted.
    """

    def __init__(self, transaction: Any, bases: dict[bytes, Any]) -> None:
        texts = {bytes(key): bytes(text) for key, text in transaction.cursor(bases[META_BASE])}
        self.metadata = {key.decode("utf-8", "replace"): text.decode("utf-8", "replace") for key, text in texts.items()}
        noted, n_records = self.metadata.pop(_COUNT, ""), int(transaction.stat(bases[DATA_BASE])["entries"])
        count = int(noted) if noted.isdecimal() else 0
        self.length = count if 0 < count <= n_records else n_records

    def keys(self) -> tuple[Any, ...]:
        """Unknown until a sample is read: a store of ml-pyxis has no header."""
        return ()

    def one(self, record: Any, keys: Any) -> Any:
        """A sample, or what `keys` selects of it."""
        sample = _decoded(record)
        if not isinstance(sample, dict):
            raise DataError("a sample is damaged: expected a mapping of names to values")
        by_name = {_text(name): value for name, value in sample.items()}
        if keys is None:
            return {name: _value(value) for name, value in by_name.items()}
        try:
            chosen = picked(by_name, keys)
        except KeyError as error:
            raise DataError(f"a sample has no {error}, it has {', '.join(map(repr, by_name))}") from None
        return tuple(map(_value, chosen)) if isinstance(keys, tuple) else _value(chosen)

    def many(self, records: list[Any], keys: Any) -> Any:
        """Many samples, with a list of values in each place."""
        return transposed([self.one(record, keys) for record in records])


def _text(name: Any) -> str:
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)


def _value(encoded: Any) -> Any:
    """A value of a sample."""
    value = _decoded(encoded) if isinstance(encoded, bytes) else encoded
    if isinstance(value, bytes):
        return _text(value)
    if not isinstance(value, dict):
        return value
    try:
        if value.get(b"type") == _TEXT and b"nd" not in value:
            return _text(value[b"data"])
        if value.get(b"complex") is True:
            return np.complex128(complex(_text(value[b"data"])))
        if b"nd" in value or value.get(b"type") == _ARRAY:
            return _array(value)
    except (KeyError, TypeError, ValueError, SyntaxError) as error:
        raise DataError(f"a sample is damaged: it holds no valid array ({error!r})") from None
    return {_text(name): _value(inside) for name, inside in value.items()}


def _array(described: dict[bytes, Any]) -> Any:
    """A copy of an array, or a scalar."""
    if described.get(b"kind") == b"O":
        raise DataError("a sample holds pickled Python objects, which are not read: they can run code")
    dtype = _dtype(described[b"type"] if b"nd" in described else described[b"dtype"])
    data, shape = described[b"data"], tuple(described.get(b"shape", ()))
    if dtype.hasobject or len(data) != math.prod(shape) * dtype.itemsize:
        raise DataError(f"a sample is damaged: {len(data)} bytes for {dtype} of shape {shape}")
    array: NDArray[Any] = np.ndarray(shape, dtype, bytearray(data))
    return array if shape else array[()]


def _dtype(described: Any) -> np.dtype[Any]:
    if isinstance(described, bytes):
        return np.dtype(described.decode())
    return np.dtype([(_text(name), _dtype(inside), *map(tuple, shape)) for name, inside, *shape in described])
