"""Whether a data file of LMDB has all the pages that its databases consist of.

LMDB does not write pages at the end that nothing refers to, so a sound file may be shorter than its number of pages
says, just like a truncated one; and reading a page that is not there kills the process.  So if a file is too short,
this walks its trees without LMDB.

A page begins with a header of 16 bytes: 2 at offset 10 are flags, 2 at offset 12 the end of the list that follows, with
the offset of each node in 2 bytes.  A node is the two halves of a number (2 + 2), flags (2), the size of its key (2),
the key, and data.  In a branch the number is that of the page below, with the flags as its highest part.  In a leaf it
is the size of the data; long data are replaced by the number of their first page, and the data of a database are 48
bytes with its root at the end.  Pages 0 and 1 describe in turn the states that the last transactions left.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from pathlib import Path

__all__ = ["has_all_pages"]

_HEAD, _NODE, _NUMBER = struct.Struct("=10xHH2x"), struct.Struct("=HHHH"), struct.Struct("=Q")
_BRANCH, _LEAF = 1, 2  # flags of pages
_LONG, _DATA_BASE = 1, 2  # flags of nodes in leaves
_NONE = 2**64 - 1  # the root of an empty database
_ROOTS, _TRANSACTION = (80, 128), 144  # in pages 0 and 1


def has_all_pages(path: Path, page_size: int, transaction: int) -> bool:
    """Whether a file has all pages that are reachable in the state that a transaction left.

    Parameters
    ----------
    path : Path
    page_size : int
        In bytes.
    transaction : int
        Its number.  The caller must be reading that state, so that its pages are not used again.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            about = page_size * (transaction % 2)
            if _number(data, about + _TRANSACTION) != transaction:
                return False
            waiting, most = [_number(data, about + root) for root in _ROOTS], len(data) // page_size
            while waiting:
                page = waiting.pop()
                if page == _NONE:
                    continue
                most -= 1
                if (page + 1) * page_size > len(data) or most < 0:
                    return False
                for below, size in _below(data, page * page_size):
                    if not size:
                        waiting.append(below)
                    elif (below - (-size // page_size)) * page_size > len(data):
                        return False
        except (struct.error, ValueError):  # not a page
            return False
    return True


def _below(data: mmap.mmap, at: int) -> Iterator[tuple[int, int]]:
    """What a page refers to: pages (with size 0), and the first pages of long values with their sizes in bytes."""
    kind, end = _HEAD.unpack_from(data, at)
    if not kind & (_BRANCH | _LEAF):
        raise ValueError("neither a branch nor a leaf")
    for (place,) in struct.iter_unpack("=H", data[at + _HEAD.size : at + end]):
        low, high, flags, key = _NODE.unpack_from(data, at + place)
        inside = at + place + _NODE.size + key
        if kind & _BRANCH:
            yield low | high << 16 | flags << 32, 0
        elif flags & _LONG:
            yield _number(data, inside), _HEAD.size + (low | high << 16)
        elif flags & _DATA_BASE:
            yield _number(data, inside + 40), 0


def _number(data: mmap.mmap, at: int) -> int:
    found: int = _NUMBER.unpack_from(data, at)[0]
    return found
