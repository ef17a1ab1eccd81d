"""Promises about pickling: whatever carries a streamer or a source to another process can load it there."""

from __future__ import annotations

import pickle
from typing import TypeVar

from .subject import promise

__all__ = ["pickled_copies"]

T = TypeVar("T")


def pickled_copies(original: T, noun: str, pickles: bool | None) -> list[tuple[str, T]]:
    """Copies of a streamer or source, each with the library that made it.

    Parameters
    ----------
    original : Streamer or Source
    noun : str
        What errors call it.
    pickles : bool or None
        True: pickle and cloudpickle must carry it.  None: cloudpickle must, pickle may.  False: there are no copies.
    """
    import cloudpickle

    copies: list[tuple[str, T]] = []
    if pickles is False:
        return copies
    with promise(f"a {noun} can be pickled with cloudpickle (or pass `pickles=False`)"):
        copies.append(("cloudpickle", pickle.loads(cloudpickle.dumps(original))))
    with promise(f"a {noun} can be pickled with pickle (or pass `pickles=None`)"):
        try:
            pickled = pickle.dumps(original)
        except Exception:
            if pickles:
                raise
            return copies
    with promise(f"a pickled {noun} can be loaded"):
        copies.append(("pickle", pickle.loads(pickled)))
    return copies
