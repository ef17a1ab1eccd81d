"""Shuffled minibatches from memory: SeqTools's published example (64 x 248 floats, with a label each).

Beside the bare gather (``X[indices], y[indices]``) stand the loaders that are installed of seqtools, torch's
`DataLoader` (in this process, which is where it is fastest here) and pescador, each as its documentation does it.  Then
the same again with a step of training, which is what a loader's cost has to be small beside.
"""

import contextlib
from collections.abc import Callable, Iterator
from statistics import median

import numpy as np
from timing import Row, endless, interleave, main, pescador, ratio, show_time

import streamflow as sf
from streamflow.sources import ArraySource

with contextlib.suppress(ImportError):
    import seqtools
with contextlib.suppress(ImportError):
    import torch
with contextlib.suppress(ImportError):
    from sklearn.linear_model import SGDClassifier

BATCH, ROWS, WIDTH, N_CLASSES = 64, 50_000, 248, 12
Batches = Iterator[tuple[np.ndarray, np.ndarray]]


def gathers(X: np.ndarray, y: np.ndarray) -> Batches:  # noqa: N803
    rng = np.random.default_rng(0)
    while True:
        order = rng.permutation(len(X))
        for first in range(0, len(X) - BATCH, BATCH):
            at = order[first : first + BATCH]
            yield X[at], y[at]


def ours(X: np.ndarray, y: np.ndarray) -> Batches:  # noqa: N803
    yield from ArraySource((X, y)).batches(BATCH, shuffle=True, epochs=None, random_state=0)


def rows(X: np.ndarray, y: np.ndarray) -> Iterator[dict[str, np.ndarray]]:  # noqa: N803
    rng = np.random.default_rng()
    while True:
        i = rng.integers(len(X))
        yield {"X": X[i], "y": y[i]}


def by_generator(X: np.ndarray, y: np.ndarray) -> Batches:  # noqa: N803
    """Sample by sample through a mux of a generator for each class: what no gather can do."""
    members = [sf.Streamer(rows, X[y == k], y[y == k]) for k in range(N_CLASSES)]
    for batch in sf.buffer_stream(sf.StochasticMux(members, None, None, random_state=0), BATCH):
        yield batch["X"], batch["y"]


def by_pescador(X: np.ndarray, y: np.ndarray) -> Batches:  # noqa: N803
    members = [pescador.Streamer(rows, X[y == k], y[y == k]) for k in range(N_CLASSES)]
    mux = pescador.StochasticMux(members, N_CLASSES, None, random_state=0)
    for batch in pescador.maps.buffer_stream(mux, BATCH):
        yield batch["X"], batch["y"]


def by_seqtools(X: np.ndarray, y: np.ndarray) -> Batches:  # noqa: N803
    rng = np.random.default_rng(0)
    while True:
        shuffled = seqtools.gather(seqtools.collate([X, y]), rng.permutation(len(X)))
        collate = lambda samples: tuple(map(np.stack, zip(*samples, strict=True)))  # noqa: E731
        yield from seqtools.batch(shuffled, BATCH, drop_last=True, collate_fn=collate)


def by_torch(X: np.ndarray, y: np.ndarray) -> Batches:  # noqa: N803
    data = torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(y))
    loader = torch.utils.data.DataLoader(data, BATCH, shuffle=True, drop_last=True)
    while True:
        for features, labels in loader:
            yield features.numpy(), labels.numpy()


def trained(batches: Batches) -> Iterator[None]:
    model, classes = SGDClassifier(random_state=0), np.arange(N_CLASSES)
    for features, labels in batches:
        yield model.partial_fit(features, labels, classes)


#: Who is compared, who has to be there for it, and how many times our cost it takes at least.
CONTENDERS: dict[str, tuple[Callable[..., Batches], bool, float | None]] = {
    "gather": (gathers, True, None),
    "streamflow": (ours, True, None),
    "a mux of generators": (by_generator, True, None),
    "seqtools": (by_seqtools, "seqtools" in globals(), 5),
    "torch DataLoader": (by_torch, "torch" in globals(), 4),
    "pescador": (by_pescador, pescador is not None, 12),
}


def measure() -> list[Row]:
    rng = np.random.default_rng(0)
    X, y = rng.random((ROWS, WIDTH)), rng.integers(N_CLASSES, size=ROWS)  # noqa: N806
    what = "minibatches of 64 x 248"
    made = {name: make(X, y) for name, (make, there, _) in CONTENDERS.items() if there}
    times = interleave({name: endless(batches, 0.02, 200) for name, batches in made.items()})
    cost = {name: show_time(median(seconds)) for name, seconds in times.items()}
    note = f"{cost['streamflow']}, floor {cost['gather']}"
    table = [Row(f"{what} / gather", ratio(times, "streamflow", "gather"), goal=4, note=note)]
    for name in list(made)[2:]:
        faster = ratio(times, name, "streamflow")
        table.append(Row(f"{what}: faster than {name}", faster, "x", CONTENDERS[name][2], None, True, cost[name]))
    if "SGDClassifier" in globals():
        made = {name: trained(make(X, y)) for name, make in {"gather": gathers, "streamflow": ours}.items()}
        times = interleave({name: endless(steps, 0.05, 50) for name, steps in made.items()})
        slower = ratio(times, "streamflow", "gather")
        table.append(Row(f"{what} and partial_fit / gather and partial_fit", slower, goal=1.08))
    return table


if __name__ == "__main__":
    main(measure)
