"""Epochs: every sample once, in a new order each time, with a few files open; and validation data in a cycle.

python epochs.py
"""

import tempfile
from pathlib import Path

import numpy as np

from streamflow import ChainMux, StochasticMux, Streamer, buffer_stream


def samples(path):
    """The samples of one file, once."""
    for value in np.load(path, mmap_mode="r"):
        yield {"x": int(value)}


def main():
    with tempfile.TemporaryDirectory() as folder:
        paths = [str(Path(folder, f"{i}.npy")) for i in range(12)]
        for i, path in enumerate(paths):
            np.save(path, np.arange(10 * i, 10 * i + 10))
        files = [Streamer(samples, path) for path in paths]

        # mode="exhaustive": each file is opened exactly once in a pass, in random order, four at a time.
        training = StochasticMux(files[:10], n_active=4, rate=None, mode="exhaustive", random_state=0)
        batches = training.pipe(buffer_stream, 16, partial=True)
        for epoch in range(3):
            seen = []
            for batch in batches(epoch=epoch):
                seen += batch["x"].tolist()
            complete = "each sample once" if sorted(seen) == list(range(100)) else "NOT each sample once"
            print(f"epoch {epoch}: {complete}, beginning with", *seen[:6])

        # One file after the other, and from the first again when the last is over.
        validation = ChainMux(files[10:], mode="cycle").pipe(buffer_stream, 5)
        print("validation:", *(f"{batch['x'][0]}-{batch['x'][-1]}" for batch in validation(max_iter=6)))


if __name__ == "__main__":
    main()
