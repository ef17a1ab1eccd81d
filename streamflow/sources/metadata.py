"""Metadata: strings about a whole store, and what JSON can hold about an entry of a memmap store."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

import numpy as np

from ..core.label import short
from ..core.validate import require
from ..exceptions import ParameterError, StreamflowError

__all__ = ["Metadata", "checked_strings", "entry_metadata"]


class Metadata(MutableMapping[str, str]):
    """Strings by name, and what has changed among them.

    Parameters
    ----------
    known : mapping of str
        What the store has.
    log : bool
        Whether changes are kept one by one.

    Attributes
    ----------
    changes : list of (str, str or None)
        With `log`, the changes that have not been written yet, in order; None: deleted.  Code that writes a change
        removes it from the list.

    Examples
    --------
    >>> metadata = Metadata({"made": "2025", "by": "us"}, log=True)
    >>> metadata["made"] = "2026"
    >>> del metadata["by"]
    >>> metadata, metadata.changes
    ({'made': '2026'}, [('made', '2026'), ('by', None)])
    """

    def __init__(self, known: Mapping[str, str], log: bool = False) -> None:
        self._known, self._log, self._closed = dict(known), log, False
        self.changes: list[tuple[str, str | None]] = []

    def __getitem__(self, key: str) -> str:
        return self._known[key]

    def __setitem__(self, key: str, text: str) -> None:
        self._check_open()
        require(isinstance(key, str), "metadata", "a mapping with str keys", key)
        require(isinstance(text, str), f"metadata[{key!r}]", "a str", text)
        self._known[key] = text
        self._note(key, text)

    def __delitem__(self, key: str) -> None:
        self._check_open()
        del self._known[key]
        self._note(key, None)

    def _note(self, key: str, text: str | None) -> None:
        if self._log:
            self.changes.append((key, text))

    def close(self) -> None:
        """Refuse further changes, which would not be written."""
        self._closed = True

    def _check_open(self) -> None:
        if self._closed:
            raise StreamflowError("the writer is closed, so its metadata can no longer be changed; open another writer")

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)

    def __repr__(self) -> str:
        return repr(self._known)


def checked_strings(metadata: Any) -> dict[str, str]:
    """The metadata that a store's file holds; raises ValueError unless they are strings by name."""
    if not all(isinstance(text, str) for item in metadata.items() for text in item):
        raise ValueError("keys and values of its metadata must be str")
    strings: dict[str, str] = metadata
    return strings


def entry_metadata(metadata: Any) -> dict[str, Any]:
    """A copy of an entry's metadata in the plain types of JSON.

    >>> entry_metadata({"speaker": np.int64(3), "at": (0.5, 2)})
    {'speaker': 3, 'at': [0.5, 2]}
    """
    if metadata is None:
        return {}
    require(isinstance(metadata, Mapping), "metadata", "a mapping", metadata)
    try:
        plain: dict[str, Any] = _plain(metadata, "metadata")
        json.dumps(plain)
    except ParameterError:
        raise
    except (RecursionError, ValueError) as error:  # nested too deeply, or an integer with too many digits
        raise ParameterError(f"`metadata` must be what JSON can hold, got {short(metadata)}: {error}") from None
    return plain


def _plain(value: Any, name: str) -> Any:
    if isinstance(value, (np.generic, np.ndarray)):
        value = value.tolist()
    if isinstance(value, Mapping):
        for key in value:
            require(isinstance(key, str), name, "a mapping with str keys", key)
        return {str(key): _plain(item, f"{name}[{key!r}]") for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, f"{name}[{place}]") for place, item in enumerate(value)]
    known = value is None or isinstance(value, (str, bool, int, float))
    require(known, name, "a str, a number, None, or lists and mappings of those", value)
    return value
