"""`Metadata`: the metadata of a whole store, which its writer can change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping

from ..core.validate import require
from ..exceptions import StreamflowError

__all__ = ["Metadata"]


class Metadata(MutableMapping[str, str]):
    """A mapping of str to str that can log its changes.

    Parameters
    ----------
    known : mapping of str to str
        What the store holds.
    log : bool
        Whether to log changes.

    Attributes
    ----------
    changes : list of (str, str or None)
        With `log`, the keys and values that have been set, in order; None: deleted.  The store removes those that it
        has written.

    Examples
    --------
    >>> metadata = Metadata({"made": "2025", "by": "us"}, log=True)
    >>> metadata["made"] = "2026"
    >>> del metadata["by"]
    >>> metadata, metadata.changes
    ({'made': '2026'}, [('made', '2026'), ('by', None)])
    """

    def __init__(self, known: Mapping[str, str], log: bool = False) -> None:
        self._known, self._log, self._ended = dict(known), log, False
        self.changes: list[tuple[str, str | None]] = []

    def __getitem__(self, key: str) -> str:
        return self._known[key]

    def __setitem__(self, key: str, text: str) -> None:
        self._check()
        require(isinstance(key, str), "metadata", "a mapping of str to str", key)
        require(isinstance(text, str), f"metadata[{key!r}]", "a str", text)
        self._known[key] = text
        self._note(key, text)

    def __delitem__(self, key: str) -> None:
        self._check()
        del self._known[key]
        self._note(key, None)

    def _note(self, key: str, text: str | None) -> None:
        if self._log:
            self.changes.append((key, text))

    def end(self) -> None:
        """Refuse changes from now on, because they would not be written."""
        self._ended = True

    def _check(self) -> None:
        if self._ended:
            raise StreamflowError("the writer is closed and its metadata are read-only; open another writer")

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)

    def __repr__(self) -> str:
        return repr(self._known)
