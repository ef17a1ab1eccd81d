"""Checks that anybody can run on parts of their own: does a stream keep what every stream promises?"""

from .check import check_streamer
from .subject import rows

__all__ = ["check_streamer", "rows"]
