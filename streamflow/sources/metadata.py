"""`Metadata`: text by text about a whole store, as its writer changes it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping

from ..core.validate import require
from ..exceptions import StreamflowError

__all__ = ["Metadata"]


class Metadata(MutableMapping[str, str]):
    """Text by text, and what has been changed.

    Parameters
    ----------
    known : mapping of str
        What the store has.
    log : bool
        Whether changes are kept one by one.

    Attributes
    ----------
    changes : list of (str, str or None)
        With `log`, what has been set since, in order; None: deleted.  Whoever has written it removes it from here.

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
        require(isinstance(key, str), "metadata", "text by text", key)
        require(isinstance(text, str), f"metadata[{key!r}]", "text", text)
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
        """Refuse changes from now on: nobody would write them."""
        self._ended = True

    def _check(self) -> None:
        if self._ended:
            raise StreamflowError("the writer is closed; metadata can only be read now, make another writer")

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)

    def __repr__(self) -> str:
        return repr(self._known)
