"""One array file of a corpus, .npy or .npz: what is in it, and opening it so that openings are counted.

A .npy file is mapped into memory and only the samples that are asked for are read.  The array of an .npz file is read
when it is opened.  Whatever is wrong with a file becomes a `CorpusError` of one line that names it.
"""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from ..exceptions import StreamflowError

__all__ = ["SUFFIXES", "ArrayFile", "CorpusError", "Journal", "header"]

SUFFIXES = (".npy", ".npz")
_KEY = "X"  #: the array of an .npz file that is read if there are several


class CorpusError(StreamflowError):
    """A corpus cannot be used; the text is one line and names the file or folder."""


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turn the many ways in which a file can be broken into one."""
    try:
        yield
    except (OSError, ValueError, EOFError, KeyError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        why = (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
        raise CorpusError(f"{path}: cannot be read as an array: {' '.join(str(why).split())}") from None


def header(path: Path) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and dtype of the array in a file, from its first bytes.

    Raises
    ------
    CorpusError
        If it cannot be read, is cut short, or does not hold samples of numbers along axis 0.
    """
    with _told(path):
        if path.suffix.lower() == ".npz":
            with zipfile.ZipFile(path) as archive, archive.open(f"{_member(archive)}.npy") as file:
                shape, dtype, _ = _read_header(file)
        else:
            with path.open("rb") as file:
                shape, dtype, size = _read_header(file)
            if path.stat().st_size < size:
                raise ValueError(f"it is cut short: {path.stat().st_size:,} of {size:,} bytes are there")
    if dtype.kind not in "biuf":
        raise CorpusError(f"{path}: samples must be real numbers, its dtype is {dtype}")
    if not shape:
        raise CorpusError(f"{path}: samples must lie along axis 0, it holds a single number")
    return shape, dtype


def _member(archive: zipfile.ZipFile) -> str:
    names = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
    if not names:
        raise ValueError("there is no array in it")
    return _KEY if _KEY in names else names[0]


def _read_header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any], int]:
    """Shape, dtype and the number of bytes that the file must have."""
    version = npy.read_magic(file)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read(file)
    return shape, dtype, file.tell() + dtype.itemsize * math.prod(shape)


class Journal:
    """A file to which every process that opens or closes an array file appends one byte.

    So the largest number of files open at once is counted, not computed from the parameters of the tree, and it is
    counted over all processes: a short append to a file is atomic.

    Parameters
    ----------
    path : str
    """

    def __init__(self, path: str) -> None:
        self.path = path

    def note(self, sign: bytes) -> None:
        """Append ``b"+"`` for an opening, ``b"-"`` for a closing."""
        with open(self.path, "ab", buffering=0) as file:  # noqa: PTH123 - quicker than a Path, and this runs often
            file.write(sign)

    def signs(self) -> bytes:
        """All that has been noted."""
        path = Path(self.path)
        return path.read_bytes() if path.exists() else b""

    def open_now(self) -> int:
        """How many files are open."""
        signs = self.signs()
        return signs.count(b"+") - signs.count(b"-")

    def peaks(self, place: int) -> tuple[int, int]:
        """The largest number of files open at once, up to note number `place` and after it."""
        steps = np.where(np.frombuffer(self.signs(), np.uint8) == ord("+"), 1, -1)
        open_then = np.cumsum(steps)
        return int(open_then[:place].max(initial=0)), int(open_then[place:].max(initial=0))


class ArrayFile:
    """An open array file: samples along axis 0, until `close`.

    Parameters
    ----------
    path : str
    journal : Journal, optional
        Where opening and closing are noted.
    """

    def __init__(self, path: str, journal: Journal | None = None) -> None:
        self.path, self._journal = path, journal
        with _told(Path(path)):
            if path.lower().endswith(".npz"):
                with np.load(path, allow_pickle=False) as archive:
                    self._array: NDArray[Any] | None = archive[_KEY if _KEY in archive.files else archive.files[0]]
            else:
                self._array = np.load(path, mmap_mode="r", allow_pickle=False)
        if journal is not None:
            journal.note(b"+")

    def __len__(self) -> int:
        assert self._array is not None
        return len(self._array)

    def features(self, place: int) -> NDArray[np.float64]:
        """Sample number `place`, flattened; a copy, so that it does not keep the file mapped."""
        assert self._array is not None
        with _told(Path(self.path)):
            values = np.array(self._array[place], np.float64).ravel()
        if not np.isfinite(values).all():
            raise CorpusError(f"{self.path}: sample {place} holds NaN or infinite values")
        return values

    def close(self) -> None:
        """Close the file: nothing else refers to the array, so it is unmapped here."""
        if self._array is not None:
            self._array = None
            if self._journal is not None:
                self._journal.note(b"-")
