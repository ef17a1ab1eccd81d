"""Random trees: every kind of leaf, mux and map with random parameters, to a depth.

A tree is made of `Made` parts, which are called to build the Streamer and print as the expression that builds it, so
what hypothesis reports can be pasted.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from streamflow import (
    ChainMux,
    RoundRobinMux,
    ShuffledMux,
    StochasticMux,
    Streamer,
    StreamerList,
    ZipMux,
    buffer_stream,
    cache,
    filter_items,
    keras_tuples,
    map_items,
    tuples,
)

from . import leaves

__all__ = ["Made", "divisible_trees", "trees"]

NAMES = st.integers(1, 9)
SIZES = st.integers(0, 7)
SEEDS = st.none() | st.integers(0, 3)


class Made:
    """An expression: a function and its arguments, which may be expressions."""

    def __init__(self, make: Callable[..., Any], /, *args: Any, **kwargs: Any) -> None:
        self.make, self.args, self.kwargs = make, args, kwargs

    def __call__(self) -> Any:
        args = [_built(arg) for arg in self.args]
        return self.make(*args, **{name: _built(arg) for name, arg in self.kwargs.items()})

    def __repr__(self) -> str:
        inside = [_told(arg) for arg in self.args] + [f"{name}={_told(arg)}" for name, arg in self.kwargs.items()]
        return f"{self.make.__name__}({', '.join(inside)})"


def _built(arg: Any) -> Any:
    if isinstance(arg, Made):
        return arg()
    if isinstance(arg, dict):
        return {name: _built(value) for name, value in arg.items()}
    return [_built(value) for value in arg] if isinstance(arg, list) else arg


def _told(arg: Any) -> str:
    if isinstance(arg, dict):
        return f"{{{', '.join(f'{name!r}: {_told(value)}' for name, value in arg.items())}}}"
    if isinstance(arg, list):
        return f"[{', '.join(map(_told, arg))}]"
    return arg.__name__ if callable(arg) and not isinstance(arg, Made) else repr(arg)


# What Python writes as methods.
def pipe(streamer: Streamer, *args: Any, **kwargs: Any) -> Streamer:
    return streamer.pipe(*args, **kwargs)


def with_seed(streamer: Streamer, seed: int | None) -> Streamer:
    return streamer.with_seed(seed)


def shard(streamer: Streamer, index: int, count: int) -> Streamer:
    return streamer.shard(index, count)


def lazy_chain(members: list[Any], mode: str) -> ChainMux:
    return ChainMux(functools.partial(leaves.chained, *members), mode)


def partial_of(function: Any, *args: Any) -> Streamer:
    return Streamer(functools.partial(function, *args))


# ---------------------------------------------------------------------- leaves
_ALWAYS = [leaves.count, leaves.starting, leaves.dividing_start, leaves.Calls, leaves.data, leaves.Remembering]


def _plain_leaves() -> st.SearchStrategy[Made]:
    function = st.sampled_from(_ALWAYS)
    seeded = st.sampled_from([leaves.drawing, leaves.dividing, leaves.flaky])
    return st.one_of(
        st.builds(Made, st.just(Streamer), function, NAMES, SIZES),
        st.builds(Made, st.just(Streamer), seeded, NAMES, SIZES),
        st.builds(Made, st.just(partial_of), seeded, NAMES, SIZES),
        st.builds(Made, st.just(Streamer), st.builds(Made, st.sampled_from([leaves.Calls, leaves.data]), NAMES, SIZES)),
        # Seeded: nobody can tell beforehand that what such a function returns will want randomness.
        st.builds(lambda *args: Made(with_seed, Made(Streamer, leaves.gives_streamer, *args), 7), NAMES, SIZES),
    )


def _endless_leaves() -> st.SearchStrategy[Made]:
    return st.one_of(
        st.builds(Made, st.just(Streamer), st.just(leaves.endless), NAMES),
        st.builds(Made, st.just(Streamer), st.just(leaves.drawing), NAMES, st.none()),
        st.just(Made(Streamer, iter, leaves.constant, None)),
    )


# ---------------------------------------------------------------------- nodes
@st.composite
def _pools(draw: Any, member: st.SearchStrategy[Any], weighted: bool = True, largest: int = 4) -> tuple[Any, Any]:
    """Members, as list, mapping or StreamerList, and weights for them."""
    kind = draw(st.sampled_from(["list", "list", "mapping", "same", "StreamerList"]))
    if kind == "StreamerList":
        size = draw(st.integers(1, largest))
        names = draw(st.lists(NAMES, min_size=size, max_size=size))
        sizes = draw(st.lists(SIZES, min_size=size, max_size=size))
        members: Any = Made(
            StreamerList, draw(st.sampled_from([leaves.count, leaves.drawing, leaves.flaky])), names, sizes
        )
    else:
        some = draw(st.lists(member, min_size=1, max_size=largest))
        if kind == "same":
            some = [some[0]] * draw(st.integers(1, largest))
        members, size = some, len(some)
        if kind == "mapping":
            members = {"abcdefg"[place]: each for place, each in enumerate(some)}
    weights = None
    if weighted and draw(st.booleans()):
        weights = draw(st.lists(st.sampled_from([0, 1, 1, 2, 0.3]), min_size=size, max_size=size))
        if not any(weights):
            weights = None
        elif kind == "mapping":
            weights = dict(zip("abcdefg", weights, strict=False))
    return members, weights


def size_of(members: Any) -> int:
    return len(members.args[1]) if isinstance(members, Made) else len(members)


@st.composite
def _stochastic(draw: Any, member: st.SearchStrategy[Any], modes: tuple[str, ...]) -> Made:
    members, weights = draw(_pools(member))
    mode = draw(st.sampled_from(modes))
    most = 5 if mode == "with_replacement" else size_of(members)
    return Made(
        StochasticMux,
        members,
        draw(st.none() | st.integers(1, most)),
        draw(st.sampled_from([None, 1, 1.5, 3, 4.25])) if modes != ("exhaustive",) else None,
        weights,
        mode,
        draw(st.booleans()),
        draw(st.sampled_from(["binomial", "constant", "poisson"])),
        draw(SEEDS),
    )


@st.composite
def _muxes(draw: Any, member: st.SearchStrategy[Any], divisible: bool) -> Made:
    """Muxes whose items are those of their members."""
    kinds = ["stochastic", "round_robin", "chain", "lazy_chain", "turns"]
    kind = draw(
        st.sampled_from(kinds if divisible else [*kinds, "stochastic", "stochastic", "shuffled", "again", "thrice"])
    )
    if kind == "stochastic":
        modes = ("exhaustive",) if divisible else ("with_replacement", "single_active", "exhaustive")
        return draw(_stochastic(member, modes))
    if kind == "shuffled":
        return Made(ShuffledMux, *draw(_pools(member)), draw(SEEDS))
    members, _ = draw(_pools(member, weighted=False))
    if kind == "round_robin":
        modes = ["exhaustive"] if divisible else ["exhaustive", "cycle", "permuted_cycle"]
        return Made(RoundRobinMux, members, draw(st.sampled_from(modes)), draw(SEEDS))
    if kind in {"chain", "lazy_chain"}:
        mode = draw(st.sampled_from(["exhaustive"] if divisible else ["exhaustive", "cycle"]))
        if kind == "lazy_chain" and isinstance(members, list):
            return Made(lazy_chain, members, mode)
        return Made(ChainMux, members, mode, draw(SEEDS))
    user = {"turns": leaves.TakeTurns, "again": leaves.Again, "thrice": leaves.Thrice}[kind]
    return Made(user, members, draw(SEEDS))


def _maps(below: st.SearchStrategy[Any]) -> st.SearchStrategy[Made]:
    """Maps over samples."""
    sizes = st.integers(1, 4)
    return st.one_of(
        st.builds(Made, st.just(pipe), below, st.just(buffer_stream), sizes, st.booleans()),
        st.builds(Made, st.just(Streamer), st.just(tuples), below, st.just("y"), st.just("x")),
        st.builds(Made, st.just(pipe), below, st.just(keras_tuples), st.just("x"), st.sampled_from(["y", None])),
        st.builds(Made, st.just(pipe), below, st.just(cache), sizes, st.sampled_from([1, 0.5, 0.9]), SEEDS),
        st.builds(Made, st.just(pipe), below, st.sampled_from([leaves.pairs]), st.booleans()),
        st.builds(Made, st.just(pipe), below, st.sampled_from([leaves.doubled, leaves.dropping])),
    )


def _zips(below: st.SearchStrategy[Any]) -> st.SearchStrategy[Made]:
    return st.builds(
        lambda members, mode: Made(ZipMux, members, mode, False),
        st.lists(below, min_size=1, max_size=3),
        st.sampled_from(["shortest", "cycle"]),
    )


def _derived(below: st.SearchStrategy[Any]) -> st.SearchStrategy[Made]:
    """Streamers made from a Streamer of samples that give samples again."""
    return st.one_of(
        st.builds(Made, st.just(with_seed), below, st.integers(0, 3)),
        st.builds(Made, st.just(Streamer), below),
        st.builds(Made, st.just(pipe), below, st.just(leaves.noisy)),
        st.builds(Made, st.just(pipe), below, st.just(leaves.jumbled), st.integers(1, 4)),
        st.builds(Made, st.just(pipe), below, st.just(map_items), st.sampled_from([leaves.jittered, leaves.numbered])),
        st.builds(Made, st.just(pipe), below, st.just(filter_items), st.just(leaves.chosen)),
        st.builds(Made, st.just(pipe), below, st.just(leaves.twice)),
        st.builds(Made, st.just(Streamer), st.just(leaves.paired), below, below),
        st.builds(Made, st.just(pipe), _maps(below), st.sampled_from([leaves.sampled, leaves.sampled, leaves.noisy])),
        st.builds(Made, st.just(pipe), _zips(below), st.sampled_from([leaves.sampled, leaves.sampled, leaves.noisy])),
        st.integers(1, 3).flatmap(
            lambda parts: st.builds(Made, st.just(shard), below, st.integers(0, parts - 1), st.just(parts))
        ),
    )


@functools.cache
def _samples(depth: int) -> st.SearchStrategy[Made]:
    """Trees whose items are samples."""
    leaf = st.one_of(_plain_leaves(), _endless_leaves())
    if not depth:
        return leaf
    below = st.deferred(lambda: _samples(depth - 1))
    return st.one_of(_muxes(below, False), _muxes(below, False), _derived(below), leaf)


def trees(depth: int = 3) -> st.SearchStrategy[Made]:
    """Trees of any kind."""
    below = _samples(depth - 1)
    return st.one_of(_samples(depth), _maps(below), _zips(below))


@functools.cache
def divisible_trees(depth: int = 3) -> st.SearchStrategy[Made]:
    """Finite trees of samples whose parts together are the whole."""
    if not depth:
        return _plain_leaves()
    below = divisible_trees(depth - 1)
    seeded = st.builds(Made, st.just(with_seed), below, st.integers(0, 3))
    zipped = st.builds(Made, st.just(pipe), _zips(below), st.just(leaves.sampled))
    more = st.one_of(
        seeded,
        st.builds(Made, st.just(pipe), below, st.sampled_from([leaves.sampled, leaves.noisy, leaves.twice])),
        st.builds(Made, st.just(Streamer), below),
        zipped,
    )
    return st.one_of(_muxes(below, True), _muxes(below, True), more, _plain_leaves())
