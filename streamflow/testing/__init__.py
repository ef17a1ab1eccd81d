"""Checks for parts of your own: that a stream keeps what every stream promises."""

from .check import check_streamer
from .subject import rows

__all__ = ["check_streamer", "rows"]
