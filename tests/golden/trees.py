"""The golden trees, by name."""

from . import mux_trees, source_trees
from .registry import TREES

__all__ = ["TREES", "mux_trees", "source_trees"]
