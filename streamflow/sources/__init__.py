"""Sources: random-access data, opened in the process that reads it.

For every source, ``source[i]`` is a sample, ``source[slice, indices or mask]`` a lazy view (again a source), and
``source.read(indices)`` a batch.  ``source.batches(...)`` and ``source.samples(...)`` are Streamers.
"""

from .arrays import ArraySource
from .build.memmap import build_memmap_store
from .combine.choice import ChoiceSource
from .combine.composite import CompositeSource
from .combine.concat import concatenate, map_sources, split, take, zip_sources
from .files import FileSource, read_audio, read_image
from .lmdb.store import LMDBStore
from .lmdb.writer import LMDBWriter
from .memmap.store import MemmapStore
from .memmap.writer import MemmapWriter
from .npy import NpySource
from .reading.crop import RandomCrop, random_crop
from .source import Source

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
    "concatenate",
    "map_sources",
    "random_crop",
    "read_audio",
    "read_image",
    "split",
    "take",
    "zip_sources",
]
