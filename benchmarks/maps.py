"""What maps cost an item: against a generator expression, and what random numbers add.

The stream below is a mux, as in a real tree.  A map that a user declares as stateless is seen to for each output, so it
is measured beside the same function that is not declared.
"""

from collections.abc import Callable, Iterator
from itertools import count
from statistics import median

from timing import Row, endless, interleave, main, ratio, show_time

import streamflow as sf


def numbers() -> Iterator[int]:
    """An endless member."""
    yield from count()


def mux() -> sf.Streamer:
    return sf.ShuffledMux([sf.Streamer(numbers) for _ in range(8)], random_state=0)


def plus(item: int) -> int:
    return item + 1


def plus_random(item: int, rng: object) -> int:
    return item + 1


def plus_index(item: int, index: int) -> int:
    return item + 1


def all_of(stream: Iterator[int]) -> Iterator[int]:
    for item in stream:
        yield item + 1


declared = sf.maps.stream_map()(all_of)


def is_even(item: int) -> bool:
    return not item % 2


def measure() -> list[Row]:
    makers: dict[str, Callable[[], Iterator[object]]] = {
        "generator expression": lambda: (plus(item) for item in mux()),
        "map_items": lambda: iter(mux().pipe(sf.map_items, plus)),
        "map_items, rng": lambda: iter(mux().pipe(sf.map_items, plus_random)),
        "map_items, index": lambda: iter(mux().pipe(sf.map_items, plus_index)),
        "filter expression": lambda: (item for item in mux() if is_even(item)),
        "filter_items": lambda: iter(mux().pipe(sf.filter_items, is_even)),
        "function over the stream": lambda: iter(mux().pipe(all_of)),
        "declared stateless": lambda: iter(mux().pipe(declared)),
    }
    times = interleave({name: endless(make()) for name, make in makers.items()}, rounds=51)

    def against(name: str, floor: str, goal: float | None) -> Row:
        note = f"{show_time(median(times[name]))}, {floor} {show_time(median(times[floor]))}"
        return Row(f"{name} / {floor}", ratio(times, name, floor), goal=goal, note=note)

    added = median(a - b for a, b in zip(times["map_items, rng"], times["map_items"], strict=True))
    return [
        against("map_items", "generator expression", 1.3),
        against("filter_items", "filter expression", 1.3),
        Row("an `rng` for each item", added * 1e6, "us", goal=4),
        against("map_items, index", "map_items", None),
        against("declared stateless", "function over the stream", None),
    ]


if __name__ == "__main__":
    main(measure)
