"""Which bytes of a segment are free.  Imports nothing of streamflow; `shm_channel` uses it.

Blocks come in size classes, an eighth apart.  A block that was given back serves the next of its class, the last one
first: it is the one that is still in the processor's cache, and memory that has never been touched costs eight times as
much as a copy.  Only when the heap would grow past its mark are free blocks merged and cut anew.
"""

from __future__ import annotations

__all__ = ["ALIGN", "Heap"]

ALIGN = 64


class Heap:
    """Blocks of an address range.

    Parameters
    ----------
    start, end : int
        The range; both multiples of `ALIGN`.
    mark : int
        Where merging is tried before the heap grows further.

    Examples
    --------
    >>> heap = Heap(0, 1 << 20, 1 << 19)
    >>> Heap.rounded(100), Heap.rounded(5000)
    (128, 5120)
    >>> one, two = heap.take(128), heap.take(5120)
    >>> heap.free(5120).append(two)
    >>> heap.take(5120) == two
    True
    """

    def __init__(self, start: int, end: int, mark: int) -> None:
        self._top, self._end, self._mark = start, end, mark
        self._free: dict[int, list[int]] = {}  # by size class
        self._extents: list[tuple[int, int]] = []  # offset and length of what merging has made

    @staticmethod
    def rounded(size: int) -> int:
        """The size class of so many bytes."""
        step = 1 << (size.bit_length() - 4) if size >= ALIGN << 3 else ALIGN
        return (size + step - 1) & -step

    def free(self, size: int) -> list[int]:
        """The free blocks of a size class: always the same list, to which a block is given back by appending it."""
        same = self._free.get(size)
        if same is None:
            same = self._free[size] = []
        return same

    def take(self, size: int) -> int:
        """The offset of a block of a size class; raises `MemoryError` where there is none."""
        same = self.free(size)
        if same:
            return same.pop()
        if self._top + size > self._mark:
            found = self._cut(size)
            if found is None:
                self._merge()
                found = self._cut(size)
            if found is not None:
                return found
        if self._top + size > self._end:
            raise MemoryError(f"{size} bytes do not fit into what is left of the segment")
        self._top += size
        return self._top - size

    def _cut(self, size: int) -> int | None:
        """Cut a block from the first extent that is large enough."""
        for place, (offset, length) in enumerate(self._extents):
            if length >= size:
                if length == size:
                    del self._extents[place]
                else:
                    self._extents[place] = (offset + size, length - size)
                return offset
        return None

    def _merge(self) -> None:
        """Make extents of all that is free."""
        free = [(offset, length) for length, offsets in self._free.items() for offset in offsets]
        for same in self._free.values():
            same.clear()
        extents: list[tuple[int, int]] = []
        for offset, length in sorted(free + self._extents):
            if extents and sum(extents[-1]) == offset:
                extents[-1] = (extents[-1][0], extents[-1][1] + length)
            else:
                extents.append((offset, length))
        if extents and sum(extents[-1]) == self._top:
            self._top = extents.pop()[0]
        self._extents = extents
