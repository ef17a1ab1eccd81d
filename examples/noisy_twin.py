"""A stream and its noisy twin, mixed half and half, into a training loop.

An augmentation is a function from a stream to a stream.  Both members of the mux are open all the time; the twin makes
its own pass over the data.

    python noisy_twin.py
"""

import numpy as np

from streamflow import StochasticMux, Streamer, buffer_stream, tuples


def samples(x, y, rng):
    """Samples of arrays in memory, which are shared by reference and never copied."""
    while True:
        i = rng.integers(len(x))
        yield {"x": x[i], "y": y[i]}


def additive_noise(stream, key, scale, rng):
    """Each item of a stream with noise on one of its values."""
    for item in stream:
        yield {**item, key: item[key] + rng.normal(scale=scale, size=item[key].shape)}


def fit(weights, pairs):
    """Least squares by stochastic gradient descent; any model with a `fit` for a generator of pairs would do."""
    for x, y in pairs:
        weights = weights - 0.02 * x.T @ (x @ weights - y) / len(y)
    return weights


def main():
    rng = np.random.default_rng(0)
    true_weights = np.array([1.0, -2.0, 3.0])
    x = rng.normal(size=(1000, 3))
    y = x @ true_weights

    clean = Streamer(samples, x, y)
    noisy = Streamer(additive_noise, clean, "x", scale=0.1)
    both = StochasticMux([clean, noisy], n_active=2, rate=None, random_state=0)
    batches = both.pipe(buffer_stream, 32)

    known = {row.tobytes() for row in x}
    drawn = [row.tobytes() in known for batch in batches(max_iter=100) for row in batch["x"]]
    print(f"clean samples: {np.mean(drawn):.0%}")

    learned = fit(np.zeros(3), tuples(batches(max_iter=1000), "x", "y"))
    print("learned weights:", " ".join(f"{weight:.1f}" for weight in learned))


if __name__ == "__main__":
    main()
