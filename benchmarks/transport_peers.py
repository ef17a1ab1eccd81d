"""Ways to get items out of another process: streamflow's, those of other libraries, and those of `multiprocessing`.

Each takes a generator function with its arguments and returns an iterator over what it yields in one worker.  Libraries
are imported where they are used, so that a visit loads one of them only.
"""

import multiprocessing as mp
from collections.abc import Callable, Iterator
from functools import cache, partial
from importlib.util import find_spec
from typing import Any

import numpy as np

LENGTH = 10**9  # of a stream that has to have one
AHEAD = 10  # items that a library keeps ready, where that has to be set
MEBIBYTE = 1 << 20
PAGE = 1024  # values of float32 on a page of memory


def items(size: int) -> Iterator[dict[str, np.ndarray]]:
    array, label = np.ones(size // 4, np.float32), np.asarray(1)
    while True:
        yield {"X": array, "y": label}


def every_page(item: dict) -> object:
    """Touch all of an array's memory."""
    return np.array(item["X"][::PAGE])


class Endless:
    """A generator function as the sequence that some libraries ask for; it begins in the worker."""

    def __init__(self, source: Callable[..., Iterator], args: tuple):
        self.source, self.args, self.iterator = source, args, None

    def __len__(self):
        return LENGTH

    def __getitem__(self, index: int) -> Any:
        if self.iterator is None:
            self.iterator = self.source(*self.args)
        return next(self.iterator)


def streamflow_stream(source: Callable[..., Iterator], *args: Any, **options: Any) -> Iterator:
    import streamflow

    return streamflow.ZMQStreamer(streamflow.Streamer(source, *args), **options).iterate()


def pescador_stream(source: Callable[..., Iterator], *args: Any) -> Iterator:
    import pescador

    # A worker that waits for room in its socket does not hear that it shall end: do not wait five seconds for it.
    return pescador.ZMQStreamer(pescador.Streamer(source, *args), copy=False, timeout=0.1).iterate()


def torch_stream(source: Callable[..., Iterator], *args: Any, collate: Callable | None = None) -> Iterator:
    """Tensors in the shared memory of torch, unless `collate` leaves the items as they are."""
    from torch.utils.data import DataLoader

    return iter(DataLoader(Endless(source, args), batch_size=None, num_workers=1, collate_fn=collate))


def same(item: Any) -> Any:
    return item


def grain_stream(source: Callable[..., Iterator], *args: Any) -> Iterator:
    import grain

    items = grain.MapDataset.source(Endless(source, args)).to_iter_dataset(grain.ReadOptions(0, 0))
    return iter(items.mp_prefetch(grain.MultiprocessingOptions(num_workers=1, per_worker_buffer_size=4)))


def seqtools_stream(source: Callable[..., Iterator], size: int) -> Iterator:
    """With shared memory for all items that are ahead, and some more."""
    import seqtools

    memory = 2 * AHEAD * (size + (64 << 10))
    return iter(seqtools.prefetch(Endless(source, (size,)), 1, "process", AHEAD, shm_size=memory))


def queue_stream(source: Callable[..., Iterator], *args: Any) -> Iterator:
    queue: mp.Queue = mp.Queue(AHEAD)
    mp.Process(target=put_all, args=(queue.put, source, args), daemon=True).start()
    return iter(queue.get, None)


def pipe_stream(source: Callable[..., Iterator], *args: Any) -> Iterator:
    receiver, sender = mp.Pipe(duplex=False)
    mp.Process(target=put_all, args=(sender.send, source, args), daemon=True).start()
    return iter(receiver.recv, None)


def put_all(put: Callable[[Any], None], source: Callable[..., Iterator], args: tuple) -> None:
    for item in source(*args):
        put(item)


OURS: dict[str, Callable[..., Iterator]] = {
    "streamflow": streamflow_stream,
    "streamflow copy=True": partial(streamflow_stream, copy=True),
    "streamflow ipc": partial(streamflow_stream, transport="ipc"),
    "streamflow tcp": partial(streamflow_stream, transport="tcp"),
}
#: The library comes first in a name.
PEERS: dict[str, Callable[..., Iterator]] = {
    "pescador": pescador_stream,
    "seqtools with shm_size": seqtools_stream,
    "torch tensors": torch_stream,
    "torch numpy": partial(torch_stream, collate=same),
    "grain": grain_stream,
    "multiprocessing.Pipe": pipe_stream,
    "multiprocessing.Queue": queue_stream,
}
CONTENDERS = OURS | PEERS


@cache
def present() -> tuple[str, ...]:
    """Those whose library is installed; a line for each other one."""
    missing = {wanted for wanted in map(library, PEERS) if find_spec(wanted) is None}
    for wanted in sorted(missing):
        print(f"{wanted} is not installed: comparisons with it are left out")
    return tuple(name for name in CONTENDERS if library(name) not in missing)


def library(name: str) -> str:
    """What a contender needs."""
    return name.partition(" ")[0].partition(".")[0]
