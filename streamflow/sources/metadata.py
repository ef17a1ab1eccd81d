"""`Metadata`: text by text about a whole store, as its writer changes it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping

from ..exceptions import require

__all__ = ["Metadata"]


class Metadata(MutableMapping[str, str]):
    """Text by text, and what has been changed.

    Parameters
    ----------
    known : mapping of str
        What the store has.

    Attributes
    ----------
    changes : list of (str, str or None)
        What has been set since, in order; None: deleted.  Whoever has written it removes it from here.

    Examples
    --------
    >>> metadata = Metadata({"made": "2025", "by": "us"})
    >>> metadata["made"] = "2026"
    >>> del metadata["by"]
    >>> metadata, metadata.changes
    ({'made': '2026'}, [('made', '2026'), ('by', None)])
    """

    def __init__(self, known: Mapping[str, str]) -> None:
        self._known = dict(known)
        self.changes: list[tuple[str, str | None]] = []

    def __getitem__(self, key: str) -> str:
        return self._known[key]

    def __setitem__(self, key: str, text: str) -> None:
        require(isinstance(key, str), "metadata", "text by text", key)
        require(isinstance(text, str), f"metadata[{key!r}]", "text", text)
        self._known[key] = text
        self.changes.append((key, text))

    def __delitem__(self, key: str) -> None:
        del self._known[key]
        self.changes.append((key, None))

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)

    def __repr__(self) -> str:
        return repr(self._known)
