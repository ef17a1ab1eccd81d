"""Which bytes of a shared memory segment are free.  Imports nothing from streamflow; `shm` uses it.

Blocks come in size classes, each an eighth larger than the one before.  A freed block serves the next request of its
class, the last one freed first: it is probably still in the processor's cache, and touching fresh pages costs eight
times as much as a copy.  Free blocks are merged and cut anew only when the heap would otherwise grow past a limit.
"""

from __future__ import annotations

__all__ = ["ALIGN", "Heap"]

ALIGN = 64


class Heap:
    """Allocates blocks of an address range; holds only their addresses, not the memory.

    Parameters
    ----------
    start, end : int
        The range in bytes, `end` excluded; both are multiples of `ALIGN`.
    merge_above : int
        The heap merges its free blocks before it grows past this address.

    Examples
    --------
    >>> heap = Heap(0, 1 << 20, 1 << 19)
    >>> Heap.size_class(100), Heap.size_class(5000)
    (128, 5120)
    >>> one, two = heap.allocate(128), heap.allocate(5120)
    >>> heap.free_blocks(5120).append(two)
    >>> heap.allocate(5120) == two
    True
    """

    def __init__(self, start: int, end: int, merge_above: int) -> None:
        self._top, self._end, self._merge_above = start, end, merge_above
        self._free: dict[int, list[int]] = {}  # offsets by size class
        self._extents: list[tuple[int, int]] = []  # (offset, length) of merged free memory

    @staticmethod
    def size_class(size: int) -> int:
        """The size class of a number of bytes: the size of the smallest block that holds them."""
        step = 1 << (size.bit_length() - 4) if size >= ALIGN << 3 else ALIGN
        return (size + step - 1) & -step

    def free_blocks(self, size: int) -> list[int]:
        """The free blocks of a size class, always as the same list; to free a block, append its offset."""
        same = self._free.get(size)
        if same is None:
            same = self._free[size] = []
        return same

    def allocate(self, size: int) -> int:
        """Allocate a block of a size class and return its offset; raises `MemoryError` if it does not fit."""
        same = self.free_blocks(size)
        if same:
            return same.pop()
        if self._top + size > self._merge_above:
            found = self._cut(size)
            if found is None:
                self._merge()
                found = self._cut(size)
            if found is not None:
                return found
        if self._top + size > self._end:
            raise MemoryError(f"{size} bytes do not fit into the rest of the segment")
        self._top += size
        return self._top - size

    def _cut(self, size: int) -> int | None:
        """Cut a block from the first extent that is large enough."""
        for index, (offset, length) in enumerate(self._extents):
            if length >= size:
                if length == size:
                    del self._extents[index]
                else:
                    self._extents[index] = (offset + size, length - size)
                return offset
        return None

    def _merge(self) -> None:
        """Turn all free blocks into extents, joining neighbours."""
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
