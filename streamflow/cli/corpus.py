"""A corpus: a folder with one folder per class, which hold the samples in array files.

Only the heads of the files are read here, and no folder of a user's is ever written to.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .arrays import SUFFIXES, ArrayFile, CorpusError, header

__all__ = ["EVERY", "Corpus", "HeldOut", "Part", "held_out", "kept_places", "read_corpus"]

#: Of a user's corpus, each fifth sample of a file is held out.
EVERY = 5
_MOST_HELD_OUT = 2000  #: samples of the whole corpus, so that they fit into memory
_FORM = "it must hold one folder per class, with .npy or .npz files in each"


class Part(NamedTuple):
    """A file of a class."""

    path: str
    size: int  #: samples in it


@dataclass(frozen=True)
class Corpus:
    """What was found in a folder.

    Attributes
    ----------
    root : Path
    classes : dict from name to Parts
        In the order of their names, which numbers the classes.
    every : int
        Each so-many-th sample of a file is held out; 0: none.
    """

    root: Path
    classes: dict[str, list[Part]]
    every: int

    def size(self, name: str) -> int:
        """How many samples a class has for training."""
        return sum(kept_places(part.size, self.every).size for part in self.classes[name])

    @property
    def n_files(self) -> int:
        """How many files there are."""
        return sum(map(len, self.classes.values()))


class HeldOut(NamedTuple):
    """Samples that the tree never gives."""

    x: NDArray[Any]
    y: NDArray[Any]


def kept_places(size: int, every: int) -> NDArray[np.intp]:
    """Which samples of a file are for training.

    >>> kept_places(6, every=3).tolist()
    [0, 1, 3, 4]
    """
    places = np.arange(size)
    return places[places % every != every - 1] if every else places


def read_corpus(root: Path, every: int = EVERY) -> Corpus:
    """Look through a folder.

    Raises
    ------
    CorpusError
        If it cannot be read, is not as it must be, or holds files that do not go together.
    """
    folders = _class_folders(root)
    classes: dict[str, list[Part]] = {}
    first: tuple[Path, tuple[int, ...], np.dtype[Any]] | None = None
    for folder in folders:
        parts = classes[folder.name] = []
        for path in _array_files(folder):
            shape, dtype = header(path)
            if first is None:
                first = path, shape, dtype
            _must_match(path, shape, dtype, first)
            parts.append(Part(str(path), shape[0]))
    corpus = Corpus(root, classes, every)
    for name in classes:
        if not corpus.size(name):
            raise CorpusError(f"{root / name}: the files of this class hold no samples")
    return corpus


def _class_folders(root: Path) -> list[Path]:
    inside = _listed(root)
    folders = [path for path in inside if path.is_dir()]
    if not folders:
        loose = any(path.suffix.lower() in SUFFIXES for path in inside)
        found = (
            "holds array files, but no class folders" if loose else "holds no class folders" if inside else "is empty"
        )
        raise CorpusError(f"{root}: the folder {found}; {_FORM}")
    if len(folders) == 1:
        raise CorpusError(f"{root}: there is only one class, {folders[0].name!r}; a classifier needs at least two")
    return folders


def _array_files(folder: Path) -> list[Path]:
    paths = [path for path in _listed(folder) if path.suffix.lower() in SUFFIXES]
    if not paths:
        raise CorpusError(f"{folder}: there is no .npy or .npz file in this class folder")
    return paths


def _listed(folder: Path) -> list[Path]:
    """What is in a folder, by name; hidden things apart."""
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except FileNotFoundError:
        raise CorpusError(f"{folder}: there is no such folder") from None
    except NotADirectoryError:
        raise CorpusError(f"{folder}: this is not a folder") from None
    except OSError as error:
        raise CorpusError(f"{folder}: the folder cannot be read: {error.strerror}") from None


def _must_match(
    path: Path, shape: tuple[int, ...], dtype: np.dtype[Any], first: tuple[Path, tuple[int, ...], np.dtype[Any]]
) -> None:
    other, first_shape, first_dtype = first
    if shape[1:] != first_shape[1:]:
        raise CorpusError(f"{path}: its samples have shape {shape[1:]}, those of {other} have {first_shape[1:]}")
    if dtype != first_dtype:
        raise CorpusError(f"{path}: its samples are {dtype}, those of {other} are {first_dtype}")


def held_out(corpus: Corpus) -> HeldOut:
    """Read the samples that are not for training; of a large corpus the first ones of each class.

    Raises
    ------
    CorpusError
        If there are none, or a file cannot be read.
    """
    most = max(1, _MOST_HELD_OUT // len(corpus.classes))
    x: list[NDArray[Any]] = []
    y: list[int] = []
    for label, parts in enumerate(corpus.classes.values()):
        left = most
        for part in parts:
            places = range(corpus.every - 1, part.size, corpus.every)[:left]
            if places:
                file = ArrayFile(part.path)
                x += [file.features(place) for place in places]
                file.close()
            left -= len(places)
        y += [label] * (most - left)
    if not y:
        raise CorpusError(
            f"{corpus.root}: nothing can be held out to test on; one file at least must have {corpus.every} samples"
        )
    return HeldOut(np.stack(x), np.array(y))
