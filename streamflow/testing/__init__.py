"""Checks for parts of your own: that a stream or a source keeps what all of its kind promise."""

from .background import check_background
from .check import check_streamer
from .source import check_source
from .subject import rows

__all__ = ["check_background", "check_source", "check_streamer", "rows"]
