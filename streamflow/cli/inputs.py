"""What `convert` reads: the files of a folder, their kind, and a function that reads a file of each kind.

Worker processes import this module, so it imports nothing that only prints.
"""

from __future__ import annotations

import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from ..exceptions import DataError
from ..sources import read_audio, read_image
from ..sources.build.engine import InputFile, matching
from ..sources.mmap.npy_files import NpyFile
from .work import UsageError, need

__all__ = ["KINDS", "Inputs", "Kind", "counted", "find", "sample"]

_ANY = "*"
#: What reads the kinds that NumPy does not: the module, and the name under which it is installed.
_LIBRARIES = {"image": {"PIL": "pillow"}, "audio": {"soundfile": "soundfile"}}


def read_array(path: str) -> NDArray[Any]:
    """The array of a ``.npy`` file, or the only array of an archive."""
    if not path.lower().endswith(".npz"):
        return NpyFile(path, allow_pickle=False).array()
    members = read_members(path)
    if len(members) != 1:
        names = ", ".join(map(repr, members))
        raise DataError(f"{path!r} must have one array, got {names}; --to lmdb takes several")
    return next(iter(members.values()))


def read_members(path: str) -> dict[str, NDArray[Any]]:
    """All arrays of an archive, compressed or not."""
    try:
        with Path(path).open("rb") as file, NpzFile(file, allow_pickle=False) as archive:
            members = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, RuntimeError, SyntaxError, zipfile.BadZipFile, zlib.error) as error:
        why = " ".join(str(error).split())
        raise DataError(f"{path!r} cannot be read as an archive of arrays: {why}") from error
    if not members:
        raise DataError(f"{path!r} has no arrays")
    for name, member in members.items():
        if not isinstance(member, np.ndarray):
            raise DataError(f"{path!r} has a member {name!r} that is not an array")
    return members


def read_picture(path: str) -> NDArray[np.uint8]:
    """The pixels of a file with one image."""
    pixels = read_image(path)
    from PIL import Image

    with Image.open(path) as image:
        # an MPO file is a photo with extra images that the camera adds
        frames = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
    if frames > 1:
        raise DataError(f"{path!r} has {frames} images, expected one")
    return pixels


def read_signal(path: str) -> tuple[NDArray[Any], dict[str, Any]]:
    """The signal of an audio file, with its sample rate as metadata."""
    signal = read_audio(path)
    import soundfile

    return signal, {"rate": int(soundfile.info(path).samplerate)}


class Kind(NamedTuple):
    """A kind of files that are read in one way."""

    one: str  #: the name of one file
    many: str  #: the name of several
    suffixes: tuple[str, ...]
    load: Callable[[str], Any]  #: returns an array, or an array and metadata


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


def sample(file: InputFile, kind: str) -> dict[str, Any]:
    """The sample of an LMDB store for a file: its arrays by key, its metadata, and its name."""
    path = file.path
    if kind == "array" and path.lower().endswith(".npz"):
        values: dict[str, Any] = read_members(path)
        if "name" in values:
            raise DataError(f"{path!r} has an array 'name', but that key holds the name of the file; rename the array")
    else:
        loaded = KINDS[kind].load(path)
        array, metadata = loaded if isinstance(loaded, tuple) else (loaded, {})
        values = {"x": array, **metadata}
    return {**values, "name": file.name}


class Inputs(NamedTuple):
    """The files to convert.

    Attributes
    ----------
    root : Path
    paths : list of Path
        In the order in which they are converted.
    kind : str
    patterns : list of str
        The patterns that find them.
    """

    root: Path
    paths: list[Path]
    kind: str
    patterns: list[str]


def find(root: Path, kind: str, patterns: list[str]) -> Inputs:
    """Find the files in a folder.

    Parameters
    ----------
    root : Path
    kind : str
        One of `KINDS`, or ``"auto"``: the kind that the file extensions say.
    patterns : list of str
        If empty: all files with an extension of the kind.  Hidden files are left out.

    Raises
    ------
    UsageError
        If there are no files, or files of several kinds.
    """
    if not root.is_dir():
        found = "is a file" if root.exists() else "does not exist"
        raise UsageError(f"{str(root)!r} {found}, expected a folder of files to convert")
    paths = _matching(root, patterns or [_ANY])
    if kind == "auto":
        kind = _guessed(root, paths, patterns)
    if not patterns:
        paths = [path for path in paths if path.suffix.lower() in KINDS[kind].suffixes]
        if not paths:
            raise UsageError(f"{str(root)!r} holds no {_described(kind)}")
        patterns = sorted({_ANY + path.suffix for path in paths})
    if kind in _LIBRARIES:
        need("streamflow convert", kind, **_LIBRARIES[kind])
    return Inputs(root, paths, kind, patterns)


def _matching(root: Path, patterns: list[str]) -> list[Path]:
    try:
        paths = matching(root, patterns)
    except (ValueError, NotImplementedError, IndexError) as error:
        raise UsageError(f"--pattern {' '.join(patterns)}: must be a pattern for names of files: {error}") from None
    if not paths:
        which = f"holds no file that matches {' or '.join(map(repr, patterns))}"
        raise UsageError(f"{str(root)!r} {'holds no files' if patterns == [_ANY] else which}")
    return paths


def _guessed(root: Path, paths: Iterable[Path], patterns: list[str]) -> str:
    """The kind of the files; files of no kind are ignored unless a pattern asks for them."""
    kinds = {suffix: kind for kind, about in KINDS.items() for suffix in about.suffixes}
    found = Counter(kinds.get(path.suffix.lower()) for path in paths)
    others = found.pop(None, 0)
    if len(found) == 1 and not (patterns and others):
        return str(next(iter(found)))
    if not found and not patterns:
        known = " or ".join(_described(kind) for kind in KINDS)
        raise UsageError(f"{str(root)!r} holds no file with a known extension, expected {known}")
    counts = [counted(count, str(kind)) for kind, count in found.items()]
    counts += [f"{others:,} with unknown extensions"] if patterns and others else []
    advice = "choose one kind with --kind" if patterns else "choose one kind with --kind or --pattern"
    raise UsageError(f"{str(root)!r} holds {', '.join(counts)}; {advice}")


def counted(count: int, kind: str) -> str:
    """A number of files of a kind, in words."""
    about = KINDS[kind]
    return f"{count:,} {about.one if count == 1 else about.many}"


def _described(kind: str) -> str:
    """A kind and its most common extensions."""
    suffixes = KINDS[kind].suffixes
    return f"{KINDS[kind].many} ({', '.join(suffixes[:3])}{', ...' if len(suffixes) > 3 else ''})"
