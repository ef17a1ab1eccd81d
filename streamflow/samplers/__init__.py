"""Samplers: the order in which a source is read."""

from .base import Sampler
from .blocks import BlockShuffledSampler
from .plain import SequentialSampler, ShuffledSampler, SubsetSampler
from .weighted import WeightedSampler

__all__ = [
    "BlockShuffledSampler",
    "Sampler",
    "SequentialSampler",
    "ShuffledSampler",
    "SubsetSampler",
    "WeightedSampler",
]
