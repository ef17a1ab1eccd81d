"""`check_streamer`: hold a stream to all that streams promise."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ..core import Streamer
from ..core.validate import optional_positive_integer, positive_integer, require
from .parts import check_shards
from .passes import check_closing, check_draws, check_pickles, check_repeats, check_unchanged, pickled_copies
from .resuming import check_fresh_process, check_resumes, states_of
from .subject import Subject, promise

__all__ = ["check_streamer"]

_SHARDS = ("partition", "parts", None)


def check_streamer(
    streamer: Streamer,
    n_items: int = 50,
    *,
    samples_of: Callable[[Any], Iterable[Any]] | None = None,
    shards: str | None = "partition",
    pickles: bool | None = None,
    fresh_process: bool = True,
    cuts: int | None = None,
    timeout: float = 60,
) -> None:
    """Check that a streamer keeps every promise of streams; raise where it does not.

    For streamers, muxes, maps and sources of your own: build a small tree with them and give it to this function in a
    test.  A stream of up to `n_items` items is seen to its end.

    Parameters
    ----------
    streamer : Streamer
        The tree to check; it is opened many times.  One without a seed is checked as ``streamer.with_seed(0)``.
    n_items : int
        How many items are looked at, at least 1.  Its work grows with the square of it.
    samples_of : function, optional
        Gives the samples of an item.  Batches are made inside a part, so their borders are others than those of the
        stream's own: where items are batches, the parts are compared by samples.  `rows` suits most batches.
    shards : {'partition', 'parts', None}
        ``partition``: the parts of a finite stream together give each sample once.  ``parts``: they need not (a map
        that repeats or leaves out items is applied inside each part), but each repeats and resumes.  None: the stream
        cannot be sharded.  A stream of more than 20 x `n_items` items counts as endless: its parts have to go on.
    pickles : bool, optional
        None: cloudpickle has to carry the streamer, pickle need not.  True: both.  False: neither, for arguments that
        cannot leave the process; there is no fresh process then.
    fresh_process : bool
        Whether states are resumed in a new interpreter too.  It gets this one's `sys.path`, and imports from there the
        modules that the tree's functions are in.
    cuts : int, optional
        After how many of the numbers of items 0, 1, ..., `n_items` a pass is resumed.  None: after each.
    timeout : float
        Seconds for which the new interpreter may run.

    Raises
    ------
    AssertionError
        If a promise is broken; its text says which, and where.
    ParameterError
        If a parameter is wrong.

    Notes
    -----
    What is checked, in this order:

    1. two passes at one epoch are equal; another epoch opens; ``cycle`` goes from epoch to epoch;
    2. pickled copies give the same items;
    3. nothing is drawn before the first item, and no more than asked for (counted where sources are generator functions
       that run in this thread);
    4. however a pass is left, no generator stays open;
    5. a state taken before any item, after the last, or past the end is JSON and resumes exactly, and so does a state
       of the resumed pass; the same from several places in a new interpreter;
    6. parts repeat, resume, and make up the whole;
    7. after all that, the description is what it was.

    A source that depends on the time, on files that change or on randomness other than its ``rng`` cannot pass.

    Examples
    --------
    >>> from streamflow import Streamer, buffer_stream
    >>> from streamflow.testing import rows
    >>> def dice(n, rng):
    ...     for _ in range(n):
    ...         yield {"x": int(rng.integers(1, 7))}
    >>> check_streamer(Streamer(dice, 20).pipe(buffer_stream, 4, partial=True), samples_of=rows)
    >>> rolls = iter(range(10**6))
    >>> def forgetful():
    ...     yield next(rolls)
    >>> check_streamer(Streamer(forgetful))
    Traceback (most recent call last):
    AssertionError: two passes over a seeded stream at one epoch are equal: the second pass differs at item 0: ...
    """
    require(isinstance(streamer, Streamer), "streamer", "a Streamer", streamer)
    n_items = positive_integer("n_items", n_items)
    require(shards in _SHARDS, "shards", "'partition', 'parts' or None", shards)
    cuts = optional_positive_integer("cuts", cuts)
    require(samples_of is None or callable(samples_of), "samples_of", "None or a function", samples_of)
    subject = Subject(streamer, n_items, samples_of)
    copies = pickled_copies(subject, pickles)
    with promise("a stream can be iterated"):
        subject.take_expected()
    check_repeats(subject)
    check_pickles(subject, copies)
    check_draws(subject)
    check_closing(subject)
    states = states_of(subject)
    check_resumes(subject, states, cuts)
    if fresh_process and pickles is not False:
        check_fresh_process(subject, states, timeout)
    if shards is not None:
        check_shards(subject, shards)
    check_unchanged(subject)
