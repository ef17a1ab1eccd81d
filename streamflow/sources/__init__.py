"""Sources: random-access data, opened in the process that reads it.

One rule for all: ``source[i]`` is a sample; ``source[slice, index array or mask]`` is a source, a lazy view;
``source.read(indices)`` is a batch.  ``source.batches(...)`` and ``source.samples(...)`` are Streamers.
"""

from .arrays import ArraySource
from .base import Source
from .choice import ChoiceSource
from .combine import collate, concatenate, smap, split, take
from .composite import CompositeSource
from .crop import RandomCrop, random_crop
from .files import FileSource, read_audio, read_image
from .lmdb_store import LMDBStore
from .lmdb_writer import LMDBWriter
from .memmap_build import build_memmap_store
from .memmap_store import MemmapStore
from .memmap_writer import MemmapWriter
from .npy import NpySource

__all__ = [
    "ArraySource",
    "ChoiceSource",
    "CompositeSource",
    "FileSource",
    "LMDBStore",
    "LMDBWriter",
    "MemmapStore",
    "MemmapWriter",
    "NpySource",
    "RandomCrop",
    "Source",
    "build_memmap_store",
    "collate",
    "concatenate",
    "random_crop",
    "read_audio",
    "read_image",
    "smap",
    "split",
    "take",
]
