"""Checks for your own classes: `check_streamer` and `check_source` test everything that a stream or source promises."""

from .check import check_streamer
from .source import check_source
from .subject import rows

__all__ = ["check_source", "check_streamer", "rows"]
