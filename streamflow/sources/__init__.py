"""Sources: random-access data, opened in the process that reads it.

One rule for all: ``source[i]`` is a sample; ``source[slice, index array or mask]`` is a source, a lazy view;
``source.read(indices)`` is a batch.  ``source.batches(...)`` and ``source.samples(...)`` are Streamers.
"""

from .arrays import ArraySource
from .base import Source
from .build.memmap import build_memmap_store
from .combine.choice import ChoiceSource
from .combine.composite import CompositeSource
from .combine.concat import collate, concatenate, smap, split, take
from .files import FileSource, read_audio, read_image
from .lmdb.store import LMDBStore
from .lmdb.writer import LMDBWriter
from .memmap.store import MemmapStore
from .memmap.writer import MemmapWriter
from .npy import NpySource
from .reading.crop import RandomCrop, random_crop

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
