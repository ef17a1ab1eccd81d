"""`FileSource`: one file for each sample, and functions that read images and audio."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.fingerprint import digest_of
from ..core.label import name_of, short
from ..core.validate import missing, require
from ..exceptions import DataError, ParameterError
from .base import Source

__all__ = ["FileSource", "read_audio", "read_image"]


class FileSource(Source):
    """Files, one for each sample, and the function that reads one.

    Parameters
    ----------
    paths : iterable of paths
        The files, in order.
    decode : function of a path
        Gets an absolute path, gives a sample: `read_image`, `read_audio`, `numpy.load`, or any other.

    Notes
    -----
    Nothing is opened before a sample is read.  An error of `decode` carries the path in a note.

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
        require(not isinstance(paths, (str, bytes, os.PathLike)), "paths", "a collection of paths", paths)
        self._paths = tuple(map(_path, paths))
        require(callable(decode), "decode", "a function of a path", decode)
        self._decode, self._folder = decode, Path.cwd()  # from where paths are relative, wherever it is read

    @property
    def paths(self) -> tuple[str, ...]:
        """The files."""
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

    def _whence(self, index: Any) -> str:
        return repr(self._paths[index])

    def _label(self) -> str:
        return f"FileSource({len(self._paths)} files {self._digest}, {name_of(self._decode)})"

    @cached_property
    def _digest(self) -> str:
        """Of the paths; each state has it, and there may be a million."""
        return digest_of(self._paths)[:8]


def _path(path: Any) -> str:
    if not isinstance(path, (str, os.PathLike)):
        raise ParameterError(f"`paths` must be a collection of paths, got {short(path)} in it")
    return str(os.fspath(path))


def read_image(path: str, mode: str | None = "RGB") -> NDArray[np.uint8]:
    """The pixels of an image file; needs pillow.

    Parameters
    ----------
    path : str
    mode : str or None
        What pillow converts the image to: ``"RGB"``, ``"L"`` for grey, ...; None: as it is stored,
        which images of more than 8 bits need.

    Returns
    -------
    (height, width, channels) or (height, width) array

    Raises
    ------
    DataError
        If it is no image or is damaged; or if its pixels have more than 8 bits and `mode` does not.
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
        raise _unreadable(path, "an image that pillow reads", error) from error
    # pillow would cut what is above 255
    raise DataError(
        f"{path!r} has pixels of more than 8 bits (mode {stored}), expected such as {mode!r} can hold; "
        "mode=None gives them as they are"
    )


def read_audio(path: str, dtype: str = "float32") -> NDArray[Any]:
    """The signal of an audio file; needs soundfile.

    Parameters
    ----------
    path : str
    dtype : {'float32', 'float64', 'int16', 'int32'}

    Returns
    -------
    (frames, channels) array

    Raises
    ------
    DataError
        If it is no audio file or is damaged; or if it ends before its header says so, as far as the format tells
        (MP3 and Ogg hardly do).
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
        raise _unreadable(path, _AUDIO, f"it ends after {len(signal)} frames, before its header says so")
    return signal


_AUDIO = "an audio file that soundfile reads"


#: How soundfile's library tells of a header that announces more than there is, and how that number is told.
_SHORT = re.compile(r"(data|SSND|BODY|Data Size|riff|Riff size)\s*: (\d+) \(should be (\d+)\)", re.ASCII)
_UNKNOWN_LENGTH = 0x7FFFF000  #: from here on it means that the writer did not know it: a pipe


def _ends_early(log: str) -> bool:
    """Whether the library has noted that a file was cut."""
    sizes = [(int(told), int(found)) for _, told, found in _SHORT.findall(log)]
    return "ended unexpectedly" in log or any(found < told < _UNKNOWN_LENGTH for told, found in sizes)


def _unreadable(path: str, expected: str, error: object) -> DataError:
    told = " ".join(str(error).split())
    return DataError(f"{path!r} cannot be read, expected {expected}: {told}")
