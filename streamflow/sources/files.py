"""`FileSource`: one file per sample; `read_image` and `read_audio` read such files."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.exact import function_text
from ..core.fingerprint import digest_of
from ..core.label import name_of, short
from ..core.validate import missing, require
from ..exceptions import DataError, ParameterError
from .source import Source

__all__ = ["FileSource", "read_audio", "read_image"]


class FileSource(Source):
    """Files, one per sample, and the function that reads one.

    Parameters
    ----------
    paths : iterable of paths
        The files, in order.  Relative paths are relative to the folder in which the source is created.
    decode : function of a path
        Takes an absolute path and returns a sample: `read_image`, `read_audio`, `numpy.load` or a function of yours.

    Raises
    ------
    ParameterError
        If `paths` is a single path, is empty or holds anything but paths, or if `decode` is not callable.

    Notes
    -----
    No file is opened before it is read.  Errors raised by `decode` get a note with the path.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> for name in "ab":
    ...     np.save(folder / f"{name}.npy", np.full(2, ord(name)))
    >>> FileSource(sorted(folder.glob("*.npy")), np.load).read(slice(None)).tolist()
    [[97, 97], [98, 98]]
    """

    def __init__(self, paths: Iterable[Any], decode: Callable[[str], Any]) -> None:
        ok = isinstance(paths, Iterable) and not isinstance(paths, (str, bytes, os.PathLike))
        require(ok, "paths", "a collection of paths", paths)
        ordered = not isinstance(paths, (set, frozenset))
        require(ordered, "paths", "an ordered collection of paths", paths, "sort it")
        self._paths = tuple(map(_path, paths))
        require(self._paths, "paths", "at least one path", list(self._paths), "does a pattern match nothing?")
        require(callable(decode), "decode", "a function of a path", decode)
        self._decode, self._folder = decode, Path.cwd()  # relative paths start here, whichever process reads them

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths, as given."""
        return self._paths

    def __len__(self) -> int:
        return len(self._paths)

    def sample(self, index: int) -> Any:
        path = str(self._folder / self._paths[index])
        try:
            return self._decode(path)
        except Exception as error:
            error.add_note(f"while reading {path!r}")
            raise

    def _origin(self, index: Any) -> str:
        return repr(self._paths[index])

    def _label(self) -> str:
        return f"FileSource({len(self._paths)} files, {name_of(self._decode)})"

    def fingerprint(self) -> str:
        return f"FileSource({len(self._paths)} files {self._digest}, {function_text(self._decode)})"

    @cached_property
    def _digest(self) -> str:
        """Digest of the paths, cached because there may be a million paths."""
        return digest_of(self._paths)[:8]


def _path(path: Any) -> str:
    if not isinstance(path, (str, os.PathLike)):
        raise ParameterError(f"`paths` must be a collection of paths, got one that contains {short(path)}")
    return str(os.fspath(path))


def read_image(path: str, mode: str | None = "RGB") -> NDArray[np.uint8]:
    """Read an image file; needs pillow.

    Parameters
    ----------
    path : str
    mode : str or None
        The mode that pillow converts the image to: ``"RGB"``, ``"L"`` (grey), ...; None keeps the stored mode, which
        images with more than 8 bits per channel need.

    Returns
    -------
    (height, width, channels) or (height, width) array
        uint8 for 8 bits per channel.

    Raises
    ------
    DataError
        If it is not an image or is damaged, or if it has more than 8 bits per channel and `mode` holds only 8.

    Examples
    --------
    >>> from PIL import Image
    >>> import tempfile
    >>> path = f"{tempfile.mkdtemp()}/a.png"
    >>> Image.new("L", (3, 2), color=7).save(path)
    >>> read_image(path).shape, read_image(path, mode=None).tolist()
    ((2, 3, 3), [[7, 7, 7], [7, 7, 7]])
    """
    try:
        from PIL import Image
    except ImportError:
        raise missing("read_image", "pillow", "image") from None
    try:
        with Image.open(path) as image:
            stored = image.mode
            if mode in (None, stored, "I", "F") or not stored.startswith(("I", "F")):
                return np.array(image if mode is None else image.convert(mode))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise _unreadable(path, "an image file", error) from error
    # pillow would clip values above 255
    raise DataError(
        f"{path!r} has more than 8 bits per channel (mode {stored!r}), and mode {mode!r} holds 8; "
        "pass mode=None to keep them"
    )


def read_audio(path: str, dtype: str = "float32") -> NDArray[Any]:
    """Read an audio file; needs soundfile.

    Parameters
    ----------
    path : str
    dtype : {'float32', 'float64', 'int16', 'int32'}
        Floats are in [-1, 1); integers span the range of their type.

    Returns
    -------
    (frames, channels) array
        One channel has an axis too.

    Raises
    ------
    DataError
        If it is not an audio file or is damaged, or if it is shorter than its header says (for MP3 and Ogg this often
        cannot be known).

    Examples
    --------
    >>> import soundfile, tempfile
    >>> path = f"{tempfile.mkdtemp()}/a.wav"
    >>> soundfile.write(path, np.array([0, 0.5, -0.5]), samplerate=16000)
    >>> read_audio(path).tolist()
    [[0.0], [0.5], [-0.5]]
    """
    try:
        import soundfile
    except ImportError:
        raise missing("read_audio", "soundfile", "audio") from None
    try:
        with soundfile.SoundFile(path) as file:
            signal: NDArray[Any] = file.read(dtype=dtype, always_2d=True)
            log = file.extra_info
    except (RuntimeError, OSError, TypeError) as error:
        raise _unreadable(path, _AUDIO, error) from error
    if _ends_early(log):
        raise _unreadable(path, _AUDIO, f"it ends after {len(signal)} frames, fewer than its header says")
    return signal


_AUDIO = "an audio file"

#: How libsndfile logs a header with a larger size than the file has.
_SHORT = re.compile(r"(data|SSND|BODY|Data Size|riff|Riff size)\s*: (\d+) \(should be (\d+)\)", re.ASCII)
_UNKNOWN_LENGTH = 0x7FFFF000  #: sizes from here up are written to pipes, where the length is unknown


def _ends_early(log: str) -> bool:
    """Whether libsndfile has logged that a file is truncated."""
    sizes = [(int(announced), int(found)) for _, announced, found in _SHORT.findall(log)]
    return "ended unexpectedly" in log or any(found < announced < _UNKNOWN_LENGTH for announced, found in sizes)


def _unreadable(path: str, kind: str, error: object) -> DataError:
    return DataError(f"{path!r} cannot be read as {kind}: {' '.join(str(error).split())}")
