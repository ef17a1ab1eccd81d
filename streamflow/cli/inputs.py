"""What `convert` reads: the files of a folder, the kind that they are of, and the functions that decode one.

Worker processes load this file, so it imports nothing that only prints.
"""

from __future__ import annotations

import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from ..core.validate import missing
from ..exceptions import DataError
from ..sources import read_audio, read_image
from ..sources.build.memmap import matching
from ..sources.mmap.npy_files import NpyFile
from .work import UsageError

__all__ = ["KINDS", "Inputs", "Kind", "counted", "find", "reason", "sample"]

_ANY = "*"


def read_array(path: str) -> NDArray[Any]:
    """The array of a ``.npy`` file, or the only one of an archive."""
    if not path.lower().endswith(".npz"):
        return NpyFile(path, allow_pickle=False).array()
    members = read_members(path)
    if len(members) != 1:
        told = ", ".join(map(repr, members))
        raise DataError(f"{path!r} has the arrays {told}, expected one: an LMDB store (--to lmdb) takes many")
    return next(iter(members.values()))


def read_members(path: str) -> dict[str, NDArray[Any]]:
    """All arrays of an archive, compressed or not."""
    try:
        with Path(path).open("rb") as file, NpzFile(file, allow_pickle=False) as archive:
            members = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, RuntimeError, SyntaxError, zipfile.BadZipFile, zlib.error) as error:
        told = " ".join(str(error).split())
        raise DataError(f"{path!r} cannot be read, expected an archive of arrays as NumPy writes it: {told}") from error
    if not members:
        raise DataError(f"{path!r} has no arrays, expected some")
    for name, member in members.items():
        if not isinstance(member, np.ndarray):
            raise DataError(f"{path!r} has a member {name!r} that is no array, expected arrays only")
    return members


def read_picture(path: str) -> NDArray[np.uint8]:
    """The pixels of an image file, if it is one image."""
    pixels = read_image(path)
    from PIL import Image

    with Image.open(path) as image:
        # an MPO file is a photo, and what the camera adds to it
        frames = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
    if frames > 1:
        raise DataError(f"{path!r} has {frames} images, expected one")
    return pixels


def read_signal(path: str) -> tuple[NDArray[Any], dict[str, Any]]:
    """The signal of an audio file, and its sample rate."""
    signal = read_audio(path)
    import soundfile

    return signal, {"rate": int(soundfile.info(path).samplerate)}


class Kind(NamedTuple):
    """Files that are read alike."""

    one: str  #: what one is called
    many: str
    suffixes: tuple[str, ...]
    load: Callable[[str], Any]  #: gives an array, or an array and metadata


KINDS = {
    "array": Kind("array", "arrays", (".npy", ".npz"), read_array),
    "image": Kind(
        "image",
        "images",
        (
            *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".gif", ".tif", ".tiff"),
            *(".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".jp2", ".avif", ".qoi"),
        ),
        read_picture,
    ),
    "audio": Kind(
        "audio file",
        "audio files",
        (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".au", ".caf", ".w64", ".rf64"),
        read_signal,
    ),
}


def sample(path: str, name: str, kind: str) -> dict[str, Any]:
    """What an LMDB store has of a file: its arrays by key, what is known of them, and its name."""
    if kind == "array" and path.lower().endswith(".npz"):
        values: dict[str, Any] = read_members(path)
        if "name" in values:
            raise DataError(f"{path!r} has an array 'name', expected other keys: 'name' is that of the file's name")
    else:
        loaded = KINDS[kind].load(path)
        array, known = loaded if isinstance(loaded, tuple) else (loaded, {})
        values = {"x": array, **known}
    return {**values, "name": name}


def reason(path: str, error: Exception) -> str:
    """Why a file cannot be read, in one line that names it."""
    told = " ".join((str(error) if isinstance(error, DataError) else f"{type(error).__name__}: {error}").split())
    return told if repr(path) in told else f"{path!r} cannot be loaded: {told}"


class Inputs(NamedTuple):
    """The files to convert.

    Attributes
    ----------
    root : Path
    paths : list of Path
        In order.
    kind : str
    patterns : list of str
        What finds them.
    """

    root: Path
    paths: list[Path]
    kind: str
    patterns: list[str]

    def name(self, path: Path) -> str:
        """What a file's entry or sample is called."""
        return path.relative_to(self.root).as_posix()


def find(root: Path, kind: str, patterns: list[str]) -> Inputs:
    """Look through a folder.

    Parameters
    ----------
    root : Path
    kind : str
        Of `KINDS`, or ``"auto"``: what their endings say.
    patterns : list of str
        If there are none: all files that are not hidden and whose endings are of the kind.

    Raises
    ------
    UsageError
        If there are no files, or files of several kinds.
    """
    if not root.is_dir():
        what = "is a file" if root.exists() else "does not exist"
        raise UsageError(f"{str(root)!r} {what}, expected a folder of files to convert")
    paths = _matching(root, patterns or [_ANY])
    if kind == "auto":
        kind = _guessed(root, paths, patterns)
    if not patterns:
        paths = [path for path in paths if path.suffix.lower() in KINDS[kind].suffixes]
        if not paths:
            raise UsageError(f"{str(root)!r} has no {_told(kind)}, expected some")
        patterns = sorted({_ANY + path.suffix for path in paths})
    _check_library(kind)
    return Inputs(root, paths, kind, patterns)


def _matching(root: Path, patterns: list[str]) -> list[Path]:
    try:
        paths = matching(root, patterns)
    except (ValueError, NotImplementedError, IndexError) as error:
        raise UsageError(f"--pattern {' '.join(patterns)}: it must be what names of files can match: {error}") from None
    if not paths:
        which = f"has no file that matches {' or '.join(map(repr, patterns))}"
        raise UsageError(f"{str(root)!r} {'is empty' if patterns == [_ANY] else which}, expected some files")
    return paths


def _guessed(root: Path, paths: Iterable[Path], patterns: list[str]) -> str:
    """The kind that all files are of, those of no kind apart unless they were asked for."""
    kinds = {suffix: kind for kind, about in KINDS.items() for suffix in about.suffixes}
    found = Counter(kinds.get(path.suffix.lower()) for path in paths)
    others = found.pop(None, 0)
    if len(found) == 1 and not (patterns and others):
        return str(next(iter(found)))
    if not found and not patterns:
        expected = " or ".join(_told(kind) for kind in KINDS)
        raise UsageError(f"{str(root)!r} has no file of a known ending, expected {expected}")
    told = [counted(count, str(kind)) for kind, count in found.items()]
    told += [f"{others:,} of unknown endings"] if patterns and others else []
    advice = "choose with --kind" if patterns else "choose with --kind or --pattern"
    raise UsageError(f"{str(root)!r} has {', '.join(told)}, expected files of one kind: {advice}")


def counted(count: int, kind: str) -> str:
    """So many files of a kind, in words."""
    about = KINDS[kind]
    return f"{count:,} {about.one if count == 1 else about.many}"


def _told(kind: str) -> str:
    """A kind and its commonest endings."""
    suffixes = KINDS[kind].suffixes
    return f"{KINDS[kind].many} ({', '.join(suffixes[:3])}{', ...' if len(suffixes) > 3 else ''})"


def _check_library(kind: str) -> None:
    """Raise a `MissingDependencyError` unless files of the kind can be read."""
    if kind == "image" and find_spec("PIL") is None:
        raise missing("streamflow convert", "pillow", "image")
    if kind == "audio" and find_spec("soundfile") is None:
        raise missing("streamflow convert", "soundfile", "audio")
