"""`streamflow demo`: train on files through a sampling tree, stop halfway, resume in a new process, and check it all.

`sampling_tree` is what a user has to write; the rest of the file shows what comes of it.  The two halves of the
training share nothing but files: the state, the model, and `job.json`, which holds the arguments of the tree.
"""

from __future__ import annotations

import hashlib
import json
import pickle
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import ShuffledMux, StochasticMux, Streamer, ZMQStreamer, buffer_stream
from ..exceptions import DataError
from ..sources import NpySource
from .stopping import at_end
from .work import UsageError, fresh_interpreter, need

__all__ = ["resume", "run"]

_FILES = (10, 9, 8, 8, 7, 6, 5, 4, 3, 2)  #: files of each digit: the corpus is skewed on purpose
_IN_A_FILE = 12
_WANTED = {str(digit): 1.0 for digit in range(9)} | {"9": 2.0}  #: weights: the rarest digit is asked for most
_COMPARED = 5  #: batches that are compared after the resume
_HELD_OUT = 5  #: every fifth sample of a file is held out
_MOST_HELD_OUT = 2000  #: samples of all files, so that they fit into memory
_ENOUGH = 5000  #: samples that take the accuracy on the digits well above `_ACCURACY`
_ACCURACY = 0.9
_CHANCE = 5  #: standard deviations by which a share may be off by chance

#: What a user may begin with; printed at the end.
SNIPPET = """\
    import glob
    from streamflow import ShuffledMux, StochasticMux, buffer_stream
    from streamflow.sources import NpySource

    def rows(pattern):  # two files open at a time, 16 rows from each
        files = [NpySource({"X": path}) for path in glob.glob(pattern)]
        streams = [file.samples(shuffle=True, epochs=None) for file in files]
        return StochasticMux(streams, n_active=2, rate=16)

    classes = {"cat": rows("cat/*.npy"), "dog": rows("dog/*.npy")}
    weights = {"cat": 0.25, "dog": 0.75}
    tree = ShuffledMux(classes, weights, random_state=0).pipe(buffer_stream, 64)
    for epoch in range(2):
        for batch in tree(max_iter=100, epoch=epoch):
            ...  # train\
"""

Files = list[tuple[str, int]]  #: paths, each with the number of its samples
Samples = tuple[NDArray[Any], NDArray[Any]]  #: features and labels


def sample_with_label(sample: dict[str, Any], path: str, label: int) -> dict[str, Any]:
    """A row of a file, with the number of its class."""
    _must_be_finite(sample["X"], path)
    return {"X": sample["X"], "y": label}


def _must_be_finite(array: NDArray[Any], path: str) -> None:
    if not np.isfinite(array).all():
        raise DataError(f"{path}: holds NaN or infinite values")


def sampling_tree(classes: dict[str, Files], weights: dict[str, float], batch_size: int, seed: int) -> Streamer:
    """Two files of each class open at a time, classes drawn by weight, batches, all of it in another process."""
    muxes = {}
    for label, (name, files) in enumerate(classes.items()):
        streams = []
        for path, n_samples in files:
            rows = NpySource({"X": path})[np.arange(n_samples) % _HELD_OUT > 0]
            labelled = rows.map(partial(sample_with_label, path=path, label=label))
            streams.append(labelled.samples(shuffle=True, epochs=None))
        sizes = [n_samples for _, n_samples in files]
        muxes[name] = StochasticMux(streams, n_active=min(2, len(files)), rate=16, weights=sizes)
    samples = ShuffledMux(muxes, weights=weights, random_state=seed)
    return ZMQStreamer(samples.pipe(buffer_stream, batch_size), buffer_bytes=1 << 20)


def write_digits(root: Path) -> None:
    """Write the digits that scikit-learn ships (8 x 8 pixels, Alpaydin and Kaynak, UCI, 1998), a folder for each."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    for digit, n_files in enumerate(_FILES):
        at = np.flatnonzero(labels == digit)
        at = at[np.linspace(0, len(at) - 1, n_files * _IN_A_FILE).astype(int)]  # they are sorted by writer
        (root / str(digit)).mkdir(parents=True)
        for number, part in enumerate(np.split(at, n_files)):
            np.save(root / str(digit) / f"part-{number:02d}.npy", images[part].astype(np.uint8).reshape(-1, 8, 8))


def find_classes(root: Path) -> dict[str, Files]:
    """The files of each class folder that hold samples; all files are looked into, so that a bad one is named now."""
    if not root.is_dir():
        raise UsageError(f"{root}: " + ("is not a folder" if root.exists() else "does not exist"))
    classes: dict[str, Files] = {}
    shape: tuple[int, ...] | None = None
    for folder in sorted(path for path in root.glob("[!.]*") if path.is_dir()):
        files: Files = []
        for path in sorted(path for path in folder.glob("[!.]*") if path.suffix.lower() in {".npy", ".npz"}):
            source = NpySource({"X": str(path)})
            n_samples = len(source)
            if n_samples < 2:  # one is held out
                continue
            first = source[0]["X"]
            if first.dtype.kind not in "biuf":
                raise UsageError(f"{path}: samples must be real numbers, their dtype is {first.dtype}")
            shape = first.shape if shape is None else shape
            if first.shape != shape:
                raise UsageError(f"{path}: its samples have shape {first.shape}, those before it {shape}")
            files.append((str(path), n_samples))
        if not files:
            raise UsageError(f"{folder}: holds no .npy or .npz file with at least two samples")
        classes[folder.name] = files
    if len(classes) < 2:
        raise UsageError(f"{root}: must hold one folder for each class, two at least, each with .npy or .npz files")
    return classes


def held_out(classes: dict[str, Files]) -> Samples:
    """Samples that the tree never gives, and their labels."""
    most = max(1, _MOST_HELD_OUT // len(classes))
    x, y = [], []
    for label, files in enumerate(classes.values()):
        parts: list[NDArray[Any]] = []
        while files and sum(map(len, parts)) < most:
            (path, n_samples), *files = files
            parts.append(NpySource({"X": path}).read(np.arange(0, n_samples, _HELD_OUT))["X"])
            _must_be_finite(parts[-1], path)
        x.append(np.concatenate(parts)[:most])
        y += [label] * len(x[-1])
    return np.concatenate(x), np.array(y)


class Learner:
    """A linear classifier; it also counts the samples of each class and keeps a digest of each batch."""

    def __init__(self, n_classes: int) -> None:
        from sklearn.linear_model import SGDClassifier
        from sklearn.preprocessing import StandardScaler

        self.scaler, self.model = StandardScaler(), SGDClassifier(loss="log_loss", alpha=1e-3, random_state=0)
        self.counts = np.zeros(n_classes, int)
        self.digests: list[str] = []

    def learn(self, batch: dict[str, Any]) -> None:
        """One step of stochastic gradient descent."""
        x = batch["X"].reshape(len(batch["X"]), -1)
        self.model.partial_fit(self.scaler.partial_fit(x).transform(x), batch["y"], classes=np.arange(len(self.counts)))
        self.counts += np.bincount(batch["y"], minlength=len(self.counts))
        self.digests.append(digest(batch))

    def accuracy(self, x: NDArray[Any], y: NDArray[Any]) -> float:
        """The share of samples that it classifies correctly."""
        return float(self.model.score(self.scaler.transform(x.reshape(len(x), -1)), y))


def digest(batch: dict[str, Any]) -> str:
    """Sixteen digits that stand for every byte of a batch."""
    return hashlib.blake2b(batch["X"].tobytes() + batch["y"].tobytes(), digest_size=8).hexdigest()


def train(label: str, stream: Iterator[dict[str, Any]], learner: Learner, n_batches: int) -> None:
    """Train on the next batches; on a terminal a bar moves."""
    from rich.progress import track

    # No thread moves the bar: the background process is forked while it is shown.
    bar = track(range(n_batches), f"  {label}", auto_refresh=False, transient=True, disable=not sys.stdout.isatty())
    for _ in bar:
        learner.learn(next(stream))
    print(f"  {label}: {n_batches} batches, {learner.counts.sum():,} samples so far")


def resume(folder: Path) -> None:
    """Build the tree again, load the state and train on; runs in a new process."""
    job = json.loads((folder / "job.json").read_text("utf-8"))
    learner = pickle.loads((folder / "model.pickle").read_bytes())
    with sampling_tree(**job["tree"]).open() as stream:
        stream.load_state_dict(json.loads((folder / "state.json").read_text("utf-8")))
        train("second half", stream, learner, job["n_batches"])
    (folder / "model.pickle").write_bytes(pickle.dumps(learner))


def run(
    corpus: Path | None, keep: Path | None, asked: dict[str, float], n_batches: int, batch_size: int, seed: int
) -> bool:
    """Run the demo with the options of the command; whether every promise was kept."""
    need("streamflow demo", "demo", sklearn="scikit-learn")
    if corpus and keep and keep.resolve().is_relative_to(corpus.resolve()):
        raise UsageError(f"--keep {keep}: this is inside the corpus, which is only read")
    given = None if corpus is None else find_classes(corpus.absolute())
    weights = dict.fromkeys(given, 1.0) if given else _WANTED
    for name in asked:
        if name not in weights:
            raise UsageError(f"--weight {name}: there is no class of this name")
    weights = weights | asked
    if not any(weights.values()):
        raise UsageError("--weight: at least one class must have a weight above 0")
    folder = _workspace(keep)
    if given is None:
        write_digits(folder / "corpus")
    classes = given or find_classes(folder / "corpus")
    tree = {"classes": classes, "weights": weights, "batch_size": batch_size, "seed": seed}
    held = held_out(classes)
    would_come, learner = _first_half(folder, tree, n_batches)
    kilobytes = (folder / "state.json").stat().st_size / 1000
    print(f"\n3. Stopped; a new Python process resumes from {kilobytes:.1f} kB of JSON", flush=True)
    fresh_interpreter("resume", str(folder))
    came = pickle.loads((folder / "model.pickle").read_bytes())
    resumed = came.digests[len(learner.digests) :][:_COMPARED]
    usual = given is None and not asked and n_batches * batch_size >= _ENOUGH
    kept = _report(tree, held, came, would_come, resumed, _ACCURACY if usual else None)
    if keep is not None:
        print(f"\nKept in {folder}: {', '.join(sorted(path.name for path in folder.iterdir()))}")
    print(f"\nA tree of your own, to start from:\n\n{SNIPPET}")
    return kept


def _first_half(folder: Path, tree: dict[str, Any], n_batches: int) -> tuple[list[str], Learner]:
    """Train half of the way, write all that a resume needs, and say which batches would come next."""
    sizes = [n_samples for files in tree["classes"].values() for _, n_samples in files]
    print("streamflow demo: train from files, a few of them open; stop; resume exactly\n")
    print(
        f"1. {sum(sizes):,} samples in {len(sizes):,} files, one folder for each of {len(tree['classes']):,} classes\n"
    )
    print("2. Training a linear classifier halfway, from a tree in another process")
    learner = Learner(len(tree["classes"]))
    with sampling_tree(**tree).open() as stream:
        train("first half", stream, learner, n_batches // 2)
        state = json.dumps(stream.state_dict())
        would_come = [digest(batch) for batch in islice(stream, _COMPARED)]
    (folder / "state.json").write_text(state, "utf-8")
    (folder / "model.pickle").write_bytes(pickle.dumps(learner))
    (folder / "job.json").write_text(json.dumps({"tree": tree, "n_batches": n_batches - n_batches // 2}), "utf-8")
    return would_come, learner


def _report(
    tree: dict[str, Any], held: Samples, learner: Learner, would_come: list[str], came: list[str], least: float | None
) -> bool:
    """Print what came, and whether each promise was kept; `least`: the accuracy wanted (None: above guessing)."""
    classes, weights = tree["classes"], np.array(list(tree["weights"].values()))
    for one, other in zip(would_come, came, strict=True):
        print(f"  would have come {one}, came {other}: {'the same' if one == other else 'DIFFERENT'}")
    on_disk = np.array([sum(n for _, n in files) for files in classes.values()])
    wanted, counts, n = weights / weights.sum(), learner.counts, learner.counts.sum()
    print("\n4. Shares of the classes\n\n  class        on disk   wanted     came")
    rows = zip(classes, on_disk / on_disk.sum(), wanted, counts / n, strict=True)
    for name, *shares in islice(rows, 12):
        print(f"  {name[:12]:12}" + " ".join(f"{share:8.1%}" for share in shares))
    if len(classes) > 12:
        print(f"  ... and {len(classes) - 12} more")
    x, y = held
    drawn = wanted[y] > 0  # a class of weight 0 is never seen
    accuracy = learner.accuracy(x[drawn], y[drawn])
    least = least or np.bincount(y[drawn]).max() / drawn.sum()
    claims = {
        f"the first {_COMPARED} batches after the resume are those that would have come": came == would_come,
        "the classes came in the shares that were wanted, within chance": bool(
            (abs(counts - n * wanted) <= _CHANCE * np.sqrt(n * wanted * (1 - wanted))).all()
        ),
        f"held-out accuracy {accuracy:.3f}, above {least:.3f}": accuracy > least,
    }
    print()
    for text, holds in claims.items():
        print(f"  {'ok    ' if holds else 'FAILED'}  {text}")
    return all(claims.values())


def _workspace(keep: Path | None) -> Path:
    """A temporary folder that is removed whatever happens, or one that the user wants to keep."""
    if keep is not None:
        if keep.exists() and not (keep.is_dir() and not any(keep.iterdir())):
            raise UsageError(f"--keep {keep}: must be a new or empty folder; nothing is overwritten")
        keep.mkdir(parents=True, exist_ok=True)
        return keep.resolve()
    # The name is known before the folder is there, so no moment to stop leaves it behind.
    folder = Path(tempfile.gettempdir()) / f"streamflow-demo-{secrets.token_hex(6)}"
    at_end(partial(shutil.rmtree, folder, ignore_errors=True))
    folder.mkdir(mode=0o700)
    return folder
