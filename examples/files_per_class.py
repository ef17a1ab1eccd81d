"""One file per recording, one group of files per class, and a classifier trained from them by partial_fit.

The corpus may be larger than memory: three files of each class are open at a time.  On disk, birds are a hundred times
rarer than noise; the classifier sees them in a quarter of its samples, because the weights say so.

    python files_per_class.py        (needs scikit-learn)
"""

import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
from sklearn.linear_model import SGDClassifier

from streamflow import ShuffledMux, StochasticMux, Streamer, ZMQStreamer, buffer_stream

CLASSES = {"bird": 4, "frog": 40, "noise": 400}  # files of each


def write_corpus(folder):
    """Files as they might come from recorders: a few frames of 20 features each."""
    rng = np.random.default_rng(0)
    for number, (name, n_files) in enumerate(CLASSES.items()):
        (folder / name).mkdir()
        for i in range(n_files):
            frames = rng.normal(size=(16, 20))
            frames[:, number] += 3  # what distinguishes the classes
            np.savez(folder / name / f"{i:04d}.npz", X=frames)


def samples(path, label, rng):
    """The frames of a file in random order, over and over; `rng` belongs to this opening of the file."""
    with np.load(path) as file:
        frames = file["X"]
    while True:
        for i in rng.permutation(len(frames)):
            yield {"X": frames[i], "y": label}


def tree_over(folder):
    """A few files of each class, the classes by weight, in batches, made in another process."""
    classes = {}
    for number, name in enumerate(CLASSES):
        files = [Streamer(samples, str(path), number) for path in sorted((folder / name).glob("*.npz"))]
        classes[name] = StochasticMux(files, n_active=3, rate=16)
    mux = ShuffledMux(classes, weights={"bird": 1, "frog": 1, "noise": 2}, random_state=0)
    return ZMQStreamer(mux.pipe(buffer_stream, 32))


def main():
    with tempfile.TemporaryDirectory() as folder:
        write_corpus(Path(folder))
        model = SGDClassifier(random_state=0)
        seen, right = Counter(), 0
        for number, batch in enumerate(tree_over(Path(folder))(max_iter=200)):
            if number >= 100:  # every batch is new to the model: test on it, then train
                right += int((model.predict(batch["X"]) == batch["y"]).sum())
            model.partial_fit(batch["X"], batch["y"], classes=range(len(CLASSES)))
            seen.update(batch["y"].tolist())
    total = sum(seen.values())
    for number, (name, n_files) in enumerate(CLASSES.items()):
        on_disk = n_files / sum(CLASSES.values())
        print(f"{name:6} {on_disk:6.1%} of the files, {seen[number] / total:6.1%} of the samples")
    print(f"classified correctly: {right / (100 * 32):.1%}")


if __name__ == "__main__":
    main()
