"""Checks for parts of your own: that a stream or a source keeps what all of its kind promise."""

from .check import check_streamer
from .source import check_source
from .subject import rows

__all__ = ["check_source", "check_streamer", "rows"]
