"""Stop a training run and resume it in another process with exactly the batches that would have come.

The state of a stream is a dict ready for JSON, to be saved beside the model.

    python resume.py
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from streamflow import StochasticMux, Streamer, buffer_stream


def walk(name, rng):
    """A random walk; the tree draws many of them, a few at a time."""
    place = 0
    while True:
        place += int(rng.integers(-9, 10))
        yield {"walk": name, "place": place}


def tree():
    """The description, which is the same in every process that runs this file."""
    walks = {f"walk-{i}": Streamer(walk, i) for i in range(50)}
    return StochasticMux(walks, n_active=5, rate=20, random_state=0).pipe(buffer_stream, 4)


def show(batch):
    print("   ", *(f"{name:2}:{place:4}" for name, place in zip(batch["walk"], batch["place"], strict=True)))


def go_on(checkpoint):
    """What the second run of a script does when it finds a checkpoint."""
    with tree().open() as stream:
        stream.load_state_dict(json.loads(checkpoint.read_text()))
        for _ in range(3):
            show(next(stream))


def main():
    with tempfile.TemporaryDirectory() as folder, tree().open() as stream:
        for _ in range(1000):  # train on these
            next(stream)
        checkpoint = Path(folder, "checkpoint.json")
        checkpoint.write_text(json.dumps(stream.state_dict()))

        print("would have come:")
        for _ in range(3):
            show(next(stream))
        print("came in another process:", flush=True)
        subprocess.run([sys.executable, __file__, str(checkpoint)], check=True)


if __name__ == "__main__":
    go_on(Path(sys.argv[1])) if len(sys.argv) > 1 else main()
