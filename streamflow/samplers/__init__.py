"""Samplers: the order in which a source is read."""

from .base import Order, Sampler
from .blocks import BlockShuffledSampler
from .plain import SequentialSampler, ShuffledSampler, SubsetSampler
from .weighted import WeightedSampler, WeightedSubsetSampler

__all__ = [
    "BlockShuffledSampler",
    "Order",
    "Sampler",
    "SequentialSampler",
    "ShuffledSampler",
    "SubsetSampler",
    "WeightedSampler",
    "WeightedSubsetSampler",
]
