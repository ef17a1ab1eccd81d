"""Checks for parts of your own: that a stream keeps what every stream promises, also in the background."""

from .background import check_background
from .check import check_streamer
from .subject import rows

__all__ = ["check_background", "check_streamer", "rows"]
