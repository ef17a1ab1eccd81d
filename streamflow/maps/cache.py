"""`cache`: yields items several times before they are replaced."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any

import numpy as np

from ..core import stream_map
from ..core.validate import is_number, positive_integer, require
from ..seeding import check_random_state

__all__ = ["cache"]


def _check(n_cache: Any, prob: Any = 0.5, random_state: Any = None) -> None:
    positive_integer("n_cache", n_cache)
    require(is_number(prob) and 0 < prob <= 1, "prob", "above 0 and at most 1", prob)
    check_random_state(random_state)


@stream_map(_check, kind="replayed")
def cache(
    stream: Iterator[Any], n_cache: int, prob: float = 0.5, random_state: Any = None
) -> Generator[Any, None, None]:
    """Keep `n_cache` items and yield them several times.

    The first `n_cache` items pass through in order.  Then, for each output, one of the kept items is chosen uniformly,
    and with probability `prob` it is first replaced by a new item.  So an item is yielded 1 / `prob` times on average.
    The map ends when it needs a new item and there is none.

    Parameters
    ----------
    stream : iterable
        The items.
    n_cache : int
        Number of items to keep, at least 1.
    prob : float
        Above 0 and at most 1; with 1 nothing is yielded twice.
    random_state : None, int, SeedSequence, Generator or RandomState
        Where the choices are drawn from.  None: in a tree, its seed; in a direct call, NumPy's global state.

    Yields
    ------
    object
        The items themselves, not copies: do not change them in place.

    Notes
    -----
    An item may be kept for any length of time, so in a tree this map is resumed by running it again from the start of
    its activation.

    Examples
    --------
    >>> repeated = list(cache(range(1000), 10, prob=0.25, random_state=0))
    >>> repeated[:10], 3000 < len(repeated) < 5000
    ([0, 1, 2, 3, 4, 5, 6, 7, 8, 9], True)
    """
    rng: np.random.Generator = random_state  # filled in by `stream_map`
    kept: list[Any] = []
    for item in stream:
        kept.append(item)
        yield item
        if len(kept) == n_cache:
            break
    else:
        return
    del item
    while True:
        place = int(rng.random() * n_cache)
        if rng.random() < prob:
            try:
                kept[place] = next(stream)
            except StopIteration:
                return
        yield kept[place]
