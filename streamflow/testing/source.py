"""`check_source`: test everything that a source promises."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.fingerprint import differing
from ..core.validate import flag, positive_integer, require
from ..samplers import SubsetSampler
from ..sources import Source
from ..sources.reading.form import keys_of, picked
from .check import check_streamer
from .elsewhere import check_fork, check_threads
from .pickling import pickled_copies
from .reading import Reading, agrees, leaves
from .resuming import check_refuses
from .subject import Subject, describe, expect, promise, rows, seconds, taken

__all__ = ["check_source"]


def check_source(
    source: Source,
    data: Any = None,
    *,
    n_samples: int = 30,
    pickles: bool | None = True,
    fork: bool = True,
    n_threads: int = 4,
    fresh_process: bool = True,
    timeout: float = 60,
    other: Source | None = None,
) -> None:
    """Check that a source keeps every promise of sources; raise an `AssertionError` where it does not.

    For sources, stores and views of your own: in a test, build a small one and pass it to this function, with the data
    that it should have.

    Parameters
    ----------
    source : Source
        The source to check, with at least one sample.
    data : array, dict or tuple of arrays, or list of samples, optional
        The data that it should have, in memory.  None: its own samples, read one by one.
    n_samples : int
        How many samples are compared, at least 1; the first and the last are among them.
    pickles : bool or None
        True: it can be pickled with both pickle and cloudpickle.  None: with cloudpickle, and perhaps with pickle.
        False: with neither; then nothing is read in a new interpreter.
    fork : bool
        Whether it is read in a forked process too, on systems that fork.
    n_threads : int
        How many threads read at once, at least 1.
    fresh_process : bool
        Whether its streams are resumed in a new interpreter too, as in `check_streamer`.
    timeout : float
        How many seconds the threads, the forked process and the new interpreter may each take.
    other : Source, optional
        One that must not go on where a stream of this one stands: of the same class, with another parameter, so that it
        has other samples.  Nobody but you can say what that is.

    Raises
    ------
    AssertionError
        If a promise is broken; the message says which, and where.
    ParameterError
        If a parameter is invalid.

    Notes
    -----
    These promises are checked, in this order:

    1. It has a length, and samples by an index from the front or from the end and by iteration; anything that is not
       an index raises.
    2. Slices, index arrays and masks give views with the samples that NumPy would select.
    3. `read` stacks any samples in any order into arrays that can be written to without changing the source.
    4. Prefetching changes nothing; `keys()` are those of the samples, and a stream of some keys gives only these.
    5. It can be closed, and read again.
    6. Pickled copies, a forked process and several threads read the same data.
    7. Its fingerprint is text that stays the same, also in copies, and is not that of `other`, if one is given.
    8. Its streams give its samples in order or in the order of a sampler, and keep the promises of `check_streamer`.

    Examples
    --------
    >>> from streamflow.sources import ArraySource, Source
    >>> x = np.arange(10)
    >>> check_source(ArraySource({"x": x}), {"x": x})
    >>> class Shifted(Source):
    ...     '''Reads a batch differently from single samples.'''
    ...     def __len__(self):
    ...         return 10
    ...     def sample(self, index):
    ...         return index
    ...     def fetch(self, indices):
    ...         return indices + 1
    >>> check_source(Shifted(), x)
    Traceback (most recent call last):
    AssertionError: read(indices) gives these samples, stacked: sample 9 is int64 10 instead of int64 9
    """
    require(isinstance(source, Source), "source", "a Source", source)
    n_samples, n_threads = positive_integer("n_samples", n_samples), positive_integer("n_threads", n_threads)
    pickles = None if pickles is None else flag("pickles", pickles)
    fork, fresh_process = flag("fork", fork), flag("fresh_process", fresh_process)
    timeout = seconds("timeout", timeout)
    require(other is None or isinstance(other, Source), "other", "None or a Source", other)
    with promise("a source has as many samples as its data"):
        reading = Reading(source, data, n_samples)
    check_samples(reading)
    check_views(reading)
    check_read(reading)
    check_keys(reading)
    with promise("a closed source can be read again"):
        source.close()
        source.close()
        reading.check(source)
    fingerprint = source.fingerprint()
    copies = pickled_copies(source, "source", pickles)
    for library, copy in copies:
        with promise(f"a copy made with {library} reads the same data"):
            reading.check(copy)
            copy.close()
    if fork:
        check_fork(reading, timeout)
    check_threads(reading, n_threads, timeout)
    for one in (source, *(copy for _, copy in copies)):
        check_fingerprint(one, fingerprint)
    if other is not None:
        check_other(source, other)
    check_streams(reading, pickles, fresh_process=fresh_process, timeout=timeout)


def check_fingerprint(source: Source, fingerprint: str) -> None:
    """What a source is for states is text, and stays the same."""
    with promise("a fingerprint is text that stays the same"):
        now = source.fingerprint()
        expect(isinstance(now, str), f"it is {describe(now)}")
        expect(now == fingerprint, "was {}, is now {}".format(*differing(fingerprint, now)))


def check_other(source: Source, other: Source) -> None:
    """A source with other samples has another fingerprint, and its streams refuse the states of this one's."""
    with promise("a source with other samples has another fingerprint"):
        shared = source.fingerprint()
        expect(
            other.fingerprint() != shared,
            f"both have {shared!r}; its class needs the parameter in a public attribute, or a `fingerprint` of its own",
        )
    check_refuses(Subject(source.samples(), 1, None), other.samples())


def check_samples(reading: Reading) -> None:
    """Samples by index and by iteration; anything that is not an index raises."""
    source, n = reading.source, len(reading.source)
    with promise("a sample is the row of the data"):
        for index in reading.positions.tolist():
            reading.expect(index, source[index])
            reading.expect(index, source[index - n], "from the end")
            reading.expect(index, source[np.int32(index)], "by a NumPy integer")
    with promise("iteration gives the samples in order"):
        for index, sample in enumerate(taken(iter(source), len(reading.positions))):
            reading.expect(index, sample)
        if n <= len(reading.positions):
            expect(sum(1 for _ in source) == n, f"there are {sum(1 for _ in source)} instead of {n}")
    with promise("writing into a sample does not change the source"):
        for index in reading.positions[:5].tolist():
            spoil(source[index])
            reading.expect(index, source[index])
    for wrong in (n, -n - 1, 0.5, None, True):
        with promise(f"source[{wrong}] raises IndexError"):
            try:
                source[wrong]
            except IndexError:
                continue
            raise AssertionError("it gave a sample")


def spoil(data: Any) -> None:
    """Overwrite the values of all writeable arrays."""
    for leaf in leaves(data):
        if isinstance(leaf, np.ndarray) and leaf.flags.writeable:
            if leaf.dtype.kind in "biufc":
                leaf[...] = leaf == 0
            elif leaf.dtype.kind in "US":
                leaf[...] = "!"
            elif leaf.dtype.kind in "mM":
                leaf += np.ones((), leaf.dtype.str.replace("M8", "m8"))  # one of its unit


def check_views(reading: Reading) -> None:
    """Slices, index arrays and masks give views, and so do slices of views."""
    source, everything = reading.source, np.arange(len(reading.source))
    for index in (*reading.slices(len(source)), *reading.index_arrays(len(source))):
        with promise(f"source[{shown(index)}] is a view of what NumPy selects"):
            view, selected = source[index], everything[index]
            expect(isinstance(view, Source), f"it is {describe(view)}")
            expect(len(view) == len(selected), f"its length is {len(view)} instead of {len(selected)}")
            for place in reading.some(len(view)):
                reading.expect(int(selected[place]), view[place])
            for below in reading.slices(len(view)) if len(view) else ():
                again = selected[below]
                for place in reading.some(len(again)):
                    reading.expect(int(again[place]), view[below][place], f"as [{shown(below)}] of the view")


def shown(index: Any) -> str:
    """An index as messages show it."""
    if isinstance(index, slice):
        return ":".join("" if part is None else str(part) for part in (index.start, index.stop, index.step))
    return f"{len(index)} {'of a mask' if np.asarray(index).dtype == bool else 'indices'}"


def check_read(reading: Reading) -> None:
    """`read` stacks any samples in any order into fresh arrays."""
    source, everything = reading.source, np.arange(len(reading.source))
    with promise("read(indices) gives these samples, stacked"):
        for index in (reading.positions[::-1], *reading.slices(len(source)), *reading.index_arrays(len(source))):
            reading.expect_batch(everything[index], source.read(index, **reading.how))
    with promise("read(index) is a batch of one"):
        reading.expect_batch(everything[-1:], source.read(-1, **reading.how))
    with promise("writing into a batch changes neither the source nor another batch"):
        some = reading.positions[:5]
        held = source.read(some, **reading.how)
        spoil(source.read(some, **reading.how))
        reading.expect_batch(some, held)
        reading.expect_batch(some, source.read(some, **reading.how))


def check_keys(reading: Reading) -> None:
    """Prefetching changes nothing; `keys`, and streams of one key or several."""
    source = reading.source
    with promise("prefetch(indices) changes nothing"):
        source.prefetch(reading.positions)
        source.prefetch(reading.positions[:0])
        reading.check(source)
    known = keys_of(reading.wanted(0))
    with promise("keys() returns the keys of the samples"):
        expect(source.keys() == known, f"it returned {source.keys()} instead of {known}")
    for keys in (*(known or ()), *((known[::-1],) if known else ())):
        with promise(f"keys={keys!r} gives only these"):
            some = source[reading.positions].samples(keys=keys)
            for index, sample in zip(reading.positions.tolist(), taken(iter(some), 5), strict=False):
                agrees(sample, picked(reading.wanted(index), keys), f"sample {index}")


def check_streams(reading: Reading, pickles: bool | None, *, fresh_process: bool, timeout: float) -> None:
    """Streams of the source give its samples, and keep the promises of `check_streamer`."""
    source, n, how = reading.source, len(reading.source), reading.how
    with promise("samples() gives the samples in order"):
        n_due = min(n, len(reading.positions) + 1)
        found = taken(iter(source.samples()), n_due + 1 if n_due == n else n_due)
        for index, sample in enumerate(found[:n]):
            reading.expect(index, sample)
        expect(len(found) == n_due, f"there are {'more' if len(found) > n_due else len(found)} instead of {n}")
    with promise("a sampler decides which samples come"):
        order = reading.random.permutation(reading.positions)
        for index, sample in zip(order.tolist(), source.samples(sampler=SubsetSampler(order)), strict=True):
            reading.expect(index, sample)
    if "index" not in (source.keys() or ()):
        with promise("with_indices gives the positions in the unsliced source"):
            check_indices(reading, order)
    part = source if n <= len(reading.positions) else source[reading.positions]
    rest: dict[str, Any] = {"pickles": pickles, "timeout": timeout}
    items = -(-len(part) // 3) + 1
    shuffled = part.batches(3, shuffle=True, **how)
    check_streamer(shuffled, items, samples_of=rows, fresh_process=fresh_process, **rest)
    check_streamer(part.samples(shuffle=True), len(part) + 1, fresh_process=False, **rest)


def check_indices(reading: Reading, order: NDArray[np.intp]) -> None:
    """The indices in a batch are those of its samples."""
    source, form = reading.source, reading.wanted(0)
    one_by_one = [source._base_indices(np.array([place])).tolist()[0] for place in order.tolist()]
    found = [_parted(sample, form)[0] for sample in source[order].samples(with_indices=True)]
    expect(found == one_by_one, f"a view of {order.tolist()} gives {found} instead of {one_by_one}")
    places = {repr(source._base_indices(np.array([place])).tolist()[0]): place for place in reading.positions.tolist()}
    for batch in taken(iter(source.batches(3, with_indices=True, **reading.how)), 10):
        index, rest = _parted(batch, form)
        for place, origin in enumerate(index.tolist()):
            if repr(origin) in places:
                reading.expect(places[repr(origin)], reading.row_of(rest, place, len(index)), "by its index")


def _parted(data: Any, form: Any) -> tuple[Any, Any]:
    """The indices of a sample or batch, and the rest of it; `form` is that of a sample without them."""
    if isinstance(data, dict):
        return data["index"], {key: value for key, value in data.items() if key != "index"}
    index, *rest = data
    return index, tuple(rest) if isinstance(form, tuple) else rest[0]
