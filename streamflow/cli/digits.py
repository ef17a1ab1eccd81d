"""The corpus of the demo: handwritten digits, written to disk as a corpus larger than memory would lie there.

The images are bundled with scikit-learn: 1797 of 8 x 8 pixels with values 0 to 16, the test set of "Optical Recognition
of Handwritten Digits" (E. Alpaydin and C. Kaynak, UCI Machine Learning Repository, 1998).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .corpus import Corpus, HeldOut, read_corpus

__all__ = ["WANTED", "write_digits"]

#: Files of each digit: the corpus is skewed on purpose.
_FILES = (10, 9, 8, 8, 7, 6, 5, 4, 3, 2)
_IN_A_FILE = 12
_HELD_OUT = 50  #: images of each digit
#: Weights of the classes: the rarest one is asked for most.
WANTED = {str(digit): 1.0 for digit in range(9)} | {"9": 2.0}


def write_digits(folder: Path) -> tuple[Corpus, HeldOut]:
    """Write the corpus to an empty folder, and return what was held out."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    held: list[int] = []
    for digit, n_files in enumerate(_FILES):
        places = np.flatnonzero(labels == digit)
        # The images are sorted by writer: what is held out and what is kept are spread over all of them.
        held += places[::3][:_HELD_OUT].tolist()
        rest = np.setdiff1d(places, held)
        spread = np.linspace(0, len(rest) - 1, n_files * _IN_A_FILE).round().astype(int)
        (folder / str(digit)).mkdir(parents=True)
        for number, part in enumerate(np.split(rest[spread], n_files)):
            np.save(folder / str(digit) / f"part-{number:02d}.npy", images[part].astype(np.uint8).reshape(-1, 8, 8))
    return read_corpus(folder, every=0), HeldOut(images[held], labels[held])
