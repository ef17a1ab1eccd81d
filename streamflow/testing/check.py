"""`check_streamer`: test everything that a stream promises."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ..core import Streamer
from ..core.fingerprint import differing
from ..core.validate import flag, optional_positive_integer, positive_integer, require
from .parts import check_shards
from .passes import check_closing, check_draws, check_pickles, check_repeats, check_unchanged
from .pickling import pickled_copies
from .resuming import check_fresh_process, check_refuses, check_resumes, states_of
from .subject import Subject, expect, promise, seconds

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
    other: Streamer | None = None,
) -> None:
    """Check that a streamer keeps every promise of streams; raise an `AssertionError` where it does not.

    For streamers, muxes, maps and sources of your own: in a test, build a small tree with them and pass it to this
    function.  A stream of up to `n_items` items is checked to its end.

    Parameters
    ----------
    streamer : Streamer
        The tree to check; it is opened many times.  One without a seed is checked as ``streamer.with_seed(0)``.
    n_items : int
        How many items are compared, at least 1.  The time grows with its square.
    samples_of : function, optional
        Returns the samples of an item.  Parts make batches of their own, which differ from those of the whole stream;
        so if items are batches, parts are compared by samples.  `rows` suits most batches.
    shards : {'partition', 'parts', None}
        ``partition``: the parts of a finite stream together give each sample once.  ``parts``: they need not (a map
        that repeats or leaves out items is applied inside each part), but each repeats and resumes.  None: the stream
        cannot be sharded.  A stream of more than 20 x `n_items` items counts as endless, and then its parts must too.
    pickles : bool or None
        None: the streamer can be pickled with cloudpickle, and perhaps with pickle.  True: with both.  False: with
        neither, because an argument cannot leave the process; then nothing is resumed in a new interpreter.
    fresh_process : bool
        Whether states are resumed in a new interpreter too.  It gets the `sys.path` of this one, and imports the
        modules of the tree's functions from there.
    cuts : int, optional
        From how many of the states after 0, 1, ..., `n_items` items a pass is resumed.  None: from each.
    timeout : float
        How many seconds the new interpreter may take.
    other : Streamer, optional
        One that must not go on where this one stands: of the same class, with another parameter, so that it gives other
        items.  Nobody but you can say what that is.

    Raises
    ------
    AssertionError
        If a promise is broken; the message says which, and where.
    ParameterError
        If a parameter is invalid.

    Notes
    -----
    These promises are checked, in this order:

    1. Two passes at the same epoch are equal; other epochs can be opened; ``cycle`` goes from epoch to epoch.  Where
       ``len`` is known, it is the number of items, of the stream and of its parts.
    2. Pickled copies give the same items.
    3. Nothing is drawn before the first item, and no more than is asked for (counted for generator functions that run
       in this thread).
    4. However a pass ends, no generator stays open.
    5. A state taken before any item, after the last or past the end is JSON and resumes exactly, and so does a state of
       the resumed pass; some of them resume in a new interpreter.
    6. Parts repeat, resume and make up the whole.
    7. A state is refused by `other`, if one is given: their fingerprints differ, or the arguments of an open leaf.
    8. After all this, the description is unchanged, and so is its fingerprint.

    A tree that depends on the time, on files that change or on randomness other than its ``rng`` fails.

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
    AssertionError: two passes over a seeded stream at the same epoch are equal: the second pass differs at item 0: ...
    """
    require(isinstance(streamer, Streamer), "streamer", "a Streamer", streamer)
    n_items = positive_integer("n_items", n_items)
    require(shards in _SHARDS, "shards", "'partition', 'parts' or None", shards)
    cuts = optional_positive_integer("cuts", cuts)
    require(samples_of is None or callable(samples_of), "samples_of", "None or a function", samples_of)
    pickles = None if pickles is None else flag("pickles", pickles)
    fresh_process, timeout = flag("fresh_process", fresh_process), seconds("timeout", timeout)
    require(other is None or isinstance(other, Streamer), "other", "None or a Streamer", other)
    fingerprint = streamer.fingerprint()
    subject = Subject(streamer, n_items, samples_of)
    copies = pickled_copies(subject.seeded, "Streamer", pickles)
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
    if other is not None:
        check_refuses(subject, other)
    check_unchanged(subject)
    with promise("a fingerprint stays the same, so that a state can be loaded at any time"):
        now = streamer.fingerprint()
        expect(now == fingerprint, "was {}, is now {}".format(*differing(fingerprint.text, now.text)))
