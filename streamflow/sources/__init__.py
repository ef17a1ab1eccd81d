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
from .npy import NpySource

__all__ = [
    "ArraySource",
    "ChoiceSource",
    "CompositeSource",
    "FileSource",
    "NpySource",
    "RandomCrop",
    "Source",
    "collate",
    "concatenate",
    "random_crop",
    "read_audio",
    "read_image",
    "smap",
    "split",
    "take",
]
